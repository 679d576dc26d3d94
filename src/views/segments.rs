// SPDX-License-Identifier: GPL-2.0

//! `segments`. The segments of each process.

use crate::abstractions::capability::Capability;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::abstractions::signal;
use crate::capture::process_segments::ProcessSegments;
use crate::capture::program_segments::{
    Segment, //
    NAMES,
    SEGMENTS,
};
use crate::capture::users::{
    UserThreads,
    Valid, //
};
use crate::capture::walk::Scope;
use crate::state::State;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::layout::{
    Layout,
    Widths, //
};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::value::{
    Cell,
    PaddedHexadecimal,
    Value, //
};
use crate::views::user_summary::Summary;
use core::ops::Range;
use kernel::prelude::*;

/// The table `segments`.
pub(crate) struct Segments {
    processes: KVVec<ProcessSegments>,
    layout: Layout,
    summary: Summary,
}

/// A segment, by its number among [`NAMES`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct SegmentName(usize);

impl Cell for SegmentName {
    /// The name of the column is longer than those of the segments.
    const WIDTH: Option<usize> = Some(0);

    fn value(self) -> Value {
        Value::Word(NAMES[self.0])
    }
}

/// A row: a segment of a process.
#[derive(Clone, Copy)]
struct SegmentRow<'a> {
    process: &'a ProcessSegments,
    name: SegmentName,
    start: Option<PaddedHexadecimal>,
    end: Option<PaddedHexadecimal>,
    size: Option<usize>,
    valid: Valid,
}

impl<'a> SegmentRow<'a> {
    /// Returns the row of segment `at` of `process`.
    #[inline(always)]
    fn new(process: &'a ProcessSegments, at: usize) -> Self {
        let segment = process.segments.as_ref().map(|segments| &segments[at]);
        let (start, end, size) = match segment {
            Some(Segment::At(range)) => (
                Some(range.start),
                Some(range.end),
                Some(range.end - range.start),
            ),
            Some(Segment::Guarded(range)) => (None, Some(range.end), None),
            _ => (None, None, None),
        };

        Self {
            process,
            name: SegmentName(at),
            start: start.map(PaddedHexadecimal),
            end: end.map(PaddedHexadecimal),
            size,
            valid: segment.map_or(Valid::Exec, Segment::valid),
        }
    }
}

impl Row for SegmentRow<'_> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |row| row.process.tgid);
        columns.text("SEGMENT", |row| row.name);
        columns.number("START", |row| row.start);
        columns.number("END", |row| row.end);
        columns.number("SIZE", |row| row.size);
        columns.text("VALID", |row| row.valid);
        columns.name("COMM", |row| Name::unbracketed(row.process.comm));
    }
}

impl Table for Segments {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        Capability::SysPtrace.require()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Processes, selection.as_deref())?;
        let processes = ProcessSegments::capture(&captured)?;
        let mut widths = Widths::new::<SegmentRow<'_>>()?;

        // As `task_table::layout()`, without a division for each row: this saves 4% of the table's
        // cost.
        for processes in processes.chunks(signal::ROWS_PER_CHECK / SEGMENTS) {
            signal::check_fatal_signal()?;
            for process in processes {
                for at in 0..SEGMENTS {
                    widths.add(&SegmentRow::new(process, at));
                }
            }
        }

        Ok(Self {
            layout: Layout::new(&widths)?,
            summary: Summary::new(
                &captured,
                processes.iter().map(|process| process.valid),
                selection.is_some(),
            ),
            processes,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<SegmentRow<'_>>(line);
    }

    fn len(&self) -> usize {
        self.processes.len() * SEGMENTS
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        let rows =
            range.map(|row| SegmentRow::new(&self.processes[row / SEGMENTS], row % SEGMENTS));

        self.layout.rows(rows, line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "processes");
    }
}
