//! The steps of a promotion. Floor 1.
//!
//! Order is all: the intent is on this node's disk and in the CIB before PostgreSQL is told
//! (`intent-first`), the synchronous names are set before it can accept a write, and the file says
//! *done* before anything else is written (`resolve-first`).

use std::collections::BTreeMap;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Past, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Shutdown};
use crate::decide::election::{Obstacle, Plan, Ruling};
use crate::decide::facts::{Instance, Process, Sql};
use crate::decide::sync::{Fencing, NodeState};
use crate::postgres::lsn::Timeline;
use crate::postgres::waldump::Geometry;

/// What the address of the ledger's primary answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldPrimary {
    /// It is this node itself, or there is none.
    NotApplicable,
    /// Nobody answers there as a server that accepts writes.
    NotWritable,
    /// It accepts writes.
    Writable(NodeName),
    /// Its node is not in the cluster, and something lives there that may accept writes, or it could not
    /// be asked.
    MayBeWritable(NodeName, String),
    /// Its node is away, and nothing proves that it is down (`fenced-first`).
    NotProvenDown(NodeName, String),
}

/// What an answer from the old primary's address means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A server that accepts writes.
    Primary,
    /// A server that does not: a standby, one that starts up or shuts down; or nobody.
    NoPrimary,
    /// A server that did not say what it is, or the question failed.
    Unknown(String),
}

impl OldPrimary {
    /// Whether the old primary's node is in the cluster; or what follows without asking its address.
    pub fn in_cluster(node: &NodeName, state: NodeState, fencing: Fencing) -> Result<bool, Self> {
        match state {
            NodeState::Online => Ok(true),
            NodeState::OfflineClean => Ok(false),
            NodeState::Unclean | NodeState::Unknown => {
                let why = match fencing {
                    Fencing::Works | Fencing::OffAccepted(_) => "it has not been fenced".into(),
                    Fencing::Off(why) | Fencing::Unknown(why) => why,
                };
                Err(Self::NotProvenDown(node.clone(), why))
            }
        }
    }

    /// What follows from the answer. Of a node in the cluster Pacemaker knows what runs there, and has
    /// stopped or demoted it; one that left (maintenance) may run on.
    pub fn of(node: &NodeName, in_cluster: bool, answer: Answer) -> Self {
        match (answer, in_cluster) {
            (Answer::Primary, _) => Self::Writable(node.clone()),
            (Answer::NoPrimary, _) | (Answer::Unknown(_), true) => Self::NotWritable,
            (Answer::Unknown(why), false) => Self::MayBeWritable(node.clone(), why),
        }
    }
}

/// What the orderly end of the old primary says about this node's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It is no planned move, or there is nothing to compare.
    NotApplicable,
    /// This node has everything up to the end of the shutdown checkpoint.
    Complete,
    /// It lacks WAL that the old primary wrote before its end.
    Lacking(String),
    /// The old primary's node is there, its instance ended, and where it ended is not known.
    Unknown(String),
}

/// What is known of the old primary's end.
#[derive(Clone, Debug)]
pub struct End {
    /// What it has published of it.
    pub shutdown: Known<Shutdown>,
    /// Its node is in the cluster.
    pub online: bool,
    /// It has said how far it is, so that it counts by that.
    pub seen: bool,
}

impl Planned {
    /// Whether `mine` has everything that the primary of `entry`, another node, wrote before its orderly
    /// end.
    pub fn of(entry: &Entry, mine: &Position, end: &End) -> Self {
        let old = &entry.primary;
        match &end.shutdown {
            Known::Known(shutdown) if shutdown.id == entry.id => {
                let reaches = mine.line.contains(shutdown.timeline, shutdown.end)
                    && (mine.lsn >= shutdown.end
                        || Geometry::new(16 << 20, 8192)
                            .is_some_and(|usual| usual.same_end(mine.lsn, shutdown.end)));
                if reaches {
                    Self::Complete
                } else {
                    Self::Lacking(format!(
                        "{old} ended at {} (timeline {}), this node has {} only",
                        shutdown.end, shutdown.timeline, mine.lsn
                    ))
                }
            }
            _ if !end.online => Self::NotApplicable,
            // The old primary is there and is counted by its own position.
            _ if end.seen => Self::NotApplicable,
            _ => Self::Unknown(format!(
                "{old} is online, does not run, and where it ended is not known"
            )),
        }
    }

    /// Why this node may not be promoted although the election permits it.
    pub fn obstacle(&self, mode: Mode, force: bool) -> Option<Obstacle> {
        match (self, mode) {
            (Self::Lacking(_) | Self::Unknown(_), Mode::Async) if force => None,
            (Self::Lacking(why), _) => Some(Obstacle::LacksTheEnd(why.clone())),
            (Self::Unknown(why), Mode::Async) => Some(Obstacle::EndUnknown(why.clone())),
            // Sync: every acknowledged commit is on a member of E, and all of E was seen.
            (Self::Unknown(_), Mode::Sync) | (Self::NotApplicable | Self::Complete, _) => None,
        }
    }
}

/// Why a member that is waited for is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Late {
    /// It has said itself that it still replays.
    Replays,
    /// It has said nothing, and is to be asked whether it starts up.
    Silent,
}

/// Who alone keeps this node from being promoted, and may stop doing so without anybody's help: then the
/// promotion waits for as long as its time allows. One that is refused is a failed one, which costs this
/// standby its score, and with it the election. Nobody where something else is in the way.
#[must_use]
pub fn late(ruling: Option<&Ruling>) -> BTreeMap<NodeName, Late> {
    let Some(Ruling::Refused(obstacles)) = ruling else { return BTreeMap::new() };
    let late = obstacles.iter().map(|obstacle| match obstacle {
        Obstacle::NotExact(node) => Some((node.clone(), Late::Replays)),
        Obstacle::NotSeen(node, _) => Some((node.clone(), Late::Silent)),
        Obstacle::OwnPositionUnknown(_)
        | Obstacle::StillReplaying
        | Obstacle::OwnLedgerUnknown(_)
        | Obstacle::CibUnknown(_)
        | Obstacle::ForeignSystem { .. }
        | Obstacle::NotAnHeir(_)
        | Obstacle::Behind { .. }
        | Obstacle::Diverged { .. }
        | Obstacle::OtherBranch { .. }
        | Obstacle::NobodyToConfirm(_)
        | Obstacle::LacksTheEnd(_)
        | Obstacle::EndUnknown(_)
        | Obstacle::TooFarBehind { .. }
        | Obstacle::LagUnknown(_) => None,
    });
    late.collect::<Option<_>>().unwrap_or_default()
}

/// Where an own entry of the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// No intent of this node is pending.
    None,
    /// It has been carried out.
    CarriedOut,
    /// It was given up before PostgreSQL was told.
    Void,
    /// PostgreSQL has been told and is not through.
    Pending,
}

/// What `promote` knows.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The instance now.
    pub instance: Instance,
    /// An intent of this node.
    pub intent: Intent,
    /// The election; none when it was not held yet.
    pub ruling: Option<Ruling>,
    /// The time for waiting for peers is used up.
    pub out_of_time: bool,
    /// The old primary's address; none when it was not asked yet.
    pub old_primary: Option<OldPrimary>,
    /// The planned-move check; none when it was not made yet.
    pub planned: Option<Planned>,
    /// What the operator's `force_promotion` allows in async mode.
    pub force: bool,
    /// Sync or async.
    pub mode: Mode,
    /// How far this action has come.
    pub done: Progress,
}

/// What this action has carried out so far, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing.
    Nothing,
    /// The intent is on this node's disk.
    FileWritten,
    /// The intent is in the CIB, and published positions are withdrawn.
    Announced,
    /// V is set and the receiver is cut off.
    Configured,
    /// PostgreSQL was told.
    Told,
}

/// One act of `promote`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Mark the own intent done.
    ResolveDone,
    /// Remove the own intent.
    ResolveVoid,
    /// Hold the election on fresh facts.
    Elect,
    /// Wait a little, then elect again.
    WaitAndElect,
    /// Ask the old primary's address.
    AskOldPrimary,
    /// Compare with the old primary's shutdown checkpoint.
    CheckPlanned,
    /// Write the intent to the own file.
    WriteIntent(Plan),
    /// Write the intent to the CIB, and withdraw all published positions: whoever reads one without
    /// the other sees less, never more.
    Announce,
    /// Set V, cut the receiver off, reload.
    Configure(Plan),
    /// `pg_ctl promote`.
    Tell,
    /// Wait until it accepts writes.
    AwaitWritable,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this and look again.
    Do(Step),
    /// It is the primary, and the ledger says so.
    Promoted,
    /// Refused, with the reason; another node that has more, if one is known.
    Refused {
        /// Why.
        reason: String,
        /// Who should be promoted instead.
        better: Option<NodeName>,
    },
    /// It failed.
    Failed(String),
}

/// The next step of `promote`.
#[must_use]
pub fn next(facts: &Facts) -> Next {
    match &facts.instance.process {
        Process::Running { .. } => {}
        Process::None | Process::Orphans(_) => {
            return Next::Failed("PostgreSQL is not running on this node".into());
        }
        Process::Unknown(why) => {
            return Next::Failed(format!("processes could not be looked at: {why}"));
        }
    }
    if let Sql::Primary(_) = &facts.instance.sql {
        return match facts.intent {
            Intent::None => Next::Promoted,
            Intent::CarriedOut | Intent::Pending | Intent::Void => Next::Do(Step::ResolveDone),
        };
    }
    if facts.done >= Progress::Told {
        return if facts.out_of_time {
            Next::Failed("PostgreSQL was told to promote and does not accept writes yet".into())
        } else {
            Next::Do(Step::AwaitWritable)
        };
    }
    if facts.done == Progress::Nothing {
        match facts.intent {
            Intent::None => {}
            Intent::CarriedOut => return Next::Do(Step::ResolveDone),
            Intent::Void => return Next::Do(Step::ResolveVoid),
            Intent::Pending => {
                return if facts.out_of_time {
                    Next::Failed("an earlier promotion has not come to its end".into())
                } else {
                    Next::Do(Step::AwaitWritable)
                };
            }
        }
    }
    let plan = match &facts.ruling {
        None => return Next::Do(Step::Elect),
        Some(ruling @ Ruling::Refused(obstacles)) => {
            if ruling.may_pass() && !facts.out_of_time {
                return Next::Do(Step::WaitAndElect);
            }
            return Next::Refused { reason: words(obstacles), better: ruling.better().cloned() };
        }
        Some(Ruling::Permitted(plan)) => plan,
    };
    match &facts.old_primary {
        None => return Next::Do(Step::AskOldPrimary),
        Some(OldPrimary::Writable(node)) => {
            return Next::Refused {
                reason: format!("{node} still accepts writes: two primaries must not be"),
                better: None,
            };
        }
        Some(OldPrimary::MayBeWritable(node, why)) => {
            if !facts.out_of_time {
                return Next::Do(Step::WaitAndElect);
            }
            return Next::Refused {
                reason: format!("{node} is offline, and may still accept writes: {why}"),
                better: None,
            };
        }
        Some(OldPrimary::NotProvenDown(node, why)) => {
            if !facts.out_of_time {
                return Next::Do(Step::WaitAndElect);
            }
            return Next::Refused {
                reason: format!("{node} is lost and not proven down: {why}"),
                better: None,
            };
        }
        Some(OldPrimary::NotApplicable | OldPrimary::NotWritable) => {}
    }
    let Some(planned) = &facts.planned else { return Next::Do(Step::CheckPlanned) };
    if let Some(obstacle) = planned.obstacle(facts.mode, facts.force) {
        if obstacle.may_pass() && !facts.out_of_time {
            return Next::Do(Step::WaitAndElect);
        }
        return Next::Refused { reason: obstacle.to_string(), better: None };
    }
    Next::Do(match facts.done {
        Progress::Nothing => Step::WriteIntent(plan.clone()),
        Progress::FileWritten => Step::Announce,
        Progress::Announced => Step::Configure(plan.clone()),
        Progress::Configured => Step::Tell,
        Progress::Told => Step::AwaitWritable,
    })
}

/// Obstacles as one line; of several nodes that have more, one is named.
pub fn words(obstacles: &[Obstacle]) -> String {
    let mut first_behind = true;
    let said = obstacles.iter().filter(|obstacle| match obstacle {
        Obstacle::Behind { .. } => std::mem::take(&mut first_behind),
        _ => true,
    });
    said.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The promotions that this node's data contains, newest first. It is noted as a follower of `followed`
/// before the first byte of that comes in, so what its own line has no timeline for it does not contain;
/// and `followed` may be older than the entry that it replaces. A history that named more would call a
/// branch of the old primary contained that this node's line lacks (`known-history`).
fn history(after: Option<&Entry>, followed: Option<PromotionId>, line: Timeline) -> Vec<Past> {
    let (Some(after), Some(followed)) = (after, followed) else { return Vec::new() };
    after
        .history_with_self()
        .into_iter()
        .skip_while(|past| past.id != followed)
        .filter(|past| past.timeline <= line)
        .collect()
}

/// The intent that a plan leads to, on a node that follows `followed` and whose data ends on
/// `timeline`. A primary that restarts in place under an async entry keeps that mode, as it keeps E: only [`crate::decide::sync`] makes a promise of it.
#[must_use]
pub fn intent(
    plan: &Plan,
    me: &NodeName,
    followed: Option<PromotionId>,
    id: PromotionId,
    system_id: u64,
    timeline: Timeline,
    mode: Mode,
) -> Entry {
    let mode = match &plan.after {
        Some(entry) if plan.in_place && entry.mode == Mode::Async => Mode::Async,
        Some(_) | None => mode,
    };
    Entry {
        system_id,
        term: plan.term,
        seq: plan.seq,
        id,
        primary: me.clone(),
        timeline,
        mode,
        heirs: plan.heirs.clone(),
        history: history(plan.after.as_ref(), followed, timeline),
        adopted: plan.after.as_ref().and_then(|entry| entry.adopted.clone()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
