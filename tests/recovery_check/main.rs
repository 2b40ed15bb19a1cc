//! The check before a recovery, and the diagnosis of a standby that does not stream, on real
//! PostgreSQL: each obstacle is made, found, and mended by what its remedy says.
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
mod check;
mod handed_over;
mod login;
mod pair;
mod passfile;
#[allow(dead_code)] // the other users of it need more
#[path = "../instance/place.rs"]
mod place;
