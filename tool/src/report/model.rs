// SPDX-License-Identifier: GPL-2.0

//! What is drawn of a snapshot, and what is counted instead.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::join::{self, KernelStack, Moment, Thread, UserStack};
use crate::snapshot::Snapshot;
use crate::trouble::Result;

/// The most processes that are drawn.
pub const MAX_PROCESSES: usize = 40;
/// Of these, places that are kept for kernel threads, if there are so many.
const KERNEL_PLACES: usize = 12;
/// The most threads that are drawn of a process.
pub const MAX_THREADS: usize = 16;
/// The most threads that are drawn of all processes. More would make the page slow to read and to load.
pub const MAX_THREADS_IN_ALL: usize = 150;
/// The parts of a kernel stack that the histogram counts.
pub const BINS: usize = 16;

/// All processes: drawn or counted.
#[derive(Debug)]
pub struct Landscape<'a> {
    /// Drawn, in the order of the table: processes with a user space first, then kernel threads.
    pub processes: Vec<Process<'a>>,
    /// The threads of the table.
    pub threads_in_all: usize,
    /// The processes of the table.
    pub processes_in_all: usize,
    /// Rows of the table that are no threads.
    pub refused: usize,
    /// Whether the table has its end.
    pub complete: bool,
    /// PIDs that were asked for, and for which there was no place.
    pub asked_and_not_drawn: Vec<u32>,
    /// Not drawn.
    pub rest: Rest,
}

/// A process, or a thread of the kernel.
#[derive(Debug)]
pub struct Process<'a> {
    /// The PID of the process.
    pub tgid: u32,
    /// The name of its first thread.
    pub comm: &'a str,
    /// Whether it is a kernel thread.
    pub is_kernel: bool,
    /// How many threads it has.
    pub threads_in_all: usize,
    /// Those that are drawn, in the order of the table.
    pub threads: Vec<Stacks<'a>>,
    /// The segments, from the highest address on.
    pub segments: Vec<Segment<'a>>,
}

/// A thread with its stacks.
#[derive(Clone, Debug)]
pub struct Stacks<'a> {
    /// The thread.
    pub thread: Thread<'a>,
    /// Its stack in the kernel.
    pub kernel: KernelStack<'a>,
    /// Its stack in user space; nothing for a thread without.
    pub user: Option<UserStack<'a>>,
    /// Whether the rows are of one standstill.
    pub moment: Moment,
}

/// A segment of a process.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Its name.
    pub name: &'a str,
    /// The first byte.
    pub start: Option<u64>,
    /// The size; nothing if VALID is not ok, or if the program has no such segment.
    pub size: Option<u64>,
    /// The word of VALID.
    pub valid: &'a str,
}

/// The threads that are not drawn.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Processes of which no thread is drawn.
    pub processes: usize,
    /// Threads that are not drawn.
    pub threads: usize,
    /// Of these, how many use which part of their kernel stack.
    pub bins: [usize; BINS],
    /// Of these, how many use a part that is not known, by the word that says why.
    pub unknown: BTreeMap<String, usize>,
}

impl Rest {
    fn add(&mut self, stacks: &Stacks<'_>) {
        self.threads += 1;
        match (stacks.kernel.used, stacks.kernel.size) {
            (Some(used), Some(size)) => {
                let bin = usize::try_from(used * BINS as u64 / size).unwrap_or(BINS);
                self.bins[bin.min(BINS - 1)] += 1;
            }
            _ => {
                // A table that is no table of the module could have any number of words.
                let word = if self.unknown.len() < 16 { stacks.kernel.valid } else { "other" };
                *self.unknown.entry(word.to_string()).or_default() += 1;
            }
        }
    }
}

/// How much of a kernel stack is in use, to sort by. What is not known is sorted last, and drawn as not known.
fn fullness(stacks: &Stacks<'_>) -> (Option<u64>, Option<u64>) {
    (stacks.kernel.used, stacks.user.as_ref().and_then(|user| user.used))
}

fn segments(snapshot: &Snapshot) -> HashMap<u32, Vec<Segment<'_>>> {
    /// A process has nine.
    const MAX_SEGMENTS: usize = 12;
    let mut map: HashMap<u32, Vec<Segment<'_>>> = HashMap::new();
    for row in snapshot.optional("segments").iter().flat_map(|table| table.rows()) {
        let (Some(tgid), Some(name)) = (row.pid("TGID"), row.raw("SEGMENT")) else { continue };
        let of_process = map.entry(tgid).or_default();
        if of_process.len() < MAX_SEGMENTS {
            of_process.push(Segment {
                name,
                start: row.address("START"),
                size: row.number("SIZE"),
                valid: row.value("VALID").unwrap_or("?"),
            });
        }
    }
    map
}

/// Sorts the threads of a snapshot into what is drawn and what is counted. `asked` are PIDs that are drawn in any case.
pub fn landscape<'a>(snapshot: &'a Snapshot, asked: &[u32]) -> Result<Landscape<'a>> {
    let table = snapshot.table("threads")?;
    let (threads, refused) = join::threads(table);
    let kernel_stacks = snapshot.optional("kstacks").map(join::kernel_stacks).unwrap_or_default();
    let user_stacks = snapshot.optional("ustacks").map(join::user_stacks).unwrap_or_default();
    let mut segments = segments(snapshot);
    let threads_in_all = threads.len();
    if let Some(&pid) = asked.iter().find(|&&pid| !threads.iter().any(|thread| thread.pid == pid || thread.tgid == pid))
    {
        return Err(snapshot.absent(pid));
    }

    let mut processes: Vec<Process<'_>> = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    for thread in threads {
        let place = *places.entry(thread.tgid).or_insert_with(|| {
            processes.push(Process {
                tgid: thread.tgid,
                comm: thread.comm,
                is_kernel: thread.is_kernel(),
                threads_in_all: 0,
                threads: Vec::new(),
                segments: Vec::new(),
            });
            processes.len() - 1
        });
        let kernel = kernel_stacks.get(&thread.pid).cloned().unwrap_or(KernelStack::NONE);
        let user = user_stacks.get(&thread.pid).cloned();
        let user = match user {
            Some(user) if user.is_there() => Some(user),
            None if thread.mm && !thread.is_kernel() => Some(UserStack::NONE),
            _ => None,
        };
        let readings = [Some(thread.reading()), Some(kernel.reading()), user.as_ref().map(UserStack::reading)];
        let moment = join::moment(&readings.into_iter().flatten().collect::<Vec<_>>());
        processes[place].threads_in_all += 1;
        processes[place].threads.push(Stacks { thread, kernel, user, moment });
    }
    let processes_in_all = processes.len();

    let drawn = choose(&processes, asked);
    let mut rest = Rest::default();
    let mut out = Vec::new();
    for (at, mut process) in processes.into_iter().enumerate() {
        let places = drawn.get(&at).copied().unwrap_or(0);
        if places == 0 {
            rest.processes += 1;
        }
        let mut order: Vec<usize> = (0..process.threads.len()).collect();
        order.sort_by_key(|&at| {
            (!asked.contains(&process.threads[at].thread.pid), Reverse(fullness(&process.threads[at])))
        });
        order.truncate(places);
        let mut at = 0;
        process.threads.retain(|stacks| {
            let keep = order.contains(&at);
            at += 1;
            if !keep {
                rest.add(stacks);
            }
            keep
        });
        if places > 0 {
            process.segments = segments.remove(&process.tgid).unwrap_or_default();
            process.segments.sort_by_key(|segment| Reverse(segment.start));
            out.push(process);
        }
    }
    // Stable: in the order of the table otherwise.
    out.sort_by_key(|process| process.is_kernel);
    let is_drawn = |pid: u32| {
        out.iter().any(|process| process.tgid == pid || process.threads.iter().any(|stacks| stacks.thread.pid == pid))
    };
    let asked_and_not_drawn = asked.iter().copied().filter(|&pid| !is_drawn(pid)).collect();
    Ok(Landscape {
        asked_and_not_drawn,
        processes: out,
        threads_in_all,
        processes_in_all,
        refused,
        complete: table.complete,
        rest,
    })
}

/// The processes that are drawn, with the number of threads that are drawn of each: those asked for, then those whose
/// NOTE says that they are special, then the fullest.
fn choose(processes: &[Process<'_>], asked: &[u32]) -> HashMap<usize, usize> {
    let is_asked = |process: &Process<'_>| {
        asked.contains(&process.tgid) || process.threads.iter().any(|stacks| asked.contains(&stacks.thread.pid))
    };
    let mut ranked: Vec<usize> = (0..processes.len()).collect();
    ranked.sort_by_cached_key(|&at| {
        let fullest = processes[at].threads.iter().map(fullness).max();
        let special = processes[at].threads.iter().any(|stacks| stacks.thread.note.is_some());
        (!is_asked(&processes[at]), !special, Reverse(fullest))
    });
    let kernel = ranked.iter().filter(|&&at| processes[at].is_kernel).count();
    let user = ranked.len() - kernel;
    // Places that one kind does not need are for the other.
    let kernel_places = KERNEL_PLACES.max(MAX_PROCESSES.saturating_sub(user));
    let user_places = MAX_PROCESSES - KERNEL_PLACES.min(kernel);
    let (mut kernel_left, mut user_left) = (kernel_places, user_places);
    ranked.retain(|&at| {
        let left = if processes[at].is_kernel { &mut kernel_left } else { &mut user_left };
        let keep = *left > 0 || is_asked(&processes[at]);
        *left = left.saturating_sub(1);
        keep
    });
    ranked.truncate(MAX_PROCESSES);

    let mut threads_left = MAX_THREADS_IN_ALL - ranked.len();
    let mut drawn = HashMap::new();
    for at in ranked {
        let more = (processes[at].threads.len().min(MAX_THREADS) - 1).min(threads_left);
        threads_left -= more;
        drawn.insert(at, 1 + more);
    }
    drawn
}

/// The rows of `contexts` with the same name, flags and stack.
#[derive(Debug)]
pub struct Context<'a> {
    /// The name of the context.
    pub name: &'a str,
    /// IN_TASK, SOFTIRQ, HARDIRQ, NMI, IRQS: whether; nothing if the context has not answered.
    pub flags: [Option<bool>; 5],
    /// `task`, `irq`, `nmi` or `other`.
    pub stack: Option<&'a str>,
    /// The CPUs.
    pub cpus: Vec<u64>,
    /// The number of rows.
    pub rows: usize,
    /// The values of PREEMPT_COUNT.
    pub preempt_counts: Vec<&'a str>,
    /// The names of the threads that ran.
    pub names: Vec<&'a str>,
    /// What has set the contexts off.
    pub sources: Vec<&'a str>,
}

/// The columns of the flags.
pub const FLAGS: [&str; 5] = ["IN_TASK", "SOFTIRQ", "HARDIRQ", "NMI", "IRQS"];

/// The rows of `contexts`, merged, in the order of the table.
pub fn contexts(snapshot: &Snapshot) -> Option<Vec<Context<'_>>> {
    let table = snapshot.optional("contexts")?;
    let mut out: Vec<Context<'_>> = Vec::new();
    let mut places = HashMap::new();
    for row in table.rows() {
        let name = row.raw("CONTEXT").unwrap_or("?");
        let flags = FLAGS.map(|flag| match row.raw(flag) {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        });
        let stack = row.value("STACK");
        let place = *places.entry((name, flags, stack)).or_insert_with(|| {
            out.push(Context {
                name,
                flags,
                stack,
                cpus: Vec::new(),
                rows: 0,
                preempt_counts: Vec::new(),
                names: Vec::new(),
                sources: Vec::new(),
            });
            out.len() - 1
        });
        let context = &mut out[place];
        context.rows += 1;
        context.cpus.extend(row.number("CPU"));
        for (list, value) in [
            (&mut context.preempt_counts, row.value("PREEMPT_COUNT")),
            (&mut context.names, row.value("COMM")),
            (&mut context.sources, row.value("SOURCE")),
        ] {
            if let Some(value) = value.filter(|value| !list.contains(value) && list.len() < 8) {
                list.push(value);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks(valid: &str, used: Option<u64>) -> Stacks<'_> {
        let thread = Thread {
            tgid: 1,
            pid: 1,
            state: "S",
            kind: "user",
            mm: true,
            note: None,
            switches: Some(1),
            start: None,
            task: None,
            cpu: None,
            comm: "a",
        };
        let kernel = KernelStack { valid, size: Some(16384), used, switches: Some(1), ..KernelStack::NONE };
        Stacks { thread, kernel, user: None, moment: Moment::Same }
    }

    #[test]
    fn rest_counts_a_full_stack_in_the_last_part() {
        let mut rest = Rest::default();
        for used in [0, 1023, 1024, 16383, 16384] {
            rest.add(&stacks("ok", Some(used)));
        }
        assert_eq!((rest.bins[0], rest.bins[1], rest.bins[15], rest.threads), (2, 1, 2, 5));
    }

    #[test]
    fn rest_counts_what_is_not_known_by_its_word() {
        let mut rest = Rest::default();
        for valid in ["on-cpu", "on-cpu", "released"] {
            rest.add(&stacks(valid, None));
        }
        assert_eq!(rest.unknown.into_iter().collect::<Vec<_>>(), [("on-cpu".into(), 2), ("released".into(), 1)]);
        assert_eq!(rest.bins, [0; BINS]);
    }
}
