// SPDX-License-Identifier: GPL-2.0

//! The memory of other processes, read without their mmap lock.
//!
//! The kernel has one way to read the memory of a process that neither takes the lock of its address
//! space nor waits for pages: a load from an address of user space, with page faults disabled. For
//! that the address space has to be that of the processor, and only a kernel thread can borrow one
//! (`kthread_use_mm()`). So [`run`] has a worker of a workqueue do what reads memory, and
//! [`Borrowed`] is an address space that the worker uses meanwhile.
//!
//! C headers: [`include/linux/kthread.h`](srctree/include/linux/kthread.h),
//! [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h).

use crate::{
    deferred::{
        Answers,
        Queue,
        Wait, //
    },
    mapping::Mapping,
    mm::AddressSpace,
    tasks::RcuTask, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        new_mutex,
        rcu,
        Arc,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::NotThreadSafe, //
};

/// What a worker has to return, and that it has.
#[pin_data]
struct Answer<T> {
    #[pin]
    value: Mutex<Option<T>>,
    #[pin]
    done: Answers,
}

/// How long a worker is waited for before it is waited for again, in milliseconds.
const WAIT_MS: Msecs = 1000;

/// Runs `read` in a worker of `queue`, and returns what it returns.
///
/// Sleeps until it has returned, or the caller is killed. In that case `read` goes on, and what it
/// returns is dropped by the worker: it should look at the caller and end soon.
///
/// # Errors
///
/// `ENOMEM`, or `EINTR` if the caller is being killed.
pub(crate) fn run<T: Send + Unpin + 'static>(
    queue: &Queue,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let answer = Arc::pin_init(
        pin_init!(Answer {
            value <- new_mutex!(None),
            done <- Answers::new(1),
        }),
        GFP_KERNEL,
    )?;
    let answer_of_worker = answer.clone();

    queue.as_queue().try_spawn(GFP_KERNEL, move || {
        let value = read();

        *answer_of_worker.value.lock() = Some(value);
        answer_of_worker.done.add();
    })?;
    while answer.done.wait_unless_killed(msecs_to_jiffies(WAIT_MS))? == Wait::TimedOut {}
    // Bound, so that the lock is released before `answer` is dropped.
    let value = answer.value.lock().take();
    value.ok_or(ENOMEM)
}

/// An address space that the calling kernel thread uses.
///
/// # Invariants
///
/// The thread that has made this is a kernel thread, and uses `space` since then.
pub(crate) struct Borrowed {
    space: AddressSpace,
    _not_thread_safe: NotThreadSafe,
}

impl Borrowed {
    /// Has the calling thread use `space`; [`None`] unless it is a kernel thread that uses none.
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
        // SAFETY: The calling thread is a kernel thread without an address space. `space` is a
        // reference to the users of the address space, and is kept until it is used no more.
        unsafe { bindings::kthread_use_mm(space.as_ptr()) };
        // INVARIANT: As above.
        Some(Self {
            space,
            _not_thread_safe: NotThreadSafe,
        })
    }

    /// Returns the address space.
    pub(crate) fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// Reads the memory at `address`, which lies in `mapping`, into `bytes`; returns whether all of it
    /// is in memory and the program may read it.
    ///
    /// The memory of a device is not read: a load there can have an effect. While `mapping` is
    /// locked, no device takes its place. Does not sleep.
    pub(crate) fn read(&self, mapping: &Mapping<'_>, address: usize, bytes: &mut [u8]) -> bool {
        let range = mapping.range();
        let is_inside =
            range.contains(&address) && bytes.len() <= range.end.saturating_sub(address);

        if !is_inside || !mapping.is_memory() || !mapping.is_of(&self.space) {
            return false;
        }
        // SAFETY: `bytes` is valid for writes of its length. What is no address of user space is
        // refused, and a fault ends the copy.
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
        // SAFETY: By the type invariant the calling thread, which is the one that has made this,
        // since this is not `Send`, is a kernel thread that uses the address space.
        unsafe { bindings::kthread_unuse_mm(self.space.as_ptr()) };
    }
}
