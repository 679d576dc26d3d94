//! nmi-safe: one count before the words are written, one after.

use crate::glue::{
    Latest,
    Word, //
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Relaxed,
    Release, //
};
use kernel::sync::barrier::{
    smp_mb,
    Full, //
};

pub(crate) struct Student {
    begun: Word,
    words: [Word; 2],
    done: Word,
}

impl Latest for Student {
    fn new() -> impl PinInit<Self, Error> {
        init!(Self {
            begun: Word::new(0),
            words: [Word::new(0), Word::new(0)],
            done: Word::new(0),
        }? Error)
    }

    fn publish(&self, pair: [u64; 2]) {
        let number = self.done.load(Relaxed) + 1;

        self.begun.store(number, Relaxed);
        smp_mb(Full);
        for (word, value) in self.words.iter().zip(pair) {
            word.store(value, Relaxed);
        }
        self.done.store(number, Release);
    }

    fn read(&self) -> Option<[u64; 2]> {
        let mut done = self.done.load(Acquire);

        while done != 0 {
            let pair = [0, 1].map(|at: usize| self.words[at].load(Acquire));

            smp_mb(Full);
            if self.begun.load(Relaxed) == done {
                return Some(pair);
            }
            done = self.done.load(Acquire);
        }
        None
    }
}
