// SPDX-License-Identifier: GPL-2.0

//! Runs loom. A mistake is recorded instead of raised, because a panic in one of loom's threads can end the process.

use std::sync::{Arc, Mutex};

/// At how many points loom may stop a thread that could go on. With 5 the model of the switch count notices the same
/// mistakes, and takes five times as long.
const PREEMPTIONS: usize = 3;

/// Calls `model` in each order of loads and stores that loom has with so few preemptions. Returns the first mistake that
/// `model` reports through its argument.
///
/// loom has no load that sees a store which the same thread's earlier loads lead to. No thread of these models loads
/// before it stores.
pub fn explore(model: impl Fn(&dyn Fn(String)) + Send + Sync + 'static) -> Option<String> {
    let first = Arc::new(Mutex::new(None));
    let found = first.clone();
    let mut builder = loom::model::Builder::new();

    // The environment may not cut the run short.
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        model(&|mistake| {
            found.lock().unwrap().get_or_insert(mistake);
        })
    });
    let mistake = first.lock().unwrap().take();
    mistake
}
