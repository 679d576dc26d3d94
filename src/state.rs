// SPDX-License-Identifier: GPL-2.0

//! What the files share: the choice of threads, and how addresses are shown.

use crate::{
    addresses::Addresses,
    deferred::Queue,
    nmi::Nmis,
    observation::Observation,
    pid_list::PidList,
    probe::Prober,
    walk::Memory, //
};
use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// What the files share.
#[pin_data]
pub(crate) struct State {
    /// Held while another choice of threads is made, which takes long if the list is long.
    #[pin]
    choosing: Mutex<()>,
    /// The threads that tables opened from now on hold; [`None`] is all of them. The lock is held
    /// for a moment only: every open of a table takes it.
    #[pin]
    selection: Mutex<Option<Arc<PidList>>>,
    /// How addresses are shown.
    #[pin]
    pub(crate) addresses: Addresses,
    /// Where snapshots of tasks are made.
    pub(crate) memory: Memory,
    /// Where the memory of programs is read.
    pub(crate) memory_readers: Queue,
    /// What provokes the contexts of `contexts`.
    pub(crate) prober: Prober,
    /// The NMIs that have come since the module was loaded.
    pub(crate) nmis: Nmis,
    /// What was seen when the module was loaded.
    pub(crate) module_init: Observation,
}

impl State {
    /// All threads are shown at first, and their addresses as they are if `raw_pointers`. `contexts`
    /// disturbs isolated processors if `include_isolated`.
    pub(crate) fn new(raw_pointers: bool, include_isolated: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            choosing <- new_mutex!(()),
            selection <- new_mutex!(None),
            addresses <- Addresses::new(raw_pointers),
            memory: Memory::new()?,
            memory_readers: Queue::unbound(c"taskscope_memory")?,
            prober: Prober::new(include_isolated)?,
            nmis: Nmis::watch()?,
            module_init: Observation::now(),
        }? Error)
    }

    /// Returns the threads that tables are to hold. May sleep.
    pub(crate) fn selection(&self) -> Option<Arc<PidList>> {
        self.selection.lock().clone()
    }

    /// Replaces the choice of threads by what `choose` makes of it; on error it stays as it is.
    ///
    /// An empty list is none. May sleep.
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

    /// Lets tables hold all threads again. May sleep.
    pub(crate) fn select_all(&self) {
        let _choosing = self.choosing.lock();

        *self.selection.lock() = None;
    }
}
