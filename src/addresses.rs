// SPDX-License-Identifier: GPL-2.0

//! Kernel addresses as tables show them: hashed, as `%p` prints them, or raw.
//!
//! The kernel hashes an address with a key of its own, and to get at the result one has to print it
//! and read the text. That costs more than everything else that is done for a row, and it is the
//! same for an address every time. Threads come to stay, and the memory of those that leave is used
//! again: hence [`Addresses`] remembers what it has been told.
//!
//! Hashing fails closed. Addresses are shown as they are only if the module is loaded with
//! `raw_pointers=1`, or if `%p` has printed exactly the addresses that it was given. If it prints
//! anything but that or hashes, all addresses of the table are hidden.

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

/// What is printed for an address that is hidden, as by `%p`.
const HIDDEN: &[u8; ADDRESS_DIGITS] = b"(____ptrval____)";

/// What is printed where there is no address.
const NONE: [u8; ADDRESS_DIGITS] = text::padded("-");

/// What [`Addresses::show`] has made of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Hashes, as their digits: the eight bytes of the number, as they lie in memory.
    Hashes,
    /// Nothing: they are printed in hexadecimal as they are.
    Numbers,
    /// Nothing: all are hidden. The kernel has no random numbers yet to make its key of, or it
    /// cannot be told whether it hashes addresses. Some addresses may have been replaced.
    Hidden,
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
            Self::Hidden => *HIDDEN,
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
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn show<T: HasAddresses>(&self, items: &mut [T]) -> Result<Shown> {
        let each = items.first_mut().map_or(0, |item| item.addresses().len());

        if self.raw || each == 0 {
            return Ok(Shown::Numbers);
        }
        self.hashes.lock().prepare(each * items.len());
        for items in items.chunks_mut(sys::ROWS_PER_CHECK) {
            sys::check_fatal_signal()?;
            // The lock cannot be waited for killably. It is held for a chunk at a time, so that no
            // reader waits long for it.
            match self.hashes.lock().show(items) {
                Shown::Hashes => {}
                shown => return Ok(shown),
            }
        }
        Ok(Shown::Hashes)
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
/// What is in it stays true, since the kernel never changes its key. It is there for speed only:
/// without memory for it, everything is hashed anew.
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

    /// Makes some room for `count` addresses, by beginning anew if there is not.
    ///
    /// A full table is of addresses that are in use no more, for the most part. Without memory for
    /// another, one that is not full stays.
    fn prepare(&mut self, count: usize) {
        let is_filled = self.known.room() == 0;

        if is_filled || self.known.slots() < slots_for(count).min(SLOTS_MAX) {
            match AddressMap::with_room(count, SLOTS_MAX, GFP_KERNEL | __GFP_NOWARN) {
                Ok(map) => self.known = map,
                Err(_) if is_filled => self.known = AddressMap::new(),
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

    impl HasAddresses for [usize; 2] {
        fn addresses(&mut self) -> &mut [usize] {
            self
        }
    }

    /// Such as the kernel has.
    const ADDRESSES: [usize; 3] = [
        0xffff_8880_0000_1000,
        0xffff_8880_0000_2000,
        0xffff_c900_0000_3000,
    ];

    #[test]
    fn hashes_are_remembered() {
        let mut hashes = Hashes::new();

        hashes.prepare(100);
        hashes.known.insert(1, 1001);
        hashes.prepare(10);
        assert_eq!(hashes.known.find(1), Some(&mut 1001));
    }

    #[test]
    fn a_full_table_is_begun_anew() {
        let mut hashes = Hashes::new();

        hashes.prepare(1);
        for address in 1..100 {
            hashes.known.insert(address, address);
        }
        assert_eq!(hashes.known.room(), 0);
        hashes.prepare(1);
        assert!(hashes.known.room() != 0);
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
        assert!(Shown::Hidden.text(ERROR) == *b"(____ptrval____)");
        assert!(Shown::Hidden.text(0) == NONE);
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
