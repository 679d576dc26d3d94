// Exercise: hello
// Fails: is not safe Rust
//! Allows itself unsafe code.

use crate::lab::Exercise;
use kernel::prelude::*;

#[allow(unsafe_code)]
mod inner {
    pub(crate) fn read() -> u8 {
        // SAFETY: None.
        unsafe { core::ptr::null::<u8>().read() }
    }
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let _ = inner::read();
        pr_info!("{word}\n");
        Ok(Self)
    }
}
