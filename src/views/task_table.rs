// SPDX-License-Identifier: GPL-2.0

//! What tables with a row for each task have in common.

use crate::{
    addresses::{
        HasAddresses,
        Shown, //
    },
    line::Line,
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::{
        Name,
        Record,
        Recorder,
        Snapshot,
        ThreadId, //
    },
    state::State,
    sys,
    tasks::RcuTask,
    text::{
        self,
        Column,
        CommWriter,
        Layout,
        Row,
        COMM_LEN,
        ROW_MAX, //
    },
    walk::Scope, //
};
use core::{
    marker::PhantomData,
    ops::Range, //
};
use kernel::prelude::*;

/// What a table shows of each task: `N` columns, and a name that ends the line.
pub(crate) trait View<const N: usize, const ROOM: usize>:
    Sized + Send + Sync + 'static
{
    /// What is kept of a task, with the addresses that are to be shown.
    type Record: Record + HasAddresses + Send + Sync;

    /// Which tasks have a row.
    const SCOPE: Scope;

    /// What a row is, for the summary.
    const NOUN: &'static str;

    /// The columns. COMM, the last one, is not among these.
    const COLUMNS: &'static [Column; N];

    /// Refuses a caller that may not open the table. Nobody may without `CAP_SYS_ADMIN`.
    fn permit() -> Result {
        Ok(())
    }

    /// Records what `task`, whose numbers are `id`, is at this moment. Does not sleep.
    fn record(id: ThreadId, task: RcuTask<'_>) -> Self::Record;

    /// Makes each column as wide as the widest of its values.
    fn widths(records: &[Self::Record]) -> [usize; N];

    /// Fills in a row, or changes that of another record into this one's.
    fn fill(record: &Self::Record, shown: Shown, row: &mut Row<'_, N, ROOM>);

    /// Returns the name that ends the line.
    fn name(record: &Self::Record) -> &Name;
}

/// A snapshot, laid out as a table.
pub(crate) struct TaskTable<V: View<N, ROOM>, const N: usize, const ROOM: usize = ROW_MAX> {
    snapshot: Snapshot<V::Record>,
    shown: Shown,
    layout: Layout<N, ROOM>,
    /// Whether the choice of threads was in force.
    selected: bool,
}

impl<V: View<N, ROOM>, const N: usize, const ROOM: usize> Table for TaskTable<V, N, ROOM> {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        const { assert!(Column::width_max(V::COLUMNS) <= ROOM) };

        V::permit()?;
        let selection = state.selection();
        let mut recorder = Plain::<V, N, ROOM>(PhantomData);
        let mut snapshot =
            Snapshot::capture(&state.memory, V::SCOPE, selection.as_deref(), &mut recorder)?;

        Ok(Self {
            layout: Layout::new(V::COLUMNS, widths::<V, N, ROOM>(&snapshot.records)?),
            shown: state.addresses.show(&mut snapshot.records)?,
            snapshot,
            selected: selection.is_some(),
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header(line, "COMM");
    }

    fn rows(&self) -> usize {
        self.snapshot.records.len()
    }

    const BLOCK: usize = 16;

    fn row(&self, at: usize, line: &mut Line<'_>) {
        self.block(at..at + 1, line);
    }

    fn block(&self, rows: Range<usize>, line: &mut Line<'_>) {
        let row_max = ROOM + text::COMM_MAX + 1;
        // What it takes up unless names are escaped, so that no time goes into text that will be
        // thrown away.
        let expected = rows.len() * (self.layout.width() + COMM_LEN) + row_max;
        let mut row = self.layout.row();
        let mut names = CommWriter::new();

        if !line.has_room(expected) {
            return;
        }
        for record in &self.snapshot.records[rows] {
            if !line.has_room(row_max) {
                return;
            }
            V::fill(record, self.shown, &mut row);
            row.add_to(line);
            let name = V::name(record);
            names.add(line, &name.comm, name.bracketed);
            line.byte(b'\n');
        }
    }

    fn summary(&self, line: &mut Line<'_>) {
        line.bytes(b"# ");
        add_number(line, &self.snapshot, self.selected);
        line.byte(b' ');
        line.bytes(V::NOUN.as_bytes());
        add_selected(line, self.selected);
        line.byte(b'\n');
    }
}

/// Makes each column as wide as the widest of its values.
///
/// # Errors
///
/// `EINTR` if the caller is being killed.
fn widths<V: View<N, ROOM>, const N: usize, const ROOM: usize>(
    records: &[V::Record],
) -> Result<[usize; N]> {
    let mut widths = V::widths(&[]);

    for records in records.chunks(sys::ROWS_PER_CHECK) {
        sys::check_fatal_signal()?;
        for (width, widest) in widths.iter_mut().zip(V::widths(records)) {
            *width = widest.max(*width);
        }
    }
    Ok(widths)
}

/// Adds the number of tasks in `snapshot` to a summary, and that of all if others were left out.
pub(crate) fn add_number<R>(line: &mut Line<'_>, snapshot: &Snapshot<R>, selected: bool) {
    text::add_count(line, snapshot.records.len());
    if selected {
        line.bytes(b" of ");
        text::add_count(line, snapshot.total);
    }
}

/// Says in a summary why others were left out, if they were.
pub(crate) fn add_selected(line: &mut Line<'_>, selected: bool) {
    if selected {
        line.bytes(b", the others left out by set_pid");
    }
}

/// The [`Recorder`] of a table that needs nothing but the task.
struct Plain<V, const N: usize, const ROOM: usize>(PhantomData<fn() -> V>);

impl<V: View<N, ROOM>, const N: usize, const ROOM: usize> Recorder for Plain<V, N, ROOM> {
    type Record = V::Record;

    #[inline]
    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> V::Record {
        V::record(id, task)
    }
}
