//! pg_rewind, pg_basebackup and the swap of data directories, on real PostgreSQL of every installed
//! version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

#[path = "../engine/mod.rs"]
mod engine;

mod broken;
mod cut;
mod mount;
#[allow(dead_code)]
#[path = "../instance/place.rs"]
mod place;
mod rebuild;
mod rewind;
mod secrets;
mod swap;
mod wiped;
mod wire;
mod world;
