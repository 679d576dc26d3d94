// SPDX-License-Identifier: GPL-2.0

//! What `kframes` shows of a thread: the frames of its kernel stack, as `/proc/PID/stack` has them.

use crate::abstractions::stack::{
    self,
    Absent, //
};
use crate::abstractions::switch_count::SwitchCount;
use crate::abstractions::tasks::RcuTask;
use crate::capture::snapshot::{
    Record,
    Recorder,
    ThreadId, //
};
use crate::capture::symbols::Symbols;
use kernel::prelude::*;

/// The most frames that are shown of a stack: as many as `/proc/PID/stack` has.
pub(crate) const FRAMES_MAX: usize = 64;

/// Tuned: for how many frames there is room when an RCU read-side critical section begins.
const ROOM: usize = 16 * FRAMES_MAX;

/// The frames of a thread's kernel stack.
pub(crate) struct StackRecord {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// How often the thread had been switched away from when its frames were found.
    pub(crate) switches: SwitchCount,
    /// How many rows come before those of this thread.
    pub(crate) row: usize,
    /// Where its frames begin among all frames.
    pub(crate) start: usize,
    /// How many frames it has, or why there are none.
    pub(crate) frames: Result<usize, Absent>,
    /// Whether the stack has more frames than are shown.
    pub(crate) truncated: bool,
}

impl StackRecord {
    /// Returns the number of rows: one a frame, or one that says why there are none.
    pub(crate) fn rows(&self) -> usize {
        self.frames.unwrap_or_default().max(1)
    }
}

impl Record for StackRecord {
    fn id(&self) -> ThreadId {
        self.id
    }
}

/// Records the frames of kernel stacks.
pub(crate) struct StackRecorder {
    /// The frames of all stacks, one after the other: numbers of symbols.
    pub(crate) frames: KVVec<u32>,
    /// The symbols.
    pub(crate) symbols: Symbols,
    /// Why a frame could not be recorded.
    pub(crate) failure: Result,
}

impl StackRecorder {
    /// Has recorded no stack. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            frames: KVVec::new(),
            symbols: Symbols::new()?,
            failure: Ok(()),
        })
    }

    /// Records the frames of `task`, at most [`FRAMES_MAX`]. Returns how many frames there are, and
    /// the switch count of `task` when they were read. A number above [`FRAMES_MAX`] says that
    /// frames were left out.
    fn walk(&mut self, task: RcuTask<'_>) -> (SwitchCount, Result<usize, Absent>) {
        let mut found = [0; FRAMES_MAX + 1];
        let (switches, count) = stack::frames(task, &mut found);

        for address in &found[..count.unwrap_or_default().min(FRAMES_MAX)] {
            let pushed = self.symbols.number(*address).and_then(|number| {
                self.frames.push_within_capacity(number)?;
                Ok(())
            });

            self.failure = self.failure.and(pushed);
        }
        (switches, count)
    }
}

impl Recorder for StackRecorder {
    type Record = StackRecord;

    /// Tuned: a task takes several microseconds.
    const SECTION: usize = 64;

    fn prepare(&mut self) -> Result {
        self.frames.reserve(ROOM, GFP_KERNEL)?;
        self.symbols.prepare(2 * FRAMES_MAX)
    }

    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> StackRecord {
        let start = self.frames.len();
        let (switches, frames) = self.walk(task);

        StackRecord {
            id,
            switches,
            row: 0,
            start,
            frames: frames.map(|count| count.min(FRAMES_MAX)),
            truncated: frames.is_ok_and(|count| count > FRAMES_MAX),
        }
    }

    fn is_ready(&self) -> bool {
        self.frames.capacity() - self.frames.len() >= FRAMES_MAX
            && self.symbols.has_room(FRAMES_MAX)
    }
}

#[kunit_tests(taskscope_kernel_frames)]
mod tests {
    use super::*;
    use crate::abstractions::tasks;
    use kernel::sync::rcu;

    /// Walks stacks until one has frames, and returns whether one has.
    fn walk_one(recorder: &mut StackRecorder) -> bool {
        let guard = rcu::read_lock();

        tasks::threads(&guard).any(|task| recorder.walk(task).1.is_ok_and(|count| count != 0))
    }

    /// A stack without some of its frames would look like a whole one.
    #[test]
    fn frames_without_room_are_a_failure() -> Result {
        let mut recorder = StackRecorder::new()?;

        recorder.symbols.prepare(FRAMES_MAX)?;
        assert!(walk_one(&mut recorder));
        assert!(recorder.frames.is_empty());
        assert!(recorder.failure.is_err());
        Ok(())
    }

    #[test]
    fn frames_and_symbols_need_room() -> Result {
        let mut with_frames = StackRecorder::new()?;
        let mut with_symbols = StackRecorder::new()?;

        with_frames.frames.reserve(ROOM, GFP_KERNEL)?;
        with_symbols.symbols.prepare(2 * FRAMES_MAX)?;
        assert!(!with_frames.is_ready());
        assert!(!with_symbols.is_ready());
        Ok(())
    }

    /// A critical section is for many stacks.
    #[test]
    fn after_a_stack_there_is_room_for_another() -> Result {
        let mut recorder = StackRecorder::new()?;

        recorder.prepare()?;
        assert!(walk_one(&mut recorder));
        assert!(!recorder.frames.is_empty());
        assert!(recorder.failure.is_ok());
        assert!(recorder.is_ready());
        Ok(())
    }
}
