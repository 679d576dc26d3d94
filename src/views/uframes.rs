// SPDX-License-Identifier: GPL-2.0

//! `uframes`. The frames of each thread's user stack, by its frame pointers.

use crate::{
    cells::{
        Cell,
        Cells,
        Grid,
        Sink, //
    },
    frame_chain::{
        self,
        End,
        Memory,
        Start, //
    },
    line::Line,
    mapping::{
        Mapping,
        Name,
        Path,
        PathId,
        NAME_MAX, //
    },
    mm::{
        AddressSpace,
        LockBudget, //
    },
    names::Names,
    regions::{
        look,
        stack_at, //
    },
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::ThreadId,
    speculation::Version,
    state::State,
    sys::{
        self,
        UserRegisters, //
    },
    text::{
        self,
        Side, //
    },
    user_memory::{
        self,
        Borrowed, //
    },
    users::{
        UserThread,
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
    mem,
    ops::Range, //
};
use kernel::{
    bindings,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// The most frames of a thread that are shown, the innermost included.
const FRAMES_MAX: usize = 128;

/// The most names of mappings that are kept, so that a program that maps thousands of files under long
/// names does not make the table take much memory.
///
/// Beside names, a thread costs `FRAMES_MAX` rows and an end, which take no more than its own stack in
/// the kernel.
const NAMES_MAX: usize = 2048;

/// What is printed instead of a name that is not kept, and what follows a name.
const UNNAMED: &[u8] = b"[too-many-names]+0x";

/// For how many rows of a thread there is room at first. More are made room for when they come.
const ROWS_EXPECTED: usize = 12;

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
        /// The name of the mapping.
        name: FrameName,
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

/// The name of the mapping of a frame.
#[derive(Clone, Copy)]
enum FrameName {
    /// The path of a file, by its number among the paths.
    Path(u32),
    /// Another name, by its number among the names.
    Text(u32),
    /// There are too many others.
    NotKept,
}

/// A row.
struct Row {
    id: ThreadId,
    depth: u32,
    frame: Frame,
}

/// The paths of files, each kept once, and no more than [`NAMES_MAX`].
///
/// The worker that finds them cannot print them: a path is printed as the reader sees it, from the
/// reader's root on.
///
/// # Invariants
///
/// `sorted` holds the identity of each of `paths` with its number, in ascending order.
struct Paths {
    paths: KVVec<Path>,
    sorted: KVVec<(PathId, u32)>,
}

impl Paths {
    /// No paths yet.
    fn new() -> Self {
        // INVARIANT: There are none.
        Self {
            paths: KVVec::new(),
            sorted: KVVec::new(),
        }
    }

    /// Has room for one more path. May sleep.
    fn reserve(&mut self) -> Result {
        self.paths.reserve(1, GFP_KERNEL)?;
        self.sorted.reserve(1, GFP_KERNEL)?;
        Ok(())
    }

    /// Keeps the path of `mapping`, which is `id`, and returns its number; [`None`] if there are too
    /// many others. Room for it has been reserved. Does not sleep.
    fn add(&mut self, id: PathId, mapping: &Mapping<'_>) -> Result<Option<u32>> {
        let place = match self.sorted.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(place) => return Ok(Some(self.sorted[place].1)),
            Err(_) if self.paths.len() >= NAMES_MAX => return Ok(None),
            Err(place) => place,
        };
        let Some(path) = mapping.path(id) else {
            return Ok(None);
        };
        // CAST: There are at most `NAMES_MAX`.
        let number = self.paths.len() as u32;

        self.paths.push_within_capacity(path)?;
        // INVARIANT: The path has the next number, which goes where the search has ended.
        self.sorted.insert_within_capacity(place, (id, number))?;
        Ok(Some(number))
    }
}

/// How many mappings are remembered: those of a program and of a few libraries.
const KNOWN: usize = 4;

/// A mapping that frames of a thread lie in.
#[derive(Clone)]
struct Known {
    range: Range<usize>,
    name: FrameName,
    is_file: bool,
    /// What is to be added to an address in it.
    offset: usize,
}

impl Known {
    /// Returns what is at `address`, which lies in the mapping, and whether that is a file.
    fn frame(&self, address: usize) -> (Frame, bool) {
        let frame = Frame::At {
            address,
            name: self.name,
            offset: address.wrapping_add(self.offset),
        };

        (frame, self.is_file)
    }
}

/// The mappings that the latest frames of a thread lie in. They are as they were for as long as no
/// writer has been at the address space.
struct Recent {
    version: Option<Version>,
    known: [Option<Known>; KNOWN],
    next: usize,
}

impl Recent {
    /// Nothing is known of `space` yet.
    fn new(space: &AddressSpace) -> Self {
        Self {
            version: Version::of(space),
            known: [const { None }; KNOWN],
            next: 0,
        }
    }

    /// Returns the mapping of `space` that contains `address`, if it is known.
    fn find(&self, space: &AddressSpace, address: usize) -> Option<&Known> {
        for known in self.known.iter().flatten() {
            if known.range.contains(&address) {
                return self.is_current(space).then_some(known);
            }
        }
        None
    }

    /// Returns whether no writer has been at `space` since.
    fn is_current(&self, space: &AddressSpace) -> bool {
        self.version
            .is_some_and(|version| version.is_current(space))
    }

    /// Remembers a mapping, in the place of the oldest one.
    fn add(&mut self, known: Known) {
        self.known[self.next] = Some(known);
        self.next = (self.next + 1) % KNOWN;
    }
}

/// What the summary counts.
#[derive(Default)]
struct Counts {
    /// The rows that are frames.
    frames: usize,
    /// The stacks that are cut short.
    truncated: usize,
    /// The chains that end in a library.
    in_libraries: usize,
}

/// What the worker finds.
struct Found {
    rows: KVVec<Row>,
    /// What was found of each thread.
    valid: KVVec<Valid>,
    counts: Counts,
    names: Names,
    paths: Paths,
    /// Room for a name.
    buf: KVVec<u8>,
    /// Room for the same name as it is printed: a byte becomes four at most, and "+0x" follows.
    escaped: KVVec<u8>,
}

/// The table `uframes`.
pub(crate) struct UserFrames {
    rows: KVVec<Row>,
    /// The names as they are printed.
    names: Names,
    /// The numbers of the paths among the names; [`None`] for those that are not kept.
    paths: KVVec<Option<u32>>,
    counts: Counts,
    grid: Grid<4>,
    summary: Summary,
}

impl Cells for &Row {
    #[inline(always)]
    fn cells(&self, sink: &mut impl Sink) {
        sink.add(Cell::Number(self.id.tgid.into()));
        sink.add(Cell::Number(self.id.pid.into()));
        sink.add(Cell::Number(self.depth.into()));
        sink.add(match self.frame {
            Frame::At { address, .. } | Frame::Nowhere { address } => Cell::Address(address),
            Frame::End(_) | Frame::NoChain(_) => Cell::Nothing,
        });
    }
}

/// Returns the size of a word in the programs for a machine, if these have frames as here.
fn word(machine: u16) -> Option<usize> {
    match machine.into() {
        bindings::EM_X86_64 | bindings::EM_AARCH64 => Some(8),
        bindings::EM_386 => Some(4),
        _ => None,
    }
}

/// As many bytes of a stack as are read at once: the records of a few frames.
const WINDOW: usize = 512;

/// What has been read last of a stack.
struct Window {
    bytes: [u8; WINDOW],
    /// Where that is.
    start: usize,
    /// How much of it there is.
    len: usize,
}

impl Window {
    /// Nothing has been read.
    fn new() -> Self {
        Self {
            bytes: [0; WINDOW],
            start: 0,
            len: 0,
        }
    }
}

/// The memory of a program, as a chain of frames is looked for in it.
struct ProgramMemory<'a> {
    borrowed: &'a Borrowed,
    budget: &'a mut LockBudget,
    window: &'a mut Window,
}

/// Returns why a chain ends where a mapping could not be looked at.
///
/// If the reader has been killed, the next thread is not visited.
fn end_of(_: Error) -> End {
    End::Locked
}

impl ProgramMemory<'_> {
    /// Reads the memory at `address` into the window, up to the end of its page or mapping, and
    /// returns it.
    fn read(&mut self, address: usize) -> Result<&[u8], End> {
        let mapping = self
            .borrowed
            .space()
            .lock_mapping(address, self.budget)
            .map_err(end_of)?
            .ok_or(End::Unmapped)?;
        let end = mapping.range().end.min((address & PAGE_MASK) + PAGE_SIZE);
        let len = WINDOW.min(end - address);

        self.window.len = 0;
        if !self
            .borrowed
            .read(&mapping, address, &mut self.window.bytes[..len])
        {
            return Err(End::NotResident);
        }
        self.window.start = address;
        self.window.len = len;
        Ok(&self.window.bytes[..len])
    }

    /// Returns the `N` bytes at `address`.
    fn bytes<const N: usize>(&mut self, address: usize) -> Result<[u8; N], End> {
        let window = &self.window.bytes[..self.window.len];
        let in_window = address
            .checked_sub(self.window.start)
            .and_then(|offset| window.get(offset..)?.first_chunk());

        if let Some(bytes) = in_window {
            return Ok(*bytes);
        }
        // A word is aligned, so that all of it is in one page and one mapping.
        let bytes = self.read(address)?.first_chunk();

        bytes.copied().ok_or(End::Unmapped)
    }

    /// Returns the word of `size` bytes at `address`.
    fn word(&mut self, address: usize, size: usize) -> Result<usize, End> {
        // CAST: `usize` has 64 bits here.
        Ok(if size == size_of::<u64>() {
            u64::from_ne_bytes(self.bytes(address)?) as usize
        } else {
            u32::from_ne_bytes(self.bytes(address)?) as usize
        })
    }
}

impl Memory for ProgramMemory<'_> {
    fn stack(&mut self, address: usize) -> Result<Range<usize>, End> {
        let stack = look(self.borrowed.space(), self.budget, |parts, regions| {
            stack_at(regions, parts, address)
        });

        match stack {
            Ok(Some(stack)) => Ok(stack.found().clone()),
            Ok(None) => Err(End::Unmapped),
            Err(error) => Err(end_of(error)),
        }
    }

    fn words(&mut self, address: usize, size: usize) -> Result<[usize; 2], End> {
        Ok([self.word(address, size)?, self.word(address + size, size)?])
    }

    fn return_address(&self, word: usize) -> usize {
        sys::strip_user_pac(word)
    }
}

/// How the chain of a thread ends.
struct Chain {
    end: End,
    is_in_library: bool,
}

impl Found {
    /// Nothing has been found yet, of `count` threads.
    fn new(count: usize) -> Result<Self> {
        Ok(Self {
            rows: KVVec::with_capacity(ROWS_EXPECTED * count, GFP_KERNEL)?,
            valid: KVVec::with_capacity(count, GFP_KERNEL)?,
            counts: Counts::default(),
            names: Names::new(NAMES_MAX),
            paths: Paths::new(),
            buf: KVVec::from_elem(0, NAME_MAX, GFP_KERNEL)?,
            escaped: KVVec::with_capacity(4 * NAME_MAX + 3, GFP_KERNEL)?,
        })
    }

    /// Keeps the name that `write` writes to a buffer, as it is printed, and returns its number;
    /// [`None`] if there are too many others.
    fn add_name(&mut self, write: impl FnOnce(&mut [u8]) -> &[u8]) -> Result<Option<u32>> {
        let mut line = Line::new(self.escaped.spare_capacity_mut());

        text::add_escaped(&mut line, write(&mut self.buf));
        // The offset follows in every row.
        line.bytes(b"+0x");
        self.names.add(line.as_bytes())
    }

    /// Returns what is at `address`, and whether that is a file; [`None`] if nothing is mapped there.
    fn frame(
        &mut self,
        space: &AddressSpace,
        address: usize,
        recent: &mut Recent,
        budget: &mut LockBudget,
    ) -> Result<Option<(Frame, bool)>> {
        if let Some(known) = recent.find(space, address) {
            return Ok(Some(known.frame(address)));
        }
        // No memory is asked for while the mapping is locked.
        self.paths.reserve()?;
        let Some(mapping) = space.lock_mapping(address, budget)? else {
            return Ok(None);
        };
        let range = mapping.range();
        let offset = mapping.offset(address).wrapping_sub(address);
        let (name, is_file) = match mapping.name(&mut self.buf) {
            Name::Path(id) => {
                let path = self.paths.add(id, &mapping)?;

                (path.map_or(FrameName::NotKept, FrameName::Path), true)
            }
            Name::Text(len) => {
                drop(mapping);
                let name = self.add_name(|buf| &buf[..len])?;

                (name.map_or(FrameName::NotKept, FrameName::Text), false)
            }
        };
        let known = Known {
            range,
            name,
            is_file,
            offset,
        };
        let frame = known.frame(address);

        recent.add(known);
        Ok(Some(frame))
    }

    /// Adds a row for thread `id`, whose rows begin with row `first`.
    fn add_row(&mut self, id: ThreadId, first: usize, frame: Frame) -> Result {
        // CAST: There are at most `FRAMES_MAX`, and an end.
        let depth = (self.rows.len() - first) as u32;

        self.rows.push(Row { id, depth, frame }, GFP_KERNEL)?;
        Ok(())
    }

    /// Adds the rows of thread `id`: its frames from the innermost on, and why there are no more.
    fn add_frames(
        &mut self,
        id: ThreadId,
        borrowed: &Borrowed,
        registers: &UserRegisters,
        window: &mut Window,
        budget: &mut LockBudget,
    ) -> Result<Chain> {
        // What was read of another thread, or earlier, is old.
        window.len = 0;
        let space = borrowed.space();
        let text = space.text();
        let first = self.rows.len();
        let pc = registers.pc;
        let mut recent = Recent::new(space);
        let found = self.frame(space, pc, &mut recent, budget)?;
        let mut is_in_library = found.is_some_and(|(_, is_file)| is_file && !text.contains(&pc));

        self.add_row(
            id,
            first,
            found.map_or(Frame::Nowhere { address: pc }, |(frame, _)| frame),
        )?;
        let end = match word(registers.machine) {
            Some(word) => {
                let start = Start {
                    sp: registers.sp,
                    fp: registers.fp,
                    word,
                    user_end: sys::user_end(),
                };
                let mut memory = ProgramMemory {
                    borrowed,
                    budget,
                    window,
                };

                frame_chain::walk(&mut memory, start, FRAMES_MAX - 1, |memory, address| {
                    let (frame, is_file) =
                        match self.frame(space, address, &mut recent, memory.budget) {
                            Ok(Some(found)) => found,
                            Ok(None) => return Ok(Some(End::BadReturn)),
                            Err(error) if error == EAGAIN => return Ok(Some(End::Locked)),
                            Err(error) => return Err(error),
                        };

                    is_in_library = is_file && !text.contains(&address);
                    self.add_row(id, first, frame)?;
                    Ok(None)
                })?
            }
            None => End::UnknownMachine,
        };

        self.add_row(id, first, Frame::End(end))?;
        Ok(Chain { end, is_in_library })
    }

    /// Visits `thread` and adds its rows. The calling kernel thread uses `borrowed`, which this may
    /// replace.
    fn add_thread(
        &mut self,
        thread: &UserThread,
        borrowed: &mut Option<Borrowed>,
        window: &mut Window,
        budget: &mut LockBudget,
    ) -> Result {
        let id = thread.id;
        let first = self.rows.len();
        let mut chain = Chain {
            end: End::Null,
            is_in_library: false,
        };
        let visited = thread.visit(budget, |space, registers, budget| {
            let borrowed = borrow(borrowed, space)?;

            chain = self.add_frames(id, borrowed, registers, window, budget)?;
            Ok(Valid::Ok)
        })?;

        if visited == Valid::Ok {
            // The last row is no frame.
            self.counts.frames += self.rows.len() - first - 1;
            self.counts.truncated += usize::from(chain.end == End::Limit);
            self.counts.in_libraries += usize::from(chain.is_in_library);
            let valid = if chain.end == End::Locked {
                Valid::Locked
            } else {
                Valid::Ok
            };

            self.valid.push(valid, GFP_KERNEL)?;
        } else {
            self.rows.truncate(first);
            self.add_row(id, first, Frame::NoChain(visited))?;
            self.valid.push(visited, GFP_KERNEL)?;
        }
        Ok(())
    }
}

/// Has the calling kernel thread use `space`, unless it does.
fn borrow<'a>(borrowed: &'a mut Option<Borrowed>, space: &AddressSpace) -> Result<&'a Borrowed> {
    if borrowed
        .as_ref()
        .is_none_or(|borrowed| !borrowed.space().is(space))
    {
        // A thread uses one at a time.
        *borrowed = None;
        *borrowed = Borrowed::new(space.clone());
    }
    borrowed.as_ref().ok_or(EINVAL)
}

/// Finds the frames of `threads`, in a kernel thread.
fn find(threads: &[UserThread], budget: &mut LockBudget) -> Result<Found> {
    let mut found = Found::new(threads.len())?;
    let mut borrowed = None;
    let mut window = Window::new();

    for thread in threads {
        found.add_thread(thread, &mut borrowed, &mut window, budget)?;
        sys::cond_resched();
    }
    Ok(found)
}

impl UserFrames {
    /// Returns a name, unless it is not kept.
    fn name(&self, name: FrameName) -> Option<&[u8]> {
        let number = match name {
            // CAST: The number is an index.
            FrameName::Path(path) => self.paths[path as usize]?,
            FrameName::Text(number) => number,
            FrameName::NotKept => return None,
        };

        Some(self.names.get(number))
    }

    /// Returns how many frames have a mapping whose name is not kept.
    fn unnamed(&self) -> usize {
        let is_unnamed =
            |row: &&Row| matches!(row.frame, Frame::At { name, .. } if self.name(name).is_none());

        if self.names.is_full() || self.paths.len() >= NAMES_MAX {
            self.rows.iter().filter(is_unnamed).count()
        } else {
            0
        }
    }
}

impl Table for UserFrames {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        may_look()?;
        let selection = state.selection();
        let captured = UserThreads::capture(&state.memory, Scope::Threads, selection.as_deref())?;
        let mut budget = LockBudget::new();
        let (captured, found) = user_memory::run(&state.memory_readers, move || {
            let found = find(&captured.threads, &mut budget);

            (captured, found)
        })?;
        let mut found = found?;
        let mut paths = KVVec::with_capacity(found.paths.paths.len(), GFP_KERNEL)?;

        for path in mem::take(&mut found.paths.paths).iter() {
            paths.push(found.add_name(|buf| path.write(buf))?, GFP_KERNEL)?;
        }
        Ok(Self {
            grid: Grid::new(&COLUMNS, found.rows.iter())?,
            summary: Summary::new(&captured, found.valid.iter().copied(), selection.is_some()),
            rows: found.rows,
            names: found.names,
            paths,
            counts: found.counts,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.grid.header(line, "FRAME");
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    const BLOCK: usize = 16;

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let row = &self.rows[at];

        self.grid.row(line, &row);
        match row.frame {
            Frame::At { name, offset, .. } => {
                line.bytes(self.name(name).unwrap_or(UNNAMED));
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
        let Counts {
            frames,
            truncated,
            in_libraries,
        } = self.counts;
        let unnamed = self.unnamed();

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
        if in_libraries != 0 {
            line.bytes(b"# ");
            text::add_count(line, in_libraries);
            line.bytes(
                b" chains end in a library: callers are missing if it has no frame pointers\n",
            );
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
