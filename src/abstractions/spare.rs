// SPDX-License-Identifier: GPL-2.0

//! Memory that one table leaves for the next.
//!
//! A table of many threads needs much memory for a moment. To get it page by page, cleared and
//! mapped, is 10% of what `threads` costs. So the memory stays until the next table takes it, or
//! the module goes: 96 bytes a thread, 0.6% of a kernel stack. When there are far fewer threads
//! than there were, the next table frees it.

use core::mem;
use core::ops::{
    Deref,
    DerefMut, //
};
use kernel::prelude::*;
use kernel::sync::{
    new_mutex, //
    Arc,
    Mutex,
};

/// The memory of a vector that is not in use.
#[pin_data]
pub(crate) struct Spare<T> {
    #[pin]
    memory: Mutex<KVVec<T>>,
}

impl<T> Spare<T> {
    /// Returns a place with no memory in it. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                memory <- new_mutex!(KVVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes the vector that was left, with what is in it; a new one, with room for `count` items,
    /// if that has too little room, or room for more than `most` items. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn take(&self, count: usize, most: usize) -> Result<KVVec<T>> {
        // The lock is released here, before memory is freed.
        let left = mem::take(&mut *self.memory.lock());

        if (count.max(1)..=most).contains(&left.capacity()) {
            return Ok(left);
        }
        drop(left);
        Ok(KVVec::with_capacity(count, GFP_KERNEL)?)
    }

    /// Leaves a vector for the next. Of two vectors the one with the larger memory is kept. May
    /// sleep.
    pub(crate) fn leave(&self, mut items: KVVec<T>) {
        let mut left = self.memory.lock();

        if left.capacity() < items.capacity() {
            mem::swap(&mut *left, &mut items);
        }
        // The lock is released before the smaller memory is freed: a function drops its arguments
        // last.
    }

    /// Lends an empty vector, as [`Spare::take`] has it. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn lend(self: &Arc<Self>, count: usize, most: usize) -> Result<Lent<T>> {
        let mut items = self.take(count, most)?;

        items.clear();
        Ok(Lent {
            items,
            home: Some(self.clone()),
        })
    }
}

impl<T> Lent<T> {
    /// Allocates an empty vector with room for `count` items, whose memory is freed when it is
    /// dropped. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(count: usize) -> Result<Self> {
        Ok(Self {
            items: KVVec::with_capacity(count, GFP_KERNEL)?,
            home: None,
        })
    }
}

/// A vector whose memory is left to its [`Spare`], if it has one, when it is dropped. Dropping it
/// may sleep.
pub(crate) struct Lent<T> {
    items: KVVec<T>,
    home: Option<Arc<Spare<T>>>,
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
        if let Some(home) = &self.home {
            home.leave(items);
        }
    }
}

#[kunit_tests(taskscope_spare)]
mod tests {
    use super::*;

    #[test]
    fn the_next_vector_has_the_memory_of_the_last() -> Result {
        let spare = Spare::<u64>::new()?;
        let mut first = spare.lend(10, 20)?;
        let memory = first.as_ptr();

        assert!((10..20).contains(&first.capacity()));
        first.push_within_capacity(1)?;
        drop(first);
        // This would get the memory if it had been freed.
        let _other = KVVec::<u64>::with_capacity(10, GFP_KERNEL)?;
        let second = spare.lend(10, 20)?;
        assert_eq!(second.as_ptr(), memory);
        assert!(second.is_empty());
        // Memory that is lent is not lent again.
        assert!(spare.lend(10, 20)?.as_ptr() != memory);
        Ok(())
    }

    #[test]
    fn items_that_are_left_are_not_lent() -> Result {
        let spare = Spare::<u64>::new()?;
        let mut items = KVVec::with_capacity(10, GFP_KERNEL)?;

        items.push(1, GFP_KERNEL)?;
        spare.leave(items);
        assert!(spare.lend(10, 20)?.is_empty());
        Ok(())
    }

    #[test]
    fn too_little_and_too_much_memory_is_not_lent() -> Result {
        let spare = Spare::<u64>::new()?;

        drop(spare.lend(64, 64)?);
        assert!(spare.lend(1000, 2000)?.capacity() >= 1000);
        assert!(spare.lend(1, 2)?.capacity() < 1000);
        Ok(())
    }

    #[test]
    fn memory_of_exactly_the_least_or_the_most_is_lent() -> Result {
        // A vector of bytes has the room that it was asked for.
        let bytes = Spare::<u8>::new()?;
        let one = bytes.lend(1, 1)?;
        let (byte, room) = (one.as_ptr(), one.capacity());

        drop(one);
        // This would get the memory if it had been freed.
        let _other = KVVec::<u8>::with_capacity(room, GFP_KERNEL)?;
        assert_eq!(room, 1);
        assert_eq!(bytes.lend(0, 1)?.as_ptr(), byte);

        let spare = Spare::<u64>::new()?;
        let first = spare.lend(64, 64)?;
        let (memory, capacity) = (first.as_ptr(), first.capacity());

        drop(first);
        // This would get the memory if it had been freed.
        let _other = KVVec::<u64>::with_capacity(capacity, GFP_KERNEL)?;
        assert_eq!(spare.lend(1, capacity)?.as_ptr(), memory);
        assert_eq!(spare.lend(capacity, 2 * capacity)?.as_ptr(), memory);
        Ok(())
    }

    #[test]
    fn the_larger_memory_is_kept() -> Result {
        let spare = Spare::<u64>::new()?;
        let small = spare.lend(8, 8)?;
        let large = spare.lend(64, 64)?;
        let memory = large.as_ptr();

        drop(large);
        drop(small);
        // This would get the memory if it had been freed.
        let _other = KVVec::<u64>::with_capacity(64, GFP_KERNEL)?;
        assert_eq!(spare.lend(64, 64)?.as_ptr(), memory);
        Ok(())
    }

    #[test]
    fn items_are_dropped() -> Result {
        let item = Arc::new((), GFP_KERNEL)?;
        let spare = Spare::new()?;
        let mut lent = spare.lend(1, 1)?;

        lent.push_within_capacity(item.clone())?;
        drop(lent);
        assert!(Arc::into_unique_or_drop(item).is_some());
        Ok(())
    }
}
