// SPDX-License-Identifier: GPL-2.0

//! What calls the student's function in the exercise `segment-of`: for the addresses at which something begins or ends,
//! a line with the address and the answer.

use crate::lab::{
    Exercise,
    Lines,
    Space,
    TaskView,
    PF_KTHREAD, //
};
use crate::student::segment_of;
use core::mem;
use core::ops::Range;
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    rcu,
    Mutex, //
};

/// A segment of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a skeleton uses none")]
pub(crate) enum Segment {
    /// The code.
    Text,
    /// What has a first value in the program's file.
    Data,
    /// What begins as zeros.
    Bss,
    /// What `brk()` has made larger.
    Heap,
    /// The stack of the first thread.
    Stack,
    /// Any other mapping.
    Mapping,
}

/// An address, and what the student's function has said of it.
type Answer = (usize, Option<Segment>);

/// What the file shares between those who open it.
struct Latest {
    /// The addresses of the latest program.
    addresses: KVVec<usize>,
    /// The answers when a kernel thread has asked for these.
    kernel: KVVec<Answer>,
}

pub(crate) struct Answers {
    latest: Pin<KBox<Mutex<Latest>>>,
}

/// Adds the first and the last byte of a range, and those beside them.
fn add(addresses: &mut KVVec<usize>, range: &Range<usize>) -> Result {
    for address in [
        range.start.wrapping_sub(1),
        range.start,
        range.end.wrapping_sub(1),
        range.end,
    ] {
        addresses.push(address, GFP_KERNEL)?;
    }
    Ok(())
}

/// Returns addresses of the address space in which this code runs.
fn addresses() -> Result<KVVec<usize>> {
    let space = Space::of_current().ok_or(EINVAL)?;
    let parts = space.parts();
    let mut addresses = KVVec::new();
    let mut from = 0;

    while let Some(mapping) = space.mapping_from(from) {
        add(&mut addresses, &mapping)?;
        from = mapping.end;
    }
    for part in [&parts.text, &parts.data, &parts.heap] {
        add(&mut addresses, part)?;
    }
    Ok(addresses)
}

/// Asks the student's function.
fn ask(addresses: &[usize]) -> Result<KVVec<Answer>> {
    let mut answers = KVVec::with_capacity(addresses.len(), GFP_KERNEL)?;

    for &address in addresses {
        answers.push((address, segment_of(address)), GFP_KERNEL)?;
    }
    Ok(answers)
}

/// Adds a line for each answer.
fn show(lines: &mut Lines, who: &str, answers: &[Answer]) -> Result {
    for (address, segment) in answers {
        lines.add(fmt!(
            "{who} {address:x} {}",
            segment.map_or("-", <&str>::from)
        ))?;
    }
    Ok(())
}

impl Exercise for Answers {
    fn load(_word: &str) -> Result<Self> {
        let latest = Latest {
            addresses: KVVec::new(),
            kernel: KVVec::new(),
        };

        Ok(Self {
            latest: KBox::pin_init(new_mutex!(latest), GFP_KERNEL)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let is_kernel_thread = TaskView::current(&rcu::read_lock()).flags() & PF_KTHREAD != 0;
        let mut latest = self.latest.lock();

        // No program can read what a kernel thread has opened: the next one is told.
        if is_kernel_thread {
            latest.kernel = ask(&latest.addresses)?;
            return Ok(());
        }
        latest.addresses = addresses()?;
        show(lines, "program", &ask(&latest.addresses)?)?;
        show(lines, "kernel", &mem::take(&mut latest.kernel))
    }
}

impl From<Segment> for &str {
    fn from(segment: Segment) -> Self {
        match segment {
            Segment::Text => "Text",
            Segment::Data => "Data",
            Segment::Bss => "Bss",
            Segment::Heap => "Heap",
            Segment::Stack => "Stack",
            Segment::Mapping => "Mapping",
        }
    }
}
