//! Rows of `start`, and every way through it.

mod attach;
mod explore;
mod rows;
