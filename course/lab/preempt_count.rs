// SPDX-License-Identifier: GPL-2.0

//! `preempt_count`: which bits say what, and bottom halves that are disabled.
//!
//! C headers: [`include/linux/preempt.h`](srctree/include/linux/preempt.h),
//! [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h).

use kernel::prelude::*;
use kernel::types::NotThreadSafe;

// Sound: these are the functions of helpers.c. All but the last take nothing and have no requirement on memory: the
// first counts in `preempt_count`, and may be called in any context but NMI; the others return constants.
unsafe extern "C" {
    safe fn lab_local_bh_disable();
    safe fn lab_preempt_mask() -> c_ulong;
    safe fn lab_softirq_mask() -> c_ulong;
    safe fn lab_hardirq_mask() -> c_ulong;
    safe fn lab_nmi_mask() -> c_ulong;

    /// # Safety
    ///
    /// The calling thread has called `local_bh_disable()`, and this takes it back.
    fn lab_local_bh_enable();
}

/// The bits of a `preempt_count`, as the macros of a kernel name them: `PREEMPT_MASK` and so on.
///
/// The bits of a mask are next to each other. They hold a number, whose lowest bit is the lowest bit of the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Masks {
    /// How often preemption is disabled.
    pub(crate) preempt: usize,
    /// Softirqs: 1 while one is served, and 2 for each time that bottom halves are disabled.
    pub(crate) softirq: usize,
    /// How many interrupts are being handled, one in the other.
    pub(crate) hardirq: usize,
    /// Not 0 in an NMI.
    pub(crate) nmi: usize,
}

impl Masks {
    /// Returns the masks of the kernel that runs this.
    pub(crate) fn of_this_kernel() -> Self {
        Self {
            preempt: lab_preempt_mask(),
            softirq: lab_softirq_mask(),
            hardirq: lab_hardirq_mask(),
            nmi: lab_nmi_mask(),
        }
    }
}

/// While this exists, the thread that has made it serves no softirq, and is not preempted. It must not sleep.
///
/// The drop serves the softirqs that are pending. It wants interrupts to be enabled.
///
/// # Invariants
///
/// The thread that has made this has called `local_bh_disable()`, and this value owns that.
pub(crate) struct NoBottomHalves(NotThreadSafe);

impl NoBottomHalves {
    /// Disables bottom halves. Task or softirq context.
    pub(crate) fn begin() -> Self {
        lab_local_bh_disable();
        // INVARIANT: Bottom halves have just been disabled.
        Self(NotThreadSafe)
    }
}

impl Drop for NoBottomHalves {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the thread that has made this has disabled bottom halves. It is the calling
        // thread, since this is not `Send`.
        unsafe { lab_local_bh_enable() };
    }
}
