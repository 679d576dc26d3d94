// SPDX-License-Identifier: GPL-2.0

//! The segments of a program, worked out from what the kernel has noted of it and from its
//! mappings. Pure, and tested by itself.

use crate::mm::{
    page_up,
    Parts, //
};
use core::ops::Range;
use kernel::prelude::*;

/// How many segments a process has.
pub(crate) const SEGMENTS: usize = 9;

/// Their names, in the order of the table.
pub(crate) const NAMES: [&str; SEGMENTS] = [
    "text", "data", "bss", "heap", "mmap", "stack", "args", "env", "vdso",
];

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Where it is; it may be empty.
    At(Range<usize>),
    /// There is none.
    Nothing,
    /// The mappings could not be looked at.
    Unknown,
}

/// A mapping, as far as it matters here.
#[derive(Clone)]
pub(crate) struct Region {
    /// The addresses.
    pub(crate) range: Range<usize>,
    /// What is mapped.
    pub(crate) kind: RegionKind,
}

/// What is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegionKind {
    /// A file.
    File,
    /// Memory of the program's own.
    Anonymous,
    /// `[vdso]`.
    Vdso,
    /// Something else of the kernel's making.
    Special,
}

/// Works out the segments; `regions` are all mappings in ascending order, if they are known.
pub(crate) fn segments(
    parts: &Parts,
    regions: Option<impl Iterator<Item = Region>>,
) -> [Segment; SEGMENTS] {
    let [bss, mmap, stack, vdso] = match regions {
        Some(regions) => {
            mapped(parts, regions).map(|found| found.map_or(Segment::Nothing, Segment::At))
        }
        None => [const { Segment::Unknown }; 4],
    };

    [
        noted(&parts.text),
        noted(&parts.data),
        bss,
        noted(&parts.heap),
        mmap,
        stack,
        noted(&parts.args),
        noted(&parts.env),
        vdso,
    ]
}

/// A segment that the kernel has noted, unless it has not.
fn noted(range: &Range<usize>) -> Segment {
    if range.start == 0 || range.end < range.start {
        Segment::Nothing
    } else {
        Segment::At(range.clone())
    }
}

/// Finds bss, mmap, stack and vdso among the mappings.
fn mapped(parts: &Parts, regions: impl Iterator<Item = Region>) -> [Option<Range<usize>>; 4] {
    let (mut bss, mut mmap, mut stack, mut vdso) = (None::<Range<usize>>, None, None, None);
    // What of the last page of the data is not in the file belongs to bss, and so does anonymous
    // memory that joins it, up to where the heap begins.
    let mut bss_end = page_up(parts.data.end);
    let heap = parts.heap.start;

    for Region { range, kind } in regions {
        let is_stack = range.start <= parts.stack && parts.stack <= range.end;

        if parts.data.end != 0 && range.contains(&(parts.data.end - 1)) {
            bss = Some(parts.data.end..bss_end);
        } else if range.start == bss_end
            && kind == RegionKind::Anonymous
            && bss.is_some()
            && !is_stack
        {
            let end = if (range.start..range.end).contains(&heap) {
                heap
            } else {
                range.end
            };

            // The heap is not yet part of it where it begins right here.
            if end > bss_end {
                bss = Some(parts.data.end..end);
                bss_end = if end == heap { usize::MAX } else { end };
            }
        }
        if kind == RegionKind::Vdso {
            vdso = Some(range);
        } else if kind == RegionKind::Special {
            // The kernel puts such where there is room, among the libraries or beside the stack.
        } else if is_stack {
            stack = Some(range);
        } else if (page_up(parts.heap.end)..parts.stack).contains(&range.start) {
            let start = mmap.map_or(range.start, |mmap: Range<usize>| mmap.start);

            mmap = Some(start..range.end);
        }
    }
    [bss.filter(|bss| !bss.is_empty()), mmap, stack, vdso]
}

#[kunit_tests(taskscope_segments)]
mod tests {
    use super::*;

    const PARTS: Parts = Parts {
        text: 0x1000..0x1f00,
        data: 0x3000..0x3800,
        heap: 0x6000..0x6100,
        args: 0xfa00..0xfa20,
        env: 0xfa20..0xfa20,
        stack: 0xf900,
    };

    /// A mapping of memory, or of a file.
    fn region(range: Range<usize>, is_anonymous: bool) -> Region {
        Region {
            range,
            kind: if is_anonymous {
                RegionKind::Anonymous
            } else {
                RegionKind::File
            },
        }
    }

    /// Returns the segment of that name.
    fn segment(name: &str, parts: &Parts, regions: &[Region]) -> Option<Segment> {
        let found = segments(parts, Some(regions.iter().cloned()));

        NAMES
            .iter()
            .zip(found)
            .find(|(is, _)| **is == name)
            .map(|(_, found)| found)
    }

    #[test]
    fn what_the_kernel_has_noted() {
        let found = segments(&PARTS, None::<core::iter::Empty<Region>>);

        assert_eq!(found[0], Segment::At(0x1000..0x1f00));
        assert_eq!(found[2], Segment::Unknown);
        assert_eq!(found[3], Segment::At(0x6000..0x6100));
        assert_eq!(found[7], Segment::At(0xfa20..0xfa20));
        assert_eq!(noted(&(0..0)), Segment::Nothing);
        assert_eq!(noted(&(2..1)), Segment::Nothing);
    }

    #[test]
    fn bss_ends_with_its_page_or_its_memory() {
        let bss = |parts: &Parts, regions: &[Region]| segment("bss", parts, regions);
        let file = region(0x3000..0x4000, false);

        assert_eq!(bss(&PARTS, &[]), Some(Segment::Nothing));
        assert_eq!(
            bss(&PARTS, &[file.clone()]),
            Some(Segment::At(0x3800..0x4000))
        );
        assert_eq!(
            bss(&PARTS, &[file.clone(), region(0x4000..0x5000, true)]),
            Some(Segment::At(0x3800..0x5000))
        );
        // The memory behind it is of a file, or does not join it.
        assert_eq!(
            bss(&PARTS, &[file.clone(), region(0x4000..0x5000, false)]),
            Some(Segment::At(0x3800..0x4000))
        );
        assert_eq!(
            bss(&PARTS, &[file.clone(), region(0x5000..0x6000, true)]),
            Some(Segment::At(0x3800..0x4000))
        );
        // The heap begins where bss ends, in the same mapping or in the next.
        assert_eq!(
            bss(&PARTS, &[file.clone(), region(0x4000..0x7000, true)]),
            Some(Segment::At(0x3800..0x6000))
        );
        assert_eq!(
            bss(
                &PARTS,
                &[
                    file,
                    region(0x4000..0x6000, true),
                    region(0x6000..0x7000, true)
                ]
            ),
            Some(Segment::At(0x3800..0x6000))
        );
    }

    #[test]
    fn the_area_of_the_libraries() {
        let regions = [
            region(0x1000..0x2000, false),
            region(0x6000..0x7000, true),
            region(0x8000..0x9000, false),
            region(0xa000..0xb000, true),
            Region {
                range: 0xc000..0xd000,
                kind: RegionKind::Special,
            },
            region(0xf000..0x10000, true),
            Region {
                range: 0x11000..0x12000,
                kind: RegionKind::Vdso,
            },
        ];

        assert_eq!(
            segment("mmap", &PARTS, &regions),
            Some(Segment::At(0x8000..0xb000))
        );
        assert_eq!(
            segment("stack", &PARTS, &regions),
            Some(Segment::At(0xf000..0x10000))
        );
        assert_eq!(
            segment("vdso", &PARTS, &regions),
            Some(Segment::At(0x11000..0x12000))
        );
        assert_eq!(
            segment("mmap", &PARTS, &regions[..2]),
            Some(Segment::Nothing)
        );
    }
}
