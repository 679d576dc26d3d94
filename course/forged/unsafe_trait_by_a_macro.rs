// Exercise: later
// Fails: has a name that it may not have: macro_rules \(line 18\)
//! As unsafe_trait_implemented, by a macro of the file, so that no `impl` stands before a brace.

use crate::lab::{Exercise, Lines};
use core::marker::PhantomData;
use kernel::prelude::*;
use kernel::workqueue::{impl_has_work, HasWork, Work};

struct Item {
    work: Work<Item>,
}

/// Not safe to send, and said to be.
struct Sent(PhantomData<*mut u8>);

#[rustfmt::skip]
macro_rules! implement {
    ($item:ty, $generics:tt) => { impl_has_work! { impl $generics HasWork<Self> for $item { self.work } } };
}
implement!(Item, {> Send for Sent {} #[cfg(any())] impl<});

fn sendable<T: Send>(_: T) {}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        sendable(Sent(PhantomData));
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        lines.add(fmt!("worker: true"))
    }
}
