// Exercise: hello
// Fails: has a name that it may not have: impl_device_context_deref \(line 37\)
//! A macro of the kernel crate has the word unsafe in its own code, which the compiler does not refuse, and makes any
//! value another one: here a number a function of the kernel.

use crate::lab::Exercise;
use core::marker::PhantomData;
use kernel::device::{Bound, BoundInternal, Core, CoreInternal, Normal};
use kernel::prelude::*;

trait View {
    type As: Copy;
}
impl View for BoundInternal {
    type As = usize;
}
impl View for Bound {
    type As = extern "C" fn() -> i32;
}
impl View for Normal {
    type As = ();
}
impl<'a> View for Core<'a> {
    type As = ();
}
impl<'a> View for CoreInternal<'a> {
    type As = ();
}
#[repr(C)]
struct Dev<C: View>(C::As, PhantomData<C>);
macro_rules! named {
    ($name:ident) => {
        kernel::$name!(unsafe { Dev });
    };
}
// A line of its own: "
named!(impl_device_context_deref);

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let raw = Dev::<BoundInternal>(0x1000, PhantomData);
        let view: &Dev<Bound> = &raw;
        (view.0)();
        Ok(Self)
    }
}
