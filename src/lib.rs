//! pgtwin: PostgreSQL high availability on Pacemaker.
//!
//! Floors, lowest first; a module imports only from floors below its own:
//! 0 `ocf` `postgres` `cluster` (values and parsers), 1 `decide` (pure decisions),
//! 2 `sys` `client` `runtime` (everything that touches the world), 3 `agent` (observe, act, run),
//! 4 `cli` (the only place that prints).

pub mod agent;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod decide;
pub mod ocf;
pub mod postgres;
pub mod runtime;
pub mod sys;
