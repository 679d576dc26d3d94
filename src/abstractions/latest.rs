// SPDX-License-Identifier: GPL-2.0

//! A value that one writer replaces, in any context, NMI included. Others read it at any time.
//! [`LatestPerCpu`] has one for each CPU.
//!
//! A sequence count with a value, as `seqcount_t` in C. A writer in an NMI cannot wait for a lock.
//! (`SetOnce` of the `kernel` crate can be written once only.) `tests/models/tests/latest.rs` tries
//! this file in loom, in each order of its loads and stores that loom has.
//!
//! C header: [`include/linux/seqlock.h`](srctree/include/linux/seqlock.h).

use crate::abstractions::compat::{
    smp_mb, //
    Read,
    Write,
};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use kernel::cpu::{
    nr_cpu_ids, //
    CpuId,
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

/// Tuned: how often a reader tries before it gives up because the value is replaced without end.
const TRIES: usize = 1000;

/// The latest value, if there has been one.
///
/// # Invariants
///
/// `value` is initialised when `sequence` is neither zero nor odd, and is being written when it is
/// odd.
pub(crate) struct Latest<T: Copy> {
    sequence: Atomic<u32>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: Readers get copies, which `T: Copy + Send` allows, and only copies that no write has
// overlapped.
unsafe impl<T: Copy + Send> Sync for Latest<T> {}

impl<T: Copy> Latest<T> {
    /// There has been no value.
    pub(crate) fn new() -> Self {
        // INVARIANT: The sequence is zero.
        Self {
            sequence: Atomic::new(0),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Begins to write, and returns the sequence before.
    ///
    /// # Safety
    ///
    /// As [`Latest::replace`] has it.
    unsafe fn begin(&self) -> u32 {
        let sequence = self.sequence.load(Relaxed);

        // INVARIANT: Odd from here on, which readers see before they can see any of the value.
        self.sequence.store(sequence.wrapping_add(1), Relaxed);
        smp_mb(Write);
        sequence
    }

    /// Replaces the value. Any context.
    ///
    /// # Safety
    ///
    /// Two calls for the same `self` never overlap, not by one interrupting the other either.
    pub(crate) unsafe fn replace(&self, value: T) {
        // SAFETY: By this function's requirements.
        let sequence = unsafe { self.begin() };

        // SAFETY: The cell is valid for writes, and no other write overlaps, by this function's
        // requirements. A reader that overlaps drops what it has read.
        unsafe { self.value.get().write_volatile(MaybeUninit::new(value)) };
        // INVARIANT: Even from here on, with the value complete. It never becomes zero again.
        self.sequence
            .store(sequence.wrapping_add(2).max(2), Release);
    }

    /// Returns a copy of the value; [`None`] if there has been none, or if it is replaced all the
    /// time. Any context. Does not sleep.
    pub(crate) fn get(&self) -> Option<T> {
        for _ in 0..TRIES {
            let before = self.sequence.load(Acquire);

            if before == 0 {
                return None;
            }
            // SAFETY: The cell is valid for reads, and `MaybeUninit` may be anything, torn too.
            let value = unsafe { self.value.get().read_volatile() };

            smp_mb(Read);
            if before % 2 == 0 && self.sequence.load(Relaxed) == before {
                // SAFETY: By the type invariant it was initialised, and nothing has been written
                // since, for the sequence has not moved.
                return Some(unsafe { value.assume_init() });
            }
        }
        None
    }
}

/// The latest value of each CPU that the kernel can have.
pub(crate) struct LatestPerCpu<T: Copy>(KVVec<Latest<T>>);

impl<T: Copy> LatestPerCpu<T> {
    /// No CPU has a value. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let cpus = usize::try_from(nr_cpu_ids())?;
        let mut latest = KVVec::with_capacity(cpus, GFP_KERNEL)?;

        for _ in 0..cpus {
            latest.push_within_capacity(Latest::new())?;
        }
        Ok(Self(latest))
    }

    /// Returns the latest value of `cpu`. Any context.
    pub(crate) fn of(&self, cpu: CpuId) -> Option<&Latest<T>> {
        self.0.get(usize::try_from(cpu.as_u32()).ok()?)
    }
}

#[kunit_tests(taskscope_latest)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_value_counts() {
        let latest = Latest::new();

        assert_eq!(latest.get(), None);
        for value in [1, 2, 3] {
            // SAFETY: No other thread has it.
            unsafe { latest.replace(value) };
            assert_eq!(latest.get(), Some(value));
        }
    }

    #[test]
    fn nothing_is_read_while_it_is_written() {
        let latest = Latest::new();

        // SAFETY: No other thread has it.
        unsafe { latest.replace(1) };
        // SAFETY: As before.
        unsafe { latest.begin() };
        assert_eq!(latest.get(), None);
    }

    #[test]
    fn the_sequence_goes_round() {
        let latest = Latest::new();

        latest.sequence.store(u32::MAX - 1, Relaxed);
        // SAFETY: No other thread has it.
        unsafe { latest.replace(1) };
        assert_eq!(latest.get(), Some(1));
    }
}
