//! What a monitor or a probe answers. Floor 1.
//!
//! The monitor reports; it repairs nothing that needs a restart. *Alive but busy* and *slow* are not
//! *dead*, nor is a server that refuses the agent's login: a healthy primary is never bounced because
//! it took no connection, and a line missing in pg_hba.conf would follow the service to the next node.

pub mod reported;

use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::control_data::WasWritable;

/// In which role Pacemaker expects the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A probe: Pacemaker wants to know.
    Anything,
    /// A recurring monitor of a standby.
    Unpromoted,
    /// A recurring monitor of a primary.
    Promoted,
}

/// An exit code and, unless all is well, the reason. Reasons of 190 and 191 are constant texts for
/// as long as the cause lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What Pacemaker gets.
    pub code: ExitCode,
    /// What people get.
    pub reason: Option<String>,
}

impl Verdict {
    fn is(code: ExitCode) -> Self {
        Self { code, reason: None }
    }

    fn because(code: ExitCode, reason: impl Into<String>) -> Self {
        Self { code, reason: Some(reason.into()) }
    }
}

/// Whether a monitor asks Pacemaker although nothing seems to have changed: it was told to be thorough
/// (`level`, the OCF_CHECK_LEVEL), a minute has passed since it `asked` last (in seconds of uptime; 0: never),
/// or Pacemaker's configuration was written since.
#[must_use]
pub fn asks_pacemaker(level: u32, asked: u64, now: u64, changed: bool) -> bool {
    const EVERY: u64 = 60;
    level > 0 || asked == 0 || now.saturating_sub(asked) >= EVERY || changed
}

/// What a monitor answers where a parameter is refused that does not keep the instance from its work.
#[must_use]
pub fn with_refused(code: ExitCode, why: &str) -> Option<Verdict> {
    match code {
        ExitCode::Ok => Some(Verdict::because(ExitCode::Degraded, why)),
        ExitCode::RunningPromoted => Some(Verdict::because(ExitCode::DegradedPromoted, why)),
        _ => None,
    }
}

/// The answer for what was seen. A running, answering instance is `Ok` or `RunningPromoted`
/// here; whether it is degraded is judged by [`crate::decide::standby`] and [`crate::decide::sync`].
#[must_use]
pub fn judge(expected: Expected, instance: &Instance) -> Verdict {
    match &instance.process {
        Process::None => not_running(expected, &instance.data),
        Process::Orphans(pids) => Verdict::because(
            failed(expected),
            format!(
                "the postmaster is gone and {} of its processes still run (first pid {}); a stop \
                 clears them",
                pids.len(),
                pids.first().copied().unwrap_or_default()
            ),
        ),
        Process::Unknown(why) => {
            Verdict::because(ExitCode::Error, format!("processes could not be looked at: {why}"))
        }
        Process::Running { stopped, .. } => running(expected, instance, *stopped),
    }
}

fn failed(expected: Expected) -> ExitCode {
    match expected {
        Expected::Promoted => ExitCode::FailedPromoted,
        Expected::Anything | Expected::Unpromoted => ExitCode::Error,
    }
}

fn not_running(expected: Expected, data: &DataDir) -> Verdict {
    let crashed_primary = match data {
        DataDir::Cluster(control) => {
            control.state.was_writable() == WasWritable::Yes && !control.state.is_clean()
        }
        DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => false,
    };
    match expected {
        Expected::Promoted if crashed_primary => Verdict::because(
            ExitCode::FailedPromoted,
            "PostgreSQL is not running and was not shut down: it crashed or was killed",
        ),
        Expected::Anything | Expected::Unpromoted | Expected::Promoted => {
            Verdict::is(ExitCode::NotRunning)
        }
    }
}

/// The role of a live instance that does not answer: as its control file has it.
fn role_on_disk(expected: Expected, data: &DataDir) -> ExitCode {
    match expected {
        Expected::Promoted => ExitCode::DegradedPromoted,
        Expected::Unpromoted => ExitCode::Degraded,
        Expected::Anything => match data {
            DataDir::Cluster(control) => match control.state.was_writable() {
                WasWritable::Yes => ExitCode::RunningPromoted,
                WasWritable::No => ExitCode::Ok,
                WasWritable::Unknown => ExitCode::Error,
            },
            DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => {
                ExitCode::Error
            }
        },
    }
}

fn running(expected: Expected, instance: &Instance, stopped: bool) -> Verdict {
    match &instance.sql {
        Sql::Primary(_) => Verdict::is(ExitCode::RunningPromoted),
        Sql::Standby(_) => Verdict::is(ExitCode::Ok),
        Sql::Starting(_) => Verdict::because(
            role_on_disk(expected, &instance.data),
            "PostgreSQL is starting up or replaying WAL and does not answer queries yet",
        ),
        Sql::Busy(_) => Verdict::because(
            role_on_disk(expected, &instance.data),
            "PostgreSQL is alive and takes no connection of the agent (max_connections reached, \
             or too slow): see the log",
        ),
        Sql::Alive(why) => Verdict::because(
            role_on_disk(expected, &instance.data),
            format!("alive, but the agent cannot ask it: {why}"),
        ),
        Sql::ShuttingDown => {
            Verdict::because(failed(expected), "PostgreSQL is shutting down, and not by Pacemaker")
        }
        Sql::Hung if stopped => Verdict::because(
            failed(expected),
            "the postmaster is stopped by a signal (SIGSTOP) and answers nobody",
        ),
        Sql::Hung => {
            Verdict::because(failed(expected), "PostgreSQL accepted no query in time: it hangs")
        }
        Sql::Refused(why) => Verdict::because(
            failed(expected),
            format!("the postmaster runs and its socket does not answer: {why}"),
        ),
        Sql::Unknown(why) => {
            Verdict::because(failed(expected), format!("PostgreSQL could not be asked: {why}"))
        }
        Sql::NotAsked => {
            Verdict::because(ExitCode::Error, "PostgreSQL runs and was not asked anything")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
