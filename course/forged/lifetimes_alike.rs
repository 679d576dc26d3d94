// Exercise: hello
// Fails: has a name that it may not have: . \(line 9\)
//! Two lifetimes, of which one has an accent: with them, a hole of rustc makes a reference to what is gone.

use crate::lab::Exercise;
use kernel::prelude::*;

#[allow(uncommon_codepoints, mixed_script_confusables, non_snake_case)]
fn translate<'a, 'á, T>(_: &'a &'á (), from: &'á T) -> &'a T {
    from
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        static UNIT: &&() = &&();
        pr_info!("{}\n", translate(UNIT, word));
        Ok(Self)
    }
}
