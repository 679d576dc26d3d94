// SPDX-License-Identifier: GPL-2.0

//! The tables. Each has a file with its columns, how it is opened, and its summary. `processes` and
//! `threads` have the same columns, and share a file.
//!
//! What may not come in: unsafe code, and how tasks are walked or looked at, which belongs to
//! `capture`.

#![deny(unsafe_code)]

pub(crate) mod contexts;
pub(crate) mod cpus;
pub(crate) mod current;
pub(crate) mod frame_text;
pub(crate) mod isolated_cpus;
pub(crate) mod kframes;
pub(crate) mod kstacks;
pub(crate) mod segments;
pub(crate) mod set_pid;
pub(crate) mod syscalls;
pub(crate) mod task_table;
pub(crate) mod threads;
pub(crate) mod uframes;
pub(crate) mod user_summary;
pub(crate) mod ustacks;
