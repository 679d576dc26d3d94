// SPDX-License-Identifier: GPL-2.0

//! What `kstacks` shows of a thread: its kernel stack, how much of it is in use, and the lock that
//! it waits for.

use crate::abstractions::blocker::Kind;
use crate::abstractions::stack::{
    self,
    Absent,
    KernelStack, //
};
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use crate::capture::addresses::HasAddresses;
use crate::capture::snapshot::{
    Record,
    ThreadId, //
};
use crate::capture::task_record::name_of;
use crate::text::name::Name;
use crate::text::value::{
    Cell,
    Value, //
};
use core::num::NonZero;
use kernel::prelude::*;

/// What `kstacks` shows of a thread.
pub(crate) struct KernelStackRecord {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// How often the thread had been switched away from when `used` was found.
    pub(crate) switches: SwitchCount,
    /// The size of the stack in bytes.
    pub(crate) size: u32,
    /// How many bytes of it are in use, or why that is unknown.
    pub(crate) used: Used,
    /// The lock that the thread waits for.
    pub(crate) blocked_by: Option<BlockedBy>,
    /// The lowest address, or what is shown for it.
    pub(crate) base: [usize; 1],
    /// The name of the thread.
    pub(crate) name: Name,
}

/// How many bytes of a stack are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// So many.
    Bytes(u32),
    /// The stack cannot be looked at.
    Absent(Absent),
    /// The stack pointer lies outside the stack: the thread was interrupted on a stack of the
    /// firmware.
    Outside,
}

impl Used {
    /// Returns how many bytes of `stack`, which has `size` bytes, are in use.
    #[inline]
    fn of(stack: &KernelStack, size: usize) -> Self {
        if let Err(absent) = stack.pointer {
            return Self::Absent(absent);
        }
        stack
            .used(size)
            .and_then(|used| u32::try_from(used).ok())
            .map_or(Self::Outside, Self::Bytes)
    }

    /// Returns the number of bytes, if it is known.
    #[inline]
    pub(crate) fn bytes(self) -> Option<u32> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The word in VALID.
impl Cell for Used {
    #[inline(always)]
    fn value(self) -> Value {
        Value::Word(match self {
            Used::Bytes(_) => "ok",
            Used::Absent(absent) => absent.name(),
            Used::Outside => "outside",
        })
    }
}

/// The lock that a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockedBy {
    kind: Kind,
    /// The PID of the thread that the lock records as its holder.
    holder: Option<NonZero<u32>>,
}

/// The value in BLOCKED_BY.
impl Cell for BlockedBy {
    #[inline(always)]
    fn value(self) -> Value {
        let word = match self.kind {
            Kind::Mutex => "mutex",
            Kind::Semaphore => "semaphore",
            Kind::RwsemReader => "rwsem-reader",
            Kind::RwsemWriter => "rwsem-writer",
            Kind::Rwsem => "rwsem",
        };

        Value::Numbered(word, self.holder.map(NonZero::get))
    }
}

impl KernelStackRecord {
    /// Records the stack of `task`, whose numbers are `id`. Does not sleep.
    #[inline]
    pub(crate) fn new(id: ThreadId, task: RcuTask<'_>) -> Self {
        let (switches, stack, lock) = KernelStack::of(task);
        let size = stack::thread_size();

        Self {
            id,
            switches,
            // CAST: A kernel stack is small.
            size: size as u32,
            used: Used::of(&stack, size),
            blocked_by: lock.map(|lock| BlockedBy {
                kind: lock.kind,
                holder: lock.holder(task),
            }),
            base: [stack.base],
            name: name_of(task),
        }
    }
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

#[kunit_tests(taskscope_kstacks)]
mod tests {
    use super::*;

    /// Returns what is in use of a stack of 16 KiB from 0x10000 on.
    fn used_of(pointer: Result<usize, Absent>) -> Used {
        let stack = KernelStack {
            base: 0x10000,
            pointer,
        };

        Used::of(&stack, 0x4000)
    }

    #[test]
    fn a_number_or_a_reason() {
        assert_eq!(used_of(Ok(0x13f00)), Used::Bytes(0x100));
        assert_eq!(used_of(Ok(0xf000)), Used::Outside);
        for absent in [Absent::OnCpu, Absent::Released] {
            assert_eq!(used_of(Err(absent)), Used::Absent(absent));
        }
    }
}
