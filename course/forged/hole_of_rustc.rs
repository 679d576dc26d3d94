// Exercise: hello
// Fails: has a name that it may not have: 'b \(line 9\)
//! Makes a number a reference, by a hole of rustc and without unsafe code: rust-lang/rust#25860.

use crate::lab::Exercise;
use kernel::prelude::*;

/// Makes the lifetime of a reference longer.
fn translate<'a, 'b, T>(_: &'a &'b (), from: &'b mut T) -> &'a mut T {
    from
}

fn expand<'a, 'b, T>(from: &'a mut T) -> &'b mut T {
    let longer: for<'x> fn(_, &'x mut T) -> &'b mut T = translate;
    static UNIT: &&() = &&();
    longer(UNIT, from)
}

enum Either<A, B> {
    A(Option<KBox<A>>),
    B(Option<KBox<B>>),
}

fn transmute<A, B>(from: A) -> Option<B> {
    let mut either = Either::B(None);
    let Either::B(b) = &mut either else {
        return None;
    };
    let b = expand(b);

    either = Either::A(Some(KBox::new(from, GFP_KERNEL).ok()?));
    if let Either::A(None) = core::hint::black_box(&either) {
        return None;
    }
    b.take().map(KBox::into_inner)
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let number: Option<&'static usize> = transmute(word.as_ptr() as usize);
        pr_info!("{:?}\n", number);
        Ok(Self)
    }
}
