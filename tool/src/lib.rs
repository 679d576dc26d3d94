// SPDX-License-Identifier: GPL-2.0

//! Groups, joins and draws the tables of the kernel module taskscope.
//!
//! The tables are untrusted: a snapshot file may come from anywhere. [`table`] is the only place that reads their text;
//! after it, a text is printable ASCII, and a number is a number.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod args;
pub mod diff;
pub mod join;
pub mod json;
pub mod paint;
pub mod record;
pub mod report;
pub mod show;
pub mod snapshot;
pub mod stacks;
pub mod symbols;
pub mod table;
pub mod trouble;
