//! What only `tests/run --full` plays: more of the numbered cases, variants of them, and long runs.

mod adopt;
mod broken_replication;
mod compare;
mod compliance;
mod containers;
mod doctor;
pub mod documents;
mod faults;
mod lost_score;
mod pause;
mod primaries;
mod rebuild;
mod recovery;
mod recovery_archive;
mod recovery_faults;
mod recovery_rewind;
mod recovery_steps;
mod recovery_tls;
mod rounds;
mod switchover;
mod torture;
mod two_nodes_alone;
mod two_nodes_more;
mod unfenced_pair;
mod unwatched;
