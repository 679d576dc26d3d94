// SPDX-License-Identifier: GPL-2.0

//! `stacks`: threads with the same state and the same frames, counted.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use crate::join::{self, Frame, Frames, Thread, count, some_names, some_pids};
use crate::paint::Paint;
use crate::snapshot::Snapshot;
use crate::symbols::{Files, Symbols, line};
use crate::trouble::Result;

/// The tables that are read.
pub const TABLES: [&str; 2] = ["threads", "kframes"];
/// The tables that are read with `--user`.
pub const TABLES_USER: [&str; 3] = ["threads", "kframes", "uframes"];

/// Which threads are shown, and how.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The states, as letters; empty for all.
    pub states: String,
    /// A part of the name or of a frame.
    pub pattern: Option<String>,
    /// Whether frames in user space count, too.
    pub user: bool,
    /// Whether kernel threads that wait for work are shown.
    pub all: bool,
    /// The directory with the programs of the machine of the snapshot.
    pub sysroot: Option<PathBuf>,
}

/// The threads of one group.
#[derive(Debug)]
pub struct Group<'a> {
    /// The state; with `?` if the thread ran after the state was read.
    pub state: String,
    /// The frames in the kernel, from the innermost one on, or why there are none.
    pub kernel: Vec<String>,
    /// The frames in user space.
    pub user: Vec<String>,
    /// Why the frames of kernel and user space must not be taken for one moment.
    pub warning: Option<&'static str>,
    /// The threads, in the order of the table.
    pub threads: Vec<Thread<'a>>,
}

/// The groups, and what was left out.
#[derive(Debug)]
pub struct Groups<'a> {
    /// The groups, the largest first.
    pub groups: Vec<Group<'a>>,
    /// All threads of the table.
    pub all: usize,
    /// Kernel threads that wait for work.
    pub idle: usize,
    /// Threads in other states, or that do not match.
    pub others: usize,
    /// Rows of `threads` that are none.
    pub refused: usize,
}

/// What the threads of a group have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    state: &'a str,
    state_of_moment: bool,
    kernel: Option<(&'a [Frame<'a>], Option<&'a str>, bool)>,
    user: Option<(&'a [Frame<'a>], Option<&'a str>, bool)>,
    warning: Option<&'static str>,
    /// A file in user space may have another content below another root.
    root: Option<(u64, u64)>,
}

fn key_of<'a>(frames: &'a Frames<'a>) -> (&'a [Frame<'a>], Option<&'a str>, bool) {
    (&frames.frames, frames.end, frames.cut)
}

fn lines(frames: Option<&Frames<'_>>, table: &str) -> Vec<String> {
    frames.map_or_else(|| vec![format!("(no row in {table})")], Frames::lines)
}

/// What `group` looks up.
#[derive(Debug)]
pub struct Tables<'a> {
    threads: Vec<Thread<'a>>,
    refused: usize,
    kernel: HashMap<u32, Frames<'a>>,
    user: Option<HashMap<u32, Frames<'a>>>,
    /// Whether every table has its end.
    complete: bool,
}

impl<'a> Tables<'a> {
    /// The tables of the snapshot.
    pub fn of(snapshot: &'a Snapshot, user: bool) -> Result<Self> {
        let (threads, refused) = join::threads(snapshot.table("threads")?);
        let kernel = join::frames(snapshot.table("kframes")?);
        let user = if user { Some(join::frames(snapshot.table("uframes")?)) } else { None };
        let used = if user.is_some() { TABLES_USER.as_slice() } else { TABLES.as_slice() };
        let complete = used.iter().all(|name| snapshot.optional(name).is_some_and(|table| table.complete));
        Ok(Tables { threads, refused, kernel, user, complete })
    }

    /// Groups the threads of the choice.
    pub fn group(&self, choice: &Choice, files: &Files<'_>, symbols: &mut Symbols) -> Groups<'_> {
        let mut places: HashMap<Key<'_>, usize> = HashMap::new();
        let mut out = Groups { groups: Vec::new(), all: self.threads.len(), idle: 0, others: 0, refused: self.refused };
        for thread in &self.threads {
            if !choice.states.is_empty() && !choice.states.contains(thread.state) {
                out.others += 1;
                continue;
            }
            // --state I shows them too.
            if thread.is_idle_kernel() && !choice.all && choice.states.is_empty() {
                out.idle += 1;
                continue;
            }
            let kernel = self.kernel.get(&thread.pid);
            let user = self.user.as_ref().and_then(|user| user.get(&thread.pid));
            if !choice.pattern.as_ref().is_none_or(|pattern| matches(thread, kernel, user, pattern, files, symbols)) {
                out.others += 1;
                continue;
            }
            let state_of_moment = thread.state_warning(kernel).is_none();
            let warning = match (kernel, user) {
                (Some(kernel), Some(user)) if user.end != Some("no-mm") => kernel.reading().warning(user.reading()),
                _ => None,
            };
            let key = Key {
                state: thread.state,
                state_of_moment,
                kernel: kernel.map(key_of),
                user: user.map(key_of),
                warning,
                root: user.and_then(|_| files.root_of(thread.tgid)),
            };
            let place = *places.entry(key).or_insert_with(|| {
                out.groups.push(Group {
                    state: format!("{}{}", thread.state, if state_of_moment { "" } else { "?" }),
                    kernel: lines(kernel, "kframes"),
                    user: if choice.user { user_lines(thread, user, files, symbols) } else { Vec::new() },
                    warning,
                    threads: Vec::new(),
                });
                out.groups.len() - 1
            });
            out.groups[place].threads.push(thread.clone());
        }
        // Stable: groups of one size stay in the order of the table.
        out.groups.sort_by_key(|group| std::cmp::Reverse(group.threads.len()));
        out
    }
}

fn user_lines(thread: &Thread<'_>, user: Option<&Frames<'_>>, files: &Files<'_>, symbols: &mut Symbols) -> Vec<String> {
    // A thread without a user space may have no row.
    if user.is_none() && !thread.mm {
        return lines(Some(&Frames { end: Some("no-mm"), ..Frames::default() }), "");
    }
    let mut out = lines(user, "uframes");
    if let Some(user) = user {
        let names = symbols.names(files, thread.tgid, &user.frames);
        for ((text, frame), name) in out.iter_mut().zip(&user.frames).zip(&names) {
            *text = line(frame.text, name.as_deref());
        }
        if let Some(end) = user.end.filter(|_| !user.frames.is_empty()) {
            out.push(format!("(end: {end})"));
        }
    }
    out
}

fn matches(
    thread: &Thread<'_>,
    kernel: Option<&Frames<'_>>,
    user: Option<&Frames<'_>>,
    pattern: &str,
    files: &Files<'_>,
    symbols: &mut Symbols,
) -> bool {
    let in_frames = |frames: &Frames<'_>| frames.frames.iter().any(|frame| frame.text.contains(pattern));
    let mut in_names = |user: &Frames<'_>| {
        let names = symbols.names(files, thread.tgid, &user.frames);
        names.iter().flatten().any(|name| name.contains(pattern))
    };
    thread.comm.contains(pattern) || kernel.into_iter().chain(user).any(in_frames) || user.is_some_and(&mut in_names)
}

/// Prints the groups, and a summary that accounts for every thread.
pub fn write(snapshot: &Snapshot, choice: &Choice, paint: Paint, out: &mut impl Write) -> Result<()> {
    let tables = Tables::of(snapshot, choice.user)?;
    let files = Files::of(snapshot, choice.sysroot.as_deref());
    let mut symbols = Symbols::default();
    let groups = tables.group(choice, &files, &mut symbols);
    let at_least = if tables.complete { "" } else { "at least " };
    for group in &groups.groups {
        let pids: Vec<u32> = group.threads.iter().map(|thread| thread.pid).collect();
        let head = format!("{at_least}{} in {}", count(pids.len(), "thread"), group.state);
        let names = some_names(group.threads.iter().map(|thread| thread.comm));
        writeln!(out, "{}: {names}; {}", paint.bold(head), some_pids(&pids))?;
        if group.state.ends_with('?') {
            writeln!(out, "    {}", paint.dim("(the state and the frames may be of different moments)"))?;
        }
        for line in &group.kernel {
            writeln!(out, "    {line}")?;
        }
        if !group.user.is_empty() {
            let warning = group.warning.map(|warning| format!(" ({warning})")).unwrap_or_default();
            writeln!(out, "    {}", paint.dim(format_args!("-- user space{warning} --")))?;
            for line in &group.user {
                writeln!(out, "    {line}")?;
            }
        }
        writeln!(out)?;
    }
    let shown: usize = groups.groups.iter().map(|group| group.threads.len()).sum();
    writeln!(
        out,
        "# {at_least}{}, {} shown in {}",
        count(groups.all, "thread"),
        shown,
        count(groups.groups.len(), "group")
    )?;
    if groups.idle > 0 {
        writeln!(out, "# {} left out: kernel threads that wait for work (state I); --all shows them", groups.idle)?;
    }
    if groups.others > 0 {
        writeln!(out, "# {} left out by --state or --match", groups.others)?;
    }
    for note in symbols.notes(&files).iter().filter(|_| choice.user) {
        writeln!(out, "# {note}")?;
    }
    if groups.refused > 0 {
        writeln!(out, "# {} rows of threads left out: no PID, or one that was there before", groups.refused)?;
    }
    Ok(())
}

/// Prints a line for each stack, from the outermost function on, with the number of threads: the input of programs
/// that draw flame graphs.
pub fn write_folded(snapshot: &Snapshot, choice: &Choice, out: &mut impl Write) -> Result<()> {
    let tables = Tables::of(snapshot, choice.user)?;
    let files = Files::of(snapshot, choice.sysroot.as_deref());
    let mut symbols = Symbols::default();
    let groups = tables.group(choice, &files, &mut symbols);
    // Groups may differ in offsets only.
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut folded: Vec<(String, usize)> = Vec::new();
    for group in &groups.groups {
        let mut parts = vec![group.state.clone()];
        for lines in [&group.user, &group.kernel] {
            parts.extend(lines.iter().rev().map(|line| join::function(line).replace(';', ":")));
        }
        let stack = parts.join(";");
        let place = *places.entry(stack.clone()).or_insert_with(|| {
            folded.push((stack, 0));
            folded.len() - 1
        });
        folded[place].1 += group.threads.len();
    }
    for (stack, number) in folded {
        writeln!(out, "{stack} {number}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: &str = "TGID PID S KIND MM SWITCHES COMM\n";
    const KFRAMES: &str = "TGID PID SWITCHES DEPTH FRAME\n";

    fn printed(threads: &str, kframes: &str) -> String {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in [
            ("threads", format!("{THREADS}{threads}# 1 threads\n")),
            ("kframes", format!("{KFRAMES}{kframes}# 1 threads\n")),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let snapshot = Snapshot::from_tar(archive.into_inner().unwrap().as_slice()).unwrap();
        let mut out = Vec::new();
        write(&snapshot, &Choice::default(), Paint::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stacks_that_differ_in_the_outermost_frame_are_two_groups() {
        let out = printed(
            "1 1 S user set 5 a\n2 2 S user set 5 b\n",
            "1 1 5 0 wait+0x1/0x2\n1 1 5 1 read+0x1/0x2\n2 2 5 0 wait+0x1/0x2\n2 2 5 1 write+0x1/0x2\n",
        );
        assert!(out.contains("1 thread in S: a; PID 1\n") && out.contains("1 thread in S: b; PID 2\n"), "{out}");
    }

    #[test]
    fn one_stack_in_two_states_is_two_groups() {
        let out = printed("1 1 S user set 5 a\n2 2 D user set 5 b\n", "1 1 5 0 wait+0x1/0x2\n2 2 5 0 wait+0x1/0x2\n");
        assert!(out.contains("1 thread in S: a") && out.contains("1 thread in D: b"), "{out}");
    }

    #[test]
    fn a_thread_that_ran_after_its_state_was_read_has_a_question_mark() {
        let out = printed("1 1 S user set 5 a\n2 2 S user set 5 b\n", "1 1 5 0 wait+0x1/0x2\n2 2 6 0 wait+0x1/0x2\n");
        assert!(out.contains("1 thread in S: a") && out.contains("1 thread in S?: b"), "{out}");
    }

    #[test]
    fn a_thread_without_a_row_is_no_other_stack() {
        let out = printed("1 1 S user set 5 a\n2 2 S user set 5 b\n", "1 1 5 0 wait+0x1/0x2\n");
        assert!(out.contains("b; PID 2\n    (no row in kframes)\n"), "{out}");
    }
}
