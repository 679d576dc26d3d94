// SPDX-License-Identifier: GPL-2.0

//! The program: runs a command, and turns its result into an exit status.

#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use taskscope::args::{Cli, Command};
use taskscope::paint::Paint;
use taskscope::snapshot::{OTHERS, Snapshot, Source, TABLES};
use taskscope::trouble::{DIFFERENT, FAILED, Result, Trouble, failed};
use taskscope::{diff, json, record, report, show, stacks};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status.into(),
        Err(Trouble::ClosedPipe) => ExitCode::SUCCESS,
        Err(trouble) => {
            say(&trouble.to_string());
            trouble.status().into()
        }
    }
}

/// Tells the user something. A standard error that is closed is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "taskscope: {text}");
}

/// Reads the tables of a file or of the running kernel, and says what is wrong with them.
fn read(file: Option<&Path>, root: Option<&Path>, tables: &[&str]) -> Result<Snapshot> {
    let snapshot = Source::named(file, root)?.read(tables)?;
    let prefix = file.map(|file| format!("{}: ", file.display())).unwrap_or_default();
    for complaint in snapshot.complaints(tables) {
        say(&format!("{prefix}{complaint}"));
    }
    Ok(snapshot)
}

fn run(cli: Cli) -> Result<u8> {
    let root = cli.root.as_deref();
    let mut out = BufWriter::new(io::stdout().lock());
    match cli.command {
        Command::Record { file, no_contexts } => return record_command(file, no_contexts, root, out),
        Command::Stacks { snapshot, filter, user, all, folded, sysroot } => {
            let tables: &[&str] = if user { &stacks::TABLES_USER } else { &stacks::TABLES };
            let snapshot = read(snapshot.as_deref(), root, tables)?;
            let choice = stacks::Choice {
                states: filter.state.unwrap_or_default(),
                pattern: filter.pattern,
                user,
                all,
                sysroot,
            };
            if folded {
                stacks::write_folded(&snapshot, &choice, &mut out)?;
            } else {
                stacks::write(&snapshot, &choice, Paint::for_stdout(), &mut out)?;
            }
        }
        Command::Show { pids, from, sysroot } => {
            let snapshot = read(from.as_deref(), root, &show::TABLES)?;
            show::write(&snapshot, &pids, sysroot.as_deref(), Paint::for_stdout(), &mut out)?;
        }
        Command::Report { snapshot, output, pids, beside } => {
            let sources: Vec<PathBuf> = [&snapshot, &beside].into_iter().flatten().cloned().collect();
            let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
            let snapshot = read(snapshot.as_deref(), root, &report::TABLES)?;
            let beside = beside.map(|file| read(Some(&file), root, &["contexts"])).transpose()?;
            let page = report::page(&snapshot, beside.as_ref(), &pids)?;
            match output {
                None => out.write_all(page.as_bytes())?,
                Some(path) => report::write(&path, &page, &sources)?,
            }
        }
        Command::Diff { a, b, filter } => {
            let [a, b] = [read(Some(&a), root, &diff::TABLES)?, read(Some(&b), root, &diff::TABLES)?];
            for warning in diff::warnings(&a, &b) {
                say(&warning);
            }
            let changes = diff::compare(&a, &b, &filter)?;
            // A reader that closes the pipe early changes nothing in the result.
            match diff::write(&changes, Paint::for_stdout(), &mut out).and_then(|()| Ok(out.flush()?)) {
                Err(Trouble::ClosedPipe) => {}
                other => other?,
            }
            return Ok(if changes.any() { DIFFERENT } else { 0 });
        }
        Command::Json { snapshot, no_contexts } => {
            let all = TABLES.into_iter().chain(OTHERS).filter(|name| !(no_contexts && *name == "contexts"));
            let all: Vec<&str> = all.collect();
            let snapshot = read(snapshot.as_deref(), root, &all)?;
            json::write(&snapshot, &mut out)?;
        }
    }
    out.flush()?;
    Ok(0)
}

fn record_command(file: Option<PathBuf>, no_contexts: bool, root: Option<&Path>, out: impl Write) -> Result<u8> {
    let Source::Directory(directory) = Source::named(None, root)? else {
        return Err(failed("only the running kernel can be recorded"));
    };
    let without: &[&str] = if no_contexts { &["contexts"] } else { &[] };
    let missing = match file {
        Some(path) if path.as_os_str() == "-" => record::record(&directory, without, out)?,
        path => {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let path = path.unwrap_or_else(|| PathBuf::from(format!("taskscope-{seconds}.tar")));
            let missing = record::record_to(&path, &directory, without)?;
            say(&format!("recorded in {}", path.display()));
            missing
        }
    };
    for reason in &missing {
        say(&format!("not recorded: {reason}"));
    }
    Ok(if missing.is_empty() { 0 } else { FAILED })
}
