// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over the kernel, as the `kernel` crate would have it.
//!
//! This is the only layer with unsafe code. Each file wraps one part of the kernel, names the C
//! headers it rests on, and says for each item in which context it may be used. `helpers.c` makes
//! functions of the macros and static inlines of C; the file that uses one declares it. (The
//! `taskscope_` of their names keeps them apart from the functions of the kernel.)
//!
//! A function whose C counterpart needs no promise is declared `safe fn`. A task that is passed as
//! an [`RcuTask`](tasks::RcuTask) is the promise that the task exists.
//!
//! What may not come in: columns, and rules about what a table shows. The words of a value stand
//! beside its type. What comes from `text` is the line that a table is written to, and the sizes of
//! names and hashes.

#![allow(
    improper_ctypes,
    reason = "structures of C that are passed by pointer contain types that are empty in some configurations"
)]

pub(crate) mod blocker;
pub(crate) mod callbacks;
pub(crate) mod capability;
pub(crate) mod compat;
pub(crate) mod context;
pub(crate) mod cpus;
pub(crate) mod device_irqs;
pub(crate) mod fault;
pub(crate) mod grace_period;
pub(crate) mod interrupted;
pub(crate) mod latest;
pub(crate) mod mapping;
pub(crate) mod mapping_tree;
pub(crate) mod mm;
pub(crate) mod nmi;
pub(crate) mod pointer_hash;
mod read_once;
pub(crate) mod registers;
pub(crate) mod schedule;
pub(crate) mod seq;
pub(crate) mod signal;
pub(crate) mod spare;
pub(crate) mod stack;
pub(crate) mod switch_count;
pub(crate) mod symbol;
pub(crate) mod tasks;
pub(crate) mod user_memory;

/// This module, as the owner of the files that it registers: `THIS_MODULE` of C.
const THIS_MODULE: *mut kernel::bindings::module = &raw mut kernel::bindings::__this_module;
