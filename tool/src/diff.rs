// SPDX-License-Identifier: GPL-2.0

//! `diff`: which threads came, went, or stood still between two snapshots of one boot.

use std::collections::HashMap;
use std::io::Write;

use crate::args::Filter;
use crate::join::{self, Frames, KernelStack, Thread, count, some_names, some_pids};
use crate::paint::Paint;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::trouble::{Result, failed};

/// The tables that are read.
pub const TABLES: [&str; 3] = ["threads", "kstacks", "kframes"];

/// A thread for as long as it lives. START tells two threads apart that had one PID. TASK tells a thread apart that has
/// executed a program, and so has taken over PID and START of the first thread of its process.
type Identity<'a> = (u32, Option<u64>, Option<&'a str>);

fn identity<'a>(thread: &Thread<'a>) -> Identity<'a> {
    (thread.pid, thread.start, thread.task)
}

/// What has become of the threads.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Threads that only the later snapshot has.
    pub came: Vec<Thread<'a>>,
    /// Threads that only the earlier snapshot has.
    pub went: Vec<Thread<'a>>,
    /// Threads that have not run since the earlier snapshot, with their kernel stack.
    pub stood_still: Vec<(Thread<'a>, Option<Frames<'a>>)>,
    /// Threads that have not been switched away from since: each was on a CPU all the time.
    pub kept_running: Vec<Thread<'a>>,
    /// Threads that both have.
    pub both: usize,
    /// Threads of both for which a table lacks SWITCHES.
    pub unknown: usize,
}

/// The thread that recorded the snapshot: it opened `current`, too. It comes and goes with each snapshot.
fn recorder(snapshot: &Snapshot) -> Option<u32> {
    snapshot.other("current")?.lines().find_map(|line| line.strip_prefix("pid: ")?.parse().ok())
}

impl Changes<'_> {
    /// Whether anything has changed, or stood still.
    pub fn any(&self) -> bool {
        [self.came.len(), self.went.len(), self.stood_still.len(), self.kept_running.len()] != [0; 4]
    }
}

/// A table that must have a row for every thread: one that is missing would look like a thread that went.
fn whole<'a>(snapshot: &'a Snapshot, name: &str, table: &str) -> Result<&'a Table> {
    let rows = snapshot.table(table).map_err(|trouble| failed(format!("{name}: {trouble}")))?;
    if !rows.complete {
        return Err(failed(format!("the end of {table} is missing in {name}: a thread may be there, or not")));
    }
    if rows.chosen().is_some() {
        return Err(failed(format!("set_pid has left out threads in {name} ({table}): a thread may be there, or not")));
    }
    Ok(rows)
}

/// The boot of a snapshot.
fn boot(snapshot: &Snapshot, name: &str) -> Result<String> {
    snapshot
        .meta
        .boot_id()
        .ok_or_else(|| failed(format!("{name} has no boot ID: whether both snapshots are of one boot is not known")))
}

/// What the user may have mixed up.
pub fn warnings(a: &Snapshot, b: &Snapshot) -> Vec<String> {
    match [a, b].map(|snapshot| snapshot.meta.seconds()) {
        [Some(earlier), Some(later)] if later < earlier => {
            vec!["B is older than A by its time: the earlier snapshot must be named first".into()]
        }
        _ => Vec::new(),
    }
}

/// Compares the earlier snapshot with the later one. It is an error if they cannot be compared.
pub fn compare<'a>(a: &'a Snapshot, b: &'a Snapshot, filter: &Filter) -> Result<Changes<'a>> {
    if boot(a, "A")? != boot(b, "B")? {
        return Err(failed("the snapshots are of two boots, or of two machines: no thread is in both"));
    }
    let [(mut before, _), (mut after, _)] =
        [join::threads(whole(a, "A", "threads")?), join::threads(whole(b, "B", "threads")?)];
    before.retain(|thread| Some(thread.pid) != recorder(a));
    after.retain(|thread| Some(thread.pid) != recorder(b));
    let stacks_before = a.optional("kstacks").map(join::kernel_stacks).unwrap_or_default();
    let stacks_after = join::kernel_stacks(whole(b, "B", "kstacks")?);
    if filter.pattern.is_some() {
        whole(a, "A", "kframes")?;
        whole(b, "B", "kframes")?;
    }
    let [frames_before, frames] =
        [a, b].map(|snapshot| snapshot.optional("kframes").map(join::frames).unwrap_or_default());
    let chosen = |thread: &Thread<'_>, frames: &HashMap<u32, Frames<'_>>, states: Option<&str>| {
        states.is_none_or(|states| states.contains(thread.state))
            && filter.pattern.as_ref().is_none_or(|pattern| {
                thread.comm.contains(pattern)
                    || frames
                        .get(&thread.pid)
                        .is_some_and(|frames| frames.frames.iter().any(|frame| frame.text.contains(pattern)))
            })
    };
    let states = filter.state.as_deref();
    let earlier: HashMap<Identity<'_>, &Thread<'_>> = before.iter().map(|thread| (identity(thread), thread)).collect();
    let mut changes = Changes::default();
    let mut kept = Vec::with_capacity(after.len());
    for thread in after {
        let Some(&then) = earlier.get(&identity(&thread)) else {
            if chosen(&thread, &frames, states) {
                changes.came.push(thread);
            }
            continue;
        };
        kept.push(identity(&thread));
        changes.both += 1;
        let stack_before = stacks_before.get(&thread.pid).unwrap_or(&KernelStack::NONE);
        let stack = stacks_after.get(&thread.pid).unwrap_or(&KernelStack::NONE);
        let (Some(count_then), Some(count_now)) = (then.switches, stack.switches) else {
            changes.unknown += 1;
            continue;
        };
        if count_then != count_now {
            continue;
        }
        // A thread that sleeps stands still because nothing happens; D is what the kernel counts as hung.
        if stack.reading().stood_still() && chosen(&thread, &frames, states.or(Some("D"))) {
            let frames = frames.get(&thread.pid).cloned();
            changes.stood_still.push((thread, frames));
        } else if stack.valid == "on-cpu" && stack_before.valid == "on-cpu" && stack_before.switches == stack.switches {
            // swapper runs when nothing else does.
            if thread.kind != "idle" && chosen(&thread, &frames, states) {
                changes.kept_running.push(thread);
            }
        }
    }
    if changes.both > 0 && changes.unknown == changes.both {
        return Err(failed("no thread can be compared: threads of A or kstacks of B has no SWITCHES for any of them"));
    }
    let kept: std::collections::HashSet<Identity<'_>> = kept.into_iter().collect();
    changes.went = before
        .into_iter()
        .filter(|thread| !kept.contains(&identity(thread)) && chosen(thread, &frames_before, states))
        .collect();
    Ok(changes)
}

fn list(what: &str, threads: &[Thread<'_>], paint: Paint, out: &mut impl Write) -> Result<()> {
    if threads.is_empty() {
        return Ok(());
    }
    let pids: Vec<u32> = threads.iter().map(|thread| thread.pid).collect();
    let names = some_names(threads.iter().map(|thread| thread.comm));
    let head = format!("{} {what}", count(pids.len(), "thread"));
    writeln!(out, "{}: {names}; {}", paint.bold(head), some_pids(&pids))?;
    Ok(())
}

/// Prints the changes.
pub fn write(changes: &Changes<'_>, paint: Paint, out: &mut impl Write) -> Result<()> {
    list("came", &changes.came, paint, out)?;
    list("went", &changes.went, paint, out)?;
    list("kept running, without being switched away from", &changes.kept_running, paint, out)?;

    let mut groups: Vec<(&Option<Frames<'_>>, &str, Vec<&Thread<'_>>)> = Vec::new();
    let mut places = HashMap::new();
    for (thread, frames) in &changes.stood_still {
        let key = (thread.state, frames.as_ref().map(|frames| (&frames.frames, frames.end)));
        let place = *places.entry(key).or_insert_with(|| {
            groups.push((frames, thread.state, Vec::new()));
            groups.len() - 1
        });
        groups[place].2.push(thread);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.2.len()));
    for (frames, state, threads) in groups {
        let threads: Vec<Thread<'_>> = threads.into_iter().cloned().collect();
        list(&format!("stood still in {state}"), &threads, paint, out)?;
        let lines = frames.as_ref().map(Frames::lines);
        for line in lines.unwrap_or_default() {
            writeln!(out, "    {line}")?;
        }
    }
    writeln!(out, "# {} in both snapshots", count(changes.both, "thread"))?;
    if changes.unknown > 0 {
        writeln!(out, "# {} of them cannot be compared: no SWITCHES", changes.unknown)?;
    }
    Ok(())
}
