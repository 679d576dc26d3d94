// Exercise: hello
// Fails: learn/hello.rs does not compile
// Fails: undefined!
//! The compiler is content, the linker is not, and what it says does not name the file.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        build_assert!(word.len() > 100);
        Ok(Self)
    }
}
