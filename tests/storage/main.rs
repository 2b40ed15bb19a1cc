//! `pgtwin storage` on real file systems, Btrfs and ext4 on loop devices, with real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod contained;
mod cut;
mod disk;
#[path = "../engine/mod.rs"]
mod engine;
mod moved;
#[allow(dead_code)]
#[path = "../instance/place.rs"]
mod place;
mod prepare;
mod rebuild;
#[allow(dead_code)]
#[path = "../recovery_data/world.rs"]
mod world;
