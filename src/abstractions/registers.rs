// SPDX-License-Identifier: GPL-2.0

//! The registers that a thread has saved at the high end of its kernel stack when it entered the
//! kernel from user space: `task_pt_regs()`.
//!
//! They mean nothing while the thread runs, since it may be saving others. A caller that copies
//! them has to know that the thread does not run, or has to find out afterwards.
//!
//! C headers: [`include/linux/ptrace.h`](srctree/include/linux/ptrace.h),
//! [`arch/x86/include/asm/syscall.h`](srctree/arch/x86/include/asm/syscall.h),
//! [`arch/arm64/include/asm/syscall.h`](srctree/arch/arm64/include/asm/syscall.h),
//! [`include/linux/regset.h`](srctree/include/linux/regset.h).

use crate::abstractions::tasks::RcuTask;
use core::mem::MaybeUninit;
use kernel::bindings;
use kernel::prelude::*;

// Sound: these are the functions of helpers.c.
// - An `RcuTask` is a transparent wrapper of a pointer to a `struct task_struct`, which is
//   allocated by its type invariant. `task_pt_regs()` computes with a field of it; the functions of
//   `asm/syscall.h` read its flags.
// - A reference to registers is valid for reads. No function writes to them, or follows a pointer
//   in them.
// - A reference to six arguments is valid for writes of these, and `syscall_get_arguments()` writes
//   no more.
unsafe extern "C" {
    safe fn taskscope_task_pt_regs(task: RcuTask<'_>) -> *const bindings::pt_regs;
    safe fn taskscope_user_mode(regs: &bindings::pt_regs) -> bool;
    safe fn taskscope_instruction_pointer(regs: &bindings::pt_regs) -> c_ulong;
    safe fn taskscope_user_stack_pointer(regs: &bindings::pt_regs) -> c_ulong;
    safe fn taskscope_frame_pointer(regs: &bindings::pt_regs) -> c_ulong;
    safe fn taskscope_syscall_arch(task: RcuTask<'_>) -> c_int;
    safe fn taskscope_syscall_nr(task: RcuTask<'_>, regs: &bindings::pt_regs) -> c_int;
    safe fn taskscope_syscall_args(
        task: RcuTask<'_>,
        regs: &bindings::pt_regs,
        arguments: &mut [c_ulong; 6],
    );

    /// Returns the machine that the program of `task` is for.
    ///
    /// # Safety
    ///
    /// The kernel stack of `task` is not released meanwhile: the function reads registers there.
    fn taskscope_user_machine(task: RcuTask<'_>) -> u16;
}

/// Memory for a copy of the registers of a thread.
pub(crate) struct RegisterBuffer(MaybeUninit<bindings::pt_regs>);

impl RegisterBuffer {
    /// Returns memory with nothing in it.
    #[inline]
    pub(crate) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Copies the registers of `task`; [`None`] if its kernel stack is released.
    ///
    /// A released stack may belong to another thread already: the caller has to look at
    /// `stack_refcount` afterwards. Any context. Does not sleep.
    #[inline]
    pub(crate) fn copy_from(&mut self, task: RcuTask<'_>) -> Option<SavedRegisters<'_>> {
        // SAFETY: `self.0` is valid for writes of its size. The source need not be valid for reads:
        // a fault ends the copy, and an address that is not the kernel's is refused.
        let error = unsafe {
            bindings::copy_from_kernel_nofault(
                self.0.as_mut_ptr().cast(),
                taskscope_task_pt_regs(task).cast(),
                size_of::<bindings::pt_regs>(),
            )
        };

        if error != 0 {
            return None;
        }
        // SAFETY: All of it has been written. Registers are integers, so that all bytes are valid.
        Some(SavedRegisters(unsafe { self.0.assume_init_ref() }))
    }
}

/// A copy of the registers that a thread has saved when it entered the kernel from user space.
///
/// It borrows the memory that they were copied to: registers are large to move around.
#[derive(Clone, Copy)]
pub(crate) struct SavedRegisters<'a>(&'a bindings::pt_regs);

impl<'a> SavedRegisters<'a> {
    /// Makes it of registers that nothing changes while they are borrowed.
    pub(super) fn new(registers: &'a bindings::pt_regs) -> Self {
        Self(registers)
    }
}

impl SavedRegisters<'_> {
    /// Returns whether the registers were saved on the way from user space.
    ///
    /// Those of a thread that has never run in user space were not.
    #[inline]
    pub(crate) fn is_user(self) -> bool {
        taskscope_user_mode(self.0)
    }

    /// Returns the program counter.
    #[inline]
    pub(crate) fn program_counter(self) -> usize {
        taskscope_instruction_pointer(self.0)
    }

    /// Returns the stack pointer of a thread that was in user space.
    #[inline]
    pub(crate) fn stack_pointer(self) -> usize {
        taskscope_user_stack_pointer(self.0)
    }

    /// Returns the number of the system call that `task`, whose registers these are, is in;
    /// negative if it is in none.
    #[inline]
    pub(crate) fn syscall_nr(self, task: RcuTask<'_>) -> i32 {
        taskscope_syscall_nr(task, self.0)
    }

    /// Returns the arguments of the system call that `task`, whose registers these are, is in.
    #[inline]
    pub(crate) fn syscall_arguments(self, task: RcuTask<'_>) -> [usize; 6] {
        let mut arguments = [0; 6];

        taskscope_syscall_args(task, self.0, &mut arguments);
        arguments
    }
}

/// Returns the machine, an `EM_*`, whose programs make the system call that `task` is in: not
/// always the machine of the task's own program.
///
/// It means nothing for a task that runs, or is in no call.
#[inline]
pub(crate) fn syscall_machine(task: RcuTask<'_>) -> u16 {
    // CAST: The lower half of an `AUDIT_ARCH_*` is an `EM_*`.
    taskscope_syscall_arch(task) as u16
}

/// What a thread's registers held when it entered the kernel from user space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRegisters {
    /// The program counter.
    pub(crate) pc: usize,
    /// The stack pointer.
    pub(crate) sp: usize,
    /// The register that is the frame pointer where a program has one.
    pub(crate) fp: usize,
    /// The machine that the program is for, as in an ELF header: `EM_*`.
    pub(crate) machine: u16,
}

impl UserRegisters {
    /// Reads the registers of `task`; [`None`] if `task` has never run in user space.
    ///
    /// Does not sleep.
    ///
    /// # Safety
    ///
    /// The kernel stack of `task` is not released meanwhile.
    pub(crate) unsafe fn of(task: RcuTask<'_>) -> Option<Self> {
        // SAFETY: The registers lie in the kernel stack of the task, which is not released, by this
        // function's requirements. A thread that runs may write them at this moment, which is why
        // the load is volatile: registers are integers, so that any bytes are valid.
        let registers = unsafe { taskscope_task_pt_regs(task).read_volatile() };
        let saved = SavedRegisters(&registers);

        saved.is_user().then(|| Self {
            pc: saved.program_counter(),
            sp: saved.stack_pointer(),
            fp: taskscope_frame_pointer(saved.0),
            // SAFETY: The stack is not released, by this function's requirements.
            machine: unsafe { taskscope_user_machine(task) },
        })
    }
}
