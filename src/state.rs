// SPDX-License-Identifier: GPL-2.0

//! What the tables share: the list of `set_pid`, how addresses are shown, memory, and queues.

#![deny(unsafe_code)]

use crate::abstractions::callbacks::Queue;
use crate::abstractions::device_irqs::DeviceIrqs;
use crate::abstractions::nmi::Nmis;
use crate::capture::addresses::Addresses;
use crate::capture::contexts::{
    source_of_call,
    Outcome,
    ProbedContext,
    Prober, //
};
use crate::capture::cpu_samples::CpuSampler;
use crate::capture::observation::Observation;
use crate::capture::snapshot::Memory;
use crate::text::pid_list::PidList;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex, //
    Arc,
    Mutex,
};

/// What the tables share.
#[pin_data]
pub(crate) struct State {
    /// Held while the list is replaced. A long list takes long.
    #[pin]
    choosing: Mutex<()>,
    /// The list of `set_pid`: which threads a table shows that is opened from now on. [`None`]
    /// means all threads. Each open of a table takes the lock, so no holder keeps it for long.
    #[pin]
    selection: Mutex<Option<Arc<PidList>>>,
    /// How addresses are shown.
    #[pin]
    pub(crate) addresses: Addresses,
    /// Memory that snapshots leave for the next.
    pub(crate) memory: Memory,
    /// The workqueue on which the memory of programs is read.
    pub(crate) memory_readers: Queue,
    /// Provokes the contexts of `contexts`.
    pub(crate) prober: Prober,
    /// Samples what the CPUs run, for `cpus`.
    pub(crate) cpu_sampler: CpuSampler,
    /// The latest NMI of each CPU since the module was loaded.
    pub(crate) nmis: Nmis<Observation>,
    /// The latest interrupt of a device on each CPU since the module was loaded.
    pub(crate) device_irqs: DeviceIrqs<Observation>,
    /// What was seen when the module was loaded.
    pub(crate) module_init: ProbedContext,
}

impl State {
    /// Tables show all threads. They show addresses as they are if `raw_pointers`, else hashed.
    /// `contexts` and `cpus` ask isolated CPUs too if `include_isolated`; `contexts` shows the
    /// interrupts of devices if `device_irqs`.
    pub(crate) fn new(
        raw_pointers: bool,
        include_isolated: bool,
        device_irqs: bool,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            choosing <- new_mutex!(()),
            selection <- new_mutex!(None),
            addresses <- Addresses::new(raw_pointers),
            memory: Memory::new()?,
            memory_readers: Queue::unbound(c"taskscope_memory")?,
            prober: Prober::new(include_isolated)?,
            cpu_sampler: CpuSampler::new(include_isolated)?,
            nmis: Nmis::watch(Observation::now)?,
            device_irqs: DeviceIrqs::new(device_irqs, Observation::now)?,
            module_init: ProbedContext::new(
                "module_init",
                None,
                Outcome::Seen(Observation::now()),
                source_of_call(),
            ),
        }? Error)
    }

    /// Returns the list of `set_pid`. May sleep.
    pub(crate) fn selection(&self) -> Option<Arc<PidList>> {
        self.selection.lock().clone()
    }

    /// Replaces the list of `set_pid` by what `choose` makes of it. On error the list stays as it
    /// is. An empty list means all threads. May sleep.
    pub(crate) fn select(&self, choose: impl FnOnce(&[u32]) -> Result<KVVec<u32>>) -> Result {
        let _choosing = self.choosing.lock();
        let old = self.selection();
        let pids = choose(old.as_ref().map_or(&[], |list| list.as_slice()))?;
        let new = if pids.is_empty() {
            None
        } else {
            Some(Arc::new(PidList::new(pids), GFP_KERNEL)?)
        };

        *self.selection.lock() = new;
        Ok(())
    }

    /// Empties the list of `set_pid`, so that tables show all threads. May sleep.
    pub(crate) fn select_all(&self) {
        let _choosing = self.choosing.lock();

        *self.selection.lock() = None;
    }
}
