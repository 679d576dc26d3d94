//! An atomic of core in place of the words at which an NMI may come.
// Exercise: nmi-safe
// Fails: may not have: AtomicU64

use crate::glue::Latest;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::prelude::*;

pub(crate) struct Student([AtomicU64; 2]);

impl Latest for Student {
    fn new() -> impl PinInit<Self, Error> {
        Ok(Self([AtomicU64::new(0), AtomicU64::new(0)]))
    }

    fn publish(&self, pair: [u64; 2]) {
        self.0[0].store(pair[0], Ordering::SeqCst);
        self.0[1].store(pair[1], Ordering::SeqCst);
    }

    fn read(&self) -> Option<[u64; 2]> {
        let [first, second] = &self.0;

        Some([first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)])
    }
}
