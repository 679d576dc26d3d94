// SPDX-License-Identifier: GPL-2.0

//! `syscalls`: the system call that each thread is in, as `/proc/PID/syscall` has it.

use crate::abstractions::capability::Capability;
use crate::abstractions::tasks::RcuTask;
use crate::capture::snapshot::{
    Recorder,
    ThreadId, //
};
use crate::capture::system_calls::CallRecord;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::value::{
    Cell,
    Hexadecimal,
    Value, //
};
use crate::views::task_table::{
    TaskRow,
    TaskTable, //
};
use kernel::prelude::*;

/// The table `syscalls`.
pub(crate) type Syscalls = TaskTable<Calls>;

/// Records system calls.
#[derive(Default)]
pub(crate) struct Calls;

impl Recorder for Calls {
    type Record = CallRecord;

    /// As for `/proc/PID/syscall`.
    fn permit() -> Result {
        Capability::SysPtrace.require()
    }

    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> CallRecord {
        CallRecord::new(id, task)
    }
}

impl Row for TaskRow<'_, CallRecord> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |thread| thread.id.tgid);
        columns.number("PID", |thread| thread.id.pid);
        columns.number("SWITCHES", |thread| thread.switches.get());
        columns.number("NR", |thread| {
            thread
                .doing
                .nr()
                .map_or(Value::Word("running"), Cell::value)
        });
        for (number, name) in ["ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARG5"]
            .into_iter()
            .enumerate()
        {
            columns.number(name, |thread| {
                thread
                    .doing
                    .arguments()
                    .map(|arguments| Hexadecimal(arguments[number]))
            });
        }
        columns.number("SP", |thread| thread.doing.stack_pointer().map(Hexadecimal));
        columns.number("PC", |thread| {
            thread.doing.program_counter().map(Hexadecimal)
        });
        columns.text("ABI", |thread| thread.doing.call().map(|(abi, _)| abi));
        columns.text("CALL", |thread| thread.doing.call().map(|(_, call)| call));
        columns.name("COMM", |thread| thread.name);
    }
}
