//! What a monitor of a standby does and answers. Floor 1.
//!
//! Pointing a running standby at the present primary is configuration and done here; whatever needs
//! a restart is the business of `start`.

pub mod first;
pub mod watch;

use std::fmt::Write as _;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::broken_replication::{Cause, Diagnosis};
use crate::decide::election::Ruling;
use crate::decide::promote::words;
use crate::decide::start::{Upstream, foreign};
use crate::ocf::exit_code::ExitCode;

use watch::{Seen, Watch};

/// From this many monitors without replication on, the data is compared with the primary's, and the cause
/// is looked for: a reconnect needs neither.
const PATIENCE: u32 = 2;
/// The state of a standby whose replication is broken.
const NOT_STREAMING: &str = "not-streaming";

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether it streams.
    pub seen: Seen,
    /// It streams from the upstream that was last known to be right.
    pub from_the_right_one: bool,
    /// The system identifier of this node's data.
    pub system_id: u64,
    /// Replay is paused.
    pub paused: bool,
    /// Why; none when nobody has looked.
    pub why_paused: Option<String>,
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
    pub parted: Option<Known<Option<String>>>,
    /// The election for a cold start; none when it was not held.
    pub ruling: Option<Ruling>,
    /// This node has a promotion score.
    pub has_score: bool,
    /// It lets a member that has as much take its score first.
    pub lets_another_go_first: bool,
    /// A break is reported from this many monitors in a row on, so that a reconnect is none; and after as
    /// many at the same place a recovery begins.
    pub threshold: u32,
    /// How long replication has been broken, this monitor included.
    pub watch: Watch,
    /// The reason of the last monitor that reported a break; empty: none did.
    pub reported: String,
    /// Why it does not stream; none when nobody has looked.
    pub diagnosis: Option<Diagnosis>,
    /// A slot was made on the primary; none when it was not tried.
    pub new_slot: Option<Result<(), String>>,
    /// Whether a recovery could begin now: what keeps it from that; none when nobody has looked.
    pub way_back: Option<Result<(), String>>,
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
    /// Look why replay is paused.
    LookWhyPaused,
    /// Look why nothing is streamed from there.
    Diagnose(NodeName),
    /// Make this node's slot there.
    MakeSlot {
        /// Where.
        node: NodeName,
        /// One that is lost is dropped first.
        lost: bool,
    },
    /// Make the check before a recovery.
    CheckTheWayBack,
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
    let streams = facts.seen == Seen::Streams;
    if streams && facts.from_the_right_one && !facts.due && facts.upstream.is_none() {
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
                NOT_STREAMING,
                format!("cannot be pointed at the primary {}: {why}", live.node),
            ),
            Some(Ok(())) => match facts.seen {
                Seen::Streams => healthy(facts),
                Seen::Perhaps => perhaps(facts),
                Seen::Broken => broken(facts, &live.node),
            },
        },
        Some(Upstream::Silent(node, why)) => match facts.seen {
            Seen::Streams => healthy(facts),
            Seen::Perhaps => perhaps(facts),
            Seen::Broken => silent(facts, node, why),
        },
        Some(Upstream::Disowned(_, why)) => match facts.seen {
            Seen::Streams => healthy(facts),
            Seen::Perhaps => perhaps(facts),
            Seen::Broken if facts.watch.broken < facts.threshold => {
                answer(ExitCode::Ok, "waiting", None)
            }
            Seen::Broken => answer(ExitCode::Degraded, "waiting", why.clone()),
        },
        Some(Upstream::Unknown(_)) if streams => healthy(facts),
        Some(Upstream::Unknown(why)) => {
            answer(ExitCode::Degraded, "waiting", format!("Pacemaker could not be asked: {why}"))
        }
        Some(Upstream::Nobody) => match &facts.ruling {
            None => Next::Do(Step::ElectForColdStart),
            Some(Ruling::Permitted(_)) if !facts.has_score && !facts.lets_another_go_first => {
                Next::Do(Step::GrantSelf)
            }
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

/// What comes of an answer besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Also {
    /// The state attribute says so: not for what may pass.
    pub says_its_state: bool,
    /// `start`, which Pacemaker calls after a failure, is left how far the data goes.
    pub leaves_off: bool,
    /// The reason is what the next monitor says again while it knows no better.
    pub is_remembered: bool,
}

/// What comes of this answer.
#[must_use]
pub fn also(facts: &Facts, code: ExitCode, state: &str) -> Also {
    let failed = code == ExitCode::Error;
    let lasts = facts.seen == Seen::Streams || facts.watch.broken >= facts.threshold;
    Also {
        says_its_state: lasts || failed,
        leaves_off: failed,
        is_remembered: code == ExitCode::Degraded && state == NOT_STREAMING,
    }
}

fn healthy(facts: &Facts) -> Next {
    if facts.paused {
        return match &facts.why_paused {
            None => Next::Do(Step::LookWhyPaused),
            Some(why) => answer(ExitCode::Degraded, "paused", why.clone()),
        };
    }
    if facts.delayed {
        return answer(ExitCode::Ok, "delayed", None);
    }
    answer(ExitCode::Ok, "streaming", None)
}

/// A break that may be over: what was said of it stays until the next monitor knows.
fn perhaps(facts: &Facts) -> Next {
    if facts.watch.broken < facts.threshold || facts.reported.is_empty() {
        return answer(ExitCode::Ok, NOT_STREAMING, None);
    }
    answer(ExitCode::Degraded, NOT_STREAMING, facts.reported.clone())
}

/// The primary takes no question. Nothing is proven of it, so nothing but words comes of this.
fn silent(facts: &Facts, node: &NodeName, why: &str) -> Next {
    if facts.watch.broken < facts.threshold {
        return answer(ExitCode::Ok, NOT_STREAMING, None);
    }
    let Some(diagnosis) = &facts.diagnosis else {
        return Next::Do(Step::Diagnose(node.clone()));
    };
    // It answered in between, and has nothing to say against this node.
    let words = match diagnosis.cause {
        Cause::NotKnown => format!("the primary {node} does not answer: {why}"),
        _ => format!("does not stream from {node}: {diagnosis}"),
    };
    answer(ExitCode::Degraded, NOT_STREAMING, words)
}

fn broken(facts: &Facts, primary: &NodeName) -> Next {
    if facts.watch.broken < PATIENCE.min(facts.threshold) {
        return answer(ExitCode::Ok, NOT_STREAMING, None);
    }
    match &facts.parted {
        None => return Next::Do(Step::Compare),
        Some(Known::Known(Some(why))) => {
            return answer(ExitCode::Error, "diverged", why.clone());
        }
        Some(Known::Known(None) | Known::Unknown(_)) => {}
    }
    let Some(diagnosis) = &facts.diagnosis else {
        return Next::Do(Step::Diagnose(primary.clone()));
    };
    if let (Some(lost), None) = (diagnosis.cause.new_slot_helps(), &facts.new_slot) {
        return Next::Do(Step::MakeSlot { node: primary.clone(), lost });
    }
    if facts.watch.broken < facts.threshold {
        return answer(ExitCode::Ok, NOT_STREAMING, None);
    }
    let mut words = format!("does not stream from {primary}: {diagnosis}");
    if let Some(Err(why)) = &facts.new_slot {
        words = format!(
            "does not stream from {primary}: {} and cannot be made: {why}",
            diagnosis.advice.reason
        );
    }
    // Only data whose end is known, and does not move, is a case for a recovery.
    if diagnosis.cause.recovery_helps() && facts.watch.stuck >= facts.threshold {
        let not_yet = match (&facts.parted, &facts.way_back) {
            (Some(Known::Unknown(why)), _) | (_, Some(Err(why))) => why,
            (_, None) => return Next::Do(Step::CheckTheWayBack),
            (_, Some(Ok(()))) => return answer(ExitCode::Error, "left-behind", words),
        };
        let _ = write!(words, "; not yet: {not_yet}");
    }
    answer(ExitCode::Degraded, NOT_STREAMING, words)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
