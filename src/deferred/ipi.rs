// SPDX-License-Identifier: GPL-2.0

//! Code run in an interrupt that one processor sends another.
//!
//! C header: [`include/linux/smp.h`](srctree/include/linux/smp.h).

use super::Callback;
use core::ptr;
use kernel::{
    bindings,
    cpu::CpuId,
    error::to_result,
    prelude::*, //
};

/// Calls `callback` on processor `cpu`, and returns when it has.
///
/// It is called with interrupts disabled. On another processor that is hardirq context, if that
/// processor is busy; one that idles may be told without an interrupt, and makes the call from its
/// idle loop. On the caller's own processor it is a plain call.
///
/// To be called in task context with interrupts enabled. Does not sleep, but spins. Fails with
/// `ENXIO` if there is no such processor online.
pub(crate) fn call_on<C: Callback>(cpu: CpuId, callback: &C) -> Result {
    /// What the other processor calls.
    ///
    /// # Safety
    ///
    /// `info` points at a `C` that is valid meanwhile.
    unsafe extern "C" fn run<C: Callback>(info: *mut c_void) {
        // SAFETY: By this function's requirements.
        unsafe { &*info.cast::<C>() }.call();
    }

    let info = ptr::from_ref(callback).cast_mut().cast();

    // SAFETY: `info` points at a `C`, which is borrowed until this returns; that is when `run` has
    // returned, since we wait for it.
    to_result(unsafe { bindings::smp_call_function_single(cpu.into(), Some(run::<C>), info, true) })
}
