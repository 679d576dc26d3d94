// SPDX-License-Identifier: GPL-2.0

//! Values by address: a hash table with linear probing.
//!
//! Its memory is allocated in one piece beforehand, so that values can be added in an RCU read-side
//! critical section.

use crate::abstractions::compat;
use kernel::alloc::Flags;
use kernel::prelude::*;

/// An address and its value. An address of zero marks a free slot.
#[derive(Clone, Copy, Zeroable)]
struct Slot<V> {
    address: usize,
    value: V,
}

/// Values by address.
///
/// # Invariants
///
/// There are no slots; or their number is a power of two, and at least one is free. `used` is the
/// number of slots that are not free.
pub(crate) struct AddressMap<V> {
    slots: KVVec<Slot<V>>,
    used: usize,
}

impl<V: Copy + Zeroable> AddressMap<V> {
    /// An empty map, with no room.
    pub(crate) fn new() -> Self {
        // INVARIANT: There are no slots.
        Self {
            slots: KVVec::new(),
            used: 0,
        }
    }

    /// An empty map with room for `count` addresses, and with at most `slots_max` slots, which is a
    /// power of two and at least 8; `usize::MAX` is no limit. Sleeps if `flags` allow it.
    pub(crate) fn with_room(count: usize, slots_max: usize, flags: Flags) -> Result<Self> {
        // INVARIANT: Of eight slots or more, a power of two, all are free.
        Ok(Self {
            slots: compat::zeroed(slots_for(count).min(slots_max), flags)?,
            used: 0,
        })
    }

    /// Returns how many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many addresses may be added.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.slots.len() - self.slots.len() / 8 - self.used
    }

    /// Returns the slot of `address`, or the free one where it belongs; [`None`] without slots.
    #[inline]
    fn slot(&mut self, address: usize) -> Option<&mut Slot<V>> {
        /// Tuned: the golden ratio, which scatters what is evenly spaced.
        const RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

        let mask = self.slots.len().checked_sub(1)?;
        // CAST: The upper half of the product has 32 bits.
        let mut at = ((address as u64).wrapping_mul(RATIO) >> 32) as usize & mask;

        // By the type invariant a slot is free, so that this ends.
        while self.slots[at].address != address && self.slots[at].address != 0 {
            at = (at + 1) & mask;
        }
        self.slots.get_mut(at)
    }

    /// Returns the value of `address`, if there is one. Zero has none.
    #[inline]
    pub(crate) fn find(&mut self, address: usize) -> Option<&mut V> {
        self.slot(address)
            .and_then(|slot| (slot.address == address && address != 0).then_some(&mut slot.value))
    }

    /// Adds `address`, or replaces its value. Without room for it, and for zero, nothing changes.
    pub(crate) fn insert(&mut self, address: usize, value: V) {
        if address == 0 {
            return;
        }
        let has_room = self.room() != 0;
        let Some(slot) = self.slot(address) else {
            return;
        };
        let is_new = slot.address == 0;

        if has_room || !is_new {
            *slot = Slot { address, value };
            // INVARIANT: There was room. The slots that `room()` does not count stay free.
            self.used += usize::from(is_new);
        }
    }
}

/// Returns the number of slots for `count` addresses.
pub(crate) fn slots_for(count: usize) -> usize {
    (count + count / 7 + 8).next_power_of_two()
}

#[kunit_tests(taskscope_address_map)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() -> Result {
        let mut map = AddressMap::<usize>::with_room(100, usize::MAX, GFP_KERNEL)?;

        for address in 1..=100 {
            assert_eq!(map.find(address), None);
            map.insert(address, 1000 + address);
            map.insert(address, 2000 + address);
        }
        assert_eq!(map.used, 100);
        for address in 1..=100 {
            assert_eq!(map.find(address), Some(&mut (2000 + address)));
        }
        Ok(())
    }

    #[test]
    fn zero_has_no_value() -> Result {
        let mut map = AddressMap::<usize>::with_room(1, usize::MAX, GFP_KERNEL)?;

        assert_eq!(map.find(0), None);
        map.insert(0, 5);
        assert_eq!(map.find(0), None);
        assert_eq!(map.used, 0);
        Ok(())
    }

    #[test]
    fn a_full_map_takes_no_more() -> Result {
        let mut map = AddressMap::<usize>::with_room(1, usize::MAX, GFP_KERNEL)?;

        for address in 1..100 {
            map.insert(address, address);
        }
        assert_eq!(map.room(), 0);
        assert_eq!(map.find(99), None);
        map.insert(1, 5);
        assert_eq!(map.find(1), Some(&mut 5));
        Ok(())
    }

    #[test]
    fn there_is_room_for_as_many_as_asked_for() -> Result {
        for count in 0..2048 {
            let map = AddressMap::<u8>::with_room(count, usize::MAX, GFP_KERNEL)?;

            assert!(map.room() >= count);
            assert!(map.slots() <= 3 * count + 16);
        }
        Ok(())
    }

    /// A search for an address that is not there ends at a free slot.
    #[test]
    fn a_full_map_has_a_free_slot() -> Result {
        for count in 0..64 {
            let map = AddressMap::<u8>::with_room(count, usize::MAX, GFP_KERNEL)?;

            assert!(map.room() < map.slots());
        }
        Ok(())
    }

    /// Of eight slots, seven are used: each search meets most of them, and has to look at all that
    /// come before a free one.
    #[test]
    fn addresses_are_found_in_full_maps() -> Result {
        for first in 1..200 {
            let mut map = AddressMap::<usize>::with_room(7, 8, GFP_KERNEL)?;
            let addresses = || (0..map_room(8)).map(|at| 64 * (first + 1000 * at));

            for address in addresses() {
                map.insert(address, address);
            }
            assert_eq!(map.room(), 0);
            for address in addresses() {
                assert_eq!(map.find(address), Some(&mut { address }));
                assert_eq!(map.find(address + 1), None);
            }
        }
        Ok(())
    }

    /// Returns how many addresses a map with so many slots takes.
    fn map_room(slots: usize) -> usize {
        slots - slots / 8
    }

    /// Kernel addresses are multiples of the size of an object. In one long run of slots, each
    /// search would be slow.
    #[test]
    fn evenly_spaced_addresses_are_scattered() -> Result {
        for distance in [8, 64, 0x1000, 0x4000, 0x1_0000] {
            let mut map = AddressMap::<usize>::with_room(1000, usize::MAX, GFP_KERNEL)?;

            for at in 0..100 {
                map.insert(0xffff_c900_0000_0000 + at * distance, at);
            }
            let runs = map.slots.split(|slot| slot.address == 0);

            assert!(runs.map(<[_]>::len).max() < Some(20));
        }
        Ok(())
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let mut map = AddressMap::<usize>::new();

        assert_eq!(map.find(1), None);
        map.insert(1, 2);
        assert_eq!(map.find(1), None);
    }
}
