// SPDX-License-Identifier: GPL-2.0

//! A value recorded in the latest NMI of each CPU.
//!
//! [`Nmis`] claims no NMI: the handler that an NMI is for runs as before, and the kernel still
//! reports an NMI that is for no handler. Where the architecture calls no handlers of modules, or
//! has no NMIs, nothing is ever recorded.
//!
//! C header: [`arch/x86/include/asm/nmi.h`](srctree/arch/x86/include/asm/nmi.h).

use crate::abstractions::latest::LatestPerCpu;
use core::ptr;
use kernel::bindings;
use kernel::cpu::CpuId;
#[cfg(CONFIG_X86)]
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::sync::Arc;

/// Whether a module can handle NMIs on this architecture.
pub(crate) const SUPPORTED: bool = cfg!(CONFIG_X86);

#[cfg(CONFIG_X86)]
// Sound: these are the functions of helpers.c, with these signatures. The kernel finds the handler
// to unregister by its name, which is that of the module, and does nothing if there is none.
unsafe extern "C" {
    /// Has the kernel call `taskscope_nmi()` in each NMI for which it calls the handlers of the
    /// type `NMI_LOCAL`, whether another handler claims the NMI or not. An emergency handler, as
    /// for a crash, replaces all of them. May sleep; returns an error of the kernel.
    ///
    /// # Safety
    ///
    /// The handler is unregistered before the module goes.
    fn taskscope_register_nmi_handler() -> c_int;

    /// Unregisters the handler, and sleeps until no call of it is going on.
    safe fn taskscope_unregister_nmi_handler();
}

/// What the handler calls: [`Slots`], whose values may have any type.
pub(crate) trait Record: Send + Sync {
    /// Records an NMI of `cpu`. Returns whether the NMI is claimed: then the kernel looks for no
    /// other reason. This module claims none; an exercise of the course does.
    ///
    /// Runs in NMI context: it takes no lock and does not sleep.
    ///
    /// # Safety
    ///
    /// Two calls for the same CPU never overlap, not by one interrupting the other either.
    unsafe fn record(&self, cpu: CpuId) -> bool;
}

/// The latest value of each CPU, and what makes the next.
struct Slots<T: Copy> {
    make: fn() -> T,
    latest: LatestPerCpu<T>,
}

impl<T: Copy + Send> Record for Slots<T> {
    unsafe fn record(&self, cpu: CpuId) -> bool {
        let value = (self.make)();

        if let Some(slot) = self.latest.of(cpu) {
            // SAFETY: The slot is that of `cpu`, for which no two calls overlap by this function's
            // requirements. Nothing else writes to it.
            unsafe { slot.replace(value) };
        }
        false
    }
}

/// Records a value in each NMI, for as long as this exists.
///
/// A leaked `Nmis` leaks its memory and leaves the handler registered. The memory stays valid for
/// the handler, but the module must not be unloaded any more: the registrations of the `kernel`
/// crate have the same gap. The module's state owns its `Nmis`, and nothing leaks that.
pub(crate) struct Nmis<T: Copy + Send + 'static> {
    slots: Arc<Slots<T>>,
    _handler: Handler,
}

impl<T: Copy + Send + 'static> Nmis<T> {
    /// Begins to record: each NMI calls `make` and keeps what it returns. May sleep.
    ///
    /// `make` runs in NMI context: it takes no lock and does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EBUSY` if another `Nmis` exists.
    pub(crate) fn watch(make: fn() -> T) -> Result<Self> {
        let latest = LatestPerCpu::new()?;
        let slots = Arc::new(Slots { make, latest }, GFP_KERNEL)?;

        Ok(Self {
            _handler: Handler::register(slots.clone())?,
            slots,
        })
    }

    /// Returns the value of the latest NMI of `cpu`, if it has had one. Any context.
    pub(crate) fn latest(&self, cpu: CpuId) -> Option<T> {
        self.slots.latest.of(cpu)?.get()
    }
}

/// What the handler calls. (A pointer to an `Arc<dyn _>` fits in an atomic; the `Arc` does not.)
type Target = Arc<dyn Record>;

/// Null, or the target of the [`Handler`].
static TARGET: Atomic<*mut Target> = Atomic::new(ptr::null_mut());

/// The handler while it is registered.
///
/// # Invariants
///
/// `TARGET` points at the target in the box, and the handler is registered, by this value alone.
pub(crate) struct Handler(#[expect(dead_code, reason = "the handler uses it")] KBox<Target>);

impl Handler {
    /// Registers the handler, which calls `target`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EBUSY` if there is a handler.
    pub(crate) fn register(target: Arc<dyn Record>) -> Result<Self> {
        let target = KBox::new(target, GFP_KERNEL)?;

        TARGET
            .cmpxchg(ptr::null_mut(), ptr::from_ref(&*target).cast_mut(), Release)
            .map_err(|_| EBUSY)?;
        // INVARIANT: `TARGET` was null, so that no other value has registered the handler. Both are
        // set here; the drop takes back what has been set if this fails.
        let handler = Self(target);

        #[cfg(CONFIG_X86)]
        // SAFETY: The drop of `handler` unregisters it. The state of the module owns `handler`, and
        // is dropped before the module goes.
        to_result(unsafe { taskscope_register_nmi_handler() })?;
        Ok(handler)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        #[cfg(CONFIG_X86)]
        taskscope_unregister_nmi_handler();
        // The target is dropped after this.
        TARGET.store(ptr::null_mut(), Relaxed);
    }
}

/// What the kernel calls in an NMI.
///
/// # Safety
///
/// Called by the kernel in NMI context, between registering and unregistering.
#[no_mangle]
unsafe extern "C" fn taskscope_nmi(_kind: c_uint, _regs: *mut bindings::pt_regs) -> c_int {
    /// The handler does not claim the NMI.
    const DONE: c_int = 0;
    /// The handler claims the NMI.
    const HANDLED: c_int = 1;

    // SAFETY: `TARGET` is null, or points at the target of a `Handler`, by its type invariant. The
    // target stays valid until the drop of the `Handler` has unregistered this function, which
    // waits for this call to end.
    if let Some(target) = unsafe { TARGET.load(Acquire).as_ref() } {
        // SAFETY: An NMI stays on its CPU. An NMI that comes in an NMI, on the same CPU, calls no
        // handlers: `exc_nmi()` latches it until this one is over. With FRED, the CPU itself holds
        // it back until then.
        if unsafe { target.record(CpuId::current()) } {
            return HANDLED;
        }
    }
    DONE
}
