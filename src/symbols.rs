// SPDX-License-Identifier: GPL-2.0

//! What return addresses lie in: names, looked up once an address.
//!
//! To look an address up costs several times what it costs to find it on a stack, and most threads
//! wait in few places. [`Symbols`] therefore remembers the names.
//!
//! The name of an address in the kernel's own text never changes. Modules, programs of BPF and
//! trampolines come and go, and what was in one may be in another later: their names, which end
//! with that of the module in brackets, hold only within the RCU read-side critical section in which
//! the address was found. Their memory is given back a grace period after they have been taken off
//! the lists: as long as the critical section lasts, it is nobody else's. What is on its way out,
//! the kernel may know no name for any more. Then it is the address that is shown, as addresses are.

use crate::{
    address_map::AddressMap,
    addresses::HasAddresses,
    sys::{
        self,
        FRAME_MAX, //
    }, //
};
use kernel::prelude::*;

/// How many names there is room for at first.
const COUNT: usize = 512;

/// A name.
struct Symbol {
    /// The return address; 0 once it is of no use, since there is a name.
    address: [usize; 1],
    /// Where the name begins in the text.
    start: usize,
    /// The length of the name; 0 if there is none.
    len: usize,
    /// In which critical section it was looked up, if it holds there only.
    section: Option<usize>,
}

impl HasAddresses for Symbol {
    fn addresses(&mut self) -> &mut [usize] {
        &mut self.address
    }
}

/// What an address lies in.
pub(crate) enum Place<'a> {
    /// Symbol+offset/size and, in brackets, the module.
    Named(&'a [u8]),
    /// Nothing that the kernel has a name for. What is to be shown for the address.
    Address(usize),
}

/// Names of return addresses, by numbers.
pub(crate) struct Symbols {
    /// The names, one after the other.
    text: KVVec<u8>,
    symbols: KVVec<Symbol>,
    /// The number of the latest name of each address.
    numbers: AddressMap<u32>,
    /// The critical section, counted.
    section: usize,
    scratch: KBox<[u8; FRAME_MAX]>,
}

impl Symbols {
    /// Knows none. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            text: KVVec::new(),
            symbols: KVVec::new(),
            numbers: AddressMap::with_room(COUNT, usize::MAX, GFP_KERNEL)?,
            section: 0,
            scratch: KBox::new([0; FRAME_MAX], GFP_KERNEL)?,
        })
    }

    /// Makes room for `count` names more, and prepares for another critical section. May sleep.
    pub(crate) fn prepare(&mut self, count: usize) -> Result {
        self.text.reserve(count * FRAME_MAX, GFP_KERNEL)?;
        self.symbols.reserve(count, GFP_KERNEL)?;
        if self.numbers.room() < count {
            let known = self.symbols.len();
            let mut numbers = AddressMap::with_room(2 * known + count, usize::MAX, GFP_KERNEL)?;

            for (number, symbol) in (0u32..).zip(&self.symbols) {
                numbers.insert(symbol.address[0], number);
            }
            self.numbers = numbers;
        }
        self.section += 1;
        Ok(())
    }

    /// Returns whether there is room for `count` names more.
    #[inline]
    pub(crate) fn has_room(&self, count: usize) -> bool {
        self.text.capacity() - self.text.len() >= count * FRAME_MAX
            && self.symbols.capacity() - self.symbols.len() >= count
            && self.numbers.room() >= count
    }

    /// Returns the number of the name of `address`, a return address that was found in the critical
    /// section that the caller is in. Does not sleep; fails when no room was made.
    #[inline]
    pub(crate) fn number(&mut self, address: usize) -> Result<u32> {
        let known = self.numbers.find(address).copied();

        match known {
            Some(number) if self.holds(number) => Ok(number),
            _ => self.look_up(address, known),
        }
    }

    /// Returns whether a name holds in this critical section.
    #[inline]
    fn holds(&self, number: u32) -> bool {
        // CAST: `usize` has at least 32 bits here.
        match self.symbols[number as usize].section {
            Some(section) => section == self.section,
            None => true,
        }
    }

    /// Returns the name that is the `len` bytes of the text from `start` on.
    fn slice(&self, start: usize, len: usize) -> &[u8] {
        &self.text[start..start + len]
    }

    /// Asks the kernel for the name of `address`, which in another critical section had the name
    /// numbered `known`.
    fn look_up(&mut self, address: usize, known: Option<u32>) -> Result<u32> {
        let len = sys::print_frame(address, &mut self.scratch);
        let name = &self.scratch[..len];
        let holds_for_ever = name.last().is_some_and(|last| *last != b']');
        let section = (!holds_for_ever).then_some(self.section);

        if let Some(number) = known {
            // CAST: `usize` has at least 32 bits here.
            let symbol = &mut self.symbols[number as usize];

            if &self.text[symbol.start..symbol.start + symbol.len] == name {
                symbol.section = section;
                return Ok(number);
            }
        }

        let start = self.text.len();
        let number = u32::try_from(self.symbols.len()).map_err(|_| ENOMEM)?;

        for byte in name {
            self.text.push_within_capacity(*byte)?;
        }
        self.symbols.push_within_capacity(Symbol {
            address: [address],
            start,
            len,
            section,
        })?;
        self.numbers.insert(address, number);
        Ok(number)
    }

    /// Ends it: returns the addresses without a name, and zeros for the others, for what is to be
    /// shown to take their places. No number must be asked for after this.
    pub(crate) fn finish(&mut self) -> &mut [impl HasAddresses] {
        for symbol in &mut self.symbols {
            if symbol.len != 0 {
                symbol.address = [0];
            }
        }
        &mut self.symbols
    }

    /// Returns what the number stands for.
    #[inline]
    pub(crate) fn place(&self, number: u32) -> Place<'_> {
        // CAST: `usize` has at least 32 bits here.
        let symbol = &self.symbols[number as usize];

        if symbol.len != 0 {
            Place::Named(self.slice(symbol.start, symbol.len))
        } else {
            Place::Address(symbol.address[0])
        }
    }
}
