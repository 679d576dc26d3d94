// SPDX-License-Identifier: GPL-2.0

//! The texts that the tables of frames have in common.

use crate::capture::frame_names::{
    FrameName,
    FrameNames, //
};
use crate::capture::symbols::Place;
use crate::text::kernel_address::Shown;
use crate::text::line::Line;
use crate::text::name;
use crate::text::number;

/// What is printed instead of a name that is not kept, and what follows a name.
pub(crate) const UNNAMED: &[u8] = b"[too-many-names]+0x";

/// Adds the text of a return address in the kernel to `line`.
pub(crate) fn add_place(line: &mut Line<'_>, place: Place<'_>, shown: Shown) {
    match place {
        Place::Named(symbol) => name::add_escaped(line, symbol),
        Place::Address(number) => write!(line, "{}", shown.address(number)),
    }
}

/// Adds the name of a mapping and an offset in it to `line`.
pub(crate) fn add_mapping(line: &mut Line<'_>, names: &FrameNames, name: FrameName, offset: usize) {
    line.bytes(names.get(name).unwrap_or(UNNAMED));
    number::add_short_hexadecimal(line, offset);
}

/// Adds a line to the summary that says how many stacks have only their `most` innermost frames, if
/// there are any.
pub(crate) fn add_truncated(line: &mut Line<'_>, truncated: usize, most: usize) {
    if truncated != 0 {
        writeln!(
            line,
            "# {truncated} stacks truncated, to the innermost {most} frames"
        );
    }
}
