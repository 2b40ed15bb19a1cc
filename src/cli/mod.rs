//! Floor 4: the command line; the only place that prints (`say`).

mod adopt;
pub mod agent;
mod ask;
mod bootstrap;
mod container;
mod doctor;
mod explain;
mod fix_pghba;
mod force_promote;
mod forget;
mod history;
mod nearest;
mod options;
mod password;
mod pause;
mod rebuild;
mod recover;
mod say;
mod screen;
mod setup;
mod status;
mod storage;
mod switchover;
mod target;
mod validate_pghba;
mod word;

use std::process::ExitCode;

pub use options::definition;

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
        // The one word that is both.
        [word, ..] if word == "validate-pghba" && !validate_pghba::is_action(&args) => {
            options::main()
        }
        // What Pacemaker calls comes first, and never meets the parser of options.
        [word, ..] if word.parse::<Action>().is_ok() => agent::main(word),
        // To Pacemaker, an action that is not known is "unimplemented".
        [word, ..] if !word.starts_with('-') && !options::is_command(word) => agent::main(word),
        _ => options::main(),
    }
}
