// SPDX-License-Identifier: GPL-2.0

//! Whether a name can be written as it is.
//!
//! Eight bytes are examined at once. A loop over the bytes makes `threads` up to 6% slower.

use crate::text::name::COMM_LEN;
use kernel::prelude::*;

/// Returns whether a byte of a name is written as it is, wherever it stands.
#[inline]
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// Returns the length of a name, and whether every byte is written as it is.
#[inline]
pub(super) fn scan(comm: &[u8; COMM_LEN]) -> (usize, bool) {
    let name = u128::from_le_bytes(*comm);
    // CAST: The halves.
    let (len, is_plain) = scan_word(name as u64);

    if len < size_of::<u64>() {
        return (len, is_plain);
    }
    // CAST: The upper half.
    let (rest, is_rest_plain) = scan_word((name >> 64) as u64);

    (len + rest, is_plain & is_rest_plain)
}

/// Returns how many bytes of `word`, the lowest first, come before the first NUL, and whether each
/// of these [`is_plain`].
#[inline]
fn scan_word(word: u64) -> (usize, bool) {
    const MARKS: u64 = each_byte(0x80);

    // A mark in the first byte that is zero. Bytes above it may be marked too.
    let ends = word.wrapping_sub(each_byte(1)) & !word & MARKS;
    let before_end = (ends & ends.wrapping_neg()).wrapping_sub(1);
    // A mark in each byte that is not plain: those above 127 have two or three. Only such a byte
    // carries into the next byte.
    let blank = !word.wrapping_add(each_byte(0x80 - b'!'));
    let delete = word.wrapping_add(each_byte(1));
    let backslash = !(word ^ each_byte(b'\\')).wrapping_add(each_byte(0x7f));
    let odd = (blank | delete | backslash) & MARKS;

    // CAST: There are at most eight bytes.
    (ends.trailing_zeros() as usize / 8, odd & before_end == 0)
}

/// Returns a word with `byte` in every byte.
pub(super) const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[kunit_tests(taskscope_scan)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_scanned_as_its_bytes_are() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for after in [b'x', 0, 0xff] {
                    let mut bytes = [b'x'; 8];

                    bytes[at] = byte;
                    bytes[at + 1..].fill(after);
                    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(8);
                    let plain = bytes[..len].iter().all(|&byte| is_plain(byte));

                    assert_eq!(scan_word(u64::from_le_bytes(bytes)), (len, plain));
                }
            }
        }
    }
}
