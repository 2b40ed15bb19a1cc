//! PostgreSQL in containers of the real engines that answer here, podman and docker. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

#[path = "../account/mod.rs"]
mod account;
#[path = "../engine/mod.rs"]
mod engine;
#[path = "../program/mod.rs"]
mod program;
#[path = "../rig/mod.rs"]
mod rig;

mod box_of;
mod ends;
mod figures;
mod hangs;
mod left;
mod memory;
mod one;
mod registry;
mod specification;
