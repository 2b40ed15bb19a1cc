//! PostgreSQL in containers of the real engines that answer here, podman and docker. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

#[path = "../account/mod.rs"]
mod account;
#[path = "../engine/mod.rs"]
mod engine;

mod box_of;
mod ends;
mod hangs;
mod left;
mod one;
mod registry;
mod specification;
