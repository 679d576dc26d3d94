// Exercise: hello
// Fails: has a name that it may not have: fn \( \(line 21\)
//! As hole_of_rustc, without a lifetime: one is that of a trait, and one that of its function. It prints what it has made.

use crate::lab::Exercise;
use kernel::prelude::*;

trait Translate<T: 'static>: Sized {
    fn translate(&self, from: Self, _: &()) -> &mut T;
}
impl<T: 'static> Translate<T> for &mut T {
    fn translate(&self, from: Self, _: &()) -> &mut T {
        from
    }
}
enum Either<A: 'static, B: 'static> {
    A(Option<KBox<A>>),
    B(Option<KBox<B>>),
}
fn expand<T: 'static>(from: &mut T, witness: &'static &'static mut T) -> &'static mut T {
    let longer: fn(&'static &'static mut T, _, &()) -> &'static mut T = Translate::translate;
    longer(witness, from, &())
}

fn turn<A: 'static, B: Copy + 'static>(from: A) -> Option<B> {
    let dummy: &'static mut Option<KBox<B>> = KBox::leak(KBox::new(None, GFP_KERNEL).ok()?);
    let witness = KBox::leak(KBox::new(dummy, GFP_KERNEL).ok()?);
    let mut either: Either<A, B> = Either::B(None);
    let Either::B(b) = &mut either else {
        return None;
    };
    let b = expand(b, witness);

    either = Either::A(Some(KBox::new(from, GFP_KERNEL).ok()?));
    if let Either::A(None) = core::hint::black_box(&either) {
        return None;
    }
    b.take().map(|it| *it)
}

pub(crate) struct Student;

impl Exercise for Student {
    fn load(word: &str) -> Result<Self> {
        let number: Option<&'static usize> = turn(word.as_ptr() as usize);
        pr_info!("{:?}\n", number);
        Ok(Self)
    }
}
