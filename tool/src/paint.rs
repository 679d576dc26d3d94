// SPDX-License-Identifier: GPL-2.0

//! Bold and dim text, on a terminal.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

/// Whether the output has bold and dim text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint(bool);

impl Paint {
    /// For standard output: a terminal, if `NO_COLOR` is empty or absent (<https://no-color.org>).
    pub fn for_stdout() -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint(!refused && io::stdout().is_terminal())
    }

    /// The text in bold.
    pub fn bold<T: Display>(self, text: T) -> Painted<T> {
        Painted { code: if self.0 { "\x1b[1m" } else { "" }, text }
    }

    /// The text dimmed.
    pub fn dim<T: Display>(self, text: T) -> Painted<T> {
        Painted { code: if self.0 { "\x1b[2m" } else { "" }, text }
    }
}

/// A text to print.
#[derive(Debug)]
pub struct Painted<T> {
    code: &'static str,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.code.is_empty() { "" } else { "\x1b[0m" };
        write!(f, "{}{}{end}", self.code, self.text)
    }
}
