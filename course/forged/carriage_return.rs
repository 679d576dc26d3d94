// Exercise: hello
// Fails: has a name that it may not have: paste \(line 7\)
//! Some editors end a line at a carriage return. The compiler does not, and so sees no string here.

use crate::lab::Exercise;
//"
use kernel::macros::paste;
//"

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        paste! { [<pr_ info>]!("pasted\n"); }
        Ok(Self)
    }
}
