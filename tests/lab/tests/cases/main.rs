//! The numbered cases of what must hold: real clusters, faults, and what they may not cost. Names begin with
//! the number of the case. They start containers, so they are ignored unless asked for; `tests/run` asks, leaves
//! the modules `full` out, and runs them too with `--full`. Tests of a module share a cluster as long as each
//! leaves it healthy; there are as many clusters at a time as `PGTWIN_CLUSTER_THREADS` says, else one.
//! By hand: `cargo test -p lab --test cases -- --ignored --test-threads 1 case_02`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod guard;
mod load;
mod look;
mod repair;
mod stage;
mod subtransactions;
mod takeover;

use lab::ledger;

mod async_mode;
mod documents;
mod first_start;
mod full;
mod recovery;
mod releases;
mod stopping;
mod three_nodes;
mod three_nodes_orderly;
mod torture;
mod two_nodes;
mod unfenced;
