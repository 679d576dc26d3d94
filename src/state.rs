// SPDX-License-Identifier: GPL-2.0

//! What the files share: the choice of threads, and how addresses are shown.

use crate::{
    line::Line,
    pid_list::PidList,
    sys::{
        self,
        POINTER_WIDTH, //
    },
    text::hexadecimal, //
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
    /// The threads that tables opened from now on hold; [`None`] is all of them.
    #[pin]
    selection: Mutex<Option<Arc<PidList>>>,
    /// How addresses are shown.
    pub(crate) addresses: Addresses,
}

impl State {
    /// All threads are shown at first.
    pub(crate) fn new(addresses: Addresses) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            selection <- new_mutex!(None),
            addresses,
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
        let mut selection = self.selection.lock();
        let pids = choose(selection.as_ref().map_or(&[], |list| list.as_slice()))?;

        *selection = if pids.is_empty() {
            None
        } else {
            Some(Arc::new(PidList::new(pids), GFP_KERNEL)?)
        };
        Ok(())
    }

    /// Lets tables hold all threads again. May sleep.
    pub(crate) fn select_all(&self) {
        *self.selection.lock() = None;
    }
}

/// How addresses of the kernel are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Hashed, as `%p` does it.
    Hashed,
    /// As they are.
    Raw,
}

impl Addresses {
    /// Writes `first` and `second`, with a space between them, at the beginning of `field`.
    ///
    /// `field` has room for both and one byte more, which becomes a space.
    #[inline]
    pub(crate) fn write_both(self, field: &mut [u8], first: usize, second: usize) {
        match self {
            Self::Hashed => {
                sys::print_pointers(field, first, second);
                field[2 * POINTER_WIDTH + 1] = b' ';
            }
            Self::Raw => {
                hexadecimal(&mut field[..POINTER_WIDTH], first);
                hexadecimal(&mut field[POINTER_WIDTH + 1..][..POINTER_WIDTH], second);
            }
        }
    }

    /// Writes `address` at the beginning of `field`, which has room for it and one byte more; that
    /// becomes a space.
    pub(crate) fn write(self, field: &mut [u8], address: usize) {
        match self {
            Self::Hashed => {
                sys::print_pointer(field, address);
                field[POINTER_WIDTH] = b' ';
            }
            Self::Raw => hexadecimal(&mut field[..POINTER_WIDTH], address),
        }
    }

    /// Adds `address` to `line`.
    pub(crate) fn add(self, line: &mut Line<'_>, address: usize) {
        // The byte more than `write` asks for is of no use to the line.
        let mut text = [0; POINTER_WIDTH + 1];

        self.write(&mut text, address);
        line.bytes(&text[..POINTER_WIDTH]);
    }
}
