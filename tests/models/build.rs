// SPDX-License-Identifier: GPL-2.0

//! Copies the module's sources that the models compile, and versions of them with one mistake each; writes a test for each
//! mistake. With TASKSCOPE_MISTAKES=no in the environment it copies the sources only, which may have a mistake then.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A mistake: the text `right` of a source is replaced by `wrong`. The model must notice it.
struct Mistake {
    name: &'static str,
    right: &'static str,
    wrong: &'static str,
}

/// The copies of a source: without mistakes, and with one each.
struct Source {
    path: &'static str,
    /// Texts that the models replace, and by what.
    adapted: &'static [(&'static str, &'static str)],
    mistakes: &'static [Mistake],
}

const SOURCES: &[Source] = &[
    Source {
        path: "abstractions/latest.rs",
        // The cell is the model's own. A reader tries twice instead of a thousand times.
        adapted: &[
            ("use core::cell::UnsafeCell;", "use crate::cell::UnsafeCell;"),
            ("TRIES: usize = 1000", "TRIES: usize = 2"),
        ],
        mistakes: &[
            Mistake {
                name: "odd_sequence_after_value",
                right: "smp_mb(Write);",
                wrong: "",
            },
            Mistake {
                name: "even_sequence_before_value",
                right: ".max(2), Release);",
                wrong: ".max(2), Relaxed);",
            },
            Mistake {
                name: "value_before_first_sequence",
                right: "self.sequence.load(Acquire)",
                wrong: "self.sequence.load(Relaxed)",
            },
            Mistake {
                name: "second_sequence_before_value",
                right: "smp_mb(Read);",
                wrong: "",
            },
            Mistake {
                name: "odd_sequence_accepted",
                right: "before % 2 == 0 && ",
                wrong: "",
            },
            Mistake {
                name: "sequence_not_compared",
                right: " && self.sequence.load(Relaxed) == before",
                wrong: "",
            },
            Mistake {
                name: "no_value_yet",
                right: "if before == 0 {",
                wrong: "if before == 1 {",
            },
        ],
    },
    Source {
        path: "abstractions/switch_count.rs",
        adapted: &[],
        mistakes: &[
            Mistake {
                name: "stack_before_on_cpu",
                right: "// With this the load of `on_cpu` has acquire semantics.\n    smp_mb(Read);",
                wrong: "",
            },
            Mistake {
                name: "on_cpu_before_count",
                right: "// What the caller reads after this call is read after the counts.\n        smp_mb(Read);",
                wrong: "",
            },
            Mistake {
                name: "second_on_cpu_before_stack",
                right: "// What the caller has read is read before what follows.\n        smp_mb(Read);",
                wrong: "",
            },
            Mistake {
                name: "count_after_on_cpu",
                right: "let before = SwitchCount::now(task);\n    let seen = check_switched_out(task).and_then(|()| {",
                wrong: "let mut before = SwitchCount::now(task);\n    let seen = check_switched_out(task).and_then(|()| {\n        before = SwitchCount::now(task);",
            },
            Mistake {
                name: "of_reads_count_after_on_cpu",
                right: "let count = Self::now(task);\n\n        check_switched_out(task)?;",
                wrong: "check_switched_out(task)?;\n        let count = Self::now(task);",
            },
            Mistake {
                name: "first_on_cpu_not_asked",
                right: "let seen = check_switched_out(task).and_then(",
                wrong: "let seen = Ok(()).and_then(",
            },
            Mistake {
                name: "second_on_cpu_not_asked",
                right: "smp_mb(Read);\n        check_switched_out(task)?;",
                wrong: "smp_mb(Read);",
            },
            Mistake {
                name: "on_cpu_not_asked",
                right: "field!(task, on_cpu) != 0",
                wrong: "false",
            },
            Mistake {
                name: "counts_not_compared",
                right: "if Self::now(task) == self {",
                wrong: "if true {",
            },
            Mistake {
                name: "involuntary_switches_not_counted",
                right: "voluntary.wrapping_add(involuntary)",
                wrong: "voluntary.wrapping_add(0 * involuntary)",
            },
            Mistake {
                name: "voluntary_switches_not_counted",
                right: "voluntary.wrapping_add(involuntary)",
                wrong: "(0 * voluntary).wrapping_add(involuntary)",
            },
            Mistake {
                name: "released_stack_read",
                right: "field!(task, stack_refcount.refs.counter) == 0",
                wrong: "false",
            },
        ],
    },
    Source {
        path: "capture/walk.rs",
        adapted: &[],
        mistakes: &[
            Mistake {
                name: "dead_anchor_visits_all_again",
                right: "        position: 0,\n        alive: 0,",
                wrong: "        position: log.entries.len(),\n        alive: 0,",
            },
            Mistake {
                name: "finished_process_not_skipped",
                right: "cursor.skip_process();",
                wrong: "",
            },
            Mistake {
                name: "last_process_is_finished",
                right: "if found < self.last {",
                wrong: "if found <= self.last {",
            },
            Mistake {
                name: "log_compares_threads_of_any_process",
                right: "seen.process == task.process)",
                wrong: "seen.thread == task.thread)",
            },
            Mistake {
                name: "younger_thread_finishes_nothing",
                right: "if last.start_time() > began {",
                wrong: "if false {",
            },
            Mistake {
                name: "younger_process_walked",
                right: "if process.leader().start_time() > began {",
                wrong: "if false {",
            },
            Mistake {
                name: "older_process_ends_the_walk",
                right: "if process.leader().start_time() > began {",
                wrong: "if process.leader().start_time() + 20 > began {",
            },
            Mistake {
                name: "dead_thread_resumes_after_its_process",
                right: "return resumed(Cursor::Threads(threads), log.last);",
                wrong: "return resumed(Cursor::Threads(threads), log.entries.len());",
            },
            Mistake {
                name: "next_task_is_passed",
                right: "Some(ahead) => Met::Again(found + ahead + 1),",
                wrong: "Some(ahead) => Met::Again(found + ahead + 2),",
            },
        ],
    },
];

/// Replaces a text that the source has once.
fn replace(path: &str, source: &str, right: &str, wrong: &str) -> String {
    let found = source.matches(right).count();

    assert_eq!(found, 1, "{path} has {found} times: {right}");
    source.replace(right, wrong)
}

/// Returns the source as `include!` takes it: without the documentation of the file, and without its KUnit suite, whose
/// attribute is the kernel's.
fn includable(source: &str) -> String {
    let end = source.find("#[kunit_tests").unwrap_or(source.len());
    let lines = source[..end]
        .lines()
        .filter(|line| !line.starts_with("//!"));

    lines.collect::<Vec<_>>().join("\n")
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let with_mistakes = env::var_os("TASKSCOPE_MISTAKES").is_none_or(|value| value != "no");

    println!("cargo::rerun-if-env-changed=TASKSCOPE_MISTAKES");

    for Source {
        path,
        adapted,
        mistakes,
    } in SOURCES
    {
        let mistakes = if with_mistakes { *mistakes } else { &[] };
        let file = Path::new("../../src").join(path);
        let name = file.file_stem().unwrap().to_str().unwrap();
        let mut source = includable(&fs::read_to_string(&file).unwrap());

        for (kernels, models) in *adapted {
            source = replace(path, &source, kernels, models);
        }
        println!("cargo::rerun-if-changed={}", file.display());
        fs::write(out.join(format!("{name}.rs")), &source).unwrap();
        for mistake in mistakes {
            let wrong = replace(path, &source, mistake.right, mistake.wrong);
            fs::write(out.join(format!("{name}.{}.rs", mistake.name)), wrong).unwrap();
        }
        let tests: String = mistakes.iter().fold(String::new(), |tests, mistake| {
            let name = mistake.name;
            tests
                + &format!("#[test] fn {name}() {{ assert!(explore!(\".{name}\").is_some()); }}\n")
        });
        fs::write(out.join(format!("{name}.mistakes.rs")), tests).unwrap();
    }
}
