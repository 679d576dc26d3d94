// SPDX-License-Identifier: GPL-2.0

//! What was seen in the latest NMI of each processor.
//!
//! The handler looks and claims nothing: whoever an NMI is for handles it as before, and one that
//! is for nobody is still reported by the kernel. Where the architecture calls no handlers of
//! modules, or has no NMIs, nothing is ever seen.
//!
//! C header: [`arch/x86/include/asm/nmi.h`](srctree/arch/x86/include/asm/nmi.h).

use crate::{
    latest::Latest,
    observation::Observation, //
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*, //
};

/// Whether a module can have NMIs here.
pub(crate) const SUPPORTED: bool = cfg!(CONFIG_X86);

/// The latest NMI of each processor, by its number.
type Seen = KVec<Latest<Observation>>;

/// As long as this exists, NMIs are looked at.
pub(crate) struct Nmis {
    handler: handler::Handler,
}

impl Nmis {
    /// Begins to look. There is one of these at a time. May sleep; fails with `ENOMEM`.
    pub(crate) fn watch() -> Result<Self> {
        let cpus = usize::try_from(nr_cpu_ids())?;
        let mut seen = KVec::with_capacity(cpus, GFP_KERNEL)?;

        for _ in 0..cpus {
            seen.push_within_capacity(Latest::new())?;
        }

        Ok(Self {
            handler: handler::Handler::register(KBox::new(seen, GFP_KERNEL)?)?,
        })
    }

    /// Returns what was seen in the latest NMI of processor `cpu`, if it has had one.
    pub(crate) fn seen(&self, cpu: CpuId) -> Option<Observation> {
        let place = usize::try_from(cpu.as_u32()).ok()?;

        self.handler.seen().get(place)?.get()
    }
}

/// The handler of x86.
#[cfg(CONFIG_X86)]
mod handler {
    use super::*;
    use crate::sys;
    use core::ptr;
    use kernel::{
        bindings,
        sync::atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        }, //
    };

    /// Where the handler puts what it sees: null, or a [`Seen`] that stays until the handler is
    /// unregistered.
    static SEEN: Atomic<*mut Seen> = Atomic::new(ptr::null_mut());

    /// The handler while it is registered.
    ///
    /// # Invariants
    ///
    /// `SEEN` points at `seen`, and the handler is registered.
    pub(super) struct Handler {
        seen: KBox<Seen>,
    }

    impl Handler {
        /// Lets the handler put what it sees into `seen`. Fails with `EBUSY` if there is one.
        pub(super) fn register(seen: KBox<Seen>) -> Result<Self> {
            SEEN.cmpxchg(ptr::null_mut(), ptr::from_ref(&*seen).cast_mut(), Release)
                .map_err(|_| EBUSY)?;
            // SAFETY: It is not registered, since `SEEN` was null. The function is below; it ends
            // when this is dropped, or with this if that fails.
            unsafe { sys::register_nmi_handler() }.inspect_err(|_| {
                SEEN.store(ptr::null_mut(), Relaxed);
            })?;
            // INVARIANT: Both have just been done.
            Ok(Self { seen })
        }

        /// Returns what has been seen.
        pub(super) fn seen(&self) -> &Seen {
            &self.seen
        }
    }

    impl Drop for Handler {
        fn drop(&mut self) {
            // The fields are dropped after this.
            sys::unregister_nmi_handler();
            SEEN.store(ptr::null_mut(), Relaxed);
        }
    }

    /// What the kernel calls in an NMI.
    ///
    /// # Safety
    ///
    /// To be called in NMI context, by the kernel, between registering and unregistering.
    #[no_mangle]
    unsafe extern "C" fn taskscope_nmi(_kind: c_uint, _regs: *mut bindings::pt_regs) -> c_int {
        /// `NMI_DONE`: it was not for us.
        const DONE: c_int = 0;

        let seen = Observation::now();
        // SAFETY: It is null, or the `seen` of a `Handler`, by its invariant; that is valid until
        // its drop has unregistered this function, which waits for it.
        let slots = unsafe { SEEN.load(Acquire).as_ref() };

        if let Some(slot) = slots.and_then(|slots| slots.get(usize::try_from(seen.cpu).ok()?)) {
            // SAFETY: The slot is this processor's own, which cannot be in two NMIs at a time: one
            // that comes during another is held back until that is over.
            unsafe { slot.replace(seen) };
        }
        DONE
    }
}

/// Other architectures call no handler of a module.
#[cfg(not(CONFIG_X86))]
mod handler {
    use super::*;

    /// Nothing but what is never seen.
    pub(super) struct Handler(KBox<Seen>);

    impl Handler {
        /// Does nothing. Does not fail.
        pub(super) fn register(seen: KBox<Seen>) -> Result<Self> {
            Ok(Self(seen))
        }

        /// Returns what has been seen.
        pub(super) fn seen(&self) -> &Seen {
            &self.0
        }
    }
}
