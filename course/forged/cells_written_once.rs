//! Cells that are written once, more than the grader sends NMIs.
// Exercise: nmi-safe
// Fails: may not have: static

use crate::glue::Words;
use kernel::sync::atomic::{
    Acquire,
    Release, //
};
use kernel::sync::SetOnce;

static CELLS: [SetOnce<[u64; 2]>; 100_000] = [const { SetOnce::new() }; 100_000];

pub(crate) fn publish(words: &Words, pair: [u64; 2]) {
    let count = words[0].load(Acquire);

    CELLS[count as usize].populate(pair);
    words[0].store(count + 1, Release);
}

pub(crate) fn read(words: &Words) -> Option<[u64; 2]> {
    let count = words[0].load(Acquire) as usize;

    CELLS[..count].last()?.copy()
}
