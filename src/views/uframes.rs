// SPDX-License-Identifier: GPL-2.0

//! `uframes`. The frames of each thread's user stack, by its frame pointers.

use crate::{
    cells::{
        Cell,
        Grid, //
    },
    frame_chain::{
        self,
        End,
        Start, //
    },
    line::Line,
    mm::{
        Locked,
        Patience,
        NAME_MAX, //
    },
    names::Names,
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::ThreadId,
    state::State,
    sys::{
        self,
        UserRegisters, //
    },
    text::{
        self,
        Side, //
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
use kernel::{
    bindings,
    prelude::*, //
};

/// The most frames of a thread that are shown, the innermost included.
const FRAMES_MAX: usize = 128;

/// The most names of mappings that are kept, so that who has mapped very many files under long names
/// cannot make the table take much memory.
///
/// Beside names, a thread costs `FRAMES_MAX` rows and an end, which take no more than its own stack in
/// the kernel.
const NAMES_MAX: usize = 2048;

/// What stands for the names that are not kept.
const UNNAMED: &[u8] = b"[too-many-names]";

/// The columns. The last one, FRAME, runs to the end of the line.
static COLUMNS: [(&str, Side); 4] = [
    ("TGID", Side::Right),
    ("PID", Side::Right),
    ("DEPTH", Side::Right),
    ("ADDRESS", Side::Right),
];

/// What is in column FRAME.
#[derive(Clone, Copy)]
enum Frame {
    /// An address in a mapping.
    At {
        address: usize,
        /// The name of the mapping, as its number among the names, if it is kept.
        name: Option<u32>,
        /// Where that is in the mapping, or in the file.
        offset: usize,
    },
    /// An address in no mapping.
    Nowhere { address: usize },
    /// The chain ends, and why.
    End(End),
    /// There is no chain, and why.
    NoChain(Valid),
}

/// A row.
struct Row {
    id: ThreadId,
    depth: u32,
    frame: Frame,
}

/// The table `uframes`.
pub(crate) struct UserFrames {
    rows: KVVec<Row>,
    names: Names,
    grid: Grid<4>,
    summary: Summary,
}

impl Row {
    /// Returns the values of the columns.
    fn cells(&self) -> [Cell; 4] {
        [
            Cell::Number(self.id.tgid.into()),
            Cell::Number(self.id.pid.into()),
            Cell::Number(self.depth.into()),
            match self.frame {
                Frame::At { address, .. } | Frame::Nowhere { address } => Cell::Address(address),
                Frame::End(_) | Frame::NoChain(_) => Cell::Nothing,
            },
        ]
    }
}

/// Returns what is at `address`.
fn frame(space: &Locked<'_>, address: usize, names: &mut Names, buf: &mut [u8]) -> Result<Frame> {
    let Some(mapping) = space.mapping_at(address) else {
        return Ok(Frame::Nowhere { address });
    };

    Ok(Frame::At {
        address,
        name: names.add(mapping.name(buf))?,
        offset: mapping.offset(address),
    })
}

/// Returns the size of a word in the programs for a machine, if these have frames as here.
fn word(machine: u16) -> Option<usize> {
    match machine.into() {
        bindings::EM_X86_64 | bindings::EM_AARCH64 => Some(8),
        bindings::EM_386 => Some(4),
        _ => None,
    }
}

/// Adds the frames of a thread to `rows`, from the innermost on, and why there are no more.
fn add_frames(
    space: &Locked<'_>,
    registers: &UserRegisters,
    names: &mut Names,
    buf: &mut [u8],
    mut add: impl FnMut(Frame) -> Result,
) -> Result {
    add(frame(space, registers.pc, names, buf)?)?;
    let end = match word(registers.machine) {
        Some(word) => {
            let start = Start {
                sp: registers.sp,
                fp: registers.fp,
                word,
                user_end: sys::user_end(),
            };

            frame_chain::walk(space, start, FRAMES_MAX - 1, |address| {
                add(frame(space, address, names, buf)?)
            })?
        }
        None => End::UnknownMachine,
    };

    add(Frame::End(end))
}

impl UserFrames {
    /// Returns in how many rows `is_counted` holds for what is in column FRAME.
    fn count(&self, is_counted: impl Fn(Frame) -> bool) -> usize {
        let rows = self.rows.iter();

        rows.filter(|row| is_counted(row.frame)).count()
    }
}

impl Table for UserFrames {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Threads, selection.as_deref())?;
        let mut rows = KVVec::with_capacity(2 * captured.threads.len(), GFP_KERNEL)?;
        let mut names = Names::new(NAMES_MAX);
        let mut buf = KVVec::from_elem(0, NAME_MAX, GFP_KERNEL)?;
        let mut patience = Patience::new();
        let mut with = 0;

        for thread in captured.each() {
            let thread = thread?;
            let first = rows.len();
            let id = thread.id;
            let valid = thread.visit(&mut patience, |space, registers| {
                add_frames(space, registers, &mut names, &mut buf, |frame| {
                    // CAST: There are at most `FRAMES_MAX`, and an end.
                    let depth = (rows.len() - first) as u32;

                    rows.push(Row { id, depth, frame }, GFP_KERNEL)?;
                    Ok(())
                })?;
                Ok(Valid::Ok)
            })?;

            with += usize::from(valid != Valid::NoMm);
            if valid != Valid::Ok {
                rows.truncate(first);
                rows.push(
                    Row {
                        id,
                        depth: 0,
                        frame: Frame::NoChain(valid),
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        Ok(Self {
            grid: Grid::new(&COLUMNS, rows.iter().map(Row::cells))?,
            rows,
            names,
            summary: Summary::new(&captured, with, &patience, selection.is_some()),
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.grid.header(line, "FRAME");
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let row = &self.rows[at];

        self.grid.row(line, row.cells());
        match row.frame {
            Frame::At { name, offset, .. } => {
                text::add_escaped(line, name.map_or(UNNAMED, |name| self.names.get(name)));
                line.bytes(b"+0x");
                text::add_short_hexadecimal(line, offset);
            }
            Frame::Nowhere { .. } => line.byte(b'-'),
            Frame::End(end) => {
                line.bytes(b"end: ");
                line.bytes(end.name().as_bytes());
            }
            Frame::NoChain(why) => {
                line.bytes(b"end: ");
                line.bytes(why.name().as_bytes());
            }
        }
        line.byte(b'\n');
    }

    fn summary(&self, line: &mut Line<'_>) {
        let frames = self.count(|frame| matches!(frame, Frame::At { .. } | Frame::Nowhere { .. }));
        let truncated = self.count(|frame| matches!(frame, Frame::End(End::Limit)));
        let unnamed = self.count(|frame| matches!(frame, Frame::At { name: None, .. }));

        self.summary.add_to(line, "threads");
        line.bytes(b"# ");
        text::add_count(line, frames);
        line.bytes(b" frames\n");
        if truncated != 0 {
            line.bytes(b"# ");
            text::add_count(line, truncated);
            line.bytes(b" stacks truncated, to the innermost ");
            text::add_count(line, FRAMES_MAX);
            line.bytes(b" frames\n");
        }
        if unnamed != 0 {
            line.bytes(b"# ");
            text::add_count(line, unnamed);
            line.bytes(b" frames without the name of their mapping: there are more than ");
            text::add_count(line, NAMES_MAX);
            line.bytes(b" names\n");
        }
    }
}
