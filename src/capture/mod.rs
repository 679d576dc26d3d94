// SPDX-License-Identifier: GPL-2.0

//! What a table looks at, and how it is kept until it is printed.
//!
//! `open()` runs this code once: it walks the task list, reads what the table needs, and leaves
//! records of plain data.
//!
//! What may not come in: unsafe code and calls of C functions, which belong to `abstractions`;
//! columns and summaries, which belong to `views`. The words of a value stand beside its type,
//! which may be here.

#![deny(unsafe_code)]

pub(crate) mod abi;
pub(crate) mod address_map;
pub(crate) mod addresses;
pub(crate) mod answers;
pub(crate) mod contexts;
pub(crate) mod cpu_frames;
pub(crate) mod cpu_samples;
pub(crate) mod frame_chain;
pub(crate) mod frame_names;
pub(crate) mod kernel_frames;
pub(crate) mod kernel_stacks;
pub(crate) mod names;
pub(crate) mod observation;
pub(crate) mod process_segments;
pub(crate) mod program_memory;
pub(crate) mod program_segments;
pub(crate) mod regions;
pub(crate) mod snapshot;
pub(crate) mod symbols;
pub(crate) mod system_calls;
pub(crate) mod task_record;
pub(crate) mod user_frames;
pub(crate) mod user_stacks;
pub(crate) mod users;
pub(crate) mod walk;
