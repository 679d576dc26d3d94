// SPDX-License-Identifier: GPL-2.0

//! Tables whose columns are as wide as their values: a row is an array of [`Cell`]s. Tested by
//! itself.

use crate::{
    line::Line,
    sys,
    text::{
        self,
        Side,
        ADDRESS_DIGITS, //
    }, //
};
use kernel::prelude::*;

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

/// What is printed for [`Cell::Nothing`].
const NOTHING: &str = "-";

impl Cell {
    /// A number of bytes.
    pub(crate) fn bytes(count: usize) -> Self {
        Self::Number(count as u64)
    }

    /// Writes the value into `field`, which is wide enough and has spaces in it, at its left or right
    /// end.
    ///
    /// Where a row names the kind of the value, nothing has to be told apart.
    #[inline(always)]
    fn write(self, field: &mut [u8], side: Side) {
        match self {
            Self::Number(value) => write_decimal(field, value),
            Self::Address(value) => write_address(field, value),
            Self::Word(word) => write_word(field, word, side),
            Self::Nothing => write_word(field, NOTHING, side),
        }
    }
}

/// Returns how many digits a user address has.
#[inline]
fn address_width(address: usize) -> usize {
    // CAST: There are at most 16 digits.
    let digits = address
        .checked_ilog2()
        .map_or(1, |log| log as usize / 4 + 1);

    digits.max(ADDRESS_MIN)
}

/// Writes a user address at the right end of `field`.
#[inline]
fn write_address(field: &mut [u8], address: usize) {
    let width = address_width(address);
    let digits = text::address(address << (4 * (ADDRESS_DIGITS - width)));

    // In two pieces of a fixed size, which overlap: an exact number of bytes takes a call.
    if let Some(start) = field.len().checked_sub(width) {
        field[start..start + ADDRESS_MIN].copy_from_slice(&digits[..ADDRESS_MIN]);
    }
    if let Some(end) = field.last_chunk_mut::<ADDRESS_MIN>() {
        end.copy_from_slice(&digits[width - ADDRESS_MIN..width]);
    }
}

/// Writes a number at the right end of `field`.
#[inline]
fn write_decimal(field: &mut [u8], value: u64) {
    /// As many digits as are written apart from those before them.
    const DIGITS: usize = 8;
    const BASE: u64 = 10u64.pow(DIGITS as u32);

    if let Ok(value) = u32::try_from(value) {
        return text::decimal(field, value);
    }
    let (high, low) = field.split_at_mut(field.len().saturating_sub(DIGITS));

    low.fill(b'0');
    // CAST: The remainder has eight digits.
    text::decimal(low, (value % BASE) as u32);
    write_decimal(high, value / BASE);
}

/// Writes a word at one end of `field`.
#[inline]
fn write_word(field: &mut [u8], word: &str, side: Side) {
    let start = match side {
        Side::Left => 0,
        Side::Right => field.len().saturating_sub(word.len()),
    };

    for (place, byte) in field[start..].iter_mut().zip(word.bytes()) {
        *place = byte;
    }
}

/// A row of a table, without its last column.
pub(crate) trait Cells {
    /// Adds the value of each column to `sink`.
    fn cells(&self, sink: &mut impl Sink);
}

/// What takes the values of a row.
pub(crate) trait Sink {
    /// Takes the value of the next column.
    fn add(&mut self, cell: Cell);
}

/// The largest values of a column. How wide these are is worked out once.
#[derive(Clone, Copy)]
struct Largest {
    number: u64,
    address: usize,
    word: usize,
}

impl Largest {
    /// The largest values of a column with only a name.
    fn new(name: &str) -> Self {
        Self {
            number: 0,
            address: 0,
            word: name.len(),
        }
    }

    /// Takes a value into account.
    #[inline]
    fn add(&mut self, cell: Cell) {
        match cell {
            Cell::Number(value) => self.number = self.number.max(value),
            Cell::Address(value) => self.address = self.address.max(value),
            Cell::Word(word) => self.word = self.word.max(word.len()),
            // The name of a column is not shorter.
            Cell::Nothing => {}
        }
    }

    /// Returns how wide the column has to be.
    fn width(&self) -> usize {
        let digits = self.number.checked_ilog10();
        // CAST: There are at most 20 digits.
        let digits = digits.map_or(1, |log| log as usize + 1);
        let address = match self.address {
            0 => 0,
            address => address_width(address),
        };

        digits.max(address).max(self.word)
    }
}

/// The columns of a table but the last, which runs to the end of the line.
pub(crate) struct Grid<const N: usize> {
    columns: &'static [(&'static str, Side); N],
    widths: [usize; N],
    /// Of all columns, and a space behind each.
    width: usize,
}

/// The names of the columns.
struct Names<const N: usize>(&'static [(&'static str, Side); N]);

impl<const N: usize> Cells for Names<N> {
    fn cells(&self, sink: &mut impl Sink) {
        for (name, _) in self.0 {
            sink.add(Cell::Word(name));
        }
    }
}

/// Takes the values of a row into account.
struct Measure<'a, const N: usize> {
    largest: &'a mut [Largest; N],
    column: usize,
}

impl<const N: usize> Sink for Measure<'_, N> {
    #[inline(always)]
    fn add(&mut self, cell: Cell) {
        if let Some(largest) = self.largest.get_mut(self.column) {
            largest.add(cell);
        }
        self.column += 1;
    }
}

/// Writes the values of a row.
struct Writer<'a, 'b, const N: usize> {
    grid: &'a Grid<N>,
    column: usize,
    /// The columns that are not written yet.
    rest: &'b mut [u8],
}

impl<const N: usize> Sink for Writer<'_, '_, N> {
    #[inline(always)]
    fn add(&mut self, cell: Cell) {
        let column = self.column;

        if column < N {
            let width = self.grid.widths[column];
            let (field, after) = core::mem::take(&mut self.rest).split_at_mut(width);

            cell.write(field, self.grid.columns[column].1);
            self.rest = &mut after[1..];
        }
        self.column += 1;
    }
}

impl<const N: usize> Grid<N> {
    /// Columns with these names, wide enough for `rows`.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn new<R: Cells>(
        columns: &'static [(&'static str, Side); N],
        rows: impl Iterator<Item = R>,
    ) -> Result<Self> {
        Self::for_groups::<_, 1>(columns, rows)
    }

    /// Columns with these names, wide enough for groups of `SIZE` rows, of each of which `largest_of`
    /// has the largest values.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn for_groups<R: Cells, const SIZE: usize>(
        columns: &'static [(&'static str, Side); N],
        largest_of: impl Iterator<Item = R>,
    ) -> Result<Self> {
        let mut largest = columns.map(|(name, _)| Largest::new(name));

        for (at, row) in largest_of.enumerate() {
            if at % const { sys::ROWS_PER_CHECK / SIZE } == 0 {
                sys::check_fatal_signal()?;
            }
            row.cells(&mut Measure {
                largest: &mut largest,
                column: 0,
            });
        }
        let widths = largest.map(|column| column.width());

        Ok(Self {
            columns,
            widths,
            width: widths.iter().sum::<usize>() + N,
        })
    }

    /// Adds the header: the names of the columns, and `last` for the one that ends each line.
    pub(crate) fn header(&self, line: &mut Line<'_>, last: &str) {
        self.row(line, &Names(self.columns));
        line.bytes(last.as_bytes());
        line.byte(b'\n');
    }

    /// Adds a row without its last column, and the space before that.
    #[inline]
    pub(crate) fn row(&self, line: &mut Line<'_>, row: &impl Cells) {
        if let Some(text) = line.blank(self.width) {
            self.write(text, row);
        }
    }

    /// Returns how many bytes a row has without its last column, with the space before that.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Writes a row without its last column into `text`, which has [`Grid::width`] spaces.
    #[inline(always)]
    pub(crate) fn write(&self, text: &mut [u8], row: &impl Cells) {
        row.cells(&mut Writer {
            grid: self,
            column: 0,
            rest: text,
        });
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
        /// A row.
        struct Row([Cell; 3]);

        impl Cells for &Row {
            fn cells(&self, sink: &mut impl Sink) {
                for cell in self.0 {
                    sink.add(cell);
                }
            }
        }

        let rows = [
            [
                Cell::Number(u64::MAX),
                Cell::Address(0x1000),
                Cell::Word("ok"),
            ],
            [Cell::Number(0), Cell::Nothing, Cell::Word("on-cpu")],
        ]
        .map(Row);
        let grid = Grid::new(&COLUMNS, rows.iter())?;
        let mut buf = [MaybeUninit::uninit(); 256];
        let mut line = Line::new(&mut buf);

        grid.header(&mut line, "COMM");
        for row in &rows {
            grid.row(&mut line, &row);
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
        let is = |cell: Cell, text: &[u8]| {
            let mut largest = Largest::new("");
            let mut field = [b' '; 24];

            largest.add(cell);
            cell.write(&mut field, Side::Right);
            largest.width() == text.len() && field.trim_ascii() == text
        };

        assert!(is(Cell::Address(1), b"00000001"));
        assert!(is(Cell::Address(0x7ffd_1234_5678), b"7ffd12345678"));
        assert!(is(Cell::Address(usize::MAX), b"ffffffffffffffff"));
        assert!(is(Cell::bytes(132 * 1024), b"135168"));
        assert!(is(Cell::Number(0), b"0"));
        assert!(is(Cell::Number(4_294_967_296), b"4294967296"));
        assert!(is(
            Cell::Number(100_000_000_000_000_007),
            b"100000000000000007"
        ));
        assert!(is(Cell::Number(u64::MAX), b"18446744073709551615"));
    }
}
