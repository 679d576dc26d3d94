// SPDX-License-Identifier: GPL-2.0

//! Kernel stacks of other threads, read without a lock.
//!
//! A thread that runs changes its stack at any time, and only its CPU knows its stack pointer. A
//! thread that does not run has saved its registers on its stack or in its `struct thread_struct`,
//! and its stack pointer there. This file reads a stack while its thread is *switched out*, and
//! checks afterwards that the thread was switched out all the time (see `switch_count.rs`). Nothing
//! is locked and no thread is held up.
//!
//! # What keeps the stack allocated
//!
//! Nothing does. A dead thread gives its stack back as soon as it is switched out for the last
//! time, and the next thread may get it. `stack_refcount` counts references; the kernel takes and
//! drops one around [`frames`]. A module can take a reference, but `put_task_stack()`, which drops
//! it, is not exported. So what is read here is read in a way that cannot fault, and is valid only
//! if there are references afterwards: the memory is given back after the last one is gone.
//!
//! C headers: [`include/linux/sched/task_stack.h`](srctree/include/linux/sched/task_stack.h),
//! [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h).

use crate::abstractions::blocker::Lock;
use crate::abstractions::registers::{
    self,
    RegisterBuffer, //
};
use crate::abstractions::switch_count::{
    switched_out,
    SwitchCount, //
};
use crate::abstractions::tasks::RcuTask;
use kernel::bindings;
use kernel::prelude::*;

pub(crate) use crate::abstractions::switch_count::Absent;

// Sound: these are the functions of helpers.c. An `RcuTask` is a transparent wrapper of a pointer
// to a `struct task_struct`, which is allocated by its type invariant, and `thread_saved_sp()`
// reads a field of it. The others take nothing.
unsafe extern "C" {
    safe fn taskscope_saved_stack_pointer(task: RcuTask<'_>) -> c_ulong;
    safe fn taskscope_thread_size() -> c_ulong;
    safe fn taskscope_stack_pointer() -> c_ulong;
}

/// Returns the size of a kernel stack in bytes: `THREAD_SIZE`.
#[inline]
pub(crate) fn thread_size() -> usize {
    taskscope_thread_size()
}

/// Returns a stack pointer a few frames below that of the caller. Any context.
#[inline]
pub(crate) fn stack_pointer() -> usize {
    taskscope_stack_pointer()
}

/// Returns the stack pointer that `task` had when it was switched away from last. Any context. Does
/// not sleep.
///
/// It is old while the task runs, and means nothing once the stack is released.
#[inline]
pub(crate) fn saved_stack_pointer(task: RcuTask<'_>) -> usize {
    taskscope_saved_stack_pointer(task)
}

/// A kernel stack, by its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelStack {
    /// The lowest address; 0 once it is released.
    pub(crate) base: usize,
    /// The stack pointer, where there is one that means anything.
    pub(crate) pointer: Result<usize, Absent>,
}

impl KernelStack {
    /// Returns the stack of `task`, the lock that `task` waits for, and the switch count that the
    /// stack pointer and the lock belong to. Does not sleep.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> (SwitchCount, Self, Option<Lock>) {
        let base = task.stack().map_or(0, |stack| stack.addr().get());
        // The pointer is old while the task runs, and the lock may be gone.
        let (switches, seen) = switched_out(task, || (saved_stack_pointer(task), Lock::of(task)));
        let lock = seen.ok().and_then(|(_, lock)| lock);

        (
            switches,
            Self::new(base, seen.map(|(pointer, _)| pointer)),
            lock,
        )
    }

    /// Makes it of a base, and of a pointer that was read after the base. A released stack has
    /// neither.
    #[inline]
    fn new(base: usize, pointer: Result<usize, Absent>) -> Self {
        if base == 0 || pointer == Err(Absent::Released) {
            Self {
                base: 0,
                pointer: Err(Absent::Released),
            }
        } else {
            Self { base, pointer }
        }
    }

    /// Returns how many bytes of the stack, which has `size`, are in use: from the stack pointer to
    /// the high end. [`None`] if the pointer is unknown, or lies elsewhere.
    #[inline]
    pub(crate) fn used(&self, size: usize) -> Option<usize> {
        let pointer = self.pointer.ok()?;
        let below = pointer.checked_sub(self.base)?;

        size.checked_sub(below)
    }
}

/// Writes the return addresses on the kernel stack of `task` to `frames`, the innermost first.
/// Returns how many there are, and the switch count of `task` when they were read.
///
/// The frames are those of `/proc/PID/stack`. Of a stack that has more than fit, the outermost are
/// left out. Any context. Does not sleep.
///
/// Instead of a number there is [`Absent`] if the thread runs, ran meanwhile or has no stack; what
/// was written is of no use then.
pub(crate) fn frames(
    task: RcuTask<'_>,
    frames: &mut [usize],
) -> (SwitchCount, Result<usize, Absent>) {
    let room = u32::try_from(frames.len()).unwrap_or(u32::MAX);

    switched_out(task, || {
        // SAFETY:
        // - By the type invariant of `RcuTask` the task exists. `stack_trace_save_tsk()` takes a
        //   reference to the stack while it reads that, and finds no frames if the stack is
        //   released. It may walk a stack that changes meanwhile, as it does for `/proc/PID/stack`.
        // - `frames` is valid for writes of `room` words.
        let count =
            unsafe { bindings::stack_trace_save_tsk(task.as_ptr(), frames.as_mut_ptr(), room, 0) };

        // CAST: `usize` has 64 bits.
        count as usize
    })
}

/// What a thread that waits in the kernel has left behind in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserState {
    /// The number of the system call that the thread is in; negative if it is in none.
    pub(crate) nr: i32,
    /// The machine, an `EM_*`, whose table of system calls the number is of. It means nothing
    /// outside a call.
    pub(crate) machine: u16,
    /// The arguments of the call. They mean nothing outside a call.
    pub(crate) arguments: [usize; 6],
    /// The stack pointer.
    pub(crate) stack_pointer: usize,
    /// The program counter.
    pub(crate) program_counter: usize,
}

impl UserState {
    /// Returns what `task` has left in user space, [`None`] if it has never run there; and the
    /// switch count of `task` when that was read.
    ///
    /// A thread that waits for nothing but a CPU counts as on one. A thread of `io_uring` or
    /// another worker of a process has a copy of the registers of the thread that made it. Any
    /// context. Does not sleep.
    ///
    /// Instead of a state there is [`Absent`] if the thread runs, ran meanwhile or has no kernel
    /// stack.
    pub(crate) fn of(task: RcuTask<'_>) -> (SwitchCount, Result<Option<Self>, Absent>) {
        let (switches, state) = switched_out(task, || {
            if task.is_runnable() {
                return Err(Absent::OnCpu);
            }
            let mut buffer = RegisterBuffer::new();
            let saved = buffer.copy_from(task).ok_or(Absent::Released)?;

            Ok(saved.is_user().then(|| Self {
                nr: saved.syscall_nr(task),
                machine: registers::syscall_machine(task),
                arguments: saved.syscall_arguments(task),
                stack_pointer: saved.stack_pointer(),
                program_counter: saved.program_counter(),
            }))
        });

        (switches, state.and_then(|state| state))
    }
}

#[kunit_tests(taskscope_stack)]
mod tests {
    use super::*;
    use crate::abstractions::tasks;
    use kernel::sync::rcu;

    /// A stack from 0x1000 on.
    fn stack(pointer: Result<usize, Absent>) -> KernelStack {
        KernelStack::new(0x1000, pointer)
    }

    #[test]
    fn used_reaches_to_the_high_end() {
        assert_eq!(stack(Ok(0x4ff0)).used(0x4000), Some(0x10));
        assert_eq!(stack(Ok(0x1000)).used(0x4000), Some(0x4000));
        assert_eq!(stack(Ok(0x5000)).used(0x4000), Some(0));
    }

    #[test]
    fn a_pointer_elsewhere_is_not_used() {
        assert_eq!(stack(Ok(0xfff)).used(0x4000), None);
        assert_eq!(stack(Ok(0x5001)).used(0x4000), None);
        assert_eq!(stack(Ok(0)).used(0x4000), None);
        assert_eq!(stack(Ok(usize::MAX)).used(0x4000), None);
        assert_eq!(stack(Err(Absent::OnCpu)).used(0x4000), None);
    }

    #[test]
    fn a_released_stack_has_no_base() {
        let released = KernelStack {
            base: 0,
            pointer: Err(Absent::Released),
        };

        assert_eq!(stack(Err(Absent::Released)), released);
        assert_eq!(KernelStack::new(0, Ok(0x1000)), released);
        assert_eq!(KernelStack::new(0, Err(Absent::OnCpu)), released);
        assert_eq!(stack(Err(Absent::OnCpu)).base, 0x1000);
    }

    #[test]
    fn the_calling_thread_is_on_a_cpu() {
        let mut found = [0; 4];
        let (pointer, walked, user) = {
            let guard = rcu::read_lock();
            let current = RcuTask::current(&guard);

            (
                KernelStack::of(current).1.pointer,
                frames(current, &mut found).1,
                UserState::of(current).1,
            )
        };

        assert_eq!(pointer, Err(Absent::OnCpu));
        assert_eq!(walked, Err(Absent::OnCpu));
        assert_eq!(user, Err(Absent::OnCpu));
        assert_eq!(found, [0; 4]);
    }

    #[test]
    fn a_stack_pointer_lies_within_the_stack() {
        let stack = {
            let guard = rcu::read_lock();
            let kthreadd = tasks::processes(&guard).find(|leader| leader.pid() == 2);

            kthreadd.map(|kthreadd| KernelStack::of(kthreadd).1)
        };

        // It sleeps, unless it happens to be making a thread.
        if let Some(stack) = stack.filter(|stack| stack.pointer.is_ok()) {
            assert!(stack.used(thread_size()).is_some());
        }
    }
}
