//! The cluster in a box: real Pacemaker, Corosync, PostgreSQL and fencing in containers on one
//! machine, with a writer, a checker and a watcher that say what a failover cost. The `lab`
//! command and the cluster tests are both built on this library.

pub mod bench;
pub mod binaries;
pub mod chance;
pub mod clock;
pub mod cluster;
pub mod compare;
pub mod config;
pub mod crm_mon;
pub mod demo;
pub mod disks;
pub mod docker;
pub mod error;
pub mod faults;
pub mod host;
pub mod image;
pub mod ledger;
pub mod logs;
pub mod options;
pub mod pacemaker;
pub mod postgres;
pub mod preload;
pub mod progress;
pub mod rivals;
pub mod run;
pub mod seed;
pub mod timeline;
pub mod torture;
mod tree;
pub mod workload;

pub use cluster::Cluster;
pub use error::{LabError, Result};
pub use faults::FenceMode;
pub use options::{Agent, Mode, Options, Release};
pub use preload::Meets;
pub use workload::{checker::Verdict, watcher::Watcher, writer::Writer};
