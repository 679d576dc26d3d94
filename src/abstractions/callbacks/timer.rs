// SPDX-License-Identifier: GPL-2.0

//! Callbacks in softirq context, when a timer expires.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h).

use super::Callback;
use crate::abstractions::read_once::read_once;
use kernel::prelude::*;
use kernel::types::Opaque;
use kernel::{
    bindings,
    container_of,
    static_lock_class, //
};

/// A timer with its callback, which runs in softirq context on the CPU that has started it.
///
/// # Invariants
///
/// `timer` is an initialised timer, whose function is [`Timer::run`].
#[pin_data(PinnedDrop)]
pub(crate) struct Timer<C: Callback> {
    #[pin]
    timer: Opaque<bindings::timer_list>,
    callback: C,
}

// SAFETY: A timer may be used from any thread, and so may its callback.
unsafe impl<C: Callback> Send for Timer<C> {}

// SAFETY: Operations on a timer take the lock of its CPU's timers, and the callback may be shared.
unsafe impl<C: Callback> Sync for Timer<C> {}

impl<C: Callback> Timer<C> {
    /// Creates a timer that has not been started.
    pub(crate) fn new(callback: C) -> impl PinInit<Self> {
        // INVARIANT: `timer_init_key()` initialises it.
        pin_init!(Self {
            timer <- Opaque::ffi_init(|slot: *mut bindings::timer_list| {
                // SAFETY: `slot` is valid memory for a timer, the name is a NUL-terminated string
                // and the class static.
                unsafe {
                    bindings::timer_init_key(
                        slot,
                        Some(Self::run),
                        bindings::TIMER_PINNED,
                        c"taskscope timer".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                };
            }),
            callback,
        })
    }

    /// Lets the timer expire at the next tick of the CPU on which this runs. Any context but NMI.
    pub(crate) fn start(&self) {
        let jiffies = &raw const bindings::jiffies;
        // SAFETY: `jiffies` is a static, hence valid for reads and aligned.
        let now = unsafe { read_once(jiffies) };

        // SAFETY: By the type invariant this is a timer. It stays valid and in place until it has
        // expired or is cancelled: it is pinned, since it is made by a `PinInit` only, and its drop
        // cancels it or waits for it.
        unsafe { bindings::mod_timer(self.timer.get(), now) };
    }

    /// What the kernel calls when the timer expires.
    ///
    /// # Safety
    ///
    /// `timer` is that of a `Timer<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(timer: *mut bindings::timer_list) {
        // SAFETY: By this function's requirements `timer` is the field of a `Timer<C>`.
        let timer = unsafe { container_of!(Opaque::cast_from(timer), Self, timer) };
        // SAFETY: The `Timer<C>` is valid by this function's requirements. References to it are
        // shared: its drop first waits for this function.
        unsafe { &*timer }.callback.call();
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for Timer<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant this is a timer. The drop may sleep, as the module's
        // documentation says.
        unsafe { bindings::timer_shutdown_sync(self.timer.get()) };
    }
}
