// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Groups, joins and draws the tables of the kernel module taskscope.
#[derive(Debug, Parser)]
#[command(
    name = "taskscope",
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = "Exit status: 0, or 1 if diff found differences, 2 if something went wrong, 3 if there is nothing to read \
                  on this machine. NO_COLOR=1 prints no bold text on a terminal."
)]
pub struct Cli {
    /// The directory with the tables; by default taskscope/ where debugfs is mounted
    #[arg(long, global = true, env = "TASKSCOPE_ROOT", value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a snapshot of all tables: one file, a tar, that only its owner may read
    Record {
        /// The new file, or - for standard output; by default taskscope-TIME.tar
        file: Option<PathBuf>,
        /// Leave out `contexts`, whose reading provokes every execution context
        #[arg(long)]
        no_contexts: bool,
    },
    /// Count the threads with the same state and the same kernel stack, the most frequent first
    Stacks {
        /// A snapshot; by default the running kernel
        snapshot: Option<PathBuf>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would take it for the text of the command")]
        filter: Filter,
        /// Tell stacks apart by their frames in user space, too
        #[arg(long)]
        user: bool,
        /// Also kernel threads that wait for work (state I)
        #[arg(long)]
        all: bool,
        /// A line for each stack, as programs that draw flame graphs read them. The counts are numbers of
        /// threads, and not durations
        #[arg(long)]
        folded: bool,
        /// With --user: the directory with the programs and libraries of the machine of the snapshot
        #[arg(long, value_name = "DIR", requires = "user")]
        sysroot: Option<PathBuf>,
    },
    /// Show threads from main() to the function of the kernel that they are in
    Show {
        /// The PIDs; the PID of a process selects all its threads
        #[arg(required = true, value_name = "PID")]
        pids: Vec<u32>,
        /// A snapshot; by default the running kernel
        #[arg(long, value_name = "SNAPSHOT")]
        from: Option<PathBuf>,
        /// The directory with the programs and libraries of the machine of the snapshot
        #[arg(long, value_name = "DIR")]
        sysroot: Option<PathBuf>,
    },
    /// Draw the processes, their stacks and the execution contexts: one HTML page without scripts
    Report {
        /// A snapshot; by default the running kernel
        snapshot: Option<PathBuf>,
        /// The page; by default standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Draw the process or the thread with this PID in any case
        #[arg(long = "pid", value_name = "PID")]
        pids: Vec<u32>,
        /// A snapshot of another kernel: its execution contexts are drawn beside
        #[arg(long, value_name = "SNAPSHOT")]
        beside: Option<PathBuf>,
    },
    /// Compare two snapshots of one boot: which threads came, went, or stood still in state D
    Diff {
        /// The earlier snapshot
        a: PathBuf,
        /// The later snapshot
        b: PathBuf,
        #[command(flatten)]
        #[expect(missing_docs, reason = "clap would take it for the text of the command")]
        filter: Filter,
    },
    /// Print all tables as NDJSON: a line for each row
    Json {
        /// A snapshot; by default the running kernel
        snapshot: Option<PathBuf>,
        /// Of the running kernel, leave out `contexts`, whose reading provokes every execution context
        #[arg(long, conflicts_with = "snapshot")]
        no_contexts: bool,
    },
}

/// Which threads.
#[derive(Args, Clone, Debug, Default)]
pub struct Filter {
    /// Only threads in one of these states: DR for D and R
    #[arg(long, value_name = "LETTERS", value_parser = states)]
    pub state: Option<String>,
    /// Only threads with this text in their name or in a frame
    #[arg(long = "match", value_name = "TEXT")]
    pub pattern: Option<String>,
}

/// The letters of the states, as in /proc/PID/stat.
const STATES: &str = "RSDTtXZPI";

fn states(letters: &str) -> Result<String, String> {
    if letters.is_empty() || !letters.chars().all(|letter| STATES.contains(letter)) {
        return Err(format!("the states are the letters {STATES}"));
    }
    Ok(letters.into())
}
