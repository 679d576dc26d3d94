// SPDX-License-Identifier: GPL-2.0

//! A set of names. Each is kept once, up to a limit.
//!
//! Hostile programs choose the names. Neither the memory nor the time to find a name depends on how
//! often it comes, or on its bytes.

use kernel::prelude::*;

/// A set of names, known by their numbers.
///
/// # Invariants
///
/// - `ends` ascends, and its last element is the length of `text`.
/// - `sorted` holds each number below the length of `ends` once, in the order of the names.
pub(crate) struct Names {
    /// The bytes of all names, in the order of their numbers.
    text: KVVec<u8>,
    /// The end of each name in `text`.
    ends: KVVec<u32>,
    /// The numbers of the names, in the order of their text.
    sorted: KVVec<u32>,
    /// The most names that are kept.
    limit: usize,
}

impl Names {
    /// Creates an empty set for at most `limit` names.
    pub(crate) fn new(limit: usize) -> Self {
        // INVARIANT: The set is empty.
        Self {
            text: KVVec::new(),
            ends: KVVec::new(),
            sorted: KVVec::new(),
            limit,
        }
    }

    /// Returns name `number`, which [`Names::add`] has returned.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        // CAST: Every number and every end is an index into a vector.
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);

        &self.text[start as usize..self.ends[number] as usize]
    }

    /// Returns whether the limit is reached: other names may have been left out.
    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= self.limit
    }

    /// Adds a name, unless it is in the set, and returns its number; [`None`] if the limit is
    /// reached. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if all names together have more than `u32::MAX` bytes.
    pub(crate) fn add(&mut self, name: &[u8]) -> Result<Option<u32>> {
        let place = match self
            .sorted
            .binary_search_by(|&number| self.get(number).cmp(name))
        {
            Ok(place) => return Ok(Some(self.sorted[place])),
            Err(_) if self.ends.len() >= self.limit => return Ok(None),
            Err(place) => place,
        };
        let number = u32::try_from(self.ends.len()).map_err(|_| ENOMEM)?;
        let end = u32::try_from(self.text.len() + name.len()).map_err(|_| ENOMEM)?;

        self.ends.reserve(1, GFP_KERNEL)?;
        self.sorted.reserve(1, GFP_KERNEL)?;
        self.text.extend_from_slice(name, GFP_KERNEL)?;
        // INVARIANT: There is room for both: the name ends where the text does, and has the next
        // number, which goes where the search has ended.
        self.ends.push_within_capacity(end)?;
        self.sorted.insert_within_capacity(place, number)?;
        Ok(Some(number))
    }
}

#[kunit_tests(taskscope_names)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_kept_once() -> Result {
        let mut names = Names::new(10);
        let mut numbers = [0; 4];

        for (number, name) in numbers.iter_mut().zip(["lib", "", "a longer one", "li"]) {
            *number = names.add(name.as_bytes())?.ok_or(EINVAL)?;
        }
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(names.add(b"li")?, Some(3));
        assert_eq!(names.add(b"lib")?, Some(0));
        assert_eq!(names.add(b"")?, Some(1));
        assert_eq!(names.add(b"a longer one")?, Some(2));
        assert_eq!(names.text.len(), 17);
        assert_eq!(names.get(0), b"lib");
        assert_eq!(names.get(1), b"");
        assert_eq!(names.get(2), b"a longer one");
        assert_eq!(names.get(3), b"li");
        Ok(())
    }

    #[test]
    fn names_in_any_order_are_found() -> Result {
        let mut names = Names::new(256);

        for step in 0..256_u32 {
            // Each byte once: the factor is odd.
            let name = [b'n', (step * 77) as u8];

            assert_eq!(names.add(&name)?, Some(step));
        }
        for step in 0..256_u32 {
            let name = [b'n', (step * 77) as u8];

            assert_eq!(names.add(&name)?, Some(step));
            assert_eq!(names.get(step), name);
        }
        Ok(())
    }

    #[test]
    fn there_is_a_limit() -> Result {
        let mut names = Names::new(2);

        assert_eq!(names.add(b"one")?, Some(0));
        assert!(!names.is_full());
        assert_eq!(names.add(b"two")?, Some(1));
        assert!(names.is_full());
        assert_eq!(names.add(b"three")?, None);
        assert_eq!(names.add(b"two")?, Some(1));
        assert_eq!(names.text.len(), 6);
        Ok(())
    }
}
