// SPDX-License-Identifier: GPL-2.0

//! What the summaries of `contexts` and `cpus` say of an isolated CPU.

use crate::abstractions::cpus::Isolation;
use crate::text::line::Line;

/// Ends the line of a CPU that was left alone, with the options that isolate the CPU.
pub(crate) fn add_left_alone(line: &mut Line<'_>, isolation: Isolation) {
    line.bytes(b"is isolated (");
    for (place, reason) in isolation.reasons().enumerate() {
        write!(line, "{}{reason}", if place == 0 { "" } else { ", " });
    }
    line.bytes(b") and was left alone; include_isolated=1 asks it as well\n");
}
