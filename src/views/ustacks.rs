// SPDX-License-Identifier: GPL-2.0

//! `ustacks`. The user stack of each thread: the one that its stack pointer is in.

use crate::abstractions::capability::Capability;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::capture::user_stacks::UserStack;
use crate::capture::users::UserThreads;
use crate::capture::walk::Scope;
use crate::state::State;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::layout::Layout;
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::value::{
    Cell,
    PaddedHexadecimal,
    Value, //
};
use crate::views::task_table::layout;
use crate::views::user_summary::Summary;
use core::ops::Range;
use kernel::prelude::*;

/// The table `ustacks`.
pub(crate) struct UserStacks {
    rows: KVVec<UserStack>,
    layout: Layout,
    summary: Summary,
}

/// A limit of the size of a stack, in bytes.
#[derive(PartialEq, Eq)]
struct Limit(u64);

impl Cell for Limit {
    fn value(self) -> Value {
        match self.0 {
            u64::MAX => Value::Word("unlimited"),
            bytes => Value::Number(bytes),
        }
    }
}

/// Returns the number of bytes from the first address to the second.
fn bytes(start: Option<usize>, end: Option<usize>) -> Option<usize> {
    Some(end? - start?)
}

impl Row for &UserStack {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |row| row.id.tgid);
        columns.number("PID", |row| row.id.pid);
        columns.number("SWITCHES", |row| row.switches.get());
        columns.number("SP", |row| row.sp.map(PaddedHexadecimal));
        columns.number("START", |row| row.start.map(PaddedHexadecimal));
        columns.number("END", |row| row.end.map(PaddedHexadecimal));
        columns.number("SIZE", |row| bytes(row.start, row.end));
        columns.number("USED", |row| bytes(row.sp, row.end));
        columns.number("RLIM_CUR", |row| Limit(row.stack_limits[0]));
        columns.number("RLIM_MAX", |row| Limit(row.stack_limits[1]));
        columns.text("VALID", |row| row.valid);
        columns.name("COMM", |row| Name::unbracketed(row.comm));
    }
}

impl Table for UserStacks {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        Capability::SysPtrace.require()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Threads, selection.as_deref())?;
        let rows = UserStack::capture(&captured)?;

        Ok(Self {
            layout: layout(rows.iter())?,
            summary: Summary::new(
                &captured,
                rows.iter().map(|row| row.valid),
                selection.is_some(),
            ),
            rows,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<&UserStack>(line);
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        self.layout.rows(self.rows[range].iter(), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "threads");
    }
}
