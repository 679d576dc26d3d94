// SPDX-License-Identifier: GPL-2.0

//! The program, with recorded snapshots: what it prints, and its exit status. What it prints of a table is compared with
//! the lines of that table, which these tests read without the library.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SNAPSHOTS: [&str; 3] = ["stock", "rt", "arm64"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("tar")
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskscope"));
    command.env_remove("TASKSCOPE_ROOT");
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A directory that ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("taskscope-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The tables of a snapshot, as the module would have them.
    fn tables(name: &str, snapshot: &str) -> Self {
        let scratch = Scratch::new(name);
        for (name, text) in members(&data(snapshot)) {
            fs::write(scratch.path(&name), text).unwrap();
        }
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn members(path: &Path) -> HashMap<String, String> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let mut out = HashMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        out.insert(name, text);
    }
    out
}

/// Writes a snapshot with these members.
fn write_snapshot(path: &Path, members: &HashMap<String, String>) {
    let mut archive = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

/// A snapshot of the stock kernel, changed.
fn changed(scratch: &Scratch, name: &str, change: impl FnOnce(&mut HashMap<String, String>)) -> String {
    let mut members = members(&data("stock"));
    change(&mut members);
    write_snapshot(&scratch.path(name), &members);
    scratch.path(name).to_str().unwrap().to_string()
}

/// Changes the text of a table, which must have the old one.
fn replace(members: &mut HashMap<String, String>, table: &str, old: &str, new: &str) {
    let text = members.get_mut(table).unwrap();
    assert!(text.contains(old), "{table} has no {old}");
    *text = text.replace(old, new);
}

/// The lines of a table that are rows, by words. The last word begins the last column.
fn rows(text: &str) -> Vec<HashMap<&str, &str>> {
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let is_row = |line: &&str| !line.starts_with('#');
    lines.filter(is_row).map(|line| columns.iter().copied().zip(line.split_whitespace()).collect()).collect()
}

#[test]
fn stacks_account_for_every_thread() {
    for name in SNAPSHOTS {
        let threads = rows(&members(&data(name))["threads"]).len();
        let out = text(&run(&["stacks", data(name).to_str().unwrap(), "--all"]).stdout);
        let counted: usize = out
            .lines()
            .filter(|line| line.contains(" in ") && (line.contains(" thread in ") || line.contains(" threads in ")))
            .map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(counted, threads, "{name}");
        assert!(out.contains(&format!("# {threads} threads, {threads} shown in ")), "{name}: {out}");
    }
}

#[test]
fn stacks_are_those_of_kframes() {
    for name in SNAPSHOTS {
        let members = members(&data(name));
        let states: HashMap<&str, &str> =
            rows(&members["threads"]).into_iter().map(|row| (row["PID"], row["S"])).collect();
        let functions = |pid: &str| -> Vec<String> {
            rows(&members["kframes"])
                .into_iter()
                .filter(|row| row["PID"] == pid)
                .map(|row| row["FRAME"].to_string())
                .collect()
        };
        let expected: HashSet<(String, Vec<String>)> = states
            .iter()
            .map(|(pid, state)| (state.to_string(), functions(pid)))
            .filter(|(_, frames)| !frames.is_empty())
            .collect();
        let out = text(&run(&["stacks", data(name).to_str().unwrap(), "--all"]).stdout);
        let found: Vec<(String, Vec<String>)> = out
            .split("\n\n")
            .filter(|part| !part.starts_with('#'))
            .map(|part| {
                let mut lines = part.lines();
                let head = lines.next().unwrap();
                let state = head.split(" in ").nth(1).unwrap().split(':').next().unwrap();
                let frames =
                    lines.filter(|line| !line.contains("may be of different moments")).map(|line| match line.trim() {
                        "(on a CPU: not walked)" => "on-cpu".into(),
                        "(dead: the stack is released)" => "released".into(),
                        line => line.split(' ').next().unwrap().to_string(),
                    });
                (state.trim_end_matches('?').to_string(), frames.collect())
            })
            .collect();
        assert!(found.len() >= expected.len() && found.len() > 5, "{name}");
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected, "{name}");
    }
}

#[test]
fn stacks_of_a_state_show_no_other() {
    let out = text(&run(&["stacks", data("stock").to_str().unwrap(), "--state", "D"]).stdout);
    assert!(out.starts_with("1 thread in D: vfork-parent; PID "), "{out}");
    assert!(out.contains("kernel_clone+0x"), "{out}");
    assert!(out.contains("left out by --state or --match"), "{out}");
}

#[test]
fn stacks_that_match_a_function() {
    let out = text(&run(&["stacks", data("stock").to_str().unwrap(), "--match", "do_sys_poll"]).stdout);
    let heads: Vec<&str> = out.lines().filter(|line| line.contains(" in S: ")).collect();
    assert!(!heads.is_empty());
    assert_eq!(heads.len(), out.matches("do_sys_poll+").count(), "{out}");
}

#[test]
fn folded_stacks_account_for_every_thread() {
    for name in SNAPSHOTS {
        let threads = rows(&members(&data(name))["threads"]).len();
        let out = text(&run(&["stacks", "--folded", "--all", "--user", data(name).to_str().unwrap()]).stdout);
        let sum: usize = out.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        assert_eq!(sum, threads, "{name}");
    }
}

#[test]
fn show_leads_from_user_space_into_the_kernel() {
    let snapshot = data("stock");
    let members = members(&snapshot);
    let pid = rows(&members["threads"]).into_iter().find(|row| row["COMM"] == "cook-2").unwrap()["PID"].to_string();
    let out = text(&run(&["show", &pid, "--from", snapshot.to_str().unwrap()]).stdout);
    let place = |text: &str| out.find(text).unwrap_or_else(|| panic!("no {text} in {out}"));
    assert!(place("/root/landscape+0x") < place("system call 34 of x86_64: pause("));
    assert!(place("pause(") < place("entry_SYSCALL_64_after_hwframe"));
    assert!(place("entry_SYSCALL_64_after_hwframe") < place("__do_sys_pause"));
    let frames = |table: &str| -> Vec<String> {
        let rows = rows(&members[table]).into_iter().filter(|row| row["PID"] == pid && row["FRAME"] != "end:");
        rows.map(|row| row["FRAME"].split(' ').next().unwrap().to_string()).collect()
    };
    // Outermost first, so the reverse of the tables.
    let expected: Vec<String> =
        frames("uframes").into_iter().rev().chain(frames("kframes").into_iter().rev()).collect();
    let found: Vec<&str> =
        out.lines().filter(|line| line.starts_with("    ") && line.contains("+0x")).map(str::trim).collect();
    assert_eq!(found, expected);
}

#[test]
fn show_does_not_call_a_chain_whole_that_may_lack_callers() {
    // busybox has no frame pointers: its one frame ends with "null".
    let out = text(&run(&["show", "148", "--from", data("stock").to_str().unwrap()]).stdout);
    assert!(out.contains("    (end: null; callers may be missing if the program has no frame pointers)\n"), "{out}");
    assert!(!out.contains("whole"), "{out}");
}

#[test]
fn show_of_a_pid_that_is_not_there_fails() {
    let out = run(&["show", "4000000", "--from", data("stock").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("there is no thread with PID 4000000"));
}

#[test]
fn json_has_every_row() {
    for name in SNAPSHOTS {
        let members = members(&data(name));
        let out = text(&run(&["json", data(name).to_str().unwrap()]).stdout);
        let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["taskscope"], 1);
        for table in
            ["threads", "processes", "kstacks", "kframes", "syscalls", "ustacks", "uframes", "segments", "contexts"]
        {
            let of_table: Vec<_> =
                lines.iter().filter(|line| line["table"] == table).filter_map(|line| line.get("row")).collect();
            let expected = rows(&members[table]);
            assert_eq!(of_table.len(), expected.len(), "{name}: {table}");
            for (found, expected) in of_table.iter().zip(&expected) {
                for (column, &value) in expected {
                    assert!(found[column].is_null() || value != "-" || column == &"COMM", "{name}: {table}: {column}");
                    // A name is compared up to its first space.
                    let found = match &found[column] {
                        serde_json::Value::Null => "-".to_string(),
                        serde_json::Value::String(text) => text.split(' ').next().unwrap().to_string(),
                        number => number.to_string(),
                    };
                    assert_eq!(found, value, "{name}: {table}: {column}");
                }
            }
        }
        let thread = lines.iter().find(|line| line["table"] == "threads").unwrap();
        assert!(thread["row"]["PID"].is_number() && thread["row"]["TASK"].is_string());
        let segment = lines.iter().find(|line| line["table"] == "segments" && !line["row"]["START"].is_null()).unwrap();
        assert!(segment["row"]["START"].is_string() && segment["row"]["SIZE"].is_number());
    }
}

#[test]
fn diff_with_itself_shows_the_thread_in_state_d() {
    let snapshot = data("stock");
    let out = run(&["diff", snapshot.to_str().unwrap(), snapshot.to_str().unwrap()]);
    let words = text(&out.stdout);
    // No time has passed, but the tables alone say that it stood still.
    assert!(words.contains("1 thread stood still in D: vfork-parent"), "{words}");
    assert!(!words.contains("came") && !words.contains("went"), "{words}");
    assert_eq!(out.status.code(), Some(1));
    let out = run(&["diff", snapshot.to_str().unwrap(), snapshot.to_str().unwrap(), "--match", "no such thread"]);
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn a_choice_of_set_pid_is_said() {
    let scratch = Scratch::new("chosen");
    let chosen = changed(&scratch, "chosen.tar", |members| {
        replace(members, "threads", "# 83 threads", "# 83 of 90 threads, the others left out by set_pid");
        replace(members, "uframes", ", 65 without", ", 65 without, 7 left out by set_pid");
    });
    let said = "set_pid has left out threads (threads says: 83 of 90 threads, the others left out by set_pid)";
    for command in [vec!["stacks", &chosen], vec!["json", &chosen], vec!["show", "1", "--from", &chosen]] {
        let out = run(&command);
        assert_eq!((out.status.code(), text(&out.stderr).matches("set_pid").count()), (Some(0), 2), "{command:?}");
        assert!(text(&out.stderr).contains(said), "{}", text(&out.stderr));
    }
    for command in [vec!["show", "4000000", "--from", &chosen], vec!["report", "--pid", "4000000", &chosen]] {
        let out = run(&command);
        assert_eq!(out.status.code(), Some(2));
        assert!(
            text(&out.stderr).contains("PID 4000000 is not among the threads that set_pid chooses"),
            "{}",
            text(&out.stderr)
        );
        assert!(!text(&out.stderr).contains("there is no thread"));
    }
    let cut = changed(&scratch, "cut.tar", |members| {
        let threads = members.get_mut("threads").unwrap();
        threads.truncate(threads.len() / 2);
    });
    let out = run(&["show", "148", "--from", &cut]);
    assert!(text(&out.stderr).contains("PID 148 is not in the part of threads that is there"), "{}", text(&out.stderr));
}

#[test]
fn states_are_letters_that_the_kernel_has() {
    for states in ["", "d", "running", "D,S", "Q"] {
        for command in [vec!["stacks", "-"], vec!["diff", "-", "-"]] {
            let out = program().args(command).args(["--state", states]).output().unwrap();
            assert_eq!(out.status.code(), Some(2), "{states}");
            assert!(text(&out.stderr).contains("for '--state <LETTERS>'"), "{states}: {}", text(&out.stderr));
        }
    }
    assert_eq!(run(&["stacks", data("stock").to_str().unwrap(), "--state", "RSDTtXZPI"]).status.code(), Some(0));
}

#[test]
fn json_says_its_version_and_has_null_for_no_name() {
    let scratch = Scratch::new("json");
    let changed = changed(&scratch, "changed.tar", |members| {
        members.insert("meta.json".into(), "no meta".into());
        members.insert("cpus".into(), "CPU PID COMM\n0 - -\n1 7 a\n# 2 CPUs online\n".into());
        members.insert("threads".into(), "TGID PID COMM\n9 9 -\n# 1 threads\n".into());
    });
    let out = text(&run(&["json", &changed]).stdout);
    assert!(out.starts_with("{\"taskscope\":1"), "{out}");
    assert!(out.contains(r#"{"table":"cpus","row":{"CPU":0,"PID":null,"COMM":null}}"#), "{out}");
    assert!(out.contains(r#"{"table":"threads","row":{"TGID":9,"PID":9,"COMM":"-"}}"#), "{out}");
}

#[test]
fn json_of_the_running_kernel_can_leave_out_contexts() {
    let scratch = Scratch::tables("json-live", "stock");
    let root = scratch.0.to_str().unwrap();
    let lines = |arguments: &[&str]| text(&run(&[&["--root", root, "json"], arguments].concat()).stdout);
    assert!(lines(&[]).contains(r#"{"table":"contexts","row""#));
    let without = lines(&["--no-contexts"]);
    assert!(without.contains(r#"{"table":"cpus""#) || without.contains(r#"{"table":"segments""#), "{without}");
    assert!(!without.contains(r#""table":"contexts""#), "{without}");
    let snapshot = data("stock");
    assert_eq!(run(&["json", snapshot.to_str().unwrap(), "--no-contexts"]).status.code(), Some(2));
}

#[test]
fn small_files_of_a_snapshot_have_a_limit() {
    let scratch = Scratch::new("large");
    for name in ["meta.json", "current", "set_pid"] {
        let large = changed(&scratch, "large.tar", |members| {
            members.insert(name.into(), "7\n".repeat(600_000));
        });
        let out = run(&["json", &large]);
        assert_eq!(out.status.code(), Some(2), "{name}");
        assert!(text(&out.stderr).contains(&format!("{name} in it is larger than 1 MB")), "{}", text(&out.stderr));
    }
}

/// The head of the group of a thread, or its first line in `show`, and the lines below it.
fn part_of(out: &str, name: &str) -> String {
    let part = out.split("\n\n").find(|part| part.lines().next().unwrap().contains(name));
    part.unwrap_or_else(|| panic!("no {name} in {out}")).to_string()
}

#[test]
fn rows_of_different_moments_are_said() {
    let scratch = Scratch::new("moments");
    let words = "may be of different moments";
    // A thread in state S whose frames say that it ran, with one count; and rows without a count.
    let ran = changed(&scratch, "ran.tar", |members| {
        let mut lines: Vec<&str> = members["kframes"].lines().collect();
        lines.retain(|line| line.split_whitespace().nth(1) != Some("148"));
        lines.insert(1, "148 148 2 - on-cpu");
        let text = lines.join("\n") + "\n";
        members.insert("kframes".into(), text);
    });
    let no_counts = changed(&scratch, "no_counts.tar", |members| {
        for table in ["threads", "ustacks"] {
            replace(members, table, "SWITCHES", "SWITCHED");
        }
    });
    for (file, names) in [(&ran, ["base64", "base64"]), (&no_counts, ["base64", "clerk"])] {
        for name in names {
            let stacks = part_of(&text(&run(&["stacks", file]).stdout), name);
            assert!(stacks.contains(" in S?: ") && stacks.contains(words), "{stacks}");
        }
        let show = text(&run(&["show", "148", "--from", file]).stdout);
        assert!(show.lines().next().unwrap().contains(words), "{show}");
        assert!(show.lines().find(|line| line.contains("user stack")).unwrap().contains(words), "{show}");
    }
    let user = text(&run(&["stacks", "--user", &ran]).stdout);
    assert!(part_of(&user, "base64").contains("-- user space (may be of different moments) --"), "{user}");
    // A thread that runs in all tables, and one that stands still in all.
    let stock = data("stock").to_str().unwrap().to_string();
    let out = text(&run(&["stacks", "--user", &stock]).stdout);
    for name in ["runner", "base64"] {
        assert!(!part_of(&out, name).contains(words), "{out}");
    }
    let show = text(&run(&["show", "148", "137", "--from", &stock]).stdout);
    assert!(!show.contains(words), "{show}");
}

#[test]
fn stacks_that_are_cut_short_are_said() {
    let scratch = Scratch::new("cut-frames");
    let words = "    (cut short: callers are missing)\n";
    let cut = changed(&scratch, "cut.tar", |members| {
        for (table, frame) in [("kframes", "anon_pipe_read"), ("uframes", "/usr/bin/busybox+0xae3f7")] {
            let text = members.get_mut(table).unwrap();
            let row = text.rfind(&format!(" {frame}")).unwrap();
            // Up to the end of this row, and a part of the next one.
            let end = row + text[row..].find('\n').unwrap();
            text.truncate(end + 4);
        }
    });
    let deep = changed(&scratch, "deep.tar", |members| {
        let frames = (0..64).map(|depth| format!("148 148 2 {depth} f{depth}+0x1/0x2\n")).collect::<Vec<_>>().concat();
        let head = members["kframes"].lines().next().unwrap().to_string();
        let summary = "# 1 threads\n# 64 frames\n# 1 stacks truncated, to the innermost 64 frames";
        members.insert("kframes".into(), format!("{head}\n{frames}{summary}\n"));
    });
    for (file, at_least) in [(&cut, "# at least 83 threads"), (&deep, "# 83 threads")] {
        let out = text(&run(&["stacks", file, "--match", "base64"]).stdout);
        assert!(out.contains(words), "{out}");
        let out = text(&run(&["stacks", file]).stdout);
        assert!(out.contains(at_least), "{out}");
        let show = text(&run(&["show", "148", "--from", file]).stdout);
        let (caller, kernel) = (show.rfind(words).unwrap(), show.find("kernel stack: ").unwrap());
        assert!(kernel < caller && caller < show.rfind("+0x").unwrap(), "{show}");
    }
    let diff = text(&run(&["diff", "--state", "S", &deep, &deep]).stdout);
    assert!(diff.contains(words), "{diff}");
    assert!(!text(&run(&["stacks", data("stock").to_str().unwrap()]).stdout).contains("cut short"));
    let head = part_of(&text(&run(&["stacks", &cut]).stdout), "base64");
    assert!(head.starts_with("at least 1 thread in S"), "{head}");
}

#[test]
fn the_page_says_when_the_tables_were_read() {
    let out = text(&run(&["report", data("stock").to_str().unwrap()]).stdout);
    // meta.json: from 74 to 227378 microseconds, with contexts
    assert!(out.contains("The tables were read one after another, within 228 ms"), "{out}");
    assert!(!out.contains("one instant"));
    // A directory says nothing of its tables: the program measures.
    let tables = Scratch::tables("times", "stock");
    fs::remove_file(tables.path("meta.json")).unwrap();
    let out = text(&run(&["--root", tables.0.to_str().unwrap(), "report"]).stdout);
    assert!(out.contains("one after another, within "), "{out}");
}

#[test]
fn the_page_has_the_complaints_of_both_snapshots_one_for_each_table() {
    let scratch = Scratch::new("complaints");
    let bad = changed(&scratch, "bad.tar", |members| {
        for table in ["threads", "contexts"] {
            let text = members.get_mut(table).unwrap();
            let end = text.rfind("\n#").unwrap();
            *text = format!("{}\nbad\x07", &text[..end / 2]);
        }
    });
    let stock = data("stock").to_str().unwrap().to_string();
    let out = text(&run(&["report", &bad, "--beside", &bad]).stdout);
    let header = out.split("</header>").next().unwrap();
    let banners: Vec<&str> = header.split("class=\"banner\">").skip(1).collect();
    let of = |start: &str| banners.iter().filter(|banner| banner.starts_with(start)).count();
    assert_eq!((of("threads: "), of("contexts: "), of("beside: contexts: ")), (1, 1, 1), "{banners:?}");
    let out = text(&run(&["report", &stock, "--beside", &bad]).stdout);
    assert!(out.contains("<p class=\"banner\">beside: contexts: its end is missing"));
}

#[test]
fn the_page_is_private_and_replaces_no_snapshot() {
    let scratch = Scratch::new("page");
    let snapshot = scratch.path("stock.tar");
    fs::copy(data("stock"), &snapshot).unwrap();
    let before = fs::read(&snapshot).unwrap();
    fs::hard_link(&snapshot, scratch.path("link.tar")).unwrap();
    for output in ["stock.tar", "link.tar"] {
        let out = run(&["report", snapshot.to_str().unwrap(), "-o", scratch.path(output).to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(2));
        assert!(text(&out.stderr).contains("is the snapshot"), "{}", text(&out.stderr));
        assert!(fs::read(&snapshot).unwrap() == before);
    }
    let page = scratch.path("page.html");
    fs::write(&page, "old").unwrap();
    let out = run(&["report", snapshot.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fs::read_to_string(&page).unwrap().ends_with("</html>"));
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 3, "no other file is left");
    let out = run(&["report", snapshot.to_str().unwrap(), "-o", scratch.path("no/page.html").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn threads_that_were_asked_for_and_are_not_drawn_are_named() {
    let scratch = Scratch::new("asked");
    let many = changed(&scratch, "many.tar", |members| {
        let rows = (1..=60)
            .map(|pid| format!("{pid} {pid} 0 0 0 S user set 1 0 5 7 1 1 - name-{pid}\n"))
            .collect::<Vec<_>>()
            .concat();
        let head = members["threads"].lines().next().unwrap().to_string();
        members.insert("threads".into(), format!("{head}\n{rows}# 60 threads\n"));
    });
    let mut arguments = vec!["report".to_string(), many];
    (1..=41).for_each(|pid| arguments.extend(["--pid".into(), pid.to_string()]));
    let out = text(&program().args(&arguments).output().unwrap().stdout);
    let named = out.split("not drawn, although --pid names it: PID ").nth(1).unwrap().split(';').next().unwrap();
    let absent: Vec<String> =
        (1..=41).map(|pid| pid.to_string()).filter(|pid| !out.contains(&format!("data-pid=\"{pid}\""))).collect();
    assert_eq!(absent, [named]);
}

#[test]
fn diff_into_a_closed_pipe_has_the_status_of_its_result() {
    let snapshot = data("stock");
    let mut child = program()
        .args(["diff", snapshot.to_str().unwrap(), snapshot.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn diff_fails_if_nothing_can_be_compared() {
    let scratch = Scratch::new("incomparable");
    let stock = data("stock").to_str().unwrap().to_string();
    let switches = changed(&scratch, "switches.tar", |members| replace(members, "kstacks", "SWITCHES", "SWITCHED"));
    let no_rows = changed(&scratch, "no_rows.tar", |members| {
        members.insert("kstacks".into(), "TGID PID SWITCHES BASE SIZE USED VALID COMM\n# 0 threads\n".into());
    });
    let cut = changed(&scratch, "cut.tar", |members| {
        let threads = members.get_mut("threads").unwrap();
        threads.truncate(threads.len() / 2);
    });
    let chosen = changed(&scratch, "chosen.tar", |members| {
        replace(members, "threads", "# 83 threads", "# 83 of 90 threads, the others left out by set_pid");
    });
    let no_boot = changed(&scratch, "no_boot.tar", |members| replace(members, "meta.json", "boot_id", "no_id"));
    let bad_boot = changed(&scratch, "bad_boot.tar", |members| {
        replace(members, "meta.json", "ff043aff-af6e-4faf-9413-87a188bd365e", "ff043aff");
    });
    for (a, b, words) in [
        (&stock, &switches, "no thread can be compared"),
        (&stock, &no_rows, "no thread can be compared"),
        (&cut, &stock, "the end of threads is missing in A"),
        (&stock, &cut, "the end of threads is missing in B"),
        (&chosen, &stock, "set_pid has left out threads in A"),
        (&stock, &chosen, "set_pid has left out threads in B"),
        (&no_boot, &stock, "A has no boot ID"),
        (&stock, &bad_boot, "B has no boot ID"),
        // Not known is not the same.
        (&no_boot, &no_boot, "A has no boot ID"),
    ] {
        let out = run(&["diff", a, b]);
        assert_eq!(out.status.code(), Some(2), "{a} {b}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(words), "{words}: {}", text(&out.stderr));
        assert!(out.stdout.is_empty());
    }
    let no_frames = changed(&scratch, "no_frames.tar", |members| {
        members.remove("kframes");
    });
    for (a, b) in [(&stock, &no_frames), (&no_frames, &stock)] {
        assert_eq!(run(&["diff", "--match", "x", a, b]).status.code(), Some(2));
        assert_eq!(run(&["diff", a, b]).status.code(), Some(1));
    }
}

#[test]
fn diff_says_that_the_later_snapshot_is_the_older_one() {
    let scratch = Scratch::new("older");
    let stock = data("stock").to_str().unwrap().to_string();
    let older = changed(&scratch, "older.tar", |members| replace(members, "meta.json", "1795973629", "1795973628"));
    assert!(text(&run(&["diff", &stock, &older]).stderr).contains("B is older than A"));
    assert!(!text(&run(&["diff", &older, &stock]).stderr).contains("older"));
}

#[test]
fn diff_finds_a_function_of_a_thread_that_went() {
    let scratch = Scratch::new("went");
    let without = changed(&scratch, "without.tar", |members| {
        for table in ["threads", "kstacks", "kframes"] {
            let lines = members[table].lines().filter(|line| line.split_whitespace().nth(1) != Some("148"));
            let text = lines.collect::<Vec<_>>().join("\n") + "\n";
            members.insert(table.into(), text);
        }
    });
    let out = run(&["diff", "--match", "anon_pipe_read", data("stock").to_str().unwrap(), &without]);
    assert!(text(&out.stdout).contains("1 thread went: base64; PID 148\n"), "{}", text(&out.stdout));
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn diff_of_two_machines_fails() {
    let out = run(&["diff", data("stock").to_str().unwrap(), data("arm64").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("two boots"));
}

#[test]
fn record_writes_the_tables_as_they_are() {
    let tables = Scratch::tables("record", "stock");
    fs::remove_file(tables.path("meta.json")).unwrap();
    let file = tables.path("new.tar");
    let root = tables.0.to_str().unwrap();
    let out = run(&["--root", root, "record", file.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let (mut new, mut old) = (members(&file), members(&data("stock")));
    let meta: serde_json::Value = serde_json::from_str(&new.remove("meta.json").unwrap()).unwrap();
    assert_eq!(meta["release"], fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    old.remove("meta.json");
    assert_eq!(new, old);

    // To standard output; without contexts; and not over a file that is there.
    let out = run(&["--root", root, "record", "-", "--no-contexts"]);
    assert_eq!(out.status.code(), Some(0));
    fs::write(tables.path("out.tar"), &out.stdout).unwrap();
    old.remove("contexts");
    let mut new = members(&tables.path("out.tar"));
    new.remove("meta.json");
    assert_eq!(new, old);
    let out = run(&["--root", root, "record", file.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("File exists"));
}

#[test]
fn record_says_what_it_could_not_read() {
    let tables = Scratch::tables("partly", "stock");
    fs::remove_file(tables.path("uframes")).unwrap();
    let out = run(&["--root", tables.0.to_str().unwrap(), "record", tables.path("new.tar").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("not recorded: uframes: "));
    let out = run(&["json", tables.path("new.tar").to_str().unwrap()]);
    assert!(text(&out.stdout).contains(r#"{"table":"uframes","error":"No such file or directory"#));
}

#[test]
fn a_fifo_instead_of_a_table_is_refused() {
    let tables = Scratch::tables("fifo", "stock");
    fs::remove_file(tables.path("kframes")).unwrap();
    assert!(Command::new("mkfifo").arg(tables.path("kframes")).status().unwrap().success());
    let out = run(&["--root", tables.0.to_str().unwrap(), "stacks"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("the table kframes cannot be read: is no regular file"));
}

#[test]
fn without_the_module_it_says_what_to_type() {
    let nothing = Scratch::new("nothing");
    for command in [vec!["stacks"], vec!["report"], vec!["json"], vec!["show", "1"], vec!["record", "-"]] {
        let out = program().args(["--root", nothing.0.to_str().unwrap()]).args(command).output().unwrap();
        assert_eq!(out.status.code(), Some(3));
        assert!(text(&out.stderr).contains("sudo insmod taskscope.ko"));
        assert!(out.stdout.is_empty());
    }
}

#[test]
fn what_is_no_snapshot_fails() {
    let scratch = Scratch::new("none");
    for (name, content) in [("empty", &b""[..]), ("text", b"PID COMM\n1 init\n# 1\n"), ("zeros", &[0; 4096])] {
        fs::write(scratch.path(name), content).unwrap();
        let out = run(&["stacks", scratch.path(name).to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(2), "{name}");
        assert!(text(&out.stderr).contains("has no table of taskscope in it"), "{name}");
    }
    assert_eq!(run(&["stacks", "/no/such/file"]).status.code(), Some(2));
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
}

#[test]
fn a_snapshot_of_a_later_version_fails() {
    let tables = Scratch::tables("later", "stock");
    fs::write(tables.path("meta.json"), br#"{"taskscope": 2}"#).unwrap();
    let mut archive = tar::Builder::new(fs::File::create(tables.path("later.tar")).unwrap());
    for name in ["meta.json", "threads"] {
        archive.append_path_with_name(tables.path(name), name).unwrap();
    }
    archive.finish().unwrap();
    let out = run(&["stacks", tables.path("later.tar").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("is of version 2, and this program knows version 1"));
}

#[test]
fn cut_snapshot_is_read_as_far_as_it_goes() {
    let scratch = Scratch::new("cut");
    let whole = fs::read(data("stock")).unwrap();
    let threads = members(&data("stock"))["threads"].len();
    // meta.json and `threads` are first; a part of `threads` is there.
    let place = whole.windows(14).position(|window| window == b"TGID PID PPID ").unwrap();
    fs::write(scratch.path("cut.tar"), &whole[..place + threads / 2]).unwrap();
    let out = run(&["report", scratch.path("cut.tar").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("threads: its end is missing"));
    assert!(text(&out.stdout).contains("In all: at least "));
    let out = run(&["stacks", scratch.path("cut.tar").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("the table kframes cannot be read"));
}

#[test]
fn closed_pipe_is_no_error() {
    for command in ["json", "stacks", "report"] {
        let mut child = program()
            .args([command, data("stock").to_str().unwrap()])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()), "{command}");
    }
}

#[test]
fn full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let out = program().args(["json", data("stock").to_str().unwrap()]).stdout(full).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("the output cannot be written"));
}

#[test]
fn no_escape_sequences_without_a_terminal() {
    for command in ["stacks", "json"] {
        let out = run(&[command, data("stock").to_str().unwrap()]);
        assert!(!out.stdout.contains(&0x1b), "{command}");
    }
}
