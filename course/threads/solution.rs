//! threads: every thread has its own `task_struct`.

//> begin
use crate::lab::nr_threads_hint;
//> end
use crate::lab::{
    processes,
    Comm,
    Exercise,
    Lines,
    TaskView,
    COMM_LEN, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::task::Pid;

pub(crate) struct Student;

/// What is shown of a thread.
struct Row {
    tgid: Pid,
    pid: Pid,
    //> begin
    nr_threads: u32,
    task: *const c_void,
    //> end
    comm: [u8; COMM_LEN],
}

impl Row {
    fn of(task: TaskView<'_>) -> Self {
        Self {
            tgid: task.tgid(),
            pid: task.pid(),
            //> begin
            nr_threads: task.nr_threads(),
            task: task.as_ptr().cast(),
            //> end
            comm: task.comm(),
        }
    }
}

//> begin
/// Adds all threads, until there is no more room. Nothing may sleep here after the guard is made.
fn collect(rows: &mut KVVec<Row>) -> Result {
    let guard = rcu::read_lock();

    for process in processes(&guard) {
        for thread in process.thread_group() {
            rows.push_within_capacity(Row::of(thread))
                .map_err(|_| EAGAIN)?;
        }
    }
    Ok(())
}

//> end
impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        //| let mut rows = KVVec::with_capacity(1, GFP_KERNEL)?;
        //|
        //| {
        //|     let guard = rcu::read_lock();
        //|
        //|     // This is one process, by its first thread.
        //|     for process in processes(&guard).take(1) {
        //|         rows.push_within_capacity(Row::of(process))
        //|             .map_err(|_| EAGAIN)?;
        //|     }
        //| }
        //> begin
        // As in the exercise before.
        let mut room = 2 * nr_threads_hint();
        let rows = loop {
            let mut rows = KVVec::with_capacity(room, GFP_KERNEL)?;

            if collect(&mut rows).is_ok() {
                break rows;
            }
            room *= 2;
        };

        //> end
        for row in &rows {
            //| lines.add(fmt!("{} {} - - {}", row.tgid, row.pid, Comm(row.comm)))?;
            //> begin
            lines.add(fmt!(
                "{} {} {} {:p} {}",
                row.tgid,
                row.pid,
                row.nr_threads,
                row.task,
                Comm(row.comm)
            ))?;
            //> end
        }
        Ok(())
    }
}
