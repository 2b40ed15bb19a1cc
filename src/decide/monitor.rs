//! What a monitor or a probe answers. Floor 1.
//!
//! The monitor reports; it repairs nothing that needs a restart. *Alive but busy* and *slow* are not
//! *dead*, nor is a server that refuses the agent's login: a healthy primary is never bounced because
//! it took no connection, and a line missing in pg_hba.conf would follow the service to the next node.

pub mod primary;
pub mod reported;

use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::ocf::env::Env;
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

impl Expected {
    /// What this call expects, if it is one of a monitor.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        if env.is_probe() {
            Self::Anything
        } else if env.expects_promoted() {
            Self::Promoted
        } else {
            Self::Unpromoted
        }
    }
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

/// The answer where a parameter is malformed: what runs goes on running, and nothing is changed by values
/// that nobody has chosen. A failure is said as it is.
#[must_use]
pub fn malformed(verdict: Verdict, words: String) -> Verdict {
    match verdict.code {
        ExitCode::Ok => Verdict::because(ExitCode::Degraded, words),
        ExitCode::RunningPromoted => Verdict::because(ExitCode::DegradedPromoted, words),
        ExitCode::Error
        | ExitCode::Args
        | ExitCode::Unimplemented
        | ExitCode::Perm
        | ExitCode::Installed
        | ExitCode::Configured
        | ExitCode::NotRunning
        | ExitCode::FailedPromoted
        | ExitCode::Degraded
        | ExitCode::DegradedPromoted => verdict,
    }
}

/// The answer of a standby that is well, where it would not be let in for a recovery.
#[must_use]
pub fn kept_out(verdict: Verdict, why: &str) -> Verdict {
    if verdict.code == ExitCode::Ok && !why.is_empty() {
        return Verdict::because(ExitCode::Degraded, why);
    }
    verdict
}

/// The answer of an instance that is well, on a node whose words do not reach the others: its acknowledgement is
/// one of them, and who cannot acknowledge cannot take over. `why`: of the last that did not get through; empty:
/// it did.
#[must_use]
pub fn unheard(verdict: Verdict, why: &str) -> Verdict {
    let code = match verdict.code {
        ExitCode::Ok => ExitCode::Degraded,
        ExitCode::RunningPromoted => ExitCode::DegradedPromoted,
        _ => return verdict,
    };
    if why.is_empty() {
        return verdict;
    }
    let reason = format!(
        "what this node has to say does not reach the others, so it is no heir: restart Pacemaker here if \
         pacemaker-attrd does not run ({why})"
    );
    Verdict::because(code, reason)
}

/// For whom a server accepts writes, or will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// It does not.
    No,
    /// Pacemaker has it as the primary.
    AsPrimary,
    /// Pacemaker does not.
    Unasked,
}

/// For whom it does, by what the monitor would answer.
#[must_use]
pub fn writes(expected: Expected, verdict: &Verdict) -> Writes {
    match (verdict.code == ExitCode::RunningPromoted, expected) {
        (false, _) => Writes::No,
        (true, Expected::Promoted) => Writes::AsPrimary,
        (true, Expected::Anything | Expected::Unpromoted) => Writes::Unasked,
    }
}

/// The answer of a server that accepts writes unasked, and that no promotion of the cluster's has made a primary: to
/// be found running makes nobody one. `overtaken`: why another node may have taken over meanwhile; none: nobody can
/// have, or it is not known, and then its score tells (`token::is_primary_by_ledger`).
#[must_use]
pub fn found(verdict: Verdict, overtaken: Option<&str>) -> Verdict {
    match overtaken {
        Some(why) => Verdict::because(
            ExitCode::Error,
            format!("{}: it is stopped, and an election decides", not_promoted(why)),
        ),
        None => verdict,
    }
}

/// What such a server is. `overtaken`: why it may not go on.
#[must_use]
pub fn not_promoted(overtaken: &str) -> String {
    format!("accepts writes, and was started by hand or at boot, not by the cluster; {overtaken}")
}

/// The answer of a standby that has not opened yet: an error where it never will, for `start` then brings its data
/// back.
#[must_use]
pub fn opens(verdict: Verdict, cannot: Option<String>) -> Verdict {
    match cannot {
        Some(why) => Verdict::because(ExitCode::Error, why),
        None => verdict,
    }
}

/// When a primary that has failed takes the right to be promoted from itself: without that Pacemaker would
/// first plan to promote this node again, and anew as soon as demote takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bars {
    /// It has not failed; and of a failure that is over nothing is left to be done at some later demotion.
    No,
    /// Now.
    Now,
    /// Before its demotion.
    BeforeItsDemotion,
}

/// When it does. `controller_here`: the controller plans anew for the score, finds its own node's result on
/// the way to the CIB, and then sleeps for a second. It plans for the result first.
#[must_use]
pub fn bars(verdict: &Verdict, controller_here: bool) -> Bars {
    match (verdict.code == ExitCode::FailedPromoted, controller_here) {
        (false, _) => Bars::No,
        (true, false) => Bars::Now,
        (true, true) => Bars::BeforeItsDemotion,
    }
}

/// What a monitor takes care of, besides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tends {
    /// Nothing: the answer is the verdict.
    Nothing,
    /// A primary, as expected: its standbys.
    ItsStandbys,
    /// A primary that nobody expected: its score, before anybody decides on that.
    ItsScore,
    /// A standby: whom it streams from.
    ItsUpstream,
    /// One that replays: it may open only with an upstream.
    WhetherItOpens,
}

/// What a monitor takes care of.
#[must_use]
pub fn tends(expected: Expected, verdict: &Verdict, sql: &Sql) -> Tends {
    match sql {
        Sql::Primary(_) => match (verdict.code == ExitCode::RunningPromoted, expected) {
            (true, Expected::Promoted) => Tends::ItsStandbys,
            (true, Expected::Anything | Expected::Unpromoted) => Tends::ItsScore,
            (false, _) => Tends::Nothing,
        },
        Sql::Standby(_) => match (verdict.code == ExitCode::Ok, expected) {
            (true, Expected::Promoted | Expected::Unpromoted) => Tends::ItsUpstream,
            (true, Expected::Anything) | (false, _) => Tends::Nothing,
        },
        Sql::Starting(_) => match expected {
            Expected::Unpromoted => Tends::WhetherItOpens,
            Expected::Anything | Expected::Promoted => Tends::Nothing,
        },
        Sql::NotAsked
        | Sql::ShuttingDown
        | Sql::Busy(_)
        | Sql::Alive(_)
        | Sql::Hung
        | Sql::Refused(_)
        | Sql::Unknown(_) => Tends::Nothing,
    }
}

/// When Pacemaker was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAsked {
    /// In seconds of uptime; 0: it was not, or something is to be looked at anew.
    pub at: u64,
    /// Its configuration has been written since.
    pub changed_since: bool,
}

/// Whether it is time to ask Pacemaker again although nothing seems to have changed: its configuration was
/// written since, or a minute has passed, or the administrator wants a thorough monitor (`level`).
#[must_use]
pub fn pacemaker_is_due(level: u32, last: LastAsked, now: u64) -> bool {
    const EVERY: u64 = 60;
    level > 0 || last.at == 0 || last.changed_since || now.saturating_sub(last.at) >= EVERY
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
