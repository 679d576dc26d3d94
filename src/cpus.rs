// SPDX-License-Identifier: GPL-2.0

//! The processors that are online, and which of them are isolated.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h),
//! [`include/linux/sched/isolation.h`](srctree/include/linux/sched/isolation.h).

use crate::sys;
use core::marker::PhantomData;
use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    prelude::*,
    sync::rcu,
    types::NotThreadSafe, //
};

/// What isolates a processor: the kernel keeps work off it that other processors can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isolation {
    /// `isolcpus=`, from the boot on.
    isolcpus: bool,
    /// An isolated partition of a cpuset, which comes and goes at run time.
    cpuset: bool,
    /// `nohz_full=` or `isolcpus=nohz,`, from the boot on.
    nohz_full: bool,
}

impl Isolation {
    /// Returns what isolates processor `cpu` at this moment, if anything does.
    ///
    /// May be called in any context but NMI.
    pub(crate) fn of(cpu: CpuId) -> Option<Self> {
        Self::new(
            sys::in_boot_domain(cpu),
            sys::in_domain(cpu, &rcu::read_lock()),
            sys::has_kernel_noise(cpu),
        )
    }

    /// The same, from the kernel's three answers. A processor that `isolcpus=` has taken out of the
    /// domains is in none later: what a cpuset adds to that cannot be told.
    fn new(in_boot_domain: bool, in_domain: bool, has_kernel_noise: bool) -> Option<Self> {
        let isolation = Self {
            isolcpus: !in_boot_domain,
            cpuset: in_boot_domain && !in_domain,
            nohz_full: !has_kernel_noise,
        };

        (isolation.isolcpus || isolation.cpuset || isolation.nohz_full).then_some(isolation)
    }

    /// Returns what isolates the processor, each by the name that an administrator knows.
    pub(crate) fn reasons(self) -> impl Iterator<Item = &'static str> {
        [
            (self.isolcpus, "isolcpus="),
            (self.cpuset, "cpuset"),
            (self.nohz_full, "nohz_full="),
        ]
        .into_iter()
        .filter_map(|(applies, name)| applies.then_some(name))
    }
}

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

#[kunit_tests(taskscope_cpus)]
mod tests {
    use super::*;

    /// All that the kernel can say of a processor, and the reasons that follow.
    #[test]
    fn reasons_of_isolation() {
        let table: [(_, &[&str]); 6] = [
            ((true, true, true), &[]),
            ((false, false, true), &["isolcpus="]),
            ((true, false, true), &["cpuset"]),
            ((true, true, false), &["nohz_full="]),
            ((false, false, false), &["isolcpus=", "nohz_full="]),
            ((true, false, false), &["cpuset", "nohz_full="]),
        ];

        for ((boot, now, noise), reasons) in table {
            let isolation = Isolation::new(boot, now, noise);

            assert_eq!(isolation.is_some(), !reasons.is_empty());
            assert!(isolation
                .into_iter()
                .flat_map(Isolation::reasons)
                .eq(reasons.iter().copied()));
        }
    }
}
