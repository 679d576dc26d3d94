// SPDX-License-Identifier: GPL-2.0

//! `segments`. The segments of each process.

use crate::{
    address_map::AddressMap,
    cells::{
        Cell,
        Cells,
        Grid,
        Sink, //
    },
    line::Line,
    mm::{
        AddressSpace,
        LockBudget,
        Use, //
    },
    regions::look,
    segments::{
        segments,
        Segment,
        NAMES,
        NOTHING,
        SEGMENTS, //
    },
    seq::{
        ReadOnly,
        Table, //
    },
    state::State,
    sys,
    text::{
        self,
        Side,
        COMM_LEN,
        COMM_MAX, //
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
use core::{
    mem::MaybeUninit,
    ops::Range, //
};
use kernel::{
    mm::Mm,
    prelude::*,
    sync::aref::ARef, //
};

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
    /// Its number among the programs; [`None`] while a program is being executed.
    program: Option<usize>,
    /// What its rows are worth together: the longest word of VALID.
    valid: Valid,
}

/// The table `segments`.
pub(crate) struct Segments {
    processes: KVVec<Process>,
    programs: KVVec<[Segment; SEGMENTS]>,
    grid: Grid<6>,
    summary: Summary,
}

impl Segment {
    /// Returns what the row of this segment is worth.
    fn valid(&self) -> Valid {
        match self {
            Self::At(_) | Self::Nothing => Valid::Ok,
            Self::Locked => Valid::Locked,
            Self::Guarded(_) => Valid::Guarded,
            Self::InPieces => Valid::Pieces,
        }
    }
}

impl Process {
    /// Returns the segments of the process; [`None`] while a program is being executed.
    fn segments<'a>(&self, programs: &'a [[Segment; SEGMENTS]]) -> Option<&'a [Segment; SEGMENTS]> {
        self.program.map(|program| &programs[program])
    }
}

/// Returns what the rows of these segments are worth together: the longest word of VALID.
fn worst(segments: &[Segment; SEGMENTS]) -> Valid {
    let mut worst = Valid::Ok;

    for segment in segments {
        let valid = segment.valid();

        if valid != Valid::Ok && valid.name().len() > worst.name().len() {
            worst = valid;
        }
    }
    worst
}

/// The row of a segment.
struct Row<'a> {
    tgid: u32,
    name: &'static str,
    /// [`None`] while a program is being executed.
    segment: Option<&'a Segment>,
}

impl<'a> Row<'a> {
    /// Returns the row of segment `at` of `process`.
    fn new(process: &Process, programs: &'a [[Segment; SEGMENTS]], at: usize) -> Self {
        Self {
            tgid: process.tgid,
            name: NAMES[at],
            segment: process.segments(programs).map(|segments| &segments[at]),
        }
    }
}

impl Cells for Row<'_> {
    #[inline(always)]
    fn cells(&self, sink: &mut impl Sink) {
        let (start, end, size) = match self.segment {
            Some(Segment::At(range)) => (
                Cell::Address(range.start),
                Cell::Address(range.end),
                Cell::bytes(range.end - range.start),
            ),
            Some(Segment::Guarded(range)) => {
                (Cell::Nothing, Cell::Address(range.end), Cell::Nothing)
            }
            _ => (Cell::Nothing, Cell::Nothing, Cell::Nothing),
        };

        sink.add(Cell::Number(self.tgid.into()));
        sink.add(Cell::Word(self.name));
        sink.add(start);
        sink.add(end);
        sink.add(size);
        sink.add(Cell::Word(
            self.segment.map_or(Valid::Exec, Segment::valid).name(),
        ));
    }
}

/// The largest values in the rows of a process.
struct Largest {
    tgid: u32,
    start: usize,
    end: usize,
    size: usize,
    /// The longest word.
    valid: Valid,
}

impl Largest {
    /// Returns the largest values in the rows of `process`.
    fn new(process: &Process, programs: &[[Segment; SEGMENTS]]) -> Self {
        let mut largest = Self {
            tgid: process.tgid,
            start: 0,
            end: 0,
            size: 0,
            valid: process.valid,
        };

        for segment in process.segments(programs).into_iter().flatten() {
            if let Segment::At(range) | Segment::Guarded(range) = segment {
                largest.start = largest.start.max(range.start);
                largest.end = largest.end.max(range.end);
                largest.size = largest.size.max(range.end - range.start);
            }
        }
        largest
    }
}

impl Cells for Largest {
    #[inline(always)]
    fn cells(&self, sink: &mut impl Sink) {
        sink.add(Cell::Number(self.tgid.into()));
        // No segment has a longer name than the column.
        sink.add(Cell::Nothing);
        sink.add(Cell::Address(self.start));
        sink.add(Cell::Address(self.end));
        sink.add(Cell::bytes(self.size));
        sink.add(Cell::Word(self.valid.name()));
    }
}

/// The address spaces that have been looked at, each once, however many processes share it.
struct Looked {
    /// The number of the program in each, by the address of its `struct mm_struct`.
    programs: AddressMap<usize>,
    /// References that keep such an address from being given to another address space.
    kept: KVVec<ARef<Mm>>,
}

impl Looked {
    /// Nothing has been looked at; there is room for `count` address spaces. May sleep.
    fn new(count: usize) -> Result<Self> {
        Ok(Self {
            programs: AddressMap::with_room(count, usize::MAX, GFP_KERNEL)?,
            kept: KVVec::with_capacity(count, GFP_KERNEL)?,
        })
    }

    /// Returns the number of the program in `space`, whose segments are in `found` then.
    fn program(
        &mut self,
        space: &AddressSpace,
        found: &mut KVVec<[Segment; SEGMENTS]>,
        budget: &mut LockBudget,
    ) -> Result<usize> {
        let address = space.as_ptr().addr();

        if let Some(program) = self.programs.find(address) {
            return Ok(*program);
        }
        let program = found.len();

        found.push(NOTHING, GFP_KERNEL)?;
        look(space, budget, |parts, regions| {
            segments(parts, regions, &mut found[program])
        })?;
        self.kept.push(space.identity(), GFP_KERNEL)?;
        self.programs.insert(address, program);
        Ok(program)
    }
}

impl Table for Segments {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Processes, selection.as_deref())?;
        let count = captured.threads.len();
        let mut processes = KVVec::with_capacity(count, GFP_KERNEL)?;
        let mut programs = KVVec::with_capacity(count, GFP_KERNEL)?;
        let mut looked = Looked::new(count)?;
        let mut budget = LockBudget::new();

        for leader in captured.threads.iter() {
            // A process none of whose threads has an address space has no segments.
            let Some((space, program)) = leader.process_space(&budget)? else {
                continue;
            };

            let program = match program {
                Use::Runs => Some(looked.program(&space, &mut programs, &mut budget)?),
                _ => None,
            };
            let valid = program.map_or(Valid::Exec, |program| worst(&programs[program]));

            processes.push(
                Process {
                    tgid: leader.id.tgid,
                    comm: leader.comm,
                    program,
                    valid,
                },
                GFP_KERNEL,
            )?;
            sys::cond_resched();
        }
        let largest = processes
            .iter()
            .map(|process| Largest::new(process, &programs));

        Ok(Self {
            grid: Grid::for_groups::<_, SEGMENTS>(&COLUMNS, largest)?,
            summary: Summary::new(
                &captured,
                processes.iter().map(|process| process.valid),
                selection.is_some(),
            ),
            processes,
            programs,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.grid.header(line, "COMM");
    }

    fn rows(&self) -> usize {
        self.processes.len() * SEGMENTS
    }

    /// The rows of a process.
    const BLOCK: usize = SEGMENTS;

    fn row(&self, at: usize, line: &mut Line<'_>) {
        self.block(at..at + 1, line);
    }

    /// Writes rows of one process.
    fn block(&self, rows: Range<usize>, line: &mut Line<'_>) {
        let process = &self.processes[rows.start / SEGMENTS];
        let mut comm = [MaybeUninit::uninit(); COMM_MAX];
        let mut comm = Line::new(&mut comm);

        text::add_comm(&mut comm, &process.comm, false);
        let comm = comm.as_bytes();
        let width = self.grid.width();
        let row_len = width + comm.len() + 1;
        let Some(text) = line.blank(rows.len() * row_len) else {
            return;
        };

        for (row, at) in text.chunks_exact_mut(row_len).zip(rows) {
            let (cells, rest) = row.split_at_mut(width);

            self.grid
                .write(cells, &Row::new(process, &self.programs, at % SEGMENTS));
            rest[..comm.len()].copy_from_slice(comm);
            rest[comm.len()] = b'\n';
        }
    }

    fn summary(&self, line: &mut Line<'_>) {
        self.summary.add_to(line, "processes");
    }
}
