// SPDX-License-Identifier: GPL-2.0

//! What the `kernel` crate of Linux 7.3 has, for Linux 7.2.
//!
//! `flags.mk` sets `kernel_7_3` for 7.3 and later. When 7.2 goes, so do this file, `flags.mk` and
//! the `cfg` in `context.rs`: then the callers use the `kernel` crate, and `helpers.c` loses its
//! definition of `HARDIRQ_DISABLE_OFFSET`.

use kernel::alloc::{
    AllocError,
    Flags, //
};
use kernel::bindings;
use kernel::prelude::*;

/// The state of RCU's grace periods.
#[cfg(kernel_7_3)]
pub(super) use bindings::rcu_gp_seq;

#[cfg(not(kernel_7_3))]
pub(super) use bindings::rcu_gp_oldstate as rcu_gp_seq;

/// What the handler of an interrupt returns when the interrupt was its own.
#[cfg(kernel_7_3)]
pub(super) const IRQ_HANDLED: bindings::irqreturn_t = bindings::irqreturn::IRQ_HANDLED;

#[cfg(not(kernel_7_3))]
pub(super) const IRQ_HANDLED: bindings::irqreturn_t = bindings::irqreturn_IRQ_HANDLED;

#[cfg(kernel_7_3)]
pub(crate) use kernel::sync::barrier::{
    smp_mb,
    Full,
    Read,
    Write, //
};

#[cfg(not(kernel_7_3))]
pub(crate) use barrier::{
    smp_mb,
    Full,
    Read,
    Write, //
};

/// The barriers of 7.3, by those of 7.2.
#[cfg(not(kernel_7_3))]
mod barrier {
    use kernel::sync::barrier;

    /// Orders reads and writes with reads and writes.
    pub(crate) struct Full;
    /// Orders reads with reads.
    pub(crate) struct Read;
    /// Orders writes with writes.
    pub(crate) struct Write;

    /// What a barrier orders.
    pub(crate) trait Order {
        /// Issues the barrier.
        fn barrier();
    }

    impl Order for Full {
        #[inline]
        fn barrier() {
            barrier::smp_mb();
        }
    }

    impl Order for Read {
        #[inline]
        fn barrier() {
            barrier::smp_rmb();
        }
    }

    impl Order for Write {
        #[inline]
        fn barrier() {
            barrier::smp_wmb();
        }
    }

    /// A barrier between this CPU and the others. In any context.
    #[inline]
    pub(crate) fn smp_mb<O: Order>(_order: O) {
        O::barrier();
    }
}

/// Allocates `count` values, all of whose bytes are zero. Sleeps if `flags` allow it.
///
/// # Errors
///
/// [`AllocError`] without memory.
#[cfg(kernel_7_3)]
pub(crate) fn zeroed<T: Zeroable>(count: usize, flags: Flags) -> Result<KVVec<T>, AllocError> {
    KVVec::zeroed(count, flags)
}

/// The same, for 7.2.
#[cfg(not(kernel_7_3))]
pub(crate) fn zeroed<T: Zeroable + Clone>(
    count: usize,
    flags: Flags,
) -> Result<KVVec<T>, AllocError> {
    KVVec::from_elem(pin_init::zeroed(), count, flags)
}

/// Passes the type and the default of a parameter that is on or off to the macro `module_with`.
#[cfg(kernel_7_3)]
macro_rules! with_switch {
    ($module_with:ident) => {
        $module_with!(bool, false);
    };
}

/// The same, for 7.2, which has no parameters of type `bool`: `1` is on, `0` is off, and `Y` is
/// refused.
#[cfg(not(kernel_7_3))]
macro_rules! with_switch {
    ($module_with:ident) => {
        $module_with!(u8, 0);
    };
}

pub(crate) use with_switch;

/// Returns whether a parameter of that type is on.
///
/// # Errors
///
/// 7.3 refuses other values itself.
#[cfg(kernel_7_3)]
pub(crate) fn is_on(value: bool) -> Result<bool> {
    Ok(value)
}

/// The same, for 7.2.
///
/// # Errors
///
/// `EINVAL` for a value that is neither 0 nor 1.
#[cfg(not(kernel_7_3))]
pub(crate) fn is_on(value: &u8) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(EINVAL),
    }
}
