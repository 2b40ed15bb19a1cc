//! What a monitor of a standby does and answers. Floor 1.
//!
//! Pointing a running standby at the present primary is configuration and done here; whatever needs
//! a restart is the business of `start`.

use crate::cluster::node::NodeName;
use crate::decide::election::Ruling;
use crate::decide::promote::words;
use crate::decide::start::{Upstream, foreign};
use crate::ocf::exit_code::ExitCode;

/// From this many monitors without replication on, the data is compared with the primary's: a reconnect
/// needs no comparison.
const PATIENCE: u32 = 2;

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The receiver streams.
    pub streams: bool,
    /// It streams from the upstream that was last known to be right.
    pub from_the_right_one: bool,
    /// The system identifier of this node's data.
    pub system_id: u64,
    /// Replay is paused by an administrator.
    pub paused: bool,
    /// Replay is delayed (recovery_min_apply_delay).
    pub delayed: bool,
    /// It is time to ask Pacemaker.
    pub due: bool,
    /// The primary; none when nobody has asked.
    pub upstream: Option<Upstream>,
    /// The settings have been compared with the upstream, and changed where they differed.
    pub followed: Option<Result<(), String>>,
    /// Whether this node's data still goes together with the primary's: why not; none when it was not
    /// compared.
    pub parted: Option<Option<String>>,
    /// The election for a cold start; none when it was not held.
    pub ruling: Option<Ruling>,
    /// This node has a promotion score.
    pub has_score: bool,
    /// A break is reported from this many monitors in a row on, so that a reconnect is none.
    pub threshold: u32,
    /// Monitors in a row that found replication broken, this one included.
    pub broken: u32,
    /// Why it does not stream, if that could be told.
    pub diagnosis: Option<String>,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask Pacemaker for the primary, and the primary for its identity.
    AskUpstream,
    /// Stream from the upstream, and note its promotion.
    Follow(NodeName),
    /// Measure how far this node's data goes and compare it with the primary's line.
    Compare,
    /// Publish the own position, read the others', judge.
    ElectForColdStart,
    /// Set the own score: everybody was seen and this node has it all.
    GrantSelf,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this and look again.
    Do(Step),
    /// Answer.
    Answer {
        /// The code.
        code: ExitCode,
        /// The reason, if it is degraded.
        reason: Option<String>,
        /// What the state attribute says.
        state: &'static str,
    },
}

fn answer(code: ExitCode, state: &'static str, reason: impl Into<Option<String>>) -> Next {
    Next::Answer { code, reason: reason.into(), state }
}

/// The next step of a standby's monitor.
#[must_use]
pub fn next(facts: &Facts) -> Next {
    if facts.streams && facts.from_the_right_one && !facts.due && facts.upstream.is_none() {
        return healthy(facts);
    }
    match &facts.upstream {
        None => Next::Do(Step::AskUpstream),
        // A server that runs on data that is none of the primary's: what is to be done with it is the
        // business of `start`, which Pacemaker calls after a failure.
        Some(Upstream::Live(live)) if foreign(facts.system_id, live).is_some() => {
            answer(ExitCode::Error, "diverged", foreign(facts.system_id, live))
        }
        Some(Upstream::Live(live)) => match &facts.followed {
            None => Next::Do(Step::Follow(live.node.clone())),
            Some(Err(why)) => answer(
                ExitCode::Degraded,
                "not-streaming",
                format!("cannot be pointed at the primary {}: {why}", live.node),
            ),
            Some(Ok(())) if facts.streams => healthy(facts),
            Some(Ok(())) if facts.broken < PATIENCE => broken(facts, &live.node),
            Some(Ok(())) => match &facts.parted {
                None => Next::Do(Step::Compare),
                Some(Some(why)) => answer(ExitCode::Error, "diverged", why.clone()),
                Some(None) => broken(facts, &live.node),
            },
        },
        Some(Upstream::Silent(node, _)) if facts.streams => {
            let _ = node;
            healthy(facts)
        }
        Some(Upstream::Silent(node, why)) => {
            if facts.broken < facts.threshold {
                return answer(ExitCode::Ok, "not-streaming", None);
            }
            answer(
                ExitCode::Degraded,
                "not-streaming",
                format!("the primary {node} does not answer: {why}"),
            )
        }
        Some(Upstream::Unknown(_)) if facts.streams => healthy(facts),
        Some(Upstream::Unknown(why)) => {
            answer(ExitCode::Degraded, "waiting", format!("Pacemaker could not be asked: {why}"))
        }
        Some(Upstream::Nobody) => match &facts.ruling {
            None => Next::Do(Step::ElectForColdStart),
            Some(Ruling::Permitted(_)) if !facts.has_score => Next::Do(Step::GrantSelf),
            Some(Ruling::Permitted(_)) => answer(ExitCode::Ok, "waiting", None),
            Some(Ruling::Refused(_)) if facts.has_score => answer(ExitCode::Ok, "waiting", None),
            Some(Ruling::Refused(obstacles)) => answer(
                ExitCode::Degraded,
                "waiting",
                format!("no primary; not promoted: {}", words(obstacles)),
            ),
        },
    }
}

fn healthy(facts: &Facts) -> Next {
    if facts.paused {
        return answer(
            ExitCode::Degraded,
            "paused",
            "replay is paused: SELECT pg_wal_replay_resume()".to_owned(),
        );
    }
    if facts.delayed {
        return answer(ExitCode::Ok, "delayed", None);
    }
    answer(ExitCode::Ok, "streaming", None)
}

fn broken(facts: &Facts, primary: &NodeName) -> Next {
    if facts.broken < facts.threshold {
        return answer(ExitCode::Ok, "not-streaming", None);
    }
    let why = facts.diagnosis.as_deref().unwrap_or("see PostgreSQL's log");
    answer(ExitCode::Degraded, "not-streaming", format!("does not stream from {primary}: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
