//! your-taskscope: a table of all threads, as they were at one moment.

use crate::glue::Table;
//> begin
use crate::lab::{
    nr_threads_hint,
    threads,
    TaskView,
    COMM_LEN,
    PF_KTHREAD,
    PF_USER_WORKER, //
};
//> end
use crate::lab::Lines;
use kernel::prelude::*;
//> begin
use kernel::sync::rcu;
use kernel::task::Pid;

/// What is shown of a thread.
struct Row {
    tgid: Pid,
    pid: Pid,
    kind: &'static str,
    mm: &'static str,
    comm: [u8; COMM_LEN],
}

impl Row {
    fn of(task: TaskView<'_>) -> Self {
        let flags = task.flags();

        Self {
            tgid: task.tgid(),
            pid: task.pid(),
            kind: if flags & PF_KTHREAD != 0 {
                "kernel"
            } else if flags & PF_USER_WORKER != 0 {
                "worker"
            } else {
                "user"
            },
            mm: if task.has_mm() { "set" } else { "NULL" },
            comm: task.comm(),
        }
    }
}

/// A name that breaks no line and no column.
struct Escaped([u8; COMM_LEN]);

impl kernel::fmt::Display for Escaped {
    fn fmt(&self, formatter: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        if self.0[0] == 0 {
            return formatter.write_str("\\000");
        }
        for &byte in self.0.iter().take_while(|&&byte| byte != 0) {
            if byte.is_ascii_graphic() && byte != b'\\' {
                formatter.write_fmt(fmt!("{}", char::from(byte)))?;
            } else {
                formatter.write_fmt(fmt!("\\{byte:03o}"))?;
            }
        }
        Ok(())
    }
}

/// Adds all threads, until there is no more room. Nothing may sleep here after the guard is made.
fn collect(rows: &mut KVVec<Row>) -> Result {
    let guard = rcu::read_lock();

    for task in threads(&guard) {
        rows.push_within_capacity(Row::of(task))
            .map_err(|_| EAGAIN)?;
    }
    Ok(())
}
//> end

/// An open file.
pub(crate) struct Student {
    text: Lines,
}

impl Table for Student {
    fn open() -> Result<Self> {
        let mut text = Lines::new();

        text.add(fmt!("TGID PID KIND MM COMM"))?;
        //| // Here a line for each thread is to be added.
        //> begin

        let mut room = 2 * nr_threads_hint();
        let rows = loop {
            let mut rows = KVVec::with_capacity(room, GFP_KERNEL)?;

            if collect(&mut rows).is_ok() {
                break rows;
            }
            room *= 2;
        };

        for row in &rows {
            text.add(fmt!(
                "{} {} {} {} {}",
                row.tgid,
                row.pid,
                row.kind,
                row.mm,
                Escaped(row.comm)
            ))?;
        }
        //> end
        Ok(Self { text })
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        //| // Here bytes of the text, from `offset` on, are to be put into the buffer.
        //| let _ = (self.text.text(), offset, buffer);
        //| Ok(0)
        //> begin
        let rest = self.text.text().get(offset..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());

        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
        //> end
    }
}
