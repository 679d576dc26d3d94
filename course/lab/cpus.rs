// SPDX-License-Identifier: GPL-2.0

//! Code that runs on a chosen CPU.

use crate::abstractions::callbacks::{
    Callback,
    RemoteCall, //
};
use core::cell::UnsafeCell;
use kernel::cpu::CpuId;
use kernel::prelude::*;

/// A function, and what it has returned.
struct Call<F, R> {
    function: F,
    result: UnsafeCell<Option<R>>,
}

// SAFETY: `call()`, which one CPU calls once, alone uses the cell until it has returned. The function may be shared, and a
// result may come from another CPU.
unsafe impl<F: Sync, R: Send> Sync for Call<F, R> {}

impl<F, R> Callback for Call<F, R>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    fn call(&self) {
        let result = (self.function)();

        // SAFETY: `on_cpu()`, which has made this, has it called once, and uses the cell after the call has returned.
        // The function cannot call it again: it has no reference to this value.
        unsafe { *self.result.get() = Some(result) };
    }
}

/// Calls `function` on `cpu`, waits for it, and returns what it has returned.
///
/// The function runs with interrupts disabled, in an interrupt or in the idle loop of the CPU, and so **may not sleep**.
/// Call this in task context. It sleeps.
///
/// # Errors
///
/// `ENOMEM`, or `ENXIO` if the CPU is not online.
pub(crate) fn on_cpu<F, R>(cpu: CpuId, function: F) -> Result<R>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    let call = Call {
        function,
        result: UnsafeCell::new(None),
    };
    let call = KBox::pin_init(RemoteCall::new(call), GFP_KERNEL)?;

    call.send(cpu)?;
    call.wait();
    // SAFETY: `call()` has returned, and is not called again. Nothing else uses the cell.
    unsafe { &mut *call.callback().result.get() }
        .take()
        .ok_or(EIO)
}
