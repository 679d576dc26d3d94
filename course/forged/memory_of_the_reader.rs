// Exercise: hello
// Fails: has a name that it may not have: uaccess \(line 6\)
//! Writes into the memory of the grader, which calls it.

use crate::lab::Exercise;
use kernel::uaccess::{UserPtr, UserSlice};

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        UserSlice::new(UserPtr::from_addr(0x400000), 8)
            .writer()
            .write(&0u64)?;
        Ok(Self)
    }
}
