//! your-taskscope: all lines have the same length, so that an offset says which line it is in.

use crate::glue::Table;
use crate::lab::{
    nr_threads_hint,
    processes,
    TaskView,
    PF_KTHREAD,
    PF_USER_WORKER, //
};
use core::fmt::Write;
use kernel::prelude::*;
use kernel::sync::rcu;

/// The length of a line: the numbers, the words, and a name of 15 bytes that are all escaped.
const WIDTH: usize = 100;

/// A line, and the place in it at which the next byte goes.
struct Line([u8; WIDTH], usize);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.1 + text.len();

        self.0
            .get_mut(self.1..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.1 = end;
        Ok(())
    }
}

impl Line {
    fn new() -> Self {
        let mut blank = [b' '; WIDTH];

        blank[WIDTH - 1] = b'\n';
        Self(blank, 0)
    }

    fn header() -> Result<Self> {
        let mut line = Self::new();

        line.write_str("TGID    PID     KIND   MM   COMM")?;
        Ok(line)
    }

    fn of(task: TaskView<'_>) -> Result<Self> {
        let mut line = Self::new();
        let kind = match task.flags() {
            flags if flags & PF_KTHREAD != 0 => "kernel",
            flags if flags & PF_USER_WORKER != 0 => "worker",
            _ => "user",
        };
        let mm = ["NULL", "set"][usize::from(task.has_mm())];
        let comm = task.comm();
        let name = comm.split(|&byte| byte == 0).next().unwrap_or(&[]);

        line.write_fmt(fmt!(
            "{:<7} {:<7} {kind:<6} {mm:<4} ",
            task.tgid(),
            task.pid()
        ))?;
        if name.is_empty() {
            line.write_str("\\000")?;
        }
        for &byte in name {
            if byte == b'\\' || !(0x21..=0x7e).contains(&byte) {
                line.write_fmt(fmt!("\\{byte:03o}"))?;
            } else {
                line.write_char(char::from(byte))?;
            }
        }
        Ok(line)
    }
}

pub(crate) struct Student {
    lines: KVVec<[u8; WIDTH]>,
}

fn collect(lines: &mut KVVec<[u8; WIDTH]>) -> Result {
    let guard = rcu::read_lock();

    for process in processes(&guard) {
        for thread in process.thread_group() {
            lines
                .push_within_capacity(Line::of(thread)?.0)
                .map_err(|_| EAGAIN)?;
        }
    }
    Ok(())
}

impl Table for Student {
    fn open() -> Result<Self> {
        let mut lines = KVVec::new();

        lines.push(Line::header()?.0, GFP_KERNEL)?;
        loop {
            lines.reserve(nr_threads_hint() + 100, GFP_KERNEL)?;
            match collect(&mut lines) {
                Ok(()) => return Ok(Self { lines }),
                Err(_) => lines.truncate(1),
            }
        }
    }

    /// One line at most.
    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        let Some(line) = self.lines.get(offset / WIDTH) else {
            return Ok(0);
        };
        let rest = &line[offset % WIDTH..];
        let count = core::cmp::min(rest.len(), buffer.len());

        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
