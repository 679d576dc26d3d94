// SPDX-License-Identifier: GPL-2.0

//! Code run in an interrupt that a processor sends itself.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h).

use super::Callback;
use crate::sys;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    prelude::*,
    processor::cpu_relax,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque,
};

/// How often one that runs is looked at again at once, before that is left to a sleep in between.
const SPINS: usize = 1000;

/// An `irq_work` with its callback.
#[pin_data]
#[repr(C)]
struct Inner<C> {
    #[pin]
    work: Opaque<bindings::irq_work>,
    callback: C,
}

/// An `irq_work` with its callback, which runs in hardirq context; on PREEMPT_RT in a thread of the
/// processor.
///
/// # Invariants
///
/// `inner` comes from a `KBox` that this owns. Its `work` is initialised, and its function is
/// [`IrqWork::run`].
pub(crate) struct IrqWork<C: Callback> {
    inner: NonNull<Inner<C>>,
    _inner: PhantomData<KBox<Inner<C>>>,
}

// SAFETY: An `irq_work` may be used from any thread, and so may its callback.
unsafe impl<C: Callback> Send for IrqWork<C> {}

// SAFETY: Queueing is atomic, and the callback may be shared.
unsafe impl<C: Callback> Sync for IrqWork<C> {}

impl<C: Callback> IrqWork<C> {
    /// One that is not queued. May sleep; fails with `ENOMEM`.
    pub(crate) fn new(callback: C) -> Result<Self> {
        let inner = KBox::pin_init(
            pin_init!(Inner {
                work <- Opaque::ffi_init(|slot: *mut bindings::irq_work| {
                    // SAFETY: `slot` is valid memory for an `irq_work`.
                    unsafe { sys::init_irq_work(slot, Self::run) };
                }),
                callback,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: It is moved no more: it stays where it is until its memory is freed.
        let inner = KBox::into_raw(unsafe { Pin::into_inner_unchecked(inner) });

        // INVARIANT: `init_irq_work()` has initialised it, and the box has just been given up.
        Ok(Self {
            // SAFETY: A box is not null.
            inner: unsafe { NonNull::new_unchecked(inner) },
            _inner: PhantomData,
        })
    }

    /// Returns the `irq_work` and its callback.
    fn inner(&self) -> &Inner<C> {
        // SAFETY: By the type invariant this is a box of ours, and nobody has it exclusively.
        unsafe { self.inner.as_ref() }
    }

    /// Asks for an interrupt on the processor that calls this, unless that is done already.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant this is an `irq_work`. It stays valid, and in place, until
        // it has run, since the drop of this waits for that.
        unsafe { bindings::irq_work_queue(self.inner().work.get()) };
    }

    /// What the kernel calls in the interrupt.
    ///
    /// # Safety
    ///
    /// `work` is that of an `Inner<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(work: *mut bindings::irq_work) {
        // SAFETY: By this function's requirements, and `work` is what an `Inner` begins with. Nobody
        // has it exclusively: the drop of its owner waits for this function before anything else.
        unsafe { &*work.cast::<Inner<C>>() }.callback.call();
    }
}

impl<C: Callback> Drop for IrqWork<C> {
    fn drop(&mut self) {
        let inner = self.inner.as_ptr();
        let work = self.inner().work.get();

        // The kernel cannot take it back; it is on its way, and this waits until it has run. It
        // does not wait as `irq_work_sync()` does, which on PREEMPT_RT adds a grace period to let
        // go of the memory: that can do without us.
        let mut spins = 0;
        // SAFETY: By the type invariant this is an `irq_work`.
        while unsafe { sys::irq_work_is_busy(work) } {
            if spins < SPINS {
                spins += 1;
                cpu_relax();
            } else {
                fsleep(Delta::from_micros(100));
            }
        }
        // SAFETY: By the type invariant the callback is ours. It runs no more, and what is dropped
        // here is used by nobody again.
        unsafe { ptr::drop_in_place(&raw mut (*inner).callback) };
        // SAFETY: By the type invariant this is memory of a `KBox`, which is memory of `kmalloc()`,
        // that is ours to free. The kernel may still wake whoever waits for the `irq_work`, which
        // it does in an RCU read-side critical section (`irq_work_sync()` says so).
        unsafe { sys::free_after_grace_period(inner.cast()) };
    }
}
