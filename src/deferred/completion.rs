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
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    time::Jiffies,
    types::Opaque, //
};

/// A number of answers that one thread waits for. It is woken by the last of them, and by no other.
///
/// # Invariants
///
/// `completion` is an initialised `struct completion`.
#[pin_data]
pub(crate) struct Answers {
    missing: Atomic<usize>,
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
    /// All answers have come, or the waiting was ended.
    Answered,
    /// The time was up.
    TimedOut,
}

impl Answers {
    /// So many answers (more than zero) are to come.
    pub(crate) fn new(missing: usize) -> impl PinInit<Self> {
        // INVARIANT: `init_completion()` initialises it.
        pin_init!(Self {
            missing: Atomic::new(missing),
            completion <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid memory for a completion.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Lets so many `more` answers be waited for. To be called while one is missing: after the last
    /// one it is too late.
    pub(crate) fn expect(&self, more: usize) {
        self.missing.add(more, Relaxed);
    }

    /// Counts an answer, and wakes the thread that waits if it is the last one. May be called in any
    /// context but NMI.
    pub(crate) fn add(&self) {
        if self.missing.fetch_sub(1usize, Full) == 1 {
            // SAFETY: By the type invariant this is a completion. Its lock is a raw spinlock taken
            // with interrupts disabled, so that interrupt handlers may call this, on PREEMPT_RT as
            // well.
            unsafe { bindings::complete(self.completion.get()) };
        }
    }

    /// Ends the waiting, now and from now on, whatever is missing. To be called in task context.
    pub(crate) fn end(&self) {
        // SAFETY: By the type invariant this is a completion, and by this function's contract this
        // is no interrupt, where PREEMPT_RT wants no more than one thread to be woken.
        unsafe { bindings::complete_all(self.completion.get()) };
    }

    /// Waits for the last answer, or for [`Answers::end`], for at most `limit` (more than zero).
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

    /// The same, but only a signal that kills the caller ends the waiting, with `EINTR`. Sleeps.
    pub(crate) fn wait_unless_killed(&self, limit: Jiffies) -> Result<Wait> {
        // SAFETY: By the type invariant this is a completion; the caller may sleep.
        let left =
            unsafe { bindings::wait_for_completion_killable_timeout(self.completion.get(), limit) };

        match Jiffies::try_from(left) {
            Ok(0) => Ok(Wait::TimedOut),
            Ok(_) => Ok(Wait::Answered),
            Err(_) => Err(EINTR),
        }
    }
}
