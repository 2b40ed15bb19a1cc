//! pgtwin: PostgreSQL high availability on Pacemaker.
//!
//! Floors, lowest first; a module imports only from floors below its own:
//! 0 `ocf` `postgres` `cluster` (values and parsers), 1 `decide` (pure decisions),
//! 2 `sys` `client` `runtime` (everything that touches the world), 3 `agent` (observe, act, run),
//! 4 `cli` (the only place that prints).

#[cfg_attr(not(test), warn(clippy::disallowed_types))]
pub mod agent;
#[cfg_attr(not(test), warn(clippy::disallowed_types))]
pub mod cli;
#[cfg_attr(not(test), warn(clippy::disallowed_types))]
pub mod client;
#[cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
pub mod cluster;
#[cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
pub mod decide;
#[cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
pub mod ocf;
#[cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
pub mod postgres;
#[cfg_attr(not(test), warn(clippy::disallowed_types))]
pub mod runtime;
pub mod sys;
