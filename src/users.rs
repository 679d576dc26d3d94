// SPDX-License-Identifier: GPL-2.0

//! The threads that run in user space, and a visit to each of them in its address space.
//!
//! [`UserThreads::capture`] is the pass over the task list; [`UserThreads::visit`] comes after it,
//! thread by thread, and may sleep. See [`crate::mm`] for what is held meanwhile.

use crate::{
    mm::{
        AddressSpace,
        LockBudget,
        Standing,
        Use, //
    },
    pid_list::PidList,
    snapshot::{
        Kind,
        Record,
        Recorder,
        Snapshot,
        ThreadId, //
    },
    spare::Lent,
    sys::UserRegisters,
    tasks::RcuTask,
    text::COMM_LEN,
    walk::{
        Memory,
        Scope, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        rcu, //
    },
    task::Task, //
};

/// A thread, and a reference to it.
pub(crate) struct UserThread {
    /// Its numbers.
    pub(crate) id: ThreadId,
    /// Its name.
    pub(crate) comm: [u8; COMM_LEN],
    /// The soft and the hard limit of its process's stack, in bytes.
    pub(crate) stack_limits: [u64; 2],
    /// [`None`] for a thread that never runs in user space.
    task: Option<ARef<Task>>,
}

impl Record for UserThread {
    fn id(&self) -> ThreadId {
        self.id
    }
}

/// What a row about a thread's user space is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Valid {
    /// It is true.
    Ok,
    /// The thread ran on a processor.
    OnCpu,
    /// The thread was executing a program.
    Exec,
    /// The thread has given up its address space, or has not got one yet.
    NoMm,
    /// Others were changing a mapping for too long.
    Locked,
    /// The stack pointer lies in no mapping.
    Unmapped,
    /// There are guard pages inside the mapping of the stack, which hide where it begins.
    Guarded,
    /// The stack is in more pieces than are looked at.
    Pieces,
}

impl Valid {
    /// Returns the word for this.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OnCpu => "on-cpu",
            Self::Exec => "exec",
            Self::NoMm => "no-mm",
            Self::Locked => "locked",
            Self::Unmapped => "unmapped",
            Self::Guarded => "guarded",
            Self::Pieces => "pieces",
        }
    }
}

/// The threads that run in user space, in the order of the task list.
pub(crate) struct UserThreads {
    /// Those that were asked for.
    pub(crate) threads: Lent<UserThread>,
    /// How many never run in user space.
    pub(crate) others: usize,
    /// How many were left out because they were not asked for.
    pub(crate) left_out: usize,
}

impl UserThreads {
    /// Captures the tasks of `scope`, or those of them that `filter` lists, in `memory`.
    ///
    /// May sleep. Fails with `ENOMEM`, or with `EINTR` if the caller is being killed.
    pub(crate) fn capture(memory: &Memory, scope: Scope, filter: Option<&PidList>) -> Result<Self> {
        let snapshot = Snapshot::capture(memory, scope, filter, &mut Pinning)?;
        let left_out = snapshot.total - snapshot.records.len();
        let mut threads = snapshot.records;
        let all = threads.len();

        threads.retain(|thread| thread.task.is_some());
        Ok(Self {
            others: all - threads.len(),
            threads,
            left_out,
        })
    }
}

/// Records threads, and takes a reference to each that runs in user space.
struct Pinning;

impl Recorder for Pinning {
    type Record = UserThread;

    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> UserThread {
        let is_user = Kind::from_flags(task.flags()) == Kind::User;

        UserThread {
            id,
            comm: task.comm(),
            stack_limits: task.stack_limits(),
            task: is_user.then(|| task.pin()),
        }
    }
}

impl UserThread {
    /// Returns the address space of the thread's process, and whether a program has been loaded
    /// into it; [`None`] once no thread of the process has one.
    ///
    /// The thread itself may be dead: a process lives as long as any thread does. May sleep on
    /// `PREEMPT_RT`.
    ///
    /// # Errors
    ///
    /// `EINTR` if the reader has been killed.
    pub(crate) fn process_space(&self, budget: &LockBudget) -> Result<Option<(AddressSpace, Use)>> {
        let Some(thread) = self.task.as_ref() else {
            return Ok(None);
        };

        // Each further turn is for one that has died since the turn before.
        loop {
            budget.check()?;
            let holder = {
                let guard = rcu::read_lock();
                let mut group = RcuTask::of(thread, &guard).thread_group();

                group.find(|thread| thread.has_mm()).map(RcuTask::pin)
            };
            let Some(holder) = holder else {
                return Ok(None);
            };

            if let Some(space) = AddressSpace::of(&holder) {
                match space.use_by(&holder) {
                    Use::Gone => {}
                    found => return Ok(Some((space, found))),
                }
            }
        }
    }

    /// Calls `look` with the thread's address space and the thread's registers, if it has both and
    /// does not run; returns what its result is worth.
    ///
    /// Sleeps, for as long as `budget` lasts.
    ///
    /// # Errors
    ///
    /// `EINTR` if the reader has been killed, or as `look` does. `EAGAIN` of `look` is no error, but
    /// [`Valid::Locked`].
    pub(crate) fn visit(
        &self,
        budget: &mut LockBudget,
        look: impl FnOnce(&AddressSpace, &UserRegisters, &mut LockBudget) -> Result<Valid>,
    ) -> Result<Valid> {
        budget.check()?;
        let Some(task) = &self.task else {
            return Ok(Valid::NoMm);
        };
        let Some(space) = AddressSpace::of(task) else {
            return Ok(Valid::NoMm);
        };

        match space.standing(task, budget) {
            Standing::Gone => Ok(Valid::NoMm),
            Standing::Executing => Ok(Valid::Exec),
            Standing::OnCpu => Ok(Valid::OnCpu),
            Standing::At(registers, moment) => {
                let valid = match look(&space, &registers, budget) {
                    Err(error) if error == EAGAIN => Valid::Locked,
                    valid => valid?,
                };

                // What was read of a thread that has run meanwhile is of no one moment.
                Ok(if space.is_still(task, moment, budget) {
                    valid
                } else {
                    Valid::OnCpu
                })
            }
        }
    }
}
