// Exercise: hello
// Fails: does not compile
//! Names the solution as its module.

use crate::lab::Exercise;
use kernel::prelude::*;

#[path = "../../../../../course/hello/solution.rs"]
#[rustfmt::skip]
mod solution;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("{word}\n");
        Ok(Self)
    }
}
