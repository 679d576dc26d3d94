// SPDX-License-Identifier: GPL-2.0

//! Names of functions in programs and libraries, from .symtab and .dynsym of their files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::join::Frame;
use crate::snapshot::{Meta, Snapshot, open_file};
use crate::table;

/// Where the files of the programs are.
#[derive(Clone, Copy, Debug)]
pub enum Files<'a> {
    /// Below this directory.
    Below(&'a Path),
    /// On this machine: what the thread sees as its root directory.
    Here,
    /// Nowhere: the snapshot is of another boot.
    Elsewhere,
}

impl<'a> Files<'a> {
    /// Of a snapshot, or of the machine whose files are below `sysroot`.
    pub fn of(snapshot: &Snapshot, sysroot: Option<&'a Path>) -> Self {
        match sysroot {
            Some(directory) => Files::Below(directory),
            None if snapshot.meta.boot_id().is_some_and(|boot| Meta::of_this_machine().boot_id() == Some(boot)) => {
                Files::Here
            }
            None => Files::Elsewhere,
        }
    }

    /// The root directory of a process.
    fn root(&self, tgid: u32) -> Option<PathBuf> {
        match self {
            Files::Below(directory) => Some(directory.to_path_buf()),
            Files::Here => {
                let root = PathBuf::from(format!("/proc/{tgid}/root"));
                Some(if root.join(".").exists() { root } else { PathBuf::from("/") })
            }
            Files::Elsewhere => None,
        }
    }

    /// Tells the root directories of processes apart: a path may be another file below another one.
    pub fn root_of(&self, tgid: u32) -> Option<(u64, u64)> {
        let metadata = self.root(tgid)?.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
}

/// The largest file that is read.
const LIMIT: u64 = 256 << 20;

/// The most files of which functions are kept. `uframes` has at most 2048 different names.
const MAX_FILES: usize = 2048;
/// The most memory for their functions, in bytes.
const MAX_BYTES: usize = 512 << 20;

/// The functions of the files that have been asked for.
#[derive(Debug)]
pub struct Symbols {
    /// Device and inode: many processes have one library, below different roots.
    paths: HashMap<PathBuf, Option<(u64, u64)>>,
    files: HashMap<(u64, u64), Option<Functions>>,
    files_left: usize,
    bytes_left: usize,
    limited: bool,
}

impl Default for Symbols {
    fn default() -> Self {
        Symbols::within(MAX_FILES, MAX_BYTES)
    }
}

/// The functions of a file.
#[derive(Debug, Default)]
struct Functions {
    /// Offset in the file, size and address of each segment.
    segments: Vec<(u64, u64, u64)>,
    /// Address, size and name, by address.
    functions: Vec<(u64, u64, String)>,
}

impl Functions {
    /// Reads a file. `left` is the memory that its functions may take, and then what is left of it: nothing if it was not
    /// enough.
    fn read(path: &Path, left: &mut usize) -> Option<Functions> {
        let mut bytes = Vec::new();
        open_file(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
        let file = object::File::parse(bytes.as_slice()).ok()?;
        let segments = file.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (offset, size, segment.address())
        });
        // .symtab has what .dynsym has, unless it was stripped.
        let mut functions: Vec<(u64, u64, String)> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_string())))
            .filter(|(_, _, name)| !name.is_empty() && !name.starts_with('$'))
            .map_while(|function| {
                let size = size_of::<(u64, u64, String)>() + function.2.len();
                let rest = left.checked_sub(size);
                *left = rest.unwrap_or(0);
                rest.map(|_| function)
            })
            .collect();
        functions.sort_by_key(|&(address, size, _)| (address, size));
        Some(Functions { segments: segments.collect(), functions })
    }

    /// The function that the byte at this offset of the file belongs to.
    fn name(&self, offset: u64) -> Option<(&str, u64)> {
        let (start, _, address) =
            self.segments.iter().find(|&&(start, size, _)| offset.checked_sub(start).is_some_and(|at| at < size))?;
        let at = address.checked_add(offset - start)?;
        let after = self.functions.partition_point(|&(address, _, _)| address <= at);
        // Functions may overlap: the nearest one that has the address counts. A function without a size, written in
        // assembly, ends where the next one begins.
        self.functions[..after].iter().rev().take(16).find_map(|(address, size, name)| {
            let into = at - address;
            (into < *size || (*size == 0 && after > 0 && *address == self.functions[after - 1].0))
                .then_some((name.as_str(), into))
        })
    }
}

/// A line for a frame in user space.
pub fn line(frame: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{name:<30} {frame}"),
        None => frame.into(),
    }
}

impl Symbols {
    /// For at most so many files, whose functions take at most so many bytes of memory.
    pub fn within(files: usize, bytes: usize) -> Self {
        Symbols { paths: HashMap::new(), files: HashMap::new(), files_left: files, bytes_left: bytes, limited: false }
    }

    /// The names of the functions of a thread's frames, from the innermost one on.
    pub fn names(&mut self, files: &Files<'_>, tgid: u32, frames: &[Frame<'_>]) -> Vec<Option<String>> {
        let root = files.root(tgid);
        let frames = frames.iter().enumerate();
        frames.map(|(depth, frame)| self.name(root.as_ref()?, frame.text, depth > 0)).collect()
    }

    /// Why functions may have no names.
    pub fn notes(&self, files: &Files<'_>) -> Vec<&'static str> {
        let mut out = Vec::new();
        if self.are_limited() {
            out.push("Some functions have no names: the files have more functions than fit into memory");
        }
        if matches!(files, Files::Elsewhere) {
            out.push(
                "The snapshot is of another boot: functions in user space have no names; --sysroot names the files",
            );
        }
        out
    }

    /// Whether functions have no name because there were too many files, or too many functions in them.
    pub fn are_limited(&self) -> bool {
        self.limited
    }

    /// The functions of a file.
    fn functions(&mut self, path: &Path) -> Option<&Functions> {
        // Opening a device can start something, so it must not be opened to see what it is.
        let file = *self.paths.entry(path.into()).or_insert_with(|| {
            let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((metadata.dev(), metadata.ino()))
        });
        let file = file?;
        let functions = match self.files.entry(file) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => {
                if self.files_left == 0 || self.bytes_left == 0 {
                    self.limited = true;
                    return None;
                }
                self.files_left -= 1;
                let functions = Functions::read(path, &mut self.bytes_left);
                self.limited |= self.bytes_left == 0;
                place.insert(functions)
            }
        };
        functions.as_ref()
    }

    /// The name of the function for a frame such as `/usr/bin/cat+0x1234`, in the files below `root`. The byte before a
    /// return address belongs to the caller, also if the call is the last instruction.
    pub fn name(&mut self, root: &Path, frame: &str, is_return: bool) -> Option<String> {
        let (path, offset) = frame.rsplit_once("+0x")?;
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let path = String::from_utf8(table::unescape(path)).ok()?;
        let path = Path::new(path.strip_prefix('/')?);
        // Nothing in a snapshot may lead out of the root.
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        let functions = self.functions(&root.join(path))?;
        let (name, into) = functions.name(offset.checked_sub(u64::from(is_return))?)?;
        let demangled = format!("{:#}", rustc_demangle::demangle(name));
        let name = table::printable_line(&demangled.chars().take(200).collect::<String>());
        Some(format!("{name}+{:#x}", into.checked_add(u64::from(is_return))?))
    }
}
