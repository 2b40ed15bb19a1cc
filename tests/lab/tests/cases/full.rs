//! What only `tests/run --full` plays: variants of the numbered cases, and long runs.

mod broken_replication;
pub mod documents;
mod first_start;
mod pause;
mod primaries;
mod rebuild;
mod recovery;
mod recovery_faults;
mod recovery_steps;
mod recovery_tls;
mod rounds;
mod switchover;
mod torture;
mod two_nodes_alone;
mod two_nodes_more;
mod unfenced_pair;
mod unwatched;
