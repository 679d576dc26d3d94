// SPDX-License-Identifier: GPL-2.0

//! What several tables say of one thread, and whether they say it of one moment.

use std::collections::{HashMap, HashSet};

use crate::table::{Row, Table, pid};

/// A row of `threads`.
#[derive(Clone, Debug)]
pub struct Thread<'a> {
    /// The PID of the process.
    pub tgid: u32,
    /// The PID of the thread.
    pub pid: u32,
    /// The letter of the state; `?` if it is not known.
    pub state: &'a str,
    /// `user`, `kernel`, `worker` or `idle`; `?` if it is not known.
    pub kind: &'a str,
    /// Whether the thread has an address space.
    pub mm: bool,
    /// Why MM and KIND seem to disagree.
    pub note: Option<&'a str>,
    /// How often the scheduler has switched away from the thread.
    pub switches: Option<u64>,
    /// When the thread was made.
    pub start: Option<u64>,
    /// The address of the task_struct, hashed.
    pub task: Option<&'a str>,
    /// The CPU that the thread runs on, or ran on last.
    pub cpu: Option<u64>,
    /// The name.
    pub comm: &'a str,
}

/// The threads of a table, each PID once, and the number of rows that are none.
pub fn threads(table: &Table) -> (Vec<Thread<'_>>, usize) {
    let mut seen = HashSet::new();
    let mut threads = Vec::with_capacity(table.len());
    for row in table.rows() {
        let (Some(tgid), Some(pid)) = (row.pid("TGID"), row.pid("PID")) else { continue };
        if !seen.insert(pid) {
            continue;
        }
        threads.push(Thread {
            tgid,
            pid,
            state: row.value("S").unwrap_or("?"),
            kind: row.value("KIND").unwrap_or("?"),
            mm: row.value("MM") == Some("set"),
            note: row.value("NOTE"),
            switches: row.number("SWITCHES"),
            start: row.number("START"),
            task: row.value("TASK"),
            cpu: row.number("CPU"),
            comm: row.raw("COMM").unwrap_or("?"),
        });
    }
    let refused = table.len() - threads.len();
    (threads, refused)
}

impl Thread<'_> {
    /// Whether the thread never returns to a user program.
    pub fn is_kernel(&self) -> bool {
        matches!(self.kind, "kernel" | "idle")
    }

    /// Whether this is a kernel thread that waits for work: the kernel does not count it in the load.
    pub fn is_idle_kernel(&self) -> bool {
        self.is_kernel() && self.state == "I"
    }
}

/// What a row says of the moment at which it was read: SWITCHES, and whether the thread stood still. The description of
/// the directory, Documentation/ABI/testing/debugfs-taskscope, has the rules.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    switches: Option<u64>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The module has checked that the thread did not run while it read the row.
    StoodStill,
    /// The thread may have run, or stood still.
    Unchecked,
    /// The row says that the thread ran, or that it has no stack to stand still on.
    Ran,
}

impl Reading {
    /// Of a row of `kstacks` or a like table. `word` is VALID, or the word that the table has instead of it.
    pub fn new(word: &str, switches: Option<u64>) -> Reading {
        let ran = matches!(word, "on-cpu" | "running" | "exec" | "no-mm" | "released" | "no row" | "?");
        Reading { switches, kind: if ran { Kind::Ran } else { Kind::StoodStill } }
    }

    /// Whether the thread stood still.
    pub fn stood_still(&self) -> bool {
        self.kind == Kind::StoodStill
    }

    /// Why a reader must not take this row and a later one for one moment. Two rows that both say that the thread ran have
    /// nothing in them that could differ.
    pub fn warning(self, later: Reading) -> Option<&'static str> {
        let both_ran = self.kind == Kind::Ran && later.kind == Kind::Ran;
        if both_ran && self.switches.is_some() && self.switches == later.switches {
            return None;
        }
        moment(&[self, later]).warning()
    }
}

/// Whether rows describe the thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The thread did not run between the rows.
    Same,
    /// The thread ran between them.
    Different,
    /// The rows do not say it.
    Unknown,
}

/// Whether the rows of a thread are of one moment. They are in the order in which their tables were read.
pub fn moment(readings: &[Reading]) -> Moment {
    let of_two = |pair: &[Reading]| match (pair[0].switches, pair[1].switches) {
        (Some(earlier), Some(later)) if earlier != later => Moment::Different,
        // Equal counts prove something only if the later row is of a standstill, and the thread did not run in the other.
        (Some(_), Some(_)) if pair[0].kind != Kind::Ran && pair[1].stood_still() => Moment::Same,
        _ => Moment::Unknown,
    };
    readings.windows(2).map(of_two).fold(Moment::Same, |all, one| match (all, one) {
        (Moment::Different, _) | (_, Moment::Different) => Moment::Different,
        (Moment::Unknown, _) | (_, Moment::Unknown) => Moment::Unknown,
        _ => Moment::Same,
    })
}

impl Moment {
    /// Whether the rows may be of two moments, in words.
    pub fn warning(self) -> Option<&'static str> {
        (self != Moment::Same).then_some("may be of different moments")
    }
}

impl Thread<'_> {
    /// The row of `threads`.
    pub fn reading(&self) -> Reading {
        Reading { switches: self.switches, kind: Kind::Unchecked }
    }

    /// Why the state must not be taken for that of the later frames.
    pub fn state_warning(&self, frames: Option<&Frames<'_>>) -> Option<&'static str> {
        let frames = frames?;
        let fits = match frames.end {
            Some("on-cpu") => self.state == "R",
            Some("released") => matches!(self.state, "X" | "Z"),
            _ => false,
        };
        if fits && self.switches.is_some() && self.switches == frames.switches {
            return None;
        }
        self.reading().warning(frames.reading())
    }
}

/// What `kstacks` says of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelStack<'a> {
    /// The word of VALID; `no row` if the table has none for the thread.
    pub valid: &'a str,
    /// The size, if the stack exists.
    pub size: Option<u64>,
    /// The bytes in use, if they are known.
    pub used: Option<u64>,
    /// How often the thread had been switched away from.
    pub switches: Option<u64>,
    /// The lock that the thread waits for.
    pub blocked_by: Option<BlockedBy<'a>>,
    /// The name of the thread.
    pub comm: &'a str,
}

/// A lock that a thread waits for: BLOCKED_BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockedBy<'a> {
    /// The kind of the lock, and whether a reader or a writer holds it.
    pub lock: &'a str,
    /// The PID of the thread that the lock records as its holder.
    pub holder: Option<u32>,
}

impl<'a> BlockedBy<'a> {
    fn new(row: &Row<'a>) -> Option<Self> {
        let (lock, holder) = row.value("BLOCKED_BY")?.split_once(':')?;
        Some(BlockedBy { lock, holder: pid(holder) })
    }

    /// What the thread with the PID is: a semaphore has no holder, and readers are several.
    pub fn role(&self) -> &'static str {
        match self.lock {
            "semaphore" => "the last taker",
            "rwsem-reader" => "the last reader",
            _ => "the holder",
        }
    }

    /// The lock in words, with the holder if it is known.
    fn words(&self, holder: Option<&str>) -> String {
        let (lock, held, unknown) = match self.lock {
            "mutex" => ("a mutex", "held by", "whose holder is not known"),
            "semaphore" => ("a semaphore", "last taken by", "whose last holder is not known"),
            "rwsem-writer" => ("an rw-semaphore", "held by the writer", "whose writer is not known"),
            // Without the PID, the last reader has released the lock, and there may be no other.
            "rwsem-reader" => ("an rw-semaphore", "held by readers, the last of them", "last taken by readers"),
            "rwsem" => ("an rw-semaphore", "held by", "whose holder is not known"),
            other => (other, "held by", "whose holder is not known"),
        };
        match holder {
            Some(holder) => format!("{lock} {held} {holder}"),
            None => format!("{lock} {unknown}"),
        }
    }
}

/// THREAD_SIZE is 16 KiB, twice that with KASAN, and 64 KiB with pages of 64 KiB.
const MAX_KERNEL_STACK: u64 = 1 << 20;

impl<'a> KernelStack<'a> {
    fn new(row: &Row<'a>) -> Self {
        let size = row.number("SIZE").filter(|size| (1..=MAX_KERNEL_STACK).contains(size));
        let valid = row.value("VALID").unwrap_or("?");
        let used = row.number("USED").filter(|used| valid == "ok" && size.is_some_and(|size| *used <= size));
        KernelStack {
            valid,
            size,
            used,
            switches: row.number("SWITCHES"),
            blocked_by: BlockedBy::new(row),
            comm: row.raw("COMM").unwrap_or("?"),
        }
    }

    /// Of a thread without a row.
    pub const NONE: KernelStack<'static> =
        KernelStack { valid: "no row", size: None, used: None, switches: None, blocked_by: None, comm: "?" };

    /// The moment of the row.
    pub fn reading(&self) -> Reading {
        Reading::new(self.valid, self.switches)
    }

    /// The lock that the thread waits for, if that and the frames are of one standstill.
    ///
    /// None if the thread was in state R in that standstill: it has been woken, and may have been given the lock.
    pub fn lock(&self, thread: &Thread<'_>, frames: Option<&Frames<'_>>) -> Option<BlockedBy<'a>> {
        let woken = thread.state == "R" && thread.state_warning(frames).is_none();
        self.blocked_by.filter(|_| {
            !woken && frames.is_some_and(|frames| moment(&[self.reading(), frames.reading()]) == Moment::Same)
        })
    }
}

/// What a thread waits for, with the PID and the name of the thread that holds it. The name is of the table that says so.
pub fn lock_in_words(lock: BlockedBy<'_>, stacks: &HashMap<u32, KernelStack<'_>>) -> String {
    lock.words(lock.holder.map(|pid| name_of(pid, stacks)).as_deref())
}

/// The PID and the name of a thread.
pub fn name_of(pid: u32, stacks: &HashMap<u32, KernelStack<'_>>) -> String {
    stacks.get(&pid).map_or_else(|| format!("PID {pid}"), |stack| format!("PID {pid}, {}", stack.comm))
}

/// The rows of `kstacks`, by PID.
pub fn kernel_stacks(table: &Table) -> HashMap<u32, KernelStack<'_>> {
    first_by_pid(table, KernelStack::new)
}

/// What `ustacks` says of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStack<'a> {
    /// The word of VALID; `no row` if the table has none for the thread.
    pub valid: &'a str,
    /// The size, if it is known.
    pub size: Option<u64>,
    /// The bytes in use, if they are known.
    pub used: Option<u64>,
    /// The soft limit, as the table has it.
    pub limit: Option<&'a str>,
    /// How often the thread had been switched away from.
    pub switches: Option<u64>,
}

impl<'a> UserStack<'a> {
    fn new(row: &Row<'a>) -> Self {
        let size = row.number("SIZE").filter(|&size| size > 0);
        let used = row.number("USED").filter(|used| size.is_none_or(|size| *used <= size));
        UserStack {
            valid: row.value("VALID").unwrap_or("?"),
            size,
            used,
            limit: row.value("RLIM_CUR"),
            switches: row.number("SWITCHES"),
        }
    }

    /// Of a thread without a row.
    pub const NONE: UserStack<'static> =
        UserStack { valid: "no row", size: None, used: None, limit: None, switches: None };

    /// The moment of the row.
    pub fn reading(&self) -> Reading {
        Reading::new(self.valid, self.switches)
    }

    /// Whether the thread has a user space, as far as the table knows.
    pub fn is_there(&self) -> bool {
        self.valid != "no-mm" && self.valid != "no row"
    }
}

/// The rows of `ustacks`, by PID.
pub fn user_stacks(table: &Table) -> HashMap<u32, UserStack<'_>> {
    first_by_pid(table, UserStack::new)
}

fn first_by_pid<'a, T>(table: &'a Table, make: impl Fn(&Row<'a>) -> T) -> HashMap<u32, T> {
    let mut map = HashMap::with_capacity(table.len());
    for row in table.rows() {
        if let Some(pid) = row.pid("PID") {
            map.entry(pid).or_insert_with(|| make(&row));
        }
    }
    map
}

/// The frames of a thread, from the innermost one on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames<'a> {
    /// The frames, with the address for user space.
    pub frames: Vec<Frame<'a>>,
    /// Why there is no frame, or why there are no more.
    pub end: Option<&'a str>,
    /// Whether frames of callers are missing: the module shows the innermost ones, or the end of the table is missing.
    pub cut: bool,
    /// How often the thread had been switched away from.
    pub switches: Option<u64>,
}

/// Stands where frames of callers are missing.
pub const CUT: &str = "(cut short: callers are missing)";

/// The most frames that the module shows of a kernel stack.
const MAX_KERNEL_FRAMES: usize = 64;

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// The address in user space.
    pub address: Option<u64>,
    /// A function or a mapping, and the offset.
    pub text: &'a str,
}

/// The frames of `kframes` or `uframes`, by PID.
pub fn frames(table: &Table) -> HashMap<u32, Frames<'_>> {
    let mut map: HashMap<u32, Frames<'_>> = HashMap::new();
    let mut last = None;
    for row in table.rows() {
        let (Some(pid), Some(text)) = (row.pid("PID"), row.raw("FRAME")) else { continue };
        last = Some(pid);
        let of_thread =
            map.entry(pid).or_insert_with(|| Frames { switches: row.number("SWITCHES"), ..Frames::default() });
        let end = text.strip_prefix("end: ");
        if let Some(reason) = end {
            of_thread.end = Some(reason);
        } else if row.value("DEPTH").is_none() {
            of_thread.end = Some(text);
        } else {
            of_thread.frames.push(Frame { address: row.address("ADDRESS"), text });
        }
    }
    // In `uframes` the last row of a thread says where its frames end.
    let has_ends = table.has("ADDRESS");
    let some_are_cut = table.summary().any(|line| line.contains("truncated"));
    for (&pid, of_thread) in &mut map {
        of_thread.cut = of_thread.end == Some("limit")
            || of_thread.end.is_none()
                && (!table.complete && last == Some(pid)
                    || !has_ends && some_are_cut && of_thread.frames.len() >= MAX_KERNEL_FRAMES);
    }
    map
}

impl Frames<'_> {
    /// The moment of the rows.
    pub fn reading(&self) -> Reading {
        Reading::new(self.end.unwrap_or_default(), self.switches)
    }

    /// A line for each frame, from the innermost one on; or why there is none.
    pub fn lines(&self) -> Vec<String> {
        let frames = self.frames.iter().map(|frame| frame.text.to_string());
        self.without_frames().into_iter().chain(frames).chain(self.cut.then(|| CUT.into())).collect()
    }

    /// Why there is no frame, in words.
    pub fn without_frames(&self) -> Option<String> {
        if !self.frames.is_empty() {
            return None;
        }
        Some(match self.end {
            Some("on-cpu") => "(on a CPU: not walked)".into(),
            Some("released") => "(dead: the stack is released)".into(),
            Some("no-mm") => "(no user space)".into(),
            Some("exec") => "(executing a program: not walked)".into(),
            Some("locked") => "(the address space was locked: not walked)".into(),
            Some("-") | None => "(no frame was found)".into(),
            Some(other) => format!("({other})"),
        })
    }
}

/// `do_wait` from `do_wait+0x58/0x110`, with the module if there is one.
pub fn function(frame: &str) -> &str {
    frame.split_once("+0x").map_or(frame, |(name, _)| name)
}

/// "1 thread", "2 threads"
pub fn count(number: usize, what: &str) -> String {
    let plural = match what {
        _ if number == 1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {what}{plural}")
}

/// The first PIDs, and how many more there are.
pub fn some_pids(pids: &[u32]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = pids.iter().take(SHOWN).map(u32::to_string).collect();
    let more = pids.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} {}{more}", if pids.len() == 1 { "PID" } else { "PIDs" }, shown.join(", "))
}

/// Each name with how often it occurs, the most frequent first: "sleep (10), bash".
pub fn some_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for name in names {
        let place = *places.entry(name).or_insert_with(|| {
            counts.push((name, 0));
            counts.len() - 1
        });
        counts[place].1 += 1;
    }
    counts.sort_by_key(|&(_, number)| std::cmp::Reverse(number));
    let mut shown: Vec<String> = counts
        .iter()
        .take(SHOWN)
        .map(|&(name, number)| if number == 1 { name.to_string() } else { format!("{name} ({number})") })
        .collect();
    let more = counts.len().saturating_sub(SHOWN);
    if more > 0 {
        shown.push(count(more, "other name"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_counts_are_one_moment_only_with_a_standstill() {
        let thread = |switches| Reading { switches, kind: Kind::Unchecked };
        let row = |word, switches| Reading::new(word, switches);
        assert_eq!(moment(&[thread(Some(5)), row("ok", Some(5)), row("guarded", Some(5))]), Moment::Same);
        assert_eq!(moment(&[thread(Some(5)), row("ok", Some(5)), row("ok", Some(6))]), Moment::Different);
        for word in ["on-cpu", "exec", "no-mm", "released", "running"] {
            assert_eq!(moment(&[thread(Some(5)), row(word, Some(5))]), Moment::Unknown);
            assert_eq!(moment(&[row("ok", Some(5)), row(word, Some(5))]), Moment::Unknown);
            assert_eq!(moment(&[row(word, Some(5)), row("ok", Some(5))]), Moment::Unknown);
            assert_eq!(moment(&[thread(Some(5)), row(word, Some(6))]), Moment::Different);
        }
        // In this order the thread may be running again.
        assert_eq!(moment(&[row("ok", Some(5)), thread(Some(5))]), Moment::Unknown);
        assert_eq!(moment(&[thread(None), row("ok", Some(5))]), Moment::Unknown);
    }
}
