// SPDX-License-Identifier: GPL-2.0

//! What `ustacks` shows of a thread: the user stack that its stack pointer is in.

use crate::abstractions::mm::LockBudget;
use crate::abstractions::schedule;
use crate::abstractions::switch_count::SwitchCount;
use crate::capture::regions::{
    look,
    stack_at, //
    Stack,
};
use crate::capture::snapshot::ThreadId;
use crate::capture::users::{
    UserThread,
    UserThreads,
    Valid, //
};
use crate::text::name::COMM_LEN;
use kernel::prelude::*;

/// The user stack of a thread. An address that is unknown is [`None`].
pub(crate) struct UserStack {
    /// The numbers of the thread.
    pub(crate) id: ThreadId,
    /// How often the thread had been switched away from when the stack was found.
    pub(crate) switches: SwitchCount,
    /// The name of the thread.
    pub(crate) comm: [u8; COMM_LEN],
    /// The soft and the hard limit of the stack of the process, in bytes.
    pub(crate) stack_limits: [u64; 2],
    /// The stack pointer.
    pub(crate) sp: Option<usize>,
    /// The lowest address.
    pub(crate) start: Option<usize>,
    /// The first address above the stack.
    pub(crate) end: Option<usize>,
    /// Whether the others are valid, and why not.
    pub(crate) valid: Valid,
}

impl UserStack {
    /// Finds the stacks of `threads`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if the caller is being killed.
    pub(crate) fn capture(threads: &UserThreads) -> Result<KVVec<Self>> {
        let mut stacks = KVVec::with_capacity(threads.threads.len(), GFP_KERNEL)?;
        let mut budget = LockBudget::new();

        for thread in threads.threads.iter() {
            stacks.push(Self::of(thread, &mut budget)?, GFP_KERNEL)?;
            schedule::cond_resched();
        }
        Ok(stacks)
    }

    /// Finds the stack of `thread`.
    fn of(thread: &UserThread, budget: &mut LockBudget) -> Result<Self> {
        let (mut sp, mut start, mut end) = (None, None, None);
        let (valid, switches) = thread.visit(budget, |space, registers, budget| {
            let (stack, first_sp) = look(space, budget, |parts, regions| {
                Ok((stack_at(regions, parts, registers.sp)?, parts.stack))
            })?;

            sp = Some(registers.sp);
            Ok(match stack {
                Some(Stack::At(range)) => {
                    (start, end) = (Some(range.start), Some(range.end));
                    Valid::Ok
                }
                Some(Stack::Guarded(range)) => {
                    // The end of the first stack is that of its mapping.
                    end = range.contains(&first_sp).then_some(range.end);
                    Valid::Guarded
                }
                Some(Stack::InPieces(_)) => Valid::Pieces,
                None => Valid::Unmapped,
            })
        })?;

        // The thread may have run meanwhile.
        if valid == Valid::OnCpu {
            (sp, start, end) = (None, None, None);
        }
        Ok(Self {
            id: thread.id,
            switches,
            comm: thread.comm,
            stack_limits: thread.stack_limits,
            sp,
            start,
            end,
            valid,
        })
    }
}
