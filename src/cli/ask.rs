//! Asking a person. Floor 4.

use std::io::{BufRead, IsTerminal, Write};

use super::End;
use crate::agent::operate::NoSubject;

/// Tells why a command could not begin.
pub(super) fn refused(error: &NoSubject) -> End {
    eprintln!("pgtwin: {error}");
    if error.is_usage() { End::Usage } else { End::Attention }
}

/// Whether the person at the terminal types `expected`. Without a terminal nobody can.
pub(super) fn typed(question: &str, expected: &str) -> Result<(), String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask at: add --yes to go on without asking".to_owned());
    }
    print!("{question} ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| format!("the answer could not be read: {error}"))?;
    if answer.trim() == expected { Ok(()) } else { Err("nothing was done".to_owned()) }
}
