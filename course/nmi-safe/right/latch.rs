//! nmi-safe: two copies, as `seqcount_latch_t` has them. A reader never waits.

use crate::glue::{
    Word,
    Words, //
};
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

/// What the words are.
struct Copied<'a> {
    pairs: [&'a [Word]; 2],
    sequence: &'a Word,
}

impl<'a> From<&'a Words> for Copied<'a> {
    fn from(words: &'a Words) -> Self {
        Self {
            pairs: [&words[..2], &words[2..4]],
            sequence: &words[4],
        }
    }
}

pub(crate) fn publish(words: &Words, pair: [u64; 2]) {
    let Copied { pairs, sequence } = words.into();
    let first = sequence.load(Relaxed);

    // Readers use the second copy while the first one is written, and then the other way round.
    for (at, copy) in pairs.iter().enumerate() {
        smp_mb(Write);
        sequence.store(first + 1 + at as u64, Release);
        smp_mb(Write);
        copy[0].store(pair[0], Relaxed);
        copy[1].store(pair[1], Relaxed);
    }
}

pub(crate) fn read(words: &Words) -> Option<[u64; 2]> {
    let Copied { pairs, sequence } = words.into();

    loop {
        let before = sequence.load(Acquire);
        let copy = &pairs[usize::from(before % 2 == 1)];
        let pair = [copy[0].load(Relaxed), copy[1].load(Relaxed)];

        smp_mb(Read);
        if sequence.load(Relaxed) == before {
            return (before > 1).then_some(pair);
        }
    }
}
