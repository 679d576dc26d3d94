// SPDX-License-Identifier: GPL-2.0

//! Lists of PIDs, and the text from which they are read.

use kernel::alloc::AllocError;
use kernel::prelude::*;

/// The kernel gives out no PID as large as this: `PID_MAX_LIMIT` of 64-bit machines.
const PID_LIMIT: u32 = 4 * 1024 * 1024;

/// A set of PIDs.
///
/// # Invariants
///
/// `pids` is in ascending order, and no PID is there twice.
pub(crate) struct PidList {
    pids: KVVec<u32>,
}

impl PidList {
    /// Makes a set of `pids`, which may be in any order.
    pub(crate) fn new(mut pids: KVVec<u32>) -> Self {
        sort(&mut pids);

        // INVARIANT: `sort()` sorts the list, and drops duplicates.
        Self { pids }
    }

    /// Returns the PIDs, in ascending order.
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.pids
    }

    /// Returns whether `pid` is in the set.
    #[inline]
    pub(crate) fn contains(&self, pid: u32) -> bool {
        self.pids.binary_search(&pid).is_ok()
    }
}

/// Sorts `pids`, and drops duplicates. Takes no memory.
fn sort(pids: &mut KVVec<u32>) {
    let is_sorted = pids.windows(2).all(|pair| pair[0] < pair[1]);

    if !is_sorted {
        heap_sort(pids);

        let mut last = None;
        pids.retain(|&mut pid| last.replace(pid) != Some(pid));
    }
}

/// Sorts `items` in ascending order.
///
/// `sort_unstable()` of `core` calls `panic_on_ord_violation()`. objtool does not know that this
/// function does not return (`is_rust_noreturn()` in `tools/objtool/check.c`), and warns.
fn heap_sort(items: &mut [u32]) {
    for root in (0..items.len()).rev() {
        sift_down(items, root);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sift_down(&mut items[..end], 0);
    }
}

/// Moves the item at `root` down the heap, until none below it is larger.
fn sift_down(heap: &mut [u32], mut root: usize) {
    loop {
        let left = 2 * root + 1;
        let right = left + 1;
        let mut largest = root;

        for child in [left, right] {
            if heap.get(child).is_some_and(|item| *item > heap[largest]) {
                largest = child;
            }
        }
        if largest == root {
            return;
        }
        heap.swap(root, largest);
        root = largest;
    }
}

/// Reads PIDs from text that comes in pieces: decimal numbers, separated by white space.
pub(crate) struct Parser {
    pids: KVVec<u32>,
    number: Option<u32>,
}

impl Parser {
    /// Begins to read. `number` is the number at the end of the text before, if that text ended
    /// within it.
    pub(crate) fn new(number: Option<u32>) -> Self {
        Self {
            pids: KVVec::new(),
            number,
        }
    }

    /// Reads a piece of text.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the text has anything but white space and numbers that can be a PID; `ENOMEM`.
    pub(crate) fn read(&mut self, text: &[u8]) -> Result {
        for &byte in text {
            match byte {
                b'0'..=b'9' => {
                    let digit = u32::from(byte - b'0');
                    let number = self.number.map_or(digit, |number| 10 * number + digit);

                    if number >= PID_LIMIT {
                        return Err(EINVAL);
                    }
                    self.number = Some(number);
                }
                b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r' => {
                    if let Some(number) = self.number.take() {
                        self.push(number)?;
                    }
                }
                _ => return Err(EINVAL),
            }
        }
        Ok(())
    }

    /// Ends reading. Returns the PIDs, and separately the last one if the text ended within it.
    pub(crate) fn finish(self) -> (KVVec<u32>, Option<u32>) {
        (self.pids, self.number)
    }

    /// Adds a PID. A list that repeats PIDs takes no more memory than one that does not.
    fn push(&mut self, pid: u32) -> Result<(), AllocError> {
        if self.pids.len() == self.pids.capacity() {
            sort(&mut self.pids);
            self.pids.reserve(self.pids.len() + 64, GFP_KERNEL)?;
        }
        self.pids.push(pid, GFP_KERNEL)
    }
}

#[kunit_tests(taskscope_pid_list)]
mod tests {
    use super::*;
    use crate::text::line::Line;

    /// Reads `pieces` one after the other.
    fn parse(pieces: &[&[u8]]) -> Result<(PidList, Option<u32>)> {
        let mut parser = Parser::new(None);

        for piece in pieces {
            parser.read(piece)?;
        }
        let (pids, last) = parser.finish();
        Ok((PidList::new(pids), last))
    }

    #[test]
    fn lists_are_sorted() -> Result {
        let (list, last) = parse(&[b"30 1 2\t1\n\n 007\r"])?;

        assert_eq!(list.as_slice(), &[1, 2, 7, 30]);
        assert_eq!(last, None);
        assert!(list.contains(7));
        assert!(!list.contains(8));
        Ok(())
    }

    #[test]
    fn numbers_may_be_cut() -> Result {
        let (list, last) = parse(&[b"1 2", b"3 ", b"4", b"", b"5"])?;

        assert_eq!(list.as_slice(), &[1, 23]);
        assert_eq!(last, Some(45));
        Ok(())
    }

    #[test]
    fn all_else_is_refused() {
        for text in [
            &b"x"[..],
            b"1,2",
            b"-1",
            b"+1",
            b"0x10",
            b"1\0",
            b"4194304",
            b"99999999999999999999",
        ] {
            assert!(parse(&[text]).is_err());
        }
        assert!(parse(&[b"4194303"]).is_ok());
        assert!(parse(&[b" \t\n"]).is_ok());
    }

    #[test]
    fn sorting() -> Result {
        let mut pids = KVVec::new();

        // All remainders, in an order that is neither ascending nor descending.
        for number in 0..1009 {
            pids.push(number * 517 % 1009, GFP_KERNEL)?;
        }
        sort(&mut pids);
        assert!(pids.iter().copied().eq(0..1009));

        // Each order of four PIDs, of which some are the same.
        for order in 0..256u32 {
            let order = [order % 4, order / 4 % 4, order / 16 % 4, order / 64];
            let mut pids = KVVec::new();

            for pid in order {
                pids.push(pid, GFP_KERNEL)?;
            }
            sort(&mut pids);
            assert!((0..4)
                .filter(|pid| order.contains(pid))
                .eq(pids.iter().copied()));
        }
        Ok(())
    }

    #[test]
    fn repetition_takes_no_memory() -> Result {
        let mut parser = Parser::new(None);

        for _ in 0..100 {
            parser.read(b"1 2 3 1 2 3 1 2 3 1 2 3 1 2 3 ")?;
        }
        assert!(parser.pids.capacity() < 256);
        Ok(())
    }

    /// To sort the list for each PID would take a time that is the square of their number.
    #[test]
    fn pids_are_kept_as_they_come() -> Result {
        let mut parser = Parser::new(None);

        parser.read(b"30 20 30 10 ")?;
        assert_eq!(&*parser.finish().0, &[30, 20, 30, 10]);
        Ok(())
    }

    /// Reads each PID from 1 to `last`, and then PID 1 many times. Returns for how many PIDs there
    /// is memory.
    fn capacity(last: u32) -> Result<usize> {
        let mut parser = Parser::new(None);

        for pid in 1..=last {
            let mut buf = [0; 16];
            let mut line = Line::new(&mut buf);

            write!(line, "{pid} ");
            parser.read(line.as_bytes())?;
        }
        for _ in 0..2 * last {
            parser.read(b"1 ")?;
        }
        Ok(parser.pids.capacity())
    }

    /// A list that is almost full of different PIDs would be sorted again for each PID.
    #[test]
    fn a_sorted_list_has_room_for_as_many_again() -> Result {
        for last in [1, 7, 63, 64, 65, 127, 192, 255, 300] {
            let capacity = capacity(last)?;

            assert!(capacity >= 2 * last as usize);
            assert!(capacity < 4 * last as usize + 256);
        }
        Ok(())
    }
}
