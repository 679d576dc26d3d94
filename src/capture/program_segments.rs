// SPDX-License-Identifier: GPL-2.0

//! The segments of a program, from the addresses that the kernel noted when it loaded the program,
//! and from the mappings.
//!
//! Each segment takes a few look-ups, however many mappings there are.

use crate::abstractions::mapping::{
    Access,
    Kind,
    Region, //
};
use crate::abstractions::mm::Parts;
use crate::capture::regions::{
    stack_at, //
    Regions,
    Stack,
    PIECES_MAX,
};
use core::ops::Range;
use kernel::page::page_align;
use kernel::prelude::*;

/// How many segments a process has.
pub(crate) const SEGMENTS: usize = 9;

/// The names of the segments, in the order of the table.
pub(crate) const NAMES: [&str; SEGMENTS] = [
    "text", "data", "bss", "heap", "mmap", "stack", "args", "env", "vdso",
];

/// No segments.
pub(crate) const NOTHING: [Segment; SEGMENTS] = [const { Segment::Nothing }; SEGMENTS];

/// Tuned: the most mappings that one search looks at. The kernel makes a few special mappings. A
/// search skips the parts of the program as a whole.
const STEPS_MAX: usize = 32;

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Its addresses; it may be empty.
    At(Range<usize>),
    /// There is none.
    Nothing,
    /// The mappings could not be looked at in time.
    Locked,
    /// The addresses of the mapping of the first stack, which has guard pages inside: only the end
    /// is that of the stack.
    Guarded(Range<usize>),
    /// It is in more pieces than are looked at.
    InPieces,
}

impl Segment {
    /// Returns the addresses of its mappings, if they are known.
    fn range(&self) -> Option<&Range<usize>> {
        match self {
            Self::At(range) | Self::Guarded(range) => Some(range),
            _ => None,
        }
    }
}

/// Finds the segments, and writes them to `found`.
///
/// # Errors
///
/// `EINTR`: the reader has been killed.
pub(crate) fn segments(
    parts: &Parts,
    regions: &mut dyn Regions,
    found: &mut [Segment; SEGMENTS],
) -> Result {
    let [text, data, bss, heap, mmap, stack, args, env, vdso] = found;

    *text = noted(&parts.text);
    *data = noted(&parts.data);
    *heap = noted(&parts.heap);
    *args = noted(&parts.args);
    *env = noted(&parts.env);
    *bss = unless_locked(self::bss(parts, regions))?;
    *stack = unless_locked(self::stack(parts, regions))?;
    *mmap = match (&*bss, &*stack) {
        (Segment::Locked, _) | (_, Segment::Locked) => Segment::Locked,
        // Without their addresses, mappings in the area cannot be told from theirs.
        (Segment::InPieces, _) => Segment::InPieces,
        (_, Segment::InPieces) if !parts.mmap.is_top_down => Segment::InPieces,
        (bss, stack) => unless_locked(self::mmap(parts, bss, stack, regions))?,
    };
    *vdso = unless_locked(self::vdso(parts, regions))?;
    Ok(())
}

/// Returns a segment whose addresses the kernel keeps. Zero means that there is none.
fn noted(range: &Range<usize>) -> Segment {
    if range.start == 0 || range.end < range.start {
        Segment::Nothing
    } else {
        Segment::At(range.clone())
    }
}

/// Makes a segment of the errors of a search: `EAGAIN` becomes [`Segment::Locked`], `E2BIG` becomes
/// [`Segment::InPieces`].
///
/// # Errors
///
/// `EINTR`: the reader has been killed.
fn unless_locked(found: Result<Segment>) -> Result<Segment> {
    match found {
        Err(error) if error == EAGAIN => Ok(Segment::Locked),
        Err(error) if error == E2BIG => Ok(Segment::InPieces),
        found => found,
    }
}

/// Finds the stack that the program was started with.
fn stack(parts: &Parts, regions: &mut dyn Regions) -> Result<Segment> {
    Ok(match stack_at(regions, parts, parts.stack)? {
        Some(Stack::At(range)) => Segment::At(range),
        Some(Stack::Guarded(range)) => Segment::Guarded(range),
        Some(Stack::InPieces(_)) => Segment::InPieces,
        None => Segment::Nothing,
    })
}

/// Finds `[vdso]`, which the program may have unmapped.
fn vdso(parts: &Parts, regions: &mut dyn Regions) -> Result<Segment> {
    Ok(match regions.at(parts.vdso)? {
        Some(region) if region.kind == Kind::Special => Segment::At(region.range),
        _ => Segment::Nothing,
    })
}

/// Finds the bss. It begins where the file-backed part of the data segment ends. It goes on to the
/// end of that page, and through the private memory with read and write access that follows. It
/// ends at the heap.
fn bss(parts: &Parts, regions: &mut dyn Regions) -> Result<Segment> {
    let data_end = parts.data.end;
    let mut end = page_up(data_end);

    if data_end == 0 || regions.at(data_end - 1)?.is_none() {
        return Ok(Segment::Nothing);
    }
    // The last look finds no other piece.
    for _ in 0..PIECES_MAX + 1 {
        let next = regions.at(end)?.filter(|next| {
            end != parts.heap.start
                && next.range.start == end
                && next.kind == Kind::Anonymous
                && next.access == Access::ReadWrite
                && !next.range.contains(&parts.stack)
        });
        let Some(next) = next else {
            return Ok(if end > data_end {
                Segment::At(data_end..end)
            } else {
                Segment::Nothing
            });
        };

        end = if next.range.contains(&parts.heap.start) {
            parts.heap.start
        } else {
            next.range.end
        };
    }
    Ok(Segment::InPieces)
}

/// Rounds an address up to the start of a page, unless it lies in the last page of all.
fn page_up(address: usize) -> usize {
    page_align(address).unwrap_or(address)
}

/// The parts of an address space that do not belong to segment `mmap`, wherever they lie.
struct Others<'a> {
    image: Range<usize>,
    heap: Range<usize>,
    stack: Option<&'a Range<usize>>,
}

impl Others<'_> {
    /// Returns the part that `region` belongs to; [`None`] if `region` belongs to segment `mmap`.
    fn extent_of(&self, region: &Region) -> Option<Range<usize>> {
        let overlaps =
            |other: &Range<usize>| region.range.start < other.end && other.start < region.range.end;

        if overlaps(&self.image) {
            Some(self.image.clone())
        } else if overlaps(&self.heap) {
            Some(self.heap.clone())
        } else if let Some(stack) = self.stack.filter(|stack| overlaps(stack)) {
            Some(stack.clone())
        } else {
            (region.kind == Kind::Special).then(|| region.range.clone())
        }
    }
}

/// Finds the span of the libraries and of other mappings in the area where the kernel places
/// mappings. The area is below `mmap_base` if the kernel goes down from there, and else above.
///
/// The parts of the program, and special mappings of the kernel, can lie in the area. They do not
/// count.
fn mmap(
    parts: &Parts,
    bss: &Segment,
    stack: &Segment,
    regions: &mut dyn Regions,
) -> Result<Segment> {
    let area = if parts.mmap.is_top_down {
        0..parts.mmap.base
    } else {
        parts.mmap.base..parts.mmap.end
    };
    let others = Others {
        image: image(parts, bss, regions)?,
        heap: parts.heap.start..page_up(parts.heap.end),
        stack: stack.range(),
    };
    let first = find_in(Outermost::First, &area, &others, regions)?;
    let last = find_in(Outermost::Last, &area, &others, regions)?;

    Ok(match (first, last) {
        (Some(first), Some(last)) if first.start < last.end => Segment::At(first.start..last.end),
        _ => Segment::Nothing,
    })
}

/// Which mapping of an area is looked for.
#[derive(Clone, Copy)]
enum Outermost {
    First,
    Last,
}

/// Returns the addresses of the first or the last mapping in `area` that is none of `others`.
///
/// # Errors
///
/// As [`Regions`], or `E2BIG` if there are more special mappings than the kernel makes.
fn find_in(
    which: Outermost,
    area: &Range<usize>,
    others: &Others<'_>,
    regions: &mut dyn Regions,
) -> Result<Option<Range<usize>>> {
    let mut from = match which {
        Outermost::First => area.start,
        Outermost::Last => area.end,
    };

    for _ in 0..STEPS_MAX {
        let found = match which {
            Outermost::First => regions.first_from(from)?,
            Outermost::Last => regions.last_below(from)?,
        };
        let Some(region) = found else {
            return Ok(None);
        };
        let Range { start, end } = region.range;
        let is_passed = match which {
            Outermost::First => start >= area.end,
            Outermost::Last => start < area.start,
        };

        if is_passed {
            return Ok(None);
        }
        let skipped = match others.extent_of(&region) {
            Some(other) => other.start.min(start)..other.end.max(end),
            // The mapping reaches into the area from below it.
            None if start < area.start => start..end,
            None => return Ok(Some(start..end)),
        };

        from = match which {
            Outermost::First => skipped.end,
            Outermost::Last => skipped.start,
        };
    }
    Err(E2BIG)
}

/// Returns the addresses of the image of the program: from the first mapping of its file, through
/// those that follow without a gap up to the text, to the end of data and bss.
///
/// # Errors
///
/// As [`Regions`], or `E2BIG` if there are too many of these.
fn image(parts: &Parts, bss: &Segment, regions: &mut dyn Regions) -> Result<Range<usize>> {
    let end = bss.range().map_or(page_up(parts.data.end), |bss| bss.end);
    let end = end.max(page_up(parts.text.end));
    let mut start = parts.text.start;

    if let Some(text) = regions.at(start)? {
        let mut pieces = 0;

        start = text.range.start;
        while let Some(below) = regions.at(start.wrapping_sub(1))? {
            if below.kind != text.kind {
                break;
            }
            if pieces == PIECES_MAX {
                return Err(E2BIG);
            }
            start = below.range.start;
            pieces += 1;
        }
    }
    Ok(start..end)
}

#[kunit_tests(taskscope_segments)]
mod tests {
    use super::*;
    use crate::abstractions::mm::MmapArea;
    use crate::capture::regions::fake::*;
    use kernel::page::PAGE_SIZE;
    use Segment::*;

    /// The addresses of these tests are of pages of 4 KiB. Where pages are larger, all addresses
    /// are larger.
    const SCALE: usize = PAGE_SIZE / 0x1000;

    /// Returns a range in pages of this kernel.
    fn scaled(range: &Range<usize>) -> Range<usize> {
        range.start * SCALE..range.end * SCALE
    }

    /// Returns the segment of that name, with the mapping that starts at `busy` being changed.
    fn with_busy(name: &str, parts: &Parts, regions: &[Region], busy: usize) -> Option<Segment> {
        let mut found = NOTHING;
        let mut larger = KVec::new();
        let parts = Parts {
            text: scaled(&parts.text),
            data: scaled(&parts.data),
            heap: scaled(&parts.heap),
            args: scaled(&parts.args),
            env: scaled(&parts.env),
            stack: parts.stack * SCALE,
            vdso: parts.vdso * SCALE,
            mmap: MmapArea {
                base: parts.mmap.base * SCALE,
                end: parts.mmap.end * SCALE,
                ..parts.mmap
            },
        };

        for region in regions {
            let mut region = region.clone();

            region.range = scaled(&region.range);
            larger.push(region, GFP_KERNEL).ok()?;
        }
        let mut regions = Fake {
            regions: &larger,
            busy: busy * SCALE,
        };

        segments(&parts, &mut regions, &mut found).ok()?;

        NAMES
            .iter()
            .zip(found)
            .find(|(is, _)| **is == name)
            .map(|(_, found)| match found {
                At(range) => At(range.start / SCALE..range.end / SCALE),
                other => other,
            })
    }

    /// Returns the segment of that name.
    fn segment(name: &str, parts: &Parts, regions: &[Region]) -> Option<Segment> {
        with_busy(name, parts, regions, 0)
    }

    #[test]
    fn what_the_kernel_has_noted() {
        let is = |name, expected| assert_eq!(segment(name, &parts(), &[]), Some(expected));

        is("text", At(0x3000..0x3f00));
        is("data", At(0x5000..0x5800));
        is("heap", At(0x7000..0x7100));
        is("args", At(0xfa00..0xfa20));
        is("env", At(0xfa20..0xfa20));
        is("bss", Nothing);
        is("mmap", Nothing);
        is("stack", Nothing);
        is("vdso", Nothing);
        assert_eq!(noted(&(0..0)), Nothing);
        assert_eq!(noted(&(2..1)), Nothing);
    }

    #[test]
    fn bss_ends_with_its_page_or_its_memory() {
        let bss = |regions: &[Region]| segment("bss", &parts(), regions);
        let data = file(0x5000..0x6000, 1);

        assert_eq!(bss(&[data.clone()]), Some(At(0x5800..0x6000)));
        assert_eq!(
            bss(&[data.clone(), memory(0x6000..0x6800)]),
            Some(At(0x5800..0x6800))
        );
        // The memory behind it is of a file, or without access, or does not join it.
        assert_eq!(
            bss(&[data.clone(), guard(0x6000..0x7000)]),
            Some(At(0x5800..0x6000))
        );
        assert_eq!(
            bss(&[data.clone(), file(0x6000..0x7000, 2)]),
            Some(At(0x5800..0x6000))
        );
        assert_eq!(
            bss(&[data.clone(), memory(0x6800..0x7000)]),
            Some(At(0x5800..0x6000))
        );
        // The heap begins where bss ends, in the same mapping or in the next.
        assert_eq!(
            bss(&[data.clone(), memory(0x6000..0x9000)]),
            Some(At(0x5800..0x7000))
        );
        assert_eq!(
            bss(&[data, memory(0x6000..0x7000), memory(0x7000..0x9000)]),
            Some(At(0x5800..0x7000))
        );
    }

    #[test]
    fn bss_begins_where_data_ends() {
        let bss = |data: Range<usize>, regions: &[Region]| {
            segment("bss", &Parts { data, ..parts() }, regions)
        };
        let data = file(0x5000..0x6000, 1);

        // The data fills its last page, or one byte of it.
        assert_eq!(bss(0x5000..0x6000, &[data.clone()]), Some(Nothing));
        assert_eq!(
            bss(0x5000..0x6000, &[data.clone(), memory(0x6000..0x6800)]),
            Some(At(0x6000..0x6800))
        );
        assert_eq!(bss(0x5000..0x5001, &[data]), Some(At(0x5001..0x6000)));
        // The program has unmapped its data, or has none.
        assert_eq!(
            bss(0x5000..0x6000, &[memory(0x6000..0x6800)]),
            Some(Nothing)
        );
        assert_eq!(bss(0..0, &[]), Some(Nothing));
    }

    #[test]
    fn pieces_of_bss_are_limited() -> Result {
        let mut regions = KVec::new();

        regions.push(file(0x5000..0x6000, 1), GFP_KERNEL)?;
        for at in 0..PIECES_MAX + 1 {
            let start = 0x6000 + 0x10 * at;

            regions.push(memory(start..start + 0x10), GFP_KERNEL)?;
        }
        assert_eq!(segment("bss", &parts(), &regions), Some(InPieces));
        assert_eq!(
            segment("bss", &parts(), &regions[..PIECES_MAX + 1]),
            Some(At(0x5800..0x6000 + 0x10 * PIECES_MAX))
        );
        Ok(())
    }

    /// A program, its heap and its stack.
    fn program() -> [Region; 6] {
        [
            file(0x2000..0x3000, 1),
            file(0x3000..0x4000, 1),
            file(0x5000..0x6000, 1),
            memory(0x7000..0x8000),
            memory(0xf000..0x10000),
            special(0x10000..0x11000),
        ]
    }

    /// Returns segment `mmap` of a program with these mappings beside its own.
    fn mmap_with(parts: &Parts, more: &[Region]) -> Option<Segment> {
        let mut regions = KVec::new();

        for region in Iterator::chain(program().iter(), more) {
            let place = regions
                .iter()
                .position(|other: &Region| other.range.start > region.range.start)
                .unwrap_or(regions.len());

            regions.reserve(1, GFP_KERNEL).ok()?;
            regions.insert_within_capacity(place, region.clone()).ok()?;
        }
        segment("mmap", parts, &regions)
    }

    #[test]
    fn libraries_above_the_program() {
        let more = [
            file(0x9000..0xa000, 2),
            memory(0xb000..0xc000),
            special(0xc000..0xd000),
            // The kernel never places a mapping above the base.
            memory(0xe000..0xe800),
        ];

        assert_eq!(mmap_with(&parts(), &[]), Some(Nothing));
        assert_eq!(mmap_with(&parts(), &more), Some(At(0x9000..0xc000)));
        assert_eq!(mmap_with(&parts(), &more[1..2]), Some(At(0xb000..0xc000)));
    }

    #[test]
    fn neighbours_of_the_program_are_not_part_of_it() {
        // Directly behind bss and before the heap; directly behind the heap.
        for neighbour in [guard(0x6000..0x7000), memory(0x8000..0x9000)] {
            let range = neighbour.range.clone();

            assert_eq!(mmap_with(&parts(), &[neighbour]), Some(At(range)));
        }
    }

    #[test]
    fn libraries_below_the_program() {
        let parts = Parts {
            mmap: MmapArea {
                base: 0x1800,
                ..parts().mmap
            },
            ..parts()
        };
        let more = [file(0x800..0xa00, 2), memory(0x1000..0x1200)];

        assert_eq!(mmap_with(&parts, &[]), Some(Nothing));
        assert_eq!(mmap_with(&parts, &more), Some(At(0x800..0x1200)));
    }

    #[test]
    fn libraries_upwards() {
        let parts = Parts {
            mmap: MmapArea {
                base: 0x800,
                is_top_down: false,
                ..parts().mmap
            },
            ..parts()
        };
        let more = [
            memory(0x400..0x900),
            file(0x1000..0x1200, 2),
            memory(0x1800..0x1900),
            memory(0x9000..0x9800),
        ];

        assert_eq!(mmap_with(&parts, &[]), Some(Nothing));
        // The first one begins below the base.
        assert_eq!(mmap_with(&parts, &more[..1]), Some(Nothing));
        assert_eq!(mmap_with(&parts, &more[..3]), Some(At(0x1000..0x1900)));
        assert_eq!(mmap_with(&parts, &more), Some(At(0x1000..0x9800)));
        // The only one begins at the base.
        assert_eq!(
            mmap_with(&parts, &[memory(0x800..0x900)]),
            Some(At(0x800..0x900))
        );
    }

    #[test]
    fn mmap_beside_a_stack_in_pieces() -> Result {
        let downwards = Parts {
            stack: 0xf000,
            ..parts()
        };
        let upwards = Parts {
            mmap: MmapArea {
                base: 0x8800,
                is_top_down: false,
                ..parts().mmap
            },
            ..downwards.clone()
        };
        let mut regions = KVec::new();

        regions.push(file(0x9000..0xa000, 2), GFP_KERNEL)?;
        for at in 0..PIECES_MAX + 1 {
            let start = 0xf000 + 0x10 * at;

            regions.push(memory(start..start + 0x10), GFP_KERNEL)?;
        }
        assert_eq!(segment("stack", &downwards, &regions), Some(InPieces));
        // The stack is not in the area, or may be.
        assert_eq!(
            segment("mmap", &downwards, &regions),
            Some(At(0x9000..0xa000))
        );
        assert_eq!(segment("mmap", &upwards, &regions), Some(InPieces));
        Ok(())
    }

    #[test]
    fn pieces_of_the_image_are_limited() -> Result {
        // The code begins within its mapping.
        let parts = Parts {
            text: 0x3040..0x3f00,
            ..parts()
        };
        let mut regions = KVec::new();

        for at in 0..PIECES_MAX + 1 {
            let end = 0x3000 - 0x10 * (PIECES_MAX - at);

            regions.push(file(end - 0x10..end, 1), GFP_KERNEL)?;
        }
        regions.push(file(0x3000..0x4000, 1), GFP_KERNEL)?;
        regions.push(file(0x9000..0xa000, 2), GFP_KERNEL)?;
        assert_eq!(segment("mmap", &parts, &regions), Some(InPieces));
        assert_eq!(
            segment("mmap", &parts, &regions[1..]),
            Some(At(0x9000..0xa000))
        );
        Ok(())
    }

    #[test]
    fn steps_of_a_search_are_limited() -> Result {
        let mut regions = KVec::new();

        for at in 0..STEPS_MAX {
            let start = 0x100 + 0x10 * at;

            regions.push(special(start..start + 0x10), GFP_KERNEL)?;
        }
        regions.push(file(0x1000..0x1200, 2), GFP_KERNEL)?;
        assert_eq!(segment("mmap", &parts(), &regions), Some(InPieces));
        // The last step finds the library.
        assert_eq!(
            segment("mmap", &parts(), &regions[1..]),
            Some(At(0x1000..0x1200))
        );
        Ok(())
    }

    /// A mapping that moves down between two looks, to where `below` is.
    struct Moving {
        below: Range<usize>,
    }

    impl Regions for Moving {
        fn at(&mut self, _: usize) -> Result<Option<Region>> {
            Ok(None)
        }

        fn first_from(&mut self, _: usize) -> Result<Option<Region>> {
            Ok(Some(memory(0xa000..0xb000)))
        }

        fn last_below(&mut self, _: usize) -> Result<Option<Region>> {
            Ok(Some(memory(self.below.clone())))
        }
    }

    #[test]
    fn a_mapping_that_moves_meanwhile_never_ends_before_it_starts() -> Result {
        for below in [0x9000..0xa000, 0x8000..0x9000] {
            let mut found = NOTHING;

            segments(&parts(), &mut Moving { below }, &mut found)?;
            let [.., mmap, _, _, _, _] = found;
            assert_eq!(mmap, Nothing);
        }
        Ok(())
    }

    #[test]
    fn mappings_beside_the_image_are_of_others() {
        // Of another file below the text; within the image, between text and data.
        let more = [file(0x1000..0x2000, 2), file(0x4000..0x5000, 3)];

        assert_eq!(mmap_with(&parts(), &more), Some(At(0x1000..0x2000)));
    }

    #[test]
    fn stack_and_vdso() {
        let parts = Parts {
            vdso: 0x10000,
            ..parts()
        };

        assert_eq!(
            segment("stack", &parts, &program()),
            Some(At(0xf000..0x10000))
        );
        assert_eq!(
            segment("vdso", &parts, &program()),
            Some(At(0x10000..0x11000))
        );
        // Something else is mapped where it was.
        assert_eq!(
            segment("vdso", &parts, &[memory(0x10000..0x11000)]),
            Some(Nothing)
        );
    }

    #[test]
    fn what_cannot_be_looked_at_is_locked() {
        let locked = |name, busy| with_busy(name, &parts(), &program(), busy);

        assert_eq!(locked("stack", 0xf000), Some(Locked));
        assert_eq!(locked("mmap", 0xf000), Some(Locked));
        assert_eq!(locked("bss", 0x5000), Some(Locked));
        assert_eq!(locked("bss", 0xf000), Some(At(0x5800..0x6000)));
    }

    #[test]
    fn a_killed_reader_gets_no_segment() {
        assert_eq!(unless_locked(Err(EINTR)), Err(EINTR));
    }
}
