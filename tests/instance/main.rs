//! Our own instance and its peers on real PostgreSQL: every installed major version, in a temporary
//! directory, as a user of the tests' own (as oneself, where the tests don't run as root).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

#[path = "../engine/mod.rs"]
mod engine;

mod answers;
mod data;
mod delays;
mod doctor;
mod peers;
mod place;
mod reach;
mod settings;
mod slots;
mod start;
mod stop;
mod tended;
mod unwritten;
