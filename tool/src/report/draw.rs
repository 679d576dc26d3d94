// SPDX-License-Identifier: GPL-2.0

//! The pictures, as SVG, and the tables under them.
//!
//! Text in a picture has a fixed size in a fixed place, so its length is limited. The tables have the whole text.

use maud::{Markup, html};

use super::model::{BINS, Context, Process, Rest, Segment, Stacks};
use crate::join::{KernelStack, Moment, UserStack, count};

/// The height of a stack, in pixels.
const STACK: u64 = 80;
/// The width of a thread's column.
const COLUMN: u64 = 104;
/// The most characters of a text in a column.
const COLUMN_TEXT: usize = 17;

/// The text, cut if it is longer than any of the module is.
pub fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_string();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Values, separated by commas.
pub fn list(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|value| cut(value, 80)).collect();
    if values.is_empty() { "-".into() } else { values.join(", ") }
}

/// The numbers of some CPUs: "0, 1, 2, 3 and 60 more".
pub fn cpus(numbers: &[u64]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(u64::to_string).collect();
    match numbers.len() {
        0 => "-".into(),
        number if number > SHOWN => format!("{} and {} more", shown.join(", "), number - SHOWN),
        _ => shown.join(", "),
    }
}

/// "yes", "no" or "not known"
pub fn yes_no(flag: Option<bool>) -> &'static str {
    match flag {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    }
}

/// A size in bytes for people: 512, 12.1K, 8.0M.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    // Tenths, rounded, in whole numbers: no value is rounded up to 1024.0K.
    let mut unit = 0;
    let mut whole = u128::from(bytes) * 10;
    while unit < UNITS.len() {
        whole = (whole + 512) / 1024;
        if whole < 10240 || unit == UNITS.len() - 1 {
            break;
        }
        unit += 1;
    }
    format!("{}.{}{}", whole / 10, whole % 10, UNITS[unit])
}

/// The part of `all` pixels that `used` is of `size`, with one decimal.
fn part(used: u64, size: u64, all: u64) -> String {
    let tenths = (u128::from(used) * u128::from(all) * 10 + u128::from(size) / 2) / u128::from(size);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the pictures use: hatching for what is not known.
pub fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    line x1="0" y1="0" x2="0" y2="6" class="hatch" {}
                }
            }
        }
    }
}

/// How to read the pictures.
pub fn legend() -> Markup {
    html! {
        ul.legend {
            li { "Each column is a thread: above the dashed line its stack in user space, below it its stack in the kernel. High \
                  addresses are at the top, and stacks grow down: the filled part is in use." }
            li { "Kernel stacks have one scale. A user stack has its own scale: the box is the whole mapping. Segments have no \
                  scale: they are in the order of their addresses. Kernel stacks have no place, because the kernel hashes \
                  their addresses." }
            li { "Hatched with \"?\": the thread ran, and only its CPU knows the stack pointer. Dashed, with a word: the stack is not \
                  known, and the word of the column VALID says why. A torn edge: at least so much is in use." }
        }
    }
}

/// What is drawn of a stack.
enum Fill {
    /// In use, of the whole size.
    Known(u64, u64),
    /// At least so much; the size is not known.
    AtLeast(u64),
    /// On a CPU.
    Running,
    /// Not known, with the word that says why.
    Unknown(String),
}

impl Fill {
    fn of_kernel(stack: &KernelStack<'_>) -> Fill {
        match (stack.used, stack.size) {
            (Some(used), Some(size)) => Fill::Known(used, size),
            _ => Fill::without(stack.valid),
        }
    }

    fn of_user(stack: &UserStack<'_>) -> Fill {
        match (stack.used, stack.size) {
            (Some(used), Some(size)) => Fill::Known(used, size),
            (Some(used), None) => Fill::AtLeast(used),
            _ => Fill::without(stack.valid),
        }
    }

    fn without(valid: &str) -> Fill {
        match valid {
            "on-cpu" => Fill::Running,
            // The values do not fit together: no table of the module has this.
            "ok" => Fill::Unknown("bad values".into()),
            word => Fill::Unknown(word.into()),
        }
    }

    /// In words, with the numbers of the table.
    fn words(&self) -> String {
        match self {
            Fill::Known(used, size) => format!("{used} of {size}"),
            Fill::AtLeast(used) => format!("at least {used}"),
            Fill::Running => "not known (on-cpu)".into(),
            Fill::Unknown(word) => format!("not known ({})", cut(word, 80)),
        }
    }

    /// Under the picture.
    fn label(&self, exact: bool) -> String {
        match self {
            Fill::Known(used, all) if exact => format!("{used} of {all}"),
            Fill::Known(used, all) => format!("{} of {}", size(*used), size(*all)),
            Fill::AtLeast(used) => format!("at least {}", size(*used)),
            Fill::Running => "on-cpu".into(),
            Fill::Unknown(word) => cut(word, COLUMN_TEXT),
        }
    }
}

/// A stack, from `top` down. `kind` is `user` or `kernel`.
fn stack(kind: &str, fill: &Fill, top: u64) -> Markup {
    let (x, width) = ((COLUMN - 48) / 2, 48);
    let middle = COLUMN / 2;
    html! {
        @match fill {
            Fill::Known(used, size) => {
                rect class="stack" x=(x) y=(top) width=(width) height=(STACK) {}
                rect class={ "used " (kind) } x=(x) y=(top) width=(width) height=(part(*used, *size, STACK)) {}
            }
            Fill::AtLeast(_) => {
                path class={ "torn " (kind) } d={
                    "M" (x) " " (top) "h" (width) "v" (STACK / 2) "l-6 8-6-8-6 8-6-8-6 8-6-8-6 8-6-8z"
                } {}
            }
            Fill::Running => {
                rect class="running" x=(x) y=(top) width=(width) height=(STACK) {}
                text class="query" x=(middle) y=(top + STACK / 2 + 7) { "?" }
            }
            Fill::Unknown(_) => rect class="unknown" x=(x) y=(top) width=(width) height=(STACK) {},
        }
        text x=(middle) y=(top + STACK + 12) { (fill.label(kind == "kernel")) }
    }
}

/// A thread: a column with its stacks.
fn thread(stacks: &Stacks<'_>, has_user: bool) -> Markup {
    let kernel = Fill::of_kernel(&stacks.kernel);
    let user = stacks.user.as_ref().map(Fill::of_user);
    let height = if has_user { 226 } else { 120 };
    let middle = COLUMN / 2;
    let words = format!(
        "PID {}, {}: kernel stack {}{}",
        stacks.thread.pid,
        cut(stacks.thread.comm, 80),
        kernel.words(),
        user.as_ref().map(|user| format!(", user stack {}", user.words())).unwrap_or_default()
    );
    html! {
        svg.thread role="img" aria-label=(words) width=(COLUMN) height=(height) data-pid=(stacks.thread.pid) {
            text.pid x=(middle) y="10" { (stacks.thread.pid) " " (cut(stacks.thread.state, 2)) }
            text x=(middle) y="21" { (cut(stacks.thread.comm, COLUMN_TEXT)) }
            @if has_user {
                @match &user {
                    Some(user) => (stack("user", user, 27)),
                    None => text.none x=(middle) y="70" { (stacks.thread.note.map_or("no user space".into(), |note| cut(note, COLUMN_TEXT))) },
                }
                line.border x1="0" y1="127" x2=(COLUMN) y2="127" {}
                (stack("kernel", &kernel, 132))
            } @else {
                (stack("kernel", &kernel, 27))
            }
        }
    }
}

/// The size of a segment, or why there is none; nothing if the program has no such segment.
fn segment_words(segment: &Segment<'_>) -> Option<String> {
    match (segment.size, segment.valid) {
        (Some(bytes), "ok") => Some(bytes.to_string()),
        (_, "ok") => None,
        (_, word) => Some(format!("not known ({})", cut(word, 20))),
    }
}

/// A process: its segments and its threads.
pub fn process(process: &Process<'_>) -> Markup {
    let has_user = !process.is_kernel;
    let hidden = process.threads_in_all - process.threads.len();
    let note = process.threads.iter().find_map(|stacks| stacks.thread.note.filter(|_| process.is_kernel));
    html! {
        figure.card {
            @if has_user {
                figcaption {
                    b { (cut(process.comm, 68)) } " " (process.tgid) ", " (count(process.threads_in_all, "thread"))
                    @if hidden > 0 { ", " em { (hidden) " not drawn" } }
                }
            } @else if let Some(note) = note {
                figcaption { em { (cut(note, 20)) } }
            }
            @if process.segments.iter().any(|segment| segment_words(segment).is_some()) {
                ol.segments {
                    @for segment in &process.segments {
                        @match (segment.size, segment.valid) {
                            (Some(bytes), "ok") => li { (cut(segment.name, 10)) " " (size(bytes)) },
                            (_, "ok") => {},
                            (_, word) => li.unknown { (cut(segment.name, 10)) " " (cut(word, 12)) },
                        }
                    }
                }
            }
            @for stacks in &process.threads { (thread(stacks, has_user)) }
        }
    }
}

/// The threads that are not drawn: how many use which part of their kernel stack.
pub fn rest(rest: &Rest) -> Markup {
    let unknown: usize = rest.unknown.values().sum();
    let most = rest.bins.iter().copied().max().unwrap_or(0).max(unknown).max(1) as u64;
    let (bar, height) = (54, 100);
    let words: Vec<String> = rest.unknown.iter().map(|(word, number)| format!("{} {number}", cut(word, 20))).collect();
    let part_of = |bin: usize| format!("{}/16 to {}/16", bin, bin + 1);
    html! {
        figure.card.rest {
            figcaption {
                b { "The rest" } ": " (count(rest.processes, "process")) " of which no thread is drawn; "
                (count(rest.threads, "thread")) " that are not drawn, by the part of their kernel stack in use, from 0/16 up"
            }
            svg.histogram role="img" aria-label="Histogram; the table below has its numbers"
                viewBox={ "0 0 " (bar * (BINS as u64 + 1)) " 146" } width=(bar * (BINS as u64 + 1)) {
                @for (bin, &number) in rest.bins.iter().enumerate() {
                    @let x = bin as u64 * bar;
                    rect.used.kernel x=(x + 6) width=(bar - 12) height=(part(number as u64, most, height))
                        y=(part(most - number as u64, most, height)) {}
                    text x=(x + bar / 2) y="112" { (number) }
                    text x=(x + bar / 2) y="126" { (bin) "/16" }
                }
                @let x = BINS as u64 * bar;
                rect.running x=(x + 6) width=(bar - 12) height=(part(unknown as u64, most, height))
                    y=(part(most - unknown as u64, most, height)) {}
                text x=(x + bar / 2) y="112" { (unknown) }
                text x=(x + bar / 2) y="126" { "not" }
                text x=(x + bar / 2) y="138" { "known" }
            }
            table.rest {
                tr { th { "part in use" } th { "threads" } }
                @for (bin, &number) in rest.bins.iter().enumerate() {
                    @if number > 0 { tr { td { (part_of(bin)) } td { (number) } } }
                }
                tr { td { "not known" @if !words.is_empty() { " (" (words.join(", ")) ")" } } td { (unknown) } }
            }
        }
    }
}

/// The table under the pictures: a row for each thread that is drawn.
pub fn stacks_table(processes: &[Process<'_>]) -> Markup {
    html! {
        table.stacks {
            caption { "Stacks, in bytes in use of the whole size" }
            tr {
                th { "process" } th { "PID" } th { "name" } th { "state" } th { "kind" } th { "kernel stack" } th { "user stack" }
                th { "rows" }
            }
            @for process in processes {
                @for stacks in &process.threads {
                    tr {
                        td { (process.tgid) }
                        td { (stacks.thread.pid) }
                        td { (cut(stacks.thread.comm, 80)) }
                        td { (cut(stacks.thread.state, 8)) }
                        td { (cut(stacks.thread.kind, 12)) @if let Some(note) = stacks.thread.note { ", " (cut(note, 20)) } }
                        td { (Fill::of_kernel(&stacks.kernel).words()) }
                        td { (stacks.user.as_ref().map_or("none".into(), |user| Fill::of_user(user).words())) }
                        td {
                            @match stacks.moment {
                                Moment::Same => "of one moment",
                                Moment::Different => "of different moments: the thread ran in between",
                                Moment::Unknown => "may be of different moments",
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The table of the segments.
pub fn segments_table(processes: &[&Process<'_>]) -> Markup {
    const NAMES: [&str; 9] = ["text", "data", "bss", "heap", "mmap", "stack", "args", "env", "vdso"];
    html! {
        table.segments {
            caption { "Segments, in bytes" }
            tr { th { "process" } @for name in NAMES { th { (name) } } }
            @for process in processes {
                tr {
                    td { (process.tgid) " " (cut(process.comm, 68)) }
                    @for name in NAMES {
                        @let segment = process.segments.iter().find(|segment| segment.name == name);
                        td {
                            @match segment {
                                None => "no row",
                                Some(segment) => (segment_words(segment).unwrap_or_else(|| "-".into())),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The lanes of the picture of the contexts, by the words of STACK.
const LANES: [(&str, &str); 4] = [
    ("task", "stack of the thread"),
    ("irq", "interrupt stack of the CPU"),
    ("nmi", "NMI stack of the CPU"),
    ("other", "another stack"),
];

/// Which stack each context runs on.
pub fn contexts(contexts: &[Context<'_>]) -> Markup {
    let (label, lane, row, top) = (250_u64, 176_u64, 20_u64, 22_u64);
    let width = label + lane * LANES.len() as u64;
    let height = top + row * contexts.len() as u64;
    let short = ["task", "softirq", "hardirq", "nmi"];
    html! {
        svg.contexts role="img" aria-label="Execution contexts and their stacks; the table below has the same in words"
            viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) {
            @for (at, (_, words)) in LANES.iter().enumerate() {
                @let x = label + lane * at as u64;
                text x=(x + lane / 2) y="14" { (words) }
                rect.lane x=(x + 2) y=(top - 2) width=(lane - 4) height=(height - top + 2) {}
            }
            @for (at, context) in contexts.iter().enumerate() {
                @let y = top + row * at as u64;
                @let where_ = if context.cpus.is_empty() { String::new() } else { format!(", CPU {}", cpus(&context.cpus)) };
                text.label x="4" y=(y + 13) { (cut(&format!("{}{where_}", context.name), 44)) }
                @match LANES.iter().position(|(word, _)| context.stack == Some(*word)) {
                    Some(at) => {
                        @let x = label + lane * at as u64;
                        rect.context x=(x + 6) y=(y + 2) width=(lane - 12) height=(row - 4) {}
                        text x=(x + lane / 2) y=(y + 13) {
                            @for (flag, word) in context.flags.iter().zip(short) { @if *flag == Some(true) { (word) " " } }
                            @match context.flags[4] {
                                Some(true) => "IRQs on",
                                Some(false) => "IRQs off",
                                None => "IRQs ?",
                            }
                        }
                    }
                    None => {
                        rect.unknown x=(label + 6) y=(y + 2) width=(lane * LANES.len() as u64 - 12) height=(row - 4) {}
                        text x=(label + lane * 2) y=(y + 13) {
                            @match context.stack {
                                None => "not known: it has not happened, or has not answered",
                                Some(word) => { "not known: stack " (cut(word, 20)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded() {
        let sizes = [0, 1023, 1024, 12424, 135168, 8 << 20, (1 << 20) - 1, u64::MAX].map(size);
        assert_eq!(sizes, ["0", "1023", "1.0K", "12.1K", "132.0K", "8.0M", "1.0M", "16.0E"]);
    }

    #[test]
    fn parts_of_a_stack_are_linear() {
        assert_eq!([part(0, 16384, 80), part(1192, 16384, 80), part(16384, 16384, 80)], ["0.0", "5.8", "80.0"]);
        assert_eq!(part(u64::MAX, u64::MAX, 80), "80.0");
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        assert_eq!(Fill::of_kernel(&KernelStack::NONE).words(), "not known (no row)");
        assert_eq!(Fill::without("on-cpu").words(), "not known (on-cpu)");
    }
}
