// SPDX-License-Identifier: GPL-2.0

//! `syscalls`. The system call that each thread is in, as `/proc/PID/syscall` has it.

use crate::{
    abi,
    addresses::{
        HasAddresses,
        Shown, //
    },
    snapshot::{
        Kind,
        Name,
        Record,
        ThreadId, //
    },
    stack::{
        Absent,
        UserState, //
    },
    tasks::RcuTask,
    text::{
        self,
        Column,
        Row, //
    },
    views::{
        rights::may_look,
        task_table::{
            TaskTable,
            View, //
        },
    },
    walk::Scope, //
};
use kernel::prelude::*;

/// The most bytes of a value in hexadecimal.
const HEX: usize = 2 + text::ADDRESS_DIGITS;

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [Column; 13] = [
    Column::number("TGID", 10),
    Column::number("PID", 10),
    Column::number("NR", 11),
    Column::number("ARG0", HEX),
    Column::number("ARG1", HEX),
    Column::number("ARG2", HEX),
    Column::number("ARG3", HEX),
    Column::number("ARG4", HEX),
    Column::number("ARG5", HEX),
    Column::number("SP", HEX),
    Column::number("PC", HEX),
    Column::text("ABI", abi::NAME_MAX),
    Column::text("CALL", abi::CALL_MAX),
];

const TGID: usize = 0;
const PID: usize = 1;
const NR: usize = 2;
const ARG0: usize = 3;
const SP: usize = 9;
const PC: usize = 10;
const ABI: usize = 11;
const CALL: usize = 12;

/// The most bytes that the columns take up.
const ROOM: usize = 256;

/// The table `syscalls`.
pub(crate) type Syscalls = TaskTable<Calls, 13, ROOM>;

/// What a thread is doing for user space.
#[derive(Clone, Copy)]
enum Doing {
    /// It runs, or is about to.
    Running,
    /// It waits in the kernel.
    Waiting(UserState),
    /// It has no user space to do anything for, not yet, or no longer.
    Nothing,
}

impl Doing {
    /// Returns what `task` is doing.
    fn of(task: RcuTask<'_>) -> Self {
        match UserState::of(task) {
            Err(Absent::OnCpu) => Self::Running,
            // Those of a worker are a copy of the registers of the thread that made it.
            Ok(Some(user)) if Kind::from_flags(task.flags()) == Kind::User => Self::Waiting(user),
            _ => Self::Nothing,
        }
    }

    /// Returns the number of the system call; [`None`] when it runs.
    fn nr(&self) -> Option<i32> {
        match self {
            Self::Running => None,
            Self::Waiting(user) => Some(user.nr),
            Self::Nothing => Some(-1),
        }
    }

    /// Returns the table of the system call, and the name in that; [`None`] outside a call.
    fn call(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Waiting(UserState {
                nr, abi: Some(abi), ..
            }) => Some((abi.name(), abi.call(*nr))),
            _ => None,
        }
    }

    /// Returns the values of the columns from ARG0 to PC, where there is any.
    fn values(&self) -> [Option<usize>; 8] {
        let mut values = [None; 8];

        if let Self::Waiting(user) = self {
            if user.nr >= 0 {
                for (value, argument) in values.iter_mut().zip(user.arguments) {
                    *value = Some(argument);
                }
            }
            values[SP - ARG0] = Some(user.stack_pointer);
            values[PC - ARG0] = Some(user.program_counter);
        }
        values
    }
}

/// Returns how many bytes NR takes up.
fn nr_width(nr: Option<i32>) -> usize {
    match nr {
        None => "running".len(),
        Some(nr) => usize::from(nr < 0) + text::digits(nr.unsigned_abs()),
    }
}

/// What the table shows of a thread.
pub(crate) struct CallRecord {
    id: ThreadId,
    doing: Doing,
    name: Name,
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

/// What the table shows.
pub(crate) struct Calls;

impl View<13, ROOM> for Calls {
    type Record = CallRecord;

    const SCOPE: Scope = Scope::Threads;

    const NOUN: &'static str = "threads";

    const COLUMNS: &'static [Column; 13] = &COLUMNS;

    fn permit() -> Result {
        // As for /proc/PID/syscall.
        may_look()
    }

    fn record(id: ThreadId, task: RcuTask<'_>) -> CallRecord {
        CallRecord {
            id,
            doing: Doing::of(task),
            name: Name::of(task),
        }
    }

    fn widths(records: &[CallRecord]) -> [usize; 13] {
        let mut widths = [1; 13];

        for record in records {
            let values = record.doing.values();
            let widest = |width: &mut usize, value: usize| *width = value.max(*width);

            widest(&mut widths[TGID], text::digits(record.id.tgid));
            widest(&mut widths[PID], text::digits(record.id.pid));
            widest(&mut widths[NR], nr_width(record.doing.nr()));
            for (width, value) in widths[ARG0..].iter_mut().zip(values) {
                widest(width, value.map_or(1, text::hexadecimal_width));
            }
            if let Some((abi, call)) = record.doing.call() {
                widest(&mut widths[ABI], abi.len());
                widest(&mut widths[CALL], call.len());
            }
        }
        widths
    }

    fn fill(record: &CallRecord, _: Shown, row: &mut Row<'_, 13, ROOM>) {
        row.decimal(TGID, record.id.tgid);
        row.decimal(PID, record.id.pid);
        match record.doing.nr() {
            Some(nr) => row.signed(NR, nr),
            None => row.word(NR, "running"),
        }
        for (column, value) in (ARG0..).zip(record.doing.values()) {
            match value {
                Some(value) => row.hexadecimal(column, value),
                None => row.word(column, "-"),
            }
        }
        let (abi, call) = record.doing.call().unwrap_or(("-", "-"));

        row.word(ABI, abi);
        row.word(CALL, call);
    }

    fn name(record: &CallRecord) -> &Name {
        &record.name
    }
}

#[kunit_tests(taskscope_syscalls)]
mod tests {
    use super::*;
    use crate::abi::Abi;
    use kernel::bindings;

    /// A thread that waits in call `nr`.
    fn waiting(nr: i32) -> Doing {
        Doing::Waiting(UserState {
            nr,
            abi: Abi::new(bindings::EM_386 as u16, nr),
            arguments: [1, 2, 3, 4, 5, 6],
            stack_pointer: 7,
            program_counter: 8,
        })
    }

    #[test]
    fn arguments_are_those_of_a_call() {
        let none = [None; 8];

        assert_eq!(waiting(0).values(), [1, 2, 3, 4, 5, 6, 7, 8].map(Some));
        assert_eq!(waiting(-1).values()[..6], none[..6]);
        assert_eq!(waiting(-1).values()[6..], [7, 8].map(Some));
        assert_eq!(Doing::Running.values(), none);
        assert_eq!(Doing::Nothing.values(), none);
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
        for (nr, width) in [(Some(0), 1), (Some(-1), 2), (Some(462), 3), (None, 7)] {
            assert_eq!(nr_width(nr), width);
        }
        assert_eq!(nr_width(Some(i32::MIN)), COLUMNS[NR].max);
    }
}
