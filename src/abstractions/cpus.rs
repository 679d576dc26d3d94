// SPDX-License-Identifier: GPL-2.0

//! The CPUs that are online, and those of them that are isolated.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h),
//! [`include/linux/sched/isolation.h`](srctree/include/linux/sched/isolation.h).

use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::cpumask::Cpumask;
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::types::NotThreadSafe;

// Sound: these are the functions of helpers.c, with these signatures.
unsafe extern "C" {
    /// # Safety
    ///
    /// `cpu` is at least 0 and less than `nr_cpu_ids`.
    fn taskscope_in_boot_domain(cpu: c_int) -> bool;

    /// # Safety
    ///
    /// - `cpu` is at least 0 and less than `nr_cpu_ids`.
    /// - The caller is in an RCU read-side critical section.
    fn taskscope_in_domain(cpu: c_int) -> bool;

    /// # Safety
    ///
    /// `cpu` is at least 0 and less than `nr_cpu_ids`.
    fn taskscope_has_kernel_noise(cpu: c_int) -> bool;
}

/// What isolates a CPU: the kernel keeps work off it that other CPUs can do.
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
    /// Returns what isolates `cpu` at this moment, if anything does. Any context but NMI.
    pub(crate) fn of(cpu: CpuId) -> Option<Self> {
        let guard = rcu::read_lock();
        // SAFETY: A `CpuId` is less than `nr_cpu_ids`.
        let in_boot_domain = unsafe { taskscope_in_boot_domain(cpu.into()) };
        // SAFETY: A `CpuId` is less than `nr_cpu_ids`. A cpuset that changes replaces this mask,
        // and frees the old one after a grace period, which `guard` holds off.
        let in_domain = unsafe { taskscope_in_domain(cpu.into()) };
        // SAFETY: A `CpuId` is less than `nr_cpu_ids`.
        let has_kernel_noise = unsafe { taskscope_has_kernel_noise(cpu.into()) };

        drop(guard);
        Self::new(in_boot_domain, in_domain, has_kernel_noise)
    }

    /// Makes it from the kernel's three answers: whether the scheduler balanced tasks onto the CPU
    /// at the boot, whether it does so now, and whether the CPU does the kernel's own periodic
    /// work.
    ///
    /// `isolcpus=` keeps a CPU out of the domains for good. The kernel then does not say whether a
    /// cpuset isolates the CPU too.
    fn new(in_boot_domain: bool, in_domain: bool, has_kernel_noise: bool) -> Option<Self> {
        let isolation = Self {
            isolcpus: !in_boot_domain,
            cpuset: in_boot_domain && !in_domain,
            nohz_full: !has_kernel_noise,
        };

        (isolation.isolcpus || isolation.cpuset || isolation.nohz_full).then_some(isolation)
    }

    /// Returns the options that isolate the CPU, by the names that an administrator knows.
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

/// Returns whether the machine may have `cpu`: the kernel has per-CPU memory for it. Any context.
pub(super) fn is_possible(cpu: CpuId) -> bool {
    // SAFETY: The mask is a static. `Cpumask` is a transparent wrapper of it. Its bits do not
    // change after the boot.
    let possible = unsafe { Cpumask::from_raw((&raw const bindings::__cpu_possible_mask).cast()) };

    possible.test(cpu)
}

/// Returns the CPUs that are online. Each is looked at when the iterator comes to it: one may go
/// offline afterwards. Any context.
pub(crate) fn online_now() -> impl Iterator<Item = CpuId> {
    // SAFETY: The mask is a static. `Cpumask` is a transparent wrapper of it, and its bits are
    // changed and read one by one, atomically (`set_cpu_online()`, `Cpumask::test()`).
    let online = unsafe { Cpumask::from_raw((&raw const bindings::__cpu_online_mask).cast()) };

    (0..)
        .map_while(CpuId::from_u32)
        .filter(|cpu| online.test(*cpu))
}

/// A read lock on the CPUs: while it exists, none comes online or goes offline.
///
/// If it is leaked, no CPU can come or go any more, and nothing else breaks.
///
/// # Invariants
///
/// The thread that has made this holds a read lock on the CPUs (`cpus_read_lock()`), and this value
/// owns the lock.
pub(crate) struct OnlineCpus(NotThreadSafe);

impl OnlineCpus {
    /// Takes the lock. Sleeps while a CPU comes or goes.
    ///
    /// Not for a thread that has the lock: the second one would wait for a writer that waits for
    /// the first.
    pub(crate) fn hold() -> Self {
        // SAFETY: `cpus_read_lock()` has no requirement on memory. It sleeps: see `schedule.rs`.
        unsafe { bindings::cpus_read_lock() };

        // INVARIANT: The lock has just been taken.
        Self(NotThreadSafe)
    }

    /// Returns the CPUs that are online.
    pub(crate) fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        // By the type invariant they stay so.
        online_now()
    }
}

impl Drop for OnlineCpus {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread that has made this holds the lock. It is the
        // calling thread, since this is not `Send`.
        unsafe { bindings::cpus_read_unlock() };
    }
}

#[kunit_tests(taskscope_cpus)]
mod tests {
    use super::*;

    /// All that the kernel can say of a CPU, and the reasons that follow.
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
            let mut expected = reasons.iter();

            for reason in isolation.into_iter().flat_map(Isolation::reasons) {
                assert_eq!(expected.next(), Some(&reason));
            }
            assert_eq!(expected.next(), None);
        }
    }
}
