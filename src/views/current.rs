// SPDX-License-Identifier: GPL-2.0

//! `current`. The thread that opens the file, a `key: value` line for each thing it is.

use crate::{
    addresses::{
        self,
        Addresses,
        Shown, //
    },
    context::Context,
    line::Line,
    seq::{
        ReadOnly,
        Table, //
    },
    snapshot::{
        TaskRecord,
        ThreadId, //
    },
    state::State,
    sys,
    tasks::{
        self,
        RcuTask, //
    },
    text,
    views::threads::padded_mm_name, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Writes one value of a [`Current`].
type Write = fn(&Current, &mut Line<'_>);

/// The keys, in the order in which they are shown, and how the value of each is written.
static ROWS: [(&str, Write); 17] = [
    ("comm", |current, line| {
        current.record.name.add_to(line);
    }),
    ("pid", |current, line| {
        text::add_decimal(line, current.record.id.pid);
    }),
    ("tgid", |current, line| {
        text::add_decimal(line, current.record.id.tgid);
    }),
    ("ppid", |current, line| {
        text::add_decimal(line, current.record.ppid);
    }),
    ("uid", |current, line| {
        text::add_decimal(line, current.record.uid);
    }),
    ("euid", |current, line| {
        text::add_decimal(line, current.record.euid);
    }),
    ("state", |current, line| line.byte(current.record.state)),
    ("kind", |current, line| {
        line.bytes(current.record.kind.padded_name().trim_ascii_end());
    }),
    ("mm", |current, line| {
        line.bytes(padded_mm_name(current.record.has_mm).trim_ascii_end());
    }),
    ("cpu", |current, line| {
        text::add_decimal(line, current.cpu);
    }),
    ("in_task", |current, line| {
        line.bytes(if current.context.in_task {
            b"yes"
        } else {
            b"no"
        });
    }),
    ("preempt_count", |current, line| {
        text::add_hexadecimal(line, current.context.preempt_count);
    }),
    ("task_struct", |current, line| {
        line.bytes(&current.shown.text(current.record.addresses[0]));
    }),
    ("task_struct_size", |_, line| {
        text::add_count(line, tasks::TASK_STRUCT_SIZE);
    }),
    ("stack_start", |current, line| {
        line.bytes(&current.shown.text(current.record.addresses[1]));
    }),
    ("stack_size", |_, line| {
        text::add_count(line, sys::thread_size());
    }),
    ("stack_used", |current, line| {
        text::add_count(line, current.stack_used);
    }),
];

/// The table `current`.
pub(crate) struct Current {
    record: TaskRecord,
    cpu: u32,
    context: Context,
    stack_used: usize,
    shown: Shown,
}

impl Current {
    /// Captures the caller, and the context that it runs in. May sleep.
    ///
    /// Without `addresses` to say how addresses are shown, they are hashed.
    pub(crate) fn capture(addresses: Option<&Addresses>) -> Self {
        // These come first, for the RCU read lock may show in `preempt_count`.
        let cpu = sys::cpu();
        let context = Context::now();
        let stack_pointer = sys::stack_pointer();
        let mut records = [{
            let guard = rcu::read_lock();
            let task = RcuTask::current(&guard);

            TaskRecord::new(ThreadId::of(task), task)
        }];
        let [TaskRecord {
            addresses: [_, stack],
            ..
        }] = records;

        Self {
            shown: match addresses {
                Some(addresses) => addresses.show_once(&mut records),
                None => addresses::hash(&mut records),
            },
            record: records[0],
            cpu,
            context,
            stack_used: stack
                .wrapping_add(sys::thread_size())
                .saturating_sub(stack_pointer),
        }
    }

    /// Writes the essentials into one line, without an end, for the kernel's log.
    pub(crate) fn summarize(&self, line: &mut Line<'_>) {
        for key in [
            "pid",
            "tgid",
            "uid",
            "euid",
            "comm",
            "task_struct",
            "stack_start",
            "task_struct_size",
        ] {
            if let Some((_, write)) = ROWS.iter().find(|(name, _)| *name == key) {
                if !line.as_bytes().is_empty() {
                    line.byte(b' ');
                }
                line.bytes(key.as_bytes());
                line.byte(b'=');
                write(self, line);
            }
        }
    }
}

impl Table for Current {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        Ok(Self::capture(Some(&state.addresses)))
    }

    fn rows(&self) -> usize {
        ROWS.len()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let (key, write) = ROWS[at];

        line.bytes(key.as_bytes());
        line.bytes(b": ");
        write(self, line);
        line.byte(b'\n');
    }
}
