// SPDX-License-Identifier: GPL-2.0

//! The system call that a thread is in, for `syscalls`; and the one that the caller is in, for
//! SOURCE of `contexts`.

use crate::abstractions::registers::{
    self,
    RegisterBuffer, //
};
use crate::abstractions::stack::{
    Absent,
    UserState, //
};
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use crate::capture::abi::Abi;
use crate::capture::addresses::HasAddresses;
use crate::capture::snapshot::{
    Record,
    ThreadId, //
};
use crate::capture::task_record::{
    name_of, //
    Kind,
};
use crate::text::name::Name;
use kernel::prelude::*;
use kernel::sync::rcu;

/// What a thread is doing for user space.
#[derive(Clone, Copy)]
pub(crate) enum Doing {
    /// It runs, or is about to.
    Running,
    /// It waits in the kernel, and is in a system call of this table, if it is in one.
    Waiting(UserState, Option<Abi>),
    /// It has no user space to do anything for, not yet, or no longer.
    Nothing,
}

impl Doing {
    /// Returns what `task` is doing, and the switch count of `task` when that was found.
    fn of(task: RcuTask<'_>) -> (SwitchCount, Self) {
        let (switches, state) = UserState::of(task);
        let doing = match state {
            Err(Absent::OnCpu) => Self::Running,
            // Those of a worker are a copy of the registers of the thread that made it.
            Ok(Some(user)) if Kind::from_flags(task.flags()) == Kind::User => {
                Self::Waiting(user, Abi::new(user.machine, user.nr))
            }
            _ => Self::Nothing,
        };

        (switches, doing)
    }

    /// Returns the number of the system call; [`None`] when it runs.
    pub(crate) fn nr(&self) -> Option<i32> {
        match self {
            Self::Running => None,
            Self::Waiting(user, _) => Some(user.nr),
            Self::Nothing => Some(-1),
        }
    }

    /// Returns the table of the system call, and the name in that; [`None`] outside a call.
    pub(crate) fn call(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Waiting(user, Some(abi)) => Some((abi.name(), abi.call(user.nr))),
            _ => None,
        }
    }

    /// Returns the arguments of the system call; [`None`] outside a call.
    pub(crate) fn arguments(&self) -> Option<[usize; 6]> {
        match self {
            Self::Waiting(user, _) if user.nr >= 0 => Some(user.arguments),
            _ => None,
        }
    }

    /// Returns the stack pointer in user space, if it is known.
    pub(crate) fn stack_pointer(&self) -> Option<usize> {
        match self {
            Self::Waiting(user, _) => Some(user.stack_pointer),
            _ => None,
        }
    }

    /// Returns the program counter in user space, if it is known.
    pub(crate) fn program_counter(&self) -> Option<usize> {
        match self {
            Self::Waiting(user, _) => Some(user.program_counter),
            _ => None,
        }
    }
}

/// Returns the number of the system call that the caller is in, and its name or `-`. [`None`] if
/// the caller is not a thread of a user program, or is in no system call. Task context.
pub(crate) fn current_call() -> Option<(i32, &'static str)> {
    let guard = rcu::read_lock();
    let current = RcuTask::current(&guard);
    let mut buffer = RegisterBuffer::new();

    // The registers of a worker are a copy, as in `Doing::of()`.
    if Kind::from_flags(current.flags()) != Kind::User {
        return None;
    }
    let saved = buffer.copy_from(current).filter(|saved| saved.is_user())?;
    let nr = saved.syscall_nr(current);
    let abi = Abi::new(registers::syscall_machine(current), nr)?;

    Some((nr, abi.call(nr)))
}

/// What `syscalls` shows of a thread.
pub(crate) struct CallRecord {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// How often the thread had been switched away from when `doing` was found.
    pub(crate) switches: SwitchCount,
    /// What it is doing.
    pub(crate) doing: Doing,
    /// The name of the thread.
    pub(crate) name: Name,
}

impl CallRecord {
    /// Records what `task`, whose numbers are `id`, is doing. Does not sleep.
    pub(crate) fn new(id: ThreadId, task: RcuTask<'_>) -> Self {
        let (switches, doing) = Doing::of(task);

        Self {
            id,
            switches,
            doing,
            name: name_of(task),
        }
    }
}

impl Record for CallRecord {
    fn id(&self) -> ThreadId {
        self.id
    }
}

impl HasAddresses for CallRecord {
    /// There are none of the kernel.
    fn addresses(&mut self) -> &mut [usize] {
        &mut []
    }
}

#[kunit_tests(taskscope_syscalls)]
mod tests {
    use super::*;
    use kernel::bindings;

    /// A thread that waits in call `nr`.
    fn waiting(nr: i32) -> Doing {
        let machine = bindings::EM_386 as u16;
        let user = UserState {
            nr,
            machine,
            arguments: [1, 2, 3, 4, 5, 6],
            stack_pointer: 7,
            program_counter: 8,
        };

        Doing::Waiting(user, Abi::new(machine, nr))
    }

    #[test]
    fn arguments_are_those_of_a_call() {
        assert_eq!(waiting(0).arguments(), Some([1, 2, 3, 4, 5, 6]));
        assert_eq!(waiting(-1).arguments(), None);
        for nr in [0, -1] {
            assert_eq!(waiting(nr).stack_pointer(), Some(7));
            assert_eq!(waiting(nr).program_counter(), Some(8));
        }
        for other in [Doing::Running, Doing::Nothing] {
            assert_eq!(other.arguments(), None);
            assert_eq!(other.stack_pointer(), None);
            assert_eq!(other.program_counter(), None);
        }
    }

    #[test]
    fn a_table_is_that_of_a_call() {
        assert_eq!(waiting(29).call().map(|(abi, _)| abi), Some("i386"));
        assert_eq!(waiting(-1).call(), None);
        assert_eq!(Doing::Running.call(), None);
        assert_eq!(Doing::Nothing.call(), None);
    }

    #[test]
    fn numbers() {
        assert_eq!(waiting(35).nr(), Some(35));
        assert_eq!(Doing::Nothing.nr(), Some(-1));
        assert_eq!(Doing::Running.nr(), None);
    }
}
