//! What the lab says while it works: one line a step on stderr, with the time since the start.

#![allow(clippy::print_stderr)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();
static QUIET: AtomicBool = AtomicBool::new(false);

/// Silences or restores the progress lines of this process.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Says what is being done.
pub fn say(text: impl AsRef<str>) {
    let start = START.get_or_init(Instant::now);
    if !QUIET.load(Ordering::Relaxed) {
        eprintln!("[{:6.1}s] {}", start.elapsed().as_secs_f64(), text.as_ref());
    }
}

/// Does something that may take long, and says how long it took.
pub fn step<T>(text: &str, work: impl FnOnce() -> T) -> T {
    say(format!("{text} …"));
    let begin = Instant::now();
    let result = work();
    say(format!("{text}: {:.1} s", begin.elapsed().as_secs_f64()));
    result
}
