// SPDX-License-Identifier: GPL-2.0

//! The ground that an exercise stands on.
//!
//! An exercise is a type, `Student`, with the trait [`Exercise`]. The module of the course calls it when the module is
//! loaded, each time someone opens `/sys/kernel/debug/exercise/answer`, and when the module is unloaded.
//!
//! Beside this, an exercise may use the [`kernel`] crate, and nothing unsafe. The file `course/names` says which names are
//! refused.
//!
//! # What else there is
//!
//! - [`TaskView`]: a task, while a guard of RCU exists. [`processes()`] and [`threads()`] visit tasks, [`nr_threads_hint()`]
//!   says how many there are.
//! - [`Context::now()`]: in which context this code runs.
//! - [`online_cpus()`]: the CPUs. [`on_cpu()`] calls a function on one of them.
//! - [`Masks`]: which bits of a `preempt_count` say what.
//! - [`NoBottomHalves`]: while it exists, no softirq comes.
//! - [`Queue`]: a workqueue whose drop waits for all of its items.
//! - [`Space`]: the address space in which this code runs.
//! - [`thread_size()`], [`saved_stack_pointer()`]: of kernel stacks.

pub(crate) use crate::abstractions::callbacks::Queue;
pub(crate) use crate::abstractions::context::Context;
pub(crate) use crate::abstractions::cpus::online_now as online_cpus;
pub(crate) use crate::abstractions::mm::Parts;
pub(crate) use crate::abstractions::stack::thread_size;
pub(crate) use crate::abstractions::tasks::{
    nr_threads_hint,
    processes,
    threads,
    RcuTask as TaskView, //
};
pub(crate) use crate::cpus::on_cpu;
pub(crate) use crate::preempt_count::{
    Masks,
    NoBottomHalves, //
};
pub(crate) use crate::text::name::COMM_LEN;
pub(crate) use kernel::bindings::{
    PF_EXITING,
    PF_IO_WORKER,
    PF_KTHREAD,
    PF_USER_WORKER,
    PF_WQ_WORKER, //
};

use crate::abstractions::compat::{
    smp_mb, //
    Read,
};
use crate::abstractions::mapping_tree::MappingTree;
use crate::abstractions::mm::{
    AddressSpace,
    WeakAddressSpace, //
};
use crate::abstractions::stack;
use crate::abstractions::tasks::ProcessIter;
use crate::text::name::{
    Name,
    LINE_MAX, //
};
use core::fmt::{
    self,
    Write, //
};
use core::ops::Range;
use core::str;
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

/// What an exercise implements.
///
/// All functions run in process context and may sleep.
pub(crate) trait Exercise: Sized + Send + Sync + 'static {
    /// Called when the module is loaded. `word` is the word of this run: a few letters, another each time.
    ///
    /// # Errors
    ///
    /// With an error, the module is not loaded.
    fn load(word: &str) -> Result<Self>;

    /// Called each time someone opens the file, in the context of the task that opens it. What is added to `lines` is
    /// the text of that open file.
    ///
    /// # Errors
    ///
    /// With an error, the open fails.
    fn show(&self, lines: &mut Lines) -> Result {
        let _ = lines;
        Ok(())
    }

    /// Called when the module is unloaded, after the last file was closed.
    fn unload(&self, word: &str) {
        let _ = word;
    }
}

/// The lines of a file.
pub(crate) struct Lines {
    text: KVVec<u8>,
    /// Where each line ends.
    ends: KVVec<usize>,
}

/// Adds to the text until memory is short.
struct Adder<'a>(&'a mut KVVec<u8>);

impl Write for Adder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .extend_from_slice(text.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}

impl Lines {
    /// Returns no lines.
    pub(crate) fn new() -> Self {
        Self {
            text: KVVec::new(),
            ends: KVVec::new(),
        }
    }

    /// Adds a line: `lines.add(fmt!("{pid} {tgid}"))?`.
    ///
    /// **May sleep**, because it allocates memory: never call it while an `rcu::Guard` exists.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub(crate) fn add(&mut self, line: fmt::Arguments<'_>) -> Result {
        fmt::write(&mut Adder(&mut self.text), line).map_err(|_| ENOMEM)?;
        self.text.push(b'\n', GFP_KERNEL)?;
        self.ends.push(self.text.len(), GFP_KERNEL)?;
        Ok(())
    }

    /// Returns all lines as one text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns how many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a line, with its newline.
    pub(crate) fn line(&self, number: usize) -> &[u8] {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);

        &self.text[begin..self.ends[number]]
    }
}

/// The name of a task, to be printed: `fmt!("{}", Comm(task.comm()))`.
///
/// A program chooses its name, and may put any byte into it. What is not printable ASCII is escaped, as in the tables
/// of taskscope.
#[derive(Clone, Copy)]
pub(crate) struct Comm(pub(crate) [u8; COMM_LEN]);

impl fmt::Display for Comm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = [0; LINE_MAX];
        let len = Name::unbracketed(self.0).write_line(&mut line);

        formatter.write_str(str::from_utf8(&line[..len - 1]).unwrap_or("?"))
    }
}

// For the macros of the kernel crate: `fmt!`, `pr_info!`.
impl kernel::fmt::Display for Comm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A place in the list of processes, which is a ring: before the first process, and after the last one, is
/// `init_task`, the idle task of the first CPU.
///
/// This is for those who write `for_each_process()` themselves. [`processes`] is the same as an iterator.
pub(crate) struct Place<'g> {
    at: ProcessIter<'g>,
    guard: &'g rcu::Guard,
}

impl<'g> Place<'g> {
    /// Returns the place of `init_task`: `&init_task` of C.
    pub(crate) fn init_task(guard: &'g rcu::Guard) -> Self {
        Self {
            at: processes(guard),
            guard,
        }
    }

    /// Returns the place of the process that calls this.
    pub(crate) fn current(guard: &'g rcu::Guard) -> Self {
        let tgid = TaskView::current(guard).tgid();
        let mut place = Self::init_task(guard);

        // A process is on the list as long as one of its threads runs.
        while place.at.next().is_some_and(|task| task.tgid() != tgid) {}
        place
    }

    /// Goes on to the next place: `next_task()` of C. After the last process that is `init_task` again.
    pub(crate) fn next(&mut self) {
        if self.at.next().is_none() {
            self.at = processes(self.guard);
        }
    }

    /// Returns the task at this place: `init_task`, or the first thread of a process.
    pub(crate) fn task(&self) -> TaskView<'g> {
        self.at.leader()
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.task().address() == other.task().address()
    }
}

/// An address space. It tells addresses, and nothing of what is there.
///
/// The mappings stay as long as this exists, unless the program changes them.
pub(crate) struct Space(AddressSpace);

impl Space {
    /// Returns the address space in which this code runs: `current->mm` of C; [`None`] if there is none, or if all
    /// threads of its program have died.
    ///
    /// In any context but NMI. Does not sleep.
    pub(crate) fn of_current() -> Option<Self> {
        WeakAddressSpace::of_current()?.upgrade().map(Self)
    }

    /// Returns where the parts of the program are, as the kernel has noted it. Task context.
    pub(crate) fn parts(&self) -> Parts {
        self.0.parts()
    }

    /// Returns the addresses of the mapping that contains `address`, a line of `/proc/PID/maps`; [`None`] if nothing is
    /// mapped there.
    pub(crate) fn mapping_at(&self, address: usize) -> Option<Range<usize>> {
        MappingTree::new(&self.0)
            .at(address)
            .map(|found| found.range)
    }

    /// Returns the addresses of the first mapping that ends above `address`; [`None`] after the last one.
    pub(crate) fn mapping_from(&self, address: usize) -> Option<Range<usize>> {
        MappingTree::new(&self.0)
            .first_from(address)
            .map(|found| found.range)
    }
}

/// Returns the stack pointer that the task has saved when it was switched away from last: an address in its kernel stack.
///
/// While the task runs, it has another stack pointer, which is in a register of its CPU: this one is old. It is at least as
/// new as what was asked about the task before.
pub(crate) fn saved_stack_pointer(task: &TaskView<'_>) -> usize {
    smp_mb(Read);
    stack::saved_stack_pointer(*task)
}

/// Takes 700 ms, as a conversation with a slow device does. **Sleeps.**
pub(crate) fn slow_device() {
    fsleep(Delta::from_millis(700));
}
