//! Floor 4: the command line; the only place that prints (`say`).

pub mod agent;
mod ask;
mod doctor;
mod force_promote;
mod forget;
mod options;
mod recover;
mod say;
mod setup;
mod status;
mod word;

use std::process::ExitCode;

use crate::ocf::action::Action;

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
