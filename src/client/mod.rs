//! Floor 2: clients of PostgreSQL, of its peers, of Pacemaker and of container engines.

pub mod engine;
pub mod image_file;
pub mod ledger_file;
pub mod pacemaker;
pub mod past_file;
pub mod peer;
pub mod recovery_file;
pub mod recovery_log;
pub mod registry;
pub mod sql;
