//! Floor 1: the decisions, as pure functions. No I/O, no clock.

pub mod facts;
