// SPDX-License-Identifier: GPL-2.0

//! Processes and threads that are born, die and execute programs while a walk visits them, and RCU.
//!
//! There is one thread of execution. Whenever the walk asks for something, chance may let something else happen first. The lists
//! change as those of the kernel do (`copy_process()`, `__unhash_process()`, `de_thread()`): an entry that is removed
//! keeps its successor, and its memory is reused when no critical section and no reference is left.
//!
//! Each event is one step: the moments within `de_thread()` are not modelled, nor are orders of memory accesses, nor a leader
//! that stays dead after the last thread of its process.

use std::{cell::RefCell, collections::BTreeMap};

/// `init_task`, at which the list of processes begins and ends.
const IDLE: usize = 0;

/// Which events are drawn.
#[derive(Clone, Copy, Default, PartialEq)]
enum Events {
    #[default]
    Mixed,
    /// Processes are born all the time.
    Forks,
    /// Threads are born all the time.
    Threads,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// On the lists: `pid_alive()`.
    Hashed,
    /// On no list, and not yet reused.
    Released,
    Free,
}

struct Thread {
    state: State,
    /// No other thread has the same number, ever.
    birth: usize,
    signal: usize,
    /// `thread_group_leader()`
    is_leader: bool,
    is_dead: bool,
    start_time: u64,
    /// The next leader.
    next: usize,
    /// The next thread of the process.
    next_thread: Option<usize>,
    references: usize,
}

struct Signal {
    is_free: bool,
    birth: usize,
    first: Option<usize>,
}

#[derive(Default)]
struct World {
    threads: Vec<Thread>,
    signals: Vec<Signal>,
    random: u64,
    births: usize,
    clock: u64,
    sections: usize,
    events: Events,
    mistake: Option<String>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(act)
}

/// The entry of a list before `at`.
fn before(list: Vec<usize>, at: usize) -> Option<usize> {
    list.into_iter().take_while(|entry| *entry != at).last()
}

impl World {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % end as u64) as usize
    }

    fn birth(&mut self) -> usize {
        self.births += 1;
        self.births
    }

    /// A thread that is on no list yet. The clock was read some time before, as in `copy_process()`.
    fn new_thread(&mut self, signal: usize, is_leader: bool) -> usize {
        self.clock += 1;
        let thread = Thread {
            state: State::Hashed,
            birth: self.birth(),
            signal,
            is_leader,
            is_dead: false,
            start_time: self.clock - self.below(2) as u64,
            next: IDLE,
            next_thread: None,
            references: 0,
        };
        let free = self
            .threads
            .iter()
            .position(|thread| thread.state == State::Free);

        match free {
            Some(at) => {
                self.threads[at] = thread;
                at
            }
            None => {
                self.threads.push(thread);
                self.threads.len() - 1
            }
        }
    }

    fn leaders(&self) -> Vec<usize> {
        let mut leaders = Vec::new();
        let mut at = self.threads[IDLE].next;

        while at != IDLE {
            leaders.push(at);
            at = self.threads[at].next;
        }
        leaders
    }

    fn group(&self, signal: usize) -> Vec<usize> {
        let mut group = Vec::new();
        let mut at = self.signals[signal].first;

        while let Some(thread) = at {
            group.push(thread);
            at = self.threads[thread].next_thread;
        }
        group
    }

    fn alive(&self) -> Vec<usize> {
        let leaders = self.leaders();
        let groups = leaders
            .iter()
            .flat_map(|leader| self.group(self.threads[*leader].signal));

        groups
            .filter(|thread| !self.threads[*thread].is_dead)
            .collect()
    }

    fn clone_thread(&mut self, signal: usize, is_leader: bool) -> usize {
        let thread = self.new_thread(signal, is_leader);

        match self.group(signal).last() {
            Some(last) => self.threads[*last].next_thread = Some(thread),
            None => self.signals[signal].first = Some(thread),
        }
        thread
    }

    fn fork(&mut self) {
        let signal = Signal {
            is_free: false,
            birth: self.birth(),
            first: None,
        };
        let free = self.signals.iter().position(|signal| signal.is_free);
        let signal = match free {
            Some(at) => {
                self.signals[at] = signal;
                at
            }
            None => {
                self.signals.push(signal);
                self.signals.len() - 1
            }
        };
        let last = self.leaders().last().copied().unwrap_or(IDLE);
        let thread = self.clone_thread(signal, true);

        self.threads[last].next = thread;
    }

    /// What leads to `leader` on the list of processes leads to `next` instead.
    fn replace_leader(&mut self, leader: usize, next: usize) {
        let before = before(self.leaders(), leader).unwrap_or(IDLE);

        self.threads[before].next = next;
    }

    /// `release_task()`
    fn release(&mut self, thread: usize) {
        let Thread {
            signal,
            is_leader,
            next,
            next_thread,
            ..
        } = self.threads[thread];

        if is_leader {
            self.replace_leader(thread, next);
        }
        match before(self.group(signal), thread) {
            Some(before) => self.threads[before].next_thread = next_thread,
            None => self.signals[signal].first = next_thread,
        }
        self.threads[thread].state = State::Released;
    }

    /// A leader is released after the other threads of its process.
    fn exit(&mut self, thread: usize) {
        let signal = self.threads[thread].signal;

        self.threads[thread].is_dead = true;
        if !self.threads[thread].is_leader {
            self.release(thread);
        }
        if let [last] = self.group(signal)[..] {
            if self.threads[last].is_dead {
                self.release(last);
            }
        }
    }

    /// `de_thread()`
    fn exec(&mut self, thread: usize) {
        let group = self.group(self.threads[thread].signal);
        let leader = *group
            .iter()
            .find(|other| self.threads[**other].is_leader)
            .expect("a leader");

        for other in group {
            if other != thread && other != leader {
                self.release(other);
            }
        }
        if thread == leader {
            return;
        }
        self.replace_leader(leader, thread);
        self.threads[thread].next = self.threads[leader].next;
        self.threads[thread].start_time = self.threads[leader].start_time;
        self.threads[thread].is_leader = true;
        self.threads[leader].is_leader = false;
        self.release(leader);
    }

    /// Frees what no critical section and no reference can reach.
    fn free(&mut self) {
        if self.sections != 0 {
            return;
        }
        for at in 0..self.threads.len() {
            if self.threads[at].state == State::Released && self.threads[at].references == 0 {
                self.threads[at].state = State::Free;
            }
        }
        for at in 0..self.signals.len() {
            let used = self
                .threads
                .iter()
                .any(|thread| thread.state != State::Free && thread.signal == at);
            self.signals[at].is_free = !used;
        }
    }

    fn happen(&mut self) {
        let alive = self.alive();
        let chosen = match alive.len() {
            0 => None,
            count => Some(alive[self.below(count)]),
        };

        let event = match self.events {
            Events::Mixed => self.below(9),
            Events::Forks => 0,
            Events::Threads => 2,
        };

        match (event, chosen) {
            (0..2, _) => self.fork(),
            (2, Some(thread)) => {
                self.clone_thread(self.threads[thread].signal, false);
            }
            (3..6, Some(thread)) => self.exit(thread),
            (6, Some(thread)) => self.exec(thread),
            _ => self.free(),
        }
    }

    fn maybe(&mut self) {
        if self.below(6) == 0 {
            self.happen();
        }
    }

    fn note(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }

    /// The thread at that place, reached through a pointer; freed memory is a mistake.
    fn follow(&mut self, at: usize) -> &Thread {
        if self.threads[at].state == State::Free {
            self.note("freed memory was read".into());
        }
        &self.threads[at]
    }
}

/// Makes a world at random.
pub fn make(seed: u64) {
    with(|world| {
        *world = World {
            random: seed,
            ..World::default()
        };
        world.signals.push(Signal {
            is_free: false,
            birth: 0,
            first: None,
        });
        let idle = world.clone_thread(0, true);
        assert!(idle == IDLE);
        for _ in 0..3 + world.below(12) {
            match world.alive().len() {
                0 => world.fork(),
                _ => world.happen(),
            }
        }
        world.clock += 10;
        world.events = match seed / 2 % 16 {
            0 => Events::Forks,
            1 => Events::Threads,
            _ => Events::Mixed,
        };
    });
}

/// The time.
pub fn now() -> u64 {
    with(|world| world.clock)
}

/// Between two critical sections.
pub fn rest() {
    with(|world| {
        for _ in 0..world.below(5) {
            world.happen();
        }
        world.clock += 1;
    });
}

/// The births of all threads, or of all processes, in the order of the lists.
pub fn listed(processes: bool) -> Vec<usize> {
    with(|world| {
        let leaders = world.leaders();

        leaders
            .into_iter()
            .flat_map(|leader| {
                let signal = world.threads[leader].signal;
                let group = world
                    .group(signal)
                    .into_iter()
                    .map(|thread| world.threads[thread].birth);

                match processes {
                    true => vec![world.signals[signal].birth],
                    false => group.collect(),
                }
            })
            .collect()
    })
}

/// The first read of freed memory.
pub fn mistake() -> Option<String> {
    with(|world| world.mistake.take())
}

/// What is wrong with a list of visits, if the threads or processes `before` and `after` it were listed.
pub fn misses(visits: &[usize], before: &[usize], after: &[usize]) -> Option<String> {
    let mut counts = BTreeMap::new();
    let survivors: Vec<_> = after
        .iter()
        .copied()
        .filter(|birth| before.contains(birth))
        .collect();
    let visited: Vec<_> = visits
        .iter()
        .copied()
        .filter(|birth| survivors.contains(birth))
        .collect();

    for visit in &visited {
        *counts.entry(visit).or_insert(0) += 1;
    }
    if let Some((birth, count)) = counts.iter().find(|(_, count)| **count > 1) {
        return Some(format!("{birth} was visited {count} times"));
    }
    if let Some(birth) = survivors.iter().find(|birth| !counts.contains_key(birth)) {
        return Some(format!("{birth} was not visited"));
    }
    (visited != survivors)
        .then(|| format!("{visited:?} were visited, and the lists have {survivors:?}"))
}

/// An RCU read-side critical section.
pub struct Guard(());

pub fn read_lock() -> Guard {
    with(|world| {
        world.maybe();
        world.sections += 1;
    });
    Guard(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        with(|world| world.sections -= 1);
    }
}

/// A thread, by the place of its memory.
pub struct Task(usize);

/// What counts its references.
pub trait Counted {
    fn put(&self);
}

impl Counted for Task {
    fn put(&self) {
        with(|world| world.threads[self.0].references -= 1);
    }
}

/// A reference to a thread.
pub struct ARef<T: Counted>(T);

impl<T: Counted> std::ops::Deref for ARef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Counted> Drop for ARef<T> {
    fn drop(&mut self) {
        self.0.put();
    }
}

impl Task {
    pub fn at(&self) -> usize {
        self.0
    }
}

/// What the walk asks of the thread at a place. Something may happen before.
pub mod ask {
    use super::{with, ARef, State, Task, IDLE};

    pub fn pin(at: usize) -> ARef<Task> {
        with(|world| {
            world.maybe();
            world.follow(at);
            world.threads[at].references += 1;
        });
        ARef(Task(at))
    }

    pub fn births(at: usize) -> (usize, usize) {
        with(|world| {
            let &super::Thread { birth, signal, .. } = world.follow(at);
            (birth, world.signals[signal].birth)
        })
    }

    pub fn start_time(at: usize) -> u64 {
        with(|world| {
            world.maybe();
            world.follow(at).start_time
        })
    }

    pub fn signal(at: usize) -> usize {
        with(|world| world.follow(at).signal)
    }

    pub fn is_hashed(at: usize) -> bool {
        with(|world| {
            world.maybe();
            world.follow(at).state == State::Hashed
        })
    }

    pub fn is_leader(at: usize) -> bool {
        with(|world| {
            world.maybe();
            world.follow(at).is_leader
        })
    }

    pub fn next_leader(at: usize) -> Option<usize> {
        with(|world| {
            world.maybe();
            let next = world.follow(at).next;
            (next != IDLE).then_some(next)
        })
    }

    pub fn first_thread(signal: usize) -> Option<usize> {
        with(|world| {
            world.maybe();
            world.signals[signal].first
        })
    }

    pub fn next_thread(at: usize) -> Option<usize> {
        with(|world| {
            world.maybe();
            world.follow(at).next_thread
        })
    }

    pub fn count() -> usize {
        with(|world| world.threads.len())
    }
}
