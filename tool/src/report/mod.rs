// SPDX-License-Identifier: GPL-2.0

//! `report`: one HTML page with the processes, their stacks and the execution contexts. It has no script, loads nothing, and
//! can be read without colours. What is not known is drawn as not known.

mod draw;
mod model;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::join::{count, some_pids};
use crate::snapshot::Snapshot;
use crate::trouble::{Result, failed};
use model::{Context, FLAGS, Landscape};

/// The tables that are read.
pub const TABLES: [&str; 5] = ["threads", "kstacks", "ustacks", "segments", "contexts"];

/// The most groups of contexts that are drawn.
const MAX_CONTEXTS: usize = 24;

/// The page. `beside` is a snapshot whose contexts are drawn too; `asked` are PIDs that are drawn in any case.
pub fn page(snapshot: &Snapshot, beside: Option<&Snapshot>, asked: &[u32]) -> Result<String> {
    let landscape = model::landscape(snapshot, asked)?;
    let title = format!("taskscope: {}", snapshot.meta.title());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (draw::patterns())
                header {
                    h1 { (title) }
                    p {
                        "Tables of the kernel module taskscope. The tables were read one after another"
                        @if let Some(time) = snapshot.meta.milliseconds(&TABLES) { ", within " (time) " ms" }
                        "; a thread whose rows may be of different moments has these words in the table of the stacks."
                    }
                    @for text in banners(snapshot, beside, &landscape) { p.banner { (text) } }
                }
                main {
                    (landscape_section(&landscape))
                    (contexts_section(snapshot, beside))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// What a reader must know before the pictures.
fn banners(snapshot: &Snapshot, beside: Option<&Snapshot>, landscape: &Landscape<'_>) -> Vec<String> {
    let mut out = snapshot.complaints(&TABLES);
    let mut of_threads = Vec::new();
    if landscape.refused > 0 {
        let number = landscape.refused;
        of_threads.push(format!("{number} rows have no PID, or one that was there before; they are left out"));
    }
    if let Some(threads) = snapshot.optional("threads") {
        let summary = threads.summary().next().and_then(|line| line.split(' ').next()?.parse::<usize>().ok());
        if let Some(number) = summary.filter(|&number| threads.complete && number != threads.len()) {
            of_threads.push(format!("the summary says {number} rows, but the table has {}", threads.len()));
        }
    }
    // A banner for each table
    if !of_threads.is_empty() {
        let more = of_threads.join("; ");
        match out.iter_mut().find(|text| text.starts_with("threads: ")) {
            Some(text) => *text = format!("{text}; {more}"),
            None => out.push(format!("threads: {more}")),
        }
    }
    let not_drawn = &landscape.asked_and_not_drawn;
    if !not_drawn.is_empty() {
        let names = if not_drawn.len() == 1 { "names it" } else { "names them" };
        out.push(format!("not drawn, although --pid {names}: {}; the page has no more places", some_pids(not_drawn)));
    }
    out.extend(beside.iter().flat_map(|beside| beside.complaints(&["contexts"])).map(|text| format!("beside: {text}")));
    out.iter().map(|text| draw::cut(text, 400)).collect()
}

/// Writes the page to a file that its owner alone may read, whole or not at all. `sources` are the snapshots: the page must
/// not take the place of one.
pub fn write(path: &Path, page: &str, sources: &[&Path]) -> Result<()> {
    let file_of = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let there = file_of(path);
    if there.is_some() && sources.iter().any(|source| file_of(source) == there) {
        return Err(failed(format!("{} is the snapshot", path.display())));
    }
    let wrong = |error: io::Error| failed(format!("{}: {error}", path.display()));
    // Such as /dev/stdout
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, page).map_err(wrong);
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    let mut begun = path.clone().into_os_string();
    begun.push(format!(".{}", std::process::id()));
    let begun = Path::new(&begun);
    let file = File::options().write(true).create_new(true).mode(0o600).open(begun);
    file.and_then(|mut file| {
        let written = file.write_all(page.as_bytes()).and_then(|()| fs::rename(begun, &path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(begun);
        })
    })
    .map_err(wrong)
}

fn landscape_section(landscape: &Landscape<'_>) -> Markup {
    let drawn: usize = landscape.processes.iter().map(|process| process.threads.len()).sum();
    let rest = &landscape.rest;
    let (kernel, user): (Vec<_>, Vec<_>) = landscape.processes.iter().partition(|process| process.is_kernel);
    html! {
        section #landscape {
            h2 { "Stacks" }
            p.sum {
                "Drawn: " b { (count(landscape.processes.len(), "process")) } " with " b { (count(drawn, "thread")) }
                ". Counted below: " b { (count(rest.processes, "process")) } " and " b { (count(rest.threads, "thread")) }
                ". In all: " @if !landscape.complete { "at least " } b { (count(landscape.processes_in_all, "process")) } ", "
                b { (count(landscape.threads_in_all, "thread")) } "."
            }
            (draw::legend())
            h3 { "Processes with a user space" }
            div.cards { @for process in &user { (draw::process(process)) } @if user.is_empty() { p { "None." } } }
            h3 { "Threads of the kernel, without a user space" }
            div.cards { @for process in &kernel { (draw::process(process)) } @if kernel.is_empty() { p { "None." } } }
            @if !landscape.complete { p.torn { "The table threads is cut short here: more processes may follow." } }
            @if rest.threads > 0 { (draw::rest(rest)) }
            h3 { "The same in numbers" }
            (draw::stacks_table(&landscape.processes))
            (draw::segments_table(&user))
        }
    }
}

fn contexts_section(snapshot: &Snapshot, beside: Option<&Snapshot>) -> Markup {
    html! {
        section #contexts {
            h2 { "Execution contexts" }
            p {
                "Which stack each kind of code runs on. A row is for all CPUs on which the context has the same flags and \
                 the same stack. Contexts that are not known have a dashed box."
            }
            @for snapshot in [Some(snapshot), beside].into_iter().flatten() {
                @match model::contexts(snapshot) {
                    None => p.banner { "The table contexts is not in this snapshot (" (snapshot.meta.title()) ")." },
                    Some(contexts) => (contexts_of(snapshot, &contexts)),
                }
            }
        }
    }
}

fn contexts_of(snapshot: &Snapshot, contexts: &[Context<'_>]) -> Markup {
    let drawn = &contexts[..contexts.len().min(MAX_CONTEXTS)];
    let rows = |contexts: &[Context<'_>]| contexts.iter().map(|context| context.rows).sum::<usize>();
    let (all, left) = (rows(contexts), rows(contexts) - rows(drawn));
    html! {
        h3 { (snapshot.meta.title()) }
        p.sum { "Rows of the table: " b { (all) } ". Drawn: " b { (all - left) } ". Not drawn: " b { (left) } "." }
        (draw::contexts(drawn))
        table.contexts {
            caption { "The same in words" }
            tr {
                th { "context" } th { "rows" } th { "CPUs" }
                @for flag in FLAGS { th { (flag) } }
                th { "PREEMPT_COUNT" } th { "stack" } th { "running" } th { "source" }
            }
            @for context in drawn {
                tr {
                    td { (draw::cut(context.name, 40)) }
                    td { (context.rows) }
                    td { (draw::cpus(&context.cpus)) }
                    @for flag in context.flags { td { (draw::yes_no(flag)) } }
                    td { (draw::list(&context.preempt_counts)) }
                    td { (context.stack.map_or("not known".into(), |stack| draw::cut(stack, 20))) }
                    td { (draw::list(&context.names)) }
                    td { (draw::list(&context.sources)) }
                }
            }
        }
        @for line in snapshot.optional("contexts").iter().flat_map(|table| table.summary()).take(16) {
            p.note { (draw::cut(line, 200)) }
        }
    }
}
