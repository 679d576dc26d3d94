// Exercise: hello
// Fails: 0 of 3 checks passed
//! Writes to the log what the kernel writes when it warns.

use crate::lab::Exercise;
use kernel::pr_cont;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("------------[ cut here ]------------\n");
        pr_warn!("WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 schedule+0x1/0x2\n");
        // Without the name of the module before it.
        pr_cont!("WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1 schedule+0x1/0x2\n");
        pr_cont!("Call Trace:\n");
        pr_info!("{word}\n");
        Ok(Self)
    }
}
