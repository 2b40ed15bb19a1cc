//! A standby's data is replaced, by a worker, on real PostgreSQL; Pacemaker's tools alone are played. Needs
//! root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../account/mod.rs"]
#[allow(dead_code)]
mod account;
mod adopting;
mod asked;
mod broken;
#[path = "../engine/mod.rs"]
mod engine;
mod lost;
mod played;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test after the other: a process is one user at a time, and they share the files of one resource.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if account::is_root() {
        return Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
    }
    eprintln!("not tried: not root");
    None
}
