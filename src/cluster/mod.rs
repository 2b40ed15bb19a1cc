//! Floor 0: what a cluster is made of, as values.

pub mod ledger;
pub mod node;
