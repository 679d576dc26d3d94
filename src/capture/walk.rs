// SPDX-License-Identifier: GPL-2.0

//! One pass over all tasks, in short RCU read-side critical sections.
//!
//! A walk over all tasks under one `rcu_read_lock()` delays every grace period, and on a kernel
//! without preemptible RCU the scheduler too. [`Walk`] breaks the walk into sections, as
//! `rcu_lock_break()` in `kernel/hung_task.c` does. A section visits a limited number of tasks. At
//! its end the walk takes a reference to the last task, leaves the RCU read-side critical section,
//! and lets other threads run. The next section resumes after that task.
//!
//! `hung_task.c` gives up if the task has been released between two sections. This walk goes on,
//! and guarantees:
//!
//! *Every thread that lives from before the first section until after the last one is visited
//! exactly once, in the order of the task list.*
//!
//! # Why this holds
//!
//! Within one section the iterators of [`tasks`] give this guarantee. Across sections the walk
//! keeps two lists: the tasks that it has visited, in that order (the [`Log`]), and the tasks at
//! which sections ended (the [`Anchor`]s).
//!
//! 1. A section resumes at the latest anchor that is still on its lists, or else at their head. If
//!    the latest anchor of all is alive, no task is met twice.
//! 2. Otherwise the walk meets processes again that it has visited. The list of processes, and the
//!    list of threads of each process, change in three ways only. A new entry is added at the tail.
//!    An entry is removed. A thread that executes a program takes its leader's place, and the
//!    process stays the same: it keeps its `signal_struct`, by which the log knows it. So two
//!    entries that stay never change their order, and visited entries come before others. The walk
//!    keeps a position in the log, and moves it forward to the process that it meets. If the log
//!    has that process, it has been visited. If not, neither this process nor a later one has been
//!    visited, and the walk goes on as before.
//! 3. The walk has finished every process in the log but the last one. A thread of a finished
//!    process that is not in the log is younger than the visit, and is left out. In the last
//!    process the walk may have been interrupted. There threads are compared as processes are.
//! 4. The log compares addresses, and the kernel reuses memory. A task with the address of a
//!    visited task is younger than the walk, because the visited task has been freed. It need not
//!    be visited. All tasks after it on the list are younger still.
//!
//! `tests/models/tests/walk.rs` tries this file with lists that change at random, also while a
//! section runs.
//!
//! # Why the walk ends
//!
//! Several CPUs can fork faster than the walk moves, and every task that dies can send the walk
//! back.
//!
//! 1. The walk does not follow the tasks that are born meanwhile. Both lists are in the order of
//!    birth. A section that ends at a process which is younger than the walk, by its `start_time`,
//!    is the last one. If only the thread is younger, the process is finished.
//! 2. Each section visits new tasks. Tasks that it meets again do not count: at most, it meets all
//!    visited tasks again. Only an `execve()` can make a task new whose process was visited before,
//!    one for each section.
//!
//! # PIDs
//!
//! Two visited threads can have the same PID if a thread other than the leader executes a program
//! during the walk: the leader, which dies, and later the thread that has taken its PID. A PID can
//! also be given to a new thread after a visited thread with that PID has died.

use crate::abstractions::spare::{
    Lent,
    Spare, //
};
use crate::abstractions::tasks::{
    self,
    GroupIter,
    PinnedLeader,
    ProcessIter,
    RcuTask,
    ThreadIter, //
};
use crate::abstractions::{
    schedule,
    signal, //
};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{
    rcu, //
    Arc,
};
use kernel::task::Task;
use kernel::time::{
    ClockSource,
    Monotonic, //
};

/// Tuned: for how many tasks there is room at least, when a section begins.
pub(crate) const SLACK: usize = 64;

/// Which tasks are visited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The leader of every process.
    Processes,
    /// swapper/0, and then every thread of every process.
    Threads,
}

impl Scope {
    /// Returns the word for what has a row, in the plural.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Threads => "threads",
        }
    }
}

/// How much room a walk over a scope needs.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// How many tasks are expected.
    pub(crate) expected: usize,
    /// Memory for more tasks than these is not worth keeping.
    pub(crate) most: usize,
}

impl Room {
    /// Returns the room for `scope` at this moment.
    ///
    /// There is room for all threads, and for some that are born during the walk. The kernel does
    /// not count processes: there the memory grows as it is needed.
    pub(crate) fn now(scope: Scope) -> Self {
        Self::for_threads(scope, tasks::nr_threads_hint())
    }

    /// Returns the room for `scope` when there are so many threads.
    fn for_threads(scope: Scope, threads: usize) -> Self {
        let all = threads + SLACK;

        Self {
            expected: match scope {
                Scope::Processes => 4 * SLACK,
                Scope::Threads => all,
            },
            most: 2 * all.max(4 * SLACK),
        }
    }
}

/// A walk over the tasks of a scope.
pub(crate) struct Walk {
    scope: Scope,
    /// When the walk began, in nanoseconds of `CLOCK_MONOTONIC`.
    began: u64,
    log: Log,
    anchors: KVVec<Anchor>,
}

/// The memory of a log.
pub(crate) type SpareLog = Spare<Seen>;

impl Walk {
    /// Begins a walk. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(scope: Scope, room: Room, spare: &Arc<SpareLog>) -> Result<Self> {
        Ok(Self {
            scope,
            began: Monotonic::ktime_get().unsigned_abs(),
            log: Log {
                entries: spare.lend(room.expected, room.most)?,
                last: 0,
            },
            anchors: KVVec::new(),
        })
    }

    /// Calls `visit` with the next tasks, in one RCU read-side critical section, until it has
    /// visited `limit` tasks (more than zero) or `visit` returns false. Returns whether there may
    /// be more.
    ///
    /// May sleep before and after the section. `visit` must not sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, `ENOMEM`, or as `visit`.
    pub(crate) fn section(
        &mut self,
        limit: usize,
        visit: impl FnMut(RcuTask<'_>) -> Result<bool>,
    ) -> Result<bool> {
        signal::check_fatal_signal()?;
        self.log.entries.reserve(SLACK, GFP_KERNEL)?;
        self.anchors.reserve(1, GFP_KERNEL)?;
        // One entry is for `Log::finish_process()`.
        let room = self.log.entries.capacity() - self.log.entries.len() - 1;
        let end = section(
            self.scope,
            self.began,
            limit.min(room),
            &rcu::read_lock(),
            &mut self.log,
            &self.anchors,
            visit,
        )?;

        match end {
            End::List => Ok(false),
            End::Section { alive, anchor } => {
                self.anchors.truncate(alive);
                self.anchors.push_within_capacity(anchor)?;
                schedule::cond_resched();
                Ok(true)
            }
        }
    }
}

/// How an RCU read-side critical section of the walk has ended.
enum End {
    /// The list has been walked to its end, or to the tasks that are younger than the walk.
    List,
    /// The limit of the section has been reached, or the visit has ended it.
    Section {
        /// How many of the anchors, counted from the first, are worth keeping.
        alive: usize,
        /// Where to resume.
        anchor: Anchor,
    },
}

/// Visits the next `left` tasks that are not in the log, or fewer if `visit` returns false.
///
/// Does not sleep. Fails only if `visit` fails, or `log` has no room for so many entries and one
/// more.
fn section(
    scope: Scope,
    began: u64,
    mut left: usize,
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
    // swapper/0 is on no list.
    let mut first = (scope == Scope::Threads && log.entries.is_empty()).then_some(last);

    while left != 0 && is_ready {
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
        left -= 1;
    }

    let position = log.entries.len();
    let process = cursor.processes();

    if process.leader().start_time() > began {
        return Ok(End::List);
    }
    if last.start_time() > began {
        log.finish_process()?;
    }
    Ok(End::Section {
        alive,
        anchor: Anchor {
            process: last.process_id(),
            leader: process.pin_leader(),
            thread: last.pin(),
            position,
        },
    })
}

/// Where a section begins.
struct Resumed<'g> {
    /// What comes next on the lists.
    cursor: Cursor<'g>,
    /// The number of entries of the log whose tasks do not come again.
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
        let Some(processes) = ProcessIter::after(&anchor.leader, guard) else {
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

            return resumed(Cursor::Threads(ThreadIter::new(None, processes)), position);
        }
        if let Some(group) = GroupIter::after(&anchor.thread, guard) {
            let threads = ThreadIter::new(Some(group), processes);

            return resumed(Cursor::Threads(threads), anchor.position);
        }
        // The thread is dead and its process is alive. An earlier thread of the process will do. If
        // no anchor is at one, the walk begins again with the first thread of the process.
        let has_earlier = older
            .checked_sub(1)
            .is_some_and(|at| anchors[at].process == anchor.process);
        if !has_earlier {
            let group = processes.leader().thread_group();
            let threads = ThreadIter::new(Some(group), processes);

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
    Processes(ProcessIter<'g>),
    /// Among the threads of all processes.
    Threads(ThreadIter<'g>),
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

    /// Returns the place among the leaders.
    fn processes(&self) -> &ProcessIter<'g> {
        match self {
            Self::Processes(processes) => processes,
            Self::Threads(threads) => threads.processes(),
        }
    }
}

/// A task at which the walk has left a critical section.
struct Anchor {
    /// The process, by its [`RcuTask::process_id`].
    process: usize,
    /// The leader of this process, as the iterator found it.
    leader: PinnedLeader,
    /// The last thread of this process that the walk has passed.
    thread: ARef<Task>,
    /// The number of entries of the log up to this task.
    position: usize,
}

/// A task that the walk has visited. Its addresses are compared, and never followed.
#[derive(Default)]
pub(crate) struct Seen {
    /// The process, by its [`RcuTask::process_id`].
    process: usize,
    /// The thread; 0 in a walk over processes, which keep their identity when their leader changes.
    thread: usize,
}

impl Seen {
    /// Returns the identity of `task` in a walk over `scope`.
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

/// The tasks that the walk has visited, in that order.
///
/// # Invariants
///
/// `last` is the first entry of the process that was visited last, or the entry that marks it as
/// finished.
struct Log {
    entries: Lent<Seen>,
    last: usize,
}

/// What the log knows of a task.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// It has been visited. So many entries of the log are passed.
    Again(usize),
    /// The walk has finished its process. So many entries of the log are passed.
    Finished(usize),
    /// Neither it nor a later task has been visited.
    New,
}

impl Log {
    /// Adds a visited task. Fails if the log has no room for it.
    #[inline]
    fn push(&mut self, task: Seen) -> Result {
        if !self.is_last(task.process) {
            // INVARIANT: The next entry is the first one of another process.
            self.last = self.entries.len();
        }
        self.entries.push_within_capacity(task)?;
        Ok(())
    }

    /// Marks the process that was visited last as finished, by an entry of no process. Fails if the
    /// log has no room for it.
    fn finish_process(&mut self) -> Result {
        self.push(Seen::default())
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
    use crate::abstractions::callbacks::{
        Callback,
        CountedCompletion,
        Thread, //
    };
    use kernel::{
        task::MAX_SCHEDULE_TIMEOUT,
        time::Jiffies, //
    };

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
    fn a_process_with_younger_threads_can_be_finished() -> Result {
        let mut log = log(&[(1, 11), (2, 21)])?;

        log.entries.reserve(1, GFP_KERNEL)?;
        log.finish_process()?;
        assert!(!log.is_last(2));
        assert_eq!(meet(&log, 1, 2, 22), Met::Finished(2));
        assert_eq!(meet(&log, 2, 3, 31), Met::New);
        Ok(())
    }

    /// What the kernel threads of the next test do.
    impl Callback for CountedCompletion {
        fn call(&self) {
            let _ = self.wait_killable(MAX_SCHEDULE_TIMEOUT as Jiffies);
        }
    }

    /// Each section visits one process, and another one is born after it.
    #[test]
    fn a_walk_ends_although_processes_are_born() -> Result {
        let end = Arc::pin_init(CountedCompletion::new(1), GFP_KERNEL)?;
        let mut walk = Walk::new(
            Scope::Processes,
            Room::now(Scope::Processes),
            &Spare::new()?,
        )?;
        let most = 2 * tasks::nr_threads_hint();
        let mut born = KVec::new();

        while born.len() < most && walk.section(1, |_| Ok(true))? {
            born.push(Thread::start(end.clone(), c"taskscope_born")?, GFP_KERNEL)?;
        }
        let is_ended = born.len() < most;

        end.complete_all();
        drop(born);
        assert!(is_ended);
        Ok(())
    }

    #[test]
    fn an_unknown_process_is_new() -> Result {
        let log = log(&[(1, 11), (2, 21)])?;

        assert_eq!(meet(&log, 0, 4, 41), Met::New);
        assert_eq!(meet(&log, 2, 2, 21), Met::New);
        Ok(())
    }

    /// Returns the addresses of all threads, collected in sections of so many.
    fn addresses(in_section: usize) -> Result<KVVec<usize>> {
        let room = Room::now(Scope::Threads);
        let mut walk = Walk::new(Scope::Threads, room, &Spare::new()?)?;
        let mut addresses = KVVec::with_capacity(room.most, GFP_KERNEL)?;

        loop {
            let mut left = in_section;
            let is_more = walk.section(usize::MAX, |task| {
                addresses.push_within_capacity(task.address())?;
                left -= 1;
                Ok(left != 0)
            })?;

            if !is_more {
                return Ok(addresses);
            }
        }
    }

    #[test]
    fn a_section_ends_at_its_limit() -> Result {
        let room = Room::now(Scope::Threads);
        let mut walk = Walk::new(Scope::Threads, room, &Spare::new()?)?;

        for limit in [1, 4, 2] {
            let mut visited = 0;

            assert!(walk.section(limit, |_| {
                visited += 1;
                Ok(true)
            })?);
            assert_eq!(visited, limit);
        }
        Ok(())
    }

    #[test]
    fn a_section_begins_where_the_last_one_ended() -> Result {
        for scope in [Scope::Processes, Scope::Threads] {
            let mut walk = Walk::new(scope, Room::now(scope), &Spare::new()?)?;

            // init and kthreadd live for ever.
            for section in 1..=2 {
                assert!(walk.section(1, |_| Ok(true))?);
                let guard = rcu::read_lock();
                let resumed = resume(scope, &guard, &walk.log, &walk.anchors);

                assert_eq!(resumed.position, section);
                assert_eq!(resumed.alive, section);
            }
        }
        Ok(())
    }

    /// As if all tasks at which sections ended had died.
    #[test]
    fn a_walk_that_begins_again_visits_nobody_twice() -> Result {
        for scope in [Scope::Processes, Scope::Threads] {
            let mut walk = Walk::new(scope, Room::now(scope), &Spare::new()?)?;
            let mut inits = 0;
            let mut visit = |task: RcuTask<'_>| {
                inits += usize::from(task.pid() == 1);
                Ok(true)
            };

            assert!(walk.section(3, &mut visit)?);
            walk.anchors.clear();
            while walk.section(usize::MAX, &mut visit)? {}
            assert_eq!(inits, 1);
        }
        Ok(())
    }

    #[test]
    fn a_walk_gets_more_room_than_expected() -> Result {
        let room = Room {
            expected: 1,
            most: 1,
        };
        let current = RcuTask::current(&rcu::read_lock()).address();
        let mut walk = Walk::new(Scope::Threads, room, &Spare::new()?)?;
        let mut found = 0;
        let mut sections = 0;

        while walk.section(usize::MAX, |task| {
            found += usize::from(task.address() == current);
            Ok(true)
        })? {
            sections += 1;
            assert!(sections < tasks::nr_threads_hint());
        }
        assert_eq!(found, 1);
        Ok(())
    }

    #[test]
    fn memory_for_twice_as_many_is_kept() {
        for threads in [10, 1000, 100_000] {
            let [processes, all] =
                [Scope::Processes, Scope::Threads].map(|scope| Room::for_threads(scope, threads));

            assert!((threads..threads + 100).contains(&all.expected));
            for room in [processes, all] {
                assert_eq!(room.most, 2 * all.expected.max(processes.expected));
            }
        }
    }

    #[test]
    fn the_next_walk_has_the_memory_of_the_last() -> Result {
        let spare = Spare::new()?;
        let room = Room::for_threads(Scope::Threads, 100);
        let walk = Walk::new(Scope::Threads, room, &spare)?;
        let memory = walk.log.entries.as_ptr();

        assert!(walk.log.entries.capacity() < room.most);
        drop(walk);
        // This would get the memory if it had been freed.
        let _other = KVVec::<Seen>::with_capacity(room.expected, GFP_KERNEL)?;
        let walk = Walk::new(Scope::Threads, room, &spare)?;
        assert_eq!(walk.log.entries.as_ptr(), memory);
        Ok(())
    }

    #[test]
    fn a_section_ends_where_the_visit_says_so() -> Result {
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
