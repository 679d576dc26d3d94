// SPDX-License-Identifier: GPL-2.0

//! Names of functions by the addresses in them.
//!
//! C header: [`include/linux/kallsyms.h`](srctree/include/linux/kallsyms.h).

use core::ptr;
use kernel::bindings;
use kernel::prelude::*;

/// The most bytes that [`print_frame`] prints, with a NUL: not less than `KSYM_SYMBOL_LEN`.
pub(crate) const FRAME_MAX: usize = 2 * bindings::KSYM_NAME_LEN as usize;

/// Prints the function that a return address lies in to `text`, and returns the number of bytes.
///
/// The format is that of `%pB`: `symbol+offset/size`, and the name of the module in brackets if the
/// function is in one. If the kernel knows no symbol there, `%pB` prints the address, which must
/// not be shown: the function returns 0.
///
/// Any context. Does not sleep.
pub(crate) fn print_frame(frame: usize, text: &mut [u8; FRAME_MAX]) -> usize {
    // SAFETY: `%pB` takes a pointer that it looks up and does not follow.
    unsafe { print(c"%pB", frame, text) }
}

/// As [`print_frame`], for an address at which code goes on. A call can be the last instruction of
/// a function, so that `%pB` looks up the byte before a return address. `%pS` looks up the address
/// itself.
pub(crate) fn print_program_counter(address: usize, text: &mut [u8; FRAME_MAX]) -> usize {
    // SAFETY: `%pS` takes a pointer that it looks up and does not follow.
    unsafe { print(c"%pS", address, text) }
}

/// Prints `address` to `text`, and returns the number of bytes.
///
/// # Safety
///
/// `format` takes one pointer, which it does not follow.
unsafe fn print(format: &CStr, address: usize, text: &mut [u8; FRAME_MAX]) -> usize {
    // SAFETY:
    // - `text` is valid for writes of `FRAME_MAX` bytes, and `snprintf()` writes no more.
    // - The format takes one pointer and does not follow it, by this function's requirements.
    let printed = unsafe {
        bindings::snprintf(
            text.as_mut_ptr(),
            FRAME_MAX,
            format.as_char_ptr(),
            ptr::without_provenance::<c_void>(address),
        )
    };

    match usize::try_from(printed) {
        Ok(printed) if !text.starts_with(b"0x") => printed.min(FRAME_MAX - 1),
        _ => 0,
    }
}

#[kunit_tests(taskscope_symbol)]
pub(crate) mod tests {
    use super::*;

    /// Returns the address of the first instruction of `schedule()`.
    pub(crate) fn schedule() -> usize {
        (bindings::schedule as *const ()).addr()
    }

    #[test]
    fn a_return_address_is_one_byte_further() {
        let mut text = [0; FRAME_MAX];
        let len = print_program_counter(schedule(), &mut text);

        assert!(text[..len].starts_with(b"schedule+0x0/"));
        let len = print_frame(schedule() + 1, &mut text);

        assert!(text[..len].starts_with(b"schedule+0x1/"));
        let len = print_frame(schedule(), &mut text);

        assert!(!text[..len].starts_with(b"schedule+"));
    }

    #[test]
    fn an_address_without_a_symbol_has_no_text() {
        let mut text = [0; FRAME_MAX];

        assert_eq!(print_frame(0x1000, &mut text), 0);
        assert_eq!(print_program_counter(0x1000, &mut text), 0);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let mut text = [0; FRAME_MAX];
        // SAFETY: `%pB` takes a pointer that it looks up and does not follow.
        let len = unsafe { print(c"%2000pB", schedule() + 1, &mut text) };

        assert_eq!(len, FRAME_MAX - 1);
    }
}
