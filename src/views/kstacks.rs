// SPDX-License-Identifier: GPL-2.0

//! `kstacks`. The kernel stack of every thread, and how much of it is in use.

use crate::{
    addresses::{
        HasAddresses,
        Shown, //
    },
    snapshot::{
        Name,
        Record,
        ThreadId, //
    },
    stack::{
        Absent,
        KernelStack, //
    },
    sys,
    tasks::RcuTask,
    text::{
        self,
        Column,
        Row,
        ADDRESS_DIGITS,
        ROW_MAX, //
    },
    views::task_table::{
        TaskTable,
        View, //
    },
    walk::Scope, //
};
use kernel::prelude::*;

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [Column; 6] = [
    Column::number("TGID", 10),
    Column::number("PID", 10),
    Column::text("BASE", ADDRESS_DIGITS),
    Column::number("SIZE", 10),
    Column::number("USED", 10),
    Column::text("VALID", 8),
];

const TGID: usize = 0;
const PID: usize = 1;
const BASE: usize = 2;
const SIZE: usize = 3;
const USED: usize = 4;
const VALID: usize = 5;

/// The table `kstacks`.
pub(crate) type Kstacks = TaskTable<KernelStacks, 6>;

/// What the table shows of a thread.
pub(crate) struct KernelStackRecord {
    id: ThreadId,
    /// The size of the stack in bytes.
    size: u32,
    /// How many bytes of it are in use, or why that is unknown.
    used: Result<u32, Unknown>,
    /// The lowest address, or what is shown for it.
    base: [usize; 1],
    name: Name,
}

/// Why it is unknown how much of a stack is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// The stack cannot be looked at.
    Absent(Absent),
    /// The stack pointer lies outside: the thread was interrupted on a stack of the firmware.
    Outside,
}

impl Unknown {
    /// Returns the word for it.
    fn name(self) -> &'static str {
        match self {
            Self::Absent(absent) => absent.name(),
            Self::Outside => "outside",
        }
    }
}

/// Says how many bytes of `stack`, which has `size`, are in use.
#[inline]
fn used(stack: &KernelStack, size: usize) -> Result<u32, Unknown> {
    stack.pointer.map_err(Unknown::Absent)?;
    stack
        .used(size)
        .and_then(|used| u32::try_from(used).ok())
        .ok_or(Unknown::Outside)
}

impl Record for KernelStackRecord {
    #[inline]
    fn id(&self) -> ThreadId {
        self.id
    }
}

impl HasAddresses for KernelStackRecord {
    #[inline]
    fn addresses(&mut self) -> &mut [usize] {
        &mut self.base
    }
}

/// What the table shows.
pub(crate) struct KernelStacks;

impl View<6, ROW_MAX> for KernelStacks {
    type Record = KernelStackRecord;

    const SCOPE: Scope = Scope::Threads;

    const NOUN: &'static str = "threads";

    const COLUMNS: &'static [Column; 6] = &COLUMNS;

    #[inline]
    fn record(id: ThreadId, task: RcuTask<'_>) -> KernelStackRecord {
        let stack = KernelStack::of(task);
        let size = sys::thread_size();

        KernelStackRecord {
            id,
            // CAST: A kernel stack is small.
            size: size as u32,
            used: used(&stack, size),
            base: [stack.base],
            name: Name::of(task),
        }
    }

    fn widths(records: &[KernelStackRecord]) -> [usize; 6] {
        let mut largest = [0; 6];
        let mut valid = 0;

        for record in records {
            for (column, value) in [
                (TGID, record.id.tgid),
                (PID, record.id.pid),
                (SIZE, record.size),
                (USED, record.used.unwrap_or(0)),
            ] {
                largest[column] = largest[column].max(value);
            }
            valid = valid.max(record.used.map_or_else(Unknown::name, |_| "ok").len());
        }

        let mut widths = largest.map(text::digits);
        widths[BASE] = ADDRESS_DIGITS;
        widths[VALID] = valid;
        widths
    }

    #[inline]
    fn fill(record: &KernelStackRecord, shown: Shown, row: &mut Row<'_, 6>) {
        let [base] = record.base;

        row.decimal(TGID, record.id.tgid);
        row.decimal(PID, record.id.pid);
        row.bytes(BASE, &shown.text(base));
        if base != 0 {
            row.decimal(SIZE, record.size);
        } else {
            row.word(SIZE, "-");
        }
        match record.used {
            Ok(used) => {
                row.decimal(USED, used);
                row.word(VALID, "ok");
            }
            Err(unknown) => {
                row.word(USED, "-");
                row.word(VALID, unknown.name());
            }
        }
    }

    #[inline]
    fn name(record: &KernelStackRecord) -> &Name {
        &record.name
    }
}

#[kunit_tests(taskscope_kstacks)]
mod tests {
    use super::*;

    /// What is in use of a stack of 16 KiB from 0x10000 on.
    fn used_of(pointer: Result<usize, Absent>) -> Result<u32, Unknown> {
        let stack = KernelStack {
            base: 0x10000,
            pointer,
        };

        used(&stack, 0x4000)
    }

    #[test]
    fn a_number_or_a_reason() {
        assert_eq!(used_of(Ok(0x13f00)), Ok(0x100));
        assert_eq!(used_of(Ok(0xf000)), Err(Unknown::Outside));
        for absent in [Absent::OnCpu, Absent::Released] {
            assert_eq!(used_of(Err(absent)), Err(Unknown::Absent(absent)));
        }
    }
}
