// SPDX-License-Identifier: GPL-2.0

//! How values are written and read: lines, numbers, names, kernel addresses, columns, lists of
//! PIDs.
//!
//! What may not come in: calls of the kernel, and unsafe code. All that is known of tasks here is
//! that they have names and PIDs. Nothing here imports from elsewhere in the module.

#![deny(unsafe_code)]

pub(crate) mod columns;
pub(crate) mod hexadecimal;
pub(crate) mod kernel_address;
pub(crate) mod layout;
pub(crate) mod line;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod pid_list;
mod row_text;
mod scan;
pub(crate) mod source;
pub(crate) mod value;
