// SPDX-License-Identifier: GPL-2.0

//! What code sees where it runs: its context, its stack, and `current`.

use crate::abstractions::context::Context;
use crate::abstractions::stack;
use crate::abstractions::tasks::RcuTask;
use crate::capture::task_record::name_of;
use crate::text::name::Name;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::rcu;

/// The stack that code ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// The kernel stack of `current`.
    Task,
    /// Another stack, in an interrupt or a softirq: each CPU has one for these.
    Irq,
    /// Another stack, in an NMI: each CPU has one for these, on some architectures.
    Nmi,
    /// Another stack, in task context.
    Other,
}

impl Stack {
    /// Returns the stack that `stack_pointer` points to. The kernel stack of `current` begins at
    /// `start` and has `size` bytes.
    ///
    /// The kernel does not tell modules where the other stacks of a CPU lie. So only the comparison
    /// with the stack of `current` is exact; the context says which other stack it must be.
    fn new(stack_pointer: usize, start: usize, size: usize, context: Context) -> Self {
        if stack_pointer.wrapping_sub(start) < size {
            Self::Task
        } else if context.nmi {
            Self::Nmi
        } else if context.hardirq || context.softirq {
            Self::Irq
        } else {
            Self::Other
        }
    }

    /// Returns the word for it in the column `STACK`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Irq => "irq",
            Self::Nmi => "nmi",
            Self::Other => "other",
        }
    }
}

/// What code saw where it ran.
#[derive(Clone, Copy)]
pub(crate) struct Observation {
    /// The context.
    pub(crate) context: Context,
    /// The CPU.
    pub(crate) cpu: u32,
    /// The stack.
    pub(crate) stack: Stack,
    /// The stack pointer, a few frames below that of the code.
    pub(crate) stack_pointer: usize,
    /// The PID of `current`, in the initial PID namespace.
    pub(crate) pid: u32,
    /// The PID of its process, in the initial PID namespace.
    pub(crate) tgid: u32,
    /// Whether it had an address space.
    pub(crate) has_mm: bool,
    /// Its name.
    pub(crate) name: Name,
}

impl Observation {
    /// Records what is seen here. Any context, NMI included.
    #[inline]
    pub(crate) fn now() -> Self {
        // First, because the RCU read lock may change `preempt_count`.
        let context = Context::now();
        let cpu = CpuId::current().as_u32();
        let stack_pointer = stack::stack_pointer();
        let guard = rcu::read_lock();
        let current = RcuTask::current(&guard);
        // A thread that runs has its stack.
        let start = current.stack().map_or(0, |stack| stack.addr().get());

        Self {
            context,
            cpu,
            stack: Stack::new(stack_pointer, start, stack::thread_size(), context),
            stack_pointer,
            pid: current.pid().unsigned_abs(),
            tgid: current.tgid().unsigned_abs(),
            has_mm: current.has_mm(),
            name: name_of(current),
        }
    }
}

#[kunit_tests(taskscope_observation)]
mod tests {
    use super::*;

    /// A context with one of the three bits set, or none.
    fn context(softirq: bool, hardirq: bool, nmi: bool) -> Context {
        Context {
            in_task: !(softirq || hardirq || nmi),
            softirq,
            hardirq,
            nmi,
            irqs_enabled: true,
            preempt_count: 0,
        }
    }

    #[test]
    fn the_stack_of_current_has_two_ends() {
        let hardirq = context(false, true, false);

        for (stack_pointer, stack) in [
            (0x7fff, Stack::Irq),
            (0x8000, Stack::Task),
            (0xbfff, Stack::Task),
            (0xc000, Stack::Irq),
        ] {
            assert_eq!(Stack::new(stack_pointer, 0x8000, 0x4000, hardirq), stack);
        }
    }

    #[test]
    fn another_stack_is_named_after_the_context() {
        for (context, stack) in [
            (context(false, false, false), Stack::Other),
            (context(true, false, false), Stack::Irq),
            (context(true, true, false), Stack::Irq),
            (context(false, true, true), Stack::Nmi),
            (context(true, true, true), Stack::Nmi),
        ] {
            assert_eq!(Stack::new(0x1000, 0x8000, 0x4000, context), stack);
        }
    }

    #[test]
    fn a_test_sees_the_thread_it_runs_in() {
        let seen = Observation::now();
        let current = RcuTask::current(&rcu::read_lock()).pid();

        assert_eq!(seen.stack, Stack::Task);
        assert_eq!(seen.pid, current.unsigned_abs());
    }
}
