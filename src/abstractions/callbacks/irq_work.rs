// SPDX-License-Identifier: GPL-2.0

//! Callbacks in an interrupt that a CPU sends itself.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h).

use super::{
    wait_while,
    Callback, //
};
use crate::abstractions::compat::{
    smp_mb, //
    Full,
};
use core::marker::PhantomData;
use core::ptr;
use kernel::bindings;
use kernel::prelude::*;
use kernel::types::{
    ForeignOwnable,
    Opaque, //
};

// Sound: these are the functions of helpers.c, with these signatures.
unsafe extern "C" {
    /// # Safety
    ///
    /// `work` is valid for writes.
    fn taskscope_init_irq_work(
        work: *mut bindings::irq_work,
        func: unsafe extern "C" fn(*mut bindings::irq_work),
    );

    /// # Safety
    ///
    /// `work` is an initialised `irq_work`.
    fn taskscope_irq_work_is_busy(work: *mut bindings::irq_work) -> bool;

    /// Frees memory after a grace period. May sleep.
    ///
    /// # Safety
    ///
    /// `memory` is that of an allocation by `kmalloc()` or `vmalloc()`, and the caller's to free.
    /// No other code can get a pointer to it any more, and code that has one is in an RCU read-side
    /// critical section.
    fn taskscope_kvfree_rcu_mightsleep(memory: *mut c_void);
}

/// An `irq_work` with its callback.
#[pin_data]
#[repr(C)]
struct Inner<C> {
    #[pin]
    work: Opaque<bindings::irq_work>,
    callback: C,
}

/// An `irq_work` with its callback, which runs in hardirq context; on `PREEMPT_RT` in a thread of
/// the CPU.
///
/// # Invariants
///
/// `inner` comes from a `Pin<KBox>`, and this owns it. Its `work` is initialised, and its function
/// is [`IrqWork::run`].
pub(crate) struct IrqWork<C: Callback> {
    inner: *mut Inner<C>,
    _inner: PhantomData<KBox<Inner<C>>>,
}

// SAFETY: An `irq_work` may be used from any thread, and so may its callback.
unsafe impl<C: Callback> Send for IrqWork<C> {}

// SAFETY: Queueing is atomic, and the callback may be shared.
unsafe impl<C: Callback> Sync for IrqWork<C> {}

impl<C: Callback> IrqWork<C> {
    /// Creates one that is not queued. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(callback: C) -> Result<Self> {
        let inner = KBox::pin_init(
            pin_init!(Inner {
                work <- Opaque::ffi_init(|slot: *mut bindings::irq_work| {
                    // SAFETY: `slot` is valid memory for an `irq_work`.
                    unsafe { taskscope_init_irq_work(slot, Self::run) };
                }),
                callback,
            }),
            GFP_KERNEL,
        )?;

        // INVARIANT: `init_irq_work()` has initialised it, and the box has just been given up.
        Ok(Self {
            inner: inner.into_foreign().cast(),
            _inner: PhantomData,
        })
    }

    /// Returns the `irq_work`.
    fn work(&self) -> *mut bindings::irq_work {
        // SAFETY: By the type invariant `inner` is valid. References to it are shared until the
        // drop.
        unsafe { &*self.inner }.work.get()
    }

    /// Asks for an interrupt on the CPU on which this runs, unless it is queued already. Any
    /// context, NMI included.
    pub(crate) fn queue(&self) {
        // SAFETY: By the type invariant this is an `irq_work`. It stays valid and in place until it
        // has run, since the drop waits for that.
        unsafe { bindings::irq_work_queue(self.work()) };
    }

    /// What the kernel calls in the interrupt.
    ///
    /// # Safety
    ///
    /// `work` is that of an `Inner<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(work: *mut bindings::irq_work) {
        // SAFETY: By this function's requirements, and `work` is the first field of an `Inner`,
        // which is `repr(C)`. References to it are shared: the drop of the owner first waits for
        // this function.
        unsafe { &*work.cast::<Inner<C>>() }.callback.call();
    }
}

impl<C: Callback> Drop for IrqWork<C> {
    fn drop(&mut self) {
        let work = self.work();

        // The kernel cannot cancel an `irq_work`; this waits until it has run. `irq_work_sync()`
        // waits too, but on `PREEMPT_RT` it also waits for a grace period, after which the kernel
        // no longer uses the memory. The free at the end leaves that to RCU: a snapshot drops one
        // `irq_work` for each CPU.
        wait_while(|| {
            // SAFETY: By the type invariant this is an `irq_work`.
            unsafe { taskscope_irq_work_is_busy(work) }
        });
        // The flag was read without a barrier, and is cleared with one (`irq_work_single()`): what
        // the callback has done is visible from here on.
        smp_mb(Full);
        // SAFETY: By the type invariant this owns the callback. The callback does not run any more,
        // and is not used again.
        unsafe { ptr::drop_in_place(&raw mut (*self.inner).callback) };
        // SAFETY: By the type invariant this owns the memory, which a `KBox` has from `kmalloc()`.
        // The `irq_work` is not busy, hence on no list: only `irq_work_single()` can still have a
        // pointer to it, and has it in an RCU read-side critical section (`irq_work_sync()` says
        // so).
        unsafe { taskscope_kvfree_rcu_mightsleep(self.inner.cast()) };
    }
}
