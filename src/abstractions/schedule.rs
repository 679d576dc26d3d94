// SPDX-License-Identifier: GPL-2.0

//! Places where the calling thread lets others run.
//!
//! # Sleeping and RCU
//!
//! These functions may sleep. A thread that sleeps within an RCU read-side critical section ends
//! the protection of what it found there: on a kernel without preemptible RCU the switch to another
//! thread counts as the end of the section. What an [`rcu::Guard`](kernel::sync::rcu::Guard) keeps
//! must not be used after that.
//!
//! No type says that no guard exists, so a safe function can neither demand nor check it. The
//! `kernel` crate has the same gap in each function that sleeps, `Mutex::lock()` for one, and
//! leaves it to the same tools. To close it is the job of
//! [klint](https://github.com/Rust-for-Linux/klint), which checks it when a module is built. At run
//! time a kernel with `CONFIG_DEBUG_ATOMIC_SLEEP` and `CONFIG_PROVE_RCU` reports each such call
//! (`make test KERNEL=debug`). In this module a guard lives in a block of its own, which ends
//! before anything sleeps.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h).

use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::types::NotThreadSafe;

// Sound: these are the functions of helpers.c. They take nothing and have no requirement on memory;
// what a call of the first within an RCU read-side critical section does is said above.
unsafe extern "C" {
    safe fn taskscope_cond_resched();
    safe fn taskscope_preempt_disable();

    /// # Safety
    ///
    /// The calling thread has called `preempt_disable()`, and this takes it back.
    fn taskscope_preempt_enable();
}

/// While this exists, the thread that has made it stays on its CPU, and no other thread runs there.
/// The thread must not sleep. Interrupts run. Softirqs run too, except on `PREEMPT_RT`, where they
/// run in threads. If this is leaked, preemption stays disabled.
///
/// # Invariants
///
/// The thread that has made this has called `preempt_disable()`, and this value owns that.
pub(crate) struct NoPreemption(NotThreadSafe);

impl NoPreemption {
    /// Disables preemption. Any context.
    pub(crate) fn begin() -> Self {
        taskscope_preempt_disable();
        // INVARIANT: Preemption has just been disabled.
        Self(NotThreadSafe)
    }

    /// Returns the CPU that the thread is on.
    pub(crate) fn cpu(&self) -> CpuId {
        // By the type invariant it stays the same.
        CpuId::current()
    }
}

impl Drop for NoPreemption {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread that has made this has disabled preemption. It
        // is the calling thread, since this is not `Send`.
        unsafe { taskscope_preempt_enable() };
    }
}

/// Lets another thread run if one is due on this CPU, as `cond_resched()` does.
///
/// May sleep: the caller holds no spinlock and no `rcu::Guard`, see above.
#[inline]
pub(crate) fn cond_resched() {
    taskscope_cond_resched();
}

/// Lets another thread run if one waits for this CPU, as `yield()` does.
///
/// May sleep: the caller holds no spinlock and no `rcu::Guard`, see above.
#[inline]
pub(crate) fn yield_cpu() {
    // SAFETY: `yield()` takes nothing and has no requirement on memory; what a call within an RCU
    // read-side critical section does is said above.
    unsafe { bindings::yield_() };
}
