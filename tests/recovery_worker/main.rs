//! The worker of a recovery, as real processes: it outlives whoever starts it, is known beyond doubt,
//! is ended with everything it has started, and is alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../account/mod.rs"]
#[allow(dead_code)]
mod account;
mod counted;
mod ending;
mod proof;
mod rig;
mod starting;
mod status;
