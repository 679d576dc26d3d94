// SPDX-License-Identifier: GPL-2.0

//! The context that code runs in, as the macros of the kernel tell it.
//!
//! Code of the kernel runs in one of four *contexts*, each of which can interrupt those before it
//! and none after it:
//!
//! | context | what runs there                                               | `current` is           |
//! |---------|---------------------------------------------------------------|------------------------|
//! | task    | system calls, exceptions, kernel threads                      | the task that runs it  |
//! | softirq | what interrupt handlers put off: timers, the network, BH work | the interrupted task   |
//! | hardirq | interrupt handlers                                            | the interrupted task   |
//! | NMI     | handlers of interrupts that cannot be masked                  | the interrupted task   |
//!
//! The kernel counts each entry into a context and each exit in `preempt_count`. The bits of the
//! count have changed between versions of the kernel, and `CONFIG_PREEMPT_RT` keeps those of
//! softirqs in the task instead. So the answers here come from the macros and not from the bits.
//!
//! A context is that of the CPU that evaluates the macros, at that moment. No macro tells that of
//! another task.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h).

use kernel::prelude::*;

// Sound: these are the functions of helpers.c. They take nothing, read a per-CPU variable, a field
// of the current task or a register, and may be called in any context.
unsafe extern "C" {
    safe fn taskscope_in_task() -> bool;
    safe fn taskscope_in_serving_softirq() -> bool;
    safe fn taskscope_in_hardirq() -> bool;
    safe fn taskscope_in_nmi() -> bool;
    safe fn taskscope_irqs_disabled() -> bool;
    safe fn taskscope_preempt_count() -> c_ulong;
}

/// Returns whether the caller is not in an NMI, and nothing but an NMI can interrupt it. Any
/// context.
#[inline]
pub(crate) fn only_nmis_interrupt() -> bool {
    taskscope_irqs_disabled() && !taskscope_in_nmi()
}

/// The context that some code ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// Whether it was task context: `in_task()`, none of the three that follow.
    ///
    /// Code in task context need not be allowed to sleep: it may hold a spinlock, have interrupts
    /// disabled, or be in an RCU read-side critical section. And `current` need not be the task
    /// that asked for the work: a kernel thread works for others.
    pub(crate) in_task: bool,
    /// Whether a softirq was being served: `in_serving_softirq()`.
    ///
    /// Code that has merely disabled bottom halves does not serve a softirq, although
    /// `in_softirq()` is true for it. In an interrupt that came while a softirq was served, this is
    /// true as well.
    pub(crate) softirq: bool,
    /// Whether an interrupt was being handled: `in_hardirq()`. True in an NMI as well.
    ///
    /// Disabled interrupts do not imply it: any code can disable them.
    pub(crate) hardirq: bool,
    /// Whether an NMI was being handled: `in_nmi()`.
    pub(crate) nmi: bool,
    /// Whether interrupts were enabled on this CPU: not `irqs_disabled()`.
    pub(crate) irqs_enabled: bool,
    /// `preempt_count()`, raw: 32 bits, though the kernel counts in a wider word.
    ///
    /// Zero means that the code could be preempted, if interrupts were enabled as well. The meaning
    /// of the bits differs between versions of the kernel.
    pub(crate) preempt_count: usize,
}

impl Context {
    /// Returns the context of the caller. Any context.
    ///
    /// It stays the same throughout the call: an interrupt leaves the count as it found it, and a
    /// task takes the count along to another CPU.
    #[inline]
    pub(crate) fn now() -> Self {
        Self {
            in_task: taskscope_in_task(),
            softirq: taskscope_in_serving_softirq(),
            hardirq: taskscope_in_hardirq(),
            nmi: taskscope_in_nmi(),
            irqs_enabled: !taskscope_irqs_disabled(),
            preempt_count: taskscope_preempt_count(),
        }
    }
}

// 7.2 has no kernel::interrupt.
#[cfg(kernel_7_3)]
#[kunit_tests(taskscope_context)]
mod tests {
    use super::*;
    use kernel::interrupt::local_interrupt_disable;

    // Sound: these are the functions of helpers.c. All but the first return constants.
    unsafe extern "C" {
        /// # Safety
        ///
        /// Interrupts are disabled, and the count is restored before anything acts on it.
        fn taskscope_preempt_count_set(count: c_ulong);

        safe fn taskscope_preempt_offset() -> c_ulong;
        safe fn taskscope_softirq_offset() -> c_ulong;
        safe fn taskscope_hardirq_disable_offset() -> c_ulong;
        safe fn taskscope_hardirq_offset() -> c_ulong;
        safe fn taskscope_nmi_offset() -> c_ulong;
    }

    /// Returns what `read`, which reads variables and does nothing else, sees with interrupts
    /// disabled and while `preempt_count` is `count`.
    fn with_count<T>(count: usize, read: fn() -> T) -> T {
        let _interrupts = local_interrupt_disable();
        let before = taskscope_preempt_count();

        // SAFETY: Interrupts are disabled, and the count is restored below, before anything acts on
        // it.
        unsafe { taskscope_preempt_count_set(count) };
        let seen = read();
        // SAFETY: Interrupts are disabled, and this restores the count.
        unsafe { taskscope_preempt_count_set(before) };
        seen
    }

    /// The macros at each boundary of the count, whether softirqs are counted there or not.
    #[test]
    fn every_boundary_of_the_count() {
        let preempt = taskscope_preempt_offset();
        let softirq = taskscope_softirq_offset();
        let disable = taskscope_hardirq_disable_offset();
        let hardirq = taskscope_hardirq_offset();
        let nmi = taskscope_nmi_offset();
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
            assert_eq!(
                with_count(count, Context::now),
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

    #[test]
    fn an_nmi_interrupts_disabled_interrupts_and_nothing_else_does() {
        let hardirq = taskscope_hardirq_offset();
        let nmi = taskscope_nmi_offset();

        assert!(!only_nmis_interrupt());
        for (count, expected) in [
            (0, true),
            (hardirq, true),
            (nmi, false),
            (nmi + hardirq, false),
        ] {
            assert_eq!(with_count(count, only_nmis_interrupt), expected);
        }
    }
}
