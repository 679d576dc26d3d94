// SPDX-License-Identifier: GPL-2.0

//! The symbols that return addresses lie in.
//!
//! To look up a symbol costs several times what it costs to find the address on a stack, and most
//! threads wait in few places. So [`Symbols`] remembers the symbol of each address.
//!
//! The symbol of an address in the kernel's own text never changes. Modules, BPF programs and
//! trampolines come and go, and their memory is reused. Their symbols end with the name of the
//! module in brackets. Such a symbol holds only within the RCU read-side critical section in which
//! the address was found: the kernel frees the memory a grace period after it has removed the
//! module from its lists. For a module that is being removed, the kernel may have no symbol any
//! more. Then the table shows the address. The name may be that of another module if the first one
//! was being removed already when the section began, and its memory was used again within the
//! section.

use crate::abstractions::symbol::{
    self,
    FRAME_MAX, //
};
use crate::capture::address_map::AddressMap;
use crate::capture::addresses::HasAddresses;
use kernel::prelude::*;

/// A name.
struct Symbol {
    /// The return address; 0 after [`Symbols::finish`] if there is a name.
    address: [usize; 1],
    /// Where the name begins in the text.
    start: usize,
    /// The length of the name; 0 if there is none.
    len: usize,
    /// The critical section in which it was looked up, if it holds only there.
    section: Option<usize>,
    /// Whether a frame with the same return address has the same name.
    is_shared: bool,
}

impl HasAddresses for Symbol {
    fn addresses(&mut self) -> &mut [usize] {
        &mut self.address
    }
}

/// What is shown for a return address.
pub(crate) enum Place<'a> {
    /// Symbol+offset/size and, in brackets, the module.
    Named(&'a [u8]),
    /// The address, or what replaces it: the kernel has no symbol for it.
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
    /// No symbol is known. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            text: KVVec::new(),
            symbols: KVVec::new(),
            numbers: AddressMap::new(),
            section: 0,
            scratch: KBox::new([0; FRAME_MAX], GFP_KERNEL)?,
        })
    }

    /// Makes room for `count` more names, before another critical section. May sleep.
    pub(crate) fn prepare(&mut self, count: usize) -> Result {
        self.text.reserve(count * FRAME_MAX, GFP_KERNEL)?;
        self.symbols.reserve(count, GFP_KERNEL)?;
        if self.numbers.room() < count {
            let known = self.symbols.len();
            let mut numbers = AddressMap::with_room(2 * known + count, usize::MAX, GFP_KERNEL)?;

            for (number, symbol) in (0u32..).zip(&self.symbols) {
                if symbol.is_shared {
                    numbers.insert(symbol.address[0], number);
                }
            }
            self.numbers = numbers;
        }
        self.section += 1;
        Ok(())
    }

    /// Returns whether there is room for `count` more names.
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
        // CAST: `usize` has 64 bits.
        match self.symbols[number as usize].section {
            Some(section) => section == self.section,
            None => true,
        }
    }

    /// Asks the kernel for the name of `address`, which in another critical section had the name
    /// numbered `known`.
    fn look_up(&mut self, address: usize, known: Option<u32>) -> Result<u32> {
        let len = symbol::print_frame(address, &mut self.scratch);
        let name = &self.scratch[..len];
        let section = self.section_of(len);

        if let Some(number) = known {
            // CAST: `usize` has at least 32 bits here.
            let symbol = &mut self.symbols[number as usize];

            if &self.text[symbol.start..][..symbol.len] == name {
                symbol.section = section;
                return Ok(number);
            }
        }

        let number = self.push(address, len, section, true)?;

        self.numbers.insert(address, number);
        Ok(number)
    }

    /// Adds a symbol, whose name is the first `len` bytes of `scratch`, and returns its number.
    fn push(
        &mut self,
        address: usize,
        len: usize,
        section: Option<usize>,
        is_shared: bool,
    ) -> Result<u32> {
        let start = self.text.len();
        let number = u32::try_from(self.symbols.len()).map_err(|_| ENOMEM)?;

        for byte in &self.scratch[..len] {
            self.text.push_within_capacity(*byte)?;
        }
        self.symbols.push_within_capacity(Symbol {
            address: [address],
            start,
            len,
            section,
            is_shared,
        })?;
        Ok(number)
    }

    /// As [`Symbols::number`], for an address at which code goes on, and not a return address.
    pub(crate) fn program_counter(&mut self, address: usize) -> Result<u32> {
        let len = symbol::print_program_counter(address, &mut self.scratch);
        let section = self.section_of(len);

        self.push(address, len, section, false)
    }

    /// Returns the number of an entry with the same address and no name, if the name is that of a
    /// module. Otherwise returns `number`. Does not sleep; fails when no room was made.
    pub(crate) fn without_module_name(&mut self, number: u32) -> Result<u32> {
        // CAST: `usize` has 64 bits.
        let symbol = &self.symbols[number as usize];

        match symbol.section {
            Some(_) => self.push(symbol.address[0], 0, None, false),
            None => Ok(number),
        }
    }

    /// Returns the critical section if the name in `scratch`, which has `len` bytes, holds only
    /// within it.
    fn section_of(&self, len: usize) -> Option<usize> {
        let holds_for_ever = self.scratch[..len].last().is_some_and(|last| *last != b']');

        (!holds_for_ever).then_some(self.section)
    }

    /// Ends the recording. Returns the addresses without a name, and zeros for the others, so that
    /// the caller replaces them by what is shown. The caller asks for no number after this.
    pub(crate) fn finish(&mut self) -> &mut [impl HasAddresses] {
        for symbol in &mut self.symbols {
            if symbol.len != 0 {
                symbol.address = [0];
            }
        }
        &mut self.symbols
    }

    /// Returns what is shown for the address with this number.
    #[inline]
    pub(crate) fn place(&self, number: u32) -> Place<'_> {
        // CAST: `usize` has at least 32 bits here.
        let symbol = &self.symbols[number as usize];

        if symbol.len != 0 {
            Place::Named(&self.text[symbol.start..][..symbol.len])
        } else {
            Place::Address(symbol.address[0])
        }
    }
}

#[kunit_tests(taskscope_symbols)]
mod tests {
    use super::*;

    /// Returns what is shown for number `number` of `symbols`, or nothing if that is the address
    /// `address`.
    fn name(symbols: &Symbols, number: u32, address: usize) -> &[u8] {
        match symbols.place(number) {
            Place::Named(name) => name,
            Place::Address(shown) => {
                assert_eq!(shown, address);
                b""
            }
        }
    }

    /// The last instruction of a function may be a call, so that a return address lies behind the
    /// function.
    #[test]
    fn a_program_counter_is_no_return_address() -> Result {
        let schedule = symbol::tests::schedule();
        let mut symbols = Symbols::new()?;

        symbols.prepare(4)?;
        let code = symbols.program_counter(schedule)?;
        let frame = symbols.number(schedule)?;
        let code_again = symbols.program_counter(schedule)?;

        assert!(name(&symbols, code, schedule).starts_with(b"schedule+0x0/"));
        assert!(!name(&symbols, frame, schedule).starts_with(b"schedule+"));
        assert!(name(&symbols, code_again, schedule).starts_with(b"schedule+0x0/"));
        // The entries that are found by their addresses are those of return addresses, in a new
        // table too.
        symbols.prepare(symbols.numbers.room() + 1)?;
        assert_eq!(symbols.number(schedule)?, frame);
        Ok(())
    }

    /// This code is in a module.
    #[test]
    fn the_name_of_a_module_passes() -> Result {
        let here = (Symbols::new as *const ()).addr();
        let schedule = symbol::tests::schedule();
        let mut symbols = Symbols::new()?;

        symbols.prepare(4)?;
        let kernel = symbols.program_counter(schedule)?;
        let module = symbols.program_counter(here)?;
        let without = symbols.without_module_name(module)?;

        assert_eq!(symbols.without_module_name(kernel)?, kernel);
        assert!(name(&symbols, module, here).ends_with(b"[taskscope]"));
        assert!(without != module);
        assert_eq!(name(&symbols, without, here), b"");
        Ok(())
    }

    /// Returns the address of an instruction of this module.
    fn here() -> usize {
        (Symbols::new as *const ()).addr() + 1
    }

    /// To look up a name costs several times what it costs to find the address.
    #[test]
    fn a_name_that_holds_is_not_looked_up_again() -> Result {
        let schedule = symbol::tests::schedule() + 1;
        let mut symbols = Symbols::new()?;

        symbols.prepare(4)?;
        let kernel = symbols.number(schedule)?;

        symbols.prepare(4)?;
        let module = symbols.number(here())?;

        // The kernel does not have these names.
        symbols.text[..].fill(b'x');
        assert_eq!(symbols.number(schedule)?, kernel);
        assert_eq!(symbols.number(here())?, module);
        Ok(())
    }

    /// Another module may have been loaded there.
    #[test]
    fn the_name_of_a_module_is_looked_up_in_each_section() -> Result {
        let mut symbols = Symbols::new()?;

        symbols.prepare(4)?;
        let first = symbols.number(here())?;

        symbols.prepare(4)?;
        assert_eq!(symbols.number(here())?, first);
        // Only this section has looked it up, and not the one before.
        symbols.text[..].fill(b'x');
        assert_eq!(symbols.number(here())?, first);
        symbols.prepare(4)?;
        let second = symbols.number(here())?;

        assert!(second != first);
        assert!(name(&symbols, second, here()).ends_with(b"[taskscope]"));
        Ok(())
    }

    #[test]
    fn there_is_room_for_as_many_as_asked_for() -> Result {
        const MORE: usize = 128;
        let schedule = symbol::tests::schedule();
        let mut symbols = Symbols::new()?;
        let mut known = 0;
        let mut grown = 0;

        // The table of numbers becomes full three times meanwhile.
        while known < 16 * MORE {
            let slots = symbols.numbers.slots();

            symbols.prepare(MORE)?;
            assert!(symbols.has_room(MORE));
            if known != 0 && symbols.numbers.slots() != slots {
                // The table grows by what it has, so that it is seldom made again.
                assert!((known..4 * known).contains(&symbols.numbers.room()));
                grown += 1;
            }
            for _ in 0..MORE {
                known += 1;
                symbols.number(schedule + known)?;
            }
        }
        assert_eq!(grown, 3);
        assert_eq!(symbols.symbols.len(), known);
        Ok(())
    }

    #[test]
    fn there_is_room_if_all_names_may_be_long() -> Result {
        let mut symbols = Symbols::new()?;
        let add = |symbols: &mut Symbols, len| symbols.push(1, len, None, false);

        symbols.prepare(4)?;
        assert!(symbols.has_room(4));
        assert!(!symbols.has_room(5));
        for left in (0..4).rev() {
            add(&mut symbols, 0)?;
            assert!(symbols.has_room(left));
            assert!(!symbols.has_room(left + 1));
        }
        // From here on there is more room for symbols than for text.
        symbols.prepare(1)?;
        symbols.prepare(5)?;
        for left in (0..8).rev() {
            add(&mut symbols, FRAME_MAX)?;
            assert!(symbols.has_room(left));
            assert!(!symbols.has_room(left + 1));
        }
        assert!(add(&mut symbols, 1).is_err());
        Ok(())
    }

    /// What is shown of a name has no address in it.
    #[test]
    fn only_addresses_without_a_name_are_hashed() -> Result {
        let schedule = symbol::tests::schedule() + 1;
        let mut symbols = Symbols::new()?;

        symbols.prepare(4)?;
        symbols.number(schedule)?;
        let module = symbols.number(here())?;
        let without = symbols.without_module_name(module)?;
        let entries = symbols.finish().iter_mut();

        assert!(entries.map(|entry| entry.addresses()[0]).eq([0, 0, here()]));
        assert_eq!(name(&symbols, without, here()), b"");
        Ok(())
    }
}
