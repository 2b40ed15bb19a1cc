//! Root among the files, sockets and processes of a hostile postgres user: nothing is written
//! outside, no file of root's is shown, no foreign process is signalled, no answer fills the memory
//! or the log, and every call ends in time. On the real program, as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod account;
mod program;
mod rig;

#[path = "root_safety/answers.rs"]
mod answers;
#[path = "root_safety/fake.rs"]
mod fake;
#[path = "root_safety/hard_links.rs"]
mod hard_links;
#[path = "root_safety/links.rs"]
mod links;
#[path = "root_safety/planted.rs"]
mod planted;
#[path = "root_safety/processes.rs"]
mod processes;

use std::fs;

use rig::Rig;

/// So much memory an action may ask for; an honest one needs a hundredth.
const MEMORY: u64 = 256 << 20;

/// A fresh database, and the program within bounds of memory.
fn rig(resource: &'static str) -> Rig {
    let mut on = Rig::new(resource, "");
    let (text_file, script) = (on.home.path().join("agent.text"), on.home.path().join("agent"));
    let program = env!("CARGO_BIN_EXE_pgtwin");
    let text = format!("#!/bin/sh\nexec prlimit --as={MEMORY} --core=0 '{program}' \"$@\"\n");
    fs::write(&text_file, text).unwrap();
    program::place(&text_file, &script);
    on.program = script;
    on
}
