// SPDX-License-Identifier: GPL-2.0

//! `show`: a thread from main() to the function of the kernel that it is in.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::join::{self, CUT, Frame, Frames, KernelStack, Moment, Reading, Thread, UserStack, function};
use crate::paint::Paint;
use crate::snapshot::Snapshot;
use crate::symbols::{Files, Symbols, line};
use crate::table::Row;
use crate::trouble::Result;

/// The tables that are read.
pub const TABLES: [&str; 7] = ["threads", "kstacks", "kframes", "syscalls", "ustacks", "uframes", "segments"];

/// The system call of a thread.
#[derive(Debug)]
struct Call {
    /// A sentence for people.
    text: String,
    reading: Reading,
}

impl Call {
    fn new(row: &Row<'_>) -> Call {
        let text = match row.raw("NR") {
            Some("running") => "the thread runs, or is ready to: its registers are not known".into(),
            Some("-1") => "in no system call".into(),
            Some(number) => {
                let arguments: Vec<&str> = ["ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARG5"]
                    .iter()
                    .filter_map(|name| row.value(name))
                    .collect();
                let name = row.value("CALL").unwrap_or("no name");
                let table = row.value("ABI").unwrap_or("?");
                format!("system call {number} of {table}: {name}({})", arguments.join(", "))
            }
            None => "the system call is not known".into(),
        };
        Call { text, reading: Reading::new(row.raw("NR").unwrap_or("?"), row.number("SWITCHES")) }
    }
}

/// The tables, by PID.
struct Tables<'a> {
    kernel_stacks: HashMap<u32, KernelStack<'a>>,
    kernel_frames: HashMap<u32, Frames<'a>>,
    calls: HashMap<u32, Call>,
    user_stacks: HashMap<u32, UserStack<'a>>,
    user_frames: HashMap<u32, Frames<'a>>,
    /// The text of each process.
    texts: HashMap<u32, (u64, u64)>,
}

impl<'a> Tables<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut calls = HashMap::new();
        for row in snapshot.optional("syscalls").iter().flat_map(|table| table.rows()) {
            if let Some(pid) = row.pid("PID") {
                calls.entry(pid).or_insert_with(|| Call::new(&row));
            }
        }
        let mut texts = HashMap::new();
        for row in snapshot.optional("segments").iter().flat_map(|table| table.rows()) {
            if let (Some("text"), Some(tgid), Some(start), Some(end)) =
                (row.raw("SEGMENT"), row.pid("TGID"), row.address("START"), row.address("END"))
            {
                texts.entry(tgid).or_insert((start, end));
            }
        }
        Tables {
            kernel_stacks: snapshot.optional("kstacks").map(join::kernel_stacks).unwrap_or_default(),
            kernel_frames: snapshot.optional("kframes").map(join::frames).unwrap_or_default(),
            calls,
            user_stacks: snapshot.optional("ustacks").map(join::user_stacks).unwrap_or_default(),
            user_frames: snapshot.optional("uframes").map(join::frames).unwrap_or_default(),
            texts,
        }
    }
}

/// The file that a frame in user space lies in.
fn file_of<'a>(frame: &Frame<'a>) -> &'a str {
    frame.text.rsplit_once("+0x").map_or(frame.text, |(file, _)| file)
}

/// The functions that the kernel, or the C library in a new thread, calls first; and main(), before which only these run.
/// glibc calls the function of a thread in start_thread(), musl main() in libc_start_main_stage2().
const FIRST: [&str; 10] = [
    "_start",
    "_start_c",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "libc_start_main_stage2",
    "main",
    "start_thread",
    "clone3",
    "__clone3",
];

/// What the end of a chain of frames means for a reader; nothing if the chain is whole. `outermost` is the outermost
/// function that has a name.
fn end_in_words(frames: &Frames<'_>, outermost: Option<&str>, in_program: Option<bool>) -> Option<String> {
    if frames.cut {
        return Some(CUT.into());
    }
    let end = frames.end?;
    let last = frames.frames.last()?;
    if outermost.is_some_and(|name| FIRST.contains(&name)) {
        return None;
    }
    Some(match (end, in_program) {
        (_, Some(false)) => {
            format!("(end: {end}; callers may be missing here: {} may have no frame pointers)", file_of(last))
        }
        ("null", _) => "(end: null; callers may be missing if the program has no frame pointers)".into(),
        _ => format!("(end: {end}; callers may be missing here)"),
    })
}

/// Prints the threads.
pub fn write(
    snapshot: &Snapshot,
    pids: &[u32],
    sysroot: Option<&Path>,
    paint: Paint,
    out: &mut impl Write,
) -> Result<()> {
    let (threads, _) = join::threads(snapshot.table("threads")?);
    let tables = Tables::of(snapshot);
    let files = Files::of(snapshot, sysroot);
    let mut symbols = Symbols::default();
    let mut first = true;
    for &pid in pids {
        let mut found = false;
        for thread in threads.iter().filter(|thread| thread.pid == pid || thread.tgid == pid) {
            if !first {
                writeln!(out)?;
            }
            (found, first) = (true, false);
            write_thread(thread, &tables, &files, &mut symbols, paint, out)?;
        }
        if !found {
            return Err(snapshot.absent(pid));
        }
    }
    let notes = symbols.notes(&files);
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        writeln!(out, "# {note}")?;
    }
    Ok(())
}

fn write_thread(
    thread: &Thread<'_>,
    tables: &Tables<'_>,
    files: &Files<'_>,
    symbols: &mut Symbols,
    paint: Paint,
    out: &mut impl Write,
) -> Result<()> {
    let cpu = thread.cpu.map(|cpu| format!(", CPU {cpu}")).unwrap_or_default();
    let note = thread.note.map(|note| format!(", {note}")).unwrap_or_default();
    let head = format!("PID {} of process {}, {}", thread.pid, thread.tgid, thread.comm);
    let kernel = tables.kernel_frames.get(&thread.pid);
    let in_parentheses = |warning: Option<&str>| warning.map(|text| format!(" ({text})")).unwrap_or_default();
    let different = in_parentheses(thread.state_warning(kernel));
    writeln!(out, "{}: {} in {}{note}{cpu}{different}", paint.bold(head), thread.kind, thread.state)?;

    // Rows of later tables are compared with the frames in the kernel.
    let warning = |later: Reading| match kernel {
        Some(kernel) => kernel.reading().warning(later),
        None => Moment::Unknown.warning(),
    };

    let stack = tables.user_stacks.get(&thread.pid).unwrap_or(&UserStack::NONE);
    if stack.is_there() || thread.mm && !thread.is_kernel() {
        let size = match (stack.used, stack.size) {
            (Some(used), Some(size)) => format!("{used} of {size} bytes in use"),
            (Some(used), None) => format!("at least {used} bytes in use ({})", stack.valid),
            _ => format!("use not known ({})", stack.valid),
        };
        let limit = stack.limit.map(|limit| format!(", limit {limit}")).unwrap_or_default();
        let different = stack.used.and_then(|_| warning(stack.reading()));
        writeln!(out, "  {}", paint.dim(format_args!("user stack: {size}{limit}{}", in_parentheses(different))))?;
        match tables.user_frames.get(&thread.pid) {
            Some(user) => {
                let different = if user.frames.is_empty() { None } else { warning(user.reading()) };
                write_user(thread, user, tables, files, symbols, different, out)?
            }
            None => writeln!(out, "    (no row in uframes)")?,
        }
        let (call, different) = match tables.calls.get(&thread.pid) {
            Some(call) => (call.text.as_str(), warning(call.reading)),
            None => ("the system call is not known: no row in syscalls", None),
        };
        writeln!(out, "  {}", paint.dim(format_args!("-- {call}{} --", in_parentheses(different))))?;
    }

    let stack = tables.kernel_stacks.get(&thread.pid).unwrap_or(&KernelStack::NONE);
    let size = match (stack.used, stack.size) {
        (Some(used), Some(size)) => format!("{used} of {size} bytes in use"),
        _ => format!("use not known ({})", stack.valid),
    };
    // This table was read before the frames.
    let different = stack.used.and_then(|_| match kernel {
        Some(kernel) => stack.reading().warning(kernel.reading()),
        None => Moment::Unknown.warning(),
    });
    writeln!(out, "  {}", paint.dim(format_args!("kernel stack: {size}{}", in_parentheses(different))))?;
    match kernel {
        None => writeln!(out, "    (no row in kframes)")?,
        Some(frames) => {
            if let Some(why) = frames.without_frames() {
                writeln!(out, "    {why}")?;
            }
            if frames.cut {
                writeln!(out, "    {CUT}")?;
            }
            let innermost = frames.frames.len().saturating_sub(1);
            for (at, frame) in frames.frames.iter().rev().enumerate() {
                if at == innermost {
                    writeln!(out, "    {}", paint.bold(frame.text))?;
                } else {
                    writeln!(out, "    {}", frame.text)?;
                }
            }
            if let Some(lock) = stack.lock(thread, Some(frames)) {
                writeln!(out, "    (waits for {})", join::lock_in_words(lock, &tables.kernel_stacks))?;
            }
        }
    }
    Ok(())
}

fn write_user(
    thread: &Thread<'_>,
    user: &Frames<'_>,
    tables: &Tables<'_>,
    files: &Files<'_>,
    symbols: &mut Symbols,
    warning: Option<&str>,
    out: &mut impl Write,
) -> Result<()> {
    if let Some(warning) = warning {
        writeln!(out, "    ({warning})")?;
    }
    if let Some(why) = user.without_frames() {
        writeln!(out, "    {why}")?;
    }
    let names = symbols.names(files, thread.tgid, &user.frames);
    let outermost = names.iter().flatten().next_back().map(|name| function(name));
    let in_program = user.frames.last().and_then(|frame: &Frame<'_>| {
        let &(start, end) = tables.texts.get(&thread.tgid)?;
        Some((start..end).contains(&frame.address?))
    });
    if let Some(words) = end_in_words(user, outermost, in_program) {
        writeln!(out, "    {words}")?;
    }
    for (depth, (frame, name)) in user.frames.iter().zip(&names).enumerate().rev() {
        // The function that is called last has no frame if it was built without frame pointers; then its caller is
        // missing, too.
        if depth == 0 && user.frames.get(1).is_some_and(|caller| file_of(caller) != file_of(frame)) {
            writeln!(out, "    (functions may be missing here: {} may have no frame pointers)", file_of(frame))?;
        }
        writeln!(out, "    {}", line(frame.text, name.as_deref()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_is_whole_if_its_outermost_function_is_one_that_runs_first() {
        let frames = |end| Frames {
            frames: vec![Frame { address: None, text: "/bin/x+0x1" }],
            end: Some(end),
            cut: end == "limit",
            switches: None,
        };
        let words = |end, outermost| end_in_words(&frames(end), outermost, Some(true));
        for name in ["_start", "main", "start_thread"] {
            assert_eq!(words("null", Some(name)), None);
            assert_eq!(words("unaligned", Some(name)), None);
            // 128 frames were shown: a name cannot say that no more follow.
            assert_eq!(words("limit", Some(name)).as_deref(), Some(CUT));
        }
        let without = "(end: null; callers may be missing if the program has no frame pointers)";
        assert_eq!(words("null", Some("read")).as_deref(), Some(without));
        assert_eq!(words("null", None).as_deref(), Some(without));
        assert_eq!(words("unmapped", None).as_deref(), Some("(end: unmapped; callers may be missing here)"));
    }
}
