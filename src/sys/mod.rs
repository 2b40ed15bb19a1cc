//! Floor 2: processes, privileges, files, deadlines and logs.

pub mod deadline;
pub mod detach;
pub mod exec;
pub mod files;
pub mod freezer;
pub mod interfaces;
pub mod interrupt;
pub mod log;
pub mod mounts;
pub mod privilege;
pub mod process;
pub mod utc;

mod chain;

pub use chain::chain;
