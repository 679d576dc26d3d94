// SPDX-License-Identifier: GPL-2.0

//! A completion that counts: the thread that waits is woken when the last of several callbacks is
//! done.
//!
//! The `kernel` crate's [`Completion`](kernel::sync::Completion) counts nothing, and a wait for it
//! has no time limit and ignores signals.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h).

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};
use kernel::time::Jiffies;
use kernel::types::Opaque;

/// A completion for several callbacks and one thread that waits for all of them.
///
/// The last callback wakes the thread; the others do not.
///
/// # Invariants
///
/// `completion` is an initialised `struct completion`.
#[pin_data]
pub(crate) struct CountedCompletion {
    /// How many calls of [`CountedCompletion::complete`] are missing.
    missing: Atomic<usize>,
    /// Completed when none is missing.
    #[pin]
    completion: Opaque<bindings::completion>,
}

// SAFETY: A completion may be used and freed by any thread.
unsafe impl Send for CountedCompletion {}

// SAFETY: All operations on a completion take its lock.
unsafe impl Sync for CountedCompletion {}

/// How a wait has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The last callback is done, or [`CountedCompletion::complete_all`] was called.
    Completed,
    /// The time limit has passed.
    TimedOut,
}

impl CountedCompletion {
    /// Creates a completion that waits for `missing` callbacks (more than zero).
    pub(crate) fn new(missing: usize) -> impl PinInit<Self> {
        // INVARIANT: `init_completion()` initialises `completion`.
        pin_init!(Self {
            missing: Atomic::new(missing),
            completion <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid memory for a completion.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Adds `more` callbacks to wait for.
    ///
    /// The caller knows that one is missing still: after the last one this has no effect.
    pub(crate) fn expect(&self, more: usize) {
        self.missing.add(more, Relaxed);
    }

    /// Counts one callback as done. The last one wakes the thread that waits.
    ///
    /// Any context but NMI.
    pub(crate) fn complete(&self) {
        if self.missing.fetch_sub(1usize, Full) == 1 {
            // SAFETY: By the type invariant this is a completion. Its lock is a raw spinlock, which
            // `complete()` takes with interrupts disabled, on `PREEMPT_RT` too.
            unsafe { bindings::complete(self.completion.get()) };
        }
    }

    /// Ends all waits, now and from now on, whatever is missing.
    ///
    /// Task context with interrupts enabled: on `PREEMPT_RT` an interrupt may wake one thread at
    /// most.
    pub(crate) fn complete_all(&self) {
        // SAFETY: By the type invariant this is a completion. Called from elsewhere, lockdep
        // complains (`lockdep_assert_RT_in_threaded_ctx()`), and memory is safe all the same.
        unsafe { bindings::complete_all(self.completion.get()) };
    }

    /// Waits for the last callback, or for [`CountedCompletion::complete_all`], for at most `limit`
    /// (ticks, more than zero).
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when a signal comes first.
    pub(crate) fn wait(&self, limit: Jiffies) -> Result<Wait> {
        // SAFETY: By the type invariant this is a completion.
        let left = unsafe {
            bindings::wait_for_completion_interruptible_timeout(self.completion.get(), limit)
        };

        match Jiffies::try_from(left) {
            Ok(0) => Ok(Wait::TimedOut),
            Ok(_) => Ok(Wait::Completed),
            Err(_) => Err(ERESTARTSYS),
        }
    }

    /// As [`CountedCompletion::wait`], but only a signal that kills the caller ends the wait.
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` when the caller is killed first.
    pub(crate) fn wait_killable(&self, limit: Jiffies) -> Result<Wait> {
        // SAFETY: By the type invariant this is a completion.
        let left =
            unsafe { bindings::wait_for_completion_killable_timeout(self.completion.get(), limit) };

        match Jiffies::try_from(left) {
            Ok(0) => Ok(Wait::TimedOut),
            Ok(_) => Ok(Wait::Completed),
            Err(_) => Err(EINTR),
        }
    }
}

#[kunit_tests(taskscope_completion)]
mod tests {
    use super::*;

    /// Returns how a wait for one tick ends, and one that only a kill ends.
    fn waits(completion: &CountedCompletion) -> [Result<Wait>; 2] {
        [completion.wait(1), completion.wait_killable(1)]
    }

    /// Two callbacks, and one more that is known later.
    fn three() -> Result<Pin<KBox<CountedCompletion>>> {
        let completion = KBox::pin_init(CountedCompletion::new(2), GFP_KERNEL)?;

        completion.expect(1);
        Ok(completion)
    }

    #[test]
    fn the_last_call_ends_a_wait() -> Result {
        let completion = three()?;

        for _ in 0..3 {
            assert_eq!(waits(&completion), [Ok(Wait::TimedOut), Ok(Wait::TimedOut)]);
            completion.complete();
        }
        assert_eq!(completion.wait(1), Ok(Wait::Completed));
        Ok(())
    }

    #[test]
    fn complete_all_ends_all_waits() -> Result {
        let completion = three()?;

        completion.complete_all();
        for _ in 0..2 {
            assert_eq!(
                waits(&completion),
                [Ok(Wait::Completed), Ok(Wait::Completed)]
            );
        }
        Ok(())
    }
}
