// SPDX-License-Identifier: GPL-2.0

//! What the summaries of the tables about user space have in common.

use crate::{
    line::Line,
    mm::{
        Patience,
        LOCK_WAIT, //
    },
    text,
    users::UserThreads, //
};

/// What the summary of such a table counts.
pub(crate) struct Summary {
    with: usize,
    without: usize,
    left_out: usize,
    locked: usize,
    /// Whether the choice of threads was in force.
    selected: bool,
}

impl Summary {
    /// Counts what was captured, and what was visited with `patience`: `with` of them had an
    /// address space then.
    pub(crate) fn new(
        captured: &UserThreads,
        with: usize,
        patience: &Patience,
        selected: bool,
    ) -> Self {
        Self {
            with,
            without: captured.threads.len() + captured.others - with,
            left_out: captured.left_out,
            locked: patience.failures,
            selected,
        }
    }

    /// Writes the summary; `noun` is what was captured.
    pub(crate) fn add_to(&self, line: &mut Line<'_>, noun: &str) {
        line.bytes(b"# ");
        text::add_count(line, self.with);
        line.byte(b' ');
        line.bytes(noun.as_bytes());
        line.bytes(b" with user space, ");
        text::add_count(line, self.without);
        line.bytes(b" without");
        if self.selected {
            line.bytes(b", ");
            text::add_count(line, self.left_out);
            line.bytes(b" left out by set_pid");
        }
        line.byte(b'\n');
        if self.locked != 0 {
            line.bytes(b"# ");
            text::add_count(line, self.locked);
            line.byte(b' ');
            line.bytes(noun.as_bytes());
            line.bytes(b" cut short: the address space was locked for ");
            text::add_decimal(line, LOCK_WAIT);
            line.bytes(b" ms, or the time for all was over\n");
        }
    }
}
