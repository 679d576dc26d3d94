// SPDX-License-Identifier: GPL-2.0

//! What has set off a context: column SOURCE of `contexts`.
//!
//! A number and a name have a colon between them. A backslash and three octal digits replace each
//! byte of a name that is not printable ASCII, the backslash, and each space, since other columns
//! follow. An empty name is `\000`.

use crate::text::name::octal;
use crate::text::scan::is_plain;
use core::fmt;
use kernel::prelude::*;

/// The most bytes of the column. With it, a row of `contexts` is not wider than
/// [`WIDTH_MAX`](crate::text::layout::WIDTH_MAX).
const SOURCE_MAX: usize = 128;

/// What has set off a context, as text.
///
/// # Invariants
///
/// `len` is at most [`SOURCE_MAX`].
#[derive(Clone, Copy)]
pub(crate) struct Source {
    text: [u8; SOURCE_MAX],
    len: usize,
    is_cut: bool,
}

impl Source {
    /// No text yet.
    const EMPTY: Self = Self {
        text: [0; SOURCE_MAX],
        // INVARIANT: No byte.
        len: 0,
        is_cut: false,
    };

    /// Nothing, or nothing that is known.
    pub(crate) fn nothing() -> Self {
        Self::word(b"-")
    }

    /// A word of the module.
    pub(crate) fn word(word: &[u8]) -> Self {
        let mut source = Self::EMPTY;

        source.add(word);
        source
    }

    /// A CPU.
    pub(crate) fn cpu(cpu: u32) -> Self {
        Self::formatted(format_args!("cpu{cpu}"))
    }

    /// What has a number and a name, of which `is_whole` says whether it is all of the name.
    pub(crate) fn named(number: impl fmt::Display, name: &[u8], is_whole: bool) -> Self {
        let mut source = Self::formatted(format_args!("{number}:"));

        for &byte in name {
            if is_plain(byte) {
                source.add(&[byte]);
            } else {
                source.add(&octal(byte));
            }
        }
        if name.is_empty() {
            source.add(&octal(0));
        }
        source.is_cut |= !is_whole;
        source
    }

    /// Returns the text, which has neither spaces nor control characters.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// Returns whether the end of the name is missing.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Text of the module.
    fn formatted(text: fmt::Arguments<'_>) -> Self {
        let mut source = Self::EMPTY;

        // What does not fit is cut off.
        let _ = fmt::write(&mut source, text);
        source
    }

    /// Adds `piece`. If it does not fit as a whole, the text ends before it.
    fn add(&mut self, piece: &[u8]) {
        match self.text[self.len..].get_mut(..piece.len()) {
            // INVARIANT: The piece fits.
            Some(place) if !self.is_cut => {
                place.copy_from_slice(piece);
                self.len += piece.len();
            }
            _ => self.is_cut = true,
        }
    }
}

impl fmt::Write for Source {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

#[kunit_tests(taskscope_source)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        assert_eq!(Source::nothing().as_bytes(), b"-");
        assert_eq!(Source::word(b"read").as_bytes(), b"read");
        assert_eq!(Source::cpu(u32::MAX).as_bytes(), b"cpu4294967295");
        assert_eq!(Source::named(-1, b"x", true).as_bytes(), b"-1:x");
    }

    #[test]
    fn a_name_cannot_leave_its_column() {
        for (name, expected) in [
            (&b"virtio0-virtqueues"[..], &b"25:virtio0-virtqueues"[..]),
            (b"PCIe PME", b"25:PCIe\\040PME"),
            (b" ", b"25:\\040"),
            (b"", b"25:\\000"),
            (b"a:b", b"25:a:b"),
            (b"a\n#\x1b\\\xff", b"25:a\\012#\\033\\134\\377"),
        ] {
            let source = Source::named(25, name, true);

            assert_eq!(source.as_bytes(), expected);
            assert!(!source.is_cut());
        }
    }

    #[test]
    fn a_name_is_cut_before_a_byte_that_does_not_fit() {
        // The description of the column has this number.
        const MAX: usize = 128;

        let mut name = [b'x'; MAX];
        let plain = MAX - "1:".len();

        assert!(!Source::named(1, &name[..plain], true).is_cut());
        assert!(Source::named(1, &name[..plain], false).is_cut());
        assert!(Source::named(1, &name[..=plain], true).is_cut());
        assert!(Source::named(1, &name[..=plain], false).is_cut());
        // A byte that takes four places, with three left, and one that would fit after it.
        name[plain - 3] = b' ';
        let source = Source::named(1, &name[..plain - 1], true);

        assert_eq!(source.as_bytes().len(), MAX - 3);
        assert!(source.is_cut());
    }
}
