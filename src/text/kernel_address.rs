// SPDX-License-Identifier: GPL-2.0

//! The text of kernel addresses.

use crate::text::hexadecimal::{
    hexadecimal, //
    ADDRESS_DIGITS,
};
use core::fmt;
use core::str;
use kernel::prelude::*;

/// The digits of a hash, which has 32 bits.
pub(crate) const HASH_DIGITS: usize = 8;

/// What is printed for a hidden address, as by `%p`.
const HIDDEN: &[u8; ADDRESS_DIGITS] = b"(____ptrval____)";

/// What is printed where there is no address.
const NONE: &[u8; ADDRESS_DIGITS] = b"-               ";

/// How the kernel addresses of a table are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By their hashes. The eight digits of a hash replace the address, as the bytes of a word.
    Hashes,
    /// As they are, in hexadecimal.
    Numbers,
    /// Not at all. Hashes may have replaced some addresses.
    Hidden,
}

impl Shown {
    /// Returns what a column shows for `number`, an address or its hash; 0 is no address.
    #[inline(always)]
    pub(crate) fn address(self, number: usize) -> KernelAddress {
        KernelAddress {
            shown: self,
            number,
        }
    }
}

/// A kernel address, and how it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KernelAddress {
    shown: Shown,
    number: usize,
}

impl KernelAddress {
    /// Writes the text to `place`: a dash, and spaces, for no address.
    #[inline(always)]
    pub(crate) fn write(self, place: &mut [u8; ADDRESS_DIGITS]) {
        match self.shown {
            _ if self.number == 0 => *place = *NONE,
            Shown::Hashes => {
                let (zeros, digits) = place.split_at_mut(ADDRESS_DIGITS - HASH_DIGITS);

                zeros.copy_from_slice(&[b'0'; ADDRESS_DIGITS - HASH_DIGITS]);
                digits.copy_from_slice(&self.number.to_ne_bytes());
            }
            Shown::Numbers => *place = hexadecimal(self.number),
            Shown::Hidden => *place = *HIDDEN,
        }
    }

    /// Returns the text.
    pub(crate) fn text(self) -> [u8; ADDRESS_DIGITS] {
        let mut text = [0; ADDRESS_DIGITS];

        self.write(&mut text);
        text
    }
}

impl fmt::Display for KernelAddress {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All bytes are ASCII.
        text.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

#[kunit_tests(taskscope_kernel_address)]
mod tests {
    use super::*;
    use crate::text::line::Line;

    #[test]
    fn addresses() {
        let hash = usize::from_ne_bytes(*b"fe0012ab");

        for (address, expected) in [
            (Shown::Hashes.address(hash), b"00000000fe0012ab"),
            (Shown::Numbers.address(0x1_2345_6789), b"0000000123456789"),
            (Shown::Hidden.address(hash), b"(____ptrval____)"),
            (Shown::Hashes.address(0), b"-               "),
            (Shown::Numbers.address(0), b"-               "),
            (Shown::Hidden.address(0), b"-               "),
        ] {
            let mut buf = [0; ADDRESS_DIGITS];
            let mut line = Line::new(&mut buf);

            write!(line, "{address}");
            assert_eq!(line.as_bytes(), expected);
            assert_eq!(address.text(), *expected);
        }
    }
}
