// SPDX-License-Identifier: GPL-2.0

//! Kernel stacks of other threads.
//!
//! A thread that runs changes its stack at any time, and where its stack pointer is only its
//! processor knows. A thread that does not run has left all of this behind: its registers are on
//! its stack, and the pointer to them is in its `struct thread_struct`. So a stack is looked at
//! while its thread is *switched out*, and what was seen counts only if the thread has been
//! switched out all the while ([`switched_out`]). Nothing is locked for this and no thread is held
//! up: it is told afterwards.
//!
//! # Why that can be told
//!
//! `on_cpu` is set before the scheduler switches to a thread, and cleared by `finish_task()` after
//! it has switched away from it, with release semantics: who reads 0 there, with acquire semantics,
//! sees all that the thread has done until then. Each time a thread is switched away from, `nvcsw`
//! or `nivcsw` is counted up before that. If the thread has run in between, its `on_cpu` was
//! written first, with a full barrier before the stack was switched (the one that membarrier(2)
//! needs): whoever has seen anything that it has written since then sees `on_cpu` set, or else the
//! zero after it, and with that another count.
//!
//! # What keeps the stack
//!
//! A dead thread gives its stack back as soon as it is switched out for the last time, and the next
//! thread may get it. References are counted in `stack_refcount`; the kernel takes and drops one
//! around [`frames`]. A module can take one, but `put_task_stack()` is not exported to drop it by.
//! What is read here is therefore read in a way that cannot fault, and counts only if there are
//! references afterwards: the memory is given back after the last one is gone.
//!
//! C headers: [`include/linux/sched/task_stack.h`](srctree/include/linux/sched/task_stack.h),
//! [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h).

use crate::{
    abi::Abi,
    sys,
    tasks::{
        field,
        RcuTask, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// Why a kernel stack cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The thread is on a processor, or has been while it was looked at.
    OnCpu,
    /// The thread is dead, and has given its stack back.
    Released,
}

impl Absent {
    /// Returns the word for it, as in VALID.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnCpu => "on-cpu",
            Self::Released => "released",
        }
    }
}

/// Returns what `look` sees of `task`, whose kernel stack it may read, if that was switched out and
/// had its stack all the while.
///
/// `look` must not sleep, and has to expect anything: what it makes of a thread that runs is
/// dropped.
#[inline]
fn switched_out<T>(task: RcuTask<'_>, look: impl FnOnce() -> T) -> Result<T, Absent> {
    let before = last_switch(task)?;
    let seen = look();

    // What has been read is read before what follows.
    sys::smp_rmb();
    if last_switch(task)? == before {
        Ok(seen)
    } else {
        Err(Absent::OnCpu)
    }
}

/// Returns how often `task`, which must be switched out, has been switched away from.
///
/// What is read after this is at least as new as the last time.
#[inline]
fn last_switch(task: RcuTask<'_>) -> Result<usize, Absent> {
    if field!(task, stack_refcount.refs.counter) == 0 {
        return Err(Absent::Released);
    }
    if field!(task, on_cpu) != 0 {
        return Err(Absent::OnCpu);
    }
    // This makes it a load with acquire semantics, as described above.
    sys::smp_rmb();

    let voluntary = field!(task, nvcsw);
    let involuntary = field!(task, nivcsw);

    // One of them is counted up each time, so that the sum never is what it has been before.
    Ok(voluntary.wrapping_add(involuntary))
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
    /// Returns the stack of `task`. Does not sleep.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> Self {
        let base = task.stack().map_or(0, |stack| stack.addr().get());
        let pointer = switched_out(task, || {
            // SAFETY: By the type invariant of `RcuTask` the task exists.
            unsafe { sys::saved_stack_pointer(task.as_ptr()) }
        });

        Self::new(base, pointer)
    }

    /// The pointer was read after the base, and what is released has none.
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

/// Writes the return addresses on the kernel stack of `task` to `frames`, the innermost first, as
/// `/proc/PID/stack` has them, and returns how many there are. Does not sleep.
pub(crate) fn frames(task: RcuTask<'_>, frames: &mut [usize]) -> Result<usize, Absent> {
    switched_out(task, || {
        // SAFETY: By the type invariant of `RcuTask` the task exists.
        unsafe { sys::save_stack_trace(task.as_ptr(), frames) }
    })
}

/// What a thread that waits in the kernel has left behind in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserState {
    /// The number of the system call that it is in; negative if it is in none.
    pub(crate) nr: i32,
    /// The table that the number is of; [`None`] if the thread is in no call.
    pub(crate) abi: Option<Abi>,
    /// The arguments of that.
    pub(crate) arguments: [usize; 6],
    /// The stack pointer.
    pub(crate) stack_pointer: usize,
    /// The program counter.
    pub(crate) program_counter: usize,
}

impl UserState {
    /// Returns what `task`, a thread with a user space, has left there; [`None`] if it has never run
    /// there. A thread that waits for nothing but a processor counts as on one. Does not sleep.
    pub(crate) fn of(task: RcuTask<'_>) -> Result<Option<Self>, Absent> {
        switched_out(task, || {
            if task.is_runnable() {
                return Err(Absent::OnCpu);
            }
            // SAFETY: By the type invariant of `RcuTask` the task exists.
            let regs = unsafe { sys::task_pt_regs(task.as_ptr()) };
            // SAFETY: Registers are integers.
            let regs = unsafe { sys::copy_from_kernel(regs) };

            regs.map(|mut regs| sys::user_mode(&mut regs).then(|| Self::new(task, &mut regs)))
                .ok_or(Absent::Released)
        })?
    }

    /// Takes `regs`, a copy of those that `task` has saved, apart.
    fn new(task: RcuTask<'_>, regs: &mut bindings::pt_regs) -> Self {
        // SAFETY: By the type invariant of `RcuTask` the task exists.
        let nr = unsafe { sys::syscall_nr(task.as_ptr(), regs) };
        // SAFETY: As above.
        let machine = unsafe { sys::syscall_machine(task.as_ptr()) };

        Self {
            nr,
            abi: Abi::new(machine, nr),
            // SAFETY: By the type invariant of `RcuTask` the task exists.
            arguments: unsafe { sys::syscall_arguments(task.as_ptr(), regs) },
            stack_pointer: sys::user_stack_pointer(regs),
            program_counter: sys::instruction_pointer(regs),
        }
    }
}

#[kunit_tests(taskscope_stack)]
mod tests {
    use super::*;
    use crate::tasks;
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
    fn who_asks_is_on_a_processor() {
        let mut found = [0; 4];
        let (pointer, walked, user) = {
            let guard = rcu::read_lock();
            let current = RcuTask::current(&guard);

            (
                KernelStack::of(current).pointer,
                frames(current, &mut found),
                UserState::of(current),
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

            kthreadd.map(KernelStack::of)
        };

        // It sleeps, unless it happens to be making a thread.
        if let Some(stack) = stack.filter(|stack| stack.pointer.is_ok()) {
            assert!(stack.used(sys::thread_size()).is_some());
        }
    }
}
