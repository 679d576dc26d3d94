// SPDX-License-Identifier: GPL-2.0

//! The threads that run in user space, and a visit to each of them in its address space.
//!
//! [`UserThreads::capture`] walks the task list, and takes a reference to each of the threads.
//! After that, [`UserThread::visit`] looks at one thread at a time, and may sleep.
//! [`crate::abstractions::mm`] says which references and locks are held meanwhile.

use crate::abstractions::mm::{
    self,
    AddressSpace,
    LockBudget,
    Use,
    UserContext, //
};
use crate::abstractions::registers::UserRegisters;
use crate::abstractions::spare::Lent;
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use crate::capture::snapshot::{
    Memory,
    Record,
    Recorder,
    Snapshot,
    ThreadId, //
};
use crate::capture::task_record::Kind;
use crate::capture::walk::Scope;
use crate::text::name::COMM_LEN;
use crate::text::pid_list::PidList;
use crate::text::value::{
    Cell,
    Value, //
};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::rcu;
use kernel::task::Task;

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

/// Whether a row about the user space of a thread is valid, and why not: column VALID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Valid {
    /// The row is valid.
    Ok,
    /// The thread ran on a CPU.
    OnCpu,
    /// The thread was executing a program.
    Exec,
    /// The thread has given up its address space, or has not got one yet.
    NoMm,
    /// Writers were changing a mapping for too long.
    Locked,
    /// The stack pointer lies in no mapping.
    Unmapped,
    /// There are guard pages inside the mapping of the stack: its start is unknown.
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

impl Cell for Valid {
    #[inline(always)]
    fn value(self) -> Value {
        Value::Word(self.name())
    }
}

/// The threads that run in user space, in the order of the task list.
pub(crate) struct UserThreads {
    /// The threads that were asked for.
    pub(crate) threads: Lent<UserThread>,
    /// The number of threads that never run in user space.
    pub(crate) others: usize,
    /// The number of threads that were left out because they were not asked for.
    pub(crate) left_out: usize,
}

impl UserThreads {
    /// Captures the tasks of `scope`, or those of them that `filter` lists, in `memory`.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if the caller is being killed.
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

        // Another turn means that the thread which was found has given up the address space
        // meanwhile.
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

    /// Calls `look` with the address space and the registers of the thread, if the thread has both
    /// and does not run. Returns the result of `look`, or why it is not valid; and the switch count
    /// of that standstill. If the result is not valid because the thread ran, the switch count is
    /// one from before anything else was read.
    ///
    /// May sleep, for as long as `budget` lasts.
    ///
    /// # Errors
    ///
    /// `EINTR` if the reader has been killed, or as `look` does. `EAGAIN` of `look` is no error,
    /// but [`Valid::Locked`].
    pub(crate) fn visit(
        &self,
        budget: &mut LockBudget,
        look: impl FnOnce(&AddressSpace, &UserRegisters, &mut LockBudget) -> Result<Valid>,
    ) -> Result<(Valid, SwitchCount)> {
        budget.check()?;
        let Some(task) = &self.task else {
            return Ok((Valid::NoMm, SwitchCount::default()));
        };
        let first = SwitchCount::now(RcuTask::of(task, &rcu::read_lock()));
        let Some(space) = AddressSpace::of(task) else {
            return Ok((Valid::NoMm, first));
        };

        let valid = match space.user_context(task, budget) {
            UserContext::Gone => Valid::NoMm,
            UserContext::Executing => Valid::Exec,
            UserContext::OnCpu => Valid::OnCpu,
            UserContext::Saved(registers, switches) => {
                let valid = match look(&space, &registers, budget) {
                    Err(error) if error == EAGAIN => Valid::Locked,
                    valid => valid?,
                };

                if mm::has_not_run(task, switches, budget) {
                    return Ok((valid, switches));
                }
                // `look` may have read a mixture.
                Valid::OnCpu
            }
        };

        Ok((valid, first))
    }
}
