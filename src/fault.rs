// SPDX-License-Identifier: GPL-2.0

//! A page fault, brought about in the calling process.
//!
//! A page of a file that is in no directory is mapped into the process for as long as it takes to
//! read from it. The page does not exist, so the processor raises an exception, and the kernel asks
//! the file for the page. That is the moment at which the callback is called; there is no page to
//! be had, and the read fails with nothing lost.
//!
//! The process may see the mapping meanwhile, and do with it what it likes. The file, and with it
//! this module, stays until the last mapping of it is gone.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h).

use crate::{
    deferred::Callback,
    sys,
    tasks::RcuTask, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    },
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// What is called in the fault, and whose fault it has to be.
struct Trap<C> {
    callback: Arc<C>,
    /// The address of the task.
    task: usize,
}

/// A reference to a file.
///
/// # Invariants
///
/// `file` is a file to which this owns a reference.
struct File {
    file: NonNull<bindings::file>,
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}

/// Calls `callback` from the page fault handler, in the context of the calling thread.
///
/// May sleep, and takes the lock of the caller's address space. Fails with `ENOMEM` or `ENFILE` when
/// there can be no such file. If only the process can have no mapping of it, by its limits or by
/// the word of a security module, that error is returned; `EFAULT` if there is no process, but a
/// kernel thread.
pub(crate) fn provoke<C: Callback>(callback: Arc<C>) -> Result<Option<Error>> {
    /// As `include/uapi/linux/mman.h` and `include/uapi/asm-generic/mman-common.h` have them, the
    /// same on all architectures that have Rust.
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;

    // The critical section has to end before anything here sleeps.
    let (task, has_mm) = {
        let guard = rcu::read_lock();
        let current = RcuTask::current(&guard);

        (current.address(), current.has_mm())
    };

    // A kernel thread may open files for others, and has nothing to map them into.
    if !has_mm {
        return Ok(Some(EFAULT));
    }
    let trap = KBox::new(Trap { callback, task }, GFP_KERNEL)?.into_foreign();
    // SAFETY: The operations are for a file whose private data is a `KBox<Trap<C>>`, and release it.
    let file = unsafe { sys::anonymous_file(c"[taskscope]", &Ops::<C>::FILE, trap) }.inspect_err(
        |_| {
            // SAFETY: This comes from `into_foreign()` above, and no file has it.
            drop(unsafe { KBox::<Trap<C>>::from_foreign(trap) });
        },
    )?;
    // INVARIANT: The file has just been made.
    let file = File { file };
    // SAFETY: The file is valid. The kernel chooses an address where nothing is mapped. The thread
    // has an address space, which only it can give up.
    let address =
        unsafe { bindings::vm_mmap(file.file.as_ptr(), 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 0) };

    // An error is a small negative number, and no error is the address of a page.
    if address % PAGE_SIZE != 0 {
        // CAST: Two's complement; it fits, as the kernel promises.
        return Ok(Some(Error::from_errno(address as c_int)));
    }
    // The read fails, for what it should read does not exist.
    let _ = UserSlice::new(UserPtr::from_addr(address), 1)
        .reader()
        .read::<u8>();
    // SAFETY: The address is in user space, where unmapping breaks nothing of the kernel's; it is
    // the mapping made above, unless the process has replaced it. The thread has an address space,
    // as above.
    unsafe { bindings::vm_munmap(address, PAGE_SIZE) };
    Ok(None)
}

/// The operations of a file whose private data is a `KBox<Trap<C>>`.
struct Ops<C>(PhantomData<C>);

impl<C: Callback> Ops<C> {
    /// The file operations.
    const FILE: bindings::file_operations = bindings::file_operations {
        owner: sys::THIS_MODULE,
        mmap: Some(Self::mmap),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// The operations of a mapping.
    const VM: bindings::vm_operations_struct = bindings::vm_operations_struct {
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

        // The kernel is to fault in none of it by itself, as it would for mlockall(); nor is the
        // mapping to be handed on.
        mapping.set_io();
        mapping.set_dontexpand();
        mapping.set_dontcopy();
        mapping.set_dontdump();
        // SAFETY: The mapping is being set up, and nobody else sees it; the operations are a
        // constant, and those of a mapping of such a file.
        unsafe { (*vma).vm_ops = &Self::VM };
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
        // the file is released. Nobody borrows it mutably.
        let trap = unsafe { KBox::<Trap<C>>::borrow(private) };

        if RcuTask::current(&rcu::read_lock()).address() == trap.task {
            trap.callback.call();
        }
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    }

    /// Releases the file.
    ///
    /// # Safety
    ///
    /// `file` is one with these operations, and nobody uses it any more.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By this function's requirements.
        let private = unsafe { (*file).private_data };

        // SAFETY: The private data comes from `KBox::<Trap<C>>::into_foreign()`, and nobody uses it
        // any more.
        drop(unsafe { KBox::<Trap<C>>::from_foreign(private) });
        0
    }
}
