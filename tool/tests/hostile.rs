// SPDX-License-Identifier: GPL-2.0

//! Nothing in a snapshot is trusted: whatever a file has in it, each command ends without a panic, and prints nothing that
//! a terminal or a browser would act on.
//!
//! `PROPTEST_CASES` says how many files are tried.

use std::path::Path;

use proptest::prelude::*;
use taskscope::args::Filter;
use taskscope::paint::Paint;
use taskscope::snapshot::Snapshot;
use taskscope::{diff, json, report, show, stacks};

fn recorded(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(path).unwrap()
}

/// A snapshot with these tables.
fn archive(tables: &[(&str, String)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in tables {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Runs every command. The output has printable ASCII alone; the page also has "…" and tabs.
fn try_all(file: &[u8]) -> Result<(), TestCaseError> {
    let Ok(snapshot) = Snapshot::from_tar(file) else { return Ok(()) };
    let mut out = Vec::new();
    for (user, all) in [(false, false), (true, true)] {
        let choice = stacks::Choice { user, all, ..stacks::Choice::default() };
        let _ = stacks::write(&snapshot, &choice, Paint::default(), &mut out);
        let _ = stacks::write_folded(&snapshot, &choice, &mut out);
    }
    let _ = json::write(&snapshot, &mut out);
    let _ = diff::write(&snapshot, &snapshot, &Filter::default(), Paint::default(), &mut out);
    for pid in [0, 1, 7, 100, 119, 129, 133] {
        let _ = show::write(&snapshot, &[pid], Some(Path::new("/nowhere")), Paint::default(), &mut out);
    }
    out.extend(snapshot.complaints(&["threads", "kstacks", "kframes"]).join("\n").bytes());
    let strange = out.iter().find(|&&byte| byte != b'\n' && !(b' '..=b'~').contains(&byte));
    prop_assert_eq!(strange, None);
    if let Ok(page) = report::page(&snapshot, Some(&snapshot), &[1, 100, 119, 129]) {
        let strange = page.chars().find(|&c| c != '…' && c != '\n' && c != '\t' && !(' '..='~').contains(&c));
        prop_assert_eq!(strange, None);
        prop_assert_eq!(page.matches("<script").count(), 0);
        prop_assert!(page.len() <= 2_000_000, "{} bytes", page.len());
        prop_assert!(page.matches('<').count() <= 2 * 5600, "{} tags", page.matches('<').count());
    }
    Ok(())
}

/// A file with functions.
fn program() -> Vec<u8> {
    use object::write::{Object, StandardSection, Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = object.section_id(StandardSection::Text);
    for name in ["main", "_RNvCs1234_7mycrate3foo", "_ZN3foo3bar17h0123456789abcdefE"] {
        let value = object.append_section_data(section, &[0x90; 64], 16);
        object.add_symbol(Symbol {
            name: name.into(),
            value,
            size: 64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    object.write().unwrap()
}

/// A word for a field: those of the tables, and what they never have.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "-", "ok", "on-cpu", "released", "outside", "exec", "no-mm", "locked", "guarded", "pieces", "unmapped", "user",
            "kernel", "idle", "worker", "set", "NULL", "exiting", "borrowed-mm", "pre-exec", "S", "D", "R", "Z", "yes", "no",
            "task", "irq", "nmi", "other", "text", "data", "heap", "stack", "running", "-1", "unlimited", "end: null",
            "end: limit", "/bin/x+0x10", "f+0x1/0x2", "18446744073709551615", "9223372036854775808",
        ]).prop_map(str::to_string),
        4 => (0_u64..120).prop_map(|number| number.to_string()),
        2 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| format!("{number:x}")),
        1 => "[ -~]{0,12}",
        1 => "<script>|</svg>|&amp;|\\\\[0-7]{0,3}|\u{9b}31m|\x1b\\[2J|\u{202e}|\"'>",
    ]
}

const COLUMNS: [(&str, &str); 8] = [
    ("threads", "TGID PID PPID UID EUID S KIND MM NTHR CPU SWITCHES START TASK STACK NOTE COMM"),
    ("kstacks", "TGID PID SWITCHES BASE SIZE USED VALID COMM"),
    ("kframes", "TGID PID SWITCHES DEPTH FRAME"),
    ("syscalls", "TGID PID SWITCHES NR ARG0 SP PC ABI CALL COMM"),
    ("ustacks", "TGID PID SWITCHES SP START END SIZE USED RLIM_CUR RLIM_MAX VALID COMM"),
    ("uframes", "TGID PID SWITCHES DEPTH ADDRESS FRAME"),
    ("segments", "TGID SEGMENT START END SIZE VALID COMM"),
    ("contexts", "CONTEXT IN_TASK SOFTIRQ HARDIRQ NMI IRQS PREEMPT_COUNT CPU STACK SP PID TGID MM SOURCE COMM"),
];

fn tables() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let table = |(name, columns): (&'static str, &'static str)| {
        let row = prop::collection::vec(word(), columns.split(' ').count());
        prop::collection::vec(row, 0..40).prop_map(move |rows| {
            let rows: Vec<String> = rows.into_iter().map(|row| row.join(" ")).collect();
            (name, format!("{columns}\n{}\n# {} rows\n", rows.join("\n"), rows.len()))
        })
    };
    COLUMNS.map(table).into_iter().collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_with_any_values(tables in tables()) {
        try_all(&archive(&tables))?;
    }

    #[test]
    fn recorded_file_with_other_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = recorded("stock.tar");
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Some(length) = length {
            file.truncate(length.index(file.len()));
        }
        try_all(&file)?;
    }

    #[test]
    fn any_bytes_as_a_file(file in prop::collection::vec(any::<u8>(), 0..4096)) {
        try_all(&file)?;
    }

    #[test]
    fn any_text_as_a_table(text in "(PID|TGID|COMM|VALID|[ -~\n#]){0,200}") {
        try_all(&archive(&[("threads", text.clone()), ("kstacks", text.clone()), ("kframes", text.clone()), ("contexts", text)]))?;
    }

    #[test]
    fn any_file_as_a_program(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..100)) {
        let directory = std::env::temp_dir().join(format!("taskscope-program-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut file = program();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        std::fs::write(directory.join("program"), &file).unwrap();
        let mut symbols = taskscope::symbols::Symbols::default();
        for offset in [0_u64, 64, 4096, u64::MAX] {
            symbols.name(&directory, &format!("/program+{offset:#x}"), offset % 2 == 0);
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
