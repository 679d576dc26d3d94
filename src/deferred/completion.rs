// SPDX-License-Identifier: GPL-2.0

//! Waiting for answers that come from any context, interrupts included.
//!
//! The `kernel` crate's `Completion` can be waited for neither with a time limit nor so that a
//! signal ends it.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h).

use kernel::{
    bindings,
    prelude::*,
    time::Jiffies,
    types::Opaque, //
};

/// A count of answers that one thread waits for.
///
/// # Invariants
///
/// `completion` is an initialised `struct completion`.
#[pin_data]
pub(crate) struct Answers {
    #[pin]
    completion: Opaque<bindings::completion>,
}

// SAFETY: A completion may be used from any thread.
unsafe impl Send for Answers {}

// SAFETY: All operations on a completion take its lock.
unsafe impl Sync for Answers {}

/// How waiting has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// An answer has come.
    Answered,
    /// The time was up.
    TimedOut,
}

impl Answers {
    /// No answer has come yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        // INVARIANT: `init_completion()` initialises it.
        pin_init!(Self {
            completion <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid memory for a completion.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Counts an answer and wakes the thread that waits. May be called in any context but NMI.
    pub(crate) fn add(&self) {
        // SAFETY: By the type invariant this is a completion. Its lock is a raw spinlock taken with
        // interrupts disabled, so that interrupt handlers may call this, on PREEMPT_RT as well.
        unsafe { bindings::complete(self.completion.get()) };
    }

    /// Waits for an answer that has not been waited for, for at most `limit` (more than zero).
    ///
    /// Sleeps. Fails with `ERESTARTSYS` when a signal comes first.
    pub(crate) fn wait(&self, limit: Jiffies) -> Result<Wait> {
        // SAFETY: By the type invariant this is a completion; the caller may sleep.
        let left = unsafe {
            bindings::wait_for_completion_interruptible_timeout(self.completion.get(), limit)
        };

        match Jiffies::try_from(left) {
            Ok(0) => Ok(Wait::TimedOut),
            Ok(_) => Ok(Wait::Answered),
            Err(_) => Err(ERESTARTSYS),
        }
    }

    /// The same, whatever signals come; a short `limit` is in order. Sleeps.
    pub(crate) fn wait_for_sure(&self, limit: Jiffies) {
        // SAFETY: By the type invariant this is a completion; the caller may sleep.
        unsafe { bindings::wait_for_completion_timeout(self.completion.get(), limit) };
    }
}
