// SPDX-License-Identifier: GPL-2.0

//! Callbacks in an interrupt that one CPU sends another: an IPI.
//!
//! C header: [`include/linux/smp.h`](srctree/include/linux/smp.h).

use super::{
    wait_while,
    Callback, //
};
use core::ptr;
use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::types::Opaque;

/// A `call_single_data_t`, in one cache line.
#[repr(C, align(32))]
struct CallData(bindings::call_single_data_t);

/// A call on another CPU. Its sender need not wait for it.
///
/// The drop waits as [`RemoteCall::wait`] does.
///
/// # Invariants
///
/// `data` is an initialised `call_single_data_t`. It is on the queue of a CPU only while
/// `is_pending` is true. Its function is then [`RemoteCall::run`], with the address of this value.
#[pin_data(PinnedDrop)]
pub(crate) struct RemoteCall<C: Callback> {
    #[pin]
    data: Opaque<CallData>,
    /// Whether the call was sent and has not returned.
    is_pending: Atomic<bool>,
    callback: C,
}

// SAFETY: A call may be sent by any thread, and so may its callback be used.
unsafe impl<C: Callback> Send for RemoteCall<C> {}

// SAFETY: `is_pending` gives `data` to one sender at a time, and the callback may be shared.
unsafe impl<C: Callback> Sync for RemoteCall<C> {}

impl<C: Callback> RemoteCall<C> {
    /// Creates a call that is not sent.
    pub(crate) fn new(callback: C) -> impl PinInit<Self> {
        // INVARIANT: `data` is all zeros, and on no queue.
        pin_init!(Self {
            data: pin_init::zeroed(),
            is_pending: Atomic::new(false),
            callback,
        })
    }

    /// Returns the callback.
    pub(crate) fn callback(&self) -> &C {
        &self.callback
    }

    /// Sends the call to `cpu`, unless it is pending. The callback runs with interrupts disabled:
    /// in hardirq context, or in the idle loop of the CPU. On the caller's CPU it runs before this
    /// returns.
    ///
    /// Task context with interrupts enabled. Does not sleep, and does not wait for the CPU.
    ///
    /// # Errors
    ///
    /// `ENXIO` if the CPU is not online.
    pub(crate) fn send(&self, cpu: CpuId) -> Result {
        if self.is_pending.cmpxchg(false, true, Acquire).is_err() {
            return Ok(());
        }
        let data: *mut bindings::call_single_data_t = self.data.get().cast();

        // SAFETY: The data is not on a queue, by the type invariant, and `is_pending` keeps other
        // senders away.
        unsafe { (*data).func = Some(Self::run) };
        // SAFETY: The data is not on a queue, by the type invariant, and `is_pending` keeps other
        // senders away.
        unsafe { (*data).info = ptr::from_ref(self).cast_mut().cast() };
        // SAFETY: `data` is a `call_single_data_t`. It stays valid and in place until `run` has
        // been called: it is pinned, since it is made by a `PinInit` only, and its drop waits for
        // that.
        let sent = to_result(unsafe { bindings::smp_call_function_single_async(cpu.into(), data) });

        if sent.is_err() {
            self.is_pending.store(false, Relaxed);
        }
        sent
    }

    /// Waits until a call that was sent has returned, however long the CPU has its interrupts
    /// disabled. Sleeps.
    pub(crate) fn wait(&self) {
        // The callback's last access happens before the load that sees `false`.
        wait_while(|| self.is_pending.load(Acquire));
    }

    /// What the other CPU calls.
    ///
    /// # Safety
    ///
    /// `info` points at a `RemoteCall<C>`, which stays valid until `is_pending` is false.
    unsafe extern "C" fn run(info: *mut c_void) {
        // SAFETY: By this function's requirements.
        let this = unsafe { &*info.cast::<Self>() };

        this.callback.call();
        // The last access: the memory may be freed from here on. The kernel has unlocked `data`
        // before the call, and does not use it after the call
        // (`__flush_smp_call_function_queue()`). The text of this module stays until a grace period
        // has passed, which waits for code that runs with interrupts disabled.
        this.is_pending.store(false, Release);
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for RemoteCall<C> {
    fn drop(self: Pin<&mut Self>) {
        self.wait();
    }
}

#[kunit_tests(taskscope_ipi)]
mod tests {
    use super::*;
    use crate::abstractions::cpus;
    use kernel::processor::cpu_relax;
    use kernel::sync::Arc;
    use kernel::time::delay::udelay;
    use kernel::time::Delta;

    /// What a callback that takes long has done.
    struct Slow {
        has_begun: Atomic<bool>,
        has_ended: Atomic<bool>,
    }

    impl Callback for Arc<Slow> {
        fn call(&self) {
            self.has_begun.store(true, Release);
            for _ in 0..4 {
                udelay(Delta::from_micros(500));
            }
            self.has_ended.store(true, Release);
        }
    }

    #[test]
    fn a_drop_waits_for_the_callback() -> Result {
        let own = CpuId::current().as_u32();
        let Some(other) = cpus::online_now().find(|cpu| cpu.as_u32() != own) else {
            return Ok(());
        };
        let slow = Slow {
            has_begun: Atomic::new(false),
            has_ended: Atomic::new(false),
        };
        let slow = Arc::new(slow, GFP_KERNEL)?;
        let call = KBox::pin_init(RemoteCall::new(slow.clone()), GFP_KERNEL)?;

        call.send(other)?;
        while !slow.has_begun.load(Acquire) {
            cpu_relax();
        }
        drop(call);
        assert!(slow.has_ended.load(Acquire));
        Ok(())
    }
}
