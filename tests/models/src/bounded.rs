// SPDX-License-Identifier: GPL-2.0

//! A run of loom in which a mistake is noted, and ends nothing: a panic amid loom's threads can end the process.

use std::sync::{Arc, Mutex};

/// How often a model changes from a thread that could go on to another. More changes find nothing else here, and take
/// minutes.
const CHANGES: usize = 3;

/// Calls `model` in all orders of its threads, and returns the first mistake that one of the calls has passed to its argument.
pub fn explore(model: impl Fn(&dyn Fn(String)) + Send + Sync + 'static) -> Option<String> {
    let first = Arc::new(Mutex::new(None));
    let found = first.clone();
    let mut builder = loom::model::Builder::new();

    builder.preemption_bound = Some(CHANGES);
    builder.check(move || {
        model(&|mistake| {
            found.lock().unwrap().get_or_insert(mistake);
        })
    });
    let mistake = first.lock().unwrap().take();
    mistake
}
