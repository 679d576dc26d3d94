// SPDX-License-Identifier: GPL-2.0

//! Whether an RCU grace period has passed.
//!
//! An address in a module, in a BPF program or in a trampoline means something only until the
//! kernel has freed that memory, which is a grace period after its removal. An RCU read-side
//! critical section holds the grace period off, but nothing may sleep in it. A [`GracePeriodState`]
//! holds nothing off: it tells afterwards whether a grace period has passed.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h).

use super::compat::rcu_gp_seq;
use kernel::bindings;
use kernel::prelude::*;

/// How many grace periods there have been (`get_state_synchronize_rcu_full()`).
pub(crate) struct GracePeriodState(rcu_gp_seq);

impl GracePeriodState {
    /// Returns the state now. Any context.
    pub(crate) fn now() -> Self {
        let mut count = rcu_gp_seq::default();

        // SAFETY: `count` is valid for writes.
        unsafe { bindings::get_state_synchronize_rcu_full(&raw mut count) };
        Self(count)
    }

    /// Returns whether a grace period, normal or expedited, has begun after this was made and has
    /// ended. Any context but NMI. Does not sleep.
    pub(crate) fn has_passed(&self) -> bool {
        let mut count = self.0;

        // SAFETY: `count` is what `get_state_synchronize_rcu_full()` has written.
        unsafe { bindings::poll_state_synchronize_rcu_full(&raw mut count) }
    }
}

#[kunit_tests(taskscope_grace_period)]
mod tests {
    use super::*;
    use kernel::sync::rcu;

    #[test]
    fn a_critical_section_holds_it_off() {
        let guard = rcu::read_lock();
        let state = GracePeriodState::now();
        let has_passed = state.has_passed();

        drop(guard);
        assert!(!has_passed);
    }

    #[test]
    fn it_passes() {
        let state = GracePeriodState::now();

        // SAFETY: Task context, outside of any critical section.
        unsafe { bindings::synchronize_rcu() };
        assert!(state.has_passed());
    }
}
