// SPDX-License-Identifier: GPL-2.0

//! The lock that a thread waits for, and the thread that the lock records as its holder.
//!
//! A thread that waits for a mutex, a semaphore or an rw-semaphore writes the address of the lock
//! to `blocker` of its `struct task_struct`, and the type of the lock to the two lowest bits. The
//! thread clears the field after the wait. Each lock records the `struct task_struct` of its
//! holder. The kernel's detector of hung tasks reads both (`debug_show_blocker()` in
//! `kernel/hung_task.c`), by functions that are not exported.
//!
//! # What keeps the lock allocated
//!
//! The thread that waits: until it has run again, nothing may free the lock. A reader knows only
//! afterwards, by the switch count, that the thread has not run meanwhile (see `switch_count.rs`).
//! And a driver may free the lock in spite of the rule. So the lock is read in a way that cannot
//! fault.
//!
//! # What a recorded holder is worth
//!
//! - It is not followed before the switch count has shown that the lock existed.
//! - It may be dead: a thread may take a semaphore and exit, and leave it to another thread to
//!   release the semaphore. So [`Lock::holder`] looks up the PID, and compares the thread that has
//!   this PID.
//! - Many threads can hold an rw-semaphore for reading. It records the last one that took it, until
//!   that one releases it.
//!
//! C header: [`include/linux/hung_task.h`](srctree/include/linux/hung_task.h).

use crate::abstractions::read_once::Word;
use crate::abstractions::tasks::RcuTask;
use core::mem::MaybeUninit;
use core::num::NonZero;
use core::ptr;
use kernel::bindings;
use kernel::prelude::*;

/// Whether threads record what they wait for.
pub(crate) const IS_RECORDED: bool = cfg!(CONFIG_DETECT_HUNG_TASK_BLOCKER);

/// Where a thread records its lock, and a lock its holder.
#[cfg(CONFIG_DETECT_HUNG_TASK_BLOCKER)]
mod place {
    use crate::abstractions::read_once::field;
    use crate::abstractions::tasks::RcuTask;
    use core::mem::offset_of;
    use kernel::bindings;

    /// Returns `blocker` of the thread; 0 if the thread waits for no lock.
    #[inline(always)]
    pub(super) fn blocker(task: RcuTask<'_>) -> usize {
        field!(task, blocker)
    }

    /// The place of the holder in a mutex.
    pub(super) const MUTEX: usize = offset_of!(bindings::mutex, owner);
    /// The same in a semaphore.
    pub(super) const SEMAPHORE: usize = offset_of!(bindings::semaphore, last_holder);
    /// The same in an rw-semaphore.
    pub(super) const RWSEM: usize = offset_of!(bindings::rw_semaphore, owner);
}

/// The same on a kernel that records neither: no lock is ever read.
#[cfg(not(CONFIG_DETECT_HUNG_TASK_BLOCKER))]
mod place {
    use crate::abstractions::tasks::RcuTask;

    /// No thread waits for a lock, as far as is known.
    #[inline(always)]
    pub(super) fn blocker(_task: RcuTask<'_>) -> usize {
        0
    }

    /// Not used.
    pub(super) const MUTEX: usize = 0;
    /// Not used.
    pub(super) const SEMAPHORE: usize = 0;
    /// Not used.
    pub(super) const RWSEM: usize = 0;
}

/// A kind of lock, and what is known of how it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A mutex.
    Mutex,
    /// A semaphore.
    Semaphore,
    /// An rw-semaphore that records a reader. It may be free: the last reader does not clear the
    /// flag when it releases the lock.
    RwsemReader,
    /// An rw-semaphore that records a writer.
    RwsemWriter,
    /// An rw-semaphore that records neither: it was released, and has not been taken again yet.
    Rwsem,
}

/// A lock that a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    /// What it is.
    pub(crate) kind: Kind,
    /// The address of the holder's `struct task_struct`, as the lock records it.
    holder: usize,
}

impl Lock {
    /// Returns the lock that `task` waits for.
    ///
    /// The lock may be gone: the result is valid only if `task` does not run meanwhile. Any
    /// context. Does not sleep.
    #[inline(always)]
    pub(super) fn of(task: RcuTask<'_>) -> Option<Self> {
        match place::blocker(task) {
            0 => None,
            blocker => Some(Self::at(blocker)),
        }
    }

    /// Reads the lock that a `blocker` names.
    #[cold]
    #[inline(never)]
    fn at(blocker: usize) -> Self {
        /// The bits of `blocker` that are not the address of the lock: `BLOCKER_TYPE_MASK`.
        const TYPE: usize = 3;

        let lock = blocker & !TYPE;
        let word = |offset| read::<usize>(lock.wrapping_add(offset)).unwrap_or(0);

        // `helpers.c` compares these numbers with `BLOCKER_TYPE_*`.
        match blocker & TYPE {
            0 => Self::mutex(word(place::MUTEX)),
            1 => Self::semaphore(word(place::SEMAPHORE)),
            // The thread wants to read, or to write.
            _ => Self::rwsem(word(place::RWSEM)),
        }
    }

    /// A mutex, by its `owner`.
    fn mutex(owner: usize) -> Self {
        /// The bits that are not the address of the holder: `MUTEX_FLAGS` of
        /// `kernel/locking/mutex.h`.
        const FLAGS: usize = 7;

        Self {
            kind: Kind::Mutex,
            holder: owner & !FLAGS,
        }
    }

    /// A semaphore, by its `last_holder`.
    fn semaphore(last_holder: usize) -> Self {
        Self {
            kind: Kind::Semaphore,
            holder: last_holder,
        }
    }

    /// An rw-semaphore, by its `owner`.
    fn rwsem(owner: usize) -> Self {
        /// The holder is a reader: `RWSEM_READER_OWNED` of `kernel/locking/rwsem.c`.
        const READER: usize = 1;
        /// The bits that are not the address of the holder: `RWSEM_OWNER_FLAGS_MASK` there.
        const FLAGS: usize = 3;

        let holder = owner & !FLAGS;

        Self {
            kind: match (owner & READER, holder) {
                (0, 0) => Kind::Rwsem,
                (0, _) => Kind::RwsemWriter,
                _ => Kind::RwsemReader,
            },
            holder,
        }
    }

    /// Returns the PID of the thread that the lock records as its holder; [`None`] if there is
    /// none, or if it has been released.
    ///
    /// Only for a lock that is valid (see [`Lock::of`]). `task` is the thread that waits. If the
    /// holder is released and a new thread has got its memory, the result is the new one: the lock
    /// cannot tell them apart. Any context but NMI. Does not sleep.
    #[cold]
    #[inline(never)]
    pub(crate) fn holder(self, task: RcuTask<'_>) -> Option<NonZero<u32>> {
        let place = self
            .holder
            .wrapping_add(core::mem::offset_of!(bindings::task_struct, pid));
        let pid = read::<i32>(place).filter(|_| self.holder != 0)?;
        let found = task.thread_with_pid(pid)?;

        NonZero::new(pid.unsigned_abs()).filter(|_| found.address() == self.holder)
    }
}

/// Reads a value of the kernel's memory; [`None`] if there is none at `address`. Any context.
fn read<T: Word>(address: usize) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `value` is valid for writes of its size. The source need not be valid for reads: a
    // fault ends the copy, and an address that is not the kernel's is refused.
    let error = unsafe {
        bindings::copy_from_kernel_nofault(
            value.as_mut_ptr().cast(),
            ptr::without_provenance(address),
            size_of::<T>(),
        )
    };

    // SAFETY: All of it has been written, and by the requirements of `Word` all bits are valid.
    (error == 0).then(|| unsafe { value.assume_init() })
}

#[kunit_tests(taskscope_blocker)]
mod tests {
    use super::*;
    use kernel::sync::rcu;

    const TASK: usize = 0xffff_8880_0123_4540;

    #[test]
    fn flags_are_not_part_of_the_address() {
        for flags in 0..8 {
            assert_eq!(Lock::mutex(TASK | flags).holder, TASK);
        }
        for flags in 0..4 {
            assert_eq!(Lock::rwsem(TASK | flags).holder, TASK);
        }
        assert_eq!(Lock::semaphore(TASK).holder, TASK);
    }

    #[test]
    fn an_rw_semaphore_is_held_for_reading_or_for_writing() {
        assert_eq!(Lock::rwsem(TASK).kind, Kind::RwsemWriter);
        assert_eq!(Lock::rwsem(TASK | 1).kind, Kind::RwsemReader);
        // A writer has given up spinning.
        assert_eq!(Lock::rwsem(TASK | 3).kind, Kind::RwsemReader);
        // The last reader that took it has released it; others may hold it.
        assert_eq!(Lock::rwsem(1).kind, Kind::RwsemReader);
        assert_eq!(Lock::rwsem(0).kind, Kind::Rwsem);
    }

    #[test]
    fn a_lock_that_cannot_be_read_has_no_holder() {
        // An unmapped page, and each type of lock.
        for blocker in usize::MAX & !0xfff..=(usize::MAX & !0xfff) + 3 {
            let lock = Lock::at(blocker);

            assert_eq!(lock.holder, 0);
            assert!(matches!(
                lock.kind,
                Kind::Mutex | Kind::Semaphore | Kind::Rwsem
            ));
        }
    }

    #[test]
    fn only_a_thread_is_a_holder() {
        let (own, pid, none) = {
            let guard = rcu::read_lock();
            let current = RcuTask::current(&guard);
            let holder = |address| Lock::mutex(address).holder(current);

            (
                holder(current.address()),
                NonZero::new(current.pid().unsigned_abs()),
                // No address, one of user space, one that is not canonical, an unmapped page, and
                // one within a thread.
                [0, 8, 1 << 55, usize::MAX & !0xfff, current.address() + 64].map(holder),
            )
        };

        assert_eq!(own, pid);
        assert_eq!(none, [None; 5]);
    }
}
