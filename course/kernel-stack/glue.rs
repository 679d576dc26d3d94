// SPDX-License-Identifier: GPL-2.0

//! What calls the student's function in the exercise `kernel-stack`: for every thread, a line with its PID and the answer.

use crate::lab::{
    nr_threads_hint,
    threads,
    Exercise,
    Lines, //
};
use crate::student::stack_of;
use core::ptr;
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::task::Pid;

/// What is known of a kernel stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a skeleton makes none")]
pub(crate) struct Stack {
    /// Its lowest address.
    pub(crate) base: usize,
    /// How many bytes it has.
    pub(crate) size: usize,
    /// How many of these are in use; [`None`] while that cannot be known.
    pub(crate) used: Option<usize>,
}

pub(crate) struct Answers;

/// Adds all threads, until there is no more room.
fn collect(rows: &mut KVVec<(Pid, Option<Stack>)>) -> Result {
    let guard = rcu::read_lock();

    for task in threads(&guard) {
        rows.push_within_capacity((task.pid(), stack_of(&task)))
            .map_err(|_| EAGAIN)?;
    }
    Ok(())
}

impl Exercise for Answers {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let mut room = 2 * nr_threads_hint();
        let rows = loop {
            let mut rows = KVVec::with_capacity(room, GFP_KERNEL)?;

            if collect(&mut rows).is_ok() {
                break rows;
            }
            room *= 2;
        };

        for (pid, stack) in &rows {
            let Some(Stack { base, size, used }) = *stack else {
                lines.add(fmt!("{pid} none"))?;
                continue;
            };
            let base = ptr::without_provenance::<c_void>(base);

            match used {
                Some(used) => lines.add(fmt!("{pid} {base:p} {size} {used}"))?,
                None => lines.add(fmt!("{pid} {base:p} {size} none"))?,
            }
        }
        Ok(())
    }
}
