// SPDX-License-Identifier: GPL-2.0

//! `segments`. The segments of each process.

use crate::{
    cells::{
        Cell,
        Grid, //
    },
    line::Line,
    mm::{
        AddressSpace,
        Locked,
        Patience,
        Use, //
    },
    segments::{
        segments,
        Region,
        RegionKind,
        Segment,
        NAMES,
        SEGMENTS, //
    },
    seq::{
        ReadOnly,
        Table, //
    },
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
use kernel::prelude::*;

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [(&str, Side); 6] = [
    ("TGID", Side::Right),
    ("SEGMENT", Side::Left),
    ("START", Side::Right),
    ("END", Side::Right),
    ("SIZE", Side::Right),
    ("VALID", Side::Left),
];

/// What is shown of a process, in as many rows as there are segments.
struct Process {
    tgid: u32,
    comm: [u8; COMM_LEN],
    /// [`None`] while a program is being executed.
    segments: Option<[Segment; SEGMENTS]>,
}

/// The table `segments`.
pub(crate) struct Segments {
    processes: KVVec<Process>,
    grid: Grid<6>,
    summary: Summary,
}

impl Process {
    /// Returns the values of the columns in the row of segment `at`.
    fn cells(&self, at: usize) -> [Cell; 6] {
        let nothing = [Cell::Nothing; 3];
        let ([start, end, size], valid) = match &self.segments {
            None => (nothing, Valid::Exec),
            Some(segments) => match &segments[at] {
                Segment::At(range) => (
                    [
                        Cell::Address(range.start),
                        Cell::Address(range.end),
                        Cell::bytes(range.end - range.start),
                    ],
                    Valid::Ok,
                ),
                Segment::Nothing => (nothing, Valid::Ok),
                Segment::Unknown => (nothing, Valid::Locked),
            },
        };

        [
            Cell::Number(self.tgid.into()),
            Cell::Word(NAMES[at]),
            start,
            end,
            size,
            Cell::Word(valid.name()),
        ]
    }
}

/// Returns the mappings of an address space.
fn regions<'a>(locked: &'a Locked<'_>) -> impl Iterator<Item = Region> + use<'a> {
    locked.mappings().map(|mapping| Region {
        range: mapping.range(),
        kind: match mapping.special_name() {
            Some(name) if name.to_bytes() == b"[vdso]" => RegionKind::Vdso,
            Some(_) => RegionKind::Special,
            None if mapping.is_of_file() => RegionKind::File,
            None => RegionKind::Anonymous,
        },
    })
}

/// Finds the segments of the program in `space`, which has been loaded.
fn find(space: &AddressSpace, patience: &mut Patience) -> Result<[Segment; SEGMENTS]> {
    let locked = space.lock(patience)?;

    Ok(segments(&space.parts(), locked.as_ref().map(regions)))
}

impl Table for Segments {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Processes, selection.as_deref())?;
        let mut processes = KVVec::with_capacity(captured.threads.len(), GFP_KERNEL)?;
        let mut patience = Patience::new();

        for leader in captured.each() {
            let leader = leader?;

            // A process none of whose threads has an address space has no segments.
            let Some((space, program)) = leader.process_space() else {
                continue;
            };

            processes.push(
                Process {
                    tgid: leader.id.tgid,
                    comm: leader.comm,
                    segments: match program {
                        Use::Runs => Some(find(&space, &mut patience)?),
                        _ => None,
                    },
                },
                GFP_KERNEL,
            )?;
        }
        Ok(Self {
            grid: Grid::new(
                &COLUMNS,
                processes
                    .iter()
                    .flat_map(|process| (0..SEGMENTS).map(|at| process.cells(at))),
            )?,
            summary: Summary::new(&captured, processes.len(), &patience, selection.is_some()),
            processes,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.grid.header(line, "COMM");
    }

    fn rows(&self) -> usize {
        self.processes.len() * SEGMENTS
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let process = &self.processes[at / SEGMENTS];

        self.grid.row(line, process.cells(at % SEGMENTS));
        text::add_comm(line, &process.comm, false);
        line.byte(b'\n');
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "processes");
    }
}
