// SPDX-License-Identifier: GPL-2.0

//! One pass over all tasks, in short RCU read-side critical sections.
//!
//! A walk over the task list under one `rcu_read_lock()` holds up every grace period, and on a
//! kernel without preemptible RCU the scheduler too, for as long as there are tasks. [`collect`]
//! breaks it up, as `rcu_lock_break()` in `kernel/hung_task.c` does: it handles a limited number of
//! tasks ([`Visitor::SECTION`]), takes a reference to the last one, leaves the critical section, lets others run, and
//! resumes after that task in another. `hung_task.c` gives up when the task has been released
//! meanwhile. Here the walk goes on, and this is what it promises:
//!
//! *Every thread that lives from before [`collect`] is called until after it has returned is
//! visited exactly once, in the order of the task list.*
//!
//! # Why this holds
//!
//! Within one critical section the iterators of [`tasks`] see to it. Between two of them, the walk
//! knows the tasks it has visited, in the order in which it has (the [`Log`]), and those at which it
//! broke off (the [`Anchor`]s).
//!
//! 1. It resumes at the latest anchor that is still on its lists, or else at their head. If the
//!    latest of all is alive, nothing has to be made good.
//! 2. Otherwise it comes past processes which it has seen already. The list of processes, and the
//!    list of threads of each, change in three ways only: a new one is added at the tail, one is
//!    taken off, or a thread that executes a program takes its process's place over from the leader
//!    (and the process keeps it: it is told by its `signal_struct`, which it keeps as well). The
//!    order of any two that stay is therefore always the same, and those that were seen come before
//!    those that were not. The walk keeps a position in the log, and moves it forward to the process
//!    that it meets. If that is there, it has been seen. If it is not, neither it nor anything
//!    after it has, and the walk continues as if it had never been interrupted.
//! 3. A process before the last one of the log was walked to its end. A thread of it that is not in
//!    the log was born later, and is left out: it need not be visited, and would not be in order. In
//!    the last process alone the walk may have been interrupted, so that there the threads are
//!    compared in the same way as the processes.
//! 4. What is compared are addresses, and memory is reused. But where a task has the address of
//!    another that was seen, that other has been freed, and so the task was born during the walk
//!    and need not be visited. Everything after it on the list was born later still.
//!
//! The walk ends: where it has to go back, a task that it had come past has died, and no task is
//! ever added in front of the position that it had reached. Tasks are born at the end of the list
//! faster than the walk moves only if a fork takes less time than a visit.
//!
//! Two threads may be visited with the same PID where a thread other than the leader executes a
//! program during the walk: the leader, which dies of it, and later the thread that has taken the
//! PID over. The other way round, a PID can be given to a new thread after the one that was visited
//! with it has died.

use crate::{
    spare::{
        Lent,
        Spare, //
    },
    sys,
    tasks::{
        self,
        Processes,
        RcuTask,
        ThreadGroup,
        Threads, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        rcu,
        Arc, //
    },
    task::Task, //
};

/// The most tasks that are handled in one RCU read-side critical section, unless said otherwise.
pub(crate) const SECTION: usize = 1024;

/// How many tasks there is memory for at least, whenever a section begins.
const SLACK: usize = 64;

/// Which tasks are visited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The leader of every process.
    Processes,
    /// swapper/0, and then every thread of every process.
    Threads,
}

/// What is made of the tasks that a walk visits.
pub(crate) trait Visitor {
    /// What is kept of a task.
    type Record;

    /// The most tasks that are handled in one RCU read-side critical section.
    ///
    /// On a kernel without preemptible RCU nobody else runs on the processor meanwhile.
    const SECTION: usize = SECTION;

    /// Gets ready for another critical section, and for one task at least. May sleep.
    fn prepare(&mut self) -> Result {
        Ok(())
    }

    /// Visits a task, and returns what is to be kept of it, if anything.
    ///
    /// Runs in an RCU read-side critical section and must not sleep.
    fn visit(&mut self, task: RcuTask<'_>) -> Option<Self::Record>;

    /// Returns whether another task may be visited before [`Visitor::prepare`] is called again.
    fn is_ready(&self) -> bool {
        true
    }
}

/// Where a pass keeps what it needs, and from where it has what it returns.
pub(crate) struct Memory {
    log: Arc<Spare>,
    records: Arc<Spare>,
}

impl Memory {
    /// Keeps no memory yet. May sleep; fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            log: Spare::new()?,
            records: Spare::new()?,
        })
    }
}

/// Visits the tasks of `scope` and returns what `visitor` makes of them, in the order of the task
/// list; see the guarantee above.
///
/// `wanted` is how many tasks something is expected to be kept of, if that is known.
///
/// May sleep. A fatal signal ends the walk before the next critical section.
///
/// # Errors
///
/// `EINTR` if the caller is being killed, `ENOMEM`, or as [`Visitor::prepare`] does.
pub(crate) fn collect<V: Visitor>(
    memory: &Memory,
    scope: Scope,
    wanted: Option<usize>,
    visitor: &mut V,
) -> Result<Lent<V::Record>> {
    // Memory for all threads, and for some that are born meanwhile. How many of them are processes
    // nobody counts: there the memory grows as it is needed.
    let all = sys::nr_threads_hint() + SLACK;
    let expected = match scope {
        Scope::Processes => 4 * SLACK,
        Scope::Threads => all,
    };
    // What is left of a time with many more threads is no longer worth keeping.
    let most = 2 * all.max(4 * SLACK);
    let wanted = wanted.map_or(expected, |wanted| expected.min(wanted.max(SECTION)));
    let mut log = Log {
        entries: memory.log.lend(expected, most)?,
        last: 0,
    };
    let mut records = memory.records.lend(wanted, most)?;
    let mut anchors = KVVec::new();

    loop {
        sys::check_fatal_signal()?;
        log.entries.reserve(SLACK, GFP_KERNEL)?;
        records.reserve(SLACK, GFP_KERNEL)?;
        anchors.reserve(1, GFP_KERNEL)?;
        visitor.prepare()?;

        let room =
            (log.entries.capacity() - log.entries.len()).min(records.capacity() - records.len());
        let end = section(
            scope,
            room.min(V::SECTION),
            &rcu::read_lock(),
            &mut log,
            &anchors,
            |task| {
                if let Some(new) = visitor.visit(task) {
                    records.push_within_capacity(new)?;
                }
                Ok(visitor.is_ready())
            },
        )?;

        match end {
            End::List => return Ok(records),
            End::Section { alive, anchor } => {
                anchors.truncate(alive);
                anchors.push_within_capacity(anchor)?;
            }
        }
        sys::cond_resched();
    }
}

/// How an RCU read-side critical section of the walk has ended.
enum End {
    /// The list has been walked to its end.
    List,
    /// As many tasks have been handled as there was leave for.
    Section {
        /// How many of the anchors, counted from the first, are worth keeping.
        alive: usize,
        /// Where to resume.
        anchor: Anchor,
    },
}

/// Handles the next `budget` tasks, or fewer: visits those that have not been seen, until `visit`
/// says that it is not ready for another.
///
/// Does not sleep. Fails only if `visit` does, or `log` has no room for that many entries.
fn section(
    scope: Scope,
    budget: usize,
    guard: &rcu::Guard,
    log: &mut Log,
    anchors: &[Anchor],
    mut visit: impl FnMut(RcuTask<'_>) -> Result<bool>,
) -> Result<End> {
    let Resumed {
        mut cursor,
        mut position,
        alive,
    } = resume(scope, guard, log, anchors);
    let mut last = tasks::idle_task(guard);
    let mut is_ready = true;
    // It is in no list.
    let mut first = (scope == Scope::Threads && log.entries.is_empty()).then_some(last);

    for _ in 0..budget {
        if !is_ready {
            break;
        }
        let Some(task) = first.take().or_else(|| cursor.next()) else {
            return Ok(End::List);
        };
        let seen = Seen::new(scope, task);

        last = task;
        if position < log.entries.len() {
            match log.meet(position, &seen) {
                Met::Again(next) => {
                    position = next;
                    continue;
                }
                Met::Finished(next) => {
                    position = next;
                    cursor.skip_process();
                    continue;
                }
                Met::New => {}
            }
        }
        is_ready = visit(task)?;
        log.push(seen)?;
        position = log.entries.len();
    }

    Ok(End::Section {
        alive,
        anchor: Anchor {
            process: last.process_id(),
            leader: cursor.leader().pin(),
            thread: last.pin(),
            position,
        },
    })
}

/// Where a section begins.
struct Resumed<'g> {
    /// What comes next on the lists.
    cursor: Cursor<'g>,
    /// How many entries of the log stand for tasks that do not come again.
    position: usize,
    /// How many of the anchors, counted from the first, are worth keeping.
    alive: usize,
}

/// Finds the latest of `anchors` from which the walk can go on.
fn resume<'g>(
    scope: Scope,
    guard: &'g rcu::Guard,
    log: &Log,
    anchors: &'g [Anchor],
) -> Resumed<'g> {
    for (older, anchor) in anchors.iter().enumerate().rev() {
        let Some(processes) = Processes::after(&anchor.leader, guard) else {
            continue;
        };
        let resumed = |cursor, position| Resumed {
            cursor,
            position,
            alive: older + 1,
        };

        if scope == Scope::Processes {
            return resumed(Cursor::Processes(processes), anchor.position);
        }
        if !log.is_last(anchor.process) {
            let position = log.skip(anchor.position, anchor.process);

            return resumed(Cursor::Threads(Threads::from(processes)), position);
        }
        if let Some(group) = ThreadGroup::after(&anchor.thread, guard) {
            let threads = Threads::new(Some(group), processes);

            return resumed(Cursor::Threads(threads), anchor.position);
        }
        // The thread is dead and its process is not. An earlier thread of it will do; if no anchor
        // is at one, the process is walked from its first thread again.
        let has_earlier = older
            .checked_sub(1)
            .is_some_and(|at| anchors[at].process == anchor.process);
        if !has_earlier {
            let group = processes.leader().thread_group();
            let threads = Threads::new(Some(group), processes);

            return resumed(Cursor::Threads(threads), log.last);
        }
    }

    Resumed {
        cursor: match scope {
            Scope::Processes => Cursor::Processes(tasks::processes(guard)),
            Scope::Threads => Cursor::Threads(tasks::threads(guard)),
        },
        position: 0,
        alive: 0,
    }
}

/// A place on the lists of tasks.
enum Cursor<'g> {
    /// Among the leaders of processes.
    Processes(Processes<'g>),
    /// Among the threads of all processes.
    Threads(Threads<'g>),
}

impl<'g> Cursor<'g> {
    /// Moves on by one task.
    #[inline]
    fn next(&mut self) -> Option<RcuTask<'g>> {
        match self {
            Self::Processes(processes) => processes.next(),
            Self::Threads(threads) => threads.next(),
        }
    }

    /// Moves on to the end of the process.
    fn skip_process(&mut self) {
        match self {
            Self::Processes(_) => {}
            Self::Threads(threads) => threads.skip_process(),
        }
    }

    /// Returns the leader of the process, as the iterator found it.
    fn leader(&self) -> RcuTask<'g> {
        match self {
            Self::Processes(processes) => processes.leader(),
            Self::Threads(threads) => threads.leader(),
        }
    }
}

/// A task at which the walk has left a critical section.
struct Anchor {
    /// The process that was being walked, as [`RcuTask::process_id`] tells it.
    process: usize,
    /// The leader of this process, as the iterator found it.
    leader: ARef<Task>,
    /// The last thread of this process that the walk had come past.
    thread: ARef<Task>,
    /// How many entries of the log belong to this task and those before it.
    position: usize,
}

/// A task that the walk has come past, known by addresses that are compared and never followed.
struct Seen {
    /// The process, as [`RcuTask::process_id`] tells it.
    process: usize,
    /// The thread; 0 in a walk over processes, which stay the same whoever leads them.
    thread: usize,
}

impl Seen {
    /// Describes `task` as a walk over `scope` tells it from others.
    #[inline]
    fn new(scope: Scope, task: RcuTask<'_>) -> Self {
        Self {
            process: task.process_id(),
            thread: match scope {
                Scope::Processes => 0,
                Scope::Threads => task.address(),
            },
        }
    }
}

/// The tasks that the walk has visited, in the order in which it has.
///
/// # Invariants
///
/// `last` is where the threads of the process that was visited last begin.
struct Log {
    entries: Lent<Seen>,
    last: usize,
}

/// What the log knows of a task.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// It has been visited, and this many entries are done with.
    Again(usize),
    /// Its process has been walked to its end, and this many entries are done with.
    Finished(usize),
    /// It has not been visited, nor has anything after it.
    New,
}

impl Log {
    /// Adds a task that has been visited. Fails when no memory is reserved for it.
    #[inline]
    fn push(&mut self, task: Seen) -> Result {
        if !self.is_last(task.process) {
            // INVARIANT: The entry that is about to be added begins another process.
            self.last = self.entries.len();
        }
        self.entries.push_within_capacity(task)?;
        Ok(())
    }

    /// Returns whether the task visited last belongs to `process`.
    #[inline]
    fn is_last(&self, process: usize) -> bool {
        self.entries
            .last()
            .is_some_and(|seen| seen.process == process)
    }

    /// Returns the first entry from `position` on which does not belong to `process`.
    fn skip(&self, position: usize, process: usize) -> usize {
        let rest = self.entries[position..].iter();

        position + rest.take_while(|seen| seen.process == process).count()
    }

    /// Looks for `task` from `position` on.
    fn meet(&self, position: usize, task: &Seen) -> Met {
        let mut rest = self.entries[position..].iter();
        let Some(found) = rest.position(|seen| seen.process == task.process) else {
            return Met::New;
        };
        let found = position + found;

        if found < self.last {
            return Met::Finished(self.skip(found, task.process));
        }
        let mut rest = self.entries[found..].iter();
        match rest.position(|seen| seen.thread == task.thread) {
            Some(ahead) => Met::Again(found + ahead + 1),
            None => Met::New,
        }
    }
}

#[kunit_tests(taskscope_walk)]
mod tests {
    use super::*;

    /// A log of threads, given as pairs of process and thread.
    fn log(threads: &[(usize, usize)]) -> Result<Log> {
        let mut log = Log {
            entries: Spare::new()?.lend(threads.len(), threads.len())?,
            last: 0,
        };

        for &(process, thread) in threads {
            log.push(Seen { process, thread })?;
        }
        Ok(log)
    }

    /// Looks for a thread in `log`.
    fn meet(log: &Log, position: usize, process: usize, thread: usize) -> Met {
        log.meet(position, &Seen { process, thread })
    }

    #[test]
    fn a_finished_process_is_left_out() -> Result {
        let log = log(&[(1, 11), (2, 21), (2, 22), (3, 31), (3, 32)])?;

        assert_eq!(meet(&log, 0, 1, 11), Met::Finished(1));
        assert_eq!(meet(&log, 1, 2, 21), Met::Finished(3));
        // Process 1 has died, and process 2 has a thread that was born later.
        assert_eq!(meet(&log, 0, 2, 29), Met::Finished(3));
        Ok(())
    }

    #[test]
    fn the_last_process_is_compared_by_threads() -> Result {
        let log = log(&[(1, 11), (3, 31), (3, 32), (3, 33)])?;

        assert_eq!(meet(&log, 1, 3, 31), Met::Again(2));
        // Thread 32 has died.
        assert_eq!(meet(&log, 2, 3, 33), Met::Again(4));
        assert_eq!(meet(&log, 2, 3, 34), Met::New);
        Ok(())
    }

    #[test]
    fn an_unknown_process_is_new() -> Result {
        let log = log(&[(1, 11), (2, 21)])?;

        assert_eq!(meet(&log, 0, 4, 41), Met::New);
        assert_eq!(meet(&log, 2, 2, 21), Met::New);
        Ok(())
    }

    /// Keeps the addresses of the tasks, and is ready for so many at a time.
    struct Addresses {
        at_a_time: usize,
        left: usize,
    }

    impl Visitor for Addresses {
        type Record = usize;

        fn prepare(&mut self) -> Result {
            self.left = self.at_a_time;
            Ok(())
        }

        fn visit(&mut self, task: RcuTask<'_>) -> Option<usize> {
            self.left -= 1;
            Some(task.address())
        }

        fn is_ready(&self) -> bool {
            self.left != 0
        }
    }

    /// Collects the addresses of all threads, so many at a time.
    fn addresses(at_a_time: usize) -> Result<Lent<usize>> {
        let mut visitor = Addresses { at_a_time, left: 0 };

        collect(&Memory::new()?, Scope::Threads, None, &mut visitor)
    }

    #[test]
    fn a_section_ends_where_the_visitor_is_not_ready() -> Result {
        for records in [addresses(1)?, addresses(2)?, addresses(usize::MAX)?] {
            let current = RcuTask::current(&rcu::read_lock()).address();

            assert_eq!(records.iter().filter(|task| **task == current).count(), 1);
        }
        Ok(())
    }

    #[test]
    fn every_thread_is_visited_once() -> Result {
        let records = addresses(usize::MAX)?;
        let current = RcuTask::current(&rcu::read_lock()).address();
        let idle = tasks::idle_task(&rcu::read_lock()).address();

        assert_eq!(records.iter().filter(|task| **task == current).count(), 1);
        assert_eq!(records.first(), Some(&idle));
        Ok(())
    }
}
