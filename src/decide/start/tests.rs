//! Rows of `start`, and every way through it.

mod explore;
mod rows;
