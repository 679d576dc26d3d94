// Exercise: hello
// Fails: has a name that it may not have: paste \(line 12\)
//! Makes the word unsafe of two pieces.

use crate::lab::Exercise;
use kernel::prelude::*;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let _ = kernel::macros::paste! { [<un safe>] { core::ptr::null::<u8>().read() } };
        pr_info!("{word}\n");
        Ok(Self)
    }
}
