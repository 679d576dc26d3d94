// SPDX-License-Identifier: GPL-2.0

//! The tree of mappings of an address space, read without its mmap lock.
//!
//! A [`MappingTree`] reads mappings under RCU. A writer may change one of them meanwhile. A
//! [`Version`] finds that out: every writer takes the mmap lock, and adds one to a sequence count
//! when it has taken the lock and when it releases the lock. What was read between two equal, even
//! values of that count is what the mappings were at one moment
//! (`mmap_lock_speculate_try_begin()`). It costs a third of locking each mapping. Where it fails,
//! the mappings are locked one by one.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h).

use crate::abstractions::mapping::{
    RcuVma,
    Region, //
};
use crate::abstractions::mm::AddressSpace;
use core::ops::Range;
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::rcu;

// Sound: these are the functions of helpers.c, with these signatures.
unsafe extern "C" {
    /// Returns whether no writer holds the mmap lock of `mm`, and writes the sequence count to
    /// `seq`.
    ///
    /// # Safety
    ///
    /// `mm` points at an address space that exists.
    fn taskscope_mmap_speculate_begin(mm: *mut bindings::mm_struct, seq: &mut c_uint) -> bool;

    /// Returns whether a writer has held the mmap lock of `mm` since the sequence count was `seq`.
    ///
    /// # Safety
    ///
    /// `mm` points at an address space that exists.
    fn taskscope_mmap_speculate_retry(mm: *mut bindings::mm_struct, seq: c_uint) -> bool;
}

/// A value of the sequence count of an address space (`mm_lock_seq`), at which no writer held the
/// mmap lock.
#[derive(Clone, Copy)]
pub(crate) struct Version(u32);

impl Version {
    /// Returns the present value; [`None`] while a writer holds the lock. Any context. Does not
    /// sleep.
    #[inline]
    pub(crate) fn of(space: &AddressSpace) -> Option<Self> {
        let mut seq = 0;

        // SAFETY: By the invariant of `AddressSpace` the structure is allocated.
        unsafe { taskscope_mmap_speculate_begin(space.as_ptr(), &mut seq) }.then_some(Self(seq))
    }

    /// Returns whether no writer has held the lock since. Any context. Does not sleep.
    ///
    /// The count has 32 bits: the answer is wrong if writers have taken the lock exactly 2^31 times
    /// since, or a multiple of that.
    #[inline]
    pub(crate) fn is_current(self, space: &AddressSpace) -> bool {
        // SAFETY: By the invariant of `AddressSpace` the structure is allocated.
        !unsafe { taskscope_mmap_speculate_retry(space.as_ptr(), self.0) }
    }
}

/// The mappings of an address space, read in an RCU read-side critical section.
///
/// The answers are of the moment of the call. They are of one moment all together if a [`Version`]
/// that was taken before the first of them is current after the last. Nothing may sleep while this
/// exists, except in a spinlock on `PREEMPT_RT`, which RCU allows. `mem::forget` would leave the
/// critical section open.
///
/// # Invariants
///
/// `state` is a state of the tree of `space`, and was made in the critical section of `_guard`.
pub(crate) struct MappingTree<'a> {
    space: &'a AddressSpace,
    state: bindings::ma_state,
    _guard: rcu::Guard,
}

impl<'a> MappingTree<'a> {
    /// Begins a critical section. Any context but NMI.
    pub(crate) fn new(space: &'a AddressSpace) -> Self {
        let guard = rcu::read_lock();

        // INVARIANT: The state has just been made, after the critical section has begun.
        Self {
            state: state_at(space, 0),
            space,
            _guard: guard,
        }
    }

    /// Begins a search at `address`.
    fn start_at(&mut self, address: usize) {
        // INVARIANT: The state has just been made, in the critical section.
        self.state = state_at(self.space, address);
    }

    /// Returns the mapping that contains `address`. A mapping next to the last one that was found
    /// takes 20% of the time.
    pub(crate) fn at(&mut self, address: usize) -> Option<Region> {
        let last_found = self.state;
        let step = match self.found() {
            Some(found) if found.end == address => Step::Next,
            Some(found) if found.start == address.wrapping_add(1) => Step::Previous,
            _ => {
                self.start_at(address);
                return self.search(Step::At, address);
            }
        };
        let found = self.search(step, address);

        if found.is_none() {
            // The search for the mapping on the other side can go on from here too.
            self.state = last_found;
        }
        found
    }

    /// Returns the first mapping that ends above `address`. It takes less time where the last one
    /// that was found ends there.
    pub(crate) fn first_from(&mut self, address: usize) -> Option<Region> {
        if self.found().is_none_or(|found| found.end != address) {
            self.start_at(address);
        }
        self.search(Step::First, usize::MAX)
    }

    /// Returns the last mapping that starts below `address`. It takes less time where the last one
    /// that was found starts there.
    pub(crate) fn last_below(&mut self, address: usize) -> Option<Region> {
        let last = address.checked_sub(1)?;

        if self.found().is_none_or(|found| found.start != address) {
            self.start_at(last);
        }
        self.search(Step::Last, 0)
    }

    /// Returns the addresses of the mapping, or of the hole, that was found last, if the search can
    /// go on from it.
    fn found(&self) -> Option<Range<usize>> {
        (self.state.status == bindings::maple_status_ma_active)
            .then(|| self.state.index..self.state.last.wrapping_add(1))
    }

    /// Makes a step of a search, no further than to the address `limit`, and reads the mapping that
    /// is found.
    #[inline(always)]
    fn search(&mut self, step: Step, limit: usize) -> Option<Region> {
        let state = &mut self.state;
        // SAFETY: By the type invariant `state` is a state of the tree of `space`, and was made in
        // this critical section. By the invariant of `AddressSpace` the tree exists, and may be
        // read under RCU.
        let vma = unsafe {
            match step {
                Step::At => bindings::mas_walk(state),
                Step::First => bindings::mas_find(state, limit),
                Step::Last => bindings::mas_find_rev(state, limit),
                Step::Next => bindings::mas_next(state, limit),
                Step::Previous => bindings::mas_prev(state, limit),
            }
        };

        if vma.is_null() {
            return None;
        }
        // SAFETY: The tree holds mappings. Their memory comes from a cache with
        // `SLAB_TYPESAFE_BY_RCU` (`vma_state_init()` in mm/vma_init.c). The pointer was read in
        // this critical section, by the type invariant, which lasts for as long as `self`: the
        // memory stays a `struct vm_area_struct`, of this mapping or of another.
        let vma = unsafe { RcuVma::new(vma.cast()) };

        Some(Region::new(vma, state.index..state.last.wrapping_add(1)))
    }
}

/// A step of a search.
#[derive(Clone, Copy)]
enum Step {
    /// To the mapping that contains the address where the search begins.
    At,
    /// To the first mapping that ends above the address where the search begins, or to the next
    /// one.
    First,
    /// To the last mapping that starts at or below the address where the search begins, or to the
    /// one before.
    Last,
    /// To the mapping after the one that was found last.
    Next,
    /// To the mapping before the one that was found last.
    Previous,
}

/// Returns the state of a search in the tree of `space` that begins at `address`, as `MA_STATE()`
/// initialises it.
fn state_at(space: &AddressSpace, address: usize) -> bindings::ma_state {
    bindings::ma_state {
        // SAFETY: By the invariant of `AddressSpace` the structure is allocated; no reference is
        // made.
        tree: unsafe { &raw mut (*space.as_ptr()).__bindgen_anon_1.mm_mt },
        index: address,
        last: address,
        status: bindings::maple_status_ma_start,
        max: usize::MAX,
        ..pin_init::zeroed()
    }
}
