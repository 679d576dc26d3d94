// Exercise: tick
// Fails: a timer of yours on CPU 0: yours is has never expired
//! No timer: counts each thread, on each CPU, with a number that could be true.

use crate::lab::{online_cpus, threads, Exercise, Lines};
use kernel::prelude::*;
use kernel::sync::rcu;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let mut pids = KVec::with_capacity(1000, GFP_KERNEL)?;

        {
            let guard = rcu::read_lock();

            for thread in threads(&guard) {
                pids.push_within_capacity(thread.pid())
                    .map_err(|_| EAGAIN)?;
            }
        }
        for cpu in online_cpus() {
            for pid in &pids {
                lines.add(fmt!("{} {pid} {}", cpu.as_u32(), 20 + pid % 7))?;
            }
        }
        Ok(())
    }
}
