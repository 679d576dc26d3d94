// SPDX-License-Identifier: GPL-2.0

//! A value recorded in the latest interrupt of a device on each CPU.
//!
//! The kernel calls the probes of the tracepoint `irq_handler_entry` before it calls the handler of
//! an interrupt (`kernel/irq/handle.c` and `chip.c`). Nothing is asked of a device, and no handler
//! is delayed but by the probe itself. The kernel exports no tracepoint of its own to modules by
//! name; a module finds it in the list of all.
//!
//! These interrupts have handlers, but are not of a device, and are left out:
//!
//! - the timers of the kernel, which have `__IRQF_TIMER` (`IRQF_TIMER`),
//! - what each CPU has for itself, which has `IRQF_PERCPU`: on arm64 the timer of a CPU, its
//!   performance counters and its IPIs,
//! - an interrupt that comes as an NMI, which some architectures can make of an interrupt,
//! - the interrupts of [`ThreadedIrq`](crate::abstractions::callbacks::ThreadedIrq), which have no
//!   device.
//!
//! x86-64 handles its local timer, its IPIs and other interrupts of a CPU for itself outside of
//! `kernel/irq`: they do not come here at all.
//!
//! C headers: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h),
//! [`include/trace/events/irq.h`](srctree/include/trace/events/irq.h),
//! [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h).

#![cfg_attr(
    not(CONFIG_TRACEPOINTS),
    allow(
        dead_code,
        unused_imports,
        unused_variables,
        reason = "without tracepoints nothing is registered"
    )
)]

use crate::abstractions::callbacks;
use crate::abstractions::context;
use crate::abstractions::latest::LatestPerCpu;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;

// Sound: this is the function of helpers.c, with this signature.
unsafe extern "C" {
    /// Sleeps until no call of a probe is going on that was unregistered before.
    safe fn taskscope_tracepoint_synchronize_unregister();
}

/// The tracepoint before a handler is called.
const TRACEPOINT: &CStr = c"irq_handler_entry";

/// The most bytes that are kept of the name of an interrupt.
const IRQ_NAME_MAX: usize = 64;

/// The name of an interrupt: that of one of its handlers, as in `/proc/interrupts`.
///
/// # Invariants
///
/// `len` is at most [`IRQ_NAME_MAX`].
#[derive(Clone, Copy)]
pub(crate) struct IrqName {
    bytes: [u8; IRQ_NAME_MAX],
    len: u8,
    is_whole: bool,
}

impl IrqName {
    /// Returns the bytes of the name, any but NUL.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    /// Returns whether these are all bytes of the name: it was not longer than what is kept, and
    /// all of it could be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Copies the name that begins at `start`; the null pointer is an empty name. Any context.
    ///
    /// The memory need not be valid: a driver may have freed a name that it should have kept. It is
    /// read in aligned blocks. A block lies in one page: no page is read that has no byte of the
    /// name. (`strncpy_from_kernel_nofault()` is not exported.)
    fn copy(start: *const c_char) -> Self {
        const BLOCK: usize = IRQ_NAME_MAX;

        let mut bytes = [0; IRQ_NAME_MAX];
        let mut len = 0;
        let mut is_whole = start.is_null();

        while !is_whole && len < IRQ_NAME_MAX {
            let from = start.wrapping_add(len);
            let more = (BLOCK - from.addr() % BLOCK).min(IRQ_NAME_MAX - len);
            let place = &mut bytes[len..len + more];
            // SAFETY: `place` is valid for writes of its size. The source need not be valid for
            // reads: a fault ends the copy, and an address that is not the kernel's is refused.
            let error = unsafe {
                bindings::copy_from_kernel_nofault(place.as_mut_ptr().cast(), from.cast(), more)
            };

            if error != 0 {
                break;
            }
            match CStr::from_bytes_until_nul(place) {
                Ok(name) => {
                    len += name.count_bytes();
                    is_whole = true;
                }
                Err(_) => len += more,
            }
        }
        // CAST: `len` is at most `IRQ_NAME_MAX`. INVARIANT: For the same reason.
        Self {
            bytes,
            len: len as u8,
            is_whole,
        }
    }
}

/// An interrupt of a device.
#[derive(Clone, Copy)]
pub(crate) struct DeviceIrq<T> {
    /// The number of the interrupt, as in `/proc/interrupts`.
    pub(crate) number: u32,
    /// The name of the handler that was called.
    pub(crate) name: IrqName,
    /// The value that was recorded.
    pub(crate) value: T,
}

/// What the probe uses.
struct Slots<T: Copy> {
    make: fn() -> T,
    latest: LatestPerCpu<DeviceIrq<T>>,
}

/// The latest interrupt of a device on each CPU, or why there is none.
pub(crate) enum DeviceIrqs<T: Copy + Send + 'static> {
    /// They are recorded.
    Watched(Watch<T>),
    /// They are not wanted, and nothing is hooked.
    Unwanted,
    /// The kernel has no such tracepoint.
    NoTracepoint,
}

impl<T: Copy + Send + 'static> DeviceIrqs<T> {
    /// Begins to record, if `wanted`: each interrupt of a device calls `make` and keeps what that
    /// returns. May sleep.
    ///
    /// `make` runs with interrupts disabled, as a rule in hardirq context: it takes no lock and
    /// does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(wanted: bool, make: fn() -> T) -> Result<Self> {
        if !wanted {
            return Ok(Self::Unwanted);
        }
        #[cfg(CONFIG_TRACEPOINTS)]
        if let Some(tracepoint) = find_tracepoint(TRACEPOINT) {
            return Ok(Self::Watched(Watch::new(tracepoint, make)?));
        }
        Ok(Self::NoTracepoint)
    }

    /// Returns the latest interrupt of a device on `cpu`, if there has been one. Any context.
    pub(crate) fn latest(&self, cpu: CpuId) -> Option<DeviceIrq<T>> {
        match self {
            Self::Watched(watch) => watch.slots.latest.of(cpu)?.get(),
            Self::Unwanted | Self::NoTracepoint => None,
        }
    }
}

/// Records a value in each interrupt of a device, for as long as this exists.
///
/// A leaked `Watch` leaves the probe registered, and leaks the memory that the probe uses: the
/// memory stays valid, but the module must not be unloaded any more. The state of the module owns
/// its `Watch`, and nothing leaks that.
///
/// # Invariants
///
/// - `tracepoint` is [`TRACEPOINT`] of the kernel itself, which is static.
/// - `probe` is registered with it by this value alone, with a pointer to `slots` as its data.
pub(crate) struct Watch<T: Copy + Send + 'static> {
    tracepoint: NonNull<bindings::tracepoint>,
    probe: *mut c_void,
    slots: Arc<Slots<T>>,
}

// SAFETY: A probe may be unregistered from any thread, and the slots may be shared.
unsafe impl<T: Copy + Send + 'static> Send for Watch<T> {}

// SAFETY: A shared `Watch` gives access to the slots alone, which may be shared.
unsafe impl<T: Copy + Send + 'static> Sync for Watch<T> {}

impl<T: Copy + Send + 'static> Watch<T> {
    /// Registers the probe. May sleep; fails with `ENOMEM`.
    #[cfg(CONFIG_TRACEPOINTS)]
    fn new(tracepoint: NonNull<bindings::tracepoint>, make: fn() -> T) -> Result<Self> {
        let latest = LatestPerCpu::new()?;
        let slots = Arc::new(Slots { make, latest }, GFP_KERNEL)?;
        let probe = probe::<T> as *mut c_void;

        // SAFETY: The tracepoint is static. It calls the probe with the data, a number and an
        // action: these are the arguments of `irq_handler_entry`. The drop of the `Watch`
        // unregisters the probe before the slots and this module go.
        to_result(unsafe {
            bindings::tracepoint_probe_register(tracepoint.as_ptr(), probe, data(&slots))
        })?;
        // INVARIANT: The caller has found the tracepoint in the list of the kernel's. The probe has
        // just been registered, with data that no other `Watch` has.
        Ok(Self {
            tracepoint,
            probe,
            slots,
        })
    }
}

impl<T: Copy + Send + 'static> Drop for Watch<T> {
    fn drop(&mut self) {
        #[cfg(CONFIG_TRACEPOINTS)]
        // SAFETY: By the type invariant the tracepoint is static, and this value has registered the
        // probe with this data.
        unsafe {
            bindings::tracepoint_probe_unregister(
                self.tracepoint.as_ptr(),
                self.probe,
                data(&self.slots),
            )
        };
        // The slots are dropped after this, and the module goes after that.
        taskscope_tracepoint_synchronize_unregister();
    }
}

/// Returns the slots as the data of a probe.
fn data<T: Copy>(slots: &Arc<Slots<T>>) -> *mut c_void {
    ptr::from_ref(&**slots).cast_mut().cast()
}

/// What the kernel calls before it calls the handler of `action` for interrupt `irq`.
///
/// # Safety
///
/// - `data` points to a `Slots<T>`, which stays valid meanwhile.
/// - `action` is valid for reads meanwhile.
unsafe extern "C" fn probe<T: Copy + Send + 'static>(
    data: *mut c_void,
    irq: c_int,
    action: *mut bindings::irqaction,
) {
    const NOT_OF_A_DEVICE: c_uint = bindings::IRQF_PERCPU | bindings::__IRQF_TIMER;

    // SAFETY: By this function's requirements. Neither field changes while handlers are called.
    let (flags, name) = unsafe { ((*action).flags, (*action).name) };

    if flags & NOT_OF_A_DEVICE != 0 || callbacks::is_threaded_irq(name) {
        return;
    }
    // Handlers are called with interrupts disabled. If a driver broke that rule, two records could
    // overlap.
    if !context::only_nmis_interrupt() {
        return;
    }
    // SAFETY: By this function's requirements. References to it are shared.
    let slots = unsafe { &*data.cast::<Slots<T>>() };
    let latest = DeviceIrq {
        number: irq.unsigned_abs(),
        name: IrqName::copy(name),
        value: (slots.make)(),
    };

    if let Some(slot) = slots.latest.of(CpuId::current()) {
        // SAFETY: The slot is that of this CPU. Interrupts are disabled, so that this call stays on
        // the CPU, and no other call interrupts it but one in an NMI, which has returned above.
        unsafe { slot.replace(latest) };
    }
}

/// Returns the tracepoint `name` of the kernel itself, if there is one. Does not sleep.
#[cfg(CONFIG_TRACEPOINTS)]
fn find_tracepoint(name: &CStr) -> Option<NonNull<bindings::tracepoint>> {
    /// The name that is looked for, and the tracepoint once it is found.
    struct Search<'a>(&'a CStr, Option<NonNull<bindings::tracepoint>>);

    /// Compares a tracepoint.
    ///
    /// # Safety
    ///
    /// `tracepoint` is a tracepoint, and `search` points to a [`Search`] that nothing else uses
    /// meanwhile.
    unsafe extern "C" fn compare(tracepoint: *mut bindings::tracepoint, search: *mut c_void) {
        // SAFETY: By this function's requirements.
        let search = unsafe { &mut *search.cast::<Search<'_>>() };
        // SAFETY: By this function's requirements. The name of a tracepoint is a NUL-terminated
        // string.
        let name = unsafe { CStr::from_char_ptr((*tracepoint).name) };

        if name == search.0 {
            search.1 = NonNull::new(tracepoint);
        }
    }

    let mut search = Search(name, None);

    // SAFETY: `compare` is called with the tracepoints of the kernel and with a pointer to
    // `search`, which this function does not use meanwhile.
    unsafe {
        bindings::for_each_kernel_tracepoint(Some(compare), (&raw mut search).cast());
    }
    search.1
}

#[kunit_tests(taskscope_device_irqs)]
mod tests {
    use super::*;
    use kernel::page::PAGE_SIZE;

    /// Returns whether the name at byte `at` of `memory` is copied as `expected`, whole or not.
    fn is(memory: &[u8], at: usize, expected: &[u8], is_whole: bool) -> bool {
        let name = IrqName::copy(memory[at..].as_ptr().cast());

        name.as_bytes() == expected && name.is_whole() == is_whole
    }

    #[test]
    fn a_name_is_copied_from_any_address() {
        let mut memory = [0; 2 * IRQ_NAME_MAX];

        memory[..IRQ_NAME_MAX].fill(b'x');
        for at in 0..IRQ_NAME_MAX {
            assert!(is(&memory, at, &memory[at..IRQ_NAME_MAX], at > 0));
        }
        assert!(is(&memory, IRQ_NAME_MAX, b"", true));
    }

    #[test]
    fn a_long_name_is_cut() {
        let memory = [b'x'; 2 * IRQ_NAME_MAX];

        for at in 0..IRQ_NAME_MAX {
            assert!(is(&memory, at, &memory[..IRQ_NAME_MAX], false));
        }
    }

    /// Memory of `vmalloc()` is followed by a page that cannot be read.
    #[test]
    fn a_name_at_the_end_of_readable_memory_is_whole() -> Result {
        let mut memory = VVec::from_elem(b'x', PAGE_SIZE, GFP_KERNEL)?;

        memory[PAGE_SIZE - 1] = 0;
        for len in 0..IRQ_NAME_MAX {
            let at = PAGE_SIZE - 1 - len;

            assert!(is(&memory, at, &memory[at..PAGE_SIZE - 1], true));
        }
        Ok(())
    }

    #[test]
    fn a_name_that_cannot_be_read_is_empty() {
        let none = IrqName::copy(ptr::null());
        let bad = IrqName::copy(ptr::without_provenance(0x1000));

        assert_eq!((none.as_bytes(), none.is_whole()), (&b""[..], true));
        assert_eq!((bad.as_bytes(), bad.is_whole()), (&b""[..], false));
    }
}
