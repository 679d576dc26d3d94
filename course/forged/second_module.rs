// Exercise: hello
// Fails: has a name that it may not have: module \(line 14\)
//! Declares the module a second time.

use crate::lab::Exercise;
use kernel::prelude::*;

struct Other;
impl kernel::Module for Other {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
module! {
    type: Other,
    name: "other",
    authors: ["a student"],
    description: "a second module",
    license: "GPL",
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        pr_info!("{word}\n");
        Ok(Self)
    }
}
