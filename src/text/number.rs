// SPDX-License-Identifier: GPL-2.0

//! Numbers in decimal and hexadecimal.
//!
//! A number is written at the right end of a field that was made wide enough beforehand, and the
//! rest of the field becomes blank. The field may have a number from before. A field that is too
//! narrow is filled with asterisks: part of a number would be another number.

use crate::text::hexadecimal::{
    hexadecimal, //
    ADDRESS_DIGITS,
};
use crate::text::line::Line;
use kernel::prelude::*;

/// The fewest digits that [`write_padded`] writes.
const PADDED_DIGITS: usize = 8;

/// Fills a field that is too narrow for its number.
#[cold]
pub(crate) fn mark(field: &mut [u8]) {
    field.fill(b'*');
}

/// Makes the rest of a field blank, in which a number from before may end.
#[inline]
pub(crate) fn blank(rest: &mut [u8]) {
    for place in rest.iter_mut().rev() {
        if *place == b' ' {
            return;
        }
        *place = b' ';
    }
}

/// Returns how many digits `value` has in decimal.
pub(crate) fn decimal_width(value: u64) -> usize {
    // CAST: There are at most 20 digits.
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The numbers below a hundred, two digits each.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;

    while number < 100 {
        // CAST: The digits are below ten.
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Writes the digits of `value` at the right end of `field`. Returns the rest of the field, or
/// [`None`] if it is too narrow.
#[inline(always)]
pub(crate) fn write_decimal_digits(mut field: &mut [u8], mut value: u64) -> Option<&mut [u8]> {
    // Fewer divisions: a moment in nanoseconds has ten digits and more.
    while value >= 10_000 {
        let (rest, four) = field.split_last_chunk_mut()?;
        // CAST: The remainder is below ten thousand.
        let end = (value % 10_000) as u32;
        let [a, b] = PAIRS[(end / 100) as usize];
        let [c, d] = PAIRS[(end % 100) as usize];

        *four = [a, b, c, d];
        value /= 10_000;
        field = rest;
    }
    while value >= 10 {
        let (rest, pair) = field.split_last_chunk_mut()?;

        // CAST: The remainder is below a hundred.
        *pair = PAIRS[(value % 100) as usize];
        value /= 100;
        field = rest;
        if value == 0 {
            return Some(field);
        }
    }
    let (place, rest) = field.split_last_mut()?;

    // CAST: It is below ten.
    *place = b'0' + value as u8;
    Some(rest)
}

/// Writes `value` in decimal into `field`.
#[inline(always)]
pub(crate) fn write_decimal(field: &mut [u8], value: u64) {
    match write_decimal_digits(field, value) {
        Some(rest) => blank(rest),
        None => mark(field),
    }
}

/// Writes `value` in decimal, with a sign if it is negative, into `field`.
pub(crate) fn write_signed(field: &mut [u8], value: i64) {
    let rest = write_decimal_digits(field, value.unsigned_abs());

    match rest.map(|rest| (value < 0, rest)) {
        Some((false, rest)) => blank(rest),
        Some((true, [rest @ .., sign])) => {
            *sign = b'-';
            blank(rest);
        }
        _ => mark(field),
    }
}

/// Returns how many digits `value` has in hexadecimal.
fn digits(value: usize) -> usize {
    // CAST: There are at most 16 digits.
    value.checked_ilog2().map_or(1, |log| log as usize / 4 + 1)
}

/// Returns how many bytes [`write_padded`] writes.
#[inline]
pub(crate) fn padded_width(value: usize) -> usize {
    digits(value).max(PADDED_DIGITS)
}

/// Writes `value` in hexadecimal, with at least eight digits, into `field`.
#[inline(always)]
pub(crate) fn write_padded(field: &mut [u8], value: usize) {
    let count = padded_width(value);
    let digits = hexadecimal(value << (4 * (ADDRESS_DIGITS - count)));
    let Some(start) = field.len().checked_sub(count) else {
        return mark(field);
    };
    let (rest, text) = field.split_at_mut(start);

    // In two pieces of a fixed size, which overlap: to copy some number of bytes takes a call.
    if let Some(place) = text.first_chunk_mut::<PADDED_DIGITS>() {
        place.copy_from_slice(&digits[..PADDED_DIGITS]);
    }
    if let Some(place) = text.last_chunk_mut::<PADDED_DIGITS>() {
        place.copy_from_slice(&digits[count - PADDED_DIGITS..count]);
    }
    blank(rest);
}

/// Returns how many bytes [`write_prefixed`] writes.
pub(crate) fn prefixed_width(value: usize) -> usize {
    2 + digits(value)
}

/// Writes `value` in hexadecimal, with `0x` and without leading zeros, at the right end of `field`.
#[inline]
pub(crate) fn write_prefixed(field: &mut [u8], value: usize) {
    const PREFIX: &[u8] = b"0x";
    let count = digits(value);
    let Some(start) = field.len().checked_sub(PREFIX.len() + count) else {
        return mark(field);
    };
    let (rest, text) = field.split_at_mut(start);
    let (place, digits) = text.split_at_mut(PREFIX.len());

    place.copy_from_slice(PREFIX);
    digits.copy_from_slice(&hexadecimal(value)[ADDRESS_DIGITS - count..]);
    blank(rest);
}

/// Adds `value` in hexadecimal to `line`, without leading zeros.
pub(crate) fn add_short_hexadecimal(line: &mut Line<'_>, value: usize) {
    line.bytes(&hexadecimal(value)[ADDRESS_DIGITS - digits(value)..]);
}

#[kunit_tests(taskscope_number)]
mod tests {
    use super::*;

    /// Returns whether `write` writes `expected` at the right end of a field, and needs no more
    /// room.
    fn writes(expected: &[u8], write: impl Fn(&mut [u8])) -> bool {
        let mut field = [b' '; 20];
        let start = field.len() - expected.len();

        write(&mut field);
        let is_on_the_right = field[start..] == *expected && field.trim_ascii_start() == expected;

        write(&mut field[start..]);
        is_on_the_right && field[start..] == *expected
    }

    #[test]
    fn decimals() {
        for (value, text) in [
            (0, &b"0"[..]),
            (9, b"9"),
            (10, b"10"),
            (109, b"109"),
            (4_194_303, b"4194303"),
            (4_294_967_296, b"4294967296"),
            (100_000_000_000_000_007, b"100000000000000007"),
            (u64::MAX, b"18446744073709551615"),
        ] {
            assert!(writes(text, |field| write_decimal(field, value)));
            assert_eq!(decimal_width(value), text.len());
        }
    }

    /// Returns whether `value` is written as `core` writes it.
    fn is_written(value: u64) -> bool {
        let mut buf = [0; 20];
        let mut line = Line::new(&mut buf);

        write!(line, "{value}");
        writes(line.as_bytes(), |field| write_decimal(field, value))
    }

    /// All numbers of four digits and fewer, and those around each power of ten.
    #[test]
    fn every_digit_stands_in_its_place() {
        for power in (4..20).map(|digits| 10u64.pow(digits)) {
            assert!(is_written(power - 1) && is_written(power) && is_written(power + 1));
        }
        for value in 0..10_100 {
            assert!(is_written(value));
        }
    }

    #[test]
    fn hexadecimals() {
        assert_eq!(&hexadecimal(0xffff_8a5b_09af_1b7e), b"ffff8a5b09af1b7e");
        assert_eq!(&hexadecimal(0x1b7e), b"0000000000001b7e");
        for (value, at_least_eight, short, prefixed) in [
            (0, &b"00000000"[..], &b"0"[..], &b"0x0"[..]),
            (0xf, b"0000000f", b"f", b"0xf"),
            (0x10, b"00000010", b"10", b"0x10"),
            (
                0x7ffd_1234_5678,
                b"7ffd12345678",
                b"7ffd12345678",
                b"0x7ffd12345678",
            ),
            (
                usize::MAX,
                b"ffffffffffffffff",
                b"ffffffffffffffff",
                b"0xffffffffffffffff",
            ),
        ] {
            let mut buf = [0; 16];
            let mut line = Line::new(&mut buf);

            add_short_hexadecimal(&mut line, value);
            assert_eq!(line.as_bytes(), short);
            assert!(writes(at_least_eight, |field| write_padded(field, value)));
            assert_eq!(padded_width(value), at_least_eight.len());
            assert!(writes(prefixed, |field| write_prefixed(field, value)));
            assert_eq!(prefixed_width(value), prefixed.len());
        }
    }

    #[test]
    fn a_number_stands_on_the_right() {
        let mut field = *b"      ";

        write_decimal(&mut field, 1204);
        assert_eq!(&field, b"  1204");
        write_decimal(&mut field, 7);
        assert_eq!(&field, b"     7");
        write_signed(&mut field, -12);
        assert_eq!(&field, b"   -12");
        write_prefixed(&mut field, 0xab);
        assert_eq!(&field, b"  0xab");
        write_padded(&mut [b' '; 4], 1);
    }

    #[test]
    fn a_field_that_is_too_narrow_is_marked() {
        let writes: [fn(&mut [u8]); 6] = [
            |field| write_decimal(field, 12345),
            |field| write_decimal(field, 1_234_567),
            |field| write_padded(field, 0x1234),
            |field| write_prefixed(field, 0x123),
            |field| write_decimal(field, u64::MAX),
            |field| write_signed(field, -1234),
        ];

        for write in writes {
            let mut text = *b"[    ]";

            write(&mut text[1..5]);
            assert_eq!(&text, b"[****]");
        }
        write_decimal(&mut [], 1);
    }
}
