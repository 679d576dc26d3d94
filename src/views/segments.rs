// SPDX-License-Identifier: GPL-2.0

//! `segments`. The segments of each process.

use crate::{
    cells::{
        Cell,
        Grid, //
    },
    line::Line,
    mm::Patience,
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
    segments: [Segment; SEGMENTS],
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
        let [start, end, size] = match &self.segments[at] {
            Segment::At(range) => [
                Cell::Address(range.start),
                Cell::Address(range.end),
                Cell::bytes(range.end - range.start),
            ],
            _ => [Cell::Nothing; 3],
        };
        let valid = match self.segments[at] {
            Segment::Unknown => Valid::Locked,
            _ => Valid::Ok,
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

impl Table for Segments {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(Scope::Processes, selection.as_deref())?;
        let mut processes = KVVec::with_capacity(captured.threads.len(), GFP_KERNEL)?;
        let mut patience = Patience::new();

        for leader in &captured.threads {
            // A process that is no more has no segments.
            let Some(space) = leader.address_space() else {
                continue;
            };
            let locked = space.lock(&mut patience)?;
            let regions = locked.as_ref().map(|locked| {
                locked.mappings().map(|mapping| Region {
                    range: mapping.range(),
                    kind: match mapping.special_name() {
                        Some(name) if name.to_bytes() == b"[vdso]" => RegionKind::Vdso,
                        Some(_) => RegionKind::Special,
                        None if mapping.is_of_file() => RegionKind::File,
                        None => RegionKind::Anonymous,
                    },
                })
            });

            processes.push(
                Process {
                    tgid: leader.id.tgid,
                    comm: leader.comm,
                    segments: segments(&space.parts(), regions),
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
            ),
            processes,
            summary: Summary::new(&captured, &patience, selection.is_some()),
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
