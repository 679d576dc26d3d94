//! processes: every process, and no other.

//> begin
use crate::lab::nr_threads_hint;
//> end
use crate::lab::{
    Comm,
    Exercise,
    Lines,
    Place,
    COMM_LEN, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::task::Pid;

pub(crate) struct Student;

/// What is shown of a process.
struct Row {
    pid: Pid,
    comm: [u8; COMM_LEN],
}

//> begin
/// Adds all processes, until there is no more room. Nothing may sleep here after the guard is made.
fn collect(rows: &mut KVVec<Row>) -> Result {
    let guard = rcu::read_lock();
    let end = Place::init_task(&guard);
    let mut place = Place::init_task(&guard);

    loop {
        place.next();
        if place == end {
            return Ok(());
        }
        let task = place.task();

        rows.push_within_capacity(Row {
            pid: task.pid(),
            comm: task.comm(),
        })
        .map_err(|_| EAGAIN)?;
    }
}

//> end
impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        //| let mut rows = KVVec::with_capacity(100, GFP_KERNEL)?;
        //|
        //| {
        //|     let guard = rcu::read_lock();
        //|     let mut place = Place::init_task(&guard);
        //|
        //|     // This is one process. And 100 may be too few.
        //|     place.next();
        //|     rows.push_within_capacity(Row {
        //|         pid: place.task().pid(),
        //|         comm: place.task().comm(),
        //|     })
        //|     .map_err(|_| EAGAIN)?;
        //| }
        //> begin
        // Room for all, and for those that are born meanwhile. If that is not enough: again, with more.
        let mut room = 2 * nr_threads_hint();
        let rows = loop {
            let mut rows = KVVec::with_capacity(room, GFP_KERNEL)?;

            if collect(&mut rows).is_ok() {
                break rows;
            }
            room *= 2;
        };

        //> end
        for Row { pid, comm } in &rows {
            lines.add(fmt!("{pid} {}", Comm(*comm)))?;
        }
        Ok(())
    }
}
