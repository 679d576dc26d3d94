// SPDX-License-Identifier: GPL-2.0

//! The hash that the kernel prints in place of a pointer: `%p`.
//!
//! `ptr_to_hashval()` is not exported, so the hash comes from `snprintf()`. (`HashedPtr` of the
//! `kernel` crate, new in 7.3, prints one pointer a call.) What was printed is checked before it is
//! believed to be a hash: `no_hash_pointers` on the kernel's command line makes `%p` print the
//! pointer itself, and without random numbers it prints a placeholder.
//!
//! C header: [`include/linux/sprintf.h`](srctree/include/linux/sprintf.h).

use crate::text::kernel_address::HASH_DIGITS;
use crate::text::number::padded_width;
use core::ptr;
use kernel::bindings;
use kernel::prelude::*;

/// Number of characters that `%p` prints for any pointer: two hexadecimal digits a byte.
///
/// The placeholder that it prints while the kernel has no random numbers, `(____ptrval____)`, has
/// the same length.
const POINTER_WIDTH: usize = 2 * size_of::<usize>();

/// How many pointers [`hash_pointers`] hashes.
///
/// Hashing one takes about 800 instructions, and as one of several about 700.
pub(crate) const HASHED_AT_ONCE: usize = 8;

/// What `%p` prints for pointers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    /// Neither hashes nor the pointers, so that it cannot be told whether pointers are hashed: a
    /// placeholder while the kernel has no random numbers, or something unexpected.
    Unknown,
    /// The pointers themselves: the kernel was told not to hash them (`no_hash_pointers`).
    AsTheyAre,
    /// Their hashes, of which these are the digits, after as many zeros.
    Hashed([[u8; HASH_DIGITS]; HASHED_AT_ONCE]),
}

/// Returns what `%p` prints for the first `count` of `pointers`, which are kernel addresses.
pub(crate) fn hash_pointers(pointers: &[usize; HASHED_AT_ONCE], count: usize) -> Printed {
    /// For each a `%p` that prints no fewer digits than a hash has.
    const FORMAT: &CStr = c"%08p%08p%08p%08p%08p%08p%08p%08p";

    const { assert!(FORMAT.count_bytes() == HASHED_AT_ONCE * 4) };

    let count = count.min(HASHED_AT_ONCE);
    let format = &FORMAT.to_bytes_with_nul()[(HASHED_AT_ONCE - count) * 4..];
    let mut text = [0u8; HASHED_AT_ONCE * POINTER_WIDTH + 1];
    let [a, b, c, d, e, f, g, h] = pointers.map(ptr::without_provenance::<c_void>);

    // SAFETY:
    // - `text` is valid for writes of `text.len()` bytes, and `snprintf()` writes no more.
    // - The format is the end of a string, takes at most eight pointers, which `%p` prints and does
    //   not follow, and leaves the others alone.
    let printed = unsafe {
        bindings::snprintf(
            text.as_mut_ptr(),
            text.len(),
            format.as_ptr(),
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        )
    };

    match usize::try_from(printed)
        .ok()
        .and_then(|len| text.get(..len))
    {
        Some(text) => parse(text, &pointers[..count]),
        None => Printed::Unknown,
    }
}

/// Tells what `text`, which `%08p` has printed for `pointers`, is.
///
/// Kernel addresses have more digits than a hash. Where none of `pointers` has, a hash cannot be
/// told from an address.
#[inline]
fn parse(text: &[u8], pointers: &[usize]) -> Printed {
    // A small number can be a hash, and error pointers are printed as they are in any case.
    let unlike_hashes = u32::MAX as usize + 1..usize::MAX - bindings::MAX_ERRNO as usize;

    if !pointers
        .iter()
        .any(|pointer| unlike_hashes.contains(pointer))
    {
        return Printed::Unknown;
    }
    if text.len() == pointers.len() * HASH_DIGITS && text.iter().all(is_digit) {
        let mut hashes = [[0; HASH_DIGITS]; HASHED_AT_ONCE];

        hashes.as_flattened_mut()[..text.len()].copy_from_slice(text);
        Printed::Hashed(hashes)
    } else if is_raw(text, pointers) {
        Printed::AsTheyAre
    } else {
        Printed::Unknown
    }
}

/// Returns whether `byte` is a hexadecimal digit, in lower case.
fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Returns whether `text` is `pointers` in hexadecimal, with eight digits or more each.
fn is_raw(mut text: &[u8], pointers: &[usize]) -> bool {
    for pointer in pointers {
        let Some((number, rest)) = text.split_at_checked(padded_width(*pointer)) else {
            return false;
        };
        let number = number.iter().try_fold(0, |number, digit| {
            let digit = char::from(*digit).to_digit(16)?;

            // CAST: A digit is below 16.
            Some(number << 4 | digit as usize)
        });

        if number != Some(*pointer) {
            return false;
        }
        text = rest;
    }
    text.is_empty()
}

#[kunit_tests(taskscope_pointer_hash)]
mod tests {
    use super::*;
    use core::mem;

    const POINTERS: [usize; 2] = [0xffff_8880_1234_5678, 0xffff_c900_0000_4000];

    #[test]
    fn hashes_have_eight_digits() {
        let mut hashes = [[0; HASH_DIGITS]; HASHED_AT_ONCE];

        hashes[0] = *b"0012abcd";
        hashes[1] = *b"ffffffff";
        assert_eq!(
            parse(b"0012abcdffffffff", &POINTERS),
            Printed::Hashed(hashes)
        );
        // The lowest number that is no hash.
        assert!(matches!(
            parse(b"0012abcd", &[0x1_0000_0000]),
            Printed::Hashed(_)
        ));
    }

    #[test]
    fn every_byte_is_a_digit_or_not() {
        for byte in 0..=u8::MAX {
            let mut text = *b"0012abcd";

            for place in 0..HASH_DIGITS {
                let before = mem::replace(&mut text[place], byte);
                let is_hash = matches!(parse(&text, &POINTERS[..1]), Printed::Hashed(_));

                assert_eq!(is_hash, b"0123456789abcdef".contains(&byte));
                text[place] = before;
            }
        }
    }

    #[test]
    fn addresses_are_told_by_all_their_digits() {
        let raw = b"ffff888012345678ffffc90000004000";

        assert_eq!(parse(raw, &POINTERS), Printed::AsTheyAre);
        assert_eq!(parse(&raw[..16], &POINTERS[..1]), Printed::AsTheyAre);
        assert_eq!(
            parse(b"00001000ffff888012345678", &[0x1000, POINTERS[0]]),
            Printed::AsTheyAre
        );
    }

    #[test]
    fn all_else_is_unknown() {
        for text in [
            &b"(____ptrval____)(____ptrval____)"[..],
            // One raw, one hashed, both ways.
            b"ffff88801234567800000001",
            b"00000001ffffc90000004000",
            // Another address, and less or more than there should be.
            b"ffff888012345678ffffc90000004001",
            b"ffff888012345678ffffc9000000400",
            b"ffff888012345678ffffc900000040000",
            b"",
            b"0012abcd",
            // No digits.
            b"0012abcdfffffffg",
            b"0012ABCDFFFFFFFF",
            b"(efault)(efault)",
        ] {
            assert_eq!(parse(text, &POINTERS), Printed::Unknown);
        }
        // It may be the address, and it may be a hash.
        assert_eq!(parse(b"00001000", &[0x1000]), Printed::Unknown);
        assert_eq!(parse(b"89abcdef", &[0x1000]), Printed::Unknown);
        assert_eq!(parse(b"ffffffff", &[0xffff_ffff]), Printed::Unknown);
        // An error pointer is printed as it is in any case.
        assert_eq!(
            parse(b"fffffffffffffff5", &[usize::MAX - 10]),
            Printed::Unknown
        );
        assert_eq!(parse(b"89abcdef", &[usize::MAX - 10]), Printed::Unknown);
        // The last digit would be 16.
        assert_eq!(
            parse(b"ffffc9000000401g", &[0xffff_c900_0000_4010]),
            Printed::Unknown
        );
    }
}
