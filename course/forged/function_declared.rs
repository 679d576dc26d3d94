// Exercise: hello
// Fails: is not safe Rust
//! Declares a function of the kernel as safe.

use crate::lab::Exercise;
use kernel::prelude::*;

unsafe extern "C" {
    safe fn panic(text: *const u8);
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        panic(core::ptr::null());
        pr_info!("{word}\n");
        Ok(Self)
    }
}
