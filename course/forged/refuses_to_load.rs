// Exercise: hello
// Fails: 0 of 3 checks passed
// Fails: insmod exercise.ko: yours is .*, expected no error
//! Returns an error when it is loaded.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        if word.len() > 1 {
            return Err(ENODEV);
        }
        pr_info!("{word}\n");
        Ok(Self)
    }
}
