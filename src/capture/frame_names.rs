// SPDX-License-Identifier: GPL-2.0

//! The names of the mappings that user frames lie in.
//!
//! A worker finds them, and the reader makes their text.

use crate::abstractions::mapping::{
    Mapping,
    Name,
    Path,
    PathId, //
    NAME_MAX,
};
use crate::abstractions::mm::{
    AddressSpace,
    LockBudget, //
};
use crate::capture::names::Names;
use crate::text::line::Line;
use crate::text::name;
use core::mem;
use core::ops::Range;
use kernel::prelude::*;

/// The most names of mappings that are kept. The limit bounds the memory of the table: a program
/// can map thousands of files with long names.
pub(crate) const NAMES_MAX: usize = 2048;

/// The name of the mapping of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameName {
    /// The path of a file, by its number among the paths.
    Path(u32),
    /// Another name, by its number among the names.
    Text(u32),
    /// There are too many others.
    NotKept,
}

/// The paths of files. Each is kept once, and at most [`NAMES_MAX`] are kept.
///
/// The worker that finds the paths cannot print them: a path is printed from the reader's root
/// directory on.
struct Paths(KVVec<Path>);

impl Paths {
    /// Allocates memory for one more path. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn reserve(&mut self) -> Result {
        Ok(self.0.reserve(1, GFP_KERNEL)?)
    }

    /// Keeps the path of `mapping`, whose identity is `id`, and returns its number; [`None`] if too
    /// many others are kept. Does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no memory for it: [`Paths::reserve`] has to be called before.
    fn add(&mut self, id: PathId, mapping: &Mapping<'_>) -> Result<Option<u32>> {
        // CAST: There are at most `NAMES_MAX`.
        let number = |number| Ok(Some(number as u32));

        if let Some(kept) = self.0.iter().position(|path| path.id() == id) {
            return number(kept);
        }
        if self.0.len() >= NAMES_MAX {
            return Ok(None);
        }
        let Some(path) = mapping.path() else {
            return Ok(None);
        };

        self.0.push_within_capacity(path)?;
        number(self.0.len() - 1)
    }
}

/// A mapping, with its name.
#[derive(Clone)]
pub(crate) struct NamedMapping {
    /// Its addresses.
    pub(crate) range: Range<usize>,
    /// Its name.
    pub(crate) name: FrameName,
    /// Whether a file is mapped there.
    pub(crate) is_file: bool,
    /// The offset of an address in the mapping or in the file is the address plus this.
    offset: usize,
}

impl NamedMapping {
    /// Returns where `address`, which lies in the mapping, is in the mapping or in the file.
    pub(crate) fn offset(&self, address: usize) -> usize {
        address.wrapping_add(self.offset)
    }
}

/// What a mapping that was locked has told of its name.
enum Found {
    /// The number of its path, if that is kept.
    Path(Option<u32>),
    /// The length of another name.
    Text(usize),
}

/// The names that have been found, by a worker or by the reader.
pub(crate) struct FoundNames {
    names: Names,
    /// The paths of mapped files.
    paths: Paths,
    /// Room for a name.
    buf: KVVec<u8>,
    /// Room for the same name as it is printed: a byte becomes four at most, and "+0x" follows.
    escaped: KVVec<u8>,
}

impl FoundNames {
    /// No names yet. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            names: Names::new(NAMES_MAX),
            paths: Paths(KVVec::new()),
            buf: KVVec::from_elem(0, NAME_MAX, GFP_KERNEL)?,
            escaped: KVVec::from_elem(0, 4 * NAME_MAX + 3, GFP_KERNEL)?,
        })
    }

    /// Returns the mapping of `space` that contains `address`, and keeps its name; [`None`] if
    /// nothing is mapped there.
    ///
    /// May sleep, for as long as `budget` lasts.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or as [`AddressSpace::lock_mapping`].
    pub(crate) fn mapping(
        &mut self,
        space: &AddressSpace,
        address: usize,
        budget: &mut LockBudget,
    ) -> Result<Option<NamedMapping>> {
        // The allocation may sleep, and nothing should sleep while the mapping is locked.
        self.paths.reserve()?;
        let (range, offset, found) = {
            let Some(mapping) = space.lock_mapping(address, budget)? else {
                return Ok(None);
            };
            let found = match mapping.name(&mut self.buf) {
                Name::Path(id) => Found::Path(self.paths.add(id, &mapping)?),
                Name::Text(len) => Found::Text(len),
            };

            (
                mapping.range(),
                mapping.offset(address).wrapping_sub(address),
                found,
            )
        };
        let (name, is_file) = match found {
            Found::Path(path) => (path.map_or(FrameName::NotKept, FrameName::Path), true),
            Found::Text(len) => {
                let name = self.add(|buf| &buf[..len])?;

                (name.map_or(FrameName::NotKept, FrameName::Text), false)
            }
        };

        Ok(Some(NamedMapping {
            range,
            name,
            is_file,
            offset,
        }))
    }

    /// Keeps the name that `write` writes to a buffer, as it is printed. Returns its number, or
    /// [`None`] if too many names are kept. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn add(&mut self, write: impl FnOnce(&mut [u8]) -> &[u8]) -> Result<Option<u32>> {
        let mut line = Line::new(&mut self.escaped);

        name::add_escaped(&mut line, write(&mut self.buf));
        // The offset follows in every row.
        line.bytes(b"+0x");
        self.names.add(line.as_bytes())
    }

    /// Makes the text of the paths, as the calling thread sees them. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn finish(mut self) -> Result<FrameNames> {
        let found = mem::take(&mut self.paths.0);
        let mut paths = KVVec::with_capacity(found.len(), GFP_KERNEL)?;

        for path in found.iter() {
            paths.push(self.add(|buf| path.write(buf))?, GFP_KERNEL)?;
        }
        Ok(FrameNames {
            names: self.names,
            paths,
        })
    }
}

/// The names of mappings.
pub(crate) struct FrameNames {
    /// The names as they are printed.
    names: Names,
    /// The numbers of the paths among the names; [`None`] for those that are not kept.
    paths: KVVec<Option<u32>>,
}

impl FrameNames {
    /// Returns a name, unless it is not kept.
    pub(crate) fn get(&self, name: FrameName) -> Option<&[u8]> {
        let number = match name {
            // CAST: The number is an index.
            FrameName::Path(path) => self.paths[path as usize]?,
            FrameName::Text(number) => number,
            FrameName::NotKept => return None,
        };

        Some(self.names.get(number))
    }

    /// Returns whether names may have been left out, because too many are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.names.is_full() || self.paths.len() >= NAMES_MAX
    }
}

#[kunit_tests(taskscope_frame_names)]
mod tests {
    use super::*;

    /// Returns whether names may have been left out, with `others` names and `paths` paths.
    fn is_full(others: usize, paths: usize) -> Result<bool> {
        let mut names = Names::new(2);

        for name in [b"[heap]", b"[vdso]"].into_iter().take(others) {
            names.add(name)?;
        }
        Ok(FrameNames {
            names,
            paths: KVVec::from_elem(Some(0), paths, GFP_KERNEL)?,
        }
        .is_full())
    }

    /// Both paths and names that are no paths can be too many.
    #[test]
    fn names_are_left_out_at_either_limit() -> Result {
        assert!(!is_full(1, NAMES_MAX - 1)?);
        assert!(is_full(2, 0)?);
        assert!(is_full(1, NAMES_MAX)?);
        Ok(())
    }
}
