// SPDX-License-Identifier: GPL-2.0

//! `processes`. Every process: the leader of each thread group, in the order of the task list.

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

/// The table `processes`.
pub(crate) struct Processes(TaskTable);

impl Table for Processes {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        TaskTable::capture(state, Scope::Processes, "processes").map(Self)
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
