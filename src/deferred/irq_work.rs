// SPDX-License-Identifier: GPL-2.0

//! Code run in an interrupt that a processor sends itself.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h).

use super::Callback;
use crate::sys;
use kernel::{
    bindings, container_of,
    prelude::*,
    types::Opaque, //
};

/// An `irq_work` with its callback, which runs in hardirq context; on PREEMPT_RT in a thread of the
/// processor.
///
/// # Invariants
///
/// `work` is an initialised `struct irq_work`, whose function is [`IrqWork::run`].
#[pin_data(PinnedDrop)]
pub(crate) struct IrqWork<C: Callback> {
    #[pin]
    work: Opaque<bindings::irq_work>,
    callback: C,
}

// SAFETY: An `irq_work` may be used from any thread, and so may its callback.
unsafe impl<C: Callback> Send for IrqWork<C> {}

// SAFETY: Queueing is atomic, and the callback may be shared.
unsafe impl<C: Callback> Sync for IrqWork<C> {}

impl<C: Callback> IrqWork<C> {
    /// One that is not queued.
    pub(crate) fn new(callback: C) -> impl PinInit<Self> {
        // INVARIANT: `init_irq_work()` initialises it.
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot: *mut bindings::irq_work| {
                // SAFETY: `slot` is valid memory for an `irq_work`.
                unsafe { sys::init_irq_work(slot, Self::run) };
            }),
            callback,
        })
    }

    /// Returns the callback.
    pub(crate) fn callback(&self) -> &C {
        &self.callback
    }

    /// Asks for an interrupt on the processor that calls this, unless that is done already.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant this is an `irq_work`. It stays valid, and in place, until
        // it has run: it is pinned, since it is made by a `PinInit` only, and its drop waits.
        unsafe { bindings::irq_work_queue(self.work.get()) };
    }

    /// What the kernel calls in the interrupt.
    ///
    /// # Safety
    ///
    /// `work` is that of an `IrqWork<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(work: *mut bindings::irq_work) {
        // SAFETY: By this function's requirements `work` is the field of an `IrqWork<C>`.
        let work = unsafe { container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: That is valid by this function's requirements, and nobody has it exclusively:
        // its drop waits for this function before anything else.
        unsafe { &*work }.callback.call();
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for IrqWork<C> {
    fn drop(self: Pin<&mut Self>) {
        // The kernel cannot take it back; it is on its way, and this waits until it has run.
        // SAFETY: By the type invariant this is an `irq_work`. We may sleep, see the module.
        unsafe { bindings::irq_work_sync(self.work.get()) };
    }
}
