// SPDX-License-Identifier: GPL-2.0

//! What `segments` shows of a process: the segments of its program.

use crate::abstractions::mm::{
    LockBudget,
    Use, //
};
use crate::abstractions::schedule;
use crate::capture::program_segments::{
    segments, //
    Segment,
    NOTHING,
    SEGMENTS,
};
use crate::capture::regions::look;
use crate::capture::users::{
    UserThreads,
    Valid, //
};
use crate::text::name::COMM_LEN;
use kernel::prelude::*;

impl Segment {
    /// Returns whether the row of this segment is valid, and why not.
    pub(crate) fn valid(&self) -> Valid {
        match self {
            Self::At(_) | Self::Nothing => Valid::Ok,
            Self::Locked => Valid::Locked,
            Self::Guarded(_) => Valid::Guarded,
            Self::InPieces => Valid::Pieces,
        }
    }
}

/// Returns the word for a process with these segments: the one that says most is missing.
fn worst(segments: &[Segment; SEGMENTS]) -> Valid {
    let has = |word: &Valid| segments.iter().any(|segment| segment.valid() == *word);

    [Valid::Locked, Valid::Pieces, Valid::Guarded]
        .into_iter()
        .find(has)
        .unwrap_or(Valid::Ok)
}

/// The segments of a process.
pub(crate) struct ProcessSegments {
    /// The TGID of the process.
    pub(crate) tgid: u32,
    /// The name of the first thread.
    pub(crate) comm: [u8; COMM_LEN],
    /// The segments; [`None`] while a program is being executed.
    pub(crate) segments: Option<[Segment; SEGMENTS]>,
    /// The word for all segments together.
    pub(crate) valid: Valid,
}

impl ProcessSegments {
    /// Finds the segments of those of `processes` that have an address space. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if the caller is being killed.
    pub(crate) fn capture(processes: &UserThreads) -> Result<KVVec<Self>> {
        let mut found = KVVec::with_capacity(processes.threads.len(), GFP_KERNEL)?;
        let mut budget = LockBudget::new();

        for leader in processes.threads.iter() {
            let Some((space, program)) = leader.process_space(&budget)? else {
                continue;
            };
            let mut process = Self {
                tgid: leader.id.tgid,
                comm: leader.comm,
                segments: None,
                valid: Valid::Exec,
            };

            if program == Use::Runs {
                let all = process.segments.insert(NOTHING);

                look(&space, &mut budget, |parts, regions| {
                    segments(parts, regions, all)
                })?;
                process.valid = worst(all);
            }
            found.push(process, GFP_KERNEL)?;
            schedule::cond_resched();
        }
        Ok(found)
    }
}
