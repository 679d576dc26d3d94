// SPDX-License-Identifier: GPL-2.0

//! The columns of `processes` and `threads`, which are the same.

use crate::{
    line::Line,
    snapshot::{
        Note,
        Snapshot,
        TaskRecord, //
    },
    state::State,
    text::{
        self,
        Column,
        Layout,
        ADDRESS_DIGITS,
        ROW_MAX, //
    },
    walk::Scope, //
};
use kernel::prelude::*;

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [Column; 12] = [
    Column::number("TGID", 10),
    Column::number("PID", 10),
    Column::number("PPID", 10),
    Column::number("UID", 10),
    Column::number("EUID", 10),
    Column::text("S", 1),
    Column::text("KIND", 6),
    Column::text("MM", 4),
    Column::number("NTHR", 10),
    Column::text("TASK", ADDRESS_DIGITS),
    Column::text("STACK", ADDRESS_DIGITS),
    Column::text("NOTE", 11),
];

const TGID: usize = 0;
const PID: usize = 1;
const PPID: usize = 2;
const UID: usize = 3;
const EUID: usize = 4;
const S: usize = 5;
const KIND: usize = 6;
const MM: usize = 7;
const NTHR: usize = 8;
const TASK: usize = 9;
const STACK: usize = 10;
const NOTE: usize = 11;

/// A snapshot, laid out as a table.
pub(crate) struct TaskTable {
    snapshot: Snapshot,
    layout: Layout<12>,
    /// What a row is, for the summary.
    noun: &'static str,
    /// Whether the choice of threads was in force.
    selected: bool,
}

impl TaskTable {
    /// Captures the tasks of `scope`. May sleep; fails with `ENOMEM` only.
    pub(crate) fn capture(state: &State, scope: Scope, noun: &'static str) -> Result<Self> {
        let selection = state.selection();
        let snapshot = Snapshot::capture(scope, selection.as_deref(), &state.addresses)?;

        Ok(Self {
            layout: layout(&snapshot.records),
            snapshot,
            noun,
            selected: selection.is_some(),
        })
    }

    /// Writes the header.
    pub(crate) fn header(&self, line: &mut Line<'_>) {
        self.layout.header(line, "COMM");
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.snapshot.records.len()
    }

    /// Writes row `at`.
    #[inline]
    pub(crate) fn row(&self, at: usize, line: &mut Line<'_>) {
        let record = &self.snapshot.records[at];

        if !line.has_room(ROW_MAX + text::COMM_MAX + 1) {
            return;
        }
        if let Some(mut row) = self.layout.row(line) {
            let [task, stack] = record.addresses;

            row.decimal(TGID, record.tgid);
            row.decimal(PID, record.pid);
            row.decimal(PPID, record.ppid);
            row.decimal(UID, record.uid);
            row.decimal(EUID, record.euid);
            row.bytes(S, &[record.state]);
            row.bytes(KIND, record.kind.padded_name());
            row.bytes(MM, padded_mm_name(record.has_mm));
            row.decimal(NTHR, record.nr_threads);
            row.bytes(TASK, &self.snapshot.shown.text(task));
            if stack != 0 {
                row.bytes(STACK, &self.snapshot.shown.text(stack));
            } else {
                row.bytes(STACK, b"-");
            }
            if record.note == Note::Nothing {
                row.bytes(NOTE, b"-");
            } else {
                row.text(NOTE, record.note.name());
            }
        }
        text::add_comm(line, &record.comm, record.kind.is_kernel());
        line.byte(b'\n');
    }

    /// Writes the summary.
    pub(crate) fn summary(&self, line: &mut Line<'_>) {
        line.bytes(b"# ");
        text::add_count(line, self.rows());
        if self.selected {
            line.bytes(b" of ");
            text::add_count(line, self.snapshot.total);
        }
        line.byte(b' ');
        line.bytes(self.noun.as_bytes());
        if self.selected {
            line.bytes(b", the others left out by set_pid");
        }
        line.byte(b'\n');
    }
}

/// Says whether there is an address space, followed by spaces.
#[inline]
pub(crate) fn padded_mm_name(has_mm: bool) -> &'static [u8; 4] {
    if has_mm {
        b"set "
    } else {
        b"NULL"
    }
}

/// Makes each column as wide as the widest of its values.
fn layout(records: &[TaskRecord]) -> Layout<12> {
    const { assert!(Column::width_max(&COLUMNS) <= ROW_MAX) };

    let mut largest = [0; 12];
    let mut note = 0;

    for record in records {
        for (column, value) in [
            (TGID, record.tgid),
            (PID, record.pid),
            (PPID, record.ppid),
            (UID, record.uid),
            (EUID, record.euid),
            (NTHR, record.nr_threads),
        ] {
            largest[column] = largest[column].max(value);
        }
        note = note.max(record.note.name().len());
    }

    let mut widths = largest.map(text::digits);
    for column in [S, KIND, MM, TASK, STACK] {
        widths[column] = COLUMNS[column].max;
    }
    widths[NOTE] = note;

    Layout::new(&COLUMNS, widths)
}
