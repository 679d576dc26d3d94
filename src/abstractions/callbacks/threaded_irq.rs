// SPDX-License-Identifier: GPL-2.0

//! Callbacks in the thread of an interrupt.
//!
//! The interrupt has a number, a line in `/proc/interrupts` and a thread `irq/NUMBER-NAME`, as that
//! of a device has. It has no device: the module raises it. (Simulated interrupts of the kernel,
//! `CONFIG_IRQ_SIM`, are not in every configuration.)
//!
//! C headers: [`include/linux/irq.h`](srctree/include/linux/irq.h),
//! [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h).

use super::Callback;
use crate::abstractions::compat;
use core::ptr;
use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::error::to_result;
use kernel::prelude::*;

// Sound: this is the function of helpers.c, with this signature.
unsafe extern "C" {
    /// Says that interrupt `irq` comes to `cpu`.
    ///
    /// # Safety
    ///
    /// - The caller has allocated `irq`, and no handler is set up.
    /// - `cpu` is at least 0 and less than `nr_cpu_ids`.
    fn taskscope_set_effective_affinity(irq: c_uint, cpu: c_int);
}

/// The name of each of these interrupts. A static, so that its address is that of no other name.
pub(crate) static THREADED_IRQ: &CStr = c"taskscope";

/// Returns whether `name` is the name of a handler that a [`ThreadedIrq`] has set up. Any context.
pub(crate) fn is_threaded_irq(name: *const c_char) -> bool {
    ptr::eq(name, THREADED_IRQ.as_char_ptr())
}

/// The number of an interrupt that has no handler yet, or no longer.
///
/// # Invariants
///
/// This value owns the descriptor of the number.
struct Descriptor(c_uint);

impl Descriptor {
    /// Allocates a number. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if all numbers are in use.
    fn new() -> Result<Self> {
        let node = bindings::NUMA_NO_NODE;
        // SAFETY: Any one number. The descriptor has no owner: the owner would be in use while
        // there is a handler, and could not be asked to unload.
        let number =
            unsafe { bindings::__irq_alloc_descs(-1, 1, 1, node, ptr::null_mut(), ptr::null()) };

        to_result(number)?;
        // INVARIANT: The number has just been allocated.
        Ok(Self(number.unsigned_abs()))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this owns the descriptor.
        unsafe { bindings::irq_free_descs(self.0, 1) };
    }
}

/// An interrupt of one CPU, with its callback, which runs in a thread on that CPU.
///
/// The drop waits until the thread has ended: if the callback is due, it runs first.
///
/// # Invariants
///
/// The thread of the interrupt of `descriptor` calls `callback`, which stays in place, through
/// [`ThreadedIrq::run`].
pub(crate) struct ThreadedIrq<C: Callback> {
    // Dropped in this order, after `drop()` has taken the handler away.
    descriptor: Descriptor,
    callback: Pin<KBox<C>>,
}

impl<C: Callback> ThreadedIrq<C> {
    /// Makes an interrupt of `cpu`, and its thread. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if all numbers are in use; `EAGAIN` if there can be no more threads; `EINTR`
    /// if the caller is being killed.
    pub(crate) fn new(callback: C, cpu: CpuId) -> Result<Self> {
        /// The kernel wants this of an interrupt that has no handler besides the thread. CAST:
        /// Flags of 32 bits.
        const ONESHOT: c_ulong = bindings::IRQF_ONESHOT as c_ulong;

        let callback = KBox::pin(callback, GFP_KERNEL)?;
        let descriptor = Descriptor::new()?;
        let number = descriptor.0;

        // SAFETY: `descriptor` owns the number, whose interrupt has no handler yet. The chip is a
        // static that does nothing. A flow handler that masks nothing needs nothing of the chip.
        unsafe {
            bindings::irq_set_chip_and_handler_name(
                number,
                &raw const bindings::dummy_irq_chip,
                Some(bindings::handle_simple_irq),
                ptr::null(),
            );
        }
        // SAFETY: `descriptor` owns the number, whose interrupt has no handler yet. A `CpuId` is at
        // least 0 and less than `nr_cpu_ids`. The thread goes to this CPU before it calls the
        // handler for the first time (`irq_thread_check_affinity()`).
        unsafe { taskscope_set_effective_affinity(number, cpu.into()) };
        // SAFETY: The thread calls `run` with the address of the callback, a `C` that is pinned.
        // The drop of the value below takes the handler away before the callback, the name and this
        // module go.
        to_result(unsafe {
            bindings::request_threaded_irq(
                number,
                None,
                Some(Self::run),
                ONESHOT,
                THREADED_IRQ.as_char_ptr(),
                Self::cookie(&callback),
            )
        })?;
        // INVARIANT: The handler has just been set up.
        Ok(Self {
            descriptor,
            callback,
        })
    }

    /// Returns the number of the interrupt.
    pub(crate) fn number(&self) -> u32 {
        self.descriptor.0
    }

    /// Raises the interrupt on the CPU on which this runs: its thread wakes and calls the callback.
    /// Any context but NMI.
    pub(crate) fn raise(&self) {
        // SAFETY: By the type invariant the interrupt has a handler. It fails only for an interrupt
        // whose chip wants it to come in hardirq context alone, which this chip does not.
        unsafe { bindings::generic_handle_irq_safe(self.descriptor.0) };
    }

    /// Returns what the kernel calls [`ThreadedIrq::run`] with, and tells the handler by.
    fn cookie(callback: &Pin<KBox<C>>) -> *mut c_void {
        ptr::from_ref::<C>(callback).cast_mut().cast()
    }

    /// What the thread calls.
    ///
    /// # Safety
    ///
    /// `callback` points to a `C`, which stays valid meanwhile.
    unsafe extern "C" fn run(_number: c_int, callback: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: By this function's requirements. References to the callback are shared.
        unsafe { &*callback.cast::<C>() }.call();
        compat::IRQ_HANDLED
    }
}

impl<C: Callback> Drop for ThreadedIrq<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this handler has been set up, with this cookie. When this
        // returns, the thread has ended.
        unsafe { bindings::free_irq(self.descriptor.0, Self::cookie(&self.callback)) };
    }
}
