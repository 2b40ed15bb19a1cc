//! Floor 1: the decisions, as pure functions. No I/O, no clock.

pub mod adopt;
pub mod answer;
pub mod bootstrap;
pub mod broken_replication;
pub mod changeover;
pub mod container;
pub mod demote;
pub mod doctor;
pub mod election;
pub mod explain;
pub mod facts;
pub mod fit;
pub mod force;
pub mod foreign_history;
pub mod forget;
pub mod history;
pub mod image;
pub mod inside;
pub mod ledger;
pub mod monitor;
pub mod notify;
pub mod pause;
pub mod pghba;
pub mod promote;
pub mod publication;
pub mod reach;
pub mod rebuild;
pub mod recovery;
pub mod recovery_check;
pub mod report;
pub mod setup;
pub mod slots;
pub mod source;
pub mod standby;
pub mod start;
pub mod stop;
pub mod storage;
pub mod switchover;
pub mod sync;
pub mod token;
pub mod unwatched;
pub mod upstream;
pub mod view;
pub mod wanted;

#[cfg(test)]
mod support;
