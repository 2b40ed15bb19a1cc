//! How a node comes up: always as a standby. Floor 1.
//!
//! A booting node never writes. With a live primary it follows, if the primary's line contains all
//! that it has; data that cannot follow is brought back by a plan of its own ([`Next::Recover`]).
//! Without a primary it starts and waits for an election.

pub mod first_answer;
mod primary;

use crate::cluster::ledger::Own;
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Position};
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::recovery::{Cause, Marked, Mount};
use crate::postgres::control_data::{ControlData, WasWritable};
use crate::postgres::history::{History, Relation};
use crate::postgres::lsn::{Lsn, Timeline};

pub use primary::{Live, Upstream};

/// What `start` knows.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The parameter, for people.
    pub pgdata: String,
    /// The instance now.
    pub instance: Instance,
    /// The primary; none when nobody has asked yet.
    pub upstream: Option<Upstream>,
    /// This node's own ledger file says that nobody but itself can be the primary.
    pub alone: bool,
    /// Single-user recovery has been tried in this action, and how it ended.
    pub recovered: Option<Recovered>,
    /// The configuration for starting has been written in this action.
    pub prepared: bool,
    /// The postmaster has been started in this action; its error if it failed, or why it ended at once.
    pub started: Option<Result<(), String>>,
    /// The upstream has been set, or set again, after the start.
    pub attached: bool,
    /// The position, once the instance answers.
    pub position: Option<Position>,
    /// The time for waiting is used up.
    pub out_of_time: bool,
    /// What an earlier recovery has left written.
    pub marked: Marked,
    /// Whether the data directory lies where it should.
    pub mount: Mount,
    /// It was started in this action, had parted from the primary, and is stopped again: the words.
    pub parted: Option<String>,
    /// How far a monitor found this data to go, exactly, when it could not follow any more; none: none
    /// did, or that is too long ago.
    pub left_off: Option<Position>,
    /// Why this data is none of its primary's any more, though its timeline and its position say nothing of
    /// it ([`written_apart`]).
    pub written_apart: Option<String>,
    /// Whether the primary still has the WAL that follows: why it is taken to have not; none when nobody
    /// has asked.
    pub wal_gone: Option<Option<String>>,
}

/// How crash recovery in single-user mode ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The server is shut down in order.
    Done,
    /// It was cut off: it takes longer than an action may.
    OutOfTime,
    /// It cannot be done, and why.
    Failed(String),
}

/// One act of `start`.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask Pacemaker for the primary, and the primary for its identity.
    AskUpstream,
    /// Ask the primary for the WAL that follows this position.
    AskForWal(Lsn),
    /// Replay the WAL of a crash in single-user mode.
    RecoverSingleUser,
    /// Write standby.signal and our settings; with the upstream if it is safe to attach at once.
    Prepare {
        /// Whether primary_conninfo names the upstream already.
        attach: bool,
    },
    /// Start the postmaster.
    StartPostmaster,
    /// Measure the position of the running standby.
    Measure,
    /// Set primary_conninfo to the upstream and reload.
    Attach,
    /// Find out why it ended right after its start.
    AskItsLog,
    /// Wait a little and look again.
    Wait,
    /// Stop it, for this reason: it must not stay up.
    StopAgain(String),
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Do this and look again.
    Do(Step),
    /// It runs; a remark for the log.
    Running(Option<String>),
    /// It must not run, or cannot: soft, for another try may help.
    Refuse(String),
    /// The data has to be brought back first; no cause: a recovery ended half way.
    Recover(Option<Cause>),
    /// It lacks a permission.
    Perm(String),
}

/// The next step of `start`.
#[must_use]
pub fn next(facts: &Facts) -> Next {
    match &facts.instance.process {
        Process::Unknown(why) => {
            Next::Refuse(format!("processes could not be looked at: {why}; start tries again"))
        }
        Process::Orphans(pids) => match &facts.started {
            // The one that was not far enough in time, and was killed: not gone yet.
            Some(Err(why)) => did_not_start(why),
            _ => Next::Refuse(format!(
                "processes of a dead postmaster still run (first pid {}); a stop clears them",
                pids.first().copied().unwrap_or_default()
            )),
        },
        Process::None => stopped(facts),
        Process::Running { .. } => running(facts),
    }
}

fn did_not_start(why: &str) -> Next {
    Next::Refuse(format!("PostgreSQL did not start: {why}"))
}

fn stopped(facts: &Facts) -> Next {
    // Before anything is written, also where there is a database: it may be the one below the mount.
    if let Some(why) = facts.mount.refusal(&facts.pgdata) {
        return Next::Refuse(why);
    }
    if let Some(words) = &facts.parted {
        return Next::Recover(Some(Cause::Diverged(words.clone())));
    }
    if let Some(Err(why)) = &facts.started {
        return did_not_start(why);
    }
    if facts.started.is_some() {
        return Next::Do(Step::AskItsLog);
    }
    let control = match (&facts.instance.data, facts.marked.data_is_whole()) {
        (_, false) | (DataDir::Absent | DataDir::Empty, true) => {
            return if facts.upstream.is_none() {
                Next::Do(Step::AskUpstream)
            } else {
                Next::Recover(facts.marked.data_is_whole().then_some(Cause::NoData))
            };
        }
        (DataDir::Unusable(why), true) => return Next::Perm(why.clone()),
        (DataDir::Unknown(why), true) => {
            return Next::Refuse(format!("pgdata could not be read: {why}"));
        }
        (DataDir::Cluster(control), true) => control,
    };
    let Some(upstream) = &facts.upstream else {
        return Next::Do(Step::AskUpstream);
    };
    if let Upstream::Live(live) = upstream
        && let Some(no) = cannot_follow(control, live)
    {
        return no;
    }
    if let Some(words) = &facts.written_apart {
        return Next::Recover(Some(Cause::OtherBranch(words.clone())));
    }
    if let Upstream::Live(live) = upstream
        && let Some(no) = left_behind(facts, control, live)
    {
        return no;
    }
    // One that was cut off begins anew in the server, which nobody cuts off: it opens all the same, but for
    // an overflowed snapshot, with which it waits for somebody to force its promotion.
    if let Some(Recovered::Failed(why)) = &facts.recovered {
        return Next::Refuse(format!("crash recovery in single-user mode failed: {why}"));
    }
    if matches!(upstream, Upstream::Nobody | Upstream::Disowned(..))
        && facts.alone
        && facts.recovered.is_none()
        && crashed_primary(control)
    {
        return Next::Do(Step::RecoverSingleUser);
    }
    if !facts.prepared {
        return Next::Do(Step::Prepare { attach: attach_at_once(control, upstream) });
    }
    Next::Do(Step::StartPostmaster)
}

fn crashed_primary(control: &ControlData) -> bool {
    control.state.was_writable() == WasWritable::Yes && !control.state.is_clean()
}

/// What needs no position to be known.
fn cannot_follow(control: &ControlData, live: &Live) -> Option<Next> {
    if let Some(why) = foreign(control.system_id, live) {
        return Some(if live.was_chosen_over(control.system_id) {
            Next::Recover(Some(Cause::GivenUp(why)))
        } else if control.system_id == live.system_id {
            Next::Recover(Some(Cause::OtherBranch(why)))
        } else {
            Next::Refuse(why)
        });
    }
    let parted =
        |timeline, lsn| Next::Recover(Some(Cause::Diverged(diverged(live, timeline, lsn))));
    if !live.line.contains(control.timeline, control.checkpoint) {
        return Some(parted(control.timeline, control.checkpoint));
    }
    // A primary that was demoted last ended as a standby, beyond its shutdown checkpoint's start.
    let (timeline, end) = (control.min_recovery_timeline, control.min_recovery_end);
    (end.is_valid() && timeline.0 > 0 && !live.line.contains(timeline, end))
        .then(|| parted(timeline, end))
}

/// A standby's control file never says that a server was writable: where it does, on the very timeline that
/// this node has followed, somebody has started one without standby.signal, and what that wrote stands
/// where the primary's WAL should. The words, or nothing. `never_started`: it is a copy with its label,
/// whose control file is the source's.
pub fn written_apart(
    own: &Own,
    me: &NodeName,
    control: &ControlData,
    never_started: bool,
) -> Option<String> {
    // Of an older promotion it is not known any more whether it was this node's own.
    let entry = own.store.newest_done().filter(|entry| own.followed == Some(entry.id))?;
    let apart = entry.primary != *me
        && !never_started
        && control.state.was_writable() == WasWritable::Yes
        && control.timeline == entry.timeline;
    apart.then(|| {
        format!(
            "data diverged within timeline {}: a server that was no standby was started on it by hand \
             (its control file says: {})",
            control.timeline, control.state
        )
    })
}

/// What a monitor found is proven anew, with what the data and the primary say now: otherwise a standby
/// whose WAL is gone would be started again and again.
fn left_behind(facts: &Facts, control: &ControlData, live: &Live) -> Option<Next> {
    let end = facts.left_off.as_ref().filter(|end| is_end_of(end, control))?;
    if let Some(why) = parted(end, live) {
        return Some(Next::Recover(Some(Cause::Diverged(why))));
    }
    match &facts.wal_gone {
        None => Some(Next::Do(Step::AskForWal(end.lsn))),
        Some(Some(why)) => Some(Next::Recover(Some(Cause::WalGone(why.clone())))),
        Some(None) => None,
    }
}

/// Whether what was measured can still be the end of this data: a standby's, of this system, and its
/// control file knows of nothing beyond.
fn is_end_of(end: &Position, control: &ControlData) -> bool {
    let within = |timeline, lsn: Lsn| lsn <= end.lsn && end.line.contains(timeline, lsn);
    let (timeline, replayed) = (control.min_recovery_timeline, control.min_recovery_end);
    end.exactness == Exactness::Exact
        && end.system_id == control.system_id
        && control.state.was_writable() == WasWritable::No
        && within(control.timeline, control.checkpoint)
        && (!replayed.is_valid() || within(timeline, replayed))
}

/// Why data of this database system, and of the promotion that was asked about, is none of the primary's.
pub fn foreign(system_id: u64, live: &Live) -> Option<String> {
    if system_id != live.system_id && live.was_chosen_over(system_id) {
        return Some(format!(
            "this node's data is of database system {system_id}, which was given up for {} (pgtwin adopt)",
            live.system_id
        ));
    }
    if system_id != live.system_id {
        return Some(format!(
            "this node's data is of database system {system_id}, the primary {} has {}: it is another \
             database, and not overwritten; move it away, and the node is built anew",
            live.node, live.system_id
        ));
    }
    (live.knows_our_promotion == Some(false)).then(|| {
        let how = match live.adopted {
            Some(_) => "pgtwin adopt, or two promotions on one timeline number",
            None => "two promotions on one timeline number",
        };
        format!(
            "this node's data is of a promotion that the primary {} does not descend from ({how})",
            live.node
        )
    })
}

/// Why a standby that replays, and may open only with an upstream, will not open with this primary; none: it is
/// pointed at it, and PostgreSQL itself refuses WAL of another line. No position can be asked for before it opens:
/// its control file tells how far it is, as `start` would find it. WAL that nobody else has may keep it from that
/// for ever.
#[must_use]
pub fn cannot_open(control: &ControlData, live: &Live) -> Option<String> {
    match cannot_follow(control, live)? {
        Next::Recover(cause) => cause.map(|cause| cause.words().to_owned()),
        Next::Refuse(why) | Next::Perm(why) => Some(why),
        Next::Do(_) | Next::Running(_) => None,
    }
}

/// Why data that goes so far, exactly, cannot follow the primary any more.
pub fn parted(position: &Position, live: &Live) -> Option<String> {
    let relation = History::compare(
        (&position.line, position.lsn),
        (&live.line, live.lsn.max(live.line.begin())),
    );
    match relation {
        Relation::Equal | Relation::BAhead => None,
        // Ahead of what the primary said a moment ago, on its own line: it has gone on.
        Relation::AAhead if position.timeline() == live.line.timeline() => None,
        Relation::AAhead | Relation::Diverged { .. } => {
            Some(diverged(live, position.timeline(), position.lsn))
        }
    }
}

/// Pacemaker shows the first 128 bytes of a reason: both positions stand first.
pub fn diverged(live: &Live, timeline: Timeline, lsn: Lsn) -> String {
    format!(
        "data diverged: timeline {timeline} at {lsn}, primary {} timeline {} at {} (the primary's line: \
         {})",
        live.node,
        live.line.timeline(),
        live.lsn,
        live.line
    )
}

/// A node that was never writable can attach at once: PostgreSQL itself checks the fork. One that
/// was is measured first, and so is one that got the WAL of another node last: two promotions can get one timeline.
fn attach_at_once(control: &ControlData, upstream: &Upstream) -> bool {
    match upstream {
        Upstream::Nobody | Upstream::Silent(..) | Upstream::Disowned(..) | Upstream::Unknown(_) => {
            false
        }
        Upstream::Live(live) => control.state.was_writable() == WasWritable::No && live.feeds_us,
    }
}

fn running(facts: &Facts) -> Next {
    if !facts.marked.data_is_whole() {
        return Next::Do(Step::StopAgain("a recovery of its data ended half way".into()));
    }
    let asked = facts.upstream.as_ref();
    match &facts.instance.sql {
        Sql::Primary(_) => Next::Running(Some(
            "PostgreSQL runs already, and accepts writes: Pacemaker decides".into(),
        )),
        Sql::Standby(_) => {
            let Some(upstream) = asked else { return Next::Do(Step::AskUpstream) };
            let Upstream::Live(live) = upstream else {
                return Next::Running(None);
            };
            if facts.attached {
                return Next::Running(None);
            }
            let Some(position) = &facts.position else {
                return if facts.out_of_time {
                    Next::Running(Some("still replaying; the monitor attaches it later".into()))
                } else {
                    Next::Do(Step::Measure)
                };
            };
            let apart = || facts.written_apart.clone();
            match parted(position, live).or_else(apart) {
                None => Next::Do(Step::Attach),
                Some(why) => Next::Do(Step::StopAgain(why)),
            }
        }
        Sql::Starting(_) if asked.is_none() => Next::Do(Step::AskUpstream),
        Sql::Starting(_) => waiting(facts),
        Sql::Busy(why) => Next::Running(Some(format!("it runs, and takes no query: {why}"))),
        // To fail would ban the node for what a reload of pg_hba.conf can mend.
        Sql::Alive(why) => {
            Next::Running(Some(format!("it runs, and the agent cannot ask it: {why}")))
        }
        Sql::ShuttingDown | Sql::Hung | Sql::Refused(_) | Sql::NotAsked | Sql::Unknown(_) => {
            if facts.out_of_time {
                Next::Refuse("PostgreSQL was started and does not answer: see its log".into())
            } else {
                Next::Do(Step::Wait)
            }
        }
    }
}

/// Whether `start` may end while this is the answer, after a moment: the server speaks, or says itself that
/// it is on its way. One that said nothing is asked until the action has to end.
#[must_use]
pub fn speaks(sql: &Sql) -> bool {
    match sql {
        Sql::Standby(_) | Sql::Primary(_) | Sql::Busy(_) | Sql::Alive(_) | Sql::Starting(_) => true,
        Sql::ShuttingDown | Sql::Hung | Sql::Refused(_) | Sql::NotAsked | Sql::Unknown(_) => false,
    }
}

/// It replays. With an upstream that is not attached yet, attaching may be what it waits for: after a
/// crash with an overflowed snapshot hot standby never opens without one.
fn waiting(facts: &Facts) -> Next {
    if facts.out_of_time {
        return Next::Running(Some(
            "PostgreSQL replays WAL and does not answer yet; monitor reports it until it does"
                .into(),
        ));
    }
    Next::Do(Step::Wait)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
