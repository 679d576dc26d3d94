// SPDX-License-Identifier: GPL-2.0

//! What can be seen from where some code runs: its context, its stack, and who `current` is there.

use crate::{
    context::Context,
    snapshot::Name,
    sys,
    tasks::RcuTask, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Which stack some code ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// The kernel stack of `current`.
    Task,
    /// Another one, in an interrupt or in a softirq: the stack that a processor has for these.
    Irq,
    /// Another one, in an NMI: the stack that a processor has for these, where it has one.
    Nmi,
    /// Another one, in task context.
    Other,
}

impl Stack {
    /// Tells the stack from the stack pointer and the context, where the kernel stack of `current`
    /// begins at `start` and is `size` bytes long.
    ///
    /// Where a processor's other stacks lie is known to no module. That the code is not on the
    /// stack of `current` is certain; which other one it is on follows from the context.
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

    /// Returns the word that stands for this stack.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Irq => "irq",
            Self::Nmi => "nmi",
            Self::Other => "other",
        }
    }
}

/// What some code has seen from where it ran.
#[derive(Clone, Copy)]
pub(crate) struct Observation {
    /// The context.
    pub(crate) context: Context,
    /// The processor.
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
    /// Looks around. May be called in any context, that of an NMI included.
    #[inline]
    pub(crate) fn now() -> Self {
        // These come first, for the RCU read lock may show in `preempt_count`.
        let context = Context::now();
        let cpu = sys::cpu();
        let stack_pointer = sys::stack_pointer();
        let guard = rcu::read_lock();
        let current = RcuTask::current(&guard);
        // The stack of a thread that runs is not released.
        let start = current.stack().map_or(0, |stack| stack.addr().get());

        Self {
            context,
            cpu,
            stack: Stack::new(stack_pointer, start, sys::thread_size(), context),
            stack_pointer,
            pid: current.pid().unsigned_abs(),
            tgid: current.tgid().unsigned_abs(),
            has_mm: current.has_mm(),
            name: Name::of(current),
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
