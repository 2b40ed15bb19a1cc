//! Rows of the care for E and V, and an exploration of every state that it can lead to.

mod agent;
mod change;
mod explore;
mod rows;
mod safety;
mod world;
