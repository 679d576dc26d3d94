// SPDX-License-Identifier: GPL-2.0

//! `threads`. Every thread: swapper/0 first, and then process by process.

use crate::{
    line::Line,
    seq::{
        ReadOnly,
        Table, //
    },
    state::State,
    views::task_row::TaskTable,
    walk::Scope, //
};
use kernel::prelude::*;

/// The table `threads`.
pub(crate) struct Threads(TaskTable);

impl Table for Threads {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        TaskTable::capture(state, Scope::Threads, "threads").map(Self)
    }

    fn header(&self, line: &mut Line<'_>) {
        self.0.header(line);
    }

    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        self.0.row(at, line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.0.summary(line);
    }
}
