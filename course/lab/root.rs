// SPDX-License-Identifier: GPL-2.0

//! The module of a WRITE exercise: the file `/sys/kernel/debug/exercise/answer`, whose text the student's code makes
//! when the file is opened.
//!
//! The student's file has no unsafe code: the compiler refuses it, whatever that file allows. So only code of the
//! course can do what the type system does not check.

// course/run puts all of these files in their places; in the project they are elsewhere, so rustfmt is not to look for them.
#[allow(dead_code, unused_imports, unused_macros, reason = "an exercise uses a part")]
#[path = "../src/abstractions/mod.rs"]
#[rustfmt::skip]
mod abstractions;
#[allow(dead_code, reason = "an exercise uses a part")]
mod cpus;
mod glue;
#[allow(dead_code, unused_imports, reason = "an exercise uses a part")]
mod lab;
#[allow(dead_code, reason = "an exercise uses a part")]
mod preempt_count;
#[forbid(unsafe_code)]
#[path = "../student.rs"]
#[rustfmt::skip]
mod student;
#[allow(dead_code, unused_imports, reason = "an exercise uses a part")]
#[path = "../src/text/mod.rs"]
#[rustfmt::skip]
mod text;

use crate::abstractions::seq::{
    Directory,
    ReadOnly,
    Table, //
};
use crate::glue::Answers;
use crate::lab::{
    Exercise,
    Lines, //
};
use crate::text::line::Line;
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::Arc;

module! {
    type: Loaded,
    name: "exercise",
    authors: ["The taskscope authors"],
    description: "An exercise of the course",
    license: "GPL",
    params: {
        word: u64 {
            default: 0,
            description: "The word of this run, as a number: eight letters, the first in the lowest byte",
        },
    },
}

/// What the file shares with the module.
struct Shared {
    exercise: Arc<Answers>,
}

/// The text of an open file.
struct Answer(Lines);

impl Table for Answer {
    type Shared = Shared;
    type Input = ReadOnly;

    fn open(shared: &Shared) -> Result<Self> {
        let mut lines = Lines::new();

        shared.exercise.show(&mut lines)?;
        Ok(Self(lines))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, rows: Range<usize>, line: &mut Line<'_>) {
        for row in rows {
            line.bytes(self.0.line(row));
        }
    }
}

/// The module while it is loaded.
struct Loaded {
    // Dropped in this order: no file is open when the exercise ends.
    _directory: Directory<Shared>,
    exercise: Arc<Answers>,
    word: [u8; 8],
}

/// Returns the letters of the word.
fn letters(word: &[u8; 8]) -> &str {
    let end = word
        .iter()
        .position(|&letter| letter == 0)
        .unwrap_or(word.len());

    core::str::from_utf8(&word[..end]).unwrap_or("")
}

impl kernel::Module for Loaded {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let word = module_parameters::word.value().to_le_bytes();
        let exercise = Arc::new(Answers::load(letters(&word))?, GFP_KERNEL)?;
        let directory = Directory::new(
            c"exercise",
            Ok::<_, Error>(Shared {
                exercise: exercise.clone(),
            }),
        )?;

        directory.add::<Answer>(c"answer", 0o400)?;
        // From here on, nothing may fail.
        directory.publish();
        Ok(Self {
            _directory: directory,
            exercise,
            word,
        })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.exercise.unload(letters(&self.word));
    }
}
