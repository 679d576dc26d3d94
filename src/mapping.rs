// SPDX-License-Identifier: GPL-2.0

//! A mapping of an address space, and its name.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/path.h`](srctree/include/linux/path.h).

use crate::{
    mm::AddressSpace,
    sys, //
};
use core::ops::Range;
use kernel::{
    bindings,
    error::from_err_ptr,
    mm::{
        virt::{
            flags,
            vm_flags_t, //
        },
        VmaReadGuard, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};

/// The most bytes of a name, with the path of a file in it.
pub(crate) const NAME_MAX: usize = bindings::PATH_MAX as usize;

/// The flag of a shadow stack.
const SHADOW_STACK: vm_flags_t = {
    #[cfg(CONFIG_ARCH_HAS_USER_SHADOW_STACK)]
    {
        1 << bindings::VMA_SHADOW_STACK_BIT
    }
    #[cfg(not(CONFIG_ARCH_HAS_USER_SHADOW_STACK))]
    {
        0
    }
};

/// A mapping that is locked: its addresses, its file and its operations do not change, and writers to
/// it wait.
///
/// A thread that holds one must not sleep, so that those writers wait for a moment only.
pub(crate) struct Mapping<'a>(VmaReadGuard<'a>);

/// What the rules for segments and stacks ask of a mapping.
#[derive(Clone)]
pub(crate) struct Region {
    /// The addresses.
    pub(crate) range: Range<usize>,
    /// What is mapped.
    pub(crate) kind: Kind,
    /// What the program may do there.
    pub(crate) access: Access,
    /// Whether there may be guard pages inside: `VM_MAYBE_GUARD`, which `MADV_GUARD_INSTALL` sets.
    pub(crate) may_have_guards: bool,
}

/// What is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An open file, known by the address of its `struct file`. The parts of a program are mappings
    /// of one open file. Shared anonymous memory is a file, too.
    File(usize),
    /// Private memory.
    Anonymous,
    /// Return addresses that the processor keeps apart (`VM_SHADOW_STACK`).
    ShadowStack,
    /// What the kernel has made, `[vdso]` for one.
    Special,
}

/// What a program may do with a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Read and write.
    ReadWrite,
    /// Something else.
    Some,
}

/// What a mapping is called.
pub(crate) enum Name {
    /// The path of the file.
    Path(PathId),
    /// What `/proc/PID/maps` has for it, and `[anon]` where that has nothing: so many bytes.
    Text(usize),
}

impl<'a> Mapping<'a> {
    /// A mapping that `guard` locks.
    pub(crate) fn new(guard: VmaReadGuard<'a>) -> Self {
        Self(guard)
    }

    /// Returns the addresses.
    pub(crate) fn range(&self) -> Range<usize> {
        self.0.start()..self.0.end()
    }

    /// Returns the file that is mapped, or null.
    fn file(&self) -> *mut bindings::file {
        // SAFETY: The mapping is locked by `self.0`: it is valid, and its file does not change.
        unsafe { (*self.0.as_ptr()).vm_file }
    }

    /// Returns whether the mapping is memory: a load from a device may have an effect.
    pub(crate) fn is_memory(&self) -> bool {
        // SAFETY: The mapping is locked by `self.0`, and hence valid.
        let flags = unsafe { read_flags(self.0.as_ptr()) };

        flags & (flags::IO | flags::PFNMAP) == 0
    }

    /// Returns whether the mapping is one of `space`.
    pub(crate) fn is_of(&self, space: &AddressSpace) -> bool {
        self.0.mm().as_raw() == space.as_ptr()
    }

    /// Returns how far `address` is from the start of the mapped file, or else from that of the
    /// mapping.
    pub(crate) fn offset(&self, address: usize) -> usize {
        let offset = address - self.0.start();

        if self.file().is_null() {
            return offset;
        }
        // SAFETY: The mapping is locked by `self.0`: it is valid and does not change.
        let pages = unsafe { (*self.0.as_ptr()).vm_pgoff };

        offset.wrapping_add(pages << PAGE_SHIFT)
    }

    /// Returns the name that `/proc/PID/maps` has for the mapping, by the rules of
    /// `get_vma_name()` in `fs/proc/task_mmu.c`.
    ///
    /// A text is written to `buf`, as far as that goes.
    pub(crate) fn name(&self, buf: &mut [u8]) -> Name {
        let file = self.file();
        // SAFETY: The mapping is locked by `self.0`, for as long as the result is used.
        let given = unsafe { sys::anon_vma_name(self.0.as_ptr()) };
        let given = (!given.is_null()).then(|| {
            // SAFETY: The name is a string, and stays for as long as the mapping is locked.
            unsafe { CStr::from_char_ptr((*given).name.as_ptr()) }.to_bytes()
        });

        if !file.is_null() {
            return match given {
                Some(given) => Name::Text(join(buf, &[b"[anon_shmem:", given, b"]"])),
                None => Name::Path(PathId::of(file)),
            };
        }
        let len = if let Some(name) = self.special_name() {
            join(buf, &[name.to_bytes()])
        } else if let Some(name) = self.standard_name() {
            join(buf, &[name])
        } else if let Some(given) = given {
            join(buf, &[b"[anon:", given, b"]"])
        } else {
            join(buf, &[b"[anon]"])
        };

        Name::Text(len)
    }

    /// Takes a reference to the path of the mapped file, if it is the one that `id` tells.
    pub(crate) fn path(&self, id: PathId) -> Option<Path> {
        let file = self.file();

        if file.is_null() || PathId::of(file) != id {
            return None;
        }
        // SAFETY: A mapping holds a reference to its file, which holds one to its path.
        let path = unsafe { *sys::file_user_path(file) };

        // SAFETY: The path is valid, as above.
        unsafe { bindings::path_get(&path) };
        // INVARIANT: The reference has just been taken.
        Some(Path(path))
    }

    /// Returns the name that a mapping of the kernel's making has, `[vdso]` for one.
    fn special_name(&self) -> Option<&CStr> {
        let vma = self.0.as_ptr();
        // SAFETY: The mapping is locked by `self.0`: it is valid, and its operations do not change.
        let ops = unsafe { (*vma).vm_ops };

        if ops.is_null() {
            return None;
        }
        // SAFETY: The operations are valid for as long as the mapping.
        let name = unsafe { (*ops).name }?;
        // SAFETY: This is how `name()` is called for `/proc/PID/maps`, with the same lock.
        let name = unsafe { name(vma) };

        if name.is_null() {
            return None;
        }
        // SAFETY: It is a string that lasts as long as the mapping.
        Some(unsafe { CStr::from_char_ptr(name) })
    }

    /// Returns the name of the heap and of the first stack.
    fn standard_name(&self) -> Option<&'static [u8]> {
        let mm = self.0.mm().as_raw();
        // SAFETY: The address space exists as long as its mapping; no reference is made.
        let mm = unsafe { &raw const (*mm).__bindgen_anon_1 };
        // SAFETY: As above.
        let fields = unsafe {
            [
                &raw const (*mm).start_brk,
                &raw const (*mm).brk,
                &raw const (*mm).start_stack,
            ]
        };
        let [start_brk, brk, start_stack] = fields.map(|field| {
            // SAFETY: The field is valid as above, aligned, and a word.
            unsafe { sys::read_once(field) }
        });
        let Range { start, end } = self.range();

        if start < brk && end > start_brk {
            Some(b"[heap]")
        } else if start <= start_stack && end >= start_stack {
            Some(b"[stack]")
        } else {
            None
        }
    }
}

impl From<Mapping<'_>> for Region {
    fn from(mapping: Mapping<'_>) -> Self {
        // SAFETY: The mapping is locked by `mapping.0`, and hence valid.
        unsafe { Self::read(mapping.0.as_ptr(), mapping.range()) }
    }
}

impl Region {
    /// Reads what is asked of the mapping `vma`, whose addresses are `range`. Each field is read once:
    /// unless the mapping is locked, the result can be a mixture.
    ///
    /// # Safety
    ///
    /// `vma` points at memory that is a `struct vm_area_struct` for as long as this runs.
    #[inline]
    pub(crate) unsafe fn read(vma: *const bindings::vm_area_struct, range: Range<usize>) -> Self {
        // SAFETY: `vma` is valid for reads by this function's requirements; no reference is made.
        let fields = unsafe { (&raw const (*vma).vm_file, &raw const (*vma).vm_ops) };
        // SAFETY: The field is valid as above, aligned, and a pointer, which is not followed.
        let file = unsafe { sys::read_once(fields.0) };
        // SAFETY: As for the file.
        let operations = unsafe { sys::read_once(fields.1) };
        // SAFETY: `vma` is valid for reads by this function's requirements.
        let flags = unsafe { read_flags(vma) };

        Self {
            range,
            kind: if !file.is_null() {
                Kind::File(file.addr())
            } else if !operations.is_null() {
                Kind::Special
            } else if flags & SHADOW_STACK != 0 {
                Kind::ShadowStack
            } else {
                Kind::Anonymous
            },
            access: if flags & flags::READ != 0 && flags & flags::WRITE != 0 {
                Access::ReadWrite
            } else if flags & (flags::READ | flags::WRITE | flags::EXEC) != 0 {
                Access::Some
            } else {
                Access::None
            },
            may_have_guards: flags & 1 << bindings::VMA_MAYBE_GUARD_BIT != 0,
        }
    }
}

/// Returns the flags of a mapping. `MADV_GUARD_INSTALL` changes them while others hold the lock of the
/// mapping, too.
///
/// # Safety
///
/// `vma` points at memory that is a `struct vm_area_struct` for as long as this runs.
#[inline]
unsafe fn read_flags(vma: *const bindings::vm_area_struct) -> vm_flags_t {
    // SAFETY: `vma` is valid for reads by this function's requirements; no reference is made.
    let flags = unsafe { &raw const (*vma).__bindgen_anon_2.vm_flags };

    // SAFETY: The field is valid as above, aligned, and a word.
    unsafe { sys::read_once(flags) }
}

/// Puts `pieces` one after the other into `buf`, as far as it goes, and returns how many bytes these
/// are.
fn join(buf: &mut [u8], pieces: &[&[u8]]) -> usize {
    let mut len = 0;

    for piece in pieces {
        let count = piece.len().min(buf.len() - len);

        buf[len..len + count].copy_from_slice(&piece[..count]);
        len += count;
    }
    len
}

/// What tells the path of one file from that of another, for as long as a [`Path`] of it is kept:
/// the addresses of its mount and of its directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathId(usize, usize);

impl PathId {
    /// Returns the identity of the path of `file`, that of a locked mapping.
    fn of(file: *mut bindings::file) -> Self {
        // SAFETY: The callers have it from a locked mapping, which holds a reference to its file.
        let path = unsafe { *sys::file_user_path(file) };

        Self(path.mnt.addr(), path.dentry.addr())
    }
}

/// A reference to the path of a file.
///
/// # Invariants
///
/// This owns a reference to the path, as `path_get()` takes it.
pub(crate) struct Path(bindings::path);

// SAFETY: The references that a path consists of may be given up by any thread.
unsafe impl Send for Path {}

impl Path {
    /// Writes the path to `buf` as the calling thread sees it, from its root on, and returns it.
    ///
    /// Takes spinlocks at most.
    pub(crate) fn write<'b>(&self, buf: &'b mut [u8]) -> &'b [u8] {
        // CAST: `NAME_MAX` is small.
        // SAFETY: The path is valid by the type invariant; `buf` is valid for writes of its length.
        let name = from_err_ptr(unsafe {
            bindings::d_path(
                &self.0,
                buf.as_mut_ptr().cast(),
                buf.len().min(NAME_MAX) as c_int,
            )
        });

        match name {
            // SAFETY: `d_path()` returns a string that lies in `buf`.
            Ok(name) => unsafe { CStr::from_char_ptr(name) }.to_bytes(),
            Err(_) => b"[path-too-long]",
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours. It may be the last one to a deleted
        // file, which is why this may sleep.
        unsafe { bindings::path_put(&self.0) };
    }
}
