// SPDX-License-Identifier: GPL-2.0

//! The frames of the user stack of each thread, by its frame pointers.
//!
//! A worker finds the frames, because only a kernel thread can borrow an address space: see
//! [`user_memory`].

use crate::abstractions::callbacks::Queue;
use crate::abstractions::mapping_tree::Version;
use crate::abstractions::mm::{
    AddressSpace,
    LockBudget, //
};
use crate::abstractions::registers::UserRegisters;
use crate::abstractions::schedule;
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::user_memory::{
    self,
    Borrowed, //
};
use crate::capture::frame_chain::{
    self,
    End,
    Start, //
};
use crate::capture::frame_names::{
    FoundNames,
    FrameName,
    FrameNames,
    NamedMapping, //
};
use crate::capture::program_memory::{
    ProgramMemory,
    Window, //
};
use crate::capture::snapshot::ThreadId;
use crate::capture::users::{
    UserThread,
    UserThreads,
    Valid, //
};
use kernel::bindings;
use kernel::prelude::*;

/// The most frames of a thread that are shown, the innermost included.
pub(crate) const FRAMES_MAX: usize = 128;

/// Tuned: the number of rows of a thread for which memory is allocated at first. Without it,
/// `uframes` costs 7 % more.
const ROWS_EXPECTED: usize = 12;

/// What is in column FRAME.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An address in a mapping.
    At {
        address: usize,
        /// The name of the mapping.
        name: FrameName,
        /// The offset of the address in the mapped file; in the mapping if no file is mapped.
        offset: usize,
    },
    /// An address in no mapping.
    Nowhere { address: usize },
    /// The chain ends, and why.
    End(End),
    /// There is no chain, and why.
    NoChain(Valid),
}

/// A row: a frame of a thread, or why there are no more.
pub(crate) struct FrameRow {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// How often the thread had been switched away from when its frames were found.
    pub(crate) switches: SwitchCount,
    /// The number of the row among those of the thread.
    pub(crate) depth: u32,
    /// The frame.
    pub(crate) frame: Frame,
}

/// Tuned: how many mappings are remembered: those of a program and of a few libraries.
const KNOWN: usize = 4;

/// Returns the frame of `address`, which lies in `mapping`, and whether a file is mapped there.
fn frame_in(mapping: &NamedMapping, address: usize) -> (Frame, bool) {
    let frame = Frame::At {
        address,
        name: mapping.name,
        offset: mapping.offset(address),
    };

    (frame, mapping.is_file)
}

/// The mappings of the latest frames of a thread. They are valid for as long as no writer has held
/// the mmap lock of the address space.
struct Recent {
    version: Option<Version>,
    known: [Option<NamedMapping>; KNOWN],
    next: usize,
}

impl Recent {
    /// Creates an empty cache for `space`.
    fn new(space: &AddressSpace) -> Self {
        Self {
            version: Version::of(space),
            known: [const { None }; KNOWN],
            next: 0,
        }
    }

    /// Returns the mapping of `space` that contains `address`, if it is known.
    fn find(&self, space: &AddressSpace, address: usize) -> Option<&NamedMapping> {
        for known in self.known.iter().flatten() {
            if known.range.contains(&address) {
                return self.is_current(space).then_some(known);
            }
        }
        None
    }

    /// Returns whether no writer has held the mmap lock of `space` since.
    fn is_current(&self, space: &AddressSpace) -> bool {
        self.version
            .is_some_and(|version| version.is_current(space))
    }

    /// Remembers a mapping, in the place of the oldest one.
    fn add(&mut self, known: NamedMapping) {
        self.known[self.next] = Some(known);
        self.next = (self.next + 1) % KNOWN;
    }
}

/// What the summary counts.
#[derive(Default)]
pub(crate) struct Counts {
    /// The rows that are frames.
    pub(crate) frames: usize,
    /// The stacks that are cut short.
    pub(crate) truncated: usize,
    /// The chains that end in a library.
    pub(crate) in_libraries: usize,
}

/// What the worker finds.
struct Found {
    rows: KVVec<FrameRow>,
    /// What was found of each thread.
    valid: KVVec<Valid>,
    counts: Counts,
    names: FoundNames,
}

/// Returns the size of a word in the programs for a machine, if these have frames as here.
fn word(machine: u16) -> Option<usize> {
    match machine.into() {
        bindings::EM_X86_64 | bindings::EM_AARCH64 => Some(8),
        bindings::EM_386 => Some(4),
        _ => None,
    }
}

/// How the chain of a thread ends.
struct Chain {
    end: End,
    is_in_library: bool,
}

impl Found {
    /// Creates an empty result, with memory for `count` threads.
    fn new(count: usize) -> Result<Self> {
        Ok(Self {
            rows: KVVec::with_capacity(ROWS_EXPECTED * count, GFP_KERNEL)?,
            valid: KVVec::with_capacity(count, GFP_KERNEL)?,
            counts: Counts::default(),
            names: FoundNames::new()?,
        })
    }

    /// Returns the frame of `address`, and whether a file is mapped there; [`None`] if nothing is
    /// mapped there.
    fn frame(
        &mut self,
        space: &AddressSpace,
        address: usize,
        recent: &mut Recent,
        budget: &mut LockBudget,
    ) -> Result<Option<(Frame, bool)>> {
        if let Some(known) = recent.find(space, address) {
            return Ok(Some(frame_in(known, address)));
        }
        let Some(known) = self.names.mapping(space, address, budget)? else {
            return Ok(None);
        };
        let found = frame_in(&known, address);

        recent.add(known);
        Ok(Some(found))
    }

    /// Adds a row for thread `id`, whose rows begin with row `first`.
    fn add_row(&mut self, id: ThreadId, first: usize, frame: Frame) -> Result {
        // CAST: There are at most `FRAMES_MAX`, and an end.
        let depth = (self.rows.len() - first) as u32;

        self.rows.push(
            FrameRow {
                id,
                switches: SwitchCount::default(),
                depth,
                frame,
            },
            GFP_KERNEL,
        )?;
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
        // The window may hold memory of another thread.
        window.clear();
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
                    user_end: user_memory::user_end(),
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
        let (visited, switches) = thread.visit(budget, |space, registers, budget| {
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
        // Only the end of the visit says which count it is.
        for row in &mut self.rows[first..] {
            row.switches = switches;
        }
        Ok(())
    }
}

/// Makes the calling kernel thread use `space`, and returns it.
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
        schedule::cond_resched();
    }
    Ok(found)
}

/// The frames of threads.
pub(crate) struct UserFrames {
    /// The rows of the threads, one thread after the other.
    pub(crate) rows: KVVec<FrameRow>,
    /// The word of each thread.
    pub(crate) valid: KVVec<Valid>,
    /// What the summary counts.
    pub(crate) counts: Counts,
    /// The names of mappings.
    pub(crate) names: FrameNames,
    /// The threads.
    pub(crate) threads: UserThreads,
}

impl UserFrames {
    /// Finds the frames of `threads`, in a worker of `queue`. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, or `ENOMEM`.
    pub(crate) fn capture(queue: &Queue, threads: UserThreads) -> Result<Self> {
        let mut budget = LockBudget::new();
        let (threads, found) = user_memory::run(queue, move || {
            let found = find(&threads.threads, &mut budget)?;

            Ok((threads, found))
        })?;

        Ok(Self {
            rows: found.rows,
            valid: found.valid,
            counts: found.counts,
            names: found.names.finish()?,
            threads,
        })
    }
}
