// SPDX-License-Identifier: GPL-2.0

//! What the summaries of the tables about user space have in common.

use crate::{
    line::Line,
    mm::SPACE_WAIT_MS,
    regions::PIECES_MAX,
    text,
    users::{
        UserThreads,
        Valid, //
    }, //
};

/// What the summary of such a table counts.
pub(crate) struct Summary {
    with: usize,
    without: usize,
    left_out: usize,
    locked: usize,
    in_pieces: usize,
    /// Whether the choice of threads was in force.
    selected: bool,
}

impl Summary {
    /// Counts what was captured: `valid` is what was found of each that has a row.
    pub(crate) fn new(
        captured: &UserThreads,
        valid: impl Iterator<Item = Valid> + Clone,
        selected: bool,
    ) -> Self {
        let count = |word| valid.clone().filter(|valid| *valid == word).count();
        let with = valid.clone().count() - count(Valid::NoMm);

        Self {
            with,
            without: captured.threads.len() + captured.others - with,
            left_out: captured.left_out,
            locked: count(Valid::Locked),
            in_pieces: count(Valid::Pieces),
            selected,
        }
    }

    /// Writes the summary; `noun` is what was captured.
    pub(crate) fn add_to(&self, line: &mut Line<'_>, noun: &str) {
        begin(line, self.with, noun);
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
            begin(line, self.locked, noun);
            line.bytes(b" cut short: others were changing a mapping for ");
            text::add_decimal(line, SPACE_WAIT_MS);
            line.bytes(b" ms, or the time for all was over\n");
        }
        if self.in_pieces != 0 {
            begin(line, self.in_pieces, noun);
            line.bytes(b" with a stack or bss in more than ");
            text::add_count(line, PIECES_MAX);
            line.bytes(b" pieces, which is not measured\n");
        }
    }
}

/// Begins a line of the summary that says how many of `noun` there are.
fn begin(line: &mut Line<'_>, count: usize, noun: &str) {
    line.bytes(b"# ");
    text::add_count(line, count);
    line.byte(b' ');
    line.bytes(noun.as_bytes());
}
