// SPDX-License-Identifier: GPL-2.0

//! What calls the student's functions in the exercise `nmi-safe`, in NMIs that it sends, and lets NMIs and reads meet at each
//! access to a word.

use crate::abstractions::cpus::online_now;
use crate::abstractions::nmi::{
    Handler,
    Record, //
};
use crate::lab::{
    Context,
    Exercise,
    Lines, //
};
use crate::student::{
    publish,
    read, //
};
use core::iter;
use kernel::cpu::CpuId;
use kernel::interrupt::local_interrupt_disable;
use kernel::prelude::*;
use kernel::processor::cpu_relax;
use kernel::sync::atomic::ordering::{
    AcquireOrRelaxed,
    ReleaseOrRelaxed, //
};
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use kernel::sync::Arc;

// Sound: this is the function of lab/helpers.c, with this signature.
unsafe extern "C" {
    /// Sends an NMI to a CPU. Any context.
    ///
    /// # Safety
    ///
    /// `cpu` is the number of a CPU.
    #[cfg(CONFIG_X86)]
    fn lab_send_nmi(cpu: c_uint);
}

/// A word that all contexts may share: an `Atomic<u64>` of the kernel crate. The difference is that the grader can let an
/// NMI come before each access.
pub(crate) struct Word(Atomic<u64>);

/// What NMIs and tasks share. All are 0 at first.
pub(crate) type Words = [Word; 256];

static WORDS: Words = [const { Word(Atomic::new(0)) }; 256];

#[allow(dead_code, reason = "a skeleton uses none")]
impl Word {
    /// Returns the value. As for `Atomic`, the order is [`Relaxed`] or [`Acquire`].
    pub(crate) fn load<Order: AcquireOrRelaxed>(&self, order: Order) -> u64 {
        before_access(self).unwrap_or_else(|| self.0.load(order))
    }

    /// Replaces the value. As for `Atomic`, the order is [`Relaxed`] or [`Release`].
    pub(crate) fn store<Order: ReleaseOrRelaxed>(&self, value: u64, order: Order) {
        before_access(self);
        if !Context::now().nmi {
            READ_HAS_STORED.store(1, Relaxed);
        }
        self.0.store(value, order);
    }
}

/// No access.
const NEVER: i64 = -1;

/// After so many accesses, a `publish()` waits for something that will not come; and so does a `read()` that has made as many
/// since the latest NMI.
const MOST_ACCESSES: i64 = 10_000;

/// How many accesses a reader on another CPU may need to see what there is to see of a half-published pair; and how many it
/// makes before the last access of one, which are more than those of a reader that gives up some day.
const ENOUGH: i64 = 200;
const PATIENT: i64 = 200_000;

/// How many accesses of a `read()` are noted with what they have found.
const MOST_FOUND: usize = 64;

/// How many NMIs have been sent; how many of them have published their pair.
static SENT: Atomic<i64> = Atomic::new(0);
static PUBLISHED: Atomic<i64> = Atomic::new(0);
/// How many accesses the present `publish()` has made; before which one it pauses, and for how many of a reader.
static PUBLISH_AT: Atomic<i64> = Atomic::new(0);
static PAUSE_AT: Atomic<i64> = Atomic::new(NEVER);
static PAUSE_FOR: Atomic<i64> = Atomic::new(0);
/// How many accesses the present `read()` has made, and how many since the latest NMI; before which one NMIs come, and how many.
static READ_AT: Atomic<i64> = Atomic::new(0);
static ALONE: Atomic<i64> = Atomic::new(0);
static INTERRUPT_AT: Atomic<i64> = Atomic::new(NEVER);
static TIMES: Atomic<i64> = Atomic::new(0);
/// What the accesses of the latest `read()` have found. [`NEVER`], or how many accesses of a `read()` find the same again.
static FOUND: [Atomic<u64>; MOST_FOUND] = [const { Atomic::new(0) }; MOST_FOUND];
static FOUND_AGAIN: Atomic<i64> = Atomic::new(NEVER);
/// How many accesses all reads have made, and how many reads have ended.
static ACCESSES: Atomic<i64> = Atomic::new(0);
static READS: Atomic<i64> = Atomic::new(0);
/// Whether a `publish()` has waited; whether a read has; whether a read has stored.
static HAS_WAITED: Atomic<i64> = Atomic::new(0);
static READ_HAS_WAITED: Atomic<i64> = Atomic::new(0);
static READ_HAS_STORED: Atomic<i64> = Atomic::new(0);

/// Lets happen what is to happen before an access. Returns what a load finds instead of the value of the word: what an
/// earlier read has found; or a value that ends a loop that waits for something that will not come.
fn before_access(word: &Word) -> Option<u64> {
    let (accesses, has_waited) = if Context::now().nmi {
        (before_access_of_publish(), &HAS_WAITED)
    } else {
        // CAST: It is not negative.
        let at = READ_AT.fetch_add(1, Relaxed) as usize;

        // CAST: It is no more than MOST_FOUND, and `NEVER` is less than all.
        if (at as i64) < FOUND_AGAIN.load(Relaxed) {
            return FOUND.get(at).map(|found| found.load(Relaxed));
        }
        (before_access_of_read(word, at), &READ_HAS_WAITED)
    };

    if accesses < MOST_ACCESSES {
        return None;
    }
    has_waited.store(1, Relaxed);
    // CAST: It is not negative.
    Some(accesses as u64 % 2)
}

/// Returns how many accesses the present `publish()` has made.
fn before_access_of_publish() -> i64 {
    let at = PUBLISH_AT.fetch_add(1, Relaxed);

    if at == PAUSE_AT.load(Relaxed) {
        pause();
    }
    at
}

/// Returns how many accesses the present `read()` has made since the latest NMI. While an NMI is under way, a read may
/// have to wait for it, as long as the host has no time for that CPU.
fn before_access_of_read(word: &Word, at: usize) -> i64 {
    ACCESSES.fetch_add(1, Relaxed);
    // CAST: It counts accesses.
    if at as i64 == INTERRUPT_AT.load(Relaxed) {
        for _ in 0..TIMES.load(Relaxed) {
            interrupt(CpuId::current());
            if HAS_WAITED.load(Relaxed) != 0 {
                break;
            }
        }
    }
    if PUBLISHED.load(Relaxed) != SENT.load(Relaxed) {
        ALONE.store(0, Relaxed);
    }
    if let (NEVER, Some(found)) = (FOUND_AGAIN.load(Relaxed), FOUND.get(at)) {
        found.store(word.0.load(Relaxed), Relaxed);
    }
    ALONE.fetch_add(1, Relaxed)
}

/// Waits in an NMI until the reader on the other CPU, which has its interrupts disabled, has seen enough.
fn pause() {
    let accesses = ACCESSES.load(Relaxed) + PAUSE_FOR.load(Relaxed);
    let reads = READS.load(Relaxed) + 2;

    while ACCESSES.load(Relaxed) < accesses && READS.load(Relaxed) < reads {
        cpu_relax();
    }
}

/// Sends an NMI that publishes the next pair.
fn send(cpu: CpuId) {
    SENT.fetch_add(1, Full);
    #[cfg(CONFIG_X86)]
    // SAFETY: A `CpuId` is the number of a CPU.
    unsafe {
        lab_send_nmi(cpu.as_u32())
    };
}

/// Sends such an NMI, and waits until it is over.
fn interrupt(cpu: CpuId) {
    let published = PUBLISHED.load(Acquire);

    send(cpu);
    while PUBLISHED.load(Acquire) == published {
        cpu_relax();
    }
}

/// Returns the pair that is published as this one, from 1 on: the first is the word of this run, forwards and backwards,
/// the others cannot be guessed.
fn pair(number: i64, word: u64) -> [u64; 2] {
    let letters = word.to_le_bytes();
    let mut backwards = letters;

    backwards[..7].reverse();
    if number == 1 {
        return [word, u64::from_le_bytes(backwards)];
    }
    [word, u64::from_le_bytes(backwards)].map(|seed| {
        // CAST: It is not negative. The rest is the finalizer of MurmurHash3.
        let mut hash = seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);

        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    })
}

/// What the NMI handler calls.
struct Publisher {
    word: u64,
}

impl Record for Publisher {
    unsafe fn record(&self, _cpu: CpuId) -> bool {
        let next = PUBLISHED.load(Relaxed) + 1;

        if SENT.load(Acquire) < next {
            // An NMI of someone else.
            return false;
        }

        PUBLISH_AT.store(0, Relaxed);
        publish(&WORDS, pair(next, self.word));
        PUBLISHED.store(next, Release);
        true
    }
}

pub(crate) struct Answers {
    word: u64,
    _handler: Handler,
}

/// What was seen of some reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Whole,
    Nothing,
    Old,
    Torn,
}

impl Seen {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Nothing => "nothing",
            Self::Old => "old",
            Self::Torn => "torn",
        }
    }
}

impl Answers {
    /// Reads once.
    fn read(&self) -> Seen {
        self.read_since(PUBLISHED.load(Acquire))
    }

    /// Reads once. The read is as if it had begun when so many pairs had been published.
    fn read_since(&self, begin: i64) -> Seen {
        READ_AT.store(0, Relaxed);
        ALONE.store(0, Relaxed);
        let found = read(&WORDS);
        READS.fetch_add(1, Relaxed);

        // The next one may be complete, and not be counted yet.
        let end = PUBLISHED.load(Acquire) + 1;
        let is = |number: i64| found == Some(pair(number, self.word));

        if found.is_none() {
            Seen::Nothing
        } else if is(begin.max(1)) || (begin.max(1)..=end).rev().any(is) {
            Seen::Whole
        } else if (1..begin).any(is) {
            Seen::Old
        } else {
            Seen::Torn
        }
    }

    /// Reads while NMIs come before an access of the read. They come to the CPU that reads.
    fn read_interrupted(&self, at: i64, times: i64) -> Seen {
        TIMES.store(times, Relaxed);
        INTERRUPT_AT.store(at, Relaxed);
        let seen = self.read();
        INTERRUPT_AT.store(NEVER, Relaxed);
        seen
    }

    /// Reads while an NMI of another CPU pauses before an access of its `publish()`, for so many accesses.
    fn read_beside(&self, at: i64, accesses: i64) -> Result<Seen> {
        // Nothing waits for this CPU, and this CPU waits for nothing but the NMI.
        let _interrupts = local_interrupt_disable();
        let this = CpuId::current();
        let other = online_now()
            .find(|cpu| cpu.as_u32() != this.as_u32())
            .ok_or(ENODEV)?;
        let before = PUBLISHED.load(Acquire);
        let mut worst = Seen::Whole;

        PAUSE_FOR.store(accesses, Relaxed);
        PAUSE_AT.store(at, Relaxed);
        send(other);
        loop {
            let is_over = PUBLISHED.load(Acquire) != before;
            let seen = self.read();

            if seen != Seen::Whole {
                worst = seen;
            }
            if is_over {
                break;
            }
        }
        PAUSE_AT.store(NEVER, Relaxed);
        Ok(worst)
    }

    /// Returns what reads have seen before whose access there came one NMI, two, and so on, up to `most`.
    ///
    /// A read depends on nothing but what its accesses find. So after each NMI this reads anew for each access, and has
    /// the accesses before it find what those of a read have found that was before the first NMI.
    fn read_lapped(&self, most: i64) -> (i64, Seen) {
        let begin = PUBLISHED.load(Acquire);
        let mut seen = self.read();
        let found = READ_AT.load(Relaxed).min(MOST_FOUND as i64);

        for _ in 0..most {
            interrupt(CpuId::current());
            for at in 0..found {
                FOUND_AGAIN.store(at, Relaxed);
                seen = self.read_since(begin);
                FOUND_AGAIN.store(NEVER, Relaxed);
                if seen != Seen::Whole {
                    return (at, seen);
                }
            }
        }
        (0, seen)
    }
}

/// Adds what was seen, with the first place at which that was not right.
fn add(lines: &mut Lines, key: &str, places: impl Iterator<Item = Result<(i64, Seen)>>) -> Result {
    for place in places {
        let (at, seen) = place?;

        if seen != Seen::Whole {
            return lines.add(fmt!("{key}: {}, before access {}", seen.name(), at + 1));
        }
    }
    lines.add(fmt!("{key}: whole"))
}

/// The letters of a word.
struct Letters(u64);

impl kernel::fmt::Display for Letters {
    fn fmt(&self, formatter: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        for letter in self.0.to_le_bytes() {
            if letter.is_ascii_lowercase() {
                formatter.write_fmt(fmt!("{}", char::from(letter)))?;
            }
        }
        Ok(())
    }
}

impl Exercise for Answers {
    fn load(word: &str) -> Result<Self> {
        let mut letters = [0; 8];

        letters[..word.len()].copy_from_slice(word.as_bytes());
        let word = u64::from_le_bytes(letters);

        Ok(Self {
            word,
            _handler: Handler::register(Arc::new(Publisher { word }, GFP_KERNEL)?)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        // How many NMIs come at once, at most: another number in each run, and enough for a count of 16 bits.
        // CAST: It is small.
        let many = 33_000 + (pair(0, self.word)[0] % 1000) as i64;

        READ_HAS_STORED.store(0, Relaxed);
        let before = self.read();

        lines.add(fmt!("before: {}", before.name()))?;
        interrupt(CpuId::current());
        let accesses = PUBLISH_AT.load(Relaxed);

        READ_AT.store(0, Relaxed);
        ALONE.store(0, Relaxed);
        match read(&WORDS) {
            Some([first, second]) => {
                lines.add(fmt!("first: {}", Letters(first)))?;
                lines.add(fmt!("second: {}", Letters(second)))?;
            }
            None => {
                lines.add(fmt!("first: nothing"))?;
                lines.add(fmt!("second: nothing"))?;
            }
        }

        let reads = READ_AT.load(Relaxed);
        let mut quiet = (0..20).map(|number| {
            interrupt(CpuId::current());
            Ok((number, self.read()))
        });

        add(lines, "latest", &mut quiet)?;
        lines.add(fmt!("accesses: {accesses} {reads}"))?;

        add(
            lines,
            "reader",
            (0..reads).map(|at| Ok((at, self.read_interrupted(at, 1)))),
        )?;
        add(
            lines,
            "lapped",
            (0..reads)
                .flat_map(|at| [2, 3, 4, 128].map(|times| (at, times)))
                .map(|(at, times)| Ok((at, self.read_interrupted(at, times)))),
        )?;
        add(lines, "wraps", iter::once(Ok(self.read_lapped(many))))?;
        add(
            lines,
            "writer",
            (0..accesses).map(|at| {
                let is_last = at + 1 == accesses;

                Ok((
                    at,
                    self.read_beside(at, if is_last { PATIENT } else { ENOUGH })?,
                ))
            }),
        )?;
        add(
            lines,
            "beside",
            (0..200).map(|number| Ok((number, self.read_beside(NEVER, 0)?))),
        )?;
        lines.add(fmt!("waits: {}", HAS_WAITED.load(Relaxed)))?;
        lines.add(fmt!("read-waits: {}", READ_HAS_WAITED.load(Relaxed)))?;
        lines.add(fmt!("read-stores: {}", READ_HAS_STORED.load(Relaxed)))?;
        lines.add(fmt!("nmis: {}", PUBLISHED.load(Relaxed)))
    }
}
