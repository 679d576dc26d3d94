// SPDX-License-Identifier: GPL-2.0

//! The context that code runs in, as the kernel's own macros tell it.
//!
//! Code of the kernel runs in one of four *contexts*, each of which can interrupt those before it
//! and none after it:
//!
//! | context | what runs there                                              | `current` is       |
//! |---------|--------------------------------------------------------------|--------------------|
//! | task    | system calls, exceptions, kernel threads                     | who it is done for |
//! | softirq | what interrupt handlers put off: timers, the network, BH work| whoever was there  |
//! | hardirq | interrupt handlers                                           | whoever was there  |
//! | NMI     | handlers of interrupts that cannot be masked                 | whoever was there  |
//!
//! The kernel counts its way in and out of them in `preempt_count`. What the count is made of has
//! changed between versions of the kernel, and `CONFIG_PREEMPT_RT` keeps the softirq part of it in
//! the task instead; so the answers here come from the macros and not from bits of the number.
//!
//! All of it is about the processor that evaluates it, at the moment it does: no row about another
//! task can have it.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h).

use crate::sys;
use kernel::prelude::*;

/// The context that some code ran in when it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// Whether it was task context: `in_task()`, none of the three that follow.
    ///
    /// It does not mean that the code may sleep: it may hold a spinlock, have interrupts disabled,
    /// or be in an RCU read-side critical section. Nor does it mean that `current` asked for what
    /// is done: a kernel thread works for others.
    pub(crate) in_task: bool,
    /// Whether a softirq was being served: `in_serving_softirq()`.
    ///
    /// Code that has merely disabled bottom halves does not serve one, though `in_softirq()` says
    /// so of it. In an interrupt that came while a softirq was served, this is true as well.
    pub(crate) softirq: bool,
    /// Whether an interrupt was being handled: `in_hardirq()`. True in an NMI as well.
    ///
    /// It does not follow from interrupts being disabled, which anyone can do.
    pub(crate) hardirq: bool,
    /// Whether an NMI was being handled: `in_nmi()`.
    pub(crate) nmi: bool,
    /// Whether interrupts were enabled on this processor: not `irqs_disabled()`.
    pub(crate) irqs_enabled: bool,
    /// `preempt_count()`, raw: 32 bits, though the kernel counts in a wider word.
    ///
    /// Zero means that the code could be preempted, if interrupts were enabled as well. What the
    /// bits mean is the kernel's own business.
    pub(crate) preempt_count: usize,
}

impl Context {
    /// Returns the context of the caller. May be called in any.
    ///
    /// It is the same throughout the call, whatever interrupts it: an interrupt leaves the count as
    /// it found it, and a task takes it along to another processor.
    #[inline]
    pub(crate) fn now() -> Self {
        Self {
            in_task: sys::in_task(),
            softirq: sys::in_serving_softirq(),
            hardirq: sys::in_hardirq(),
            nmi: sys::in_nmi(),
            irqs_enabled: !sys::irqs_disabled(),
            preempt_count: sys::preempt_count(),
        }
    }
}

#[kunit_tests(taskscope_context)]
mod tests {
    use super::*;
    use kernel::interrupt::local_interrupt_disable;

    /// What the macros make of each boundary of the count, with softirqs counted there or not.
    #[test]
    fn every_boundary_of_the_count() {
        let [preempt, softirq, disable, hardirq, nmi] = sys::preempt_offsets();
        let counted = !cfg!(CONFIG_PREEMPT_RT);
        // A count, and whether it means task, softirq, hardirq, NMI.
        let table = [
            (0, [true, false, false, false]),
            (preempt, [true, false, false, false]),
            // As deep as preemption can be disabled.
            (softirq - preempt, [true, false, false, false]),
            // A softirq is being served.
            (softirq, [!counted, counted, false, false]),
            (softirq + preempt, [!counted, counted, false, false]),
            // Bottom halves are disabled, and nothing more.
            (2 * softirq, [true, false, false, false]),
            // Disabled again within a softirq.
            (3 * softirq, [!counted, counted, false, false]),
            // As deep as softirqs can be disabled, while one is served.
            (disable - softirq, [!counted, counted, false, false]),
            // Interrupts are disabled through the count, once and as deep as can be.
            (disable, [true, false, false, false]),
            (hardirq - disable, [true, false, false, false]),
            (disable + softirq, [!counted, counted, false, false]),
            (hardirq, [false, false, true, false]),
            (hardirq + disable, [false, false, true, false]),
            (hardirq + softirq, [false, counted, true, false]),
            (hardirq + 2 * softirq, [false, false, true, false]),
            // As deep as interrupts can nest.
            (nmi - hardirq, [false, false, true, false]),
            (nmi, [false, false, false, true]),
            // As nmi_enter() has it.
            (nmi + hardirq, [false, false, true, true]),
            (nmi + hardirq + softirq, [false, counted, true, true]),
            (
                nmi + (nmi - hardirq) + 3 * softirq + preempt,
                [false, counted, true, true],
            ),
        ];

        for (count, [task, softirq, hardirq, nmi]) in table {
            let context = {
                let _interrupts = local_interrupt_disable();

                // SAFETY: Interrupts are disabled; looking is all that is done.
                unsafe { sys::with_preempt_count(count, Context::now) }
            };

            assert_eq!(
                context,
                Context {
                    in_task: task,
                    softirq,
                    hardirq,
                    nmi,
                    irqs_enabled: false,
                    preempt_count: count,
                }
            );
        }
    }

    #[test]
    fn a_test_runs_in_task_context() {
        assert_eq!(
            Context::now(),
            Context {
                in_task: true,
                softirq: false,
                hardirq: false,
                nmi: false,
                irqs_enabled: true,
                preempt_count: 0,
            }
        );
    }
}
