// SPDX-License-Identifier: GPL-2.0

//! The text of a row, which is changed into the text of the next.
//!
//! Rows that follow each other have much in common. Hence a row is not written anew: only the
//! columns whose value differs from the row before are written. Without this `threads` costs a
//! third more. A [`Row`] declares all its columns and does not see this.

use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::layout::{
    Layout,
    WIDTH_MAX, //
};
use crate::text::line::Line;
use crate::text::name::{
    self,
    Name, //
};
use crate::text::value::{
    write_text, //
    Cell,
    Side,
};

/// The most bytes of a row that ends with a name.
const ROW_MAX: usize = WIDTH_MAX + 1 + name::LINE_MAX;

/// The text of a row.
pub(super) struct RowText<'a> {
    layout: &'a Layout,
    text: [u8; ROW_MAX],
    len: usize,
}

impl<'a> RowText<'a> {
    /// A row whose columns are blank.
    #[inline(always)]
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            text: [b' '; ROW_MAX],
            len: layout.width(),
        }
    }

    /// Returns the place of column `at`.
    #[inline(always)]
    pub(super) fn field(&mut self, at: usize) -> &mut [u8] {
        &mut self.text[self.layout.place(at)]
    }

    /// Changes the text of row `before` into that of `row`, or writes all of it if there is no row
    /// before.
    #[inline(always)]
    pub(super) fn write<R: Row>(&mut self, before: Option<&R>, row: &R) {
        match before {
            None => R::columns(&mut Write::<_, true> {
                text: self,
                at: 0,
                before: row,
                row,
            }),
            Some(before) => R::columns(&mut Write::<_, false> {
                text: self,
                at: 0,
                before,
                row,
            }),
        }
    }

    /// Adds the row to `line`.
    #[inline(always)]
    pub(super) fn add_to(&self, line: &mut Line<'_>) {
        line.start_of(&self.text, self.len);
    }
}

/// Writes the columns of `row` that differ from row `before`, or all of them if it is the first
/// row.
struct Write<'a, 'b, R, const FIRST: bool> {
    text: &'a mut RowText<'b>,
    at: usize,
    before: &'a R,
    row: &'a R,
}

impl<R, const FIRST: bool> Columns<R> for Write<'_, '_, R, FIRST> {
    #[inline(always)]
    fn column<V: Cell>(&mut self, _: &'static str, side: Side, value: impl Fn(&R) -> V) {
        let now = value(self.row);

        if FIRST || value(self.before) != now {
            now.value().write(self.text.field(self.at), side);
        }
        self.at += 1;
    }

    fn own_text(&mut self, _: &'static str, value: impl Fn(&R) -> &[u8]) {
        write_text(self.text.field(self.at), Side::Left, value(self.row));
        self.at += 1;
    }

    #[inline(always)]
    fn name(&mut self, _: &'static str, value: impl Fn(&R) -> Name) {
        let now = value(self.row);

        if FIRST || value(self.before) != now {
            let width = self.text.layout.width();

            if let Some(place) = self.text.text[width..].first_chunk_mut() {
                self.text.len = width + now.write_line(place);
            }
        }
    }
}
