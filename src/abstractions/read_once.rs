// SPDX-License-Identifier: GPL-2.0

//! Reads of fields that other threads write at the same time.
//!
//! C header: [`include/asm-generic/rwonce.h`](srctree/include/asm-generic/rwonce.h).

/// An integer or a raw pointer.
///
/// # Safety
///
/// The type is no larger than a machine word, so that one load reads all of it, and all bits are
/// valid.
pub(super) unsafe trait Word: Copy {}

macro_rules! words {
    ($($type:ty)*) => {$(
        const _: () = assert!(size_of::<$type>() <= size_of::<usize>());
        // SAFETY: An integer, whose size has just been checked.
        unsafe impl Word for $type {}
    )*};
}

words! { u8 i32 u32 u64 usize }

// SAFETY: A raw pointer to a sized type is one word.
unsafe impl<T> Word for *mut T {}

// SAFETY: As for `*mut T`.
unsafe impl<T> Word for *const T {}

/// Reads a field once that others may write at the same time, as C's `READ_ONCE()` does.
///
/// The compiler neither tears nor repeats nor invents the load. A pointer that was read this way
/// may be followed without a barrier, since an address dependency orders the two loads: for a
/// reader in an RCU read-side critical section this is `rcu_dereference()`.
///
/// (`kernel::sync::atomic` has the same load for a field that Rust declares as an `Atomic`. The
/// fields here are those of C structures.)
///
/// # Safety
///
/// `field` is valid for reads and aligned.
#[inline(always)]
pub(super) unsafe fn read_once<T: Word>(field: *const T) -> T {
    // SAFETY: `field` is valid and aligned, by this function's requirements. What others write
    // there is a valid `T`, because by the requirements of `Word` all bits are. `READ_ONCE()` is a
    // volatile load too.
    unsafe { field.read_volatile() }
}

/// A C structure whose fields other threads may write at any time. [`field!`] reads its fields.
///
/// # Safety
///
/// The structure that `fields()` returns is allocated for as long as the value exists.
pub(super) unsafe trait Fields {
    /// The C type.
    type Struct;

    /// Returns the address of the structure.
    fn fields(&self) -> *const Self::Struct;
}

/// Reads one field of a structure once: `field!(task, flags)`. Any context. Does not sleep.
///
/// The structure is a value of a type that implements [`Fields`]. The field is a [`Word`].
macro_rules! field {
    ($structure:expr, $($field:tt)+) => {{
        let structure = $crate::abstractions::read_once::Fields::fields(&$structure);
        // SAFETY: By the requirements of `Fields` the structure is allocated, so that its field is
        // in bounds; no reference is made to the field.
        let field = unsafe { &raw const (*structure).$($field)+ };
        // SAFETY: The field is part of an allocated structure, hence valid for reads and aligned.
        unsafe { $crate::abstractions::read_once::read_once(field) }
    }};
}
pub(super) use field;
