// SPDX-License-Identifier: GPL-2.0

//! The digits of numbers in hexadecimal.
//!
//! Eight digits are made at once. A loop over the digits makes `segments` 8% slower: `segments`
//! would miss its goal (Documentation/bench.md).

use crate::text::scan::each_byte;

/// The number of digits of an address, with leading zeros.
pub(crate) const ADDRESS_DIGITS: usize = 2 * size_of::<usize>();

/// Returns the digits of `value` in hexadecimal, with leading zeros.
#[inline]
pub(crate) fn hexadecimal(value: usize) -> [u8; ADDRESS_DIGITS] {
    let mut text = [0; ADDRESS_DIGITS];
    let (high, low) = text.split_at_mut(8);

    // CAST: The halves.
    high.copy_from_slice(&eight_digits((value >> 32) as u32));
    low.copy_from_slice(&eight_digits(value as u32));
    text
}

/// Returns the eight digits of `value` in hexadecimal.
#[inline]
fn eight_digits(value: u32) -> [u8; 8] {
    // The eight groups of four bits, a byte each, the highest in the highest byte.
    let value = u64::from(value);
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    let value = (value | value << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One in each byte that is ten or more.
    let letters = (value + each_byte(6)) >> 4 & each_byte(1);

    (value + each_byte(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}
