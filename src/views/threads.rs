// SPDX-License-Identifier: GPL-2.0

//! `processes` has a row for the leader of each process. `threads` has swapper/0, and then each
//! thread, process by process.

use crate::abstractions::tasks::RcuTask;
use crate::capture::snapshot::{
    Recorder,
    ThreadId, //
};
use crate::capture::task_record::TaskRecord;
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::value::Letter;
use crate::views::task_table::{
    TaskRow,
    TaskTable, //
};

/// The table `processes`.
pub(crate) type Processes = TaskTable<Tasks, true>;

/// The table `threads`.
pub(crate) type Threads = TaskTable<Tasks>;

/// Records tasks.
#[derive(Default)]
pub(crate) struct Tasks;

impl Recorder for Tasks {
    type Record = TaskRecord;

    #[inline]
    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> TaskRecord {
        TaskRecord::new(id, task)
    }
}

impl Row for TaskRow<'_, TaskRecord> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |task| task.id.tgid);
        columns.number("PID", |task| task.id.pid);
        columns.number("PPID", |task| task.ppid);
        columns.number("UID", |task| task.uid);
        columns.number("EUID", |task| task.euid);
        columns.text("S", |task| Letter(task.state));
        columns.text("KIND", |task| task.kind);
        columns.text("MM", |task| task.has_mm);
        columns.number("NTHR", |task| task.nr_threads);
        columns.number("CPU", |task| task.cpu);
        columns.number("SWITCHES", |task| task.switches.get());
        columns.number("START", |task| task.start);
        columns.text("TASK", |task| task.shown.address(task.task_struct()));
        columns.text("STACK", |task| task.shown.address(task.stack()));
        columns.text("NOTE", |task| task.note);
        columns.name("COMM", |task| task.name());
    }
}
