// SPDX-License-Identifier: GPL-2.0

//! Tables with columns.
//!
//! The rows of a table are of one type. That type declares its columns in [`Row::columns`], each
//! once, from the left to the right: the name, the side on which values stand, and the value. The
//! rest follows from the declaration:
//!
//! 1. [`Widths`](crate::text::layout::Widths) looks at every row, and makes each column as wide as
//!    its widest value, or its name.
//! 2. [`Layout`](crate::text::layout::Layout) writes the header and the rows.
//!
//! A column is a range of bytes of its row, and a value is written into that range alone. If a
//! value does not fit, because it was not measured, text is cut off, and a number becomes
//! asterisks.

use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::value::{
    Cell,
    Side, //
};

/// A row of a table.
pub(crate) trait Row: Sized {
    /// Declares the columns, from the left to the right, by one call a column. The last call is
    /// [`Columns::name`] or [`Columns::rest`].
    fn columns(columns: &mut impl Columns<Self>);
}

/// What is done with each column of rows of type `R`.
pub(crate) trait Columns<R> {
    /// A column. `value` returns what the column shows of a row.
    fn column<V: Cell>(&mut self, name: &'static str, side: Side, value: impl Fn(&R) -> V);

    /// A column of numbers, which stand on the right.
    #[inline(always)]
    fn number<V: Cell>(&mut self, name: &'static str, value: impl Fn(&R) -> V) {
        self.column(name, Side::Right, value);
    }

    /// A column of text, which stands on the left.
    #[inline(always)]
    fn text<V: Cell>(&mut self, name: &'static str, value: impl Fn(&R) -> V) {
        self.column(name, Side::Left, value);
    }

    /// A column of text that is part of the row. It stands on the left.
    fn own_text(&mut self, name: &'static str, value: impl Fn(&R) -> &[u8]);

    /// The last column: the name of a thread.
    #[inline(always)]
    fn name(&mut self, _name: &'static str, _value: impl Fn(&R) -> Name) {}

    /// The last column: text of any length, which `write` adds.
    #[inline(always)]
    fn rest(&mut self, _name: &'static str, _write: impl Fn(&R, &mut Line<'_>)) {}
}
