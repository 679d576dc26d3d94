//! nmi-safe: one count before the words are written, one after.

use crate::glue::Words;
use kernel::sync::atomic::{
    Acquire,
    Relaxed,
    Release, //
};
use kernel::sync::barrier::{
    smp_mb,
    Full, //
};

/// Which word has the number of the pair that is begun, and which that of the pair that is done.
const BEGUN: usize = 0;
const DONE: usize = 3;

pub(crate) fn publish(words: &Words, pair: [u64; 2]) {
    let number = words[DONE].load(Relaxed) + 1;

    words[BEGUN].store(number, Relaxed);
    smp_mb(Full);
    for (word, value) in words[1..].iter().zip(pair) {
        word.store(value, Relaxed);
    }
    words[DONE].store(number, Release);
}

pub(crate) fn read(words: &Words) -> Option<[u64; 2]> {
    let mut done = words[DONE].load(Acquire);

    while done != 0 {
        let pair = [1, 2].map(|at: usize| words[at].load(Acquire));

        smp_mb(Full);
        if words[BEGUN].load(Relaxed) == done {
            return Some(pair);
        }
        done = words[DONE].load(Acquire);
    }
    None
}
