// SPDX-License-Identifier: GPL-2.0

//! Writes the manual page and the completions for shells to the directory that is its argument.

use std::path::PathBuf;
use std::{fs, io};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use taskscope::args::Cli;

fn main() -> io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: pages DIRECTORY"));
    };
    fs::create_dir_all(&directory)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut Cli::command(), "taskscope", &directory)?;
    }
    clap_mangen::generate_to(Cli::command(), &directory)
}
