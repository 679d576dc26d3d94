// SPDX-License-Identifier: GPL-2.0

//! The answers of CPUs that an open waits for.

use crate::abstractions::callbacks::CountedCompletion;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::Arc;
use kernel::time::Msecs;

/// How long an open waits for all answers, in milliseconds.
pub(crate) const ANSWER_LIMIT: Msecs = 1000;

/// The answers of all CPUs, and whether they are still wanted.
#[pin_data]
pub(crate) struct Answers {
    /// Completed by the last answer.
    #[pin]
    pub(crate) all: CountedCompletion,
    /// Nothing waits for the answers any more.
    pub(crate) unwanted: Atomic<bool>,
}

impl Answers {
    /// Creates answers of which one is missing. The caller adds the number of CPUs by
    /// [`CountedCompletion::expect`], and completes that one at the end: so the wait cannot end too
    /// early. May sleep; fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                all <- CountedCompletion::new(1),
                unwanted: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }
}
