// SPDX-License-Identifier: GPL-2.0

//! `ustacks`. The user stack of each thread: the one that its stack pointer is in.

use crate::{
    cells::{
        Cell,
        Cells,
        Grid,
        Sink, //
    },
    line::Line,
    mm::LockBudget,
    regions::{
        look,
        stack_at,
        Stack, //
    },
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::ThreadId,
    state::State,
    sys,
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
    start: Option<usize>,
    end: Option<usize>,
    valid: Valid,
}

/// The table `ustacks`.
pub(crate) struct UserStacks {
    rows: KVVec<Row>,
    grid: Grid<10>,
    summary: Summary,
}

impl Cells for &Row {
    #[inline(always)]
    fn cells(&self, sink: &mut impl Sink) {
        let [soft, hard] = self.stack_limits.map(|limit| match limit {
            u64::MAX => Cell::Word("unlimited"),
            limit => Cell::Number(limit),
        });
        let address = |address: Option<usize>| address.map_or(Cell::Nothing, Cell::Address);
        // From the first address to the second.
        let bytes = |from: Option<usize>, to: Option<usize>| match (from, to) {
            (Some(from), Some(to)) => Cell::bytes(to - from),
            _ => Cell::Nothing,
        };

        sink.add(Cell::Number(self.id.tgid.into()));
        sink.add(Cell::Number(self.id.pid.into()));
        sink.add(address(self.sp));
        sink.add(address(self.start));
        sink.add(address(self.end));
        sink.add(bytes(self.start, self.end));
        sink.add(bytes(self.sp, self.end));
        sink.add(soft);
        sink.add(hard);
        sink.add(Cell::Word(self.valid.name()));
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
        let mut budget = LockBudget::new();

        for thread in captured.threads.iter() {
            let mut row = Row {
                id: thread.id,
                comm: thread.comm,
                stack_limits: thread.stack_limits,
                sp: None,
                start: None,
                end: None,
                valid: Valid::Ok,
            };

            let (mut sp, mut first_sp, mut stack) = (0, 0, None);
            row.valid = thread.visit(&mut budget, |space, registers, budget| {
                sp = registers.sp;
                (stack, first_sp) = look(space, budget, |parts, regions| {
                    Ok((stack_at(regions, parts, sp)?, parts.stack))
                })?;
                Ok(match stack {
                    Some(Stack::At(_)) => Valid::Ok,
                    Some(Stack::Guarded(_)) => Valid::Guarded,
                    Some(Stack::InPieces(_)) => Valid::Pieces,
                    None => Valid::Unmapped,
                })
            })?;
            if matches!(
                row.valid,
                Valid::Ok | Valid::Guarded | Valid::Pieces | Valid::Unmapped
            ) {
                row.sp = Some(sp);
                (row.start, row.end) = match stack {
                    Some(Stack::At(range)) => (Some(range.start), Some(range.end)),
                    // The end of the first stack is that of its mapping.
                    Some(Stack::Guarded(range)) if range.contains(&first_sp) => {
                        (None, Some(range.end))
                    }
                    _ => (None, None),
                };
            }
            rows.push(row, GFP_KERNEL)?;
            sys::cond_resched();
        }
        Ok(Self {
            grid: Grid::new(&COLUMNS, rows.iter())?,
            summary: Summary::new(
                &captured,
                rows.iter().map(|row| row.valid),
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

    const BLOCK: usize = 16;

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let row = &self.rows[at];

        self.grid.row(line, &row);
        text::add_comm(line, &row.comm, false);
        line.byte(b'\n');
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "threads");
    }
}
