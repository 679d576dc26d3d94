// SPDX-License-Identifier: GPL-2.0

//! `set_pid`: the threads that tables show, a PID a line, as in ftrace's `set_event_pid`.
//!
//! Two things differ from ftrace:
//!
//! - `>` does not empty the list when it opens the file. The first write that succeeds replaces the
//!   list. If no write comes, the close of the file empties it. A list that is refused, or an open
//!   that fails, changes nothing.
//! - A number may be cut in two by the end of a write. The next write continues it. Shells write
//!   long lists in pieces of a fixed size.

use crate::abstractions::seq::{
    Input,
    Table, //
};
use crate::abstractions::signal;
use crate::state::State;
use crate::text::line::Line;
use crate::text::pid_list::{
    Parser,
    PidList, //
};
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::uaccess::UserSliceReader;

/// Tuned: the number of bytes that are copied from user space at a time.
const PIECE: usize = 256;

/// The list at the time of the open.
pub(crate) struct SetPid(Option<Arc<PidList>>);

impl SetPid {
    /// Returns the PIDs in the list.
    fn pids(&self) -> &[u32] {
        self.0.as_ref().map_or(&[], |list| list.as_slice())
    }
}

impl Table for SetPid {
    type Shared = State;
    type Input = Edit;

    fn open(state: &State) -> Result<Self> {
        Ok(Self(state.selection()))
    }

    fn len(&self) -> usize {
        self.pids().len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        for pid in &self.pids()[range] {
            writeln!(line, "{pid}");
        }
    }
}

/// What is being written to the list through an open file.
pub(crate) struct Edit {
    /// Whether the list has still to be emptied, because the file was opened with `O_TRUNC`.
    truncate: bool,
    /// Whether a write was refused.
    refused: bool,
    /// A number at the very end of the last write, and whether that write has added it.
    unfinished: Option<(u32, bool)>,
}

impl Edit {
    /// Reads all of `input`, and changes the list.
    fn apply(&mut self, state: &State, mut input: UserSliceReader) -> Result {
        let mut piece = [0; PIECE];
        let first = PIECE.min(input.len());

        input.read_slice(&mut piece[..first])?;
        let continued = self.unfinished.filter(|_| piece[0].is_ascii_digit());
        let mut parser = Parser::new(continued.map(|(pid, _)| pid));

        parser.read(&piece[..first])?;
        while !input.is_empty() {
            let piece = &mut piece[..PIECE.min(input.len())];

            signal::check_fatal_signal()?;
            input.read_slice(piece)?;
            parser.read(piece)?;
        }

        let dropped = continued.and_then(|(pid, is_new)| is_new.then_some(pid));
        let (added, last) = parser.finish();
        let mut last_is_new = false;

        state.select(|old| {
            let kept = if self.truncate { &[] } else { old };
            let mut pids = KVVec::new();

            pids.extend_from_slice(kept, GFP_KERNEL)?;
            pids.retain(|pid| Some(*pid) != dropped);
            pids.extend_from_slice(&added, GFP_KERNEL)?;
            if let Some(pid) = last {
                last_is_new = !pids.contains(&pid);
                pids.push(pid, GFP_KERNEL)?;
            }
            Ok(pids)
        })?;

        self.truncate = false;
        self.unfinished = last.map(|pid| (pid, last_is_new));
        Ok(())
    }
}

impl Input<State> for Edit {
    fn open(_: &State, truncate: bool) -> Result<Self> {
        Ok(Self {
            truncate,
            refused: false,
            unfinished: None,
        })
    }

    fn write(&mut self, state: &State, input: UserSliceReader) -> Result {
        if input.is_empty() {
            return Ok(());
        }
        self.apply(state, input).inspect_err(|_| {
            self.refused = true;
            self.unfinished = None;
        })
    }

    fn close(self, state: &State) {
        if self.truncate && !self.refused {
            state.select_all();
        }
    }
}
