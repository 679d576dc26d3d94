// SPDX-License-Identifier: GPL-2.0

//! The task list: iterators over processes and threads, and a task as an RCU reader sees it.
//!
//! A *thread* is what has a `struct task_struct`. A *process* is a thread group; its *leader* is
//! the thread whose PID is the TGID of all of them. Every leader is on one list, which begins and
//! ends at `init_task` (swapper/0, which is not an element of it), and every thread is on the list
//! of its group. Both lists are ordered by birth: a process or a thread is added at the tail and
//! stays in its place until it is released. When a thread that is not the leader calls `execve()`,
//! it takes over the leader's place on the list of processes (`de_thread()` in `fs/exec.c`), and
//! keeps its own on the list of threads.
//!
//! The lists are read under RCU. All that this module gives out borrows from an [`rcu::Guard`], and
//! none of it can be used once the guard is gone; [`RcuTask::pin`] keeps a single task for longer,
//! and [`Processes::after`] and [`ThreadGroup::after`] resume an iteration at such a task in
//! another RCU read-side critical section.
//!
//! What an iteration visits: every process or thread that was on its list when the iteration began
//! and is on it still when the iteration has ended, once, in the order of the list. One that is
//! added or released meanwhile may or may not be visited.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h).
//!
//! # Examples
//!
//! The names of all threads, as `for_each_process_thread()` finds them:
//!
//! ```
//! let guard = rcu::read_lock();
//! for task in tasks::threads(&guard) {
//!     pr_info!("{} {:?}\n", task.pid(), task.comm());
//! }
//! ```
//!
//! The first process of user 1000, kept beyond the critical section:
//!
//! ```
//! let found: Option<ARef<Task>> = {
//!     let guard = rcu::read_lock();
//!     tasks::processes(&guard)
//!         .find(|leader| leader.credentials().uid == 1000)
//!         .map(RcuTask::pin)
//! };
//! ```

use crate::sys;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings, container_of,
    prelude::*,
    sync::{
        aref::ARef,
        rcu, //
    },
    task::{
        Pid,
        Task, //
    },
};

/// `sizeof(struct task_struct)`, in bytes.
///
/// Some machines keep more behind it, the registers of the floating-point unit in particular.
pub(crate) const TASK_STRUCT_SIZE: usize = size_of::<bindings::task_struct>();

/// Returns an iterator over the leaders of all processes, as `for_each_process()` visits them.
///
/// swapper/0 is not among them: see [`idle_task`].
pub(crate) fn processes(guard: &rcu::Guard) -> Processes<'_> {
    let _ = guard;
    sys::assert_rcu();

    // INVARIANT: The list begins at `init_task`, which is never taken off it.
    Processes {
        at: idle_task_ptr(),
        _guard: PhantomData,
    }
}

/// Returns an iterator over all threads, as `for_each_process_thread()` visits them: process by
/// process, and within each its threads from the oldest to the youngest.
///
/// swapper/0 is not among them: see [`idle_task`].
pub(crate) fn threads(guard: &rcu::Guard) -> Threads<'_> {
    Threads::from(processes(guard))
}

/// Returns swapper/0, the idle task of the first processor, which exists forever and is in no list.
pub(crate) fn idle_task(guard: &rcu::Guard) -> RcuTask<'_> {
    let _ = guard;

    // INVARIANT: `init_task` is statically allocated.
    RcuTask {
        task: idle_task_ptr(),
        _guard: PhantomData,
    }
}

/// Returns the address of `init_task`.
fn idle_task_ptr() -> NonNull<bindings::task_struct> {
    // SAFETY: The address of a static is not null.
    unsafe { NonNull::new_unchecked(&raw mut bindings::init_task) }
}

/// The objective credentials of a task that its tables show, in the initial user namespace.
#[derive(Clone, Copy)]
pub(crate) struct Credentials {
    /// The real user ID.
    pub(crate) uid: u32,
    /// The effective user ID.
    pub(crate) euid: u32,
}

/// A task, alive or dead, during an RCU read-side critical section.
///
/// The task may exit and be released while this is used, but its `struct task_struct` stays: the
/// last reference to it is dropped after a grace period. Each accessor reads what it returns once,
/// at the time it is called; two accessors may therefore see two moments of the task.
///
/// # Invariants
///
/// `task` points at a `struct task_struct` that stays allocated for `'g`.
#[derive(Clone, Copy)]
pub(crate) struct RcuTask<'g> {
    task: NonNull<bindings::task_struct>,
    _guard: PhantomData<&'g rcu::Guard>,
}

/// Reads one field of the task of an [`RcuTask`], once.
macro_rules! field {
    ($self:ident, $($field:ident).+) => {{
        let task = $self.as_ptr();
        // SAFETY: By the type invariant of `RcuTask` the task is allocated, so that its field is
        // in bounds; no reference is made to it.
        let field = unsafe { &raw const (*task).$($field).+ };
        // SAFETY: The field is part of an allocated task, hence valid for reads and aligned. It is
        // an integer or a raw pointer: no larger than a word, and any value is valid.
        unsafe { $crate::sys::read_once(field) }
    }};
}
pub(crate) use field;

impl<'g> RcuTask<'g> {
    /// Returns the task that calls this.
    pub(crate) fn current(guard: &'g rcu::Guard) -> Self {
        let _ = guard;

        // INVARIANT: The current task stays allocated for as long as it runs, and `'g` ends before
        // it stops, since an `rcu::Guard` cannot leave the task that made it.
        Self {
            // SAFETY: `current` is never null.
            task: unsafe { NonNull::new_unchecked(Task::current_raw()) },
            _guard: PhantomData,
        }
    }

    /// Returns the address of the task's `struct task_struct`.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut bindings::task_struct {
        self.task.as_ptr()
    }

    /// Returns the address of the task's `struct task_struct`, as a number.
    ///
    /// As long as the task exists, no other has this address.
    #[inline]
    pub(crate) fn address(self) -> usize {
        self.as_ptr().addr()
    }

    /// Takes a reference to the task, so that it can be kept after the critical section has ended.
    ///
    /// The reference keeps the memory, not the task: it may be dead already.
    pub(crate) fn pin(self) -> ARef<Task> {
        // SAFETY: By the type invariant the task is allocated for `'g`, and in that time its
        // reference count is not zero: the reference that its being on the task list stands for is
        // dropped after a grace period (`put_task_struct_rcu_user()`). `Task` is a transparent
        // wrapper of `struct task_struct`.
        ARef::from(unsafe { self.task.cast::<Task>().as_ref() })
    }

    /// Returns the thread's PID in the initial PID namespace.
    ///
    /// It changes once at most, when the thread calls `execve()` without being the leader of its
    /// group and takes over the leader's.
    #[inline]
    pub(crate) fn pid(self) -> Pid {
        field!(self, pid)
    }

    /// Returns the PID of the thread's process in the initial PID namespace. It never changes.
    #[inline]
    pub(crate) fn tgid(self) -> Pid {
        field!(self, tgid)
    }

    /// Returns the TGID of the thread's parent process, in the initial PID namespace; 0 if the
    /// thread has none or has been released.
    #[inline]
    pub(crate) fn ppid(self) -> Pid {
        if !self.is_hashed() {
            return 0;
        }
        match NonNull::new(field!(self, real_parent)) {
            // INVARIANT: `real_parent` is protected by RCU, and `'g` lies within a critical
            // section: the parent's `struct task_struct` stays allocated for as long.
            Some(task) => RcuTask {
                task,
                _guard: self._guard,
            }
            .tgid(),
            None => 0,
        }
    }

    /// Returns the real and effective user ID that others see the thread act under.
    #[inline]
    pub(crate) fn credentials(self) -> Credentials {
        // SAFETY: By the type invariant the task exists, and the RCU read lock is held for `'g`.
        let cred = unsafe { sys::task_cred(self.as_ptr()) };

        // In the initial user namespace an ID is the kernel's own number: `from_kuid()` has
        // nothing to map there.
        Credentials {
            // SAFETY: A task has credentials for as long as it exists, and RCU keeps these. They
            // are never changed once they are a task's own, only replaced.
            uid: unsafe { (*cred).uid.val },
            // SAFETY: As above.
            euid: unsafe { (*cred).euid.val },
        }
    }

    /// Returns the state letter of `/proc/PID/stat`.
    #[inline]
    pub(crate) fn state(self) -> u8 {
        // SAFETY: By the type invariant the task exists.
        unsafe { sys::task_state(self.as_ptr()) }
    }

    /// Returns whether the thread runs or waits for nothing but a processor: `task_is_running()`.
    #[inline]
    pub(crate) fn is_runnable(self) -> bool {
        field!(self, __state) == bindings::TASK_RUNNING
    }

    /// Returns the `PF_*` flags of the thread, which it alone changes.
    #[inline]
    pub(crate) fn flags(self) -> u32 {
        field!(self, flags)
    }

    /// Returns whether the thread has an address space.
    ///
    /// It says no more than that the pointer is not null: only its owner may follow it. What is
    /// read after this is at least as new as this.
    #[inline]
    pub(crate) fn has_mm(self) -> bool {
        let set = !field!(self, mm).is_null();

        // A thread that exits sets `PF_EXITING` long before `exit_mm()` clears `mm`, with locks
        // taken and full barriers in between.
        sys::smp_rmb();
        set
    }

    /// Returns the number of threads in the thread's group that have not been released.
    #[inline]
    pub(crate) fn nr_threads(self) -> u32 {
        let signal = self.signal();
        // SAFETY: A `signal_struct` lives as long as any task of its group is allocated, which
        // `self` is by its type invariant; no reference is made to the field.
        let field = unsafe { &raw const (*signal).nr_threads };
        // SAFETY: The field is valid as above, aligned, an integer, and no larger than a word.
        let count = unsafe { sys::read_once(field) };

        u32::try_from(count).unwrap_or(0)
    }

    /// Returns the soft and the hard limit of the stack of the thread's process, in bytes.
    ///
    /// Each is read once, without the lock under which they change: where `setrlimit()` runs at
    /// this moment, one may be old and the other new.
    #[inline]
    pub(crate) fn stack_limits(self) -> [u64; 2] {
        /// Where the limit is in the array of limits.
        const STACK: usize = bindings::RLIMIT_STACK as usize;

        let signal = self.signal();
        // SAFETY: A `signal_struct` lives as long as any task of its group is allocated, which
        // `self` is by its type invariant; no reference is made to the fields.
        let fields = unsafe {
            [
                &raw const (*signal).rlim[STACK].rlim_cur,
                &raw const (*signal).rlim[STACK].rlim_max,
            ]
        };

        fields.map(|field| {
            // SAFETY: The field is valid as above, aligned, an integer, and no larger than a word.
            let limit = unsafe { sys::read_once(field) };

            limit as u64
        })
    }

    /// Returns the lowest address of the thread's kernel stack; [`None`] once it is released.
    ///
    /// It is an address to print. Nothing keeps the stack, unless the thread is the caller.
    #[inline]
    pub(crate) fn stack(self) -> Option<NonNull<c_void>> {
        NonNull::new(field!(self, stack))
    }

    /// Returns the thread's name, and at least one NUL after it.
    ///
    /// A name that is being changed at this moment may come out as part of the old and part of the
    /// new one.
    #[inline]
    pub(crate) fn comm(self) -> [u8; 16] {
        /// The name in one piece: bytes in an array would be loaded one by one.
        #[repr(C, packed)]
        struct Comm(u128);

        let task = self.as_ptr();
        // SAFETY: By the type invariant the task is allocated, so that its field is in bounds; no
        // reference is made to it.
        let comm = unsafe { (&raw const (*task).comm).cast::<Comm>() };
        // SAFETY: The field is valid for reads and has 16 bytes, which is the size of `Comm`, whose
        // alignment is 1. The thread may be writing it, which is why the load is volatile: each
        // byte is the old or the new one, and either is valid.
        let Comm(comm) = unsafe { comm.read_volatile() };
        let mut comm = comm.to_ne_bytes();

        // The last byte is NUL at all times (`strscpy_pad()`); this makes it true for the reader
        // of this code as well.
        comm[15] = 0;
        comm
    }

    /// Returns a number that stands for the thread's process.
    ///
    /// All threads of a process have the same, it does not change when the process executes
    /// another program, and no other process has it as long as one thread of this one exists.
    #[inline]
    pub(crate) fn process_id(self) -> usize {
        self.signal().addr()
    }

    /// Returns an iterator over the threads of this thread's process, from the oldest to the
    /// youngest; it is empty when the process has been released.
    #[inline]
    pub(crate) fn thread_group(self) -> ThreadGroup<'g> {
        let signal = self.signal();
        // SAFETY: The `signal_struct` of an allocated task is allocated, and stays so for `'g`; no
        // reference is made to the field.
        let head = unsafe { &raw const (*signal).thread_head };

        // INVARIANT: The list begins at its head.
        ThreadGroup {
            head,
            at: head,
            _guard: PhantomData,
        }
    }

    /// Returns what the threads of this thread's process share about signals.
    #[inline]
    fn signal(self) -> *mut bindings::signal_struct {
        field!(self, signal)
    }

    /// Returns whether the thread has not been released: `pid_alive()`.
    #[inline]
    fn is_hashed(self) -> bool {
        !field!(self, thread_pid).is_null()
    }

    /// Returns whether the thread is the leader of its group: `thread_group_leader()`.
    #[inline]
    fn is_leader(self) -> bool {
        field!(self, exit_signal) >= 0
    }

    /// Makes a pinned task usable in the critical section that `guard` stands for.
    pub(crate) fn of(task: &'g Task, guard: &'g rcu::Guard) -> Self {
        let _ = guard;

        // INVARIANT: A `Task` is allocated for as long as it is borrowed.
        Self {
            task: NonNull::from(task).cast(),
            _guard: PhantomData,
        }
    }
}

/// An iterator over the leaders of processes, in the order of the task list.
///
/// # Invariants
///
/// `at` is `init_task`, or was on the list of processes at some time during the critical section
/// that `'g` lies in. Its successor, if that has been taken off the list, is therefore allocated
/// for `'g` too: it was taken off after the critical section had begun, and the memory of a task
/// is freed a grace period later.
pub(crate) struct Processes<'g> {
    at: NonNull<bindings::task_struct>,
    _guard: PhantomData<&'g rcu::Guard>,
}

impl<'g> Processes<'g> {
    /// Resumes an iteration after `leader`, which an earlier one has found; [`None`] when `leader`
    /// has left the list of processes.
    ///
    /// It has left it when it has been released, or when another thread of its group has taken
    /// over its place by `execve()`.
    pub(crate) fn after(leader: &'g Task, guard: &'g rcu::Guard) -> Option<Self> {
        sys::assert_rcu();
        let task = RcuTask::of(leader, guard);

        // Both are undone before anything that followed `leader` on the list can have been freed.
        // `leader` leaves the list in one of two places, under the tasklist lock: in
        // `__unhash_process()`, which clears `thread_pid`, and in `de_thread()`, which sets
        // `exit_signal` to -1. Whatever leaves the list later takes the lock later, and is freed a
        // grace period after that. If such a grace period has ended before this critical section
        // began, then everything that was written before it is visible here, the two fields
        // included; if it has not, then what follows `leader` stays allocated.
        //
        // INVARIANT: Hence, if both still stand, `leader` is as good as on the list.
        (task.is_hashed() && task.is_leader()).then_some(Self {
            at: task.task,
            _guard: PhantomData,
        })
    }

    /// Returns the leader that the iteration is at: the last one it has returned, or swapper/0.
    pub(crate) fn leader(&self) -> RcuTask<'g> {
        // INVARIANT: By the type invariant `at` is on the list, hence allocated for `'g`.
        RcuTask {
            task: self.at,
            _guard: PhantomData,
        }
    }
}

impl<'g> Iterator for Processes<'g> {
    type Item = RcuTask<'g>;

    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        // SAFETY: By the type invariant `at` is an allocated task; no reference is made to the
        // field.
        let next = unsafe { &raw const (*self.at.as_ptr()).tasks.next };
        // SAFETY: The field is valid as above, aligned, and a raw pointer. The RCU read lock is
        // held for `'g`, so that the pointer may be followed.
        let next = unsafe { sys::read_once(next) };
        // SAFETY: Every node of the list is the field `tasks` of a task, that of `init_task`
        // included, and the list goes round: the address is that of a task, hence not null.
        let next =
            unsafe { NonNull::new_unchecked(container_of!(next, bindings::task_struct, tasks)) };

        if next == idle_task_ptr() {
            return None;
        }

        // INVARIANT: `next` was on the list when the pointer to it was read, or is the successor
        // of a task which was on the list at some time during the critical section.
        self.at = next;

        // INVARIANT: By the type invariant of `Processes`, `next` is allocated for `'g`.
        Some(RcuTask {
            task: next,
            _guard: PhantomData,
        })
    }
}

/// An iterator over the threads of one process, from the oldest to the youngest.
///
/// # Invariants
///
/// `head` is the `thread_head` of a `signal_struct` that stays allocated for `'g`. `at` is `head`
/// or the `thread_node` of a task that was on this list at some time during the critical section
/// that `'g` lies in; for its successor the same holds as in [`Processes`].
pub(crate) struct ThreadGroup<'g> {
    head: *const bindings::list_head,
    at: *const bindings::list_head,
    _guard: PhantomData<&'g rcu::Guard>,
}

impl<'g> ThreadGroup<'g> {
    /// Resumes an iteration after `thread`, which an earlier one has found; [`None`] when it has
    /// been released.
    pub(crate) fn after(thread: &'g Task, guard: &'g rcu::Guard) -> Option<Self> {
        sys::assert_rcu();
        let task = RcuTask::of(thread, guard);
        let head = task.thread_group().head;
        // SAFETY: A `Task` is allocated for as long as it is borrowed; no reference is made.
        let at = unsafe { &raw const (*task.as_ptr()).thread_node };

        // INVARIANT: `__unhash_process()` clears `thread_pid` and takes the thread off this list,
        // both under the tasklist lock, and nothing else takes a thread off. As argued in
        // `Processes::after()`, what follows a thread that is still hashed stays allocated.
        task.is_hashed().then_some(Self {
            head,
            at,
            _guard: PhantomData,
        })
    }
}

impl<'g> Iterator for ThreadGroup<'g> {
    type Item = RcuTask<'g>;

    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        // SAFETY: By the type invariant `at` is an allocated list node; no reference is made.
        let next = unsafe { &raw const (*self.at).next };
        // SAFETY: The field is valid as above, aligned, and a raw pointer. The RCU read lock is
        // held for `'g`, so that the pointer may be followed.
        let next = unsafe { sys::read_once(next) };

        if core::ptr::eq(next, self.head) {
            return None;
        }

        // INVARIANT: As in `Processes::next()`.
        self.at = next;

        // SAFETY: Every node of this list but its head is the field `thread_node` of a task, hence
        // the address is not null.
        let task = unsafe {
            NonNull::new_unchecked(container_of!(next, bindings::task_struct, thread_node))
        };

        // INVARIANT: By the type invariant of `ThreadGroup`, the task is allocated for `'g`.
        Some(RcuTask {
            task,
            _guard: PhantomData,
        })
    }
}

/// An iterator over the threads of all processes, process by process.
pub(crate) struct Threads<'g> {
    processes: Processes<'g>,
    group: Option<ThreadGroup<'g>>,
}

impl<'g> Threads<'g> {
    /// An iteration over what is left of `group`, and then over the threads of `processes`.
    pub(crate) fn new(group: Option<ThreadGroup<'g>>, processes: Processes<'g>) -> Self {
        Self { processes, group }
    }

    /// Returns the leader of the process in which the iteration is.
    pub(crate) fn leader(&self) -> RcuTask<'g> {
        self.processes.leader()
    }

    /// Leaves out what is left of the process in which the iteration is.
    pub(crate) fn skip_process(&mut self) {
        self.group = None;
    }
}

impl<'g> From<Processes<'g>> for Threads<'g> {
    /// An iteration over the threads of `processes`.
    fn from(processes: Processes<'g>) -> Self {
        Self::new(None, processes)
    }
}

impl<'g> Iterator for Threads<'g> {
    type Item = RcuTask<'g>;

    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        loop {
            if let Some(thread) = self.group.as_mut().and_then(Iterator::next) {
                return Some(thread);
            }
            self.group = Some(self.processes.next()?.thread_group());
        }
    }
}
