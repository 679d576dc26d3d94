// Exercise: hello
// Fails: has a name that it may not have: extern \(line 8\)
//! Declares a function by the name that the file chooses, without the word unsafe, and takes its address.

use crate::lab::Exercise;
use kernel::prelude::*;

extern "C" {
    fn commit_creds();
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        pr_info!("{}\n", commit_creds as usize);
        Ok(Self)
    }
}
