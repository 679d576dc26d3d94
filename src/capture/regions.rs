// SPDX-License-Identifier: GPL-2.0

//! Looks up mappings, and finds the stack that an address lies in.

use crate::abstractions::mapping::{
    Access,
    Kind,
    Region, //
};
use crate::abstractions::mapping_tree::{
    MappingTree,
    Version, //
};
use crate::abstractions::mm::{
    AddressSpace,
    LockBudget,
    Parts, //
};
use core::ops::Range;
use kernel::prelude::*;

/// The most pieces of a stack that are looked at. A hostile program can split its stack into
/// thousands.
pub(crate) const PIECES_MAX: usize = 64;

/// A way to look up mappings. Each answer is of the moment of the call.
///
/// # Errors
///
/// `EAGAIN`: a mapping could not be looked at in time. `EINTR`: the reader has been killed.
pub(crate) trait Regions {
    /// Returns the mapping that contains `address`.
    fn at(&mut self, address: usize) -> Result<Option<Region>>;

    /// Returns the first mapping that ends above `address`.
    fn first_from(&mut self, address: usize) -> Result<Option<Region>>;

    /// Returns the last mapping that starts below `address`.
    fn last_below(&mut self, address: usize) -> Result<Option<Region>>;
}

impl Region {
    /// Returns whether the mapping can be a piece of the stack next to it: it is private memory to
    /// read and write, and not the heap.
    pub(crate) fn is_stack_piece(&self, heap: &Range<usize>) -> bool {
        self.kind == Kind::Anonymous
            && self.access == Access::ReadWrite
            && !(self.range.start < heap.end && heap.start < self.range.end)
    }
}

impl Regions for MappingTree<'_> {
    fn at(&mut self, address: usize) -> Result<Option<Region>> {
        Ok(MappingTree::at(self, address))
    }

    fn first_from(&mut self, address: usize) -> Result<Option<Region>> {
        Ok(MappingTree::first_from(self, address))
    }

    fn last_below(&mut self, address: usize) -> Result<Option<Region>> {
        Ok(MappingTree::last_below(self, address))
    }
}

/// Returns what `look` finds in the parts and the mappings of `space`.
///
/// If no writer has held the mmap lock meanwhile, all of it is of one moment. Otherwise `look` is
/// called again, and each mapping is as it is at the moment of its look-up. May sleep, for as long
/// as `budget` lasts.
///
/// # Errors
///
/// As [`Regions`], or as `look`.
pub(crate) fn look<T>(
    space: &AddressSpace,
    budget: &mut LockBudget,
    mut look: impl FnMut(&Parts, &mut dyn Regions) -> Result<T>,
) -> Result<T> {
    if let Some(version) = Version::of(space) {
        let found = {
            let mut tree = MappingTree::new(space);

            look(&space.parts(), &mut tree)
        };

        if version.is_current(space) {
            return found;
        }
    }
    look(&space.parts(), &mut Lookup { space, budget })
}

/// The mappings of an address space, each locked while it is looked at.
struct Lookup<'a> {
    space: &'a AddressSpace,
    budget: &'a mut LockBudget,
}

impl Lookup<'_> {
    /// Returns the mapping that `find` finds.
    fn region(
        &mut self,
        find: impl Fn(&mut MappingTree<'_>) -> Option<Region>,
    ) -> Result<Option<Region>> {
        /// Tuned: how often the mapping may be gone before it is locked. Then another one is found,
        /// or none.
        const TRIES: usize = 16;

        for _ in 0..TRIES {
            let Some(found) = find(&mut MappingTree::new(self.space)) else {
                return Ok(None);
            };

            if let Some(mapping) = self.space.lock_mapping(found.range.start, self.budget)? {
                return Ok(Some(mapping.into()));
            }
        }
        Err(EAGAIN)
    }
}

impl Regions for Lookup<'_> {
    fn at(&mut self, address: usize) -> Result<Option<Region>> {
        let mapping = self.space.lock_mapping(address, self.budget)?;

        Ok(mapping.map(Region::from))
    }

    fn first_from(&mut self, address: usize) -> Result<Option<Region>> {
        self.region(|tree| tree.first_from(address))
    }

    fn last_below(&mut self, address: usize) -> Result<Option<Region>> {
        self.region(|tree| tree.last_below(address))
    }
}

/// The addresses of a stack, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// These are the addresses.
    At(Range<usize>),
    /// The stack is in these mappings. There are guard pages inside, which can separate the stacks
    /// of several threads.
    Guarded(Range<usize>),
    /// The stack is in more pieces than are looked at. These are some of them.
    InPieces(Range<usize>),
}

impl Stack {
    /// Returns the addresses of the mappings that were found.
    pub(crate) fn found(&self) -> &Range<usize> {
        match self {
            Self::At(range) | Self::Guarded(range) | Self::InPieces(range) => range,
        }
    }
}

/// Returns the stack that `address` lies in; [`None`] if nothing is mapped there.
///
/// A stack consists of all adjacent pieces: a program splits the mapping when it locks some of the
/// pages, or calls `madvise()` for them. A mapping of another kind is a stack by itself, since the
/// stack pointer is in it.
///
/// # Errors
///
/// As [`Regions`].
pub(crate) fn stack_at(
    regions: &mut dyn Regions,
    parts: &Parts,
    address: usize,
) -> Result<Option<Stack>> {
    let Some(first) = regions.at(address)? else {
        return Ok(None);
    };
    let mut range = first.range.clone();
    let mut has_guards = first.may_have_guards;
    let mut pieces = 1;

    if first.is_stack_piece(&parts.heap) {
        // Upwards first: the frames of the callers are there.
        for is_up in [true, false] {
            loop {
                let next = if is_up {
                    range.end
                } else {
                    range.start.wrapping_sub(1)
                };
                let Some(piece) = piece_at(regions, parts, next)? else {
                    break;
                };

                if pieces == PIECES_MAX {
                    return Ok(Some(Stack::InPieces(range)));
                }
                range = range.start.min(piece.range.start)..range.end.max(piece.range.end);
                has_guards |= piece.may_have_guards;
                pieces += 1;
            }
        }
    }
    Ok(Some(if has_guards {
        Stack::Guarded(range)
    } else {
        Stack::At(range)
    }))
}

/// Returns the piece of a stack that contains `address`.
fn piece_at(regions: &mut dyn Regions, parts: &Parts, address: usize) -> Result<Option<Region>> {
    let region = regions.at(address)?;

    Ok(region.filter(|region| region.is_stack_piece(&parts.heap)))
}

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod fake {
    //! Mappings for tests.

    use super::*;
    use crate::abstractions::mm::MmapArea;

    /// Mappings in ascending order; those that start at `busy` cannot be looked at.
    pub(crate) struct Fake<'a> {
        pub(crate) regions: &'a [Region],
        pub(crate) busy: usize,
    }

    impl Fake<'_> {
        /// Returns `found`, unless it is busy.
        fn answer(&self, found: Option<&Region>) -> Result<Option<Region>> {
            match found {
                Some(region) if region.range.start == self.busy => Err(EAGAIN),
                found => Ok(found.cloned()),
            }
        }
    }

    impl Regions for Fake<'_> {
        fn at(&mut self, address: usize) -> Result<Option<Region>> {
            let mut regions = self.regions.iter();

            self.answer(regions.find(|region| region.range.contains(&address)))
        }

        fn first_from(&mut self, address: usize) -> Result<Option<Region>> {
            let mut regions = self.regions.iter();

            self.answer(regions.find(|region| region.range.end > address))
        }

        fn last_below(&mut self, address: usize) -> Result<Option<Region>> {
            let mut regions = self.regions.iter().rev();

            self.answer(regions.find(|region| region.range.start < address))
        }
    }

    /// Returns private memory to read and write.
    pub(crate) fn memory(range: Range<usize>) -> Region {
        Region {
            range,
            kind: Kind::Anonymous,
            access: Access::ReadWrite,
            may_have_guards: false,
        }
    }

    /// Returns a mapping of the file with this inode.
    pub(crate) fn file(range: Range<usize>, inode: usize) -> Region {
        Region {
            kind: Kind::File(inode),
            access: Access::Other,
            ..memory(range)
        }
    }

    /// Returns a mapping that the kernel has made.
    pub(crate) fn special(range: Range<usize>) -> Region {
        Region {
            kind: Kind::Special,
            access: Access::Other,
            ..memory(range)
        }
    }

    /// Returns private memory without access.
    pub(crate) fn guard(range: Range<usize>) -> Region {
        Region {
            access: Access::Other,
            ..memory(range)
        }
    }

    /// Returns the parts of a program whose stack begins at 0xf900.
    pub(crate) fn parts() -> Parts {
        Parts {
            text: 0x3000..0x3f00,
            data: 0x5000..0x5800,
            heap: 0x7000..0x7100,
            args: 0xfa00..0xfa20,
            env: 0xfa20..0xfa20,
            stack: 0xf900,
            vdso: 0,
            mmap: MmapArea {
                base: 0xe000,
                is_top_down: true,
                end: 0x10000,
            },
        }
    }
}

#[kunit_tests(taskscope_regions)]
mod tests {
    use super::fake::*;
    use super::*;
    use Stack::*;

    /// Returns the stack at `address`.
    fn stack(regions: &[Region], address: usize) -> Result<Option<Stack>> {
        stack_at(&mut Fake { regions, busy: 0 }, &parts(), address)
    }

    #[test]
    fn adjacent_pieces_are_one_stack() {
        let regions = [
            memory(0xa000..0xb000),
            memory(0xc000..0xd000),
            memory(0xd000..0xe000),
            memory(0xe000..0xf000),
        ];

        for address in [0xc000, 0xd800, 0xefff] {
            assert_eq!(stack(&regions, address), Ok(Some(At(0xc000..0xf000))));
        }
        assert_eq!(stack(&regions, 0xf000), Ok(None));
    }

    #[test]
    fn other_mappings_end_a_stack() {
        let middle = Ok(Some(At(0xc000..0xd000)));
        let mut regions = [
            guard(0xb000..0xc000),
            memory(0xc000..0xd000),
            file(0xd000..0xe000, 1),
        ];

        assert_eq!(stack(&regions, 0xc800), middle);
        regions[2] = special(0xd000..0xe000);
        assert_eq!(stack(&regions, 0xc800), middle);
        regions[0].access = Access::ReadWrite;
        regions[0].kind = Kind::ShadowStack;
        assert_eq!(stack(&regions, 0xc800), middle);
        // The heap is at 0x7000.
        let regions = [memory(0x6000..0x8000), memory(0x8000..0x9000)];
        assert_eq!(stack(&regions, 0x8800), Ok(Some(At(0x8000..0x9000))));
    }

    #[test]
    fn neighbours_of_the_heap_are_pieces() {
        // The heap is from 0x7000 to 0x7100.
        let regions = [
            memory(0x5000..0x6000),
            memory(0x6000..0x7000),
            memory(0x7000..0x7100),
            memory(0x7100..0x8000),
            memory(0x8000..0x9000),
        ];

        assert_eq!(stack(&regions, 0x5800), Ok(Some(At(0x5000..0x7000))));
        assert_eq!(stack(&regions, 0x8800), Ok(Some(At(0x7100..0x9000))));
    }

    #[test]
    fn a_stack_pointer_in_a_file_has_the_mapping() {
        let regions = [memory(0xb000..0xc000), file(0xc000..0xd000, 1)];

        assert_eq!(stack(&regions, 0xc800), Ok(Some(At(0xc000..0xd000))));
    }

    #[test]
    fn guards_hide_the_start() {
        let mut regions = [memory(0xa000..0xb000), memory(0xb000..0xc000)];

        regions[0].may_have_guards = true;
        assert_eq!(stack(&regions, 0xb800), Ok(Some(Guarded(0xa000..0xc000))));
        regions[1].may_have_guards = true;
        assert_eq!(stack(&regions, 0xb800), Ok(Some(Guarded(0xa000..0xc000))));
        regions[0].may_have_guards = false;
        assert_eq!(stack(&regions, 0xb800), Ok(Some(Guarded(0xa000..0xc000))));
    }

    #[test]
    fn pieces_are_limited() -> Result {
        /// As the interface says.
        const PIECES: usize = 64;

        let mut regions = KVec::new();

        for at in 0..PIECES + 1 {
            let start = 0x10_0000 + 0x1000 * at;

            regions.push(memory(start..start + 0x1000), GFP_KERNEL)?;
        }
        let last = regions[PIECES].range.end - 1;
        assert_eq!(
            stack(&regions, 0x10_0000),
            Ok(Some(InPieces(0x10_0000..last + 1 - 0x1000)))
        );
        assert_eq!(
            stack(&regions, last),
            Ok(Some(InPieces(0x10_1000..last + 1)))
        );
        assert_eq!(
            stack(&regions[1..], last),
            Ok(Some(At(0x10_1000..last + 1)))
        );
        Ok(())
    }

    #[test]
    fn a_piece_that_cannot_be_looked_at_is_an_error() {
        let regions = [memory(0xc000..0xd000), memory(0xd000..0xe000)];
        let mut busy = Fake {
            regions: &regions,
            busy: 0xd000,
        };

        assert_eq!(stack_at(&mut busy, &parts(), 0xc800), Err(EAGAIN));
    }
}
