// Exercise: hello
// Fails: has a name that it may not have: bindings \(line 15\)
//! For the compiler, 1r is a number, and not the number 1 and the beginning of a raw string.

use crate::lab::Exercise;
use kernel::prelude::*;

const HIDES: &str = stringify!(1r#"");

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        pr_info!("{HIDES}\n");
        pr_info!("{}\n", core::mem::size_of::<kernel::bindings::pid>());
        Ok(Self)
    }
}
// "#
