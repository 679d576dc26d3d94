// SPDX-License-Identifier: GPL-2.0

//! Text that grows inside a borrowed buffer.
//!
//! The buffer is the one from which the reader gets the text, so that no text is copied on the way.
//! A piece that does not fit is not written in part: the line has overflowed, and its owner writes
//! it again into a larger buffer.

use core::fmt;
use kernel::prelude::*;

/// How many bytes [`Line::start_of`] copies at once.
const PIECE: usize = 64;

/// A piece of text that grows at its end inside a borrowed buffer.
///
/// Once a piece has failed to fit, later pieces are dropped too, and [`Line::finish`] returns
/// [`None`].
pub(crate) struct Line<'a> {
    buf: &'a mut [u8],
    len: usize,
    overflowed: bool,
}

impl<'a> Line<'a> {
    /// Begins an empty line in `buf`.
    #[inline]
    pub(crate) fn new(buf: &'a mut [u8]) -> Self {
        Self {
            buf,
            len: 0,
            overflowed: false,
        }
    }

    /// Ends the line. Returns its length in bytes, or [`None`] if it did not fit.
    #[inline]
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }

    /// Returns the text so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// Returns whether `count` more bytes fit. If they do not, the line has overflowed.
    #[inline]
    pub(crate) fn has_room(&mut self, count: usize) -> bool {
        if self.buf.len() - self.len < count {
            self.overflowed = true;
        }
        !self.overflowed
    }

    /// Adds `count` bytes, and returns them to be filled in.
    #[inline]
    fn add(&mut self, count: usize) -> Option<&mut [u8]> {
        if !self.has_room(count) {
            return None;
        }
        let start = self.len;

        self.len += count;
        Some(&mut self.buf[start..start + count])
    }

    /// Adds `count` spaces, and returns them to be filled in.
    #[inline]
    pub(crate) fn blank(&mut self, count: usize) -> Option<&mut [u8]> {
        let field = self.add(count)?;

        field.fill(b' ');
        Some(field)
    }

    /// Adds one byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        if let Some([place]) = self.add(1) {
            *place = byte;
        }
    }

    /// Adds the first `count` of `bytes`. Needs room for all of them, in whole pieces of [`PIECE`]
    /// bytes.
    ///
    /// Pieces of a fixed size are copied by a few instructions, some number of bytes by a call.
    #[inline(always)]
    pub(crate) fn start_of<const N: usize>(&mut self, bytes: &[u8; N], count: usize) {
        const { assert!(N % PIECE == 0, "an array of whole pieces") };

        if !self.has_room(N) {
            return;
        }
        let place = &mut self.buf[self.len..self.len + N];
        let count = count.min(N);
        let mut at = 0;

        while at < count {
            if let (Some(place), Some(piece)) = (
                place[at..].first_chunk_mut::<PIECE>(),
                bytes[at..].first_chunk(),
            ) {
                *place = *piece;
            }
            at += PIECE;
        }
        self.len += count;
    }

    /// Adds `bytes`.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(place) = self.add(bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Adds formatted text: `write!(line, "{count} frames")`. For the few lines of a table that are
    /// not rows.
    pub(crate) fn write_fmt(&mut self, text: fmt::Arguments<'_>) {
        // A line that has overflowed is written again, as a whole.
        let _ = fmt::write(self, text);
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[kunit_tests(taskscope_line)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_does_not_fit_is_left_out() {
        let mut buf = [0; 4];
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
        let mut buf = [0; 8];
        let mut line = Line::new(&mut buf);

        if let Some(field) = line.blank(3) {
            field[1] = b'x';
        }
        line.bytes(b"yz");
        assert_eq!(line.as_bytes(), b" x yz");
        assert!(line.blank(4).is_none());
        assert_eq!(line.as_bytes(), b" x yz");
        assert!(line.finish().is_none());
    }
}
