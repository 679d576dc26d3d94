// SPDX-License-Identifier: GPL-2.0

//! `kstacks`: the kernel stack of every thread, how much of it is in use, and the lock that the
//! thread waits for.

use crate::abstractions::blocker;
use crate::abstractions::tasks::RcuTask;
use crate::capture::kernel_stacks::KernelStackRecord;
use crate::capture::snapshot::{
    Recorder,
    ThreadId, //
};
use crate::text::columns::{
    Columns,
    Row, //
};
use crate::views::task_table::{
    TaskRow,
    TaskTable, //
};

/// The table `kstacks`.
pub(crate) type Kstacks = TaskTable<KernelStacks>;

/// Records kernel stacks.
#[derive(Default)]
pub(crate) struct KernelStacks;

impl Recorder for KernelStacks {
    type Record = KernelStackRecord;

    const MISSING: Option<&'static str> = if blocker::IS_RECORDED {
        None
    } else {
        Some("BLOCKED_BY is not known: the kernel has no CONFIG_DETECT_HUNG_TASK_BLOCKER")
    };

    #[inline]
    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> KernelStackRecord {
        KernelStackRecord::new(id, task)
    }
}

impl Row for TaskRow<'_, KernelStackRecord> {
    #[inline(always)]
    fn columns(columns: &mut impl Columns<Self>) {
        columns.number("TGID", |stack| stack.id.tgid);
        columns.number("PID", |stack| stack.id.pid);
        columns.number("SWITCHES", |stack| stack.switches.get());
        columns.text("BASE", |stack| stack.shown.address(stack.base[0]));
        columns.number("SIZE", |stack| (stack.base[0] != 0).then_some(stack.size));
        columns.number("USED", |stack| stack.used.bytes());
        columns.text("VALID", |stack| stack.used);
        columns.text("BLOCKED_BY", |stack| stack.blocked_by);
        columns.name("COMM", |stack| stack.name);
    }
}
