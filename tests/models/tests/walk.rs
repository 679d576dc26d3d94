// SPDX-License-Identifier: GPL-2.0

//! `src/capture/walk.rs` in a world in which threads are born, die and execute programs at any time: while the walk is in a
//! critical section, and between two of them. Seeds draw what happens.
//!
//! Each thread that is listed before the first section and after the last one is visited once, in the order of the lists;
//! the walk ends; it reads no memory that was freed. With each mistake of build.rs one of these is not so.

use kernel::world;

/// How many worlds are tried.
const SEEDS: u64 = 40_000;

/// A walk that has not ended after so many sections does not end.
const SECTIONS_MOST: usize = 300;

mod abstractions {
    pub(crate) mod spare {
        use kernel::prelude::*;
        use std::ops::{Deref, DerefMut};
        use std::{marker::PhantomData, sync::Arc};

        pub(crate) struct Spare<T>(PhantomData<T>);
        pub(crate) struct Lent<T>(KVVec<T>);

        impl<T> Spare<T> {
            pub(crate) fn new() -> Arc<Self> {
                Arc::new(Self(PhantomData))
            }
            pub(crate) fn lend(&self, count: usize, _: usize) -> Result<Lent<T>> {
                Ok(Lent(KVVec::with_capacity(count, GFP_KERNEL)?))
            }
        }

        impl<T> Deref for Lent<T> {
            type Target = KVVec<T>;

            fn deref(&self) -> &KVVec<T> {
                &self.0
            }
        }

        impl<T> DerefMut for Lent<T> {
            fn deref_mut(&mut self) -> &mut KVVec<T> {
                &mut self.0
            }
        }
    }

    /// The iterators of `src/abstractions/tasks.rs`, over the lists of the world.
    pub(crate) mod tasks {
        use kernel::sync::{aref::ARef, rcu};
        use kernel::{task::Task, world::ask};
        use std::marker::PhantomData;

        #[derive(Clone, Copy)]
        pub(crate) struct RcuTask<'g>(usize, PhantomData<&'g rcu::Guard>);

        impl<'g> RcuTask<'g> {
            pub(crate) fn births(self) -> (usize, usize) {
                ask::births(self.0)
            }
            pub(crate) fn process_id(self) -> usize {
                8 * (ask::signal(self.0) + 1)
            }
            pub(crate) fn address(self) -> usize {
                16 * (self.0 + 1)
            }
            pub(crate) fn start_time(self) -> u64 {
                ask::start_time(self.0)
            }
            pub(crate) fn pin(self) -> ARef<Task> {
                ask::pin(self.0)
            }
            pub(crate) fn thread_group(self) -> GroupIter<'g> {
                GroupIter {
                    signal: ask::signal(self.0),
                    at: None,
                    _guard: PhantomData,
                }
            }
        }

        pub(crate) fn processes(_: &rcu::Guard) -> ProcessIter<'_> {
            ProcessIter(0, PhantomData)
        }

        pub(crate) fn threads(guard: &rcu::Guard) -> ThreadIter<'_> {
            ThreadIter::new(None, processes(guard))
        }

        pub(crate) fn idle_task(_: &rcu::Guard) -> RcuTask<'_> {
            RcuTask(0, PhantomData)
        }

        pub(crate) fn nr_threads_hint() -> usize {
            ask::count()
        }

        pub(crate) struct PinnedLeader(ARef<Task>);

        pub(crate) struct ProcessIter<'g>(usize, PhantomData<&'g rcu::Guard>);

        impl<'g> ProcessIter<'g> {
            pub(crate) fn after(leader: &'g PinnedLeader, _: &'g rcu::Guard) -> Option<Self> {
                let at = leader.0.at();

                (ask::is_hashed(at) && ask::is_leader(at)).then_some(Self(at, PhantomData))
            }
            pub(crate) fn pin_leader(&self) -> PinnedLeader {
                PinnedLeader(ask::pin(self.0))
            }
            pub(crate) fn leader(&self) -> RcuTask<'g> {
                RcuTask(self.0, PhantomData)
            }
        }

        impl<'g> Iterator for ProcessIter<'g> {
            type Item = RcuTask<'g>;

            fn next(&mut self) -> Option<RcuTask<'g>> {
                self.0 = ask::next_leader(self.0)?;
                Some(self.leader())
            }
        }

        pub(crate) struct GroupIter<'g> {
            signal: usize,
            at: Option<usize>,
            _guard: PhantomData<&'g rcu::Guard>,
        }

        impl<'g> GroupIter<'g> {
            pub(crate) fn after(thread: &'g Task, _: &'g rcu::Guard) -> Option<Self> {
                let at = thread.at();

                ask::is_hashed(at).then_some(Self {
                    signal: ask::signal(at),
                    at: Some(at),
                    _guard: PhantomData,
                })
            }
        }

        impl<'g> Iterator for GroupIter<'g> {
            type Item = RcuTask<'g>;

            fn next(&mut self) -> Option<RcuTask<'g>> {
                let next = match self.at {
                    Some(at) => ask::next_thread(at)?,
                    None => ask::first_thread(self.signal)?,
                };

                self.at = Some(next);
                Some(RcuTask(next, PhantomData))
            }
        }

        pub(crate) struct ThreadIter<'g> {
            processes: ProcessIter<'g>,
            group: Option<GroupIter<'g>>,
        }

        impl<'g> ThreadIter<'g> {
            pub(crate) fn new(group: Option<GroupIter<'g>>, processes: ProcessIter<'g>) -> Self {
                Self { processes, group }
            }
            pub(crate) fn processes(&self) -> &ProcessIter<'g> {
                &self.processes
            }
            pub(crate) fn skip_process(&mut self) {
                self.group = None;
            }
        }

        impl<'g> Iterator for ThreadIter<'g> {
            type Item = RcuTask<'g>;

            fn next(&mut self) -> Option<RcuTask<'g>> {
                loop {
                    if let Some(thread) = self.group.as_mut().and_then(Iterator::next) {
                        return Some(thread);
                    }
                    self.group = Some(self.processes.next()?.thread_group());
                }
            }
        }
    }

    pub(crate) mod schedule {
        pub(crate) fn cond_resched() {
            kernel::world::rest();
        }
    }

    pub(crate) mod signal {
        pub(crate) fn check_fatal_signal() -> kernel::prelude::Result {
            Ok(())
        }
    }
}

/// Tries the source `$file` in all worlds. Returns the first mistake.
macro_rules! explore {
    ($file:expr) => {{
        #[allow(clippy::all, unused)]
        mod walk {
            include!(concat!(env!("OUT_DIR"), "/walk", $file, ".rs"));
        }

        let walk = |scope: walk::Scope, seed: u64| {
            let processes = scope == walk::Scope::Processes;
            let limit = 1 + (seed % 3) as usize;
            let mut visits = Vec::new();

            world::make(seed);
            let before = world::listed(processes);
            let room = walk::Room::now(scope);
            let mut walk =
                walk::Walk::new(scope, room, &abstractions::spare::Spare::new()).unwrap();
            let mut sections = 0;

            loop {
                let more = walk.section(limit, |task| {
                    let (thread, process) = task.births();

                    visits.push(if processes { process } else { thread });
                    Ok(true)
                });

                sections += 1;
                match more {
                    Ok(false) => break,
                    Ok(true) if sections < SECTIONS_MOST => {}
                    Ok(true) => return Some("the walk does not end".into()),
                    Err(_) => return Some("the walk has failed".into()),
                }
            }
            world::mistake().or_else(|| world::misses(&visits, &before, &world::listed(processes)))
        };

        (0..SEEDS).find_map(|seed| {
            let scope = if seed % 2 == 0 {
                walk::Scope::Threads
            } else {
                walk::Scope::Processes
            };

            walk(scope, seed).map(|mistake| format!("seed {seed}: {mistake}"))
        })
    }};
}

#[test]
fn what_lives_all_the_time_is_visited_once() {
    assert_eq!(explore!(""), None);
}

include!(concat!(env!("OUT_DIR"), "/walk.mistakes.rs"));
