// Exercise: hello
// Fails: is not safe Rust
//! Takes the place of a function of the module.

use crate::lab::Exercise;
use kernel::prelude::*;

#[no_mangle]
pub(crate) fn taskscope_cond_resched() {}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("{word}\n");
        Ok(Self)
    }
}
