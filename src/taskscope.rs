// SPDX-License-Identifier: GPL-2.0

//! taskscope: every task of a running kernel, as tables in debugfs.
//!
//! The tables are described in `Documentation/ABI/testing/debugfs-taskscope`. Dependencies point
//! down:
//!
//! ```text
//! views            a file a table: columns, and the text of a row
//! users            the threads in user space, and a visit to each
//! snapshot         records of plain data, captured in one pass
//! walk             that pass, in short RCU read-side critical sections
//! probe            provokes each execution context, and collects what is seen there
//! observation      what can be seen from where some code runs
//! context          its context, as the kernel's macros tell it
//! state            what the files share
//! addresses        kernel addresses, hashed or raw
//! segments         the segments of a program
//! regions          mappings as the rules for segments and stacks see them
//! cells            tables as wide as their values
//! symbols          what a return address lies in
//! address_map      what is known of addresses
//! text, pid_list   how values are written, and lists of PIDs read
//! names            names, each kept once
//! deferred         callbacks in threads, softirqs and interrupts                (unsafe)
//! fault, nmi       callbacks in a page fault and in NMIs                        (unsafe)
//! latest           a value that an NMI may replace                              (unsafe)
//! cpus             the processors that are online, and which are isolated      (unsafe)
//! seq              tables as files in debugfs                             (unsafe)
//! stack            kernel stacks of threads that do not run               (unsafe)
//! tasks            the task list under RCU                                (unsafe)
//! abi              system call tables, and the names in them
//! user_memory      the memory of other processes                          (unsafe)
//! speculation      mappings read without a lock                           (unsafe)
//! mm               address spaces and user registers                      (unsafe)
//! mapping          a mapping of an address space, and its name            (unsafe)
//! frame_chain      frame pointers in untrusted user memory
//! line             text that grows inside a borrowed buffer               (unsafe)
//! spare            memory that a table leaves for the next one            (unsafe)
//! sys, helpers.c   the C that the `kernel` crate does not wrap            (unsafe)
//! ```

#[cfg(not(CONFIG_64BIT))]
compile_error!("taskscope keeps eight digits in a word: it needs a machine of 64 bits");

#[cfg(not(CONFIG_STACKTRACE))]
compile_error!("taskscope walks the stacks of other threads: it needs CONFIG_STACKTRACE");

mod abi;
mod address_map;
mod addresses;
mod cells;
mod context;
mod cpus;
mod deferred;
mod fault;
mod frame_chain;
mod latest;
mod line;
mod mapping;
mod mm;
mod names;
mod nmi;
mod observation;
mod pid_list;
mod probe;
mod regions;
mod segments;
mod seq;
mod snapshot;
mod spare;
mod speculation;
mod stack;
mod state;
mod symbols;
mod sys;
mod tasks;
mod text;
mod user_memory;
mod users;
mod views;
mod walk;

use crate::{
    line::Line,
    seq::Directory,
    state::State,
    views::{
        contexts::Contexts,
        current::Current,
        kframes::Kframes,
        kstacks::Kstacks,
        segments::Segments,
        set_pid::SetPid,
        syscalls::Syscalls,
        threads::{
            Processes,
            Threads, //
        },
        uframes::UserFrames,
        ustacks::UserStacks, //
    }, //
};
use core::mem::MaybeUninit;
use kernel::prelude::*;

module! {
    type: Taskscope,
    name: "taskscope",
    authors: ["The taskscope authors"],
    description: "Every task of a running kernel, as tables in debugfs",
    license: "GPL",
    params: {
        raw_pointers: bool {
            default: false,
            description: "Show kernel addresses as they are, not hashed (default: false)",
        },
        include_isolated: bool {
            default: false,
            description: "Let contexts disturb isolated processors as well (default: false)",
        },
    },
}

/// The module while it is loaded.
struct Taskscope {
    _directory: Directory<State>,
}

impl kernel::Module for Taskscope {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let raw_pointers = module_parameters::raw_pointers.value();
        let include_isolated = module_parameters::include_isolated.value();
        let directory = Directory::new(c"taskscope", State::new(raw_pointers, include_isolated))?;

        directory.add::<Current>(c"current", 0o400)?;
        directory.add::<Contexts>(c"contexts", 0o400)?;
        directory.add::<Processes>(c"processes", 0o400)?;
        directory.add::<Threads>(c"threads", 0o400)?;
        directory.add::<UserStacks>(c"ustacks", 0o400)?;
        directory.add::<UserFrames>(c"uframes", 0o400)?;
        directory.add::<Segments>(c"segments", 0o400)?;
        directory.add::<Kstacks>(c"kstacks", 0o400)?;
        directory.add::<Kframes>(c"kframes", 0o400)?;
        directory.add::<Syscalls>(c"syscalls", 0o400)?;
        directory.publish::<SetPid>(c"set_pid", 0o600)?;
        log("loaded");

        Ok(Self {
            _directory: directory,
        })
    }
}

impl Drop for Taskscope {
    fn drop(&mut self) {
        log("unloaded");
    }
}

/// Writes to the kernel's log what has been done, and which task has done it.
fn log(event: &str) {
    let mut buf = [MaybeUninit::uninit(); 256];
    let mut line = Line::new(&mut buf);

    Current::capture(None).summarize(&mut line);
    pr_info!("{} by {}\n", event, line.as_str());
}
