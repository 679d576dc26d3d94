// SPDX-License-Identifier: GPL-2.0

//! Callbacks: work items, timers, IPIs, `irq_work`, kernel threads and threads of interrupts.
//!
//! A [`Callback`] belongs to a [`WorkItem`], a [`Timer`], an [`IrqWork`], a [`RemoteCall`], a
//! [`Thread`] or a [`ThreadedIrq`]. The drop of its owner cancels the callback if the kernel can
//! cancel it, and waits for it otherwise. When the drop has returned, the callback is not running
//! and will not run: its memory may be freed, and the module may be unloaded. A drop may therefore
//! sleep. A callback that drops its own owner waits for itself, for ever.
//!
//! # Leaks
//!
//! `mem::forget` skips the drop. The kernel then still has a pointer to the owner, and the memory
//! stays valid for it:
//!
//! - [`IrqWork`] and [`Thread`] own their memory through a pointer, and a leak of them leaks that.
//! - [`ThreadedIrq`] owns a box that is pinned, and a leak of it leaks that.
//! - [`Timer`], [`WorkItem`] and [`RemoteCall`] are made by a `PinInit` only. The memory of a
//!   pinned value is not used for anything else before the value is dropped, so that a leak leaks
//!   it as well.
//!
//! No type can say that the text of the module stays. A module that leaks an owner must not be
//! unloaded while the callback can run. The `kernel` crate has the same gap (its work items own
//! themselves until they have run). This module leaks none.
//!
//! (High-resolution timers are those of the `kernel` crate.)

mod completion;
mod ipi;
mod irq_work;
mod thread;
mod threaded_irq;
mod timer;
mod work;

pub(crate) use self::completion::{
    CountedCompletion,
    Wait, //
};
pub(crate) use self::ipi::RemoteCall;
pub(crate) use self::irq_work::IrqWork;
pub(crate) use self::thread::Thread;
pub(crate) use self::threaded_irq::{
    is_threaded_irq,
    ThreadedIrq,
    THREADED_IRQ, //
};
pub(crate) use self::timer::Timer;
pub(crate) use self::work::{
    Queue,
    WorkItem, //
};

use kernel::prelude::*;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// Code that the kernel calls later, or on another CPU.
pub(crate) trait Callback: Send + Sync + 'static {
    /// Called by the kernel, in the context that the type of its owner says. It may sleep only
    /// where that context may.
    fn call(&self);
}

/// Tuned: how long a wait sleeps after the first look, in microseconds.
const FIRST_SLEEP: i64 = 100;

/// How long a wait sleeps between two looks at most, in microseconds. A CPU may be stuck for hours.
const LONGEST_SLEEP: i64 = 100_000;

/// Waits while a callback that the kernel cannot cancel is pending or running. May sleep, without a
/// limit: each time twice as long as before, up to [`LONGEST_SLEEP`].
fn wait_while(is_busy: impl Fn() -> bool) {
    let mut sleep = FIRST_SLEEP;

    while is_busy() {
        fsleep(Delta::from_micros(sleep));
        sleep = LONGEST_SLEEP.min(2 * sleep);
    }
}

#[kunit_tests(taskscope_callbacks)]
mod tests {
    use super::*;
    use crate::abstractions::schedule::NoPreemption;
    use core::cell::Cell;
    use kernel::time::{
        Instant,
        Monotonic, //
    };

    /// Waits for a callback that is busy for `looks` looks. Returns after how long, and how often
    /// it was looked at.
    fn wait_for(looks: usize) -> (Delta, usize) {
        let done = Cell::new(0);
        let began = Instant::<Monotonic>::now();

        wait_while(|| done.replace(done.get() + 1) < looks);
        (began.elapsed(), done.get())
    }

    #[test]
    fn a_wait_for_nothing_does_not_sleep() {
        // The kernel reports a thread that sleeps here.
        let _preemption = NoPreemption::begin();

        assert_eq!(wait_for(0).1, 1);
    }

    /// A thread that did not sleep would keep its CPU from the callback that it waits for.
    #[test]
    fn a_wait_sleeps_and_ends_with_the_callback() {
        let (time, looks) = wait_for(10);

        assert_eq!(looks, 11);
        // The kernel waits for at least the time that it is told, and for up to 10 us it does not
        // sleep.
        assert!(time.as_nanos() > Delta::from_micros(10 * 10).as_nanos());
    }
}
