//! What works on the cluster while it is broken, and what judges the result.

pub mod append;
pub mod bank;
pub mod checker;
pub mod route;
pub mod session;
pub mod steady;
pub mod watcher;
pub mod writer;
