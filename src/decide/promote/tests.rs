//! Rows of the steps of a promotion, and every way through them: each outcome of each step, with a
//! kill at any point and another action after it.

mod explore;
mod rows;
