// SPDX-License-Identifier: GPL-2.0

//! Nothing in a snapshot is trusted: whatever a file has in it, each command ends without a panic, and prints nothing that
//! a terminal or a browser would act on.
//!
//! `PROPTEST_CASES` says how many files are tried, and `PROPTEST_RNG_SEED` which.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use taskscope::args::Filter;
use taskscope::paint::Paint;
use taskscope::snapshot::Snapshot;
use taskscope::symbols::Symbols;
use taskscope::{diff, json, report, show, stacks};

fn recorded(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(path).unwrap()
}

/// A snapshot with these tables.
fn archive(tables: &[(&str, String)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let meta = r#"{"boot_id": "00000000-0000-0000-0000-000000000001"}"#.to_string();
    for (name, text) in [("meta.json", meta)].iter().chain(tables) {
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
    if let Ok(changes) = diff::compare(&snapshot, &snapshot, &Filter::default()) {
        let _ = diff::write(&changes, Paint::default(), &mut out);
    }
    for pid in [0, 1, 7, 100, 119, 129, 133] {
        let _ = show::write(&snapshot, &[pid], Some(Path::new("/nowhere")), Paint::default(), &mut out);
    }
    out.extend(snapshot.complaints(&["threads", "kstacks", "kframes"]).join("\n").bytes());
    let strange = out.iter().find(|&&byte| byte != b'\n' && !(b' '..=b'~').contains(&byte));
    prop_assert_eq!(strange, None);
    // A page with a PID that is in no table is none.
    let asked: &[&[u32]] = &[&[], &[1], &[100]];
    for page in asked.iter().filter_map(|pids| report::page(&snapshot, Some(&snapshot), pids).ok()) {
        let strange = page.chars().find(|&c| c != '…' && c != '\n' && c != '\t' && !(' '..='~').contains(&c));
        prop_assert_eq!(strange, None);
        prop_assert_eq!(page.matches("<script").count(), 0);
        prop_assert!(page.len() <= 2_000_000, "{} bytes", page.len());
        prop_assert!(page.matches('<').count() <= 2 * 5600, "{} tags", page.matches('<').count());
    }
    Ok(())
}

/// An executable of x86-64 with a PT_LOAD for each (p_offset, p_vaddr, p_filesz), and the functions (st_value, st_size,
/// name). See the ELF specification for the places of the fields.
fn program(loads: &[(u64, u64, u64)], functions: &[(u64, u64, &str)]) -> Vec<u8> {
    let (mut names, mut symbols) = (vec![0_u8], vec![0_u8; 24]);
    for (value, size, name) in functions {
        symbols.extend((names.len() as u32).to_le_bytes());
        // STB_GLOBAL and STT_FUNC, in section 1
        symbols.extend([0x12, 0, 1, 0]);
        symbols.extend([*value, *size].map(u64::to_le_bytes).concat());
        names.extend(name.bytes().chain([0]));
    }
    let programs = 64;
    let symbols_at = programs + 56 * loads.len();
    let names_at = symbols_at + symbols.len();
    let sections_at = (names_at + names.len()).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    // e_entry, e_phoff, e_shoff
    file.extend([0, programs as u64, sections_at as u64].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    file.extend([64, 56, loads.len() as u16, 64, 4, 3].map(u16::to_le_bytes).concat());
    for (offset, address, size) in loads {
        // PT_LOAD, PF_R and PF_X
        file.extend([1_u32, 5].map(u32::to_le_bytes).concat());
        file.extend([*offset, *address, *address, *size, *size, 4096].map(u64::to_le_bytes).concat());
    }
    file.extend(&symbols);
    file.extend(&names);
    file.resize(sections_at, 0);
    // sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info, sh_addralign, sh_entsize: none, the code
    // (SHT_PROGBITS), .symtab, .strtab
    for (kind, at, size, link, entry) in
        [(0, 0, 0, 0, 0), (1, 0, 64, 0, 0), (2, symbols_at, symbols.len(), 3, 24), (3, names_at, names.len(), 0, 0)]
    {
        file.extend([0_u32, kind].map(u32::to_le_bytes).concat());
        file.extend([0, 0, at as u64, size as u64].map(u64::to_le_bytes).concat());
        file.extend([link, u32::from(kind == 2)].map(u32::to_le_bytes).concat());
        file.extend([1, entry].map(u64::to_le_bytes).concat());
    }
    file
}

/// A directory that ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("taskscope-hostile-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The name of the function at this offset of a file.
fn name_in(file: &[u8], offset: u64, is_return: bool) -> Option<String> {
    let scratch = Scratch::new();
    std::fs::write(scratch.0.join("program"), file).unwrap();
    Symbols::default().name(&scratch.0, &format!("/program+{offset:#x}"), is_return)
}

#[test]
fn functions_have_their_names() {
    let file = program(
        &[(0, 0x40_0000, 0x1000), (0x1000, 0x60_0000, 0x1000)],
        &[(0x40_0100, 64, "main"), (0x60_0010, 0, "_start"), (0x60_0200, 8, "_ZN3foo3bar17h0123456789abcdefE")],
    );
    assert_eq!(name_in(&file, 0x100, false).as_deref(), Some("main+0x0"));
    assert_eq!(name_in(&file, 0x140, true).as_deref(), Some("main+0x40"));
    assert_eq!(name_in(&file, 0x140, false), None);
    assert_eq!(name_in(&file, 0x1020, true).as_deref(), Some("_start+0x10"));
    assert_eq!(name_in(&file, 0x1200, false).as_deref(), Some("foo::bar+0x0"));
    assert_eq!(name_in(&file, 0x2000, false), None);
}

#[test]
fn addresses_at_the_end_of_64_bits_have_no_overflow() {
    let file = program(&[(0, u64::MAX, u64::MAX)], &[(0, 0, "main")]);
    for offset in [0, 1, 2, u64::MAX] {
        for is_return in [false, true] {
            name_in(&file, offset, is_return);
        }
    }
}

#[test]
fn no_file_outside_of_the_root_is_opened() {
    let scratch = Scratch::new();
    let file = program(&[(0, 0, 4096)], &[(0, 64, "main")]);
    std::fs::create_dir(scratch.0.join("root")).unwrap();
    for place in ["root/inside", "outside"] {
        std::fs::write(scratch.0.join(place), &file).unwrap();
    }
    std::os::unix::fs::symlink(scratch.0.join("outside"), scratch.0.join("root/link")).unwrap();
    let root = scratch.0.join("root");
    let name = |path: &str| Symbols::default().name(&root, &format!("{path}+0x0"), false);
    assert_eq!(name("/inside").as_deref(), Some("main+0x0"));
    // join() takes an absolute path as it is.
    let absolute = format!("/{}/outside", scratch.0.display());
    for path in ["/../outside", "/inside/../../outside", &absolute, "/link", "/.", "/"] {
        assert_eq!(name(path), None, "{path}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    let scratch = Scratch::new();
    let fifo = scratch.0.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Opening the FIFO to write waits for a reader. If the program were one, the byte would be lost with it.
    let path = fifo.clone();
    let writer = std::thread::spawn(move || std::fs::File::options().write(true).open(path)?.write_all(b"x"));
    for _ in 0..10_000 {
        assert_eq!(Symbols::default().name(&scratch.0, "/fifo+0x10", false), None);
    }
    // O_NONBLOCK: a byte that is lost must not be waited for.
    let mut reader = std::fs::File::options().read(true).write(true).custom_flags(0o4000).open(&fifo).unwrap();
    writer.join().unwrap().unwrap();
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
}

#[test]
fn a_file_with_many_names_is_read_once() {
    let scratch = Scratch::new();
    std::fs::write(scratch.0.join("0"), program(&[(0, 0, 4096)], &[(0, 64, "main")])).unwrap();
    let mut symbols = Symbols::within(2, 1000);
    for number in 0..100 {
        if number > 0 {
            std::fs::hard_link(scratch.0.join("0"), scratch.0.join(number.to_string())).unwrap();
        }
        assert_eq!(symbols.name(&scratch.0, &format!("/{number}+0x0"), false).as_deref(), Some("main+0x0"));
    }
    assert!(!symbols.are_limited());
}

#[test]
fn number_and_size_of_files_have_a_limit() {
    let scratch = Scratch::new();
    for number in 0..3 {
        std::fs::write(scratch.0.join(number.to_string()), program(&[(0, 0, 4096)], &[(0, 64, "main")])).unwrap();
    }
    for mut symbols in [Symbols::within(2, 1000), Symbols::within(10, 100)] {
        let names = [0, 1, 2].map(|number| symbols.name(&scratch.0, &format!("/{number}+0x0"), false));
        let main = Some("main+0x0".to_string());
        assert_eq!(names, [main.clone(), main, None]);
        assert!(symbols.are_limited());
    }
}

#[test]
fn stacks_names_functions_as_show_does() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("root")).unwrap();
    std::fs::write(scratch.0.join("root/landscape"), program(&[(0, 0, 1 << 20)], &[(0, 1 << 20, "of_landscape")]))
        .unwrap();
    let snapshot = Snapshot::from_tar(recorded("stock.tar").as_slice()).unwrap();
    let (mut groups, mut folded, mut thread) = (Vec::new(), Vec::new(), Vec::new());
    let choice = stacks::Choice {
        user: true,
        pattern: Some("of_landscape".into()),
        sysroot: Some(scratch.0.clone()),
        ..stacks::Choice::default()
    };
    stacks::write(&snapshot, &choice, Paint::default(), &mut groups).unwrap();
    stacks::write_folded(&snapshot, &choice, &mut folded).unwrap();
    show::write(&snapshot, &[127], Some(&scratch.0), Paint::default(), &mut thread).unwrap();
    let [groups, folded, thread] = [groups, folded, thread].map(|text| String::from_utf8(text).unwrap());
    let names: Vec<&str> = thread.lines().filter(|line| line.contains("of_landscape+0x")).collect();
    assert!(!names.is_empty(), "{thread}");
    for line in names {
        assert!(groups.contains(&format!("{line}\n")), "no {line} in {groups}");
    }
    assert!(folded.lines().count() > 3 && folded.lines().all(|line| line.contains(";of_landscape;")), "{folded}");
}

/// The numbers at which a sum overflows, or nearly.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 64, 4096, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX]),
        any::<u64>()
    ]
}

/// A word for a field: those of the tables, and what they never have.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "-", "ok", "on-cpu", "released", "outside", "exec", "no-mm", "locked", "guarded", "pieces", "unmapped", "user",
            "kernel", "idle", "worker", "set", "NULL", "exiting", "borrowed-mm", "pre-exec", "S", "D", "R", "Z", "yes", "no",
            "task", "irq", "nmi", "other", "text", "data", "heap", "stack", "running", "-1", "unlimited", "end: null",
            "end: limit", "mutex:7", "mutex:-", "semaphore:100", "rwsem-reader:-", "rwsem-writer:4194304", ":", "/bin/x+0x10", "f+0x1/0x2", "18446744073709551615", "9223372036854775808",
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
    ("kstacks", "TGID PID SWITCHES BASE SIZE USED VALID BLOCKED_BY COMM"),
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

/// `make fuzz-tool` runs these again and again.
mod random {
    use super::*;

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
        fn program_with_any_segments(
            loads in prop::collection::vec((edge(), edge(), edge()), 0..4),
            functions in prop::collection::vec((edge(), edge()), 0..8),
            offset in edge(),
            is_return in any::<bool>(),
        ) {
            let functions: Vec<(u64, u64, &str)> = functions.into_iter().map(|(value, size)| (value, size, "f")).collect();
            name_in(&program(&loads, &functions), offset, is_return);
        }

        #[test]
        fn any_file_as_a_program(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..100)) {
            let mut file = program(&[(0, 0, 4096)], &[(0, 64, "main"), (64, 64, "_RNvCs1234_7mycrate3foo")]);
            for (place, byte) in changes {
                let place = place.index(file.len());
                file[place] = byte;
            }
            for offset in [0_u64, 64, 4096, u64::MAX] {
                name_in(&file, offset, offset % 2 == 0);
            }
        }
    }
}
