//! Floor 0: what a cluster is made of, as values.

pub mod absence;
pub mod asked;
pub mod attributes;
pub mod cib;
pub mod corosync_conf;
pub mod image;
pub mod interval;
pub mod known;
pub mod ledger;
pub mod migration;
pub mod node;
pub mod past;
pub mod paused;
pub mod position;
pub mod readiness;
pub mod recovery;
pub mod sealed;
pub mod simulation;
pub mod storage;
pub mod topology;
pub mod utc;
pub mod xml;
