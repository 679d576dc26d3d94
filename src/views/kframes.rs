// SPDX-License-Identifier: GPL-2.0

//! `kframes`. The frames of the kernel stack of every thread, as `/proc/PID/stack` has them.

use crate::{
    addresses::Shown,
    line::Line,
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::{
        Record,
        Recorder,
        Snapshot,
        ThreadId, //
    },
    stack::{
        self,
        Absent, //
    },
    state::State,
    symbols::{
        Place,
        Symbols, //
    },
    sys,
    tasks::RcuTask,
    text::{
        self,
        Column,
        Layout,
        Row, //
    },
    views::{
        rights::may_look,
        task_table::{
            add_number,
            add_selected, //
        },
    },
    walk::Scope, //
};
use core::ops::Range;
use kernel::prelude::*;

/// The columns. The last one, FRAME, runs to the end of the line.
static COLUMNS: [Column; 3] = [
    Column::number("TGID", 10),
    Column::number("PID", 10),
    Column::number("DEPTH", 10),
];

const TGID: usize = 0;
const PID: usize = 1;
const DEPTH: usize = 2;

/// The most bytes that the columns take up.
const COLUMNS_MAX: usize = 64;

/// How long the name of a frame is, most of them, with the end of the line.
const FRAME_TYPICAL: usize = 48;

/// The most frames that are shown of a stack: as many as `/proc/PID/stack` has.
const FRAMES_MAX: usize = 64;

/// The most tasks whose stacks are walked in one RCU read-side critical section.
///
/// It takes several microseconds a task.
const SECTION: usize = 64;

/// For how many frames there is room whenever such a section begins.
const ROOM: usize = 16 * FRAMES_MAX;

/// The stack of a thread.
struct StackRecord {
    id: ThreadId,
    /// How many rows come before those of this thread.
    row: usize,
    /// Where its frames begin among all.
    start: usize,
    /// How many they are, or why there are none.
    frames: Result<usize, Absent>,
    /// Whether there are more than are shown.
    truncated: bool,
}

impl StackRecord {
    /// Returns the number of rows: one a frame, or one that says why there are none.
    fn rows(&self) -> usize {
        self.frames.unwrap_or(0).max(1)
    }
}

impl Record for StackRecord {
    fn id(&self) -> ThreadId {
        self.id
    }
}

/// Walks stacks.
struct Walker {
    /// The frames of all stacks, one after the other: numbers of names.
    frames: KVVec<u32>,
    symbols: Symbols,
    /// Why something could not be recorded.
    failure: Result,
}

impl Walker {
    /// Finds the frames of `task`, and returns how many they are; more than `FRAMES_MAX` stand for
    /// some that are left out.
    fn walk(&mut self, task: RcuTask<'_>) -> Result<usize, Absent> {
        let mut found = [0; FRAMES_MAX + 1];
        let count = stack::frames(task, &mut found)?;

        for address in &found[..count.min(FRAMES_MAX)] {
            let pushed = self.symbols.number(*address).and_then(|number| {
                self.frames.push_within_capacity(number)?;
                Ok(())
            });

            self.failure = self.failure.and(pushed);
        }
        Ok(count)
    }
}

impl Recorder for Walker {
    type Record = StackRecord;

    const SECTION: usize = SECTION;

    fn prepare(&mut self) -> Result {
        self.frames.reserve(ROOM, GFP_KERNEL)?;
        self.symbols.prepare(2 * FRAMES_MAX)
    }

    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> StackRecord {
        let start = self.frames.len();
        let frames = self.walk(task);

        StackRecord {
            id,
            row: 0,
            start,
            frames: frames.map(|count| count.min(FRAMES_MAX)),
            truncated: frames.is_ok_and(|count| count > FRAMES_MAX),
        }
    }

    fn is_ready(&self) -> bool {
        self.frames.capacity() - self.frames.len() >= FRAMES_MAX
            && self.symbols.has_room(FRAMES_MAX)
    }
}

/// The table `kframes`.
pub(crate) struct Kframes {
    snapshot: Snapshot<StackRecord>,
    frames: KVVec<u32>,
    symbols: Symbols,
    shown: Shown,
    layout: Layout<3, COLUMNS_MAX>,
    rows: usize,
    /// Whether the choice of threads was in force.
    selected: bool,
}

impl Kframes {
    /// Adds a row for the frame of `record` at `depth`, by changing `row` into it.
    fn add_row(
        &self,
        record: &StackRecord,
        depth: usize,
        row: &mut Row<'_, 3, COLUMNS_MAX>,
        line: &mut Line<'_>,
    ) {
        row.decimal(TGID, record.id.tgid);
        row.decimal(PID, record.id.pid);
        if record.frames.is_ok_and(|frames| frames != 0) {
            // CAST: It is less than `FRAMES_MAX`.
            row.decimal(DEPTH, depth as u32);
        } else {
            row.word(DEPTH, "-");
        }
        row.add_to(line);
        match record.frames {
            Ok(0) => line.byte(b'-'),
            Ok(_) => match self.symbols.place(self.frames[record.start + depth]) {
                Place::Named(name) => text::add_symbol(line, name),
                Place::Address(number) => line.bytes(&self.shown.text(number)),
            },
            Err(absent) => line.bytes(absent.name().as_bytes()),
        }
        line.byte(b'\n');
    }

    /// Returns how many stacks `is_counted` holds for.
    fn count(&self, is_counted: impl Fn(&StackRecord) -> bool) -> usize {
        let records = self.snapshot.records.iter();

        records.filter(|record| is_counted(record)).count()
    }
}

impl Table for Kframes {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        const { assert!(Column::width_max(&COLUMNS) <= COLUMNS_MAX) };

        // As for /proc/PID/stack.
        may_look()?;
        let selection = state.selection();
        let mut walker = Walker {
            frames: KVVec::new(),
            symbols: Symbols::new()?,
            failure: Ok(()),
        };
        let mut snapshot = Snapshot::capture(
            &state.memory,
            Scope::Threads,
            selection.as_deref(),
            &mut walker,
        )?;
        let mut rows = 0;
        let mut largest = [0; 3];

        walker.failure?;
        for (at, record) in snapshot.records.iter_mut().enumerate() {
            if at % sys::ROWS_PER_CHECK == 0 {
                sys::check_fatal_signal()?;
            }
            record.row = rows;
            rows += record.rows();
            for (column, value) in [
                (TGID, record.id.tgid),
                (PID, record.id.pid),
                // CAST: There are at most `FRAMES_MAX`.
                (DEPTH, record.rows() as u32 - 1),
            ] {
                largest[column] = largest[column].max(value);
            }
        }

        Ok(Self {
            snapshot,
            shown: state.addresses.show(walker.symbols.finish())?,
            frames: walker.frames,
            symbols: walker.symbols,
            layout: Layout::new(&COLUMNS, largest.map(text::digits)),
            rows,
            selected: selection.is_some(),
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header(line, "FRAME");
    }

    fn rows(&self) -> usize {
        self.rows
    }

    const BLOCK: usize = 16;

    fn row(&self, at: usize, line: &mut Line<'_>) {
        self.block(at..at + 1, line);
    }

    fn block(&self, rows: Range<usize>, line: &mut Line<'_>) {
        let records = &self.snapshot.records;
        // The last one of those that begin here or before.
        let mut next = records.partition_point(|record| record.row <= rows.start);
        let mut record = &records[next - 1];
        let mut row = self.layout.row();
        // What it takes up for the most part, so that little time goes into text that will be
        // thrown away.
        let expected = rows.len() * (self.layout.width() + FRAME_TYPICAL);

        if !line.has_room(expected) {
            return;
        }
        for at in rows {
            if let Some(begun) = records.get(next).filter(|record| record.row == at) {
                record = begun;
                next += 1;
            }
            self.add_row(record, at - record.row, &mut row, line);
        }
    }

    fn summary(&self, line: &mut Line<'_>) {
        let frames = self.snapshot.records.iter();
        let frames = frames.map(|record| record.frames.unwrap_or(0)).sum();
        let truncated = self.count(|record| record.truncated);

        line.bytes(b"# ");
        add_number(line, &self.snapshot, self.selected);
        line.bytes(b" threads");
        add_selected(line, self.selected);
        line.bytes(b"\n# ");
        text::add_count(line, frames);
        line.bytes(b" frames");
        for absent in [Absent::OnCpu, Absent::Released] {
            line.bytes(b", ");
            text::add_count(line, self.count(|record| record.frames == Err(absent)));
            line.bytes(b" threads ");
            line.bytes(absent.name().as_bytes());
        }
        line.byte(b'\n');
        if truncated != 0 {
            line.bytes(b"# ");
            text::add_count(line, truncated);
            line.bytes(b" stacks truncated, to the innermost ");
            text::add_count(line, FRAMES_MAX);
            line.bytes(b" frames\n");
        }
    }
}
