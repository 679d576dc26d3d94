// SPDX-License-Identifier: GPL-2.0

//! Records of tasks: plain data, captured in one pass, and printed at leisure.
//!
//! A [`Snapshot`] is made when a table is opened. It holds no reference to any task, and nothing
//! that happens to one afterwards shows in it.

use crate::{
    addresses::HasAddresses,
    line::Line,
    pid_list::PidList,
    spare::Lent,
    tasks::RcuTask,
    text::{
        self,
        COMM_LEN, //
    },
    walk::{
        self,
        Memory,
        Scope,
        Visitor, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// What kind of thread a task is, by its flags alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A thread of a user program.
    User,
    /// A kernel thread: `PF_KTHREAD`.
    Kernel,
    /// A thread that a user program owns and that runs in the kernel only: `PF_USER_WORKER` or
    /// `PF_IO_WORKER`.
    Worker,
    /// The idle task of a processor, or a kernel thread that stands in for it: `PF_IDLE`.
    Idle,
}

impl Kind {
    /// Tells the kind from the `PF_*` flags of a task.
    #[inline]
    pub(crate) fn from_flags(flags: u32) -> Self {
        if flags & bindings::PF_IDLE != 0 {
            Self::Idle
        } else if flags & bindings::PF_KTHREAD != 0 {
            Self::Kernel
        } else if flags & (bindings::PF_USER_WORKER | bindings::PF_IO_WORKER) != 0 {
            Self::Worker
        } else {
            Self::User
        }
    }

    /// Returns the word that stands for this kind, followed by spaces.
    #[inline]
    pub(crate) fn padded_name(self) -> &'static [u8; 6] {
        match self {
            Self::User => b"user  ",
            Self::Kernel => b"kernel",
            Self::Worker => b"worker",
            Self::Idle => b"idle  ",
        }
    }

    /// Returns whether a thread of this kind never runs in user space.
    #[inline]
    pub(crate) fn is_kernel(self) -> bool {
        matches!(self, Self::Kernel | Self::Idle)
    }
}

/// Why [`Kind`] and the address space of a task seem to disagree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// They do not.
    Nothing,
    /// A thread of a user program that has given up its address space on its way out.
    Exiting,
    /// A kernel thread that has borrowed the address space of a user program.
    BorrowedMm,
    /// A thread that the kernel has made to execute a user program, and that has not got an address
    /// space yet: `user_mode_thread()`.
    PreExec,
}

impl Note {
    /// Says what there is to say of a task with these `PF_*` flags, and with or without an address
    /// space. The flags are to be read after the address space.
    #[inline]
    pub(crate) fn new(flags: u32, has_mm: bool) -> Self {
        let exiting = flags & bindings::PF_EXITING != 0;

        match (Kind::from_flags(flags), has_mm) {
            (Kind::Kernel | Kind::Idle, true) => Self::BorrowedMm,
            (Kind::User | Kind::Worker, false) if exiting => Self::Exiting,
            (Kind::User, false) => Self::PreExec,
            _ => Self::Nothing,
        }
    }

    /// Returns the word that stands for this note.
    #[inline]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "-",
            Self::Exiting => "exiting",
            Self::BorrowedMm => "borrowed-mm",
            Self::PreExec => "pre-exec",
        }
    }

    /// Returns the word that stands for this note, followed by spaces.
    #[inline]
    pub(crate) fn padded_name(self) -> &'static [u8; 11] {
        match self {
            Self::Nothing => const { &text::padded(Self::Nothing.name()) },
            Self::Exiting => const { &text::padded(Self::Exiting.name()) },
            Self::BorrowedMm => const { &text::padded(Self::BorrowedMm.name()) },
            Self::PreExec => const { &text::padded(Self::PreExec.name()) },
        }
    }
}

/// The numbers of a thread, in the initial PID namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadId {
    /// The PID of the process.
    pub(crate) tgid: u32,
    /// The PID of the thread.
    pub(crate) pid: u32,
}

impl ThreadId {
    /// Returns the numbers that `task` has at this moment.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> Self {
        Self {
            tgid: task.tgid().unsigned_abs(),
            pid: task.pid().unsigned_abs(),
        }
    }
}

/// What a thread is called.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    /// The name.
    pub(crate) comm: [u8; COMM_LEN],
    /// Whether it is shown in brackets, as those of kernel threads are.
    pub(crate) bracketed: bool,
}

impl Name {
    /// Returns the name that `task` has at this moment.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> Self {
        Self::new(task, Kind::from_flags(task.flags()))
    }

    /// Returns the name that `task`, of this kind, has at this moment.
    #[inline]
    fn new(task: RcuTask<'_>, kind: Kind) -> Self {
        Self {
            comm: task.comm(),
            bracketed: kind.is_kernel(),
        }
    }

    /// Adds the name to `line`, as COMM.
    #[inline]
    pub(crate) fn add_to(&self, line: &mut Line<'_>) {
        text::add_comm(line, &self.comm, self.bracketed);
    }
}

/// What a table keeps of a thread.
pub(crate) trait Record {
    /// Returns the numbers of the thread.
    fn id(&self) -> ThreadId;
}

/// What `processes` and `threads` show of a task.
#[derive(Clone, Copy)]
pub(crate) struct TaskRecord {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// The PID of the parent process, in the initial PID namespace.
    pub(crate) ppid: u32,
    /// The real user ID, in the initial user namespace.
    pub(crate) uid: u32,
    /// The effective user ID, in the initial user namespace.
    pub(crate) euid: u32,
    /// The number of threads in the process.
    pub(crate) nr_threads: u32,
    /// The address of the `struct task_struct`, and the lowest address of the kernel stack, which is
    /// 0 once that is released.
    pub(crate) addresses: [usize; 2],
    /// The name.
    pub(crate) name: Name,
    /// The state letter of `/proc/PID/stat`.
    pub(crate) state: u8,
    /// Whether there is an address space.
    pub(crate) has_mm: bool,
    /// The kind of thread.
    pub(crate) kind: Kind,
    /// Why the kind and the address space seem to disagree.
    pub(crate) note: Note,
}

impl TaskRecord {
    /// Records what `task`, whose numbers are `id`, is at this moment. Does not sleep.
    #[inline]
    pub(crate) fn new(id: ThreadId, task: RcuTask<'_>) -> Self {
        let credentials = task.credentials();
        // In this order: an address space is given up after `PF_EXITING` is set.
        let has_mm = task.has_mm();
        let flags = task.flags();
        let kind = Kind::from_flags(flags);

        Self {
            id,
            ppid: task.ppid().unsigned_abs(),
            uid: credentials.uid,
            euid: credentials.euid,
            nr_threads: task.nr_threads(),
            addresses: [
                task.address(),
                task.stack().map_or(0, |stack| stack.addr().get()),
            ],
            name: Name::new(task, kind),
            state: task.state(),
            has_mm,
            kind,
            note: Note::new(flags, has_mm),
        }
    }
}

impl TaskRecord {
    /// Returns a number for what the columns S, KIND, MM and NOTE say: another one where one of them
    /// says something else.
    #[inline]
    pub(crate) fn kinds(&self) -> u32 {
        // CAST: Both have a few values.
        u32::from_ne_bytes([
            self.state,
            self.kind as u8,
            self.has_mm.into(),
            self.note as u8,
        ])
    }
}

impl Record for TaskRecord {
    #[inline]
    fn id(&self) -> ThreadId {
        self.id
    }
}

impl HasAddresses for TaskRecord {
    #[inline]
    fn addresses(&mut self) -> &mut [usize] {
        &mut self.addresses
    }
}

/// What makes records of threads; see [`Visitor`], which it is without the choice of threads.
pub(crate) trait Recorder {
    /// What is kept of a thread.
    type Record: Record;

    /// As [`Visitor::SECTION`].
    const SECTION: usize = walk::SECTION;

    /// As [`Visitor::prepare`].
    fn prepare(&mut self) -> Result {
        Ok(())
    }

    /// Records what `task`, whose numbers are `id`, is at this moment. Must not sleep.
    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> Self::Record;

    /// As [`Visitor::is_ready`].
    fn is_ready(&self) -> bool {
        true
    }
}

/// The tasks of a scope, as they were during one pass.
pub(crate) struct Snapshot<R> {
    /// A record for each task that was asked for, in the order of the task list.
    pub(crate) records: Lent<R>,
    /// How many tasks there were, those included that were not asked for.
    pub(crate) total: usize,
}

impl<R: Record> Snapshot<R> {
    /// Captures the tasks of `scope`, or those of them that `filter` lists, in `memory`.
    ///
    /// May sleep. Fails with `ENOMEM`, or as [`Recorder::prepare`] does.
    pub(crate) fn capture(
        memory: &Memory,
        scope: Scope,
        filter: Option<&PidList>,
        recorder: &mut impl Recorder<Record = R>,
    ) -> Result<Self> {
        let mut selected = Selected {
            scope,
            filter,
            recorder,
            total: 0,
        };
        let wanted = filter.map(|pids| pids.as_slice().len());
        let mut records = walk::collect(memory, scope, wanted, &mut selected)?;
        let dropped = drop_replaced_leaders(&mut records);

        Ok(Self {
            total: selected.total - dropped,
            records,
        })
    }
}

/// Records those of the threads that were asked for, and counts all.
struct Selected<'a, T> {
    scope: Scope,
    filter: Option<&'a PidList>,
    recorder: &'a mut T,
    total: usize,
}

impl<T: Recorder> Visitor for Selected<'_, T> {
    type Record = T::Record;

    const SECTION: usize = T::SECTION;

    fn prepare(&mut self) -> Result {
        self.recorder.prepare()
    }

    #[inline]
    fn visit(&mut self, task: RcuTask<'_>) -> Option<T::Record> {
        let task = match self.scope {
            Scope::Processes => standing_leader(task),
            Scope::Threads => task,
        };
        let id = ThreadId::of(task);

        self.total += 1;
        match self.filter {
            Some(pids) if !pids.contains(id.pid) => None,
            _ => Some(self.recorder.record(id, task)),
        }
    }

    #[inline]
    fn is_ready(&self) -> bool {
        self.recorder.is_ready()
    }
}

/// Returns the thread that has the PID of `leader`'s process: `leader` itself, unless another is
/// taking over from it at this moment by executing a program.
///
/// That thread gets the PID first, and the place among the processes a little later.
#[inline]
fn standing_leader(leader: RcuTask<'_>) -> RcuTask<'_> {
    if leader.pid() == leader.tgid() {
        return leader;
    }
    leader
        .thread_group()
        .find(|thread| thread.pid() == thread.tgid())
        .unwrap_or(leader)
}

/// Drops the leaders whose PID another thread of their group had taken over before it was captured
/// itself, and returns how many.
///
/// That thread executes a program, the leader dies of it, and a table has one row a PID.
fn drop_replaced_leaders<R: Record>(records: &mut KVVec<R>) -> usize {
    let mut dropped = 0;
    let mut leader = 0;
    let mut at = 0;

    while let Some(record) = records.get(at) {
        let id = record.id();

        if id.pid == id.tgid {
            let is_replaced = at != leader
                && records[leader].id().pid == id.pid
                && records[leader..at]
                    .iter()
                    .all(|other| other.id().tgid == id.tgid);

            if is_replaced && records.remove(leader).is_ok() {
                dropped += 1;
                at -= 1;
            }
            leader = at;
        }
        at += 1;
    }
    dropped
}

#[kunit_tests(taskscope_snapshot)]
mod tests {
    use super::*;

    impl Record for ThreadId {
        fn id(&self) -> ThreadId {
            *self
        }
    }

    #[test]
    fn kinds_come_from_the_flags_alone() {
        assert!(Kind::from_flags(0) == Kind::User);
        assert!(Kind::from_flags(bindings::PF_KTHREAD) == Kind::Kernel);
        assert!(Kind::from_flags(bindings::PF_USER_WORKER) == Kind::Worker);
        assert!(Kind::from_flags(bindings::PF_IO_WORKER) == Kind::Worker);
        assert!(Kind::from_flags(bindings::PF_KTHREAD | bindings::PF_IDLE) == Kind::Idle);
    }

    #[test]
    fn notes() {
        let exiting = bindings::PF_EXITING;
        let kernel = bindings::PF_KTHREAD;

        assert!(Note::new(0, true) == Note::Nothing);
        assert!(Note::new(0, false) == Note::PreExec);
        assert!(Note::new(bindings::PF_IO_WORKER, false) == Note::Nothing);
        assert!(Note::new(exiting, true) == Note::Nothing);
        assert!(Note::new(exiting, false) == Note::Exiting);
        assert!(Note::new(exiting | bindings::PF_IO_WORKER, false) == Note::Exiting);
        assert!(Note::new(kernel, false) == Note::Nothing);
        assert!(Note::new(kernel | exiting, false) == Note::Nothing);
        assert!(Note::new(kernel, true) == Note::BorrowedMm);
    }

    #[test]
    fn a_pid_has_one_row() -> Result {
        let mut records = KVVec::new();

        // In process 2 thread 23 has taken the place of the leader, in process 3 thread 32 has.
        for (tgid, pid) in [
            (1, 1),
            (1, 11),
            (2, 2),
            (2, 21),
            (2, 2),
            (2, 22),
            (3, 32),
            (3, 3),
        ] {
            records.push(ThreadId { tgid, pid }, GFP_KERNEL)?;
        }
        assert_eq!(drop_replaced_leaders(&mut records), 1);
        assert!(records.iter().map(|id| (id.tgid, id.pid)).eq([
            (1, 1),
            (1, 11),
            (2, 21),
            (2, 2),
            (2, 22),
            (3, 32),
            (3, 3)
        ]));
        Ok(())
    }
}
