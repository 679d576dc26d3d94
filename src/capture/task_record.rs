// SPDX-License-Identifier: GPL-2.0

//! What `processes` and `threads` show of a task: its numbers, its users, its kind, and NOTE.

use crate::abstractions::spare::Spare;
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use crate::capture::addresses::HasAddresses;
use crate::capture::snapshot::{
    Memory,
    Record,
    ThreadId, //
};
use crate::text::name::{
    Name,
    COMM_LEN, //
};
use crate::text::value::{
    Cell,
    Value, //
};
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The kind of a thread, by its `PF_*` flags alone. The text of column KIND.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A thread of a user program.
    User,
    /// A kernel thread: `PF_KTHREAD`.
    Kernel,
    /// A thread of a user program that runs in the kernel only: `PF_USER_WORKER` or `PF_IO_WORKER`.
    Worker,
    /// The idle task of a CPU, or a kernel thread that idles instead of it: `PF_IDLE`.
    Idle,
}

impl Kind {
    /// Returns the kind of a task with these `PF_*` flags.
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

    /// Returns the word for this kind.
    #[inline]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Kernel => "kernel",
            Self::Worker => "worker",
            Self::Idle => "idle",
        }
    }

    /// Returns whether a thread of this kind never runs in user space.
    #[inline]
    pub(crate) fn is_kernel(self) -> bool {
        matches!(self, Self::Kernel | Self::Idle)
    }
}

/// Why the [`Kind`] of a task and its address space seem to disagree. The text of column NOTE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// They do not.
    Nothing,
    /// A thread of a user program that has given up its address space, because it exits.
    Exiting,
    /// A kernel thread that has borrowed the address space of a user program.
    BorrowedMm,
    /// A thread that the kernel has made to execute a user program (`user_mode_thread()`). It has
    /// no address space yet.
    PreExec,
}

impl Note {
    /// Returns the note for a task with these `PF_*` flags, and with or without an address space.
    /// The caller reads the flags after the address space.
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

    /// Returns the word for this note.
    #[inline]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "-",
            Self::Exiting => "exiting",
            Self::BorrowedMm => "borrowed-mm",
            Self::PreExec => "pre-exec",
        }
    }
}

impl Cell for Kind {
    const WIDTH: Option<usize> = Some(Self::Kernel.name().len());

    #[inline(always)]
    fn value(self) -> Value {
        Value::Word(self.name())
    }
}

impl Cell for Note {
    #[inline(always)]
    fn value(self) -> Value {
        Value::Word(self.name())
    }
}

/// Whether a task has an address space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HasMm(pub(crate) bool);

impl HasMm {
    /// Returns the word for it.
    #[inline]
    pub(crate) const fn name(self) -> &'static str {
        if self.0 {
            "set"
        } else {
            "NULL"
        }
    }
}

impl Cell for HasMm {
    const WIDTH: Option<usize> = Some(Self(false).name().len());

    #[inline(always)]
    fn value(self) -> Value {
        Value::Word(self.name())
    }
}

/// Returns the name that `task` has at this moment.
#[inline]
pub(crate) fn name_of(task: RcuTask<'_>) -> Name {
    Name {
        comm: task.comm(),
        bracketed: Kind::from_flags(task.flags()).is_kernel(),
    }
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
    /// The CPU that the thread runs on, or ran on last.
    pub(crate) cpu: u32,
    /// How often the thread had been switched away from before the rest was read.
    pub(crate) switches: SwitchCount,
    /// When the thread was born, in nanoseconds since boot.
    pub(crate) start: u64,
    /// The address of the `struct task_struct`, and the lowest address of the kernel stack.
    addresses: [usize; 2],
    /// The name, without brackets.
    comm: [u8; COMM_LEN],
    /// The state letter of `/proc/PID/stat`.
    pub(crate) state: u8,
    /// Whether there is an address space.
    pub(crate) has_mm: HasMm,
    /// The kind of thread.
    pub(crate) kind: Kind,
    /// Why the kind and the address space seem to disagree.
    pub(crate) note: Note,
}

impl TaskRecord {
    /// Records what `task`, whose numbers are `id`, is at this moment. Does not sleep.
    #[inline(always)]
    pub(crate) fn new(id: ThreadId, task: RcuTask<'_>) -> Self {
        // What is read after this is at least as new as the count.
        let switches = SwitchCount::now(task);
        let credentials = task.credentials();
        // In this order: a task sets `PF_EXITING` before it gives up its address space.
        let has_mm = task.has_mm();
        let flags = task.flags();
        let kind = Kind::from_flags(flags);

        Self {
            id,
            ppid: task.ppid().unsigned_abs(),
            uid: credentials.uid,
            euid: credentials.euid,
            nr_threads: task.nr_threads(),
            cpu: task.cpu(),
            switches,
            start: task.start_boottime(),
            addresses: [
                task.address(),
                task.stack().map_or(0, |stack| stack.addr().get()),
            ],
            comm: task.comm(),
            state: task.state(),
            has_mm: HasMm(has_mm),
            kind,
            note: Note::new(flags, has_mm),
        }
    }

    /// Returns the name.
    #[inline(always)]
    pub(crate) fn name(&self) -> Name {
        Name {
            comm: self.comm,
            bracketed: self.kind.is_kernel(),
        }
    }

    /// Returns the address of the `struct task_struct`, or what is shown for it.
    #[inline(always)]
    pub(crate) fn task_struct(&self) -> usize {
        self.addresses[0]
    }

    /// Returns the lowest address of the kernel stack, or what is shown for it; 0 after the stack
    /// has been released.
    #[inline(always)]
    pub(crate) fn stack(&self) -> usize {
        self.addresses[1]
    }
}

impl Record for TaskRecord {
    #[inline]
    fn id(&self) -> ThreadId {
        self.id
    }

    fn spare(memory: &Memory) -> Option<&Arc<Spare<Self>>> {
        Some(&memory.tasks)
    }
}

impl HasAddresses for TaskRecord {
    #[inline]
    fn addresses(&mut self) -> &mut [usize] {
        &mut self.addresses
    }
}

#[kunit_tests(taskscope_task_record)]
mod tests {
    use super::*;

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
}
