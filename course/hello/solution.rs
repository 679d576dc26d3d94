//! hello: a line in the kernel's log at load, and one at unload.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        //| // The first line is yours.
        //| let _ = word;
        //> begin
        pr_info!("hello {word}\n");
        //> end
        Ok(Self)
    }

    fn unload(&self, word: &str) {
        //| // The second line is yours.
        //| let _ = word;
        //> begin
        pr_info!("goodbye {word}\n");
        //> end
    }
}
