//! Printing. A reader that has gone away, as in `pgtwin status | head -1`, is no reason to fail, and
//! never one to stop halfway: `println!` would end the program there. Floor 4.

use std::fmt::Display;
use std::io::{self, Write};

/// A line to standard output.
pub(super) fn line(text: impl Display) {
    let _ = whole(format_args!("{text}\n"));
}

/// A text to standard output as it is, all of it or an error: for what another program reads.
pub(super) fn whole(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// A line to standard error.
pub(super) fn problem(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
