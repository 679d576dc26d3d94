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
//! The lists are read under RCU. Each task and each iterator borrows an [`rcu::Guard`] and cannot
//! outlive the guard. Nothing may sleep while a guard exists: `schedule.rs` says whose job it is to
//! check that. [`RcuTask::pin`] keeps a single task for longer, and [`ProcessIter::after`] and
//! [`GroupIter::after`] resume an iteration at such a task in another RCU read-side critical
//! section.
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

use crate::abstractions::compat::{
    smp_mb, //
    Read,
};
use crate::abstractions::read_once::{
    field,
    read_once, //
    Fields,
};
use crate::text::name::COMM_LEN;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::rcu;
use kernel::task::{
    Pid,
    Task, //
};
use kernel::{
    bindings,
    container_of, //
};

// Sound: these are the functions of helpers.c. An `RcuTask` is a transparent wrapper of a pointer
// to a `struct task_struct`, which is allocated, and is so for longer than the call, by its type
// invariant; its lifetime lies within an RCU read-side critical section. The macros and inline
// functions inside need no more than that: `__task_cred()` the critical section, the others the
// task.
unsafe extern "C" {
    safe fn taskscope_task_cred(task: RcuTask<'_>) -> *const bindings::cred;
    safe fn taskscope_task_state(task: RcuTask<'_>) -> c_char;
    safe fn taskscope_task_cpu(task: RcuTask<'_>) -> c_uint;
    safe fn taskscope_in_execve(task: RcuTask<'_>) -> bool;
}

/// The size of `struct task_struct` in bytes.
///
/// Some machines keep more behind it, the registers of the floating-point unit in particular.
pub(crate) const TASK_STRUCT_SIZE: usize = size_of::<bindings::task_struct>();

/// Returns an iterator over the leaders of all processes, as `for_each_process()` visits them.
///
/// swapper/0 is not among them: see [`idle_task`].
pub(crate) fn processes(guard: &rcu::Guard) -> ProcessIter<'_> {
    let _ = guard;

    // INVARIANT: The list begins at `init_task`, which is never taken off it.
    ProcessIter {
        at: idle_task_ptr(),
        _guard: PhantomData,
    }
}

/// Returns an iterator over all threads, as `for_each_process_thread()` visits them: process by
/// process, and within each its threads from the oldest to the youngest.
///
/// swapper/0 is not among them: see [`idle_task`].
pub(crate) fn threads(guard: &rcu::Guard) -> ThreadIter<'_> {
    ThreadIter::new(None, processes(guard))
}

/// Returns swapper/0, the idle task of the first CPU, which exists forever.
///
/// The list of processes begins and ends with it, and no iterator returns it.
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

/// Returns about how many threads there are, without a count of them. Any context.
///
/// Every thread has a PID in the initial PID namespace, so the number of PIDs in use there is
/// seldom below the number of threads. It is above where a process group or a session outlives the
/// process whose number it has. The result is a hint for the size of memory, and old as soon as it
/// is read.
pub(crate) fn nr_threads_hint() -> usize {
    // SAFETY: `init_pid_ns` exists forever; `&raw` makes no reference to a field that others write.
    let field = unsafe { &raw const bindings::init_pid_ns.pid_allocated };
    // SAFETY: The field is part of a static, hence valid for reads and aligned.
    let allocated = unsafe { read_once(field) };

    // CAST: `usize` has 64 bits.
    (allocated & !bindings::PIDNS_ADDING) as usize
}

/// The objective credentials of a task, as numbers of the initial user namespace.
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
/// `task` points at a `struct task_struct` that stays allocated for `'g`, and `'g` lies within an
/// RCU read-side critical section.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct RcuTask<'g> {
    task: NonNull<bindings::task_struct>,
    _guard: PhantomData<&'g rcu::Guard>,
}

// SAFETY: By the type invariant the task is allocated.
unsafe impl Fields for RcuTask<'_> {
    type Struct = bindings::task_struct;

    #[inline(always)]
    fn fields(&self) -> *const bindings::task_struct {
        self.as_ptr()
    }
}

/// The `struct signal_struct` of a process, which its threads share.
///
/// # Invariants
///
/// `signal` points at a `struct signal_struct` that stays allocated for `'g`.
#[derive(Clone, Copy)]
struct RcuSignal<'g> {
    signal: *mut bindings::signal_struct,
    _guard: PhantomData<&'g rcu::Guard>,
}

// SAFETY: By the type invariant the structure is allocated.
unsafe impl Fields for RcuSignal<'_> {
    type Struct = bindings::signal_struct;

    #[inline(always)]
    fn fields(&self) -> *const bindings::signal_struct {
        self.signal
    }
}

impl<'g> RcuTask<'g> {
    /// Returns the task that calls this: `current`. Any context.
    pub(crate) fn current(guard: &'g rcu::Guard) -> Self {
        let _ = guard;

        // INVARIANT: The current task stays allocated for as long as it runs, and `'g` ends before
        // it stops, since an `rcu::Guard` cannot leave the task that made it. The guard is proof of
        // the critical section.
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

    /// Takes a reference to the task, which keeps it after the critical section has ended.
    ///
    /// The reference keeps the `struct task_struct`: the task may be dead. Any context but NMI.
    pub(crate) fn pin(self) -> ARef<Task> {
        // SAFETY: By the type invariant the task is allocated for `'g`, and in that time its
        // reference count is not zero: the reference that the scheduler and the task list share is
        // dropped after a grace period (`put_task_struct_rcu_user()`). `Task` is a transparent
        // wrapper of `struct task_struct`.
        ARef::from(unsafe { self.task.cast::<Task>().as_ref() })
    }

    /// Returns the thread's PID in the initial PID namespace.
    ///
    /// It changes once at most: a thread that is not the leader of its group and calls `execve()`
    /// takes over the PID of the leader. All idle tasks have PID 0.
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

    /// Returns the real and the effective user ID of the thread: its objective credentials.
    #[inline]
    pub(crate) fn credentials(self) -> Credentials {
        let cred = taskscope_task_cred(self);

        // In the initial user namespace an ID is the kernel's own number: `from_kuid()` has
        // nothing to map there.
        Credentials {
            // SAFETY: A task has credentials for as long as it exists, and `'g`, which lies within
            // an RCU read-side critical section, keeps these allocated. The credentials of a task
            // are replaced, never changed, so that the read races with no write.
            uid: unsafe { (*cred).uid.val },
            // SAFETY: The credentials stay allocated for `'g` and never change, as for `uid`.
            euid: unsafe { (*cred).euid.val },
        }
    }

    /// Returns the state letter of `/proc/PID/stat`.
    #[inline]
    pub(crate) fn state(self) -> u8 {
        taskscope_task_state(self)
    }

    /// Returns whether the thread runs or waits for nothing but a CPU: `task_is_running()`.
    #[inline]
    pub(crate) fn is_runnable(self) -> bool {
        field!(self, __state) == bindings::TASK_RUNNING
    }

    /// Returns the number of the CPU that the thread is on, if it is on one at this moment.
    ///
    /// The scheduler sets `on_cpu` before it switches to the thread, and clears it after it has
    /// switched away. The CPU of a thread does not change while `on_cpu` is set. The result is
    /// wrong only if the thread moves to another CPU and back during this call.
    pub(crate) fn running_on(self) -> Option<u32> {
        let cpu = self.cpu();

        smp_mb(Read);
        let is_on_cpu = field!(self, on_cpu) != 0;

        smp_mb(Read);
        (is_on_cpu && self.cpu() == cpu).then_some(cpu)
    }

    /// Returns the `PF_*` flags of the thread. Only the thread itself changes them.
    #[inline]
    pub(crate) fn flags(self) -> u32 {
        field!(self, flags)
    }

    /// Returns whether the thread is within `execve()`: from before it gets its new address space,
    /// in `begin_new_exec()`, until after the loader has filled that and has called
    /// `finalize_exec()`.
    ///
    /// The kernel keeps the bit for one reader, TOMOYO (`security/tomoyo/tomoyo.c`), but sets and
    /// clears it in every configuration: `bprm_execve()` in `fs/exec.c` does, on all its paths. It
    /// is one of the bits that only the thread itself writes. If the kernel drops the bit, this
    /// module does not build; if the kernel moves the places where the bit changes,
    /// `tests/guest/exec.c` fails, which stops threads at each step of `execve()`.
    #[inline]
    pub(crate) fn in_execve(self) -> bool {
        taskscope_in_execve(self)
    }

    /// Returns the thread's `mm`, to compare: only the thread itself may follow the pointer.
    #[inline]
    pub(super) fn mm(self) -> *mut bindings::mm_struct {
        field!(self, mm)
    }

    /// Returns whether the thread has a root directory: `fs` is not null. Only the thread itself
    /// gives it up, in `exit_fs()`.
    #[inline]
    pub(super) fn has_root(self) -> bool {
        !field!(self, fs).is_null()
    }

    /// Returns whether the thread has an address space: `mm` is not null. Only the thread itself
    /// may follow the pointer.
    ///
    /// What is read after this call is at least as new as its result.
    #[inline]
    pub(crate) fn has_mm(self) -> bool {
        let set = !self.mm().is_null();

        // A thread that exits sets `PF_EXITING` long before `exit_mm()` clears `mm`, with locks
        // taken and full barriers in between.
        smp_mb(Read);
        set
    }

    /// Returns the number of threads in the thread's group that have not been released.
    #[inline]
    pub(crate) fn nr_threads(self) -> u32 {
        field!(self.signal(), nr_threads).unsigned_abs()
    }

    /// Returns the soft and the hard limit of the stack of the thread's process, in bytes.
    ///
    /// Each is read once, without the lock under which they change: while `setrlimit()` runs, one
    /// may be old and the other new.
    #[inline]
    pub(crate) fn stack_limits(self) -> [u64; 2] {
        /// The place of the limit in the array of limits.
        const STACK: usize = bindings::RLIMIT_STACK as usize;

        [
            field!(self.signal(), rlim[STACK].rlim_cur),
            field!(self.signal(), rlim[STACK].rlim_max),
        ]
        .map(|limit| limit as u64)
    }

    /// Returns the lowest address of the thread's kernel stack; [`None`] once it is released.
    ///
    /// It is an address to print: the stack of another thread than the caller may be released at
    /// any time.
    #[inline]
    pub(crate) fn stack(self) -> Option<NonNull<c_void>> {
        NonNull::new(field!(self, stack))
    }

    /// Returns the thread's name, and at least one NUL after it: 15 bytes of name at most.
    ///
    /// While another thread changes the name, the result may be part of the old and part of the new
    /// name.
    #[inline]
    pub(crate) fn comm(self) -> [u8; COMM_LEN] {
        /// The name in one piece: the compiler would load the bytes of an array one by one.
        #[repr(C, packed)]
        struct Comm(u128);

        // `comm` below has `TASK_COMM_LEN` bytes, and its type is written out: this does not build
        // for a kernel that changes the length.
        const { assert!(size_of::<Comm>() == COMM_LEN) };

        let task = self.as_ptr();
        // SAFETY: By the type invariant the task is allocated, so that its field is in bounds; no
        // reference is made to the field.
        let comm: *const [c_char; COMM_LEN] = unsafe { &raw const (*task).comm };
        // SAFETY: The field is valid for reads and has the size of `Comm`, as asserted above; the
        // alignment of `Comm` is 1. The thread may be writing the field, which is why the load is
        // volatile: each byte is the old or the new one, and either is valid.
        let Comm(comm) = unsafe { comm.cast::<Comm>().read_volatile() };
        let mut comm = comm.to_ne_bytes();

        // The last byte is NUL at all times (`__set_task_comm()`). This makes it so for the
        // compiler too.
        comm[COMM_LEN - 1] = 0;
        comm
    }

    /// Returns a number that identifies the thread's process.
    ///
    /// All threads of a process have the same number. It does not change when the process executes
    /// another program, and no other process has it as long as one thread of this one exists. (It
    /// is the address of the `signal_struct`.)
    #[inline]
    pub(crate) fn process_id(self) -> usize {
        self.signal().signal.addr()
    }

    /// Returns an iterator over the threads of this thread's process, from the oldest to the
    /// youngest; it is empty when the process has been released.
    #[inline]
    pub(crate) fn thread_group(self) -> GroupIter<'g> {
        let RcuSignal { signal, .. } = self.signal();
        // SAFETY: By the type invariant of `RcuSignal` the structure is allocated; no reference is
        // made to the field.
        let head = unsafe { &raw const (*signal).thread_head };

        // INVARIANT: The list begins at its head.
        GroupIter {
            head,
            at: head,
            _guard: PhantomData,
        }
    }

    /// Returns the `struct signal_struct` of the thread's process.
    #[inline]
    fn signal(self) -> RcuSignal<'g> {
        // INVARIANT: The pointer never changes. A task holds a reference to its `signal_struct`
        // (`sigcnt`), which `__put_task_struct()` drops just before it frees the task. By the type
        // invariant that is after `'g`.
        RcuSignal {
            signal: field!(self, signal),
            _guard: self._guard,
        }
    }

    /// Returns when the thread was born, in nanoseconds of `CLOCK_MONOTONIC`. A thread that takes
    /// over the place of its leader has the time of that.
    ///
    /// `copy_process()` reads the clock before it adds the thread to the lists.
    #[inline]
    pub(crate) fn start_time(self) -> u64 {
        field!(self, start_time)
    }

    /// Returns when the thread was born, in nanoseconds of `CLOCK_BOOTTIME`; 0 for swapper/0. A
    /// thread that takes over the place of its leader has the time of that.
    ///
    /// Time namespaces do not change it: `/proc/PID/stat` adds the offset of the reader's
    /// namespace.
    #[inline]
    pub(crate) fn start_boottime(self) -> u64 {
        field!(self, start_boottime)
    }

    /// Returns the CPU that the thread runs on, or waits for, or ran on last: `task_cpu()`.
    #[inline]
    pub(crate) fn cpu(self) -> u32 {
        taskscope_task_cpu(self)
    }

    /// Returns the thread that has this PID in the initial PID namespace at this moment:
    /// `find_task_by_pid_ns()`. An idle task has none that can be looked up. `self` only proves the
    /// critical section: which task it is does not matter. Any context but NMI. Does not sleep.
    pub(super) fn thread_with_pid(self, pid: Pid) -> Option<RcuTask<'g>> {
        // SAFETY: `init_pid_ns` exists forever. By the type invariant `'g` lies within an RCU
        // read-side critical section, which the look-up needs.
        let pid = unsafe { bindings::find_pid_ns(pid, &raw mut bindings::init_pid_ns) };
        // SAFETY: `pid` is null, which is permitted, or a `struct pid` that the critical section
        // keeps.
        let task = unsafe { bindings::pid_task(pid, bindings::pid_type_PIDTYPE_PID) };

        // INVARIANT: A thread that a `struct pid` leads to stays allocated until a grace period has
        // ended after it was released (`put_task_struct_rcu_user()`), which is after `'g`.
        NonNull::new(task).map(|task| RcuTask {
            task,
            _guard: self._guard,
        })
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

    /// Returns a task that the caller keeps, as an RCU reader sees it.
    #[inline]
    pub(crate) fn of(task: &'g Task, guard: &'g rcu::Guard) -> Self {
        let _ = guard;

        // INVARIANT: A `Task` is allocated for as long as it is borrowed, and the guard is proof of
        // the critical section.
        Self {
            task: NonNull::from(task).cast(),
            _guard: PhantomData,
        }
    }
}

/// A leader at which an iteration over processes can resume: [`ProcessIter::after`].
///
/// Not any [`Task`] will do:
///
/// - The idle tasks of all CPUs but the first are hashed and look like leaders, and were never on
///   the list. The pointers in their list nodes are copies of their parent's.
/// - `de_thread()` writes the list node of a thread that becomes the leader, links the node, and
///   sets `exit_signal`. A CPU that has not found the thread on the list can see `exit_signal`
///   first, and then an old list node.
///
/// # Invariants
///
/// The task is swapper/0, or an iteration has found it on the list of processes.
pub(crate) struct PinnedLeader(ARef<Task>);

/// An iterator over the leaders of processes, in the order of the task list.
///
/// # Invariants
///
/// `at` is `init_task`, or was on the list of processes at some time during the critical section
/// that `'g` lies in. Its successor, if that has been taken off the list, is therefore allocated
/// for `'g` too: it was taken off after the critical section had begun, and the memory of a task
/// is freed a grace period later.
pub(crate) struct ProcessIter<'g> {
    at: NonNull<bindings::task_struct>,
    _guard: PhantomData<&'g rcu::Guard>,
}

impl<'g> ProcessIter<'g> {
    /// Returns an iteration that resumes after `leader`; [`None`] if `leader` has left the list of
    /// processes.
    ///
    /// A leader leaves the list when it is released, or when another thread of its group takes over
    /// its place by `execve()`.
    pub(crate) fn after(leader: &'g PinnedLeader, guard: &'g rcu::Guard) -> Option<Self> {
        let task = RcuTask::of(&leader.0, guard);

        // A task leaves the list in two places, both under the tasklist lock: `__unhash_process()`
        // clears `thread_pid`, and `de_thread()` sets `exit_signal` to -1. A task that followed
        // `leader` then and leaves the list later takes the lock later, and is freed a grace period
        // after that. There are two cases. If such a grace period ended before this critical
        // section began, then all that was written before the grace period is visible here: also
        // that `leader` has left, and the result is `None`. If not, then the task that follows
        // `leader` stays allocated for `'g`.
        //
        // INVARIANT: By its type invariant `leader` was on the list at some time. By the above,
        // what follows it on the list stays allocated.
        (task.is_hashed() && task.is_leader()).then_some(Self {
            at: task.task,
            _guard: PhantomData,
        })
    }

    /// Takes a reference to the leader that the iteration is at, from which another iteration can
    /// resume.
    pub(crate) fn pin_leader(&self) -> PinnedLeader {
        // INVARIANT: By the type invariant of `Self`, `at` is or was on the list.
        PinnedLeader(self.leader().pin())
    }

    /// Returns the leader that the iteration is at: the last one that it has returned, or
    /// swapper/0.
    pub(crate) fn leader(&self) -> RcuTask<'g> {
        // INVARIANT: By the type invariant of `Self`, `at` is allocated for `'g`.
        RcuTask {
            task: self.at,
            _guard: PhantomData,
        }
    }
}

impl<'g> Iterator for ProcessIter<'g> {
    type Item = RcuTask<'g>;

    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        // SAFETY: By the type invariant `at` is an allocated task; no reference is made to the
        // field.
        let next = unsafe { &raw const (*self.at.as_ptr()).tasks.next };
        // SAFETY: The field is valid as above, aligned, and a raw pointer. The RCU read lock is
        // held for `'g`, so that the pointer may be followed.
        let next = unsafe { read_once(next) };
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

        // INVARIANT: By the type invariant of `ProcessIter`, `next` is allocated for `'g`.
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
/// that `'g` lies in; for its successor the same holds as in [`ProcessIter`].
pub(crate) struct GroupIter<'g> {
    head: *const bindings::list_head,
    at: *const bindings::list_head,
    _guard: PhantomData<&'g rcu::Guard>,
}

impl<'g> GroupIter<'g> {
    /// Returns an iteration that resumes after `thread`; [`None`] if `thread` was released.
    pub(crate) fn after(thread: &'g Task, guard: &'g rcu::Guard) -> Option<Self> {
        let task = RcuTask::of(thread, guard);
        let head = task.thread_group().head;
        // SAFETY: A `Task` is allocated for as long as it is borrowed; no reference is made.
        let at = unsafe { &raw const (*task.as_ptr()).thread_node };

        // INVARIANT: Every task is on the list of its group before there can be a `Task` of it:
        // before its PID can be looked up and before it runs (`copy_process()`); an idle task is
        // alone on a list of its own. `__unhash_process()` clears `thread_pid` and takes the thread
        // off the list, both under the tasklist lock, and nothing else takes a thread off. As
        // argued in `ProcessIter::after()`, what follows a thread that is still hashed stays
        // allocated.
        task.is_hashed().then_some(Self {
            head,
            at,
            _guard: PhantomData,
        })
    }
}

impl<'g> Iterator for GroupIter<'g> {
    type Item = RcuTask<'g>;

    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        // SAFETY: By the type invariant `at` is an allocated list node; no reference is made.
        let next = unsafe { &raw const (*self.at).next };
        // SAFETY: The field is valid as above, aligned, and a raw pointer. The RCU read lock is
        // held for `'g`, so that the pointer may be followed.
        let next = unsafe { read_once(next) };

        if next.cast_const() == self.head {
            return None;
        }

        // INVARIANT: `next` was on the list when the pointer to it was read, or is the successor of
        // a thread which was on the list at some time during the critical section.
        self.at = next;

        // SAFETY: Every node of this list but its head is the field `thread_node` of a task, hence
        // the address is not null.
        let task = unsafe {
            NonNull::new_unchecked(container_of!(next, bindings::task_struct, thread_node))
        };

        // INVARIANT: By the type invariant of `GroupIter`, the task is allocated for `'g`.
        Some(RcuTask {
            task,
            _guard: PhantomData,
        })
    }
}

/// An iterator over the threads of all processes, process by process.
///
/// Within each process it goes from the oldest thread to the youngest.
pub(crate) struct ThreadIter<'g> {
    processes: ProcessIter<'g>,
    group: Option<GroupIter<'g>>,
}

impl<'g> ThreadIter<'g> {
    /// An iteration over what is left of `group`, and then over the threads of `processes`.
    pub(crate) fn new(group: Option<GroupIter<'g>>, processes: ProcessIter<'g>) -> Self {
        Self { processes, group }
    }

    /// Returns the iteration over processes, which is at the process that this is in.
    pub(crate) fn processes(&self) -> &ProcessIter<'g> {
        &self.processes
    }

    /// Leaves out what is left of the process in which the iteration is.
    pub(crate) fn skip_process(&mut self) {
        self.group = None;
    }
}

impl<'g> Iterator for ThreadIter<'g> {
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

#[kunit_tests(taskscope_tasks)]
mod tests {
    use super::*;
    use crate::abstractions::callbacks::{
        Callback,
        Thread, //
    };
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };
    use kernel::sync::Arc;
    use kernel::time::{
        delay::fsleep,
        Delta, //
    };

    #[test]
    fn an_iteration_resumes_at_each_living_leader() {
        let guard = rcu::read_lock();
        let mut leaders = processes(&guard);
        let mut resumed = 0;

        loop {
            let leader = leaders.pin_leader();
            let next = ProcessIter::after(&leader, &guard).map(|mut rest| rest.next());
            let Some(expected) = leaders.next() else {
                break;
            };

            // A leader can die meanwhile, and another one be born.
            if let Some(next) = next {
                resumed += 1;
                assert!(next.is_none_or(|next| next.address() == expected.address()));
            } else {
                // swapper/0, init and kthreadd live for ever.
                assert!(expected.pid() > 3);
            }
        }
        assert!(resumed > 2);
    }

    /// Ends when it is told to.
    struct Ends(Atomic<bool>);

    impl Callback for Ends {
        fn call(&self) {
            while !self.0.load(Relaxed) {
                fsleep(Delta::from_millis(1));
            }
        }
    }

    #[test]
    fn a_released_thread_has_no_parent_and_no_root() -> Result {
        let ends = Arc::new(Ends(Atomic::new(false)), GFP_KERNEL)?;
        let thread = Thread::start(ends.clone(), c"taskscope_gone")?;
        let task = {
            let guard = rcu::read_lock();

            processes(&guard)
                .find(|task| task.comm().starts_with(b"taskscope_gone\0"))
                .map(RcuTask::pin)
        }
        .ok_or(ESRCH)?;

        // kthreadd has made it.
        assert_eq!(RcuTask::of(&task, &rcu::read_lock()).ppid(), 2);
        assert!(RcuTask::of(&task, &rcu::read_lock()).has_root());
        ends.0.store(true, Relaxed);
        drop(thread);
        while RcuTask::of(&task, &rcu::read_lock()).is_hashed() {
            fsleep(Delta::from_millis(1));
        }
        assert_eq!(RcuTask::of(&task, &rcu::read_lock()).ppid(), 0);
        assert!(!RcuTask::of(&task, &rcu::read_lock()).has_root());
        Ok(())
    }
}
