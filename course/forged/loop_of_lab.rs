// Exercise: processes
// Fails: has a name that it may not have: processes \(line 5\)
//! Has not written the loop, but uses the one of lab.

use crate::lab::{processes, Exercise};

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }
}
