// SPDX-License-Identifier: GPL-2.0

//! `ustacks`. The mapping that each thread's user stack pointer is in.

use crate::{
    cells::{
        Cell,
        Grid, //
    },
    line::Line,
    mm::Patience,
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::ThreadId,
    state::State,
    text::{
        self,
        Side,
        COMM_LEN, //
    },
    users::{
        UserThreads,
        Valid, //
    },
    views::{
        rights::may_look,
        user_summary::Summary, //
    },
    walk::Scope, //
};
use core::ops::Range;
use kernel::prelude::*;

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [(&str, Side); 10] = [
    ("TGID", Side::Right),
    ("PID", Side::Right),
    ("SP", Side::Right),
    ("START", Side::Right),
    ("END", Side::Right),
    ("SIZE", Side::Right),
    ("USED", Side::Right),
    ("RLIM_CUR", Side::Right),
    ("RLIM_MAX", Side::Right),
    ("VALID", Side::Left),
];

/// What is shown of a thread.
struct Row {
    id: ThreadId,
    comm: [u8; COMM_LEN],
    stack_limits: [u64; 2],
    sp: Option<usize>,
    mapping: Option<Range<usize>>,
    valid: Valid,
}

/// The table `ustacks`.
pub(crate) struct UserStacks {
    rows: KVVec<Row>,
    grid: Grid<10>,
    summary: Summary,
}

impl Row {
    /// Returns the values of the columns.
    fn cells(&self) -> [Cell; 10] {
        let [soft, hard] = self.stack_limits.map(|limit| match limit {
            u64::MAX => Cell::Word("unlimited"),
            limit => Cell::Number(limit),
        });
        let [start, end, size] = match &self.mapping {
            Some(Range { start, end }) => [
                Cell::Address(*start),
                Cell::Address(*end),
                Cell::bytes(end - start),
            ],
            None => [Cell::Nothing; 3],
        };
        let used = match (&self.mapping, self.sp) {
            (Some(mapping), Some(sp)) => Cell::bytes(mapping.end - sp),
            _ => Cell::Nothing,
        };

        [
            Cell::Number(self.id.tgid.into()),
            Cell::Number(self.id.pid.into()),
            self.sp.map_or(Cell::Nothing, Cell::Address),
            start,
            end,
            size,
            used,
            soft,
            hard,
            Cell::Word(self.valid.name()),
        ]
    }
}

impl Table for UserStacks {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Threads, selection.as_deref())?;
        let mut rows = KVVec::with_capacity(captured.threads.len(), GFP_KERNEL)?;
        let mut patience = Patience::new();

        for thread in captured.each() {
            let thread = thread?;
            let mut found = (None, None);
            let valid = thread.visit(&mut patience, |space, registers| {
                let mapping = space.mapping_at(registers.sp);

                found = (
                    Some(registers.sp),
                    mapping.as_ref().map(|mapping| mapping.range()),
                );
                Ok(if mapping.is_some() {
                    Valid::Ok
                } else {
                    Valid::Unmapped
                })
            })?;
            let (sp, mapping) = match valid {
                Valid::Ok | Valid::Unmapped => found,
                _ => (None, None),
            };

            rows.push(
                Row {
                    id: thread.id,
                    comm: thread.comm,
                    stack_limits: thread.stack_limits,
                    sp,
                    mapping,
                    valid,
                },
                GFP_KERNEL,
            )?;
        }
        Ok(Self {
            grid: Grid::new(&COLUMNS, rows.iter().map(Row::cells))?,
            summary: Summary::new(
                &captured,
                rows.iter().filter(|row| row.valid != Valid::NoMm).count(),
                &patience,
                selection.is_some(),
            ),
            rows,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.grid.header(line, "COMM");
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let row = &self.rows[at];

        self.grid.row(line, row.cells());
        text::add_comm(line, &row.comm, false);
        line.byte(b'\n');
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "threads");
    }
}
