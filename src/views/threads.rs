// SPDX-License-Identifier: GPL-2.0

//! `processes` and `threads`. Every process, by the leader of its thread group, or every thread:
//! swapper/0 first, and then process by process. Their columns are the same.

use crate::{
    addresses::Shown,
    snapshot::{
        Name,
        TaskRecord,
        ThreadId, //
    },
    tasks::RcuTask,
    text::{
        self,
        Column,
        Row,
        ADDRESS_DIGITS,
        ROW_MAX, //
    },
    views::task_table::{
        TaskTable,
        View, //
    },
    walk::Scope, //
};

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

/// The table `processes`.
pub(crate) type Processes = TaskTable<Tasks<true>, 12>;

/// The table `threads`.
pub(crate) type Threads = TaskTable<Tasks<false>, 12>;

/// What both show; `LEADERS` says whether of leaders alone.
pub(crate) struct Tasks<const LEADERS: bool>;

impl<const LEADERS: bool> View<12, ROW_MAX> for Tasks<LEADERS> {
    type Record = TaskRecord;

    const SCOPE: Scope = if LEADERS {
        Scope::Processes
    } else {
        Scope::Threads
    };

    const NOUN: &'static str = if LEADERS { "processes" } else { "threads" };

    const COLUMNS: &'static [Column; 12] = &COLUMNS;

    #[inline]
    fn record(id: ThreadId, task: RcuTask<'_>) -> TaskRecord {
        TaskRecord::new(id, task)
    }

    fn widths(records: &[TaskRecord]) -> [usize; 12] {
        let mut largest = [0; 12];
        let mut note = 0;

        for record in records {
            for (column, value) in [
                (TGID, record.id.tgid),
                (PID, record.id.pid),
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
        widths
    }

    #[inline]
    fn fill(record: &TaskRecord, shown: Shown, row: &mut Row<'_, 12>) {
        let [task, stack] = record.addresses;

        row.decimal(TGID, record.id.tgid);
        row.decimal(PID, record.id.pid);
        row.decimal(PPID, record.ppid);
        row.decimal(UID, record.uid);
        row.decimal(EUID, record.euid);
        row.decimal(NTHR, record.nr_threads);
        row.bytes(TASK, &shown.text(task));
        row.bytes(STACK, &shown.text(stack));
        if row.is_new(S, record.kinds()) {
            row.bytes(S, &[record.state]);
            row.bytes(KIND, record.kind.padded_name());
            row.bytes(MM, padded_mm_name(record.has_mm));
            row.bytes(NOTE, record.note.padded_name());
        }
    }

    #[inline]
    fn name(record: &TaskRecord) -> &Name {
        &record.name
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
