// SPDX-License-Identifier: GPL-2.0

//! `src/abstractions/switch_count.rs` under loom, which tries all orders in which a thread runs and is switched away, twice,
//! and dies, while another thread reads its kernel stack, as C11's memory model allows them.
//!
//! The scheduler of the model does what `__schedule()`, `prepare_task()`, `finish_task()` and `put_task_stack()` do. Each run
//! leaves its number in the stack, and as the saved stack pointer. With each mistake of build.rs a reader gets something else.

use kernel::bounded;
use loom::{
    sync::atomic::{
        fence, AtomicI32, AtomicUsize,
        Ordering::{Relaxed, Release, SeqCst},
    },
    thread,
};

/// The memory of the stack has another user.
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

    /// The scheduler switches to the thread, which leaves `number` in its stack, and away from it. `switches` is 0.
    /// (The thread must not load what it stores: loom 0.7 loses orders then.)
    fn run(&self, number: usize, switches: &AtomicUsize) {
        let [frames, saved_stack_pointer] = &self.stack;

        // prepare_task(), and the barrier before the switch to the thread
        self.on_cpu.store(1, Relaxed);
        fence(SeqCst);
        frames.store(number, Relaxed);
        // smp_mb__after_spinlock() in __schedule(), and what comes after it; switch_to(); finish_task()
        fence(SeqCst);
        switches.store(1, Relaxed);
        saved_stack_pointer.store(number, Relaxed);
        self.on_cpu.store(0, Release);
    }

    /// The dead thread gives its stack back (`refcount_dec_and_test()`), and another one gets it.
    fn release_stack(&self) {
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

/// Tries the source `$file`. Returns what a reader must not get, if one got it.
macro_rules! explore {
    ($file:expr) => {{
        #[allow(clippy::all, dead_code, unused)]
        mod switch_count {
            include!(concat!(env!("OUT_DIR"), "/switch_count", $file, ".rs"));
        }

        bounded::explore(|wrong| {
            let task = loom::sync::Arc::new(Task::new());
            let running = task.clone();
            let thread = thread::spawn(move || {
                running.run(1, &running.nvcsw);
                running.run(2, &running.nivcsw);
                running.release_stack();
            });
            let look = || [&task.stack[0], &task.stack[1]].map(|word| word.load(Relaxed));
            let (switches, stack) =
                switch_count::switched_out(abstractions::tasks::RcuTask(&task), look);

            if let Ok(stack) = stack {
                if stack != [switches.get(); 2] {
                    wrong(format!(
                        "a stack of {stack:?} after {} switches",
                        switches.get()
                    ));
                }
            }
            thread.join().unwrap();
        })
    }};
}

#[test]
fn readers_get_the_stack_that_the_thread_has_left() {
    assert_eq!(explore!(""), None);
}

macro_rules! mistakes {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            assert!(explore!(concat!(".", stringify!($name))).is_some());
        }
    )*};
}

mistakes! {
    stack_before_on_cpu
    on_cpu_before_count
    second_on_cpu_before_stack
    count_after_on_cpu
    on_cpu_not_asked
    counts_not_compared
    involuntary_switches_not_counted
    voluntary_switches_not_counted
    released_stack_read
}
