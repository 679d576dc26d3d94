// SPDX-License-Identifier: GPL-2.0

//! Records of tasks, captured in one walk when a table is opened.
//!
//! A [`Snapshot`] is plain data. It holds no reference to a task, and a change of a task after the
//! walk does not show in it.

use crate::abstractions::spare::{
    Lent,
    Spare, //
};
use crate::abstractions::tasks::RcuTask;
use crate::capture::task_record::TaskRecord;
use crate::capture::walk::{
    Room,
    Scope,
    SpareLog,
    Walk, //
    SLACK,
};
use crate::text::pid_list::PidList;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The numbers of a thread, in the initial PID namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadId {
    /// The PID of the process.
    pub(crate) tgid: u32,
    /// The PID of the thread.
    pub(crate) pid: u32,
}

impl ThreadId {
    /// Returns the numbers that `task` has at this moment.
    #[inline]
    pub(crate) fn of(task: RcuTask<'_>) -> Self {
        Self {
            tgid: task.tgid().unsigned_abs(),
            pid: task.pid().unsigned_abs(),
        }
    }
}

/// What a table keeps of a thread.
pub(crate) trait Record: Sized {
    /// Returns the numbers of the thread.
    fn id(&self) -> ThreadId;

    /// Returns the memory that the last snapshot of this kind has left, if it is kept.
    fn spare(_memory: &Memory) -> Option<&Arc<Spare<Self>>> {
        None
    }
}

/// What records the tasks for a table.
pub(crate) trait Recorder {
    /// What is kept of a task.
    type Record: Record;

    /// Tuned: the most tasks that are recorded in one RCU read-side critical section. On a kernel
    /// without preemptible RCU no other thread runs on the CPU meanwhile.
    const SECTION: usize = 1024;

    /// A line of the summary after the number of tasks: what the table cannot show on this kernel.
    const MISSING: Option<&'static str> = None;

    /// Refuses a caller that may not see what is recorded. `open()` asks for `CAP_SYS_ADMIN` in any
    /// case.
    fn permit() -> Result {
        Ok(())
    }

    /// Gets ready for another critical section, and for one task at least. May sleep.
    fn prepare(&mut self) -> Result {
        Ok(())
    }

    /// Records what `task`, whose numbers are `id`, is at this moment. Runs in an RCU read-side
    /// critical section, and must not sleep.
    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> Self::Record;

    /// Returns whether another task may be recorded before the next call of [`Recorder::prepare`].
    fn is_ready(&self) -> bool {
        true
    }
}

/// Memory that snapshots leave for the next.
pub(crate) struct Memory {
    log: Arc<SpareLog>,
    /// For `processes` and `threads`.
    pub(crate) tasks: Arc<Spare<TaskRecord>>,
}

impl Memory {
    /// Keeps no memory yet. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            log: Spare::new()?,
            tasks: Spare::new()?,
        })
    }
}

/// The tasks of a scope, as they were during one walk.
pub(crate) struct Snapshot<R> {
    /// A record for each task that was asked for, in the order of the task list.
    pub(crate) records: Lent<R>,
    /// How many tasks there were, with those that were not asked for.
    pub(crate) total: usize,
}

impl<R: Record> Snapshot<R> {
    /// Captures the tasks of `scope`, or those of them that `filter` lists. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, `ENOMEM`, or as [`Recorder::prepare`].
    pub(crate) fn capture<T: Recorder<Record = R>>(
        memory: &Memory,
        scope: Scope,
        filter: Option<&PidList>,
        recorder: &mut T,
    ) -> Result<Self> {
        let room = Room::now(scope);
        let wanted = filter.map_or(usize::MAX, |pids| pids.as_slice().len().max(T::SECTION));
        let mut walk = Walk::new(scope, room, &memory.log)?;
        let expected = room.expected.min(wanted);
        let mut records = match R::spare(memory) {
            Some(spare) => spare.lend(expected, room.most)?,
            None => Lent::new(expected)?,
        };
        let mut total = 0;

        loop {
            records.reserve(SLACK, GFP_KERNEL)?;
            recorder.prepare()?;
            let limit = T::SECTION.min(records.capacity() - records.len());
            let is_more = walk.section(limit, |task| {
                let task = match scope {
                    Scope::Processes => standing_leader(task),
                    Scope::Threads => task,
                };
                let id = ThreadId::of(task);

                total += 1;
                if filter.is_none_or(|pids| pids.contains(id.pid)) {
                    records.push_within_capacity(recorder.record(id, task))?;
                }
                Ok(recorder.is_ready())
            })?;

            if !is_more {
                break;
            }
        }
        let dropped = drop_replaced_leaders(&mut records);

        Ok(Self {
            total: total - dropped,
            records,
        })
    }
}

/// Returns the thread that has the PID of `leader`'s process. This is `leader`, unless another
/// thread of the process executes a program at this moment and becomes the leader.
///
/// Such a thread gets the PID of the process first, and the place on the list of processes after
/// that (`de_thread()` in `fs/exec.c`).
#[inline]
fn standing_leader(leader: RcuTask<'_>) -> RcuTask<'_> {
    if leader.pid() == leader.tgid() {
        return leader;
    }
    leader
        .thread_group()
        .find(|thread| thread.pid() == thread.tgid())
        .unwrap_or(leader)
}

/// Drops each leader whose PID another thread of its group has taken over during the walk. Returns
/// how many.
///
/// The other thread executes a program, and the leader dies. A table has one row for a PID.
fn drop_replaced_leaders<R: Record>(records: &mut KVVec<R>) -> usize {
    let mut dropped = 0;
    let mut leader = 0;
    let mut at = 0;

    while let Some(record) = records.get(at) {
        let id = record.id();

        if id.pid == id.tgid {
            let is_replaced = at != leader
                && records[leader].id().pid == id.pid
                && records[leader..at]
                    .iter()
                    .all(|other| other.id().tgid == id.tgid);

            if is_replaced && records.remove(leader).is_ok() {
                dropped += 1;
                at -= 1;
            }
            leader = at;
        }
        at += 1;
    }
    dropped
}

#[kunit_tests(taskscope_snapshot)]
mod tests {
    use super::*;

    impl Record for ThreadId {
        fn id(&self) -> ThreadId {
            *self
        }
    }

    #[test]
    fn a_pid_has_one_row() -> Result {
        let mut records = KVVec::new();

        // Thread 23 has become the leader of process 2, and thread 32 that of process 3.
        for (tgid, pid) in [
            (1, 1),
            (1, 11),
            (2, 2),
            (2, 21),
            (2, 2),
            (2, 22),
            (3, 32),
            (3, 3),
            // Two threads have become the leader, one after the other.
            (4, 4),
            (4, 4),
            (4, 4),
        ] {
            records.push(ThreadId { tgid, pid }, GFP_KERNEL)?;
        }
        assert_eq!(drop_replaced_leaders(&mut records), 3);
        assert!(records.iter().map(|id| (id.tgid, id.pid)).eq([
            (1, 1),
            (1, 11),
            (2, 21),
            (2, 2),
            (2, 22),
            (3, 32),
            (3, 3),
            (4, 4)
        ]));
        Ok(())
    }

    /// Records as `threads` does, in critical sections of one task. Counts them, so that a walk
    /// without an end fails.
    #[derive(Default)]
    struct Tasks(usize);

    impl Recorder for Tasks {
        type Record = TaskRecord;

        const SECTION: usize = 1;

        fn prepare(&mut self) -> Result {
            self.0 += 1;
            if self.0 > 100_000 {
                return Err(E2BIG);
            }
            Ok(())
        }

        fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> TaskRecord {
            TaskRecord::new(id, task)
        }
    }

    #[test]
    fn the_next_snapshot_has_the_memory_of_the_last() -> Result {
        let memory = Memory::new()?;
        let first = Snapshot::capture(&memory, Scope::Threads, None, &mut Tasks::default())?;
        let (records, room) = (first.records.as_ptr(), first.records.capacity());

        assert_eq!(first.total, first.records.len());
        assert!(room < 2 * (first.total + SLACK));
        drop(first);
        // This would get the memory if it had been freed.
        let _other = KVVec::<TaskRecord>::with_capacity(room, GFP_KERNEL)?;
        let next = Snapshot::capture(&memory, Scope::Threads, None, &mut Tasks::default())?;
        assert_eq!(next.records.as_ptr(), records);
        Ok(())
    }

    /// Records the same leader each time, as if one thread after the other had become it.
    struct Replaced;

    impl Recorder for Replaced {
        type Record = ThreadId;

        fn record(&mut self, _: ThreadId, _: RcuTask<'_>) -> ThreadId {
            ThreadId { tgid: 5, pid: 5 }
        }
    }

    #[test]
    fn a_replaced_leader_is_not_counted() -> Result {
        let memory = Memory::new()?;
        let snapshot = Snapshot::capture(&memory, Scope::Processes, None, &mut Replaced)?;

        assert_eq!(snapshot.records.len(), 1);
        assert_eq!(snapshot.total, 1);
        Ok(())
    }

    #[test]
    fn a_list_of_as_many_as_a_section_has_all_of_them() -> Result {
        let pids = PidList::new(KVVec::from_elem(1, 1, GFP_KERNEL)?);
        let memory = Memory::new()?;
        let snapshot = Snapshot::capture(
            &memory,
            Scope::Processes,
            Some(&pids),
            &mut Tasks::default(),
        )?;

        assert!(snapshot.records.iter().map(|task| task.id.pid).eq([1]));
        assert!(snapshot.total > 2);
        Ok(())
    }
}
