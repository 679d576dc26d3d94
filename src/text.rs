// SPDX-License-Identifier: GPL-2.0

//! How values are written: numbers, names, columns. Pure, and tested by itself.

use crate::line::Line;
use core::ops::Range;

/// The most bytes that [`comm`] writes: every byte of the longest name escaped, and two brackets.
pub(crate) const COMM_MAX: usize = 2 + 4 * COMM_LEN;

/// Length in bytes of the array that holds a task's name and at least one NUL after it.
pub(crate) const COMM_LEN: usize = 16;

/// Returns how many digits `value` has in decimal.
pub(crate) fn digits(value: u64) -> usize {
    // CAST: There are at most twenty digits.
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Writes `value` in decimal at the right end of `field`, and leaves what is before it alone.
///
/// Digits for which there is no place are lost: a column is made wide enough beforehand.
#[inline]
pub(crate) fn decimal(field: &mut [u8], mut value: u64) {
    for place in field.iter_mut().rev() {
        // CAST: The remainder is below ten.
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
}

/// Writes `value` in hexadecimal over the whole of `field`, with leading zeros.
#[inline]
pub(crate) fn hexadecimal(field: &mut [u8], mut value: usize) {
    for place in field.iter_mut().rev() {
        *place = b"0123456789abcdef"[value % 16];
        value /= 16;
    }
}

/// Adds `value` in decimal to `line`.
pub(crate) fn add_decimal(line: &mut Line<'_>, value: u64) {
    if let Some(field) = line.blank(digits(value)) {
        decimal(field, value);
    }
}

/// Adds `value` in hexadecimal to `line`, with at least eight digits.
pub(crate) fn add_hexadecimal(line: &mut Line<'_>, value: usize) {
    // CAST: There are at most sixteen digits.
    let digits = value.checked_ilog(16).map_or(1, |log| log as usize + 1);

    if let Some(field) = line.blank(digits.max(8)) {
        hexadecimal(field, value);
    }
}

/// Adds a task's name to `line`: in brackets if `bracketed`, and up to its first NUL.
///
/// Every byte that is not printable ASCII, and the backslash, becomes a backslash and three octal
/// digits; so does the first or the last byte of the name when it is a space. An empty name is
/// `\000`. A name can therefore never end a line, fill a column of its own, or reach a terminal as
/// a control sequence.
#[inline]
pub(crate) fn add_comm(line: &mut Line<'_>, name: &[u8; COMM_LEN], bracketed: bool) {
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(COMM_LEN);
    let name = &name[..len];

    if bracketed {
        line.byte(b'[');
    }
    if name.is_empty() {
        line.bytes(b"\\000");
    }
    for (at, &byte) in name.iter().enumerate() {
        let plain = match byte {
            b'\\' => false,
            b' ' => at != 0 && at != len - 1,
            _ => byte.is_ascii_graphic(),
        };
        if plain {
            line.byte(byte);
        } else {
            let octal = |shift: u32| b'0' + (byte >> shift) % 8;
            line.bytes(&[b'\\', octal(6), octal(3), octal(0)]);
        }
    }
    if bracketed {
        line.byte(b']');
    }
}

/// On which side of its column a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table: its name, which is its contract, and where its values stand.
pub(crate) struct Column {
    /// The name in the header.
    pub(crate) name: &'static str,
    /// The side on which the name and the values stand.
    pub(crate) side: Side,
}

impl Column {
    /// A column of text.
    pub(crate) const fn left(name: &'static str) -> Self {
        Self {
            name,
            side: Side::Left,
        }
    }

    /// A column of numbers.
    pub(crate) const fn right(name: &'static str) -> Self {
        Self {
            name,
            side: Side::Right,
        }
    }
}

/// Where each column of a table stands in its rows.
///
/// The last column of a table, a name that runs to the end of the line, is not among these.
pub(crate) struct Layout<const N: usize> {
    columns: &'static [Column; N],
    fields: [Range<usize>; N],
    width: usize,
}

impl<const N: usize> Layout<N> {
    /// Lays out `columns` for values of at most `widths` bytes, separated by single spaces.
    pub(crate) fn new(columns: &'static [Column; N], widths: [usize; N]) -> Self {
        let mut width = 0;
        let fields = core::array::from_fn(|at| {
            let start = width;
            let end = start + widths[at].max(columns[at].name.len());
            width = end + 1;
            start..end
        });

        Self {
            columns,
            fields,
            width,
        }
    }

    /// Returns the width in bytes of the columns, with the space after each.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds the header: the names of the columns, and `last` for the one that ends each line.
    pub(crate) fn header(&self, line: &mut Line<'_>, last: &str) {
        if let Some(text) = line.blank(self.width) {
            let mut row = Row { layout: self, text };
            for at in 0..N {
                row.text(at, self.columns[at].name.as_bytes());
            }
        }
        line.bytes(last.as_bytes());
        line.byte(b'\n');
    }

    /// Adds a row without its last column, blank at first; [`None`] when it does not fit.
    #[inline]
    pub(crate) fn row<'a>(&'a self, line: &'a mut Line<'_>) -> Option<Row<'a, N>> {
        let text = line.blank(self.width)?;

        Some(Row { layout: self, text })
    }
}

/// A row being filled in.
pub(crate) struct Row<'a, const N: usize> {
    layout: &'a Layout<N>,
    text: &'a mut [u8],
}

impl<const N: usize> Row<'_, N> {
    /// Returns the bytes of column `at`, blank unless already written.
    #[inline]
    pub(crate) fn field(&mut self, at: usize) -> &mut [u8] {
        &mut self.text[self.layout.fields[at].clone()]
    }

    /// Returns the bytes of column `at` and all columns after it, with the spaces between them.
    #[inline]
    pub(crate) fn fields_from(&mut self, at: usize) -> &mut [u8] {
        &mut self.text[self.layout.fields[at].start..]
    }

    /// Writes a number in column `at`, on the right.
    #[inline]
    pub(crate) fn decimal(&mut self, at: usize, value: u32) {
        decimal(self.field(at), value.into());
    }

    /// Writes text in column `at`, on its side; what has no place is cut off.
    #[inline]
    pub(crate) fn text(&mut self, at: usize, text: &[u8]) {
        let side = self.layout.columns[at].side;
        let field = self.field(at);
        let len = text.len().min(field.len());
        let start = match side {
            Side::Left => 0,
            Side::Right => field.len() - len,
        };

        field[start..start + len].copy_from_slice(&text[..len]);
    }
}
