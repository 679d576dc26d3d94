// SPDX-License-Identifier: GPL-2.0

//! What an interrupt has interrupted, seen from its handler.
//!
//! The kernel notes the registers of the interrupted code before it calls the handler of a device
//! or of a timer (`set_irq_regs()`). x86 notes none in an interrupt that another CPU sends for a
//! function call; arm64 notes them in every interrupt. A handler on `PREEMPT_RT` that runs in a
//! thread has none either. So a caller asks in the callback of a high-resolution timer that expires
//! in hardirq context.
//!
//! `stack_trace_save_regs()`, which begins at given registers, is not exported. [`save_frames`]
//! begins at its caller and goes on through the interrupt: the program counter of the interrupted
//! code is one of the addresses that it finds.
//!
//! C headers: [`include/asm-generic/irq_regs.h`](srctree/include/asm-generic/irq_regs.h),
//! [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h).

use crate::abstractions::context::Context;
use crate::abstractions::registers::SavedRegisters;
use kernel::bindings;
use kernel::prelude::*;

// Sound: these are the functions of helpers.c. They take nothing, and read per-CPU variables.
unsafe extern "C" {
    /// Returns the registers of the interrupted code, or null.
    safe fn taskscope_irq_regs() -> *const bindings::pt_regs;

    /// Returns how many interrupts are being handled on this CPU, one in the other.
    safe fn taskscope_hardirq_depth() -> c_uint;
}

/// The code that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterruptedCode {
    /// The next instruction that it executes.
    pub(crate) program_counter: usize,
    /// Whether that is in user space.
    pub(crate) is_user: bool,
    /// Whether the handler of another interrupt was interrupted.
    pub(crate) is_handler: bool,
}

impl InterruptedCode {
    /// Returns the code that the current interrupt has interrupted. The handler of that interrupt
    /// calls this. [`None`] outside of hardirq context, or if the kernel has not noted the
    /// registers. Any context.
    pub(crate) fn now() -> Option<Self> {
        if !Context::now().hardirq {
            return None;
        }
        // SAFETY: In hardirq context the pointer is null, or is that which the interrupt's entry
        // has noted: the registers lie on a stack of this CPU, and stay there unchanged until the
        // handler has returned.
        let registers = SavedRegisters::new(unsafe { taskscope_irq_regs().as_ref() }?);

        Some(Self {
            program_counter: registers.program_counter(),
            is_user: registers.is_user(),
            is_handler: taskscope_hardirq_depth() > 1,
        })
    }
}

/// Writes the return addresses on the stacks of the caller to `frames`, the innermost first, and
/// returns how many there are. At an interrupt, the program counter of the interrupted code is
/// among them. Of a stack that has more than fit, the outermost are left out.
///
/// Any context. Does not sleep.
pub(crate) fn save_frames(frames: &mut [usize]) -> usize {
    let room = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    // SAFETY: `frames` is valid for writes of `room` words.
    let count = unsafe { bindings::stack_trace_save(frames.as_mut_ptr(), room, 0) };

    // CAST: `usize` has 64 bits.
    count as usize
}

#[kunit_tests(taskscope_interrupted)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_interrupted_in_task_context() {
        assert_eq!(InterruptedCode::now(), None);
    }

    #[test]
    fn a_small_buffer_is_filled_and_not_exceeded() {
        let mut frames = [0; 3];

        assert_eq!(save_frames(&mut frames[..2]), 2);
        assert!(frames[0] != 0 && frames[1] != 0);
        assert_eq!(frames[2], 0);
    }
}
