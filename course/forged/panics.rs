// Exercise: hello
// Fails: the kernel crashed or warned
//! Panics.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let none: Option<&str> = word.strip_prefix("0");
        pr_info!("{}", none.unwrap());
        pr_info!("{word}\n");
        Ok(Self)
    }
}
