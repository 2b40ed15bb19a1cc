//! pg_hba.conf on real PostgreSQL: who is let in, what `pgtwin validate-pghba` says of it, and what
//! `pgtwin fix-pghba` makes of files of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

#[path = "../engine/mod.rs"]
mod engine;

mod command;
mod documented;
mod files;
mod fix;
mod from;
#[allow(dead_code)] // the other users of it need more
#[path = "../instance/place.rs"]
mod place;
mod rows;
mod truth;
mod validate;
