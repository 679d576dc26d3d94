// SPDX-License-Identifier: GPL-2.0

//! Memory that a table leaves for the next one.
//!
//! What a table of many threads needs is large, and needed for a moment: to have it page by page,
//! cleared, and mapped, costs a tenth of what the table does. So the memory stays, until another
//! table needs it or the module goes: for `threads` 80 bytes a thread, a two-hundredth of what its
//! kernel stack takes. When there were far more threads than there are now, the next table frees
//! it.

use crate::sys;
use core::{
    mem,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// What the memory is made of: it has no pointers, and no lifetimes.
type Unit = u64;

/// A place for the memory of one vector that nobody uses.
#[pin_data]
pub(crate) struct Spare {
    #[pin]
    memory: Mutex<KVVec<Unit>>,
}

impl Spare {
    /// Returns a place with nothing in it. May sleep; fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                memory <- new_mutex!(KVVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Lends an empty vector with room for `count` items, in the memory that is kept unless that has
    /// too little room, or room for more than `most` items: then it is freed.
    ///
    /// May sleep; fails with `ENOMEM`.
    pub(crate) fn lend<T>(self: &Arc<Self>, count: usize, most: usize) -> Result<Lent<T>> {
        // The lock is let go of here, and what is of no use is freed after that.
        let kept = mem::take(&mut *self.memory.lock());
        let room = kept.capacity() / units_per::<T>();
        let memory = if (count.max(1)..=most).contains(&room) {
            kept
        } else {
            drop(kept);
            sys::vec_with_capacity(count.checked_mul(units_per::<T>()).ok_or(ENOMEM)?)?
        };

        Ok(Lent {
            items: into_items(memory),
            home: self.clone(),
        })
    }
}

/// Returns how many units an item takes up.
const fn units_per<T>() -> usize {
    const {
        assert!(size_of::<T>() >= size_of::<Unit>() && size_of::<T>() % size_of::<Unit>() == 0);
        assert!(align_of::<T>() == align_of::<Unit>());
    }
    size_of::<T>() / size_of::<Unit>()
}

/// Makes memory into a vector of as many items as it has room for; if it is any, for one at least.
fn into_items<T>(memory: KVVec<Unit>) -> KVVec<T> {
    let (units, _, capacity) = memory.into_raw_parts();

    // SAFETY:
    // - The memory is that of a vector with the same allocator, or dangling if that has none, and
    //   then the capacity is 0 here as well. It is aligned for `T`, as `units_per` asserts.
    // - So many items are no more bytes than it has, which a vector vouches for, and for their being
    //   at most `isize::MAX`: the capacity is rounded down. By how much it was allocated larger makes
    //   no difference to `kvrealloc()` and `kvfree()`, which look that up by the address.
    // - The length is 0, so that no item need be initialised.
    unsafe { KVVec::from_raw_parts(units.cast(), 0, capacity / units_per::<T>()) }
}

/// A vector whose memory goes back where it came from when it is dropped. Of two that do, the
/// larger is kept.
///
/// Dropping it may sleep.
pub(crate) struct Lent<T> {
    items: KVVec<T>,
    home: Arc<Spare>,
}

impl<T> Deref for Lent<T> {
    type Target = KVVec<T>;

    #[inline]
    fn deref(&self) -> &KVVec<T> {
        &self.items
    }
}

impl<T> DerefMut for Lent<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut KVVec<T> {
        &mut self.items
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut items = mem::take(&mut self.items);

        items.clear();
        let (items, _, capacity) = items.into_raw_parts();
        // SAFETY: As in `into_items`, whose conversion this undoes; so many units are as many bytes
        // as so many items, all of which have been dropped.
        let mut memory =
            unsafe { KVVec::from_raw_parts(items.cast::<Unit>(), 0, capacity * units_per::<T>()) };
        let mut kept = self.home.memory.lock();

        if kept.capacity() < memory.capacity() {
            mem::swap(&mut *kept, &mut memory);
        }
        // Before the smaller one is freed.
        drop(kept);
    }
}

#[kunit_tests(taskscope_spare)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Where the items of `lent` are.
    fn address<T>(lent: &Lent<T>) -> usize {
        lent.as_ptr().addr()
    }

    #[test]
    fn the_next_one_has_the_memory_of_the_last() -> Result {
        let spare = Spare::new()?;
        let first = spare.lend::<[u64; 4]>(10, 20)?;
        let there = address(&first);

        drop(first);
        // Of another size, and nothing of what was there.
        let mut second = spare.lend::<u64>(20, 40)?;
        assert_eq!(address(&second), there);
        assert!(second.is_empty());
        assert!(second.capacity() >= 40);
        second.push_within_capacity(1)?;
        // What is lent is not lent again.
        assert!(address(&spare.lend::<u64>(20, 40)?) != there);
        Ok(())
    }

    #[test]
    fn what_is_too_small_or_too_large_is_not_lent() -> Result {
        let spare = Spare::new()?;

        drop(spare.lend::<u64>(64, 64)?);
        assert!(spare.lend::<u64>(1000, 2000)?.capacity() >= 1000);
        assert!(spare.lend::<u64>(1, 2)?.capacity() < 1000);
        Ok(())
    }

    #[test]
    fn the_larger_one_is_kept() -> Result {
        let spare = Spare::new()?;
        let small = spare.lend::<u64>(8, 8)?;
        let large = spare.lend::<u64>(64, 64)?;
        let there = address(&large);

        drop(large);
        drop(small);
        assert_eq!(address(&spare.lend::<u64>(64, 64)?), there);
        Ok(())
    }

    #[test]
    fn items_are_dropped() -> Result {
        /// Counts in a number that it borrows.
        struct Counts<'a>(&'a Cell<u32>);

        impl Drop for Counts<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }

        let spare = Spare::new()?;
        let dropped = Cell::new(0);
        let mut lent = spare.lend(2, 2)?;

        for _ in 0..2 {
            lent.push_within_capacity(Counts(&dropped))?;
        }
        drop(lent);
        assert_eq!(dropped.get(), 2);
        Ok(())
    }
}
