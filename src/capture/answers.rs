// SPDX-License-Identifier: GPL-2.0

//! The answers of CPUs that an open waits for.

use crate::abstractions::callbacks::CountedCompletion;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::Arc;

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
    /// Waits for one answer, which the caller completes when it knows how many there are. May sleep;
    /// fails with `ENOMEM`.
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
