// SPDX-License-Identifier: GPL-2.0

//! `src/abstractions/latest.rs` in loom: one thread replaces the value while another reads it, in each order that loom has.
//!
//! The two halves of each value that is written are the same. With each mistake of build.rs some reader gets two different
//! halves. (`loom::cell::UnsafeCell` would report the reads that overlap a write, which are meant to happen.)

use kernel::bounded;
use loom::thread;

/// The parts of the module's `abstractions` that the source uses.
mod abstractions {
    pub(crate) mod compat {
        pub(crate) use kernel::barrier::{smp_mb, Read, Write};
    }
}

/// A cell that is read and written word by word, each word by one load or store.
mod cell {
    use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::{array, marker::PhantomData, mem};

    /// The initial content, which no write stores.
    pub(crate) const NOTHING: u32 = u32::MAX;

    pub(crate) struct UnsafeCell<T> {
        words: [AtomicU32; 2],
        value: PhantomData<T>,
    }

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(_: T) -> Self {
            const { assert!(size_of::<T>() == size_of::<[u32; 2]>()) };
            Self {
                words: array::from_fn(|_| AtomicU32::new(NOTHING)),
                value: PhantomData,
            }
        }

        pub(crate) fn get(&self) -> &Self {
            self
        }

        /// # Safety
        ///
        /// The value is initialised.
        pub(crate) unsafe fn write_volatile(&self, value: T) {
            // SAFETY: The sizes are the same, and the value is initialised.
            let halves = unsafe { mem::transmute_copy::<T, [u32; 2]>(&value) };

            for (word, half) in self.words.iter().zip(halves) {
                word.store(half, Relaxed);
            }
        }

        /// # Safety
        ///
        /// All bits of the type are valid.
        pub(crate) unsafe fn read_volatile(&self) -> T {
            let halves = [&self.words[0], &self.words[1]].map(|word| word.load(Relaxed));

            // SAFETY: The sizes are the same, and all bits are valid.
            unsafe { mem::transmute_copy(&halves) }
        }
    }
}

/// Tries the source `$file`: one thread replaces the value twice, and another reads it. Returns what a reader must not get,
/// if one got it.
macro_rules! explore {
    ($file:expr) => {{
        #[allow(clippy::all, unused)]
        mod latest {
            include!(concat!(env!("OUT_DIR"), "/latest", $file, ".rs"));
        }

        [true, false].into_iter().find_map(|is_first| {
            bounded::explore(move |wrong| {
                let latest = loom::sync::Arc::new(latest::Latest::new());
                let read = latest.clone();

                if !is_first {
                    // SAFETY: This thread alone writes.
                    unsafe { latest.replace([7; 2]) };
                }
                let reader = thread::spawn(move || read.get());
                for value in [8, 9] {
                    // SAFETY: This thread alone writes.
                    unsafe { latest.replace([value; 2]) };
                }
                if let Some([one, other]) = reader.join().unwrap() {
                    if one != other || one == cell::NOTHING {
                        wrong(format!("halves {one} and {other}"));
                    }
                }
                if latest.get() != Some([9; 2]) {
                    wrong("not the last value after the last write".into());
                }
            })
        })
    }};
}

#[test]
fn readers_get_whole_values() {
    assert_eq!(explore!(""), None);
}

include!(concat!(env!("OUT_DIR"), "/latest.mistakes.rs"));
