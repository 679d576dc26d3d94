// SPDX-License-Identifier: GPL-2.0

//! `kframes`: the frames of the kernel stack of every thread, as `/proc/PID/stack` has them.

use crate::abstractions::capability::Capability;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::abstractions::stack::Absent;
use crate::abstractions::switch_count::SwitchCount;
use crate::capture::kernel_frames::{
    StackRecord,
    StackRecorder, //
    FRAMES_MAX,
};
use crate::capture::snapshot::{
    Snapshot,
    ThreadId, //
};
use crate::capture::symbols::Symbols;
use crate::capture::walk::Scope;
use crate::state::State;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::kernel_address::Shown;
use crate::text::layout::Layout;
use crate::text::line::Line;
use crate::views::frame_text::{
    add_place,
    add_truncated, //
};
use crate::views::task_table::{
    add_tasks,
    layout, //
};
use core::ops::Range;
use kernel::prelude::*;

/// The table `kframes`.
pub(crate) struct Kframes {
    snapshot: Snapshot<StackRecord>,
    frames: KVVec<u32>,
    symbols: Symbols,
    shown: Shown,
    layout: Layout,
    len: usize,
    /// Whether `set_pid` has a list.
    selected: bool,
}

/// What a row shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// A frame, by the number of its symbol.
    At(u32),
    /// A stack without frames.
    Empty,
    /// No stack, and why.
    Absent(Absent),
}

/// A row: a frame, or why there is none.
#[derive(Clone, Copy)]
struct FrameRow<'a> {
    id: ThreadId,
    switches: SwitchCount,
    depth: u32,
    frame: Frame,
    symbols: &'a Symbols,
    shown: Shown,
}

impl Row for FrameRow<'_> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |row| row.id.tgid);
        columns.number("PID", |row| row.id.pid);
        columns.number("SWITCHES", |row| row.switches.get());
        columns.number("DEPTH", |row| {
            matches!(row.frame, Frame::At(_)).then_some(row.depth)
        });
        columns.rest("FRAME", Self::add_frame);
    }
}

impl FrameRow<'_> {
    /// Adds the text of column FRAME to `line`.
    fn add_frame(&self, line: &mut Line<'_>) {
        match self.frame {
            Frame::At(number) => add_place(line, self.symbols.place(number), self.shown),
            Frame::Empty => line.byte(b'-'),
            Frame::Absent(absent) => line.bytes(absent.name().as_bytes()),
        }
    }
}

/// What the rows of stacks are made of.
#[derive(Clone, Copy)]
struct Stacks<'a> {
    records: &'a [StackRecord],
    frames: &'a [u32],
    symbols: &'a Symbols,
    shown: Shown,
}

impl<'a> Stacks<'a> {
    /// Returns the row at `depth` of a stack.
    #[inline(always)]
    fn row(self, record: &StackRecord, depth: usize) -> FrameRow<'a> {
        FrameRow {
            id: record.id,
            switches: record.switches,
            // CAST: It is less than `FRAMES_MAX`.
            depth: depth as u32,
            frame: match record.frames {
                Ok(0) => Frame::Empty,
                Ok(_) => Frame::At(self.frames[record.start + depth]),
                Err(absent) => Frame::Absent(absent),
            },
            symbols: self.symbols,
            shown: self.shown,
        }
    }

    /// Returns the rows of `range`.
    #[inline(always)]
    fn rows(self, range: Range<usize>) -> impl Iterator<Item = FrameRow<'a>> {
        // The stack after the one that the first row belongs to.
        let mut next = self
            .records
            .partition_point(|record| record.row <= range.start);

        range.map(move |at| {
            if self
                .records
                .get(next)
                .is_some_and(|record| record.row == at)
            {
                next += 1;
            }
            let record = &self.records[next - 1];

            self.row(record, at - record.row)
        })
    }

    /// Returns the last row of each stack, whose values are the widest of the stack.
    fn last_rows(self) -> impl Iterator<Item = FrameRow<'a>> {
        let records = self.records.iter();

        records.map(move |record| self.row(record, record.rows() - 1))
    }
}

impl Kframes {
    /// Returns how many stacks `is_counted` holds for.
    fn count(&self, is_counted: impl Fn(&StackRecord) -> bool) -> usize {
        let records = self.snapshot.records.iter();

        records.filter(|record| is_counted(record)).count()
    }
}

impl Table for Kframes {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        // As for `/proc/PID/stack`.
        Capability::SysPtrace.require()?;
        let selection = state.selection();
        let mut recorder = StackRecorder::new()?;
        let mut snapshot = Snapshot::capture(
            &state.memory,
            Scope::Threads,
            selection.as_deref(),
            &mut recorder,
        )?;
        let mut len = 0;

        recorder.failure?;
        for record in snapshot.records.iter_mut() {
            record.row = len;
            len += record.rows();
        }
        let StackRecorder {
            frames,
            mut symbols,
            ..
        } = recorder;
        let shown = state.addresses.show(symbols.finish())?;
        let stacks = Stacks {
            records: &snapshot.records,
            frames: &frames,
            symbols: &symbols,
            shown,
        };
        let layout = layout(stacks.last_rows())?;

        Ok(Self {
            snapshot,
            frames,
            symbols,
            shown,
            layout,
            len,
            selected: selection.is_some(),
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<FrameRow<'_>>(line);
    }

    fn len(&self) -> usize {
        self.len
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        let stacks = Stacks {
            records: &self.snapshot.records,
            frames: &self.frames,
            symbols: &self.symbols,
            shown: self.shown,
        };

        self.layout.rows(stacks.rows(range), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        let frames = self.snapshot.records.iter();
        let frames: usize = frames.map(|record| record.frames.unwrap_or(0)).sum();
        let truncated = self.count(|record| record.truncated);

        add_tasks(line, &self.snapshot, "threads", self.selected);
        write!(line, "# {frames} frames");
        for absent in [Absent::OnCpu, Absent::Released] {
            let count = self.count(|record| record.frames == Err(absent));

            write!(line, ", {count} threads {}", absent.name());
        }
        line.byte(b'\n');
        add_truncated(line, truncated, FRAMES_MAX);
    }
}
