// SPDX-License-Identifier: GPL-2.0

//! Why a command ends without a result, and its exit status.

use std::{fmt, io};

/// Exit status: `diff` found differences.
pub const DIFFERENT: u8 = 1;
/// Exit status: something went wrong.
pub const FAILED: u8 = 2;
/// Exit status: there is nothing to read on this machine.
pub const NOTHING: u8 = 3;

/// The end of a command that has no result.
#[derive(Debug)]
pub enum Trouble {
    /// The reader has closed the pipe. This is no error.
    ClosedPipe,
    /// A message for the user, and the exit status.
    Message(u8, String),
}

/// The result of a command, or of a part of it.
pub type Result<T> = std::result::Result<T, Trouble>;

/// A failure with the exit status [`FAILED`].
pub fn failed(message: impl Into<String>) -> Trouble {
    Trouble::Message(FAILED, message.into())
}

impl Trouble {
    /// The exit status of the program.
    pub fn status(&self) -> u8 {
        match self {
            Trouble::ClosedPipe => 0,
            Trouble::Message(status, _) => *status,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::ClosedPipe => f.write_str("the output is closed"),
            Trouble::Message(_, message) => f.write_str(message),
        }
    }
}

/// For the output. Files that are read have messages of their own.
impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Trouble::ClosedPipe,
            _ => failed(format!("the output cannot be written: {error}")),
        }
    }
}
