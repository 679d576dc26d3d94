// SPDX-License-Identifier: GPL-2.0

//! The memory of other processes, read without their mmap lock.
//!
//! `copy_from_user_nofault()` takes no lock of the address space and waits for no page. It reads
//! the address space that the CPU uses, and only a kernel thread can borrow one
//! (`kthread_use_mm()`). Hence [`run`] calls its closure in a worker of a workqueue. A worker is a
//! kernel thread. It uses an address space through [`Borrowed`].
//!
//! C headers: [`include/linux/kthread.h`](srctree/include/linux/kthread.h),
//! [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h).

use crate::abstractions::callbacks::{
    CountedCompletion,
    Queue, //
};
use crate::abstractions::mapping::Mapping;
use crate::abstractions::mm::AddressSpace;
use crate::abstractions::tasks::RcuTask;
use core::mem;
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    rcu, //
    Arc,
    Mutex,
};
use kernel::task::MAX_SCHEDULE_TIMEOUT;
use kernel::time::Jiffies;
use kernel::types::NotThreadSafe;

// Sound: these are the functions of helpers.c. They compute with numbers.
unsafe extern "C" {
    safe fn taskscope_user_end() -> c_ulong;
    safe fn taskscope_strip_user_pac(address: c_ulong) -> c_ulong;
}

/// Returns the first address that no user program can have: `TASK_SIZE_MAX`. Any context.
#[inline]
pub(crate) fn user_end() -> usize {
    taskscope_user_end()
}

/// Returns a return address from user memory without the signature that arm64 may put into it. Any
/// context.
#[inline]
pub(crate) fn strip_user_pac(address: usize) -> usize {
    taskscope_strip_user_pac(address)
}

/// The result of a worker.
#[pin_data]
struct Answer<T> {
    /// `EINTR` until the worker has a result: only a signal that kills the reader ends the wait
    /// before that.
    #[pin]
    value: Mutex<Result<T>>,
    /// Completed when the worker has written `value`.
    #[pin]
    done: CountedCompletion,
}

/// Runs `read` in a worker of `queue`, and returns what it returns.
///
/// Task context. Sleeps until `read` has returned or the caller is killed. If the caller is killed,
/// `read` goes on in the worker, which drops the result: `read` should check whether the caller is
/// killed, and return. The drop of `queue` waits for `read`.
///
/// # Errors
///
/// `ENOMEM`, `EINTR` if the caller is being killed, or as `read`.
pub(crate) fn run<T: Send + Unpin + 'static>(
    queue: &Queue,
    read: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let answer = Arc::pin_init(
        pin_init!(Answer {
            value <- new_mutex!(Err(EINTR)),
            done <- CountedCompletion::new(1),
        }),
        GFP_KERNEL,
    )?;
    let answer_of_worker = answer.clone();

    queue.as_queue().try_spawn(GFP_KERNEL, move || {
        let value = read();

        *answer_of_worker.value.lock() = value;
        answer_of_worker.done.complete();
    })?;
    // CAST: The limit is positive.
    answer.done.wait_killable(MAX_SCHEDULE_TIMEOUT as Jiffies)?;
    let mut value = answer.value.lock();
    mem::replace(&mut *value, Err(EINTR))
}

/// An address space that the calling kernel thread uses.
///
/// `mem::forget` leaves the kernel thread with the address space, whose reference is leaked with
/// it, so that no pointer dangles. The next [`Borrowed::new`] in that thread is refused.
///
/// # Invariants
///
/// The thread that has made this is a kernel thread. It has called `kthread_use_mm()` for the
/// address space, and has not called `kthread_unuse_mm()`.
pub(crate) struct Borrowed(AddressSpace, NotThreadSafe);

impl Borrowed {
    /// Has the calling thread use `space`; [`None`] unless it is a kernel thread that uses none.
    ///
    /// Task context, interrupts enabled, no spinlock held. May sleep on `PREEMPT_RT`, and so may
    /// the drop.
    pub(crate) fn new(space: AddressSpace) -> Option<Self> {
        let (is_kernel_thread, has_mm) = {
            let guard = rcu::read_lock();
            let current = RcuTask::current(&guard);

            (
                current.flags() & bindings::PF_KTHREAD != 0,
                current.has_mm(),
            )
        };

        if !is_kernel_thread || has_mm {
            return None;
        }
        // SAFETY: The calling thread is a kernel thread without an address space. By the invariant
        // of `AddressSpace`, `space` owns a count of its users, and the drop ends the use before it
        // drops `space`.
        unsafe { bindings::kthread_use_mm(space.as_ptr()) };
        // INVARIANT: The calling thread is a kernel thread, and has just called `kthread_use_mm()`
        // for `space`.
        Some(Self(space, NotThreadSafe))
    }

    /// Returns the address space.
    pub(crate) fn space(&self) -> &AddressSpace {
        &self.0
    }

    /// Reads the memory at `address`, which lies in `mapping`, into `bytes`. Returns whether all of
    /// these bytes are in memory and the program may read them.
    ///
    /// The memory of a device is not read: a load there can have an effect. While `mapping` is
    /// locked, no device takes its place. Does not sleep.
    pub(crate) fn read(&self, mapping: &Mapping<'_>, address: usize, bytes: &mut [u8]) -> bool {
        let range = mapping.range();
        let is_inside =
            range.contains(&address) && bytes.len() <= range.end.saturating_sub(address);

        if !is_inside || !mapping.is_memory() || !mapping.is_of(&self.0) {
            return false;
        }
        // SAFETY: `bytes` is valid for writes of its length. The function refuses an address that
        // is not one of user space, disables page faults, and a fault ends the copy.
        let error = unsafe {
            bindings::copy_from_user_nofault(
                bytes.as_mut_ptr().cast(),
                core::ptr::without_provenance(address),
                bytes.len(),
            )
        };

        error == 0
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread that has made this is a kernel thread that uses
        // the address space. It is the calling thread, since a `Borrowed` is not `Send`.
        unsafe { bindings::kthread_unuse_mm(self.0.as_ptr()) };
    }
}
