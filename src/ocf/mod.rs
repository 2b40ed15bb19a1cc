//! Floor 0: what OCF gives and takes: actions, exit codes, parameters, meta-data, notifications.

pub mod action;
pub mod env;
pub mod exit_code;
pub mod metadata;
pub mod notify;
pub mod params;
