// SPDX-License-Identifier: GPL-2.0

//! `src/abstractions/switch_count.rs` in loom: a thread runs and is switched away, twice, and dies, while another thread reads
//! its kernel stack, in each order that loom has.
//!
//! The scheduler of the model does what that of arm64 does in `__schedule()`, `prepare_task()`, `finish_task()` and
//! `put_task_stack()`; x86-64 keeps more in order. Each run leaves its number in the stack, and as the saved stack pointer. With
//! each mistake of build.rs some reader gets a wrong stack, or a wrong count.
//!
//! All runs are in one thread of the model: that a thread moves to another CPU in order is assumed. The lock that a thread waits
//! for is not modelled.

use kernel::bounded;
use loom::{
    sync::atomic::{
        fence, AtomicI32, AtomicUsize,
        Ordering::{Relaxed, Release, SeqCst},
    },
    thread,
};

/// What another user writes to the memory of the stack.
const REUSED: usize = 99;

mod refs {
    pub(crate) struct Counter {
        pub(crate) counter: loom::sync::atomic::AtomicI32,
    }
    pub(crate) struct Refcount {
        pub(crate) refs: Counter,
    }
}

/// The fields of `struct task_struct` that the source reads, and the stack.
pub(crate) struct Task {
    stack_refcount: refs::Refcount,
    on_cpu: AtomicI32,
    nvcsw: AtomicUsize,
    nivcsw: AtomicUsize,
    stack: [AtomicUsize; 2],
}

impl Task {
    /// A thread that has run, and has been switched away from.
    fn new() -> Self {
        Self {
            stack_refcount: refs::Refcount {
                refs: refs::Counter {
                    counter: AtomicI32::new(1),
                },
            },
            on_cpu: AtomicI32::new(0),
            nvcsw: AtomicUsize::new(0),
            nivcsw: AtomicUsize::new(0),
            stack: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    /// The scheduler switches to the thread, which leaves `number` in its stack, and away from it. `switches`, the counter
    /// that the switch adds to, must be 0: the model stores 1 instead of adding (see `Atomic` of the library).
    fn run(&self, number: usize, switches: &AtomicUsize) {
        let [frames, saved_stack_pointer] = &self.stack;

        // prepare_task()
        self.on_cpu.store(1, Relaxed);
        // The `dsb` in __switch_to()
        fence(SeqCst);
        // The thread runs.
        frames.store(number, Relaxed);
        // smp_mb__after_spinlock() in __schedule()
        fence(SeqCst);
        switches.store(1, Relaxed);
        // cpu_switch_to()
        saved_stack_pointer.store(number, Relaxed);
        // finish_task()
        self.on_cpu.store(0, Release);
    }

    /// The dead thread gives its stack back, and another one gets it. A full barrier lies somewhere in between.
    fn release_stack(&self) {
        // refcount_dec_and_test()
        fence(SeqCst);
        self.stack_refcount.refs.counter.store(0, Relaxed);
        fence(SeqCst);
        for word in &self.stack {
            word.store(REUSED, Relaxed);
        }
    }
}

mod abstractions {
    pub(crate) mod compat {
        pub(crate) use kernel::barrier::{smp_mb, Read};
    }

    pub(crate) mod tasks {
        #[derive(Clone, Copy)]
        pub(crate) struct RcuTask<'g>(pub(crate) &'g crate::Task);
    }

    pub(crate) mod read_once {
        macro_rules! field {
            ($task:expr, $($field:tt)+) => { $task.0.$($field)+.load(loom::sync::atomic::Ordering::Relaxed) };
        }
        pub(crate) use field;
    }
}

/// Tries the source `$file`, by `switched_out()`, and by `of()` and `check_same()`. Returns what a reader must not get, if one
/// got it.
macro_rules! explore {
    ($file:expr) => {{
        #[allow(clippy::all, unused)]
        mod switch_count {
            include!(concat!(env!("OUT_DIR"), "/switch_count", $file, ".rs"));
        }
        use abstractions::tasks::RcuTask;
        use switch_count::{switched_out, SwitchCount};

        [false, true].into_iter().find_map(|by_steps| {
            bounded::explore(move |wrong| {
                let task = loom::sync::Arc::new(Task::new());
                let running = task.clone();
                let thread = thread::spawn(move || {
                    running.run(1, &running.nvcsw);
                    running.run(2, &running.nivcsw);
                    running.release_stack();
                });
                let look = || [&task.stack[0], &task.stack[1]].map(|word| word.load(Relaxed));
                let read = |switches: SwitchCount, stack: [usize; 2]| {
                    if stack != [switches.get(); 2] {
                        wrong(format!(
                            "a stack of {stack:?} after {} switches",
                            switches.get()
                        ));
                    }
                };
                let reader = RcuTask(&task);

                if by_steps {
                    // As a reader of user space does it, which looks twice.
                    if let Ok(switches) = SwitchCount::of(reader) {
                        for _ in 0..2 {
                            let stack = look();

                            if switches.check_same(reader).is_err() {
                                break;
                            }
                            read(switches, stack);
                        }
                    }
                } else if let (switches, Ok(stack)) = switched_out(reader, look) {
                    read(switches, stack);
                }
                thread.join().unwrap();
            })
        })
    }};
}

#[test]
fn readers_get_the_stack_that_the_thread_has_left() {
    assert_eq!(explore!(""), None);
}

include!(concat!(env!("OUT_DIR"), "/switch_count.mistakes.rs"));
