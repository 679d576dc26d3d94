// SPDX-License-Identifier: GPL-2.0

//! A mapping of an address space, and its name.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/path.h`](srctree/include/linux/path.h).

use crate::abstractions::mm::AddressSpace;
use crate::abstractions::read_once::{
    field, //
    Fields,
};
use crate::abstractions::tasks::RcuTask;
use core::marker::PhantomData;
use core::ops::Range;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::mm::virt::{
    flags,
    vm_flags_t, //
};
use kernel::mm::{
    Mm,
    VmaReadGuard, //
};
use kernel::page::PAGE_SHIFT;
use kernel::prelude::*;
use kernel::sync::rcu;

// Sound: these are the functions of helpers.c, with these signatures.
unsafe extern "C" {
    /// Returns the path by which a user knows `file`, as `/proc/PID/maps` shows it.
    ///
    /// # Safety
    ///
    /// `file` points at an open file, and the result is used only while that is open.
    fn taskscope_file_user_path(file: *const bindings::file) -> *const bindings::path;

    /// Returns the name that a program has given an anonymous mapping, or null.
    ///
    /// # Safety
    ///
    /// `vma` points at a mapping that the caller has locked, and keeps locked while it uses the
    /// result.
    fn taskscope_anon_vma_name(
        vma: *mut bindings::vm_area_struct,
    ) -> *const bindings::anon_vma_name;
}

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

/// The memory of a `struct vm_area_struct`, whose fields can be read one by one.
///
/// Unless the mapping is locked, the fields can change between two reads, and be those of another
/// mapping.
///
/// # Invariants
///
/// `vma` points at memory that is a `struct vm_area_struct` for `'a`.
#[derive(Clone, Copy)]
pub(super) struct RcuVma<'a> {
    vma: *const bindings::vm_area_struct,
    _lifetime: PhantomData<&'a ()>,
}

// SAFETY: By the type invariant the memory is a `struct vm_area_struct`.
unsafe impl Fields for RcuVma<'_> {
    type Struct = bindings::vm_area_struct;

    #[inline(always)]
    fn fields(&self) -> *const bindings::vm_area_struct {
        self.vma
    }
}

impl RcuVma<'_> {
    /// Returns the memory at `vma`.
    ///
    /// # Safety
    ///
    /// `vma` points at memory that is a `struct vm_area_struct` for as long as the result is used.
    #[inline]
    pub(super) unsafe fn new(vma: *const bindings::vm_area_struct) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            vma,
            _lifetime: PhantomData,
        }
    }

    /// Returns the flags. Two threads can have the lock of a mapping for reading, and
    /// `MADV_GUARD_INSTALL` changes the flags under that lock.
    #[inline]
    fn flags(self) -> vm_flags_t {
        field!(self, __bindgen_anon_2.vm_flags)
    }
}

/// A mapping that is locked by its own lock, for reading (`vma_start_read()`).
///
/// The addresses, the file, the operations and the name of the mapping do not change while this
/// exists. Writers to the mapping wait: a thread that has one of these should not sleep, so that
/// they wait for a moment only. `mem::forget` leaves the mapping locked: writers to it, and the end
/// of its address space, wait for ever.
///
/// # Invariants
///
/// The guard owns the read lock of the mapping, which belongs to an address space with users. Hence
/// the pointer to the mapping is valid.
pub(crate) struct Mapping<'a>(VmaReadGuard<'a>);

/// A copy of some properties of a mapping.
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
    /// A shadow stack, with copies of the return addresses (`VM_SHADOW_STACK`).
    ShadowStack,
    /// A mapping that the kernel has made, `[vdso]` for example.
    Special,
}

/// What a program may do with a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read and write.
    ReadWrite,
    /// Not both.
    Other,
}

/// The name of a mapping.
pub(crate) enum Name {
    /// The path of the file.
    Path(PathId),
    /// The text that `/proc/PID/maps` shows, or `[anon]` where it shows none: the number of its
    /// bytes.
    Text(usize),
}

impl<'a> Mapping<'a> {
    /// Returns the mapping that `guard` locks.
    pub(crate) fn new(guard: VmaReadGuard<'a>) -> Self {
        // INVARIANT: A `VmaReadGuard` owns the read lock, and borrows its address space from an
        // `MmWithUser`.
        Self(guard)
    }

    /// Returns the addresses.
    pub(crate) fn range(&self) -> Range<usize> {
        self.0.start()..self.0.end()
    }

    /// Returns the fields. None but the flags changes while this exists.
    fn fields(&self) -> RcuVma<'_> {
        // INVARIANT: By the type invariant the mapping exists for as long as `self` is borrowed.
        RcuVma {
            vma: self.0.as_ptr(),
            _lifetime: PhantomData,
        }
    }

    /// Returns the file that is mapped, or null.
    fn file(&self) -> *mut bindings::file {
        field!(self.fields(), vm_file)
    }

    /// Returns the path of the file that is mapped, as `/proc/PID/maps` shows it; [`None`] if no
    /// file is mapped.
    fn file_path(&self) -> Option<&bindings::path> {
        let file = self.file();

        if file.is_null() {
            return None;
        }
        // SAFETY: The mapping holds a reference to its file for as long as the mapping is locked,
        // by the type invariant for as long as `self` is borrowed. The path of an open file never
        // changes.
        Some(unsafe { &*taskscope_file_user_path(file) })
    }

    /// Returns whether the mapping is memory, and not a device. A load from a device may have an
    /// effect.
    pub(crate) fn is_memory(&self) -> bool {
        self.fields().flags() & (flags::IO | flags::PFNMAP) == 0
    }

    /// Returns whether the mapping is one of `space`.
    pub(crate) fn is_of(&self, space: &AddressSpace) -> bool {
        self.0.mm().as_raw() == space.as_ptr()
    }

    /// Returns how many bytes `address`, which lies in the mapping, is from the start of the mapped
    /// file; from the start of the mapping if no file is mapped.
    pub(crate) fn offset(&self, address: usize) -> usize {
        let offset = address.wrapping_sub(self.0.start());

        if self.file().is_null() {
            return offset;
        }
        offset.wrapping_add(field!(self.fields(), vm_pgoff) << PAGE_SHIFT)
    }

    /// Returns the name that `/proc/PID/maps` has for the mapping, by the rules of
    /// `get_vma_name()` in `fs/proc/task_mmu.c`.
    ///
    /// A text is written to `buf`, and cut short if `buf` is too small. Does not sleep.
    pub(crate) fn name(&self, buf: &mut [u8]) -> Name {
        let given = self.given_name();

        if let Some(path) = self.file_path() {
            return match given {
                Some(given) => Name::Text(join(buf, &[b"[anon_shmem:", given, b"]"])),
                None => Name::Path(PathId::of(path)),
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

    /// Takes a reference to the path of the mapped file; [`None`] if no file is mapped. Does not
    /// sleep.
    pub(crate) fn path(&self) -> Option<Path> {
        let path = self.file_path()?;

        // SAFETY: The mapped file holds a reference to its path for as long as `path` is borrowed.
        unsafe { bindings::path_get(path) };
        // INVARIANT: The reference has just been taken.
        Some(Path(*path))
    }

    /// Returns the name that the program has given the mapping (`PR_SET_VMA_ANON_NAME`).
    fn given_name(&self) -> Option<&[u8]> {
        // SAFETY: By the type invariant the mapping is valid and locked for as long as `self` is
        // borrowed, and with it the result.
        let given = unsafe { taskscope_anon_vma_name(self.0.as_ptr()) };

        if given.is_null() {
            return None;
        }
        // SAFETY: The mapping holds a reference to its name. The pointer is made without a
        // reference to the field, which has no size: the pointer is valid for the string that
        // begins there.
        let string = unsafe { &raw const (*given).name };

        // SAFETY: The name is a NUL-terminated string, and does not change. The mapping holds the
        // reference for as long as the mapping is locked, by the type invariant for as long as
        // `self` is borrowed.
        Some(unsafe { CStr::from_char_ptr(string.cast()) }.to_bytes())
    }

    /// Returns the name that the operations of the mapping give, `[vdso]` for example.
    fn special_name(&self) -> Option<&CStr> {
        let ops = field!(self.fields(), vm_ops);

        if ops.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the mapping is locked. `/proc/PID/maps` reads its
        // operations with the same lock and no other (`get_vma_name()`), so that they exist for as
        // long.
        let name = unsafe { (*ops).name }?;
        // SAFETY: `/proc/PID/maps` calls `name()` with the same lock and no other.
        let name = unsafe { name(self.0.as_ptr()) };

        if name.is_null() {
            return None;
        }
        // SAFETY: The result of `name()` is a string, which `/proc/PID/maps` prints while the
        // mapping is locked. Hence the string exists for as long as the mapping is locked, by the
        // type invariant for as long as `self` is borrowed. (The only `name()` of a mapping in a
        // tree, `special_mapping_name()`, returns a static string.)
        Some(unsafe { CStr::from_char_ptr(name) })
    }

    /// Returns the name of the heap and of the first stack.
    fn standard_name(&self) -> Option<&'static [u8]> {
        let mm: &Mm = self.0.mm();
        let heap = field!(mm, start_brk)..field!(mm, brk);
        let start_stack = field!(mm, start_stack);
        let Range { start, end } = self.range();

        if start < heap.end && end > heap.start {
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
        Self::new(mapping.fields(), mapping.range())
    }
}

impl Region {
    /// Copies the properties of `vma`, whose addresses are `range`. Each field is read once: unless
    /// the mapping is locked, the result can be a mixture.
    #[inline]
    pub(super) fn new(vma: RcuVma<'_>, range: Range<usize>) -> Self {
        let file = field!(vma, vm_file);
        let operations = field!(vma, vm_ops);
        let flags = vma.flags();

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
            } else {
                Access::Other
            },
            may_have_guards: flags & 1 << bindings::VMA_MAYBE_GUARD_BIT != 0,
        }
    }
}

/// Writes `pieces` one after the other to `buf`, until it is full. Returns the number of bytes
/// written.
fn join(buf: &mut [u8], pieces: &[&[u8]]) -> usize {
    let mut len = 0;

    for piece in pieces {
        let count = piece.len().min(buf.len() - len);

        buf[len..len + count].copy_from_slice(&piece[..count]);
        len += count;
    }
    len
}

/// The identity of a path: the addresses of its mount and of its directory entry.
///
/// No other path has the same identity while a [`Path`] with it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathId(usize, usize);

impl PathId {
    /// Returns the identity of `path`.
    fn of(path: &bindings::path) -> Self {
        Self(path.mnt.addr(), path.dentry.addr())
    }
}

/// A reference to the path of a file.
///
/// The drop may sleep: the reference may be the last one to a file that has been deleted.
/// `mem::forget` leaks the reference, and the file system cannot be unmounted any more.
///
/// # Invariants
///
/// This owns a reference to the path, as `path_get()` takes it.
pub(crate) struct Path(bindings::path);

// SAFETY: A path is a reference to a mount and one to a directory entry. Any thread may drop them.
unsafe impl Send for Path {}

impl Path {
    /// Returns its identity.
    pub(crate) fn id(&self) -> PathId {
        PathId::of(&self.0)
    }

    /// Writes the path to the end of `buf`, from the root directory of the calling thread on, and
    /// returns it. A path that does not fit becomes `[path-too-long]`.
    ///
    /// Task context. Does not sleep: takes spinlocks at most.
    pub(crate) fn write<'b>(&self, buf: &'b mut [u8]) -> &'b [u8] {
        if !RcuTask::current(&rcu::read_lock()).has_root() {
            return b"[no-root]";
        }
        // CAST: `NAME_MAX` is small.
        // SAFETY:
        // - The path is valid by the type invariant.
        // - `buf` is valid for writes of its length.
        // - The calling thread has a root directory. Only the thread itself gives it up, when it
        //   exits.
        let name = from_err_ptr(unsafe {
            bindings::d_path(
                &self.0,
                buf.as_mut_ptr().cast(),
                buf.len().min(NAME_MAX) as c_int,
            )
        });

        match name {
            // SAFETY: `d_path()` returns a NUL-terminated string that lies in `buf`.
            Ok(name) => unsafe { CStr::from_char_ptr(name) }.to_bytes(),
            Err(_) => b"[path-too-long]",
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this owns the reference.
        unsafe { bindings::path_put(&self.0) };
    }
}

#[kunit_tests(taskscope_mapping)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut() {
        let mut buf = *b"........";

        assert_eq!(join(&mut buf, &[b"[anon:", b"a name", b"]"]), 8);
        assert_eq!(&buf, b"[anon:a ");
        assert_eq!(join(&mut buf, &[b"", b"[heap]"]), 6);
        assert_eq!(&buf, b"[heap]a ");
        assert_eq!(join(&mut [], &[b"[heap]"]), 0);
    }

    /// Returns what is mapped where a mapping without a file has these flags.
    fn kind(flags: vm_flags_t) -> Kind {
        let mut vma: bindings::vm_area_struct = pin_init::zeroed();

        vma.__bindgen_anon_2.vm_flags = flags;
        // SAFETY: The result is not used for longer than `vma`.
        Region::new(unsafe { RcuVma::new(&vma) }, 0..1).kind
    }

    #[test]
    fn a_shadow_stack_is_no_other_memory() {
        let memory = flags::READ | flags::WRITE | flags::MAYREAD | flags::MAYWRITE;

        assert!(kind(memory) == Kind::Anonymous);
        #[cfg(CONFIG_ARCH_HAS_USER_SHADOW_STACK)]
        for bit in 0..vm_flags_t::BITS {
            let is_shadow_stack = bit == bindings::VMA_SHADOW_STACK_BIT;

            assert!((kind(memory | 1 << bit) == Kind::ShadowStack) == is_shadow_stack);
        }
    }
}
