// Exercise: hello
// Fails: has a name that it may not have: impl_device_context_deref \(line 32\)
//! A macro of the kernel crate has the word unsafe in its own code, which the compiler does not refuse, and makes any
//! value another one: here a number a reference.

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
    type As = &'static usize;
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
// A line of its own: "
kernel::impl_device_context_deref!(unsafe { Dev });

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let raw = Dev::<BoundInternal>(0x1000, PhantomData);
        let view: &Dev<Bound> = &raw;
        pr_info!("{}\n", *view.0);
        Ok(Self)
    }
}
