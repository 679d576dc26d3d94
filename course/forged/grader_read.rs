// Exercise: hello
// Fails: does not compile
//! Reads the grader while it is compiled.

use crate::lab::Exercise;
use kernel::prelude::*;

const GRADER: &str = include_str!("../../../../../course/hello/grade.c");

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("{}", GRADER);
        pr_info!("{word}\n");
        Ok(Self)
    }
}
