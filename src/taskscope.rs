// SPDX-License-Identifier: GPL-2.0

//! taskscope: every task of a running kernel, as tables in debugfs.
//!
//! `Documentation/ABI/testing/debugfs-taskscope` describes the tables. The source has six layers,
//! in four directories and two files. A layer imports from itself and from those below it:
//!
//! ```text
//! taskscope       the module: parameters, and which table is in which file
//! views/          a file a table: its columns, and how it is opened
//! state           what the tables share
//! capture/        what a table looks at, and how it is kept until it is printed
//! abstractions/   safe Rust over the kernel; the only layer with unsafe code
//! text/           how values are written and read
//! ```

#[cfg(not(CONFIG_64BIT))]
compile_error!("taskscope keeps eight digits in a word: it needs a machine of 64 bits");

#[cfg(not(CONFIG_STACKTRACE))]
compile_error!("taskscope walks the stacks of other threads: it needs CONFIG_STACKTRACE");

mod abstractions;
mod capture;
mod state;
mod text;
mod views;

use crate::abstractions::compat;
use crate::abstractions::seq::Directory;
use crate::state::State;
use crate::views::contexts::Contexts;
use crate::views::cpus::Cpus;
use crate::views::current::Current;
use crate::views::kframes::Kframes;
use crate::views::kstacks::Kstacks;
use crate::views::segments::Segments;
use crate::views::set_pid::SetPid;
use crate::views::syscalls::Syscalls;
use crate::views::threads::{
    Processes,
    Threads, //
};
use crate::views::uframes::Uframes;
use crate::views::ustacks::UserStacks;
use kernel::prelude::*;

macro_rules! module_with {
    ($switch:ident, $off:literal) => {
        module! {
            type: Taskscope,
            name: "taskscope",
            authors: ["The taskscope authors"],
            description: "Every task of a running kernel, as tables in debugfs",
            license: "GPL",
            params: {
                raw_pointers: $switch {
                    default: $off,
                    description: "Show kernel addresses as they are, not hashed (default: false)",
                },
                include_isolated: $switch {
                    default: $off,
                    description: "Let contexts and cpus disturb isolated CPUs as well (default: false)",
                },
                device_irqs: $switch {
                    default: $off,
                    description: "Let contexts show the latest interrupt of a device (default: false)",
                },
            },
        }
    };
}
compat::with_switch!(module_with);

/// The module while it is loaded.
struct Taskscope {
    _directory: Directory<State>,
}

impl kernel::Module for Taskscope {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let raw_pointers = compat::is_on(module_parameters::raw_pointers.value())?;
        let include_isolated = compat::is_on(module_parameters::include_isolated.value())?;
        let device_irqs = compat::is_on(module_parameters::device_irqs.value())?;
        let state = State::new(raw_pointers, include_isolated, device_irqs);
        let directory = Directory::new(c"taskscope", state)?;

        directory.add::<Current>(c"current", 0o400)?;
        directory.add::<Contexts>(c"contexts", 0o400)?;
        directory.add::<Cpus>(c"cpus", 0o400)?;
        directory.add::<Processes>(c"processes", 0o400)?;
        directory.add::<Threads>(c"threads", 0o400)?;
        directory.add::<UserStacks>(c"ustacks", 0o400)?;
        directory.add::<Uframes>(c"uframes", 0o400)?;
        directory.add::<Segments>(c"segments", 0o400)?;
        directory.add::<Kstacks>(c"kstacks", 0o400)?;
        directory.add::<Kframes>(c"kframes", 0o400)?;
        directory.add::<Syscalls>(c"syscalls", 0o400)?;
        directory.add::<SetPid>(c"set_pid", 0o600)?;
        directory.publish();
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

/// Writes an event, and the task that causes it, to the kernel's log.
fn log(event: &str) {
    pr_info!(
        "{} by {}\n",
        event,
        format_args!("{}", Current::capture(None))
    );
}
