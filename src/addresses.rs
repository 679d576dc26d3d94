// SPDX-License-Identifier: GPL-2.0

//! Kernel addresses as tables show them: hashed, as `%p` prints them, or raw.
//!
//! The kernel hashes an address with a key of its own, and to get at the result one has to print it
//! and read the text. That costs more than everything else that is done for a row, and it is the
//! same for an address every time. Threads come to stay, and the memory of those that leave is used
//! again: hence [`Addresses`] remembers what it has been told.

use crate::{
    address_map::{
        slots_for,
        AddressMap, //
    },
    sys::{
        self,
        Printed,
        HASHED_AT_ONCE,
        HASH_DIGITS, //
    },
    text::{
        self,
        ADDRESS_DIGITS, //
    }, //
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    prelude::*,
    sync::{
        new_mutex,
        Mutex, //
    },
};

/// How many slots the memory of hashes has at most: 16 MiB of them.
const SLOTS_MAX: usize = 1024 * 1024;

/// An item with addresses in it, the same number as all of its kind.
pub(crate) trait HasAddresses {
    /// Returns the addresses, or what is shown for them.
    fn addresses(&mut self) -> &mut [usize];
}

/// How kernel addresses are shown.
#[pin_data]
pub(crate) struct Addresses {
    raw: bool,
    #[pin]
    hashes: Mutex<Hashes>,
}

/// What is printed for an address that cannot be hashed yet, as by `%p`.
const NOT_READY: &[u8; ADDRESS_DIGITS] = b"(____ptrval____)";

/// What is printed where there is no address.
const NONE: [u8; ADDRESS_DIGITS] = text::padded("-");

/// What [`Addresses::show`] has made of addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Hashes, as their digits: the eight bytes of the number, as they lie in memory.
    Hashes,
    /// Nothing: they are printed in hexadecimal as they are.
    Numbers,
    /// Nothing: the kernel has no random numbers yet to make its key of.
    NotReady,
}

impl Shown {
    /// Returns the text for an address of which [`Addresses::show`] has made `number`: a dash for
    /// none.
    #[inline]
    pub(crate) fn text(self, number: usize) -> [u8; ADDRESS_DIGITS] {
        match self {
            _ if number == 0 => NONE,
            Self::Hashes => {
                let mut text = [b'0'; ADDRESS_DIGITS];

                text[ADDRESS_DIGITS - HASH_DIGITS..].copy_from_slice(&number.to_ne_bytes());
                text
            }
            Self::Numbers => text::address(number),
            Self::NotReady => *NOT_READY,
        }
    }
}

impl Addresses {
    /// Addresses are shown as they are if `raw`, and else hashed.
    pub(crate) fn new(raw: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw,
            hashes <- new_mutex!(Hashes::new()),
        }? Error)
    }

    /// Replaces the addresses of each item by the numbers that are to be shown for them.
    ///
    /// An address of zero stays zero. May sleep.
    pub(crate) fn show<T: HasAddresses>(&self, items: &mut [T]) -> Shown {
        let each = items.first_mut().map_or(0, |item| item.addresses().len());

        if self.raw || each == 0 {
            return Shown::Numbers;
        }
        let mut hashes = self.hashes.lock();

        hashes.prepare(each * items.len());
        hashes.show(items)
    }

    /// As [`Addresses::show`], for addresses that are not worth remembering. Does not sleep.
    pub(crate) fn show_once<T: HasAddresses>(&self, items: &mut [T]) -> Shown {
        if self.raw {
            return Shown::Numbers;
        }
        hash(items)
    }
}

/// As [`Addresses::show`], hashed in any case, and without remembering anything. Does not sleep.
pub(crate) fn hash<T: HasAddresses>(items: &mut [T]) -> Shown {
    Hashes::new().show(items)
}

/// Addresses whose hashes are not known, and where to put them.
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

    /// Returns whether nothing more can be added.
    #[inline]
    fn is_full(&self) -> bool {
        self.len == HASHED_AT_ONCE
    }

    /// Hashes the addresses and puts the hashes in their places, if the kernel hashes any.
    fn flush<T: HasAddresses>(&mut self, hashes: &mut Hashes, items: &mut [T]) -> Shown {
        if self.len == 0 {
            return Shown::Hashes;
        }
        let hashed = match sys::hash_pointers(&self.addresses, self.len) {
            Printed::Hashed(hashed) => hashed,
            Printed::AsTheyAre => return Shown::Numbers,
            Printed::NotReady => return Shown::NotReady,
        };
        for ((address, hash), (item, which)) in self.addresses[..self.len]
            .iter()
            .zip(hashed.map(usize::from_ne_bytes))
            .zip(self.places)
        {
            items[item].addresses()[which] = hash;
            hashes.0.insert(*address, hash);
        }
        self.len = 0;
        Shown::Hashes
    }
}

/// The hashes of addresses, as their digits.
///
/// What is in it stays true, since the kernel never changes its key. It is there for speed only:
/// without memory for it, everything is hashed anew.
struct Hashes(AddressMap<usize>);

impl Hashes {
    /// Knows none.
    fn new() -> Self {
        Self(AddressMap::new())
    }

    /// Makes some room for `count` addresses, by beginning anew if there is not.
    ///
    /// A full table is of addresses that are in use no more, for the most part. Without memory for
    /// another, one that is not full stays.
    fn prepare(&mut self, count: usize) {
        let is_filled = self.0.room() == 0;

        if is_filled || self.0.slots() < slots_for(count).min(SLOTS_MAX) {
            match AddressMap::with_room(count, SLOTS_MAX, GFP_KERNEL | __GFP_NOWARN) {
                Ok(map) => self.0 = map,
                Err(_) if is_filled => self.0 = AddressMap::new(),
                Err(_) => {}
            }
        }
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
                if let Some(hash) = self.0.find(*address) {
                    *address = *hash;
                    continue;
                }
                missing.push(*address, (at, which));
                if missing.is_full() {
                    let shown = missing.flush(self, items);

                    // Then it hashes none, and nothing has been replaced.
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

    impl HasAddresses for [usize; 2] {
        fn addresses(&mut self) -> &mut [usize] {
            self
        }
    }

    #[test]
    fn hashes_are_remembered() {
        let mut hashes = Hashes::new();

        hashes.prepare(100);
        hashes.0.insert(1, 1001);
        hashes.prepare(10);
        assert_eq!(hashes.0.find(1), Some(&mut 1001));
    }

    #[test]
    fn a_full_table_is_begun_anew() {
        let mut hashes = Hashes::new();

        hashes.prepare(1);
        for address in 1..100 {
            hashes.0.insert(address, address);
        }
        assert_eq!(hashes.0.room(), 0);
        hashes.prepare(1);
        assert!(hashes.0.room() != 0);
    }

    #[test]
    fn the_same_address_has_the_same_hash() {
        let mut items = [[0x1000, 0x2000], [0x2000, 0], [0x3000, 0x1000]];

        if hash(&mut items) == Shown::Hashes {
            assert_eq!(items[0][0], items[2][1]);
            assert_eq!(items[0][1], items[1][0]);
            assert_eq!(items[1][1], 0);
            assert!(items[0][0] != items[0][1]);
        }
    }
}
