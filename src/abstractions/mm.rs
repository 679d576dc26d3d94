// SPDX-License-Identifier: GPL-2.0

//! Address spaces of other processes, and the registers of their threads in user space.
//!
//! # Who owns what, and who may sleep
//!
//! The pass over the task list takes references to tasks, under RCU. Everything here happens
//! afterwards, in process context, and may sleep where it says so:
//!
//! - An [`AddressSpace`] is a reference to the *users* of an address space: the mappings stay until
//!   it is dropped, even when all threads die meanwhile. If it turns out to be the last one, it
//!   is a worker of the kernel that tears the address space down (`mmput_async()`), never the
//!   reader.
//! - The mmap lock is not taken. The tree of mappings is read under RCU, and a single mapping is
//!   locked by its own lock, as `/proc/PID/maps` does: see [`AddressSpace::lock_mapping`]. A writer
//!   holds that lock only while it changes this very mapping. A [`LockBudget`] limits how long one
//!   open waits for such writers.
//! - The kernel stack on which the registers are saved belongs to its thread, and is released after
//!   the thread has died. Before a thread dies it gives up its address space, with its task lock
//!   held (`exit_mm()`): while that lock is held and the thread has an address space, the stack is
//!   there.
//!
//! # Sleeping
//!
//! Each function that may sleep says so. No type keeps it from being called in an RCU read-side
//! critical section or with a spinlock held: `schedule.rs` says whose job that check is. On a
//! kernel without `PREEMPT_RT` the task lock and `arg_lock` are spinlocks, and the functions that
//! take them do not sleep.
//!
//! # Leaks
//!
//! `mem::forget` of an [`AddressSpace`] or a [`LockBudget`] leaks references: the memory of a
//! process, or a `struct task_struct`, is never freed. [`TaskGuard`] is private to this file, and
//! dropped in each function that makes one.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

#[cfg(not(CONFIG_PER_VMA_LOCK))]
compile_error!("taskscope locks single mappings: it needs CONFIG_PER_VMA_LOCK (SMP)");

use crate::abstractions::compat::{
    smp_mb, //
    Read,
};
use crate::abstractions::mapping::Mapping;
use crate::abstractions::mapping_tree::MappingTree;
use crate::abstractions::read_once::{
    field, //
    Fields,
};
use crate::abstractions::registers::UserRegisters;
use crate::abstractions::signal;
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use core::ops::Range;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::bindings;
use kernel::mm::{
    Mm,
    MmWithUser,
    MmWithUserAsync, //
};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::rcu;
use kernel::task::Task;
use kernel::time::delay::fsleep;
use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};
use kernel::types::NotThreadSafe;

// Sound: these are the functions of helpers.c. `Task` is a transparent wrapper of `struct
// task_struct`, and a task that is allocated has a lock.
unsafe extern "C" {
    safe fn taskscope_task_lock(task: &Task);

    /// # Safety
    ///
    /// The calling thread holds the task lock of `task`.
    fn taskscope_task_unlock(task: &Task);

    /// Returns whether the kernel places mappings from the top of the area for mappings downwards.
    ///
    /// # Safety
    ///
    /// `mm` points at an address space that exists.
    fn taskscope_is_topdown(mm: *mut bindings::mm_struct) -> bool;
}

// SAFETY: An `Mm` exists for as long as it is borrowed.
unsafe impl Fields for &Mm {
    /// The part of `struct mm_struct` with all fields but the set of CPUs.
    type Struct = bindings::mm_struct__bindgen_ty_1;

    #[inline(always)]
    fn fields(&self) -> *const Self::Struct {
        // SAFETY: The structure exists for as long as the `Mm` is borrowed; no reference is made to
        // the field.
        unsafe { &raw const (*self.as_raw()).__bindgen_anon_1 }
    }
}

/// How long a mapping of one address space is waited for, in milliseconds.
pub(crate) const SPACE_WAIT_MS: u32 = 100;

/// How long mappings are waited for during one open, all together, in milliseconds.
pub(crate) const OPEN_WAIT_MS: u32 = 1000;

/// Tuned: how long to sleep before a mapping is tried again, in microseconds: about as long as
/// `mmap()` takes.
const RETRY_US: i64 = 100;

/// How long one open still waits for mappings that writers are changing, measured with
/// `CLOCK_MONOTONIC`.
///
/// A worker can use the budget for the thread that has called `open()`.
pub(crate) struct LockBudget {
    /// The thread that has called `open()`.
    reader: ARef<Task>,
    /// What is left for the open.
    left: Delta,
    /// The address space that was waited for last, and what is left for it. The reference keeps its
    /// address from being given to another.
    waited: Option<(AddressSpace, Delta)>,
}

impl LockBudget {
    /// Returns the budget of one open by the calling thread.
    pub(crate) fn new() -> Self {
        Self {
            reader: ARef::from(&**kernel::current!()),
            left: Delta::from_millis(i64::from(OPEN_WAIT_MS)),
            waited: None,
        }
    }

    /// Returns whether `task` is the thread that has called `open()`.
    ///
    /// That thread stays in the system call for as long as the budget is used, unless it is killed.
    /// The result of the open is dropped then.
    fn is_reader(&self, task: &Task) -> bool {
        ptr::eq(task.as_ptr(), self.reader.as_ptr())
    }

    /// Returns an error if the reader has been killed, or has died since. Task or softirq context.
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    pub(crate) fn check(&self) -> Result {
        let flags = RcuTask::of(&self.reader, &rcu::read_lock()).flags();
        let is_exiting = flags & bindings::PF_EXITING != 0;

        if is_exiting || signal::fatal_signal_pending(&self.reader) {
            return Err(EINTR);
        }
        Ok(())
    }

    /// Returns how long this open may still wait for mappings of `space`.
    fn share_of(&self, space: &AddressSpace) -> Delta {
        let share = match &self.waited {
            Some((waited, left)) if waited.is(space) => *left,
            _ => Delta::from_millis(i64::from(SPACE_WAIT_MS)),
        };

        share.min(self.left)
    }

    /// Deducts `spent`, the time of a wait for a mapping of `space`.
    fn spend(&mut self, space: &AddressSpace, spent: Delta) {
        let left = self.share_of(space) - spent;

        self.left -= spent;
        self.waited = Some((space.clone(), left));
    }
}

/// What a task does with an address space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It runs a program in it, which has been loaded.
    Runs,
    /// It is within `execve()`, or has another address space since an `execve()`.
    Executes,
    /// It has given up its address space.
    Gone,
}

/// A reference to the structure of an address space (`mm_count`), which keeps neither its mappings
/// nor its memory.
///
/// The drop may free the structure: in task or softirq context.
pub(crate) struct WeakAddressSpace(ARef<Mm>);

impl WeakAddressSpace {
    /// Returns that of the address space of the current thread; [`None`] if it has none.
    ///
    /// Any context but NMI. In an interrupt this is the address space of the thread that was
    /// interrupted.
    pub(crate) fn of_current() -> Option<Self> {
        let mm = NonNull::new(RcuTask::current(&rcu::read_lock()).mm())?;

        // SAFETY: The current thread owns a count of the users of the address space that `mm`
        // points at, or, in `kthread_use_mm()`, a count of the structure (`mmgrab()`). Either keeps
        // the structure allocated. The thread clears or replaces `mm` with interrupts disabled
        // before it gives up that count (`exit_mm()`, `exec_mmap()`, `kthread_unuse_mm()`), and
        // this runs in that thread or interrupts it.
        let mm = unsafe { Mm::from_raw(mm.as_ptr()) };

        Some(Self(ARef::from(mm)))
    }

    /// Returns the address space, unless its last user has gone: a thread that has exited, or
    /// executed another program. A kernel thread that has borrowed an address space in
    /// `kthread_use_mm()` need not be a user.
    ///
    /// Any context but NMI.
    pub(crate) fn upgrade(&self) -> Option<AddressSpace> {
        let mm = self.0.mmget_not_zero()?;

        // INVARIANT: `mmget_not_zero()` has taken the count, which is handed on. The tree as in
        // [`AddressSpace::of`].
        Some(AddressSpace(MmWithUser::into_mmput_async(mm)))
    }
}

/// A reference to the users of an address space (`mm_users`).
///
/// The mappings stay until the last such reference is dropped. A drop does not sleep: a worker of
/// the kernel tears the address space down. Hence this may be cloned and dropped in any context but
/// NMI.
///
/// # Invariants
///
/// This owns one count of `mm_users`. While it exists, the `struct mm_struct` is allocated, and its
/// tree of mappings may be read under RCU (`MM_MT_FLAGS`).
#[derive(Clone)]
pub(crate) struct AddressSpace(ARef<MmWithUserAsync>);

impl AddressSpace {
    /// Returns the address space of `task`; [`None`] if it is a kernel thread or has given up its
    /// address space.
    ///
    /// Task context. Takes the task lock, which may sleep on `PREEMPT_RT`.
    pub(crate) fn of(task: &Task) -> Option<Self> {
        // SAFETY: `task` exists for as long as it is borrowed. `get_task_mm()` refuses a kernel
        // thread, even one that has borrowed an address space.
        let mm = NonNull::new(unsafe { bindings::get_task_mm(task.as_ptr()) })?;
        // SAFETY: `get_task_mm()` has taken a reference to the users of `mm`, which is handed on.
        // `MmWithUser` is a transparent wrapper of `struct mm_struct`.
        let mm = unsafe { ARef::<MmWithUser>::from_raw(mm.cast()) };

        // INVARIANT: `mm` owns the count, and hands it on. Every address space that a task has was
        // set up by `mm_init()`, which marks the tree as one that may be read under RCU.
        Some(Self(MmWithUser::into_mmput_async(mm)))
    }

    /// Returns whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.as_ptr() == other.as_ptr()
    }

    /// Returns the `struct mm_struct`.
    fn mm(&self) -> &Mm {
        &self.0
    }

    /// Returns the address of the `struct mm_struct`.
    pub(super) fn as_ptr(&self) -> *mut bindings::mm_struct {
        self.0.as_raw()
    }

    /// Returns what `task` does with this address space at this moment.
    ///
    /// If it runs a program, the program has been loaded completely, and stays so: the kernel loads
    /// another program into another address space. One exception has no other sign: an `execve()`
    /// that fails after its point of no return clears `in_execve` too. Its thread then dies of a
    /// signal, and never returns to user space.
    ///
    /// Task context. Takes the task lock, which may sleep on `PREEMPT_RT`.
    pub(crate) fn use_by(&self, task: &Task) -> Use {
        self.use_by_locked(&TaskGuard::new(task))
    }

    /// As [`AddressSpace::use_by`]. The task neither gets nor gives up an address space while
    /// `guard` exists.
    ///
    /// `execve()` sets `in_execve` before it takes the task lock to install the new address space,
    /// and clears it when the loader has filled that (`bprm_execve()`, `exec_mmap()`). With the
    /// lock held, a thread that has the new address space and does not have the bit has loaded its
    /// program. [`RcuTask::in_execve`] says why the bit may be relied on.
    fn use_by_locked(&self, guard: &TaskGuard<'_>) -> Use {
        let rcu = rcu::read_lock();
        let task = RcuTask::of(guard.0, &rcu);
        let mm = task.mm();

        if mm.is_null() {
            return Use::Gone;
        }
        if mm != self.as_ptr() || task.in_execve() {
            return Use::Executes;
        }
        // The bit is read before what the loader has written.
        smp_mb(Read);
        Use::Runs
    }

    /// Locks the mapping that contains `address`; [`None`] if nothing is mapped there.
    ///
    /// May sleep, for as long as `budget` lasts.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: writers have changed the mapping for as long as `budget` lasts.
    /// - `EINTR`: the reader has been killed.
    pub(crate) fn lock_mapping(
        &self,
        address: usize,
        budget: &mut LockBudget,
    ) -> Result<Option<Mapping<'_>>> {
        let found = self.try_lock_mapping(address);

        if found.is_ok() {
            return found;
        }
        let began = Instant::<Monotonic>::now();
        let share = budget.share_of(self);

        loop {
            budget.check()?;
            let found = self.try_lock_mapping(address);
            let spent = began.elapsed();

            if found.is_ok() || spent >= share {
                budget.spend(self, spent);
                return found;
            }
            fsleep(Delta::from_micros(RETRY_US));
        }
    }

    /// As [`AddressSpace::lock_mapping`], without waiting: fails with `EAGAIN` while a writer
    /// changes the mapping.
    fn try_lock_mapping(&self, address: usize) -> Result<Option<Mapping<'_>>> {
        match self.0.lock_vma_under_rcu(address) {
            Some(guard) => Ok(Some(Mapping::new(guard))),
            None if MappingTree::new(self).at(address).is_none() => Ok(None),
            None => Err(EAGAIN),
        }
    }

    /// Returns where the code of the program is. The two ends are read one after the other.
    pub(crate) fn text(&self) -> Range<usize> {
        field!(self.mm(), start_code)..field!(self.mm(), end_code)
    }

    /// Returns where the parts of the program are. Takes `arg_lock`, a spinlock.
    pub(crate) fn parts(&self) -> Parts {
        // SAFETY: The address space exists for as long as the reference `self.0`; no reference is
        // made to the lock.
        let lock = unsafe { &raw mut (*self.as_ptr()).__bindgen_anon_1.arg_lock };

        // SAFETY: The lock belongs to the address space, which exists for as long as the reference
        // `self.0`.
        unsafe { bindings::spin_lock(lock) };

        // `brk()` and `mremap()` of the vdso write some of these without the lock.
        let parts = Parts {
            text: self.text(),
            data: field!(self.mm(), start_data)..field!(self.mm(), end_data),
            heap: field!(self.mm(), start_brk)..field!(self.mm(), brk),
            args: field!(self.mm(), arg_start)..field!(self.mm(), arg_end),
            env: field!(self.mm(), env_start)..field!(self.mm(), env_end),
            stack: field!(self.mm(), start_stack),
            vdso: field!(self.mm(), context.vdso).addr(),
            mmap: MmapArea {
                base: self.mmap_base(),
                // SAFETY: The address space exists for as long as the reference `self.0`.
                is_top_down: unsafe { taskscope_is_topdown(self.as_ptr()) },
                end: field!(self.mm(), task_size),
            },
        };

        // SAFETY: This function has taken the lock.
        unsafe { bindings::spin_unlock(lock) };
        parts
    }

    /// Returns where the kernel places the first mapping for which the program names no address.
    ///
    /// On x86 the kernel has a second base for 32-bit system calls (`get_mmap_base()`). It is the
    /// base of a program whose addresses have 32 bits.
    fn mmap_base(&self) -> usize {
        #[cfg(CONFIG_HAVE_ARCH_COMPAT_MMAP_BASES)]
        if u32::try_from(field!(self.mm(), task_size)).is_ok() {
            return field!(self.mm(), mmap_compat_base);
        }
        field!(self.mm(), mmap_base)
    }
}

/// Where the parts of a program are, as the kernel has noted it when it was loaded.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The code.
    pub(crate) text: Range<usize>,
    /// The initialised data.
    pub(crate) data: Range<usize>,
    /// The heap, as `brk()` has grown it.
    pub(crate) heap: Range<usize>,
    /// The arguments.
    pub(crate) args: Range<usize>,
    /// The environment.
    pub(crate) env: Range<usize>,
    /// The stack pointer with which the program was started.
    pub(crate) stack: usize,
    /// The start of `[vdso]`, or 0.
    pub(crate) vdso: usize,
    /// Where the kernel places new mappings.
    pub(crate) mmap: MmapArea,
}

/// Where the kernel places mappings for which the program names no address.
#[derive(Clone)]
pub(crate) struct MmapArea {
    /// Where the first one goes: `mmap_base`.
    pub(crate) base: usize,
    /// Whether the next ones go below it, and not above.
    pub(crate) is_top_down: bool,
    /// The first address that the program cannot have: `task_size`.
    pub(crate) end: usize,
}

/// What a thread has left in user space.
#[derive(Clone, Copy)]
pub(crate) enum UserContext {
    /// The thread did not run, or is the reader, which does not leave its system call. These are
    /// its registers, and its switch count from before they were read: they can be a mixture if the
    /// thread has run since ([`has_not_run`]).
    Saved(UserRegisters, SwitchCount),
    /// The thread runs, and its registers are those of a CPU.
    OnCpu,
    /// The thread executes a program. Its registers are those of the program before, or of none, or
    /// the thread has another address space.
    Executing,
    /// The thread has given up its address space.
    Gone,
}

/// A task whose task lock is held: the lock under which a task gets and loses its address space.
///
/// `mem::forget` would leave the lock taken, and the next thread that wants it would wait for ever.
///
/// # Invariants
///
/// The thread that has made this holds the task lock of the task, and this owns the lock.
struct TaskGuard<'a>(&'a Task, NotThreadSafe);

impl<'a> TaskGuard<'a> {
    /// Takes the lock. May sleep on `PREEMPT_RT`.
    fn new(task: &'a Task) -> Self {
        taskscope_task_lock(task);
        // INVARIANT: The lock has just been taken.
        Self(task, NotThreadSafe)
    }
}

impl Drop for TaskGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread that has made this holds the lock. It is the
        // calling thread, since a `TaskGuard` is not `Send`.
        unsafe { taskscope_task_unlock(self.0) };
    }
}

impl AddressSpace {
    /// Returns what `task` has left in user space, if this is its address space.
    ///
    /// Task context. Takes the task lock, which may sleep on `PREEMPT_RT`.
    pub(crate) fn user_context(&self, task: &Task, budget: &LockBudget) -> UserContext {
        let guard = TaskGuard::new(task);

        match self.use_by_locked(&guard) {
            Use::Runs => {}
            Use::Executes => return UserContext::Executing,
            Use::Gone => return UserContext::Gone,
        }
        let rcu = rcu::read_lock();
        let thread = RcuTask::of(task, &rcu);
        let count = if budget.is_reader(task) {
            Ok(SwitchCount::now(thread))
        } else {
            SwitchCount::of(thread)
        };
        let Ok(count) = count else {
            return UserContext::OnCpu;
        };

        // SAFETY: The task has its address space, and cannot give it up while `guard` holds its
        // lock. It does so before it dies, and its kernel stack is released after that.
        match unsafe { UserRegisters::of(thread) } {
            // The first program of a usermode helper could not be executed to the end.
            None => UserContext::Executing,
            Some(registers) => UserContext::Saved(registers, count),
        }
    }
}

/// Returns whether `task` has not run since the count `since` was taken, as [`UserContext::Saved`]
/// has it. The reader itself counts as not having run. Any context. Does not sleep.
pub(crate) fn has_not_run(task: &Task, since: SwitchCount, budget: &LockBudget) -> bool {
    budget.is_reader(task)
        || since
            .check_same(RcuTask::of(task, &rcu::read_lock()))
            .is_ok()
}

#[kunit_tests(taskscope_mm)]
mod tests {
    use super::*;
    use crate::abstractions::tasks::processes;

    /// Returns the address spaces of two processes: init is one, and the one that loads the module
    /// another.
    fn two_spaces() -> Option<(AddressSpace, AddressSpace)> {
        let guard = rcu::read_lock();
        let mut spaces = processes(&guard).filter_map(|process| AddressSpace::of(&process.pin()));
        let one = spaces.next()?;
        let other = spaces.find(|space| space.as_ptr() != one.as_ptr())?;

        Some((one, other))
    }

    #[test]
    fn a_process_is_waited_for_100_ms() -> Result {
        let (busy, other) = two_spaces().ok_or(ESRCH)?;
        let mut budget = LockBudget::new();
        let ms = Delta::from_millis;

        assert_eq!(budget.share_of(&busy), ms(100));
        budget.spend(&busy, ms(30));
        assert_eq!(budget.share_of(&busy), ms(70));
        assert_eq!(budget.share_of(&other), ms(100));
        budget.spend(&busy, ms(70));
        assert_eq!(budget.share_of(&busy), ms(0));
        assert_eq!(budget.share_of(&other), ms(100));
        budget.spend(&other, ms(1));
        assert_eq!(budget.share_of(&other), ms(99));
        Ok(())
    }

    #[test]
    fn an_open_waits_a_second() -> Result {
        let (one, other) = two_spaces().ok_or(ESRCH)?;
        let mut budget = LockBudget::new();
        let ms = Delta::from_millis;

        // Each time another process than the one before.
        for space in [&one, &other, &one, &other, &one, &other, &one, &other, &one] {
            assert_eq!(budget.share_of(space), ms(100));
            budget.spend(space, ms(100));
        }
        budget.spend(&other, ms(60));
        assert_eq!(budget.share_of(&other), ms(40));
        assert_eq!(budget.share_of(&one), ms(40));
        budget.spend(&one, ms(40));
        assert_eq!(budget.share_of(&other), ms(0));
        Ok(())
    }
}
