//! Asking a person. Floor 4.

use std::io::{BufRead, IsTerminal};

use super::{End, say};
use crate::agent::operate::NoSubject;
use crate::agent::pghba::NoGround;
use crate::decide::report::wrapped;
use crate::sys::log::{self, Facility};

/// Tells why a command could not begin.
pub(super) fn refused(error: &NoSubject) -> End {
    say::problem(wrapped(&format!("pgtwin: {error}"), 8));
    if error.is_usage() { End::Usage } else { End::Attention }
}

/// The same of a command that may do without a cluster.
pub(super) fn no_ground(error: &NoGround) -> End {
    match error {
        NoGround::Subject(error) => refused(error),
        NoGround::Other(why) => failed(why),
    }
}

/// Tells why it was not done.
pub(super) fn failed(why: &str) -> End {
    say::problem(wrapped(&format!("pgtwin: {why}"), 8));
    End::Attention
}

/// Where a command that changes something writes down what it does: to the system's log, and to the
/// person.
pub(super) fn log_as(resource: &str) {
    log::init(&log::Settings {
        instance: Some(resource.to_owned()),
        facility: Some(Facility::named("daemon")),
        files: Vec::new(),
        debug_files: Vec::new(),
        stderr: true,
        debug: false,
    });
}

/// Who gave the command.
pub(super) fn who() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.trim().is_empty());
    match (named("SUDO_USER"), named("LOGNAME")) {
        (Some(user), _) => format!("operator {user} (sudo)"),
        (None, Some(user)) => format!("operator {user}"),
        (None, None) => format!("operator (uid {})", nix::unistd::getuid()),
    }
}

/// Whether the person at the terminal types `expected`. Without a terminal nobody can.
pub(super) fn typed(question: &str, expected: &str) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask at: add --yes to go on without asking".to_owned());
    }
    // A question that nobody can read is not answered by chance.
    say::whole(format_args!("{question} ")).map_err(|error| format!("cannot ask: {error}"))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| format!("the answer could not be read: {error}"))?;
    if answer.trim() == expected { Ok(()) } else { Err("nothing was done".to_owned()) }
}
