//! An explicit-state model checker of the rules that keep acknowledged commits, breadth first, for
//! sync mode: `ANY 1 (V)`, elections that see all of E. What it found is in docs/model.md.
//!
//! Two or three nodes, each with a cluster stack (membership, unclean nodes, a copy of the CIB,
//! scores, quorum with or without wait_for_all, a third vote), a PostgreSQL (stopped, standby,
//! primary; its WAL is a list of commits and promotions) and a ledger file that is on disk at once.
//! A step is one atomic act of one node; a power loss, a crash of PostgreSQL, a cut, a fencing, an
//! old CIB, a node that still believes in its old membership, and replication that passes a cut of
//! the cluster's network come between any two. [`steps`] enumerates what can happen next,
//! [`election`] is the judgement, [`rules`] is the list of rules and of what happens without them.
//!
//! Checked in every state that can be reached: no acknowledged commit is missing on a node that
//! becomes primary; never two live primaries; no standby streams on top of another branch; and, once
//! all faults heal, some primary that all reach can come up.
//!
//! A node is a number below [`state::NODES`], and every array here has one place for each.
#![allow(clippy::indexing_slicing, clippy::needless_range_loop)]

mod canon;
pub mod election;
pub mod options;
pub mod rules;
pub mod search;
mod set;
pub mod state;
pub mod steps;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
mod wal;

pub use options::{Options, OptionsError};
pub use search::{Ending, Outcome, search};

/// The rules at work within some bounds.
#[derive(Clone, Debug)]
pub struct Model {
    /// Bounds, assumptions, and which rules are broken.
    pub options: Options,
}
