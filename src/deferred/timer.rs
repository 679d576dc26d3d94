// SPDX-License-Identifier: GPL-2.0

//! Timers, which expire in softirq context.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h).

use super::Callback;
use crate::sys;
use kernel::{
    bindings,
    container_of,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// A timer with its callback, which runs in softirq context.
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

// SAFETY: Operations on a timer take the lock of its processor's timers; the callback may be
// shared.
unsafe impl<C: Callback> Sync for Timer<C> {}

impl<C: Callback> Timer<C> {
    /// A timer that has not been started.
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

    /// Lets the timer expire at the next tick of the processor that calls this.
    pub(crate) fn start(&self) {
        // SAFETY: By the type invariant this is a timer. It stays valid, and in place, until it
        // has expired: it is pinned, since it is made by a `PinInit` only, and its drop stops it
        // or waits for it.
        unsafe { bindings::mod_timer(self.timer.get(), sys::jiffies()) };
    }

    /// What the kernel calls when the timer expires.
    ///
    /// # Safety
    ///
    /// `timer` is that of a `Timer<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(timer: *mut bindings::timer_list) {
        // SAFETY: By this function's requirements `timer` is the field of a `Timer<C>`.
        let timer = unsafe { container_of!(Opaque::cast_from(timer), Self, timer) };
        // SAFETY: That is valid by this function's requirements, and nobody has it exclusively:
        // its drop waits for this function before anything else.
        unsafe { &*timer }.callback.call();
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for Timer<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant this is a timer. We may sleep, see the module, and hold no
        // lock that the callback takes.
        unsafe { bindings::timer_shutdown_sync(self.timer.get()) };
    }
}
