//! Printing. A reader that has gone away, as in `pgtwin status | head -1`, is no reason to fail, and
//! never one to stop halfway: `println!` would end the program there. Floor 4.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::sys::log::one_line;

/// A line, or several, to standard output.
pub(super) fn line(text: impl Display) {
    let _ = whole(plain(&text));
}

/// A text to standard output as it is, all of it or an error: for what another program reads.
pub(super) fn whole(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// A value as JSON to standard output, for what another program reads.
pub(super) fn json(value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    whole(text + "\n").map_err(|error| format!("it could not be printed: {error}"))
}

/// A line, or several, to standard error.
pub(super) fn problem(text: impl Display) {
    let _ = io::stderr().lock().write_all(plain(&text).as_bytes());
}

/// Lines that steer no terminal: words of a server may be among them.
fn plain(text: &impl Display) -> String {
    text.to_string().split('\n').map(|line| one_line(line, usize::MAX) + "\n").collect()
}
