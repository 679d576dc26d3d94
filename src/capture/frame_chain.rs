// SPDX-License-Identifier: GPL-2.0

//! The chain of frames that frame pointers make in untrusted user memory.
//!
//! A function that keeps a frame pointer begins by storing the frame pointer of its caller. The
//! return address lies beside it. On x86-64, i386 and arm64 such a *record* is two words: the frame
//! pointer of the caller, and then the return address. The frame pointer points at the record. The
//! memory may have any contents: a program may have been built without frame pointers, or may write
//! there. Hence each step is checked. The first check that fails ends the chain, and is the reason
//! for the end.

use core::ops::Range;
use kernel::prelude::*;

/// Why a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The frame pointer or the return address is null, as in a thread's first frame.
    Null,
    /// The frame pointer is not an address of user space.
    NotUser,
    /// The frame pointer is not a multiple of the size of a word.
    Unaligned,
    /// Nothing is mapped at the frame pointer.
    Unmapped,
    /// The frame pointer is not on the stack: the program uses that register for something else.
    NotOnStack,
    /// The frame pointer is not above that of the frame before: the chain could be a loop.
    NotIncreasing,
    /// The frame record cannot be read without waiting: its page is not in memory, or may not be
    /// read.
    NotResident,
    /// Nothing is mapped at the return address.
    BadReturn,
    /// Writers were changing a mapping for too long.
    Locked,
    /// There are more frames than the table reads.
    Limit,
    /// Programs for this machine have no frame records of this form.
    UnknownMachine,
}

impl End {
    /// Returns the text for this end.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::NotUser => "not-user",
            Self::Unaligned => "unaligned",
            Self::Unmapped => "unmapped",
            Self::NotOnStack => "not-on-stack",
            Self::NotIncreasing => "not-increasing",
            Self::NotResident => "not-resident",
            Self::BadReturn => "bad-return",
            Self::Locked => "locked",
            Self::Limit => "limit",
            Self::UnknownMachine => "unknown-machine",
        }
    }
}

/// The memory of a program.
pub(crate) trait StackMemory {
    /// Returns the stack that `address` lies in.
    fn stack(&mut self, address: usize) -> Result<Range<usize>, End>;

    /// Returns the two words at `address`, or why they cannot be read. A word has `size` bytes, 4
    /// or 8, and `address` is a multiple of `size`.
    fn words(&mut self, address: usize, size: usize) -> Result<[usize; 2], End>;

    /// Returns the address in a return address, without a signature.
    fn return_address(&self, word: usize) -> usize {
        word
    }
}

/// Where a chain begins.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// The stack pointer.
    pub(crate) sp: usize,
    /// The frame pointer.
    pub(crate) fp: usize,
    /// The size of a word in bytes, 4 or 8.
    pub(crate) word: usize,
    /// The first address above user space.
    pub(crate) user_end: usize,
}

/// Calls `frame` with each return address of a chain, the innermost first, at most `limit` times.
/// Returns why the chain ends. `frame` ends the chain if it returns an [`End`].
///
/// Every frame record lies above the one before, on the stack that contains the stack pointer. The
/// chain may go on to one other stack: a signal handler can run on an alternate stack, and the
/// chain of the handler goes on to the stack of the function that the signal has interrupted.
///
/// # Errors
///
/// As `frame`.
pub(crate) fn walk<M: StackMemory>(
    memory: &mut M,
    start: Start,
    limit: usize,
    mut frame: impl FnMut(&mut M, usize) -> Result<Option<End>>,
) -> Result<End> {
    let mut chain = match Chain::new(memory, start) {
        Ok(chain) => chain,
        Err(end) => return Ok(end),
    };

    for depth in 0..limit {
        let to = match chain.step(memory, depth) {
            Ok(to) => to,
            Err(end) => return Ok(end),
        };

        if let Some(end) = frame(memory, to)? {
            return Ok(end);
        }
    }
    Ok(End::Limit)
}

/// The state of a walk along a chain.
struct Chain {
    start: Start,
    /// The frame pointer.
    fp: usize,
    /// The lowest frame pointer that is valid on this stack.
    lowest: usize,
    /// The stack.
    stack: Range<usize>,
    /// Whether the chain has gone on to another stack.
    has_switched: bool,
}

impl Chain {
    /// Begins a walk.
    fn new(memory: &mut impl StackMemory, start: Start) -> Result<Self, End> {
        Ok(Self {
            start,
            fp: start.fp,
            lowest: start.sp,
            stack: match memory.stack(start.sp) {
                Err(End::Unmapped) => 0..0,
                found => found?,
            },
            has_switched: false,
        })
    }

    /// Reads the next frame record, and returns its return address.
    fn step(&mut self, memory: &mut impl StackMemory, depth: usize) -> Result<usize, End> {
        let word = self.start.word;
        let fp = self.fp;

        if fp == 0 {
            return Err(End::Null);
        }
        if fp > self.start.user_end - 2 * word {
            return Err(End::NotUser);
        }
        if fp % word != 0 {
            return Err(End::Unaligned);
        }
        self.find_stack(memory, depth)?;

        let [next, to] = memory.words(fp, word)?;
        let to = memory.return_address(to);

        if to == 0 {
            return Err(End::Null);
        }
        self.lowest = fp + 2 * word;
        self.fp = next;
        Ok(to)
    }

    /// Checks that the frame pointer is on the stack, or goes on to the other stack.
    fn find_stack(&mut self, memory: &mut impl StackMemory, depth: usize) -> Result<(), End> {
        if self.stack.contains(&self.fp) {
            return if self.fp < self.lowest {
                Err(End::NotIncreasing)
            } else {
                Ok(())
            };
        }
        let other = memory.stack(self.fp)?;

        if depth == 0 || self.has_switched {
            return Err(End::NotOnStack);
        }
        self.has_switched = true;
        self.stack = other;
        Ok(())
    }
}

#[kunit_tests(taskscope_frame_chain)]
mod tests {
    use super::*;

    /// A code mapping, a stack, the piece of it that follows, and another stack.
    const CODE: usize = 0x1000;
    const STACK: usize = 0x8000;
    const PIECE: usize = 0x9000;
    const OTHER: usize = 0x6000;
    const SIZE: usize = 0x1000;
    const USER_END: usize = 0x1_0000;

    /// Memory in which only these words are resident.
    struct Fake<'a>(&'a [(usize, usize)]);

    /// Returns one of the mappings, or all pieces of the stack.
    fn mapping_at(address: usize) -> Option<Range<usize>> {
        [CODE..CODE + SIZE, OTHER..OTHER + SIZE, STACK..PIECE + SIZE]
            .into_iter()
            .find(|mapping| mapping.contains(&address))
    }

    impl StackMemory for Fake<'_> {
        fn stack(&mut self, address: usize) -> Result<Range<usize>, End> {
            mapping_at(address).ok_or(End::Unmapped)
        }

        fn words(&mut self, address: usize, size: usize) -> Result<[usize; 2], End> {
            let mut words = [0; 2];

            assert!(address % size == 0);
            for (at, word) in words.iter_mut().enumerate() {
                let address = address + at * size;

                self.stack(address)?;
                *word = self
                    .0
                    .iter()
                    .find(|word| word.0 == address)
                    .map(|word| word.1)
                    .ok_or(End::NotResident)?;
            }
            Ok(words)
        }
    }

    /// Ends a chain at a return address to where nothing is mapped.
    fn check(to: usize) -> Result<Option<End>> {
        Ok(mapping_at(to).is_none().then_some(End::BadReturn))
    }

    /// Returns whether a chain that begins with `fp` has these frames and this end.
    fn gives(words: &[(usize, usize)], fp: usize, frames: &[usize], end: End) -> bool {
        let start = Start {
            sp: STACK + 0x100,
            fp,
            word: 8,
            user_end: USER_END,
        };
        let mut rest = frames.iter();
        let mut is_right = true;
        let ended = walk(&mut Fake(words), start, 4, |_, to| {
            let end = check(to)?;

            is_right &= end.is_some() || rest.next() == Some(&to);
            Ok(end)
        });

        is_right && rest.next().is_none() && ended == Ok(end)
    }

    #[test]
    fn a_chain_that_is_right() {
        let words = [
            (STACK + 0x200, STACK + 0x300),
            (STACK + 0x208, CODE + 1),
            (STACK + 0x300, 0),
            (STACK + 0x308, CODE + 2),
        ];

        assert!(gives(
            &words,
            STACK + 0x200,
            &[CODE + 1, CODE + 2],
            End::Null
        ));
    }

    #[test]
    fn the_first_frame_pointer() {
        assert!(gives(&[], 0, &[], End::Null));
        assert!(gives(&[], 1, &[], End::Unaligned));
        assert!(gives(&[], STACK + 0x204, &[], End::Unaligned));
        assert!(gives(&[], 0x4000, &[], End::Unmapped));
        assert!(gives(&[], CODE, &[], End::NotOnStack));
        assert!(gives(&[], STACK + 0xf8, &[], End::NotIncreasing));
        assert!(gives(&[], STACK + 0x100, &[], End::NotResident));
        assert!(gives(&[], USER_END, &[], End::NotUser));
        assert!(gives(&[], USER_END - 8, &[], End::NotUser));
        assert!(gives(&[], USER_END - 12, &[], End::NotUser));
        assert!(gives(&[], USER_END - 16, &[], End::Unmapped));
        assert!(gives(&[], usize::MAX - 7, &[], End::NotUser));
    }

    #[test]
    fn later_frame_pointers() {
        let after = |next, end| {
            let words = [(STACK + 0x200, next), (STACK + 0x208, CODE + 1)];

            gives(&words, STACK + 0x200, &[CODE + 1], end)
        };

        assert!(after(0, End::Null));
        assert!(after(STACK + 0x200, End::NotIncreasing));
        assert!(after(STACK + 0x208, End::NotIncreasing));
        assert!(after(STACK + 0x211, End::Unaligned));
        assert!(after(STACK + 0x210, End::NotResident));
        assert!(after(0x4000, End::Unmapped));
        assert!(after(usize::MAX << 47, End::NotUser));
        assert!(after(OTHER, End::NotResident));
    }

    #[test]
    fn a_record_at_the_end_of_a_mapping() {
        let last = PIECE + SIZE - 8;

        assert!(gives(&[(last, 0)], last, &[], End::Unmapped));
    }

    #[test]
    fn a_stack_in_pieces() {
        let words = [
            (STACK + 0x200, PIECE - 8),
            (STACK + 0x208, CODE + 1),
            // A record in two pieces.
            (PIECE - 8, PIECE + 0x100),
            (PIECE, CODE + 2),
            (PIECE + 0x100, STACK + 0x200),
            (PIECE + 0x108, CODE + 3),
        ];

        assert!(gives(
            &words,
            STACK + 0x200,
            &[CODE + 1, CODE + 2, CODE + 3],
            End::NotIncreasing
        ));
        // The first frame can be in another piece than the stack pointer.
        assert!(gives(
            &words[4..],
            PIECE + 0x100,
            &[CODE + 3],
            End::NotIncreasing
        ));
    }

    #[test]
    fn return_addresses() {
        let to = |to, end| {
            let words = [(STACK + 0x200, STACK + 0x300), (STACK + 0x208, to)];

            gives(&words, STACK + 0x200, &[], end)
        };

        assert!(to(0, End::Null));
        assert!(to(0x4000, End::BadReturn));
        assert!(to(usize::MAX, End::BadReturn));
    }

    #[test]
    fn one_other_stack() {
        let words = [
            (STACK + 0x200, OTHER + 0x10),
            (STACK + 0x208, CODE + 1),
            (OTHER + 0x10, OTHER + 0x20),
            (OTHER + 0x18, CODE + 2),
            (OTHER + 0x20, STACK + 0x200),
            (OTHER + 0x28, CODE + 3),
        ];

        assert!(gives(
            &words,
            STACK + 0x200,
            &[CODE + 1, CODE + 2, CODE + 3],
            End::NotOnStack
        ));
    }

    #[test]
    fn there_is_a_limit() {
        let mut words = [(0, 0); 10];

        for (at, pair) in words.chunks_exact_mut(2).enumerate() {
            let fp = STACK + 0x200 + 16 * at;

            pair[0] = (fp, fp + 16);
            pair[1] = (fp + 8, CODE + at);
        }
        assert!(gives(
            &words,
            STACK + 0x200,
            &[CODE, CODE + 1, CODE + 2, CODE + 3],
            End::Limit
        ));
    }

    #[test]
    fn half_words() {
        let start = Start {
            sp: STACK,
            fp: STACK + 4,
            word: 4,
            user_end: USER_END,
        };
        let words = [(STACK + 4, 0), (STACK + 8, CODE + 1)];
        let ended = walk(&mut Fake(&words), start, 4, |_, to| {
            assert_eq!(to, CODE + 1);
            check(to)
        });

        assert_eq!(ended, Ok(End::Null));
    }
}
