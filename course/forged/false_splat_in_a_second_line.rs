// Exercise: hello
// Fails: 0 of 3 checks passed
//! The same in the second line of a record.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("\n------------[ cut here ]------------\n");
        pr_warn!("x\nWARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 schedule+0x1/0x2\n");
        pr_info!("{word}\n");
        Ok(Self)
    }
}
