// SPDX-License-Identifier: GPL-2.0

//! `stacks`: threads with the same state and the same frames, counted.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use crate::join::{self, BlockedBy, Frame, Frames, KernelStack, Thread, count, some_names, some_pids};
use crate::paint::Paint;
use crate::snapshot::Snapshot;
use crate::symbols::{Files, Symbols, line};
use crate::trouble::Result;

/// The tables that are read.
pub const TABLES: [&str; 3] = ["threads", "kstacks", "kframes"];
/// The tables that are read with `--user`.
pub const TABLES_USER: [&str; 4] = ["threads", "kstacks", "kframes", "uframes"];

/// So begins a line of the summary of `kstacks` if the kernel does not record who holds a lock.
const UNKNOWN: &str = "BLOCKED_BY is not known";

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
    /// The lock that the threads wait for.
    pub blocked_by: Option<BlockedBy<'a>>,
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
    blocked_by: Option<BlockedBy<'a>>,
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
    stacks: HashMap<u32, KernelStack<'a>>,
    kernel: HashMap<u32, Frames<'a>>,
    user: Option<HashMap<u32, Frames<'a>>>,
    /// Whether every table has its end.
    complete: bool,
}

impl<'a> Tables<'a> {
    /// The tables of the snapshot.
    pub fn of(snapshot: &'a Snapshot, user: bool) -> Result<Self> {
        let (threads, refused) = join::threads(snapshot.table("threads")?);
        let stacks = snapshot.optional("kstacks").map(join::kernel_stacks).unwrap_or_default();
        let kernel = join::frames(snapshot.table("kframes")?);
        let user = if user { Some(join::frames(snapshot.table("uframes")?)) } else { None };
        let used = if user.is_some() { TABLES_USER.as_slice() } else { TABLES.as_slice() };
        // Without `kstacks` only the locks are not known.
        let complete = used.iter().all(|name| match snapshot.optional(name) {
            Some(table) => table.complete,
            None => *name == "kstacks",
        });
        Ok(Tables { threads, refused, stacks, kernel, user, complete })
    }

    /// Why the frames of a thread that holds a lock must not be taken for those of the moment at which it held the lock.
    fn warning_of(&self, pid: u32) -> Option<&'static str> {
        self.stacks.get(&pid)?.reading().warning(self.kernel.get(&pid)?.reading())
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
            let blocked_by = self.stacks.get(&thread.pid).and_then(|stack| stack.lock(thread, kernel));
            let key = Key {
                state: thread.state,
                state_of_moment,
                kernel: kernel.map(key_of),
                user: user.map(key_of),
                blocked_by,
                warning,
                root: user.and_then(|_| files.root_of(thread.tgid)),
            };
            let place = *places.entry(key).or_insert_with(|| {
                out.groups.push(Group {
                    state: format!("{}{}", thread.state, if state_of_moment { "" } else { "?" }),
                    kernel: lines(kernel, "kframes"),
                    user: if choice.user { user_lines(thread, user, files, symbols) } else { Vec::new() },
                    blocked_by,
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
    let mut holders = HashSet::new();
    for group in &groups.groups {
        let pids: Vec<u32> = group.threads.iter().map(|thread| thread.pid).collect();
        let mut head = format!("{at_least}{} in {}", count(pids.len(), "thread"), group.state);
        if let Some(lock) = group.blocked_by {
            let verb = if pids.len() == 1 { "waits" } else { "wait" };
            head += &format!(" {verb} for {}", join::lock_in_words(lock, &tables.stacks));
        }
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
        // A thread that waits for itself is in the group.
        if let Some((lock, pid)) =
            group.blocked_by.and_then(|lock| Some((lock, lock.holder?))).filter(|(_, pid)| !pids.contains(pid))
        {
            let (role, name) = (lock.role(), join::name_of(pid, &tables.stacks));
            if holders.insert(pid) {
                let warning = tables.warning_of(pid).map(|warning| format!(" ({warning})")).unwrap_or_default();
                writeln!(out, "    {}", paint.dim(format_args!("-- {role}, {name}{warning} --")))?;
                for line in lines(tables.kernel.get(&pid), "kframes") {
                    writeln!(out, "    {line}")?;
                }
            } else {
                writeln!(out, "    {}", paint.dim(format_args!("-- {role}, {name}: its frames are above --")))?;
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
    if let Some(line) =
        snapshot.optional("kstacks").and_then(|table| table.summary().find(|line| line.starts_with(UNKNOWN)))
    {
        writeln!(out, "# {line}")?;
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
    const KSTACKS: &str = "TGID PID SWITCHES BASE SIZE USED VALID BLOCKED_BY COMM\n";
    const KFRAMES: &str = "TGID PID SWITCHES DEPTH FRAME\n";

    fn printed(threads: &str, kframes: &str) -> String {
        printed_with(threads, "", "# 1 threads\n", kframes)
    }

    fn printed_with(threads: &str, kstacks: &str, summary: &str, kframes: &str) -> String {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in [
            ("threads", format!("{THREADS}{threads}# 1 threads\n")),
            ("kstacks", format!("{KSTACKS}{kstacks}{summary}")),
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

    const OF_FIVE: &str =
        "1 1 D user set 5 a\n2 2 D user set 5 b\n3 3 D user set 5 c\n7 7 S user set 9 h\n8 8 R user set 9 g\n";
    const FRAMES_OF_FIVE: &str =
        "1 1 5 0 write+0x1/0x2\n2 2 5 0 write+0x1/0x2\n3 3 5 0 write+0x1/0x2\n7 7 9 0 sleep+0x1/0x2\n8 8 9 - on-cpu\n";
    const HOLDERS: &str = "7 7 9 1 16384 8 ok - h\n8 8 9 1 16384 - on-cpu - g\n";

    /// The groups, with these values of BLOCKED_BY for the threads 1, 2 and 3.
    fn blocked_by(locks: [&str; 3]) -> String {
        let mut rows: String = (1..).zip("abc".chars()).zip(locks).fold(String::new(), |rows, ((pid, name), lock)| {
            format!("{rows}{pid} {pid} 5 1 16384 8 ok {lock} {name}\n")
        });
        rows += HOLDERS;
        printed_with(OF_FIVE, &rows, "# 1 threads\n", FRAMES_OF_FIVE)
    }

    #[test]
    fn threads_that_wait_for_a_lock_are_a_line_with_the_holder_and_its_frames() {
        let out = blocked_by(["mutex:7"; 3]);
        let expected = "3 threads in D wait for a mutex held by PID 7, h: a, b, c; PIDs 1, 2, 3\n    write+0x1/0x2\n    \
                        -- the holder, PID 7, h --\n    sleep+0x1/0x2\n\n";
        assert!(out.starts_with(expected), "{out}");
    }

    #[test]
    fn each_kind_of_lock_has_its_words() {
        for (lock, words) in [
            ("semaphore:7", "a semaphore last taken by PID 7, h:"),
            ("semaphore:-", "a semaphore whose last holder is not known:"),
            ("rwsem-writer:7", "an rw-semaphore held by the writer PID 7, h:"),
            ("rwsem-reader:7", "an rw-semaphore held by readers, the last of them PID 7, h:"),
            ("rwsem-reader:-", "an rw-semaphore last taken by readers:"),
            ("rwsem:-", "an rw-semaphore whose holder is not known:"),
            ("mutex:99", "a mutex held by PID 99:"),
            ("mutex:1", "a mutex held by PID 1, a:"),
            ("mutex:99999999", "a mutex whose holder is not known:"),
            ("future:8", "future held by PID 8, g:"),
        ] {
            let out = blocked_by([lock; 3]);
            assert!(out.contains(&format!("3 threads in D wait for {words} a, b, c;")), "{lock}: {out}");
        }
        let out = blocked_by(["-", "what", "-"]);
        assert!(out.contains("3 threads in D: a, b, c;"), "{out}");
    }

    #[test]
    fn two_holders_are_two_groups_and_a_holder_that_runs_has_no_frames() {
        let out = blocked_by(["mutex:7", "mutex:8", "mutex:8"]);
        assert!(out.contains("1 thread in D waits for a mutex held by PID 7, h: a;"), "{out}");
        assert!(out.contains("2 threads in D wait for a mutex held by PID 8, g: b, c;"), "{out}");
        assert!(out.contains("-- the holder, PID 8, g --\n    (on a CPU: not walked)\n"), "{out}");
    }

    #[test]
    fn frames_of_a_holder_are_shown_once() {
        let out = blocked_by(["mutex:7", "mutex:7", "semaphore:7"]);
        assert_eq!(out.matches("-- the holder, PID 7, h --\n    sleep").count(), 1, "{out}");
        assert_eq!(out.matches("-- the last taker, PID 7, h: its frames are above --").count(), 1, "{out}");
    }

    #[test]
    fn a_thread_that_need_not_hold_the_lock_is_not_called_the_holder() {
        for (lock, role) in [
            ("mutex:7", "the holder"),
            ("semaphore:7", "the last taker"),
            ("rwsem-writer:7", "the holder"),
            ("rwsem-reader:7", "the last reader"),
        ] {
            let out = blocked_by([lock; 3]);
            assert!(out.contains(&format!("    -- {role}, PID 7, h --\n    sleep")), "{lock}: {out}");
        }
    }

    #[test]
    fn a_lock_of_another_moment_than_the_frames_is_not_shown() {
        let kstacks = "1 1 5 1 16384 8 ok mutex:7 a\n2 2 4 1 16384 8 ok mutex:7 b\n3 3 5 1 16384 - on-cpu mutex:7 c\n7 7 8 1 16384 8 ok - h\n";
        let out = printed_with(OF_FIVE, kstacks, "# 1 threads\n", FRAMES_OF_FIVE);
        assert!(out.contains("1 thread in D waits for a mutex held by PID 7, h: a;"), "{out}");
        assert!(out.contains("2 threads in D: b, c;"), "{out}");
        // The holder has run since.
        assert!(out.contains("-- the holder, PID 7, h (may be of different moments) --"), "{out}");
    }

    #[test]
    fn a_thread_that_has_been_woken_does_not_wait() {
        let threads = "1 1 R user set 5 a\n2 2 R user set 4 b\n7 7 S user set 9 h\n";
        let kstacks = format!("1 1 5 1 16384 8 ok mutex:1 a\n2 2 5 1 16384 8 ok mutex:7 b\n{HOLDERS}");
        let out = printed_with(threads, &kstacks, "# 1 threads\n", FRAMES_OF_FIVE);
        assert!(out.contains("1 thread in R: a; PID 1\n    write+0x1/0x2\n\n"), "{out}");
        // The state is of an earlier moment.
        assert!(out.contains("1 thread in R? waits for a mutex held by PID 7, h: b;"), "{out}");
    }

    #[test]
    fn a_kernel_that_does_not_record_locks_is_said() {
        let summary = "# 1 threads\n# BLOCKED_BY is not known: the kernel has no CONFIG_X\n";
        let out = printed_with(OF_FIVE, "", summary, FRAMES_OF_FIVE);
        assert!(out.ends_with("# BLOCKED_BY is not known: the kernel has no CONFIG_X\n"), "{out}");
        assert!(!blocked_by(["-"; 3]).contains("BLOCKED_BY"));
    }
}
