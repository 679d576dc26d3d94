// SPDX-License-Identifier: GPL-2.0

//! The parts of the `kernel` crate that the modelled sources use. This library has its name, so that their `use kernel::…`
//! finds it.

pub mod bounded;
pub mod world;

/// Errors, and vectors that say when they are full.
pub mod prelude {
    use std::ops::{Deref, DerefMut};

    #[derive(Debug)]
    pub struct Error;

    impl From<std::num::TryFromIntError> for Error {
        fn from(_: std::num::TryFromIntError) -> Self {
            Self
        }
    }

    pub type Result<T = (), E = Error> = std::result::Result<T, E>;

    pub struct Flags;
    pub const GFP_KERNEL: Flags = Flags;

    pub struct KVVec<T>(Vec<T>);

    impl<T> KVVec<T> {
        #[allow(clippy::new_without_default)]
        pub const fn new() -> Self {
            Self(Vec::new())
        }
        pub fn with_capacity(count: usize, _: Flags) -> Result<Self> {
            Ok(Self(Vec::with_capacity(count)))
        }
        pub fn reserve(&mut self, more: usize, _: Flags) -> Result {
            self.0.reserve(more);
            Ok(())
        }
        pub fn push_within_capacity(&mut self, item: T) -> Result {
            if self.0.len() == self.0.capacity() {
                return Err(Error);
            }
            self.0.push(item);
            Ok(())
        }
        pub fn truncate(&mut self, length: usize) {
            self.0.truncate(length);
        }
        pub fn capacity(&self) -> usize {
            self.0.capacity()
        }
    }

    impl<T> Deref for KVVec<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> DerefMut for KVVec<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}

/// Atomic variables by loom, RCU and references by [`world`](crate::world).
pub mod sync {
    pub use std::sync::Arc;

    pub mod atomic {
        use loom::sync::atomic::{AtomicU32, Ordering};
        use loom::thread::{current, ThreadId};
        use std::sync::Mutex;

        pub struct Acquire;
        pub struct Relaxed;
        pub struct Release;

        pub trait Order {
            const ORDER: Ordering;
        }
        impl Order for Acquire {
            const ORDER: Ordering = Ordering::Acquire;
        }
        impl Order for Relaxed {
            const ORDER: Ordering = Ordering::Relaxed;
        }
        impl Order for Release {
            const ORDER: Ordering = Ordering::Release;
        }

        /// An atomic variable that only one thread stores to. The loads of that thread are taken from `own`, and loom does
        /// not see them: loom 0.7 remembers one access of each variable. A thread's own load would hide from its next store
        /// that another thread has loaded before, and loom would not try the store before that load.
        pub struct Atomic<T> {
            shared: AtomicU32,
            own: Mutex<(ThreadId, T)>,
        }

        impl Atomic<u32> {
            pub fn new(value: u32) -> Self {
                Self {
                    shared: AtomicU32::new(value),
                    own: Mutex::new((current().id(), value)),
                }
            }
            pub fn load<O: Order>(&self, _: O) -> u32 {
                let (owner, value) = *self.own.lock().unwrap();

                if owner == current().id() {
                    return value;
                }
                self.shared.load(O::ORDER)
            }
            pub fn store<O: Order>(&self, value: u32, _: O) {
                let mut own = self.own.lock().unwrap();

                assert!(own.0 == current().id(), "one thread stores");
                own.1 = value;
                drop(own);
                self.shared.store(value, O::ORDER);
            }
        }
    }

    pub mod rcu {
        pub use crate::world::{read_lock, Guard};
    }

    pub mod aref {
        pub use crate::world::ARef;
    }
}

/// The barriers of `src/abstractions/compat.rs`, as fences of C11. An acquire fence also orders loads before later stores, and
/// a release fence earlier loads too; no thread of these models loads before it stores.
pub mod barrier {
    use loom::sync::atomic::{fence, Ordering};

    pub struct Read;
    pub struct Write;

    pub trait Order {
        const ORDER: Ordering;
    }
    impl Order for Read {
        const ORDER: Ordering = Ordering::Acquire;
    }
    impl Order for Write {
        const ORDER: Ordering = Ordering::Release;
    }

    pub fn smp_mb<O: Order>(_: O) {
        fence(O::ORDER);
    }
}

pub mod cpu {
    pub struct CpuId(pub u32);

    impl CpuId {
        pub fn as_u32(&self) -> u32 {
            self.0
        }
    }

    pub fn nr_cpu_ids() -> u32 {
        1
    }
}

pub mod task {
    pub use crate::world::Task;
}

pub mod time {
    /// The clock of [`world`](crate::world).
    pub struct Monotonic;

    pub trait ClockSource {
        fn ktime_get() -> i64;
    }

    impl ClockSource for Monotonic {
        fn ktime_get() -> i64 {
            crate::world::now() as i64
        }
    }
}
