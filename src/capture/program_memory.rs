// SPDX-License-Identifier: GPL-2.0

//! The memory of a program, read for a chain of frames: where its stacks are, and the words on
//! them.

use crate::abstractions::mm::LockBudget;
use crate::abstractions::user_memory::{
    self,
    Borrowed, //
};
use crate::capture::frame_chain::{
    End,
    StackMemory, //
};
use crate::capture::regions::{
    look,
    stack_at, //
};
use core::ops::Range;
use kernel::page::{
    PAGE_MASK,
    PAGE_SIZE, //
};
use kernel::prelude::*;

/// Tuned: the number of bytes of a stack that are read at once: the records of a few frames.
const WINDOW: usize = 512;

/// The part of a stack that was read last.
pub(crate) struct Window {
    bytes: [u8; WINDOW],
    /// The addresses of the first of these bytes; [`None`] if nothing has been read.
    range: Option<Range<usize>>,
}

impl Window {
    /// Nothing has been read.
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; WINDOW],
            range: None,
        }
    }

    /// Forgets what was read.
    pub(crate) fn clear(&mut self) {
        self.range = None;
    }

    /// Returns the `N` bytes at `address`, if they were read.
    fn bytes<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        let range = self.range.as_ref()?;
        let offset = address.checked_sub(range.start)?;

        self.bytes[..range.len()]
            .get(offset..)?
            .first_chunk()
            .copied()
    }
}

/// The memory of a program, in which a chain of frames is looked for.
pub(crate) struct ProgramMemory<'a> {
    /// The address space that the calling kernel thread uses.
    pub(crate) borrowed: &'a Borrowed,
    /// How long mappings are waited for.
    pub(crate) budget: &'a mut LockBudget,
    /// The part of the stack that was read last.
    pub(crate) window: &'a mut Window,
}

impl ProgramMemory<'_> {
    /// Reads the memory at `address` into the window, up to the end of its page or mapping.
    fn read(&mut self, address: usize) -> Result<(), End> {
        let mapping = self
            .borrowed
            .space()
            .lock_mapping(address, self.budget)
            // If the reader has been killed, the next thread is not visited.
            .map_err(|_| End::Locked)?
            .ok_or(End::Unmapped)?;
        let end = mapping.range().end.min((address & PAGE_MASK) + PAGE_SIZE);
        let len = WINDOW.min(end - address);
        let is_read = self
            .borrowed
            .read(&mapping, address, &mut self.window.bytes[..len]);

        self.window.range = is_read.then_some(address..address + len);
        is_read.then_some(()).ok_or(End::NotResident)
    }

    /// Returns the `N` bytes at `address`.
    fn bytes<const N: usize>(&mut self, address: usize) -> Result<[u8; N], End> {
        if let Some(bytes) = self.window.bytes(address) {
            return Ok(bytes);
        }
        self.read(address)?;
        // A word is aligned, so that all of it is in one page and one mapping.
        self.window.bytes(address).ok_or(End::Unmapped)
    }

    /// Returns the word of `size` bytes at `address`.
    fn word(&mut self, address: usize, size: usize) -> Result<usize, End> {
        // CAST: `usize` has 64 bits here.
        Ok(if size == size_of::<u64>() {
            u64::from_ne_bytes(self.bytes(address)?) as usize
        } else {
            u32::from_ne_bytes(self.bytes(address)?) as usize
        })
    }
}

impl StackMemory for ProgramMemory<'_> {
    fn stack(&mut self, address: usize) -> Result<Range<usize>, End> {
        let stack = look(self.borrowed.space(), self.budget, |parts, regions| {
            stack_at(regions, parts, address)
        });

        match stack {
            Ok(Some(stack)) => Ok(stack.found().clone()),
            Ok(None) => Err(End::Unmapped),
            Err(_) => Err(End::Locked),
        }
    }

    fn words(&mut self, address: usize, size: usize) -> Result<[usize; 2], End> {
        Ok([self.word(address, size)?, self.word(address + size, size)?])
    }

    fn return_address(&self, word: usize) -> usize {
        user_memory::strip_user_pac(word)
    }
}
