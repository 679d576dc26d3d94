// Exercise: hello
// Fails: tried to allocate more memory than available to compiler
//! Has the compiler allocate 6 GiB.

use crate::lab::Exercise;
use kernel::prelude::*;

const LARGE: [u8; 6 << 30] = {
    let mut bytes = [1; 6 << 30];
    bytes[7] = 0;
    bytes
};

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("{}\n", LARGE[word.len()]);
        Ok(Self)
    }
}
