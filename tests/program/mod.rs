//! Programs that a test puts somewhere and then runs.

use std::path::Path;
use std::process::Command;

/// Puts a copy of a program, or of a script, there. By another process: a child of another test, started while this
/// one had the copy open for writing, would keep it open until it is the program that it is to be; and what is open
/// for writing cannot be run.
pub fn place(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let install = Command::new("install")
        .args(["-m", "755"])
        .arg(from.as_ref())
        .arg(to.as_ref())
        .status()
        .unwrap();
    assert!(install.success(), "{} is not there", to.as_ref().display());
}
