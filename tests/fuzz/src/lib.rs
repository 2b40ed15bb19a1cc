//! Every parser of pgtwin against texts that nobody would write.
//!
//! A *target* gives bytes to one parser, or to a few that read the same, and asserts more than that it
//! returns: what was read is written and read again, an edit is made twice and changes nothing the second
//! time, a bound holds, a secret is not shown. The same targets run in two ways: mutated by a seed, on any
//! toolchain (`cargo run -p fuzz`, and `tests/run`), and by libFuzzer, guided by coverage, where there is a
//! nightly one (`tests/fuzz/libfuzzer`).
//!
//! What is begun from are the captured files of `tests/fixtures`, and short texts beside each target.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// A zero byte stands between two texts, whatever the second begins with.
#![allow(clippy::octal_escapes)]

pub mod corpus;
pub mod mutate;
pub mod targets;

use std::borrow::Cow;

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it does with some bytes. It panics where something is wrong.
    pub run: fn(&[u8]),
    /// Captured files that it is begun from: those whose path below `tests/fixtures` ends so.
    pub captured: &'static [&'static str],
    /// Texts that it is begun from.
    pub seeds: &'static [&'static str],
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    targets::ALL.iter().find(|target| target.name == name)
}

/// Runs the target of this name: what libFuzzer calls.
///
/// # Panics
/// Where there is none, and where the target finds something.
pub fn run(name: &str, data: &[u8]) {
    (target(name).unwrap_or_else(|| panic!("there is no target {name}")).run)(data);
}

/// The bytes as the program would see them: what is no UTF-8 is shown by a sign of its own.
#[must_use]
pub fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// The text up to the first zero byte, and what follows: for targets that read two texts.
#[must_use]
pub fn halves(data: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (text(&data[..at]), text(data.get(at + 1..).unwrap_or_default()))
}
