// SPDX-License-Identifier: GPL-2.0

//! The chain of frames that frame pointers make, in memory that nobody vouches for. Pure, and
//! tested by itself.
//!
//! A function that keeps a frame pointer begins by storing its caller's, and the address that it
//! returns to lies beside it. On every machine that is served here such a *record* is two words, the
//! older frame pointer and then the return address, and the frame pointer points at it. What is
//! read may be anything: the program may have been built without frame pointers, or may have
//! written there what it liked. Hence each step is checked, and the first one that fails ends the
//! chain and says why.

use core::ops::Range;
use kernel::prelude::*;

/// Why a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The frame pointer or the return address is null, as in a thread's first frame.
    Null,
    /// The frame pointer is no address of user space: of the kernel, or of nobody.
    NotUser,
    /// The frame pointer is not that of a word.
    Unaligned,
    /// The frame pointer points to where nothing is mapped.
    Unmapped,
    /// The frame pointer is not on the stack: the program keeps something else in it.
    NotOnStack,
    /// The frame pointer does not lie above that of the frame before: the chain would go round.
    NotIncreasing,
    /// What is there cannot be read without waiting: it is not in memory, or may not be read.
    NotResident,
    /// The return address points to where nothing is mapped.
    BadReturn,
    /// There are more frames than are read.
    Limit,
    /// Programs for this machine have no such chain.
    UnknownMachine,
}

impl End {
    /// Returns the words for this end.
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
            Self::Limit => "limit",
            Self::UnknownMachine => "unknown-machine",
        }
    }
}

/// The memory of a program.
pub(crate) trait Memory {
    /// Returns the mapping that `address` lies in.
    fn mapping(&self, address: usize) -> Option<Range<usize>>;

    /// Returns the word of `size` bytes, 4 or 8, at `address`, which is a multiple of that, or why
    /// it cannot be had.
    fn word(&self, address: usize, size: usize) -> Result<usize, End>;

    /// Returns the address that a return address stands for.
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
    /// The first address that no program can have.
    pub(crate) user_end: usize,
}

/// Calls `frame` with each return address of a chain, the innermost first, at most `limit` times,
/// and returns why the chain ends.
///
/// Every frame lies above the one before, and all of them in the mapping that the stack pointer is
/// in. There is one exception, once: where a signal handler runs on a stack of its own, its chain
/// leads over to the stack of what it has interrupted.
///
/// Fails only if `frame` does.
pub(crate) fn walk(
    memory: &impl Memory,
    start: Start,
    limit: usize,
    mut frame: impl FnMut(usize) -> Result,
) -> Result<End> {
    let record = 2 * start.word;
    let mut fp = start.fp;
    let mut stack = memory.mapping(start.sp).unwrap_or(0..0);
    let mut lowest = start.sp;
    let mut has_switched = false;

    for depth in 0..limit {
        if fp == 0 {
            return Ok(End::Null);
        }
        if fp > start.user_end - record {
            return Ok(End::NotUser);
        }
        if fp % start.word != 0 {
            return Ok(End::Unaligned);
        }
        if !stack.contains(&fp) {
            let Some(other) = memory.mapping(fp) else {
                return Ok(End::Unmapped);
            };
            if depth == 0 || has_switched {
                return Ok(End::NotOnStack);
            }
            has_switched = true;
            stack = other;
        } else if fp < lowest {
            return Ok(End::NotIncreasing);
        }

        let words = memory.word(fp, start.word).and_then(|next| {
            let to = memory.word(fp + start.word, start.word)?;

            Ok((next, memory.return_address(to)))
        });
        let (next, to) = match words {
            Ok(words) => words,
            Err(end) => return Ok(end),
        };
        if to == 0 {
            return Ok(End::Null);
        }
        if memory.mapping(to).is_none() {
            return Ok(End::BadReturn);
        }
        frame(to)?;
        lowest = fp + record;
        fp = next;
    }
    Ok(End::Limit)
}

#[kunit_tests(taskscope_frame_chain)]
mod tests {
    use super::*;

    /// A code mapping, a stack and another one.
    const CODE: usize = 0x1000;
    const STACK: usize = 0x8000;
    const OTHER: usize = 0x6000;
    const SIZE: usize = 0x1000;
    const USER_END: usize = 0x1_0000;

    /// Memory in which these words are, and nothing else is resident.
    struct Fake<'a>(&'a [(usize, usize)]);

    impl Memory for Fake<'_> {
        fn mapping(&self, address: usize) -> Option<Range<usize>> {
            [CODE, OTHER, STACK]
                .map(|start| start..start + SIZE)
                .into_iter()
                .find(|mapping| mapping.contains(&address))
        }

        fn word(&self, address: usize, size: usize) -> Result<usize, End> {
            assert!(address % size == 0);
            if self.mapping(address).is_none() {
                return Err(End::Unmapped);
            }
            self.0
                .iter()
                .find(|word| word.0 == address)
                .map(|word| word.1)
                .ok_or(End::NotResident)
        }
    }

    /// Whether a chain that begins with `fp` has `frames`, and then `end`.
    fn gives(words: &[(usize, usize)], fp: usize, frames: &[usize], end: End) -> bool {
        let start = Start {
            sp: STACK + 0x100,
            fp,
            word: 8,
            user_end: USER_END,
        };
        let mut rest = frames.iter();
        let mut is_right = true;
        let ended = walk(&Fake(words), start, 4, |to| {
            is_right &= rest.next() == Some(&to);
            Ok(())
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
        let last = STACK + SIZE - 8;

        assert!(gives(&[(last, 0)], last, &[], End::Unmapped));
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
        let ended = walk(&Fake(&words), start, 4, |to| {
            assert_eq!(to, CODE + 1);
            Ok(())
        });

        assert_eq!(ended, Ok(End::Null));
    }
}
