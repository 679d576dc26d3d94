// SPDX-License-Identifier: GPL-2.0

//! Mappings read without a lock, and thrown away if a writer has changed one of them meanwhile.
//!
//! Every writer to the mappings of an address space takes its mmap lock, and changes a sequence count
//! when it has done so, and again when it lets go of the lock. What is read between two equal, even
//! values of that count is what the mappings were at one moment (`mmap_lock_speculate_try_begin()`).
//! It costs a third of locking each mapping. Where it fails, the mappings are locked one by one.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h).

use crate::{
    mapping::Region,
    mm::AddressSpace,
    sys, //
};
use core::ops::Range;
use kernel::{
    bindings,
    prelude::*,
    sync::rcu, //
};

/// A value of the sequence count of an address space, at which no writer held its mmap lock.
#[derive(Clone, Copy)]
pub(crate) struct Version(u32);

impl Version {
    /// Returns the present value; [`None`] while a writer holds the lock.
    #[inline]
    pub(crate) fn of(space: &AddressSpace) -> Option<Self> {
        // SAFETY: The address space exists.
        unsafe { sys::mmap_speculate_begin(space.as_ptr()) }.map(Self)
    }

    /// Returns whether no writer has held the lock since.
    #[inline]
    pub(crate) fn is_current(self, space: &AddressSpace) -> bool {
        // SAFETY: The address space exists.
        !unsafe { sys::mmap_speculate_retry(space.as_ptr(), self.0) }
    }
}

/// The mappings of an address space, in an RCU read-side critical section.
///
/// # Invariants
///
/// `state` is a state of the tree of `space`, for as long as `_guard` is kept.
pub(crate) struct Speculation<'a> {
    space: &'a AddressSpace,
    state: bindings::ma_state,
    version: Version,
    _guard: rcu::Guard,
}

impl<'a> Speculation<'a> {
    /// Begins to read; [`None`] while a writer holds the lock. Nothing may sleep until it is dropped.
    pub(crate) fn begin(space: &'a AddressSpace) -> Option<Self> {
        let guard = rcu::read_lock();

        // INVARIANT: The state is one of the address space's tree.
        Some(Self {
            version: Version::of(space)?,
            state: space.tree_state(0),
            space,
            _guard: guard,
        })
    }

    /// Returns whether what has been read is of one moment.
    pub(crate) fn is_valid(&self) -> bool {
        self.version.is_current(self.space)
    }

    /// Begins a search at `address`.
    fn start_at(&mut self, address: usize) -> &mut bindings::ma_state {
        self.state = self.space.tree_state(address);
        &mut self.state
    }

    /// Returns the mapping that contains `address`. The mapping next to the last one that was found
    /// takes a fifth of the time.
    pub(crate) fn at(&mut self, address: usize) -> Option<Region> {
        let Some(Range { start, end }) = self.found() else {
            return self.walk(address);
        };
        let last_found = self.state;

        let vma = if address == end {
            // SAFETY: By the type invariant this is a state of the tree, which may be read under
            // RCU. The search ends at `address`.
            unsafe { bindings::mas_next(&mut self.state, address) }
        } else if address.wrapping_add(1) == start {
            // SAFETY: As above.
            unsafe { bindings::mas_prev(&mut self.state, address) }
        } else {
            return self.walk(address);
        };

        if vma.is_null() {
            // The other side may be asked for next.
            self.state = last_found;
            return None;
        }
        self.region(vma)
    }

    /// Returns the mapping that contains `address`, looked up from the root of the tree.
    fn walk(&mut self, address: usize) -> Option<Region> {
        // SAFETY: By the type invariant this is a state of the tree, which may be read under RCU.
        let vma = unsafe { bindings::mas_walk(self.start_at(address)) };

        self.region(vma)
    }

    /// Returns the first mapping that ends above `address`. It takes less time where the last one
    /// that was found ends there.
    pub(crate) fn first_from(&mut self, address: usize) -> Option<Region> {
        if self.found().is_none_or(|found| found.end != address) {
            self.start_at(address);
        }
        // SAFETY: By the type invariant this is a state of the tree, which may be read under RCU. It
        // finds what follows the last one, or what contains or follows `address`.
        let vma = unsafe { bindings::mas_find(&mut self.state, usize::MAX) };

        self.region(vma)
    }

    /// Returns the last mapping that starts below `address`. It takes less time where the last one
    /// that was found starts there.
    pub(crate) fn last_below(&mut self, address: usize) -> Option<Region> {
        let last = address.checked_sub(1)?;

        if self.found().is_none_or(|found| found.start != address) {
            self.start_at(last);
        }
        // SAFETY: By the type invariant this is a state of the tree, which may be read under RCU. It
        // finds what precedes the last one, or what contains or precedes `last`.
        let vma = unsafe { bindings::mas_find_rev(&mut self.state, 0) };

        self.region(vma)
    }

    /// Returns the addresses of the mapping that was found last, if the search can go on from it.
    fn found(&self) -> Option<Range<usize>> {
        (self.state.status == bindings::maple_status_ma_active)
            .then(|| self.state.index..self.state.last.wrapping_add(1))
    }

    /// Reads the mapping that a search has found.
    fn region(&mut self, vma: *mut c_void) -> Option<Region> {
        if vma.is_null() {
            // A search that has found nothing is not continued.
            self.state.status = bindings::maple_status_ma_start;
            return None;
        }
        let range = self.state.index..self.state.last.wrapping_add(1);

        // SAFETY: The tree holds mappings, whose memory comes from a cache with
        // `SLAB_TYPESAFE_BY_RCU` (`vma_state_init()` in mm/vma_init.c): in this critical section it
        // stays a `struct vm_area_struct`, of this mapping or another.
        Some(unsafe { Region::read(vma.cast(), range) })
    }
}
