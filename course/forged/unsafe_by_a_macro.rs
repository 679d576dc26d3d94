// Exercise: hello
// Fails: is not safe Rust
//! Hides the word unsafe in a macro.

use crate::lab::Exercise;
use kernel::prelude::*;

macro_rules! read {
    ($at:expr) => {
        unsafe { $at.read() }
    };
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let _ = read!(core::ptr::null::<u8>());
        pr_info!("{word}\n");
        Ok(Self)
    }
}
