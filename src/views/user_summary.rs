// SPDX-License-Identifier: GPL-2.0

//! What the summaries of the tables about user space have in common.

use crate::abstractions::mm::{
    OPEN_WAIT_MS,
    SPACE_WAIT_MS, //
};
use crate::capture::regions::PIECES_MAX;
use crate::capture::users::{
    UserThreads,
    Valid, //
};
use crate::text::line::Line;

/// What the summary of such a table counts.
pub(crate) struct Summary {
    with: usize,
    without: usize,
    left_out: usize,
    locked: usize,
    in_pieces: usize,
    /// Whether `set_pid` has a list.
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
        let (locked, in_pieces) = (self.locked, self.in_pieces);

        write!(
            line,
            "# {} {noun} with user space, {} without",
            self.with, self.without
        );
        if self.selected {
            write!(line, ", {} left out by set_pid", self.left_out);
        }
        line.byte(b'\n');
        if locked != 0 {
            writeln!(
                line,
                "# {locked} {noun} cut short: others were changing a mapping for {SPACE_WAIT_MS} ms, \
                 or the open had waited for {OPEN_WAIT_MS} ms in all"
            );
        }
        if in_pieces != 0 {
            writeln!(
                line,
                "# {in_pieces} {noun} with a stack or bss in more than {PIECES_MAX} pieces, \
                 which is not measured"
            );
        }
    }
}
