// SPDX-License-Identifier: GPL-2.0

//! Signals that end the process which reads a table.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h).

use kernel::prelude::*;
use kernel::task::Task;

/// Tuned: how often a loop goes round at most between two calls of [`check_fatal_signal`].
///
/// A row of a table takes up to a thousand instructions, and the call takes ten.
pub(crate) const ROWS_PER_CHECK: usize = 1024;

// Sound: this is the function of helpers.c. `Task` is a transparent wrapper of `struct
// task_struct`, and `fatal_signal_pending()` needs no more than a task that is allocated, as each
// `&Task` is.
unsafe extern "C" {
    safe fn taskscope_fatal_signal_pending(task: &Task) -> bool;
}

/// Returns whether `task` is being killed: by `SIGKILL`, or by another signal that ends the process
/// without a core dump.
///
/// Any context.
#[inline]
pub(crate) fn fatal_signal_pending(task: &Task) -> bool {
    taskscope_fatal_signal_pending(task)
}

/// Fails if the caller is being killed.
///
/// Every loop of `open()` and `read()` that makes or prints rows calls this. Passes that only count
/// or renumber records do not. Task context. Does not sleep.
///
/// # Errors
///
/// `EINTR`.
#[inline]
pub(crate) fn check_fatal_signal() -> Result {
    if fatal_signal_pending(kernel::current!()) {
        Err(EINTR)
    } else {
        Ok(())
    }
}
