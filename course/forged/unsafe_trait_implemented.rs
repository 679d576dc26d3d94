// Exercise: later
// Fails: has a name that it may not have: impl \{ \(line 19\)
//! The kernel's macro puts what stands between the braces where the generics of an unsafe implementation are: so that is one of
//! another trait, whose promise the file does not keep.

use crate::lab::{Exercise, Lines};
use core::marker::PhantomData;
use kernel::prelude::*;
use kernel::workqueue::{impl_has_work, HasWork, Work};

struct Item {
    work: Work<Item>,
}

/// Not safe to send, and said to be.
struct Sent(PhantomData<*mut u8>);

impl_has_work! {
    impl {> Send for Sent {} #[cfg(any())] impl<} HasWork<Self> for Item { self.work }
}

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
