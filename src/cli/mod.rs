//! Floor 4: the command line; the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod agent;

use std::process::ExitCode;

/// The whole program: an action of the resource agent, or an operator's command.
pub fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.first().map(String::as_str) {
        Some(word) => agent::main(word),
        None => agent::main("usage"),
    }
}
