// SPDX-License-Identifier: GPL-2.0

//! The processors that are online.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h).

use core::marker::PhantomData;
use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    types::NotThreadSafe, //
};

/// Returns the processors that are online, each as it is when it is come to.
pub(crate) fn online_now() -> impl Iterator<Item = CpuId> {
    // SAFETY: The mask exists forever. Its bits are read and changed one by one, atomically.
    let online = unsafe { Cpumask::from_raw((&raw const bindings::__cpu_online_mask).cast()) };

    (0..nr_cpu_ids())
        .filter_map(CpuId::from_u32)
        .filter(|cpu| online.test(*cpu))
}

/// As long as this exists, no processor comes or goes.
///
/// # Invariants
///
/// The thread that made this holds a read lock on the processors (`cpus_read_lock()`), and it is
/// this value that gives it up.
pub(crate) struct OnlineCpus(PhantomData<NotThreadSafe>);

impl OnlineCpus {
    /// Holds all processors. Sleeps while one is coming or going.
    pub(crate) fn hold() -> Self {
        // SAFETY: Nothing is required but that we may sleep.
        unsafe { bindings::cpus_read_lock() };

        // INVARIANT: The lock has just been taken.
        Self(PhantomData)
    }

    /// Returns the processors that are online.
    pub(crate) fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        // By the type invariant they stay so.
        online_now()
    }
}

impl Drop for OnlineCpus {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread, which this does not leave, holds the lock.
        unsafe { bindings::cpus_read_unlock() };
    }
}
