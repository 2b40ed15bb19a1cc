//! Floor 4: the command line; the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// Prints a line for a person. `println!` panics when its reader has gone away (`| head`), and a
/// command must not end in the middle of what it does because nobody listens.
macro_rules! say {
    ($($words:tt)*) => {
        super::print_to(&mut std::io::stdout(), &format!($($words)*))
    };
}

pub mod agent;
mod ask;
mod force_promote;
mod forget;
mod options;
mod status;

use std::io::Write;
use std::process::ExitCode;

use crate::ocf::action::Action;
use crate::sys::log::one_line;

/// Prints one or more lines, if anybody listens. Words of a server may be among them, and are kept
/// from steering the terminal.
fn print_to(to: &mut impl Write, text: &str) {
    let lines: String = text.split('\n').map(|line| one_line(line, usize::MAX) + "\n").collect();
    let _ = to.write_all(lines.as_bytes()).and_then(|()| to.flush());
}

/// How an operator's command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Done, and all is well.
    Ok,
    /// Something needs attention, or it was not done.
    Attention,
    /// The command line cannot be followed.
    Usage,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Ok => 0,
            End::Attention => 1,
            End::Usage => 2,
        })
    }
}

/// The whole program: an action of the resource agent, or an operator's command.
pub fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.as_slice() {
        // What Pacemaker calls comes first, and never meets the parser of options.
        [word, ..] if word.parse::<Action>().is_ok() => agent::main(word),
        // To Pacemaker, an action that is not known is "unimplemented".
        [word] if !word.starts_with('-') && !options::is_command(word) => agent::main(word),
        _ => options::main(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_keeps_its_lines_and_cannot_steer_a_terminal() {
        let mut printed = Vec::new();
        print_to(&mut printed, "Warnings:\n  - it said \u{1b}[2J\u{202e}\r");
        assert_eq!(
            String::from_utf8(printed).unwrap(),
            "Warnings:\n  - it said \\u{1b}[2J\\u{202e}\n"
        );
    }
}
