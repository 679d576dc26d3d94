// SPDX-License-Identifier: GPL-2.0

//! Kernel addresses as tables show them: hashed, as `%p` prints them, or raw.
//!
//! The kernel hashes an address with a secret key. A module gets the hash only by printing the
//! address with `%p` and reading the text. That costs more than the rest of a row of `threads`, and
//! gives the same text each time. Hence [`Addresses`] remembers hashes.
//!
//! Hashing fails closed. Addresses are shown as they are only if the module is loaded with
//! `raw_pointers=1`, or if `%p` has printed exactly the addresses that it was given. If it prints
//! anything but that or hashes, all addresses of the table are hidden.

use crate::abstractions::pointer_hash::{
    self,
    Printed, //
    HASHED_AT_ONCE,
};
use crate::abstractions::signal;
use crate::capture::address_map::{
    slots_for, //
    AddressMap,
};
use crate::text::kernel_address::Shown;
use core::mem;
use kernel::alloc::flags::__GFP_NOWARN;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex, //
    Mutex,
};

/// The most slots of the memory of hashes: 16 MiB.
const SLOTS_MAX: usize = 1024 * 1024;
const _: () = assert!(SLOTS_MAX.is_power_of_two(), "as `AddressMap` has it");

/// An item with kernel addresses.
pub(crate) trait HasAddresses {
    /// Returns the addresses, or the numbers that have replaced them.
    fn addresses(&mut self) -> &mut [usize];
}

/// How kernel addresses are shown.
#[pin_data]
pub(crate) struct Addresses {
    raw: bool,
    #[pin]
    hashes: Mutex<Hashes>,
}

impl Addresses {
    /// Addresses are shown as they are if `raw`, else hashed.
    pub(crate) fn new(raw: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw,
            hashes <- new_mutex!(Hashes::new()),
        }? Error)
    }

    /// Replaces the addresses of each item by what [`Shown`] shows for them. An address of zero
    /// stays zero. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn show<T: HasAddresses>(&self, items: &mut [T]) -> Result<Shown> {
        let count = items.iter_mut().map(|item| item.addresses().len()).sum();

        if self.raw || count == 0 {
            return Ok(Shown::Numbers);
        }
        self.prepare(count);
        for items in items.chunks_mut(signal::ROWS_PER_CHECK) {
            signal::check_fatal_signal()?;
            // A killed reader cannot stop waiting for the lock. The lock is held for one chunk at a
            // time, so that no reader waits long.
            match self.hashes.lock().show(items) {
                Shown::Hashes => {}
                shown => return Ok(shown),
            }
        }
        Ok(Shown::Hashes)
    }

    /// Makes room for `count` addresses, if there is memory for it. May sleep.
    fn prepare(&self, count: usize) {
        if !self.hashes.lock().is_too_small(count) {
            return;
        }
        // Without the lock: to get much memory may take long.
        let Ok(map) = Hashes::map_for(count) else {
            return;
        };
        // The lock is released before memory is freed.
        let _unused = {
            let mut hashes = self.hashes.lock();

            if hashes.is_too_small(count) {
                mem::replace(&mut hashes.known, map)
            } else {
                map
            }
        };
    }

    /// As [`Addresses::show`], without remembering the hashes. Does not sleep.
    pub(crate) fn show_once<T: HasAddresses>(&self, items: &mut [T]) -> Shown {
        if self.raw {
            return Shown::Numbers;
        }
        hash(items)
    }
}

/// As [`Addresses::show_once`], and hashed in any case.
pub(crate) fn hash<T: HasAddresses>(items: &mut [T]) -> Shown {
    Hashes::new().show(items)
}

/// Addresses whose hashes are not known, and the places for their hashes.
#[derive(Default)]
struct Batch {
    addresses: [usize; HASHED_AT_ONCE],
    places: [(usize, usize); HASHED_AT_ONCE],
    len: usize,
}

impl Batch {
    /// Adds an address.
    #[inline]
    fn push(&mut self, address: usize, place: (usize, usize)) {
        self.addresses[self.len] = address;
        self.places[self.len] = place;
        self.len += 1;
    }

    /// Returns whether the batch is full.
    #[inline]
    fn is_full(&self) -> bool {
        self.len == HASHED_AT_ONCE
    }

    /// Hashes the addresses and puts the hashes in their places, if the kernel hashes any.
    fn flush<T: HasAddresses>(&mut self, hashes: &mut Hashes, items: &mut [T]) -> Shown {
        if self.len == 0 {
            return Shown::Hashes;
        }
        let hashed = match pointer_hash::hash_pointers(&self.addresses, self.len) {
            Printed::Hashed(hashed) => hashed,
            // Some addresses of the table may have been replaced by their hashes.
            Printed::AsTheyAre if hashes.has_hashed => return Shown::Hidden,
            Printed::AsTheyAre => return Shown::Numbers,
            Printed::Unknown => return Shown::Hidden,
        };

        hashes.has_hashed = true;
        for ((address, hash), (item, which)) in self.addresses[..self.len]
            .iter()
            .zip(hashed.map(usize::from_ne_bytes))
            .zip(self.places)
        {
            items[item].addresses()[which] = hash;
            hashes.known.insert(*address, hash);
        }
        self.len = 0;
        Shown::Hashes
    }
}

/// The hashes of addresses, as their digits.
///
/// Hashes stay true, because the kernel never changes its key. Without memory for them, each
/// address is hashed again.
struct Hashes {
    known: AddressMap<usize>,
    /// Whether the kernel has hashed an address: then it hashes all, until the next boot.
    has_hashed: bool,
}

impl Hashes {
    /// Knows none.
    fn new() -> Self {
        Self {
            known: AddressMap::new(),
            has_hashed: false,
        }
    }

    /// Returns whether the table is full, or too small for `count` addresses. It is replaced by an
    /// empty one then: most addresses in a full table are no longer in use.
    fn is_too_small(&self, count: usize) -> bool {
        self.known.room() == 0 || self.known.slots() < slots_for(count).min(SLOTS_MAX)
    }

    /// Returns an empty table for `count` addresses. May sleep; fails with `ENOMEM`.
    fn map_for(count: usize) -> Result<AddressMap<usize>> {
        AddressMap::with_room(count, SLOTS_MAX, GFP_KERNEL | __GFP_NOWARN)
    }

    /// Replaces the addresses of each item by their hashes.
    fn show<T: HasAddresses>(&mut self, items: &mut [T]) -> Shown {
        let mut missing = Batch::default();

        for at in 0..items.len() {
            for which in 0..items[at].addresses().len() {
                let address = &mut items[at].addresses()[which];

                if *address == 0 {
                    continue;
                }
                if let Some(hash) = self.known.find(*address) {
                    *address = *hash;
                    continue;
                }
                missing.push(*address, (at, which));
                if missing.is_full() {
                    let shown = missing.flush(self, items);

                    if shown != Shown::Hashes {
                        return shown;
                    }
                }
            }
        }
        missing.flush(self, items)
    }
}

#[kunit_tests(taskscope_addresses)]
mod tests {
    use super::*;

    impl<const N: usize> HasAddresses for [usize; N] {
        fn addresses(&mut self) -> &mut [usize] {
            self
        }
    }

    /// Addresses as the kernel has them.
    const ADDRESSES: [usize; 3] = [
        0xffff_8880_0000_1000,
        0xffff_8880_0000_2000,
        0xffff_c900_0000_3000,
    ];

    #[test]
    fn hashes_are_remembered() -> Result {
        let addresses = KBox::pin_init(Addresses::new(false), GFP_KERNEL)?;
        let find = |address| addresses.hashes.lock().known.find(address).copied();

        addresses.prepare(100);
        addresses.hashes.lock().known.insert(1, 1001);
        addresses.prepare(10);
        assert_eq!(find(1), Some(1001));
        addresses.prepare(100);
        assert_eq!(find(1), Some(1001));
        addresses.prepare(1000);
        assert!(addresses.hashes.lock().known.room() >= 1000);
        Ok(())
    }

    /// `%p` costs more than the rest of a row: it prints an address once, and then its hash is
    /// found.
    #[test]
    fn a_shown_address_is_not_hashed_again() -> Result {
        let [a, b, c] = ADDRESSES;
        let addresses = KBox::pin_init(Addresses::new(false), GFP_KERNEL)?;
        let mut items = [[a, b], [c, 0]];

        let printed = pointer_hash::hash_pointers(&[a, b, c, 0, 0, 0, 0, 0], ADDRESSES.len());
        let is_hashed = matches!(printed, Printed::Hashed(_));

        addresses.prepare(ADDRESSES.len());
        let mut hashes = addresses.hashes.lock();

        assert!((hashes.show(&mut items) == Shown::Hashes) == is_hashed);
        if is_hashed {
            for (address, hash) in ADDRESSES.into_iter().zip(items.into_iter().flatten()) {
                assert_eq!(hashes.known.find(address), Some(&mut { hash }));
                // `%p` would print another one.
                hashes.known.insert(address, 1001);
            }
            items = [[c, a], [0, b]];
            assert_eq!(hashes.show(&mut items), Shown::Hashes);
            assert_eq!(items, [[1001, 1001], [0, 1001]]);
        }
        Ok(())
    }

    /// As the test before, for a table with more rows than are shown at once.
    #[test]
    fn all_addresses_of_a_table_are_remembered() -> Result {
        let addresses = KBox::pin_init(Addresses::new(false), GFP_KERNEL)?;
        let mut items = KVVec::new();

        for at in 0..signal::ROWS_PER_CHECK + 100 {
            let address = ADDRESSES[0] + 64 * at;

            items.push([address, address + 32], GFP_KERNEL)?;
        }
        if addresses.show(&mut items)? == Shown::Hashes {
            let mut hashes = addresses.hashes.lock();

            for (at, [a, b]) in items.iter_mut().enumerate() {
                let address = ADDRESSES[0] + 64 * at;

                assert_eq!(hashes.known.find(address), Some(a));
                assert_eq!(hashes.known.find(address + 32), Some(b));
            }
        }
        Ok(())
    }

    #[test]
    fn addresses_are_shown_as_they_are_only_if_asked() -> Result {
        let [a, b, _] = ADDRESSES;
        let raw = KBox::pin_init(Addresses::new(true), GFP_KERNEL)?;
        let hashed = KBox::pin_init(Addresses::new(false), GFP_KERNEL)?;
        let mut items = [[a, b]];

        assert_eq!(raw.show(&mut items)?, Shown::Numbers);
        assert_eq!(raw.show_once(&mut items), Shown::Numbers);
        assert_eq!(items, [[a, b]]);
        if hash(&mut items) == Shown::Hashes {
            assert_eq!(hashed.show(&mut [[a]])?, Shown::Hashes);
            assert_eq!(hashed.show(&mut [[a, b]])?, Shown::Hashes);
            assert_eq!(hashed.show_once(&mut [[a, b]]), Shown::Hashes);
        }
        Ok(())
    }

    #[test]
    fn a_full_table_is_begun_anew() -> Result {
        let addresses = KBox::pin_init(Addresses::new(false), GFP_KERNEL)?;

        addresses.prepare(1);
        for address in 1..100 {
            addresses.hashes.lock().known.insert(address, address);
        }
        assert_eq!(addresses.hashes.lock().known.room(), 0);
        addresses.prepare(1);
        assert!(addresses.hashes.lock().known.room() != 0);
        Ok(())
    }

    #[test]
    fn the_same_address_has_the_same_hash() {
        let [a, b, c] = ADDRESSES;
        let mut items = [[a, b], [b, 0], [c, a]];

        if hash(&mut items) == Shown::Hashes {
            assert_eq!(items[0][0], items[2][1]);
            assert_eq!(items[0][1], items[1][0]);
            assert_eq!(items[1][1], 0);
            assert!(items[0][0] != items[0][1]);
        }
    }

    /// `%p` prints an error pointer as it is, also where it hashes addresses.
    #[test]
    fn an_address_that_is_not_hashed_hides_all() {
        const ERROR: usize = usize::MAX - 10;
        let [a, b, c] = ADDRESSES;

        if hash(&mut [[a, b]]) == Shown::Hashes {
            assert_eq!(hash(&mut [[ERROR, 0]]), Shown::Hidden);
            assert_eq!(hash(&mut [[a, ERROR], [b, c]]), Shown::Hidden);
            // In the second batch, when the first has been replaced.
            assert_eq!(
                hash(&mut [[a, b], [c, a], [b, c], [a, b], [c, ERROR]]),
                Shown::Hidden
            );
        }
        assert!(Shown::Hidden.address(ERROR).text() == *b"(____ptrval____)");
        assert!(Shown::Hidden.address(0).text() == *b"-               ");
    }

    #[test]
    fn no_address_is_shown_beside_hashes() {
        let mut hashes = Hashes::new();

        hashes.has_hashed = true;
        if hash(&mut [[ADDRESSES[0], 0]]) == Shown::Numbers {
            assert_eq!(hashes.show(&mut [[ADDRESSES[0], 0]]), Shown::Hidden);
        }
    }
}
