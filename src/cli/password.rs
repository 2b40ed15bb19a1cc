//! A password from a file that only root can have written, or typed twice without being shown. Floor 4.

use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::say;
use crate::decide::bootstrap::against_password;
use crate::sys::chain;
use crate::sys::files::read_by_root_alone;

/// No honest file is larger.
const LARGEST: u64 = 4096;

/// The password of `role`: of the file, or asked for.
pub(super) fn password(role: &str, file: Option<&Path>) -> Result<String, String> {
    let text = match file {
        Some(file) => {
            let text = read_by_root_alone(file, LARGEST).map_err(|error| chain(&error))?;
            text.strip_suffix('\n').unwrap_or(&text).to_owned()
        }
        None => typed(role)?,
    };
    match against_password(&text) {
        Some(why) => Err(why.to_owned()),
        None => Ok(text),
    }
}

fn typed(role: &str) -> Result<String, String> {
    if !io::stdin().is_terminal() {
        return Err(
            "there is no terminal to ask for the password at: add --password-file FILE".into()
        );
    }
    let first = ask(&format!("The password of {role}, the same on all nodes: "))?;
    let again = ask("Again: ")?;
    if first == again { Ok(first) } else { Err("the two are not the same".to_owned()) }
}

/// The terminal as it was, when this goes.
struct Quiet(Termios);

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
        say::line("");
    }
}

fn ask(question: &str) -> Result<String, String> {
    say::whole(question).map_err(|error| format!("cannot ask: {error}"))?;
    let before = tcgetattr(io::stdin()).map_err(|error| format!("the terminal: {error}"))?;
    let mut hidden = before.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden)
        .map_err(|error| format!("the terminal cannot be kept from showing it: {error}"))?;
    let _quiet = Quiet(before);
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| format!("the password could not be read: {error}"))?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}
