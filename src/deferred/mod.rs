// SPDX-License-Identifier: GPL-2.0

//! Code that the kernel runs later or elsewhere: in a thread of its own, on a workqueue, from a
//! timer, in an interrupt.
//!
//! What is run is a [`Callback`]. It belongs to a [`WorkItem`], a [`Timer`], an [`IrqWork`] or a
//! [`Thread`], and dropping that ends it: what is still queued is taken back where the kernel can
//! do that, and what runs, or cannot be taken back, is waited for. When the drop has returned, the
//! callback is not running and will not run, so that its memory and the text of this module may
//! go. Dropping may therefore sleep.
//!
//! (High-resolution timers are the `kernel` crate's own.)

mod completion;
mod ipi;
mod irq_work;
mod thread;
mod timer;
mod work;

pub(crate) use self::{
    completion::{
        Answers,
        Wait, //
    },
    ipi::call_on,
    irq_work::IrqWork,
    thread::Thread,
    timer::Timer,
    work::{
        bh_queue,
        Queue,
        WorkItem, //
    }, //
};

/// Code that the kernel runs later or elsewhere.
pub(crate) trait Callback: Send + Sync + 'static {
    /// Runs, in the context that what it belongs to says; it must not sleep unless that may.
    fn call(&self);
}
