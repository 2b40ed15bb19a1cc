//! All targets.

mod answers;
mod cluster;
mod files;
mod hba;
mod kernel;
mod ledger;
mod parameters;
mod servers;
mod settings;

use crate::Target;

/// Every target, by the name that libFuzzer's program has.
pub const ALL: &[Target] = &[
    settings::CONF,
    settings::CONNINFO,
    settings::PASSFILE,
    settings::SYNC_NAMES,
    settings::VALUES,
    hba::FILE,
    hba::ROWS,
    hba::FIX,
    servers::CONTROL_DATA,
    servers::HISTORY,
    servers::WALDUMP,
    servers::IDENTIFY,
    servers::POSTMASTER_PID,
    servers::VERSIONS,
    servers::SERVER_LOG,
    ledger::OWN_FILE,
    ledger::ENTRIES,
    ledger::PUBLICATION,
    files::MARKER,
    files::PROGRESS,
    files::PAST,
    files::ORDERS,
    files::LAYOUT,
    cluster::CIB,
    cluster::CRM_MON,
    cluster::ATTRIBUTES,
    cluster::SIMULATION,
    cluster::COROSYNC_CONF,
    cluster::TIMES,
    parameters::PARAMETERS,
    parameters::ENVIRONMENT,
    parameters::LINES,
    answers::PSQL,
    answers::PACEMAKER,
    answers::SQL,
    kernel::KERNEL,
];
