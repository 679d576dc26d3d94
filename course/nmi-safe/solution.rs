//! nmi-safe: two words that an NMI publishes, and that are never torn.

use crate::glue::{
    Latest,
    Word, //
};
use kernel::prelude::*;
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

pub(crate) struct Student {
    //> begin
    /// 0 at first, odd while a pair is being written.
    sequence: Word,
    //> end
    first: Word,
    second: Word,
}

impl Latest for Student {
    fn new() -> impl PinInit<Self, Error> {
        Ok(Self {
            //> begin
            sequence: Word::new(0),
            //> end
            first: Word::new(0),
            second: Word::new(0),
        })
    }

    fn publish(&self, pair: [u64; 2]) {
        //| let _ = (&self.first, &self.second, pair);
        //> begin
        let sequence = self.sequence.load(Relaxed);

        self.sequence.store(sequence + 1, Relaxed);
        // The odd number is seen before any of what follows.
        smp_mb(Write);
        self.first.store(pair[0], Relaxed);
        self.second.store(pair[1], Relaxed);
        // What precedes is seen before the even number.
        self.sequence.store(sequence + 2, Release);
        //> end
    }

    fn read(&self) -> Option<[u64; 2]> {
        //| None
        //> begin
        loop {
            let sequence = self.sequence.load(Acquire);

            if sequence == 0 {
                return None;
            }

            let pair = [self.first.load(Relaxed), self.second.load(Relaxed)];

            smp_mb(Read);
            if sequence % 2 == 0 && self.sequence.load(Relaxed) == sequence {
                return Some(pair);
            }
        }
        //> end
    }
}
