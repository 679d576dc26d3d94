// SPDX-License-Identifier: GPL-2.0

//! Tables whose columns are as wide as their values: a row is an array of [`Cell`]s. Tested by
//! itself.

use crate::{
    line::Line,
    sys,
    text::Side, //
};
use kernel::prelude::*;

/// The most characters that a number has.
const NUMBER_MAX: usize = 20;

/// The fewest digits of a user address, as in `/proc/PID/maps`.
const ADDRESS_MIN: usize = 8;

/// A value in a table.
#[derive(Clone, Copy)]
pub(crate) enum Cell {
    /// A number, in decimal.
    Number(u64),
    /// A user address, in hexadecimal.
    Address(usize),
    /// A word.
    Word(&'static str),
    /// What does not apply.
    Nothing,
}

impl Cell {
    /// A number of bytes.
    pub(crate) fn bytes(count: usize) -> Self {
        Self::Number(count as u64)
    }

    /// Calls `write` with the characters of the value.
    fn with_text<T>(self, write: impl FnOnce(&[u8]) -> T) -> T {
        let mut buf = [0; NUMBER_MAX];
        let (mut value, base, min) = match self {
            Self::Word(word) => return write(word.as_bytes()),
            Self::Nothing => return write(b"-"),
            Self::Number(value) => (value, 10, 1),
            Self::Address(value) => (value as u64, 16, ADDRESS_MIN),
        };
        let mut start = buf.len();

        while value != 0 || buf.len() - start < min {
            start -= 1;
            // CAST: The remainder is below 16.
            buf[start] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
        }
        write(&buf[start..])
    }
}

/// The columns of a table but the last, which runs to the end of the line.
pub(crate) struct Grid<const N: usize> {
    columns: &'static [(&'static str, Side); N],
    widths: [usize; N],
}

impl<const N: usize> Grid<N> {
    /// Columns with these names, wide enough for `rows`.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn new(
        columns: &'static [(&'static str, Side); N],
        rows: impl Iterator<Item = [Cell; N]>,
    ) -> Result<Self> {
        let mut widths = columns.map(|(name, _)| name.len());

        for (at, cells) in rows.enumerate() {
            if at % sys::ROWS_PER_CHECK == 0 {
                sys::check_fatal_signal()?;
            }
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.with_text(<[u8]>::len));
            }
        }
        Ok(Self { columns, widths })
    }

    /// Adds the header: the names of the columns, and `last` for the one that ends each line.
    pub(crate) fn header(&self, line: &mut Line<'_>, last: &str) {
        self.row(line, self.columns.map(|(name, _)| Cell::Word(name)));
        line.bytes(last.as_bytes());
        line.byte(b'\n');
    }

    /// Adds a row without its last column, and the space before that.
    pub(crate) fn row(&self, line: &mut Line<'_>, cells: [Cell; N]) {
        for ((cell, width), (_, side)) in cells.into_iter().zip(self.widths).zip(self.columns) {
            cell.with_text(|text| {
                if let Some(field) = line.blank(width + 1) {
                    let start = match side {
                        Side::Left => 0,
                        Side::Right => width - text.len(),
                    };
                    field[start..start + text.len()].copy_from_slice(text);
                }
            });
        }
    }
}

#[kunit_tests(taskscope_cells)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    #[test]
    fn columns_are_as_wide_as_their_values() -> Result {
        static COLUMNS: [(&str, Side); 3] = [
            ("PID", Side::Right),
            ("SP", Side::Right),
            ("VALID", Side::Left),
        ];
        let rows = [
            [
                Cell::Number(u64::MAX),
                Cell::Address(0x1000),
                Cell::Word("ok"),
            ],
            [Cell::Number(0), Cell::Nothing, Cell::Word("on-cpu")],
        ];
        let grid = Grid::new(&COLUMNS, rows.into_iter())?;
        let mut buf = [MaybeUninit::uninit(); 256];
        let mut line = Line::new(&mut buf);

        grid.header(&mut line, "COMM");
        for cells in rows {
            grid.row(&mut line, cells);
            line.byte(b'\n');
        }
        assert_eq!(
            line.as_str(),
            "                 PID       SP VALID  COMM\n\
             18446744073709551615 00001000 ok     \n\
             \x20                  0        - on-cpu \n"
        );
        Ok(())
    }

    #[test]
    fn addresses_are_as_in_maps() {
        let is = |cell: Cell, text: &[u8]| cell.with_text(|bytes| bytes == text);

        assert!(is(Cell::Address(0), b"00000000"));
        assert!(is(Cell::Address(0x7ffd_1234_5678), b"7ffd12345678"));
        assert!(is(Cell::Address(usize::MAX), b"ffffffffffffffff"));
        assert!(is(Cell::bytes(132 * 1024), b"135168"));
    }
}
