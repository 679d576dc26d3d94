// SPDX-License-Identifier: GPL-2.0

//! The tables: a file each, with its columns and the text of a row. `processes` and `threads`, which
//! have the same columns, share one.

pub(crate) mod contexts;
pub(crate) mod current;
pub(crate) mod kframes;
pub(crate) mod kstacks;
pub(crate) mod rights;
pub(crate) mod segments;
pub(crate) mod set_pid;
pub(crate) mod syscalls;
pub(crate) mod task_table;
pub(crate) mod threads;
pub(crate) mod uframes;
pub(crate) mod user_summary;
pub(crate) mod ustacks;
