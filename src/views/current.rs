// SPDX-License-Identifier: GPL-2.0

//! `current`: the thread that opens the file, in lines of `key: value`.

use crate::abstractions::context::Context;
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::abstractions::stack;
use crate::abstractions::tasks::{
    self,
    RcuTask, //
};
use crate::capture::addresses::{
    self,
    Addresses, //
};
use crate::capture::snapshot::ThreadId;
use crate::capture::task_record::TaskRecord;
use crate::state::State;
use crate::text::kernel_address::Shown;
use crate::text::line::Line;
use core::fmt::{
    self,
    Display, //
};
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::rcu;

/// The table `current`.
pub(crate) struct Current {
    record: TaskRecord,
    cpu: u32,
    context: Context,
    stack_used: usize,
    shown: Shown,
}

impl Current {
    /// Captures the calling thread and its context. Addresses are shown as `addresses` says, or
    /// else hashed. Task context. Does not sleep.
    pub(crate) fn capture(addresses: Option<&Addresses>) -> Self {
        // These come first, because the RCU read lock can change `preempt_count`.
        let cpu = CpuId::current().as_u32();
        let context = Context::now();
        let stack_pointer = stack::stack_pointer();
        let mut records = [{
            let guard = rcu::read_lock();
            let task = RcuTask::current(&guard);

            TaskRecord::new(ThreadId::of(task), task)
        }];
        let stack = records[0].stack();

        Self {
            shown: match addresses {
                Some(addresses) => addresses.show_once(&mut records),
                None => addresses::hash(&mut records),
            },
            record: records[0],
            cpu,
            context,
            stack_used: stack
                .wrapping_add(stack::thread_size())
                .saturating_sub(stack_pointer),
        }
    }
}

/// The most important values, in one line for the kernel's log.
impl Display for Current {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let task = self.shown.address(record.task_struct());
        let stack = self.shown.address(record.stack());
        let size = tasks::TASK_STRUCT_SIZE;

        write!(
            text,
            "pid={} tgid={} uid={} euid={} comm={} ",
            record.id.pid,
            record.id.tgid,
            record.uid,
            record.euid,
            record.name()
        )?;
        write!(
            text,
            "task_struct={task} stack_start={stack} task_struct_size={size}"
        )
    }
}

impl Table for Current {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        Ok(Self::capture(Some(&state.addresses)))
    }

    fn header(&self, line: &mut Line<'_>) {
        let preempt_count = self.context.preempt_count;
        let mut add = |key: &str, value: &dyn Display| writeln!(line, "{key}: {value}");

        add("comm", &self.record.name());
        add("pid", &self.record.id.pid);
        add("tgid", &self.record.id.tgid);
        add("ppid", &self.record.ppid);
        add("uid", &self.record.uid);
        add("euid", &self.record.euid);
        add("state", &char::from(self.record.state));
        add("kind", &self.record.kind.name());
        add("mm", &self.record.has_mm.name());
        add("cpu", &self.cpu);
        add("in_task", &if self.context.in_task { "yes" } else { "no" });
        add("preempt_count", &format_args!("{preempt_count:08x}"));
        add(
            "task_struct",
            &self.shown.address(self.record.task_struct()),
        );
        add("task_struct_size", &tasks::TASK_STRUCT_SIZE);
        add("stack_start", &self.shown.address(self.record.stack()));
        add("stack_size", &stack::thread_size());
        add("stack_used", &self.stack_used);
    }
}
