//! nmi-safe: two words that an NMI publishes, and that are never torn.

use crate::glue::Words;
//> begin
use kernel::sync::atomic::{
    Acquire,
    Relaxed,
    Release, //
};
use kernel::sync::barrier::{
    smp_mb,
    Read,
    Write, //
};
//> end

/// Publishes a pair of words. Runs in an NMI: it must never wait.
pub(crate) fn publish(words: &Words, pair: [u64; 2]) {
    //| let [_first, _second, ..] = words;
    //| let _ = pair;
    //> begin
    // The sequence is 0 at first, and odd while a pair is being written.
    let [sequence, first, second, ..] = words;
    let number = sequence.load(Relaxed);

    sequence.store(number + 1, Relaxed);
    // The odd number is seen before any of what follows.
    smp_mb(Write);
    first.store(pair[0], Relaxed);
    second.store(pair[1], Relaxed);
    // What precedes is seen before the even number.
    sequence.store(number + 2, Release);
    //> end
}

/// Returns a pair that was published when this was called, or since; [`None`] if nothing has been published. Runs in
/// tasks. It loads words, and stores none.
pub(crate) fn read(words: &Words) -> Option<[u64; 2]> {
    //| let _ = words;
    //| None
    //> begin
    let [sequence, first, second, ..] = words;

    loop {
        let number = sequence.load(Acquire);

        if number == 0 {
            return None;
        }

        let pair = [first.load(Relaxed), second.load(Relaxed)];

        smp_mb(Read);
        if number % 2 == 0 && sequence.load(Relaxed) == number {
            return Some(pair);
        }
    }
    //> end
}
