// Exercise: hello
// Fails: is not safe Rust
//! Reads through a pointer of its own.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let _ = unsafe { core::ptr::null::<u8>().read() };
        pr_info!("{word}\n");
        Ok(Self)
    }
}
