// SPDX-License-Identifier: GPL-2.0

//! `cpus`: the frames of what each CPU runs at the moment of the open.

use crate::abstractions::capability::Capability;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::capture::answers::ANSWER_LIMIT;
use crate::capture::cpu_frames::{
    CpuFrame,
    CpuRow,
    CpuRows, //
};
use crate::capture::frame_names::FrameNames;
use crate::capture::kernel_frames::FRAMES_MAX;
use crate::capture::symbols::Symbols;
use crate::state::State;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::kernel_address::Shown;
use crate::text::layout::Layout;
use crate::text::line::Line;
use crate::text::value::{
    PaddedHexadecimal,
    WithoutSpaces, //
};
use crate::views::frame_text::{
    add_mapping,
    add_place,
    add_truncated, //
};
use crate::views::isolated_cpus::add_left_alone;
use crate::views::task_table::layout;
use core::ops::Range;
use kernel::prelude::*;

/// The table `cpus`.
pub(crate) struct Cpus {
    found: CpuRows,
    shown: Shown,
    layout: Layout,
}

/// A row, and what it refers to.
#[derive(Clone, Copy)]
struct ShownRow<'a> {
    row: &'a CpuRow,
    symbols: &'a Symbols,
    names: &'a FrameNames,
    shown: Shown,
}

impl Row for ShownRow<'_> {
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("CPU", |shown| shown.row.cpu);
        columns.number("TGID", |shown| {
            shown.row.thread.map(|thread| thread.id.tgid)
        });
        columns.number("PID", |shown| shown.row.thread.map(|thread| thread.id.pid));
        columns.text("CONTEXT", |shown| {
            shown.row.context.map(|context| context.name())
        });
        columns.text("VALID", |shown| shown.row.valid.name());
        columns.number("DEPTH", |shown| {
            (shown.row.frame != CpuFrame::Nothing).then_some(shown.row.depth)
        });
        columns.text("COMM", |shown| {
            shown.row.thread.map(|thread| WithoutSpaces(thread.name))
        });
        columns.number("ADDRESS", |shown| match shown.row.frame {
            CpuFrame::User { address, .. } | CpuFrame::Nowhere { address } => {
                Some(PaddedHexadecimal(address))
            }
            CpuFrame::Kernel(_) | CpuFrame::Nothing => None,
        });
        columns.rest("FRAME", Self::add_frame);
    }
}

impl ShownRow<'_> {
    /// Adds the text of column FRAME to `line`.
    fn add_frame(&self, line: &mut Line<'_>) {
        match self.row.frame {
            CpuFrame::Kernel(number) => add_place(line, self.symbols.place(number), self.shown),
            CpuFrame::User { name, offset, .. } => add_mapping(line, self.names, name, offset),
            CpuFrame::Nowhere { .. } | CpuFrame::Nothing => line.byte(b'-'),
        }
    }
}

/// Returns the rows of `range` with what they refer to.
fn shown_rows(
    found: &CpuRows,
    shown: Shown,
    range: Range<usize>,
) -> impl Iterator<Item = ShownRow<'_>> {
    found.rows[range].iter().map(move |row| ShownRow {
        row,
        symbols: &found.symbols,
        names: &found.names,
        shown,
    })
}

impl Table for Cpus {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        // As for `/proc/PID/stack`.
        Capability::SysPtrace.require()?;
        let mut found = CpuRows::capture(&state.cpu_sampler, &state.memory)?;
        let shown = state.addresses.show(found.symbols.finish())?;

        Ok(Self {
            layout: layout(shown_rows(&found, shown, 0..found.rows.len()))?,
            shown,
            found,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<ShownRow<'_>>(line);
    }

    fn len(&self) -> usize {
        self.found.rows.len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        self.layout
            .rows(shown_rows(&self.found, self.shown, range), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        let CpuRows {
            rows,
            online,
            sampled,
            spread,
            isolated,
            truncated,
            ..
        } = &self.found;

        write!(line, "# {online} CPUs online, {sampled} sampled");
        if let Some(spread) = spread {
            write!(line, " within {} ns", spread.as_nanos());
        }
        line.byte(b'\n');
        for (cpu, isolation) in isolated {
            write!(line, "# CPU {} ", cpu.as_u32());
            add_left_alone(line, *isolation);
        }
        for row in rows.iter().filter(|row| row.is_silent()) {
            writeln!(
                line,
                "# CPU {} did not answer within {ANSWER_LIMIT} ms: \
                 its interrupts are disabled, or the hypervisor does not run it",
                row.cpu
            );
        }
        add_truncated(line, *truncated, FRAMES_MAX);
    }
}
