// SPDX-License-Identifier: GPL-2.0

//! `uframes`: the frames of the user stack of each thread, by its frame pointers.

use crate::abstractions::capability::Capability;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::capture::frame_names::{
    FrameNames,
    NAMES_MAX, //
};
use crate::capture::user_frames::{
    Counts,
    Frame,
    FrameRow,
    UserFrames, //
    FRAMES_MAX,
};
use crate::capture::users::UserThreads;
use crate::capture::walk::Scope;
use crate::state::State;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::layout::Layout;
use crate::text::line::Line;
use crate::text::value::PaddedHexadecimal;
use crate::views::frame_text::{
    add_mapping,
    add_truncated, //
};
use crate::views::task_table::layout;
use crate::views::user_summary::Summary;
use core::ops::Range;
use kernel::prelude::*;

/// The table `uframes`.
pub(crate) struct Uframes {
    rows: KVVec<FrameRow>,
    names: FrameNames,
    counts: Counts,
    layout: Layout,
    summary: Summary,
}

/// A row, and the names that it refers to.
#[derive(Clone, Copy)]
struct ShownRow<'a> {
    row: &'a FrameRow,
    names: &'a FrameNames,
}

impl Row for ShownRow<'_> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |shown| shown.row.id.tgid);
        columns.number("PID", |shown| shown.row.id.pid);
        columns.number("SWITCHES", |shown| shown.row.switches.get());
        columns.number("DEPTH", |shown| shown.row.depth);
        columns.number("ADDRESS", |shown| match shown.row.frame {
            Frame::At { address, .. } | Frame::Nowhere { address } => {
                Some(PaddedHexadecimal(address))
            }
            Frame::End(_) | Frame::NoChain(_) => None,
        });
        columns.rest("FRAME", Self::add_frame);
    }
}

impl ShownRow<'_> {
    /// Adds the text of column FRAME to `line`.
    fn add_frame(&self, line: &mut Line<'_>) {
        match self.row.frame {
            Frame::At { name, offset, .. } => add_mapping(line, self.names, name, offset),
            Frame::Nowhere { .. } => line.byte(b'-'),
            Frame::End(end) => write!(line, "end: {}", end.name()),
            Frame::NoChain(why) => write!(line, "end: {}", why.name()),
        }
    }
}

impl Uframes {
    /// Returns the number of frames whose mapping has a name that is not kept.
    fn unnamed(&self) -> usize {
        let is_unnamed = |row: &&FrameRow| match row.frame {
            Frame::At { name, .. } => self.names.get(name).is_none(),
            _ => false,
        };

        if self.names.is_full() {
            self.rows.iter().filter(is_unnamed).count()
        } else {
            0
        }
    }
}

/// Returns rows with the names that they refer to.
#[inline(always)]
fn shown<'a>(rows: &'a [FrameRow], names: &'a FrameNames) -> impl Iterator<Item = ShownRow<'a>> {
    rows.iter().map(move |row| ShownRow { row, names })
}

impl Table for Uframes {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        Capability::SysPtrace.require()?;
        let selection = state.selection();
        let threads = UserThreads::capture(&state.memory, Scope::Threads, selection.as_deref())?;
        let found = UserFrames::capture(&state.memory_readers, threads)?;

        Ok(Self {
            layout: layout(shown(&found.rows, &found.names))?,
            summary: Summary::new(
                &found.threads,
                found.valid.iter().copied(),
                selection.is_some(),
            ),
            rows: found.rows,
            names: found.names,
            counts: found.counts,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<ShownRow<'_>>(line);
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        self.layout
            .rows(shown(&self.rows[range], &self.names), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        let Counts {
            frames,
            truncated,
            in_libraries,
        } = self.counts;
        let unnamed = self.unnamed();

        self.summary.add_to(line, "threads");
        writeln!(line, "# {frames} frames");
        add_truncated(line, truncated, FRAMES_MAX);
        if in_libraries != 0 {
            writeln!(
                line,
                "# {in_libraries} chains end in a library: callers are missing if it has no frame pointers"
            );
        }
        if unnamed != 0 {
            writeln!(
                line,
                "# {unnamed} frames without the name of their mapping: there are more than {NAMES_MAX} names"
            );
        }
    }
}
