// SPDX-License-Identifier: GPL-2.0

//! A page fault on purpose, in the calling process.
//!
//! [`provoke`] maps a page of an anonymous file into the process and reads from it. The page does
//! not exist, so the CPU raises an exception, and the kernel asks the file for the page. Then the
//! callback is called. The file has no page to give, and the read fails; nothing is lost by that.
//! [`provoke`] removes the mapping again.
//!
//! The process can see the mapping meanwhile, and can move, resize, copy or remove it. The file,
//! and with it this module, stays until the last mapping of the file is gone.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h).

use crate::abstractions::callbacks::Callback;
use crate::abstractions::THIS_MODULE;
use core::marker::PhantomData;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::fs::LocalFile;
use kernel::mm::virt::VmaNew;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::task::Task;
use kernel::types::ForeignOwnable;
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};

extern "C" {
    // Declared in include/linux/anon_inodes.h, which the kernel's bindings leave out.
    fn anon_inode_getfile(
        name: *const c_char,
        operations: *const bindings::file_operations,
        private: *mut c_void,
        flags: c_int,
    ) -> *mut bindings::file;
}

/// What is called in the fault, and by which task.
struct Trap<C> {
    callback: Arc<C>,
    /// The address of the task, which is compared and never followed.
    task: usize,
}

impl<C: Callback> Trap<C> {
    /// Makes a file that calls `self` in each fault in a mapping of it. May sleep; fails with the
    /// error of the kernel.
    fn into_file(self) -> Result<ARef<LocalFile>> {
        // CAST: The flag is small.
        const FLAGS: c_int = bindings::O_RDONLY as c_int;

        let name = c"[taskscope]".as_char_ptr();
        let trap = KBox::new(self, GFP_KERNEL)?.into_foreign();
        // SAFETY: The name is a NUL-terminated string, and the operations are static. They are for
        // a file whose private data is a `KBox<Trap<C>>`, and release it.
        let file = from_err_ptr(unsafe { anon_inode_getfile(name, Ops::<C>::FILE, trap, FLAGS) })
            .inspect_err(|_| {
            // SAFETY: This comes from `into_foreign()` above, and no file has it.
            drop(unsafe { KBox::<Self>::from_foreign(trap) });
        })?;

        // SAFETY: `anon_inode_getfile()` returns no null pointer. It has handed over the first
        // reference to the file. No other thread knows the file, so that no `fdget_pos()` of it is
        // going on.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) })
    }
}

/// Calls `callback` in a page fault of the calling thread.
///
/// Normally returns `Ok(None)`. Returns `Ok(Some(error))` if there could be no fault: the process
/// could not map the file because of its limits or a security module, or is a kernel thread without
/// an address space (`EFAULT`). If another thread of the process changes the mapping before it is
/// read, there is no fault, and the result is `Ok(None)`, too.
///
/// May sleep, and takes the mmap lock of the process. `callback` runs in task context, within the
/// fault handler: the mmap lock or the lock of the mapping may be held.
///
/// # Errors
///
/// `ENOMEM` or `ENFILE` if the file could not be made.
pub(crate) fn provoke<C: Callback>(callback: Arc<C>) -> Result<Option<Error>> {
    /// As `include/uapi/linux/mman.h` and `include/uapi/asm-generic/mman-common.h` have them, the
    /// same on all architectures that have Rust.
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    /// Tuned: how often the removal of the mapping is tried, which takes memory. If the mapping
    /// stayed, this module could not be unloaded until the process has ended.
    const UNMAP_TRIES: usize = 3;

    // A kernel thread may open files for others, and has no address space to map them into.
    if kernel::current!().mm().is_none() {
        return Ok(Some(EFAULT));
    }
    let file = Trap {
        callback,
        task: Task::current_raw().addr(),
    }
    .into_file()?;
    // SAFETY: The file is valid. The kernel chooses an address where nothing is mapped. The thread
    // has an address space, and keeps it until it exits or executes a program.
    let address =
        unsafe { bindings::vm_mmap(file.as_ptr(), 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 0) };

    if let Err(error) = from_err_ptr(ptr::without_provenance_mut::<c_void>(address)) {
        return Ok(Some(error));
    }
    // The read fails, since the page does not exist.
    let _ = UserSlice::new(UserPtr::from_addr(address), 1)
        .reader()
        .read::<u8>();
    for _ in 0..UNMAP_TRIES {
        // SAFETY: The address is in user space, where no mapping is needed by the kernel. It is
        // that of the mapping made above, unless the process has replaced that. The thread has an
        // address space, as for `vm_mmap()`.
        if unsafe { bindings::vm_munmap(address, PAGE_SIZE) } == 0 {
            break;
        }
    }
    Ok(None)
}

/// The operations of a file whose private data is a `KBox<Trap<C>>`.
struct Ops<C>(PhantomData<C>);

impl<C: Callback> Ops<C> {
    /// The file operations.
    const FILE: &'static bindings::file_operations = &bindings::file_operations {
        owner: THIS_MODULE,
        mmap: Some(Self::mmap),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// The operations of a mapping.
    const VM: &'static bindings::vm_operations_struct = &bindings::vm_operations_struct {
        fault: Some(Self::fault),
        ..pin_init::zeroed()
    };

    /// Maps the file.
    ///
    /// # Safety
    ///
    /// `vma` is a mapping that is being set up.
    unsafe extern "C" fn mmap(
        _file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By this function's requirements.
        let mapping = unsafe { VmaNew::from_raw(vma) };

        // The kernel must not fault the page in by itself, as it does for mlockall() and for a core
        // dump, and a child must not inherit the mapping.
        mapping.set_io();
        mapping.set_dontcopy();
        // SAFETY: The mapping is being set up, so that no other thread sees it. The operations are
        // static, and are those of a mapping of such a file.
        unsafe { (*vma).vm_ops = Self::VM };
        0
    }

    /// Handles a fault.
    ///
    /// # Safety
    ///
    /// `vmf` describes a fault in a mapping that [`Ops::mmap`] has set up.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By this function's requirements the fault is valid, and so is its mapping, which
        // is locked.
        let file = unsafe { (*(*vmf).__bindgen_anon_1.vma).vm_file };
        // SAFETY: A mapping of a file holds a reference to it.
        let private = unsafe { (*file).private_data };
        // SAFETY: The private data comes from `KBox::<Trap<C>>::into_foreign()`, and stays until
        // the file is released. It is never borrowed mutably.
        let trap = unsafe { KBox::<Trap<C>>::borrow(private) };

        // Another thread of the process may read the mapping. If it has the `task_struct` of the
        // thread that made the trap, because that has died, then the callback is called in this
        // fault. No table shows what the callback sees: the `open()` of the dead thread has ended.
        if Task::current_raw().addr() == trap.task {
            trap.callback.call();
        }
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    }

    /// Releases the file.
    ///
    /// # Safety
    ///
    /// `file` has these operations, and its last user is gone.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By this function's requirements.
        let private = unsafe { (*file).private_data };

        // SAFETY: The private data comes from `KBox::<Trap<C>>::into_foreign()`, and its last user,
        // the file, is going.
        drop(unsafe { KBox::<Trap<C>>::from_foreign(private) });
        0
    }
}
