// SPDX-License-Identifier: GPL-2.0

//! What tables with a row for each task have in common.

use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::abstractions::signal;
use crate::capture::addresses::HasAddresses;
use crate::capture::snapshot::{
    Recorder,
    Snapshot, //
};
use crate::capture::walk::Scope;
use crate::state::State;
use crate::text::columns::Row;
use crate::text::kernel_address::Shown;
use crate::text::layout::{
    Layout,
    Widths, //
};
use crate::text::line::Line;
use core::ops::{
    Deref,
    Range, //
};
use kernel::prelude::*;

/// Returns a layout whose columns are wide enough for `rows`.
///
/// # Errors
///
/// `EINTR` if the caller is being killed; `E2BIG` if the columns are too many or too wide.
pub(crate) fn layout<R: Row>(rows: impl Iterator<Item = R>) -> Result<Layout> {
    let mut widths = Widths::new::<R>()?;

    rows.enumerate().try_for_each(|(at, row)| {
        if at % signal::ROWS_PER_CHECK == 0 {
            signal::check_fatal_signal()?;
        }
        widths.add(&row);
        Ok::<_, Error>(())
    })?;
    Layout::new(&widths)
}

/// A row: a record, and how its kernel addresses are shown.
#[derive(Clone, Copy)]
pub(crate) struct TaskRow<'a, T> {
    record: &'a T,
    /// How kernel addresses are shown.
    pub(crate) shown: Shown,
}

impl<T> Deref for TaskRow<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.record
    }
}

/// A table with a row for each task that `R` records: of each process if `LEADERS`, else of each
/// thread.
pub(crate) struct TaskTable<R: Recorder, const LEADERS: bool = false> {
    snapshot: Snapshot<R::Record>,
    shown: Shown,
    layout: Layout,
    /// Whether `set_pid` has a list.
    selected: bool,
}

impl<R: Recorder, const LEADERS: bool> TaskTable<R, LEADERS> {
    /// The tasks that have a row.
    const SCOPE: Scope = if LEADERS {
        Scope::Processes
    } else {
        Scope::Threads
    };
}

/// Returns the rows of `records`.
#[inline(always)]
fn rows<T>(records: &[T], shown: Shown) -> impl Iterator<Item = TaskRow<'_, T>> {
    records.iter().map(move |record| TaskRow { record, shown })
}

impl<R, const LEADERS: bool> Table for TaskTable<R, LEADERS>
where
    R: Recorder<Record: HasAddresses + Send + Sync> + Default + 'static,
    for<'a> TaskRow<'a, R::Record>: Row,
{
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        R::permit()?;
        let selection = state.selection();
        let mut snapshot = Snapshot::capture(
            &state.memory,
            Self::SCOPE,
            selection.as_deref(),
            &mut R::default(),
        )?;
        let shown = state.addresses.show(&mut snapshot.records)?;

        Ok(Self {
            layout: layout(rows(&snapshot.records, shown))?,
            shown,
            snapshot,
            selected: selection.is_some(),
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<TaskRow<'_, R::Record>>(line);
    }

    fn len(&self) -> usize {
        self.snapshot.records.len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        self.layout
            .rows(rows(&self.snapshot.records[range], self.shown), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        add_tasks(line, &self.snapshot, Self::SCOPE.noun(), self.selected);
        if let Some(missing) = R::MISSING {
            writeln!(line, "# {missing}");
        }
    }
}

/// Adds the line of a summary that says how many tasks there are in `snapshot`, and how many in all
/// if `selected`.
pub(crate) fn add_tasks<R>(
    line: &mut Line<'_>,
    snapshot: &Snapshot<R>,
    noun: &str,
    selected: bool,
) {
    let count = snapshot.records.len();

    if selected {
        let all = snapshot.total;

        writeln!(
            line,
            "# {count} of {all} {noun}, the others left out by set_pid"
        );
    } else {
        writeln!(line, "# {count} {noun}");
    }
}
