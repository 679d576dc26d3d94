// SPDX-License-Identifier: GPL-2.0

//! `set_pid`. Which threads the tables hold, a PID a line, as in ftrace's `set_event_pid`.
//!
//! Two things differ from ftrace, and both make the file do what its text says:
//!
//! - `>` replaces the list when the first write succeeds, or when the file is closed without one,
//!   and not already when it is opened. A list that is refused leaves the old one in force, and so
//!   does an open that fails.
//! - A number that the end of one write cuts in two is put together again with the beginning of
//!   the next. Shells write long lists in pieces, without regard to the numbers in them.

use crate::{
    line::Line,
    pid_list::{
        Parser,
        PidList, //
    },
    seq::{
        Input,
        Table, //
    },
    state::State,
    sys,
    text, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    uaccess::UserSliceReader, //
};

/// How many bytes are taken from user space at a time.
const PIECE: usize = 256;

/// The list as it was when the file was opened.
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

    fn rows(&self) -> usize {
        self.pids().len()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        text::add_decimal(line, self.pids()[at]);
        line.byte(b'\n');
    }
}

/// What is being written to the list through an open file.
pub(crate) struct Edit {
    /// Whether the list is yet to be emptied, since the file was opened with `O_TRUNC`.
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

            sys::check_fatal_signal()?;
            input.read_slice(piece)?;
            parser.read(piece)?;
        }

        let dropped = continued.and_then(|(pid, is_new)| is_new.then_some(pid));
        let (added, last) = parser.finish();
        let mut last_is_new = false;

        state.select(|old| {
            let kept = if self.truncate { &[] } else { old };
            let mut pids = KVVec::with_capacity(kept.len() + added.len() + 1, GFP_KERNEL)?;

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

impl Input for Edit {
    type Shared = State;

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
