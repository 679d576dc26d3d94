// Exercise: hello
// Fails: may not have: module_parameters
//! Takes the word from the module's parameter, and not from what it is given.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

struct Word;

impl kernel::fmt::Display for Word {
    fn fmt(&self, formatter: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        for letter in crate::module_parameters::word.value().to_le_bytes() {
            if letter != 0 {
                formatter.write_fmt(fmt!("{}", char::from(letter)))?;
            }
        }
        Ok(())
    }
}

impl Exercise for Student {
    fn load(_: &str) -> Result<Self> {
        pr_info!("hello {}\n", Word);
        Ok(Self)
    }

    fn unload(&self, _: &str) {
        pr_info!("goodbye {}\n", Word);
    }
}
