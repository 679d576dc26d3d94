// Exercise: hello
// Fails: has a name that it may not have: dyn \(line 21\)
//! Makes a number a function, by a hole of rustc and without a lifetime: rust-lang/rust#57893.

use crate::lab::Exercise;
use kernel::prelude::*;

trait Object<U> {
    type Output;
}

impl<T: ?Sized, U> Object<U> for T {
    type Output = U;
}

fn same<T: ?Sized, U>(from: <T as Object<U>>::Output) -> U {
    from
}

fn turn<T, U>(from: T) -> U {
    same::<dyn Object<U, Output = T>, U>(from)
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let call: fn() = turn(0x1000_usize);
        call();
        Ok(Self)
    }
}
