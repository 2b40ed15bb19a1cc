//! How a node comes back whose data cannot simply follow: which way, and the steps of the worker that
//! goes it. Floor 1.
//!
//! pg_rewind first, pg_basebackup where a rewind cannot work; nothing before the primary is proven and
//! the check has passed; old data is destroyed last. Each look begins anew: a worker that was killed at
//! any point is followed by one that finds out where things stand, and data between old and new is
//! never started, only replaced.

pub mod work;

use crate::cluster::known::Known;
use crate::cluster::recovery::{Attempts, Marker, Method, Phase, Turn};
use crate::decide::facts::Process;
use crate::decide::recovery_check::{self, Closes, Finding, Kind};
use crate::decide::start::{Upstream, foreign};

/// Why this node's data cannot follow the primary as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is none: no directory, or nothing in it but `lost+found`.
    NoData,
    /// Its line left the primary's: both are named in the words.
    Diverged(String),
    /// It is of another promotion under the same timeline number, which pg_rewind cannot see.
    OtherBranch(String),
    /// It is of another database system, which an operator has given up for the primary's.
    GivenUp(String),
    /// WAL that it needs is gone on the primary.
    WalGone(String),
    /// It can, and somebody wants a full copy in its place.
    Asked(String),
}

impl Cause {
    /// The cause in words.
    pub fn words(&self) -> &str {
        match self {
            Self::NoData => "there is no data here",
            Self::Diverged(words)
            | Self::OtherBranch(words)
            | Self::GivenUp(words)
            | Self::WalGone(words)
            | Self::Asked(words) => words,
        }
    }
}

/// Whether a full copy that was asked for is still to be made of this data: it holds as long as nobody
/// has started PostgreSQL on it since (`untouched`). Where nobody is there to copy from, the data is
/// better started as it is: it may be what the cluster needs.
#[must_use]
pub fn is_asked_for(marker: &Marker, upstream: &Upstream, untouched: bool) -> bool {
    let somebody = match upstream {
        Upstream::Live(_) | Upstream::Silent(..) | Upstream::Unknown(_) => true,
        Upstream::Nobody | Upstream::Disowned(..) => false,
    };
    marker.asked && !marker.half_done && marker.phase < Phase::Starting && somebody && untouched
}

/// Whether a rewind failed since the data was whole last, by the marker of the last attempt, and how many
/// attempts have failed in a row. One that did not come as far as pg_rewind says nothing against it: that a
/// worker was killed in the crash recovery before it, or found no primary, will be another time.
#[must_use]
pub fn rewind_failed(method: Method, phase: Phase, failed: u32) -> bool {
    failed > 0 && method == Method::Rewind && phase == Phase::Rewinding
}

/// What an earlier worker has left written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// Nothing.
    Nothing,
    /// It was at work, and the data is whole: untouched, or finished.
    Whole,
    /// The data is between old and new: a full copy of this database system replaces it.
    HalfDone {
        /// The system identifier of the primary that it came from.
        system_id: u64,
    },
    /// What is written cannot be read; as bad as half done, and nobody knows of which system.
    Unreadable(String),
}

impl Marked {
    /// Whether the data may be started as far as recoveries go.
    #[must_use]
    pub fn data_is_whole(&self) -> bool {
        match self {
            Self::Nothing | Self::Whole => true,
            Self::HalfDone { .. } | Self::Unreadable(_) => false,
        }
    }
}

/// Whether the data directory lies where it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Nobody says that it is a mount point, or it is one and mounted.
    InPlace,
    /// It should be one and is not: what is below is the empty directory under the mount.
    Missing(String),
    /// That could not be found out.
    Unknown(String),
}

impl Mount {
    /// Why nothing may be started or written at this pgdata, if nothing may.
    #[must_use]
    pub fn refusal(&self, pgdata: &str) -> Option<String> {
        match self {
            Self::InPlace => None,
            Self::Missing(why) => Some(format!(
                "pgdata={pgdata} is to be a mount point and is not mounted ({why}): mount it; nothing \
                 was written"
            )),
            Self::Unknown(why) => {
                Some(format!("whether pgdata={pgdata} is mounted could not be found out: {why}"))
            }
        }
    }
}

/// What the check says of one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possible {
    /// All that it needs is there.
    Yes,
    /// Something is missing that somebody can mend, named with its remedy.
    NotNow(String),
    /// It cannot work on this data.
    Never(String),
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// pg_rewind.
    pub rewind: Possible,
    /// pg_basebackup.
    pub rebuild: Possible,
}

impl Check {
    /// What the findings leave open. What stands at PGDATA is of no account where it is known to be half
    /// done: without its `PG_VERSION`, or with half a control file, it looks like nothing of ours.
    #[must_use]
    pub fn of(found: &recovery_check::Check, marked: &Marked) -> Self {
        let rewind = match found.findings.iter().find(|one| rules_out_a_rewind(one.kind)) {
            Some(finding) => Possible::Never(finding.advice.brief()),
            None => possible(found.against_rewind()),
        };
        let ruin = matches!(marked, Marked::HalfDone { .. });
        let against = found
            .findings
            .iter()
            .find(|one| one.closes != Closes::Rewind && !(ruin && one.kind == Kind::Unusable));
        Self { rewind, rebuild: possible(against) }
    }
}

fn possible(against: Option<&Finding>) -> Possible {
    against.map_or(Possible::Yes, |finding| Possible::NotNow(finding.advice.brief()))
}

/// What no hand at the primary or at this node's configuration mends for the data as it is.
fn rules_out_a_rewind(kind: Kind) -> bool {
    match kind {
        Kind::NoData | Kind::NoHints | Kind::SlotLost => true,
        Kind::Silent
        | Kind::NotLetIn(_)
        | Kind::NotFoundOut
        | Kind::InRecovery
        | Kind::TwoServers
        | Kind::OtherSystem
        | Kind::Programs
        | Kind::DataVersion
        | Kind::Unusable
        | Kind::NoFullPages
        | Kind::CheckpointPending
        | Kind::NotExecutable
        | Kind::TooFull
        | Kind::Place
        | Kind::SlotTaken
        | Kind::NoSlotLeft
        | Kind::NoWalsenderLeft => false,
    }
}

/// What is known when the way is chosen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The parameter, for people.
    pub pgdata: String,
    /// What is written.
    pub marked: Marked,
    /// Why the data cannot follow; none inside: it can.
    pub cause: Known<Option<Cause>>,
    /// The system identifier of the data; none where there is no data.
    pub system_id: Option<u64>,
    /// The primary.
    pub upstream: Upstream,
    /// The primary is this node: it calls itself the source.
    pub upstream_is_me: bool,
    /// Why this data is nobody's to replace: an operator has begun to declare it the truth.
    pub adopting: Option<String>,
    /// Where the directory lies.
    pub mount: Mount,
    /// The attempts that failed in a row.
    pub failed: Attempts,
    /// Whether the next one is due.
    pub turn: Turn,
    /// What a person types to have it tried again.
    pub again: String,
    /// A rewind failed since the data was whole last.
    pub rewind_failed: bool,
    /// The check; none when it was not made yet.
    pub check: Option<Check>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing: the data can follow.
    Follow,
    /// Make the check, and choose again.
    MakeTheCheck,
    /// Start a worker.
    Recover(Method, String),
    /// What stands in the way can change by itself or by somebody's hand, and the next look finds out. It
    /// comes first in the words, with the line to add, for Pacemaker shows the first 128 bytes; why the node is
    /// to be brought back is behind it.
    Wait(String),
    /// It is not this node's to recover: a person decides.
    Refuse(String),
}

/// What a monitor makes of a node with a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A worker is at work.
    AtWork,
    /// Nobody is at work, and no server runs.
    Idle,
    /// A server runs.
    Runs,
    /// No server runs, and whether a worker is at work is not known.
    Unsure(String),
    /// What there is of a server is no business of recoveries.
    Other,
}

/// Where a recovery stands, from the processes of the instance and whether a worker is at work.
#[must_use]
pub fn standing(process: &Process, at_work: &Known<bool>) -> Standing {
    match (process, at_work) {
        // Crash recovery in single-user mode looks like processes that have lost their postmaster.
        (Process::None | Process::Orphans(_), Known::Known(true)) => Standing::AtWork,
        (Process::None, Known::Known(false)) => Standing::Idle,
        (Process::None, Known::Unknown(why)) => Standing::Unsure(why.clone()),
        (Process::Running { .. }, _) => Standing::Runs,
        (Process::Orphans(_), Known::Known(false) | Known::Unknown(_))
        | (Process::Unknown(_), _) => Standing::Other,
    }
}

/// Which way back.
#[must_use]
pub fn way(facts: &Facts) -> Way {
    match (facts.mount.refusal(&facts.pgdata), &facts.mount) {
        (None, _) => {}
        (Some(why), Mount::Unknown(_)) => return Way::Wait(why),
        (Some(why), Mount::InPlace | Mount::Missing(_)) => return Way::Refuse(why),
    }
    let cause = match (&facts.marked, &facts.cause) {
        (Marked::HalfDone { .. }, _) => "a recovery ended half way".to_owned(),
        (Marked::Unreadable(why), _) => format!("the marker of a recovery is unreadable: {why}"),
        (Marked::Nothing | Marked::Whole, Known::Unknown(why)) => {
            return Way::Wait(format!("whether the data can follow is not known: {why}"));
        }
        (Marked::Nothing | Marked::Whole, Known::Known(None)) => return Way::Follow,
        (Marked::Nothing | Marked::Whole, Known::Known(Some(cause))) => cause.words().to_owned(),
    };
    let replaces_nothing =
        facts.marked.data_is_whole() && matches!(facts.cause, Known::Known(Some(Cause::NoData)));
    if let (Some(why), false) = (&facts.adopting, replaces_nothing) {
        return Way::Refuse(format!("{why}, or move the data away; {cause}"));
    }
    let live = match &facts.upstream {
        Upstream::Live(live) => live,
        Upstream::Nobody => return Way::Wait(format!("there is no primary to copy; {cause}")),
        Upstream::Silent(node, why) => {
            return Way::Wait(format!("the primary {node} cannot be asked: {why}; {cause}"));
        }
        Upstream::Disowned(_, why) => return Way::Wait(format!("{why}; {cause}")),
        Upstream::Unknown(why) => {
            return Way::Wait(format!("who is primary is not known: {why}; {cause}"));
        }
    };
    if facts.upstream_is_me {
        return Way::Refuse(format!("nothing is recovered from itself; {cause}"));
    }
    if let Known::Unknown(why) = &live.promotion {
        let node = &live.node;
        return Way::Wait(format!("of which promotion {node} is is not known: {why}; {cause}"));
    }
    let of = match &facts.marked {
        Marked::HalfDone { system_id } => Some(*system_id),
        Marked::Unreadable(_) => None,
        Marked::Nothing | Marked::Whole => facts.system_id,
    };
    if let Some(why) = of.and_then(|system_id| foreign_system(system_id, live)) {
        return Way::Refuse(why);
    }
    // What does not change from one look to the next: each change is a new result for Pacemaker. When
    // the next attempt is due, status says.
    let Attempts { failed, reason, .. } = &facts.failed;
    match facts.turn {
        Turn::Now => {}
        Turn::At(_) => {
            return Way::Wait(format!(
                "attempt {failed} to bring its data back failed, and another one follows: {reason} \
                 ({cause})"
            ));
        }
        Turn::Over => {
            return Way::Wait(format!(
                "given up after {failed} attempts; to try again: {}; the last failed: {reason} ({cause})",
                facts.again
            ));
        }
    }
    let Some(check) = &facts.check else { return Way::MakeTheCheck };
    match method(facts, check) {
        Ok(method) => Way::Recover(method, cause),
        Err(why) => Way::Wait(format!("{why}; {cause}")),
    }
}

/// Another database is never overwritten, but for one that an operator has given up for the primary's. That
/// its promotion is not the primary's is a cause here, and no obstacle.
fn foreign_system(system_id: u64, live: &crate::decide::start::Live) -> Option<String> {
    if system_id == live.system_id || live.was_chosen_over(system_id) {
        return None;
    }
    foreign(system_id, live)
}

fn method(facts: &Facts, check: &Check) -> Result<Method, String> {
    let rebuild = |why: &str| match &check.rebuild {
        Possible::Yes => Ok(Method::Rebuild),
        Possible::NotNow(not) | Possible::Never(not) => Err(format!("{not}{why}")),
    };
    match (&facts.marked, &facts.cause) {
        (Marked::Nothing | Marked::Whole, Known::Known(Some(Cause::Diverged(_))))
            if !facts.rewind_failed =>
        {
            match &check.rewind {
                Possible::Yes => Ok(Method::Rewind),
                // Somebody can mend it, and a rewind keeps what a copy would throw away.
                Possible::NotNow(why) => Err(why.clone()),
                Possible::Never(why) => rebuild(&format!("; pg_rewind cannot work ({why})")),
            }
        }
        (Marked::Nothing | Marked::Whole | Marked::HalfDone { .. } | Marked::Unreadable(_), _) => {
            rebuild("")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
