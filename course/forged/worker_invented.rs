// Exercise: later
// Fails: this is: yours is a worker of another queue, expected
//! No work item, no queue: says what could be true of another worker.

use crate::lab::{threads, Exercise, Lines, TaskView, PF_WQ_WORKER};
use kernel::prelude::*;
use kernel::sync::rcu;

pub(crate) struct Student;

fn me() -> i32 {
    let guard = rcu::read_lock();
    TaskView::current(&guard).pid()
}

fn any_worker() -> i32 {
    let guard = rcu::read_lock();
    threads(&guard)
        .find(|task| task.flags() & PF_WQ_WORKER != 0)
        .map_or(0, |task| task.pid())
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        pr_info!("asked by {}, run by {}\n", me(), any_worker());
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        lines.add(fmt!("asked: {}", me()))?;
        lines.add(fmt!("ran: {}", any_worker()))?;
        lines.add(fmt!("worker: true"))
    }
}
