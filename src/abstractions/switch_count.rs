// SPDX-License-Identifier: GPL-2.0

//! Whether a thread that is read from outside has run meanwhile.
//!
//! A thread that does not run changes neither its kernel stack nor the registers that are saved
//! there. A reader takes the [`SwitchCount`] of the thread before it reads and after it has read.
//! Equal counts say that what was read is what the thread has left. The reader takes no lock and
//! stops no thread.
//!
//! (A tracer may write the registers of a thread that does not run, and other threads unlink the
//! thread from wait queues on its stack. Nothing counts these writes.)
//!
//! # Why the check is right
//!
//! The scheduler sets `on_cpu` before it switches to a thread. All that the thread does then comes
//! after that store: on arm64 by the `dsb` in `__switch_to()`, and x86-64 keeps stores in order.
//! Each switch away from the thread adds one to `nvcsw` or `nivcsw`. `finish_task()` clears
//! `on_cpu` after the switch, with release semantics: a reader that sees this 0 with acquire
//! semantics sees all that the thread did until then, the count too.
//!
//! The reader reads the count, `on_cpu`, then what it is after, then `on_cpu` and the count again.
//! Say that it reads 0 from `on_cpu` twice. Number the runs of the thread, and call the one after
//! which the first 0 was stored run *n*. (*n* is 0 before the first run: the thread was put on the
//! list with that 0.)
//!
//! - All that is read after the first 0 is at least as new as the end of run *n*.
//! - The first count is at most that of run *n*. A reader that sees the count of a later run, and
//!   then reads `on_cpu`, gets 1, or the 0 of that run or a later one.
//! - If anything that was read is of a later run than *n*, then so is the second 0, and the second
//!   count is larger than that of run *n*.
//!
//! So equal counts are both the count of run *n*, and what was read between them is what run *n*
//! has left. The count is a sum of two counters. Neither falls, so that equal sums mean that both
//! are equal.
//!
//! The first count must not be read after the first `on_cpu`: it could be that of a later run,
//! whose stack pointer is not saved yet.
//!
//! `tests/models/tests/switch_count.rs` tries this file in loom, in each order of loads and stores
//! that loom has.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h).

use crate::abstractions::compat::{
    smp_mb, //
    Read,
};
use crate::abstractions::read_once::field;
use crate::abstractions::tasks::RcuTask;

/// Why a kernel stack, or the registers that are saved there, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The thread is on a CPU, or was on one while it was read.
    OnCpu,
    /// The thread is dead, and has given its stack back.
    Released,
}

impl Absent {
    /// Returns the word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnCpu => "on-cpu",
            Self::Released => "released",
        }
    }
}

/// How often the scheduler has switched away from a thread: the sum of `nvcsw` and `nivcsw`, which
/// is column SWITCHES.
///
/// Each switch adds one to either of them, so that the sum never repeats. If a count that
/// [`SwitchCount::of`] returned passes [`SwitchCount::check_same`], the thread has not run in
/// between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SwitchCount(usize);

impl SwitchCount {
    /// Returns the count of `task` at this moment, whether the thread runs or not.
    ///
    /// What is read after this call is at least as new as the count. Any context. Does not sleep.
    #[inline]
    pub(crate) fn now(task: RcuTask<'_>) -> Self {
        let voluntary = field!(task, nvcsw);
        let involuntary = field!(task, nivcsw);

        // What the caller reads after this call is read after the counts.
        smp_mb(Read);
        Self(voluntary.wrapping_add(involuntary))
    }

    /// Returns a count of `task`, if `task` is switched out after the count was read.
    ///
    /// The count may be from before the last switch: then [`SwitchCount::check_same`] fails. What
    /// is read after this call is at least as new as the last switch. Any context. Does not sleep.
    ///
    /// # Errors
    ///
    /// [`Absent`] if the thread is on a CPU, or has given its kernel stack back.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> Result<Self, Absent> {
        let count = Self::now(task);

        check_switched_out(task)?;
        Ok(count)
    }

    /// Succeeds if nothing that the caller has read since [`SwitchCount::of`] returned this count
    /// is from a later run of `task`. Any context. Does not sleep.
    ///
    /// # Errors
    ///
    /// [`Absent`] if the thread is on a CPU or was on one, or has given its kernel stack back.
    #[inline]
    pub(crate) fn check_same(self, task: RcuTask<'_>) -> Result<(), Absent> {
        // What the caller has read is read before what follows.
        smp_mb(Read);
        check_switched_out(task)?;
        if Self::now(task) == self {
            Ok(())
        } else {
            Err(Absent::OnCpu)
        }
    }

    /// Returns the number.
    #[inline]
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

/// Succeeds if `task` is switched out, and has its kernel stack. What is read after this call is at
/// least as new as the last switch.
#[inline]
fn check_switched_out(task: RcuTask<'_>) -> Result<(), Absent> {
    if field!(task, stack_refcount.refs.counter) == 0 {
        return Err(Absent::Released);
    }
    if field!(task, on_cpu) != 0 {
        return Err(Absent::OnCpu);
    }
    // With this the load of `on_cpu` has acquire semantics.
    smp_mb(Read);
    Ok(())
}

/// Returns the result of `look` if `task` was switched out, and had its kernel stack, for as long
/// as `look` ran; and a switch count of `task` that was read before anything else. If there is a
/// result, it belongs to that count.
///
/// `look` may read the kernel stack of `task`, in a way that cannot fault: the stack may change, or
/// be gone. The result of such a read is dropped. Any context. `look` must not sleep.
///
/// The result is [`Absent`] if the thread ran, or lost its stack, meanwhile.
#[inline]
pub(super) fn switched_out<T>(
    task: RcuTask<'_>,
    look: impl FnOnce() -> T,
) -> (SwitchCount, Result<T, Absent>) {
    let before = SwitchCount::now(task);
    let seen = check_switched_out(task).and_then(|()| {
        let seen = look();

        before.check_same(task)?;
        Ok(seen)
    });

    (before, seen)
}
