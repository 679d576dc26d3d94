// SPDX-License-Identifier: GPL-2.0

//! Text that grows inside a buffer somebody else provides.
//!
//! [`Line`] hands out pieces of the buffer to be filled in place, so that no text is copied on its
//! way to the reader. What does not fit is not written in part: the line remembers that it has
//! overflowed, and whoever provided the buffer comes again with a larger one.

use core::mem::MaybeUninit;
use kernel::prelude::*;

/// How many bytes are copied at once: as many as can be without calling `memcpy()`.
pub(crate) const PIECE: usize = 64;

/// A piece of text that grows at its end inside a borrowed buffer.
///
/// Once anything has failed to fit, everything later is dropped as well, and [`Line::finish`]
/// returns [`None`].
///
/// # Invariants
///
/// `len <= buf.len()`, and the first `len` bytes of `buf` are initialised.
pub(crate) struct Line<'a> {
    buf: &'a mut [MaybeUninit<u8>],
    len: usize,
    overflowed: bool,
}

impl<'a> Line<'a> {
    /// Begins an empty line in `buf`.
    #[inline]
    pub(crate) fn new(buf: &'a mut [MaybeUninit<u8>]) -> Self {
        // INVARIANT: Not one byte is claimed to be initialised.
        Self {
            buf,
            len: 0,
            overflowed: false,
        }
    }

    /// Ends the line: its length in bytes, or [`None`] when it did not fit.
    #[inline]
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }

    /// Returns what has been written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant the buffer has at least `len` bytes and these are
        // initialised; `MaybeUninit<u8>` has the layout of `u8`.
        unsafe { core::slice::from_raw_parts(self.buf.as_ptr().cast(), self.len) }
    }

    /// Returns what has been written so far, or nothing if it is not UTF-8.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.as_bytes();

        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns whether `room` more bytes fit. If they do not, the line has overflowed.
    ///
    /// A row asks for as much as it can possibly need before it writes anything, so that no time
    /// goes into text that will be thrown away.
    #[inline]
    pub(crate) fn has_room(&mut self, room: usize) -> bool {
        if self.buf.len() - self.len < room {
            self.overflowed = true;
        }
        !self.overflowed
    }

    /// Adds `width` bytes, spaces at first, and returns them to be filled in.
    #[inline]
    pub(crate) fn blank(&mut self, width: usize) -> Option<&mut [u8]> {
        if !self.has_room(width) {
            return None;
        }
        let field = &mut self.buf[self.len..self.len + width];
        field.fill(MaybeUninit::new(b' '));

        // INVARIANT: The `width` bytes after the first `len` have just been initialised.
        self.len += width;

        // SAFETY: These bytes have just been initialised, they are borrowed from `buf` for as long
        // as the result lives, and `MaybeUninit<u8>` has the layout of `u8`.
        Some(unsafe { core::slice::from_raw_parts_mut(field.as_mut_ptr().cast(), width) })
    }

    /// Adds the first `used` bytes of `pattern`. There must be room for all of it.
    ///
    /// Pieces of a fixed size are copied in a few instructions, where an exact number of bytes takes
    /// many more, or a call of `memcpy()`.
    #[inline]
    pub(crate) fn stamp<const N: usize>(&mut self, pattern: &[u8; N], used: usize) {
        const { assert!(N < PIECE || N % PIECE == 0) };

        if !self.has_room(N) {
            return;
        }
        let used = used.min(N);
        let place = &mut self.buf[self.len..self.len + N];
        let mut at = 0;

        if N < PIECE {
            if let Some(place) = place.first_chunk_mut::<N>() {
                *place = pattern.map(MaybeUninit::new);
            }
        } else {
            while at < used {
                if let (Some(place), Some(piece)) = (
                    place[at..].first_chunk_mut::<PIECE>(),
                    pattern[at..].first_chunk::<PIECE>(),
                ) {
                    *place = piece.map(MaybeUninit::new);
                }
                at += PIECE;
            }
        }

        // INVARIANT: At least `used` bytes after the first `len` have just been initialised.
        self.len += used;
    }

    /// Adds one byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        if self.has_room(1) {
            self.buf[self.len].write(byte);
            // INVARIANT: The byte after the first `len` has just been initialised.
            self.len += 1;
        }
    }

    /// Adds `bytes`.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if !self.has_room(bytes.len()) {
            return;
        }
        // SAFETY: These are the bytes themselves; `MaybeUninit<u8>` has the layout of `u8`.
        let bytes: &[MaybeUninit<u8>] =
            unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) };

        self.buf[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        // INVARIANT: The bytes after the first `len` have just been initialised.
        self.len += bytes.len();
    }
}

#[kunit_tests(taskscope_line)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut buf = [MaybeUninit::uninit(); 4];
        let mut line = Line::new(&mut buf);

        line.bytes(b"abc");
        line.bytes(b"de");
        assert_eq!(line.as_bytes(), b"abc");
        assert!(!line.has_room(0));
        line.byte(b'f');
        assert_eq!(line.as_bytes(), b"abc");
        assert!(line.finish().is_none());
    }

    #[test]
    fn pieces_are_written_in_place() {
        let mut buf = [MaybeUninit::uninit(); 8];
        let mut line = Line::new(&mut buf);

        if let Some(field) = line.blank(3) {
            field[1] = b'x';
        }
        line.stamp(b"12345", 2);
        assert_eq!(line.as_bytes(), b" x 12");
        assert_eq!(line.as_str(), " x 12");
        line.stamp(b"12345", 2);
        assert_eq!(line.as_bytes(), b" x 12");
        assert!(line.finish().is_none());
    }

    #[test]
    fn a_long_pattern_comes_in_pieces() {
        let mut pattern = [b'-'; 2 * PIECE];

        for (at, byte) in pattern.iter_mut().enumerate() {
            // CAST: It is below 26.
            *byte = b'a' + (at % 26) as u8;
        }
        for used in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
            let mut buf = [MaybeUninit::uninit(); 2 * PIECE];
            let mut line = Line::new(&mut buf);

            line.stamp(&pattern, used);
            assert_eq!(line.as_bytes(), &pattern[..used]);
        }
    }
}
