//! Why a standby does not stream, what mends it, and whether a recovery can. Floor 1.
//!
//! What was asked just now comes before what a log says. The log may name what is asked for from
//! then on, and is believed only where nothing that was asked contradicts it. A cause that is not
//! known, or that a recovery cannot mend, never leads to one.

mod cause;

use std::fmt;

use crate::cluster::known::Known;
use crate::decide::facts::StandbyFacts;
use crate::decide::source::{Advice, Answer, Login, Server, Session, Slot, Source};
use crate::postgres::control_data::ControlData;
use crate::postgres::lsn::Lsn;
use crate::postgres::refusal::Refusal;
use crate::postgres::server_log::Trouble;

pub use cause::Cause;

/// What is known of a standby whose receiver is down.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The primary, and how this node logs in there.
    pub server: Server,
    /// This node's slot there.
    pub slot: String,
    /// What both logins answered.
    pub source: Source,
    /// What the standby itself says; none: it does not answer.
    pub standby: Option<StandbyFacts>,
    /// From where it needs WAL; none: it needs none yet, or that is not known.
    pub wanted: Option<Lsn>,
    /// How far it had replayed at an earlier look, which found it broken too; none: there was none.
    pub replayed_before: Option<Lsn>,
    /// Whether its data still goes together with the primary's: why not; unknown when it was not
    /// compared.
    pub parted: Known<Option<String>>,
    /// Settings that are lower than the primary's were.
    pub lower: Known<Vec<Lower>>,
    /// The last trouble in its log.
    pub log: Known<Option<Trouble>>,
    /// Bytes in a WAL segment.
    pub segment_size: Known<u32>,
    /// Bytes that it may still write to pg_wal.
    pub room: Known<u64>,
}

/// A setting of a standby that must not be lower than the primary's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Its name.
    pub name: &'static str,
    /// Its value here.
    pub here: u32,
    /// The primary's.
    pub needed: u32,
}

/// The settings of which a standby needs as much as its primary, with what its control file says
/// that it needs.
pub fn needed(control: &ControlData) -> [(&'static str, u32); 5] {
    [
        ("max_connections", control.max_connections),
        ("max_worker_processes", control.max_worker_processes),
        ("max_wal_senders", control.max_wal_senders),
        ("max_prepared_transactions", control.max_prepared_xacts),
        ("max_locks_per_transaction", control.max_locks),
    ]
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Diagnosis {
    /// The cause.
    pub cause: Cause,
    /// In words, with the remedy.
    pub advice: Advice,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.advice.fmt(f)
    }
}

fn found(cause: Cause, reason: impl Into<String>, remedy: impl Into<String>) -> Diagnosis {
    Diagnosis { cause, advice: Advice::new(reason, remedy) }
}

/// Judges the facts: the first cause that holds, those first that keep all others from mending.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    paused(facts)
        .or_else(|| logins(facts))
        .or_else(|| compared(facts))
        .or_else(|| catching_up(facts))
        .or_else(|| slot(facts))
        .or_else(|| wal_is_gone(facts))
        .or_else(|| full(facts))
        .or_else(|| by_the_log(facts))
        .or_else(|| in_use(facts))
        .unwrap_or_else(|| none_found(facts))
}

/// Without a session in postgres little can be found, and what keeps it away is worth its words.
fn none_found(facts: &Facts) -> Diagnosis {
    match login(&facts.server, Login::Postgres, &facts.source.postgres) {
        Some(Diagnosis { advice, .. }) => found(
            Cause::NotKnown,
            format!("no cause was found, and {}", advice.reason),
            advice.remedy,
        ),
        None => found(Cause::NotKnown, "no cause was found", "see PostgreSQL's log on both nodes"),
    }
}

/// A startup process that is paused asks for no WAL.
fn paused(facts: &Facts) -> Option<Diagnosis> {
    let paused = facts.standby.as_ref().is_some_and(|standby| standby.paused);
    why_paused(paused, &facts.lower, &facts.log)
}

/// Why replay is paused; none: it is not. A standby may stream all the same.
pub fn why_paused(
    paused: bool,
    lower_ones: &Known<Vec<Lower>>,
    log: &Known<Option<Trouble>>,
) -> Option<Diagnosis> {
    let lower = match lower_ones {
        Known::Known(lower) => lower.as_slice(),
        Known::Unknown(_) => &[],
    };
    let says_so = matches!(log, Known::Known(Some(Trouble::LowerSettings)));
    // Where it does not answer, a setting that is lower is the cause only if its log agrees.
    if let Some(first) = lower.first()
        && (paused || says_so)
    {
        let all: Vec<String> =
            lower.iter().map(|one| format!("{} = {}", one.name, one.needed)).collect();
        return Some(found(
            Cause::LowerSettings,
            format!(
                "replay is paused: {} is {} here, the primary's is {}",
                first.name, first.here, first.needed
            ),
            format!("set {} here and restart PostgreSQL on this node", all.join(", ")),
        ));
    }
    if paused && lower_ones.is_known() {
        return Some(found(
            Cause::PausedByAdministrator,
            "replay is paused",
            "SELECT pg_wal_replay_resume()",
        ));
    }
    (paused || says_so).then(|| {
        found(
            Cause::LowerSettings,
            "replay is paused, perhaps by a setting that is lower than the primary's",
            "compare max_connections and the like with the primary's, else SELECT \
             pg_wal_replay_resume()",
        )
    })
}

fn full(facts: &Facts) -> Option<Diagnosis> {
    let (Known::Known(free), Known::Known(segment)) = (&facts.room, &facts.segment_size) else {
        return None;
    };
    (*free < u64::from(*segment)).then(disk_full)
}

fn disk_full() -> Diagnosis {
    found(
        Cause::DiskFull,
        "the disk is full on this node",
        "make room on the file system of pg_wal",
    )
}

fn foreign_history() -> Diagnosis {
    found(
        Cause::ForeignHistory,
        "a history file of another line was found",
        "move it out of pg_wal here and out of the archive of restore_command: it is the newest \
         .history file that the primary has not",
    )
}

/// Why a server ended right after its start, by the end of its log, in words with the remedy.
pub fn why_it_ended(log: &Known<Option<Trouble>>) -> String {
    match log {
        Known::Known(Some(Trouble::NotAChild)) => foreign_history().to_string(),
        Known::Known(Some(Trouble::DiskFull)) => disk_full().to_string(),
        Known::Known(_) | Known::Unknown(_) => {
            "it ended right after its start: see its log".to_owned()
        }
    }
}

fn logins(facts: &Facts) -> Option<Diagnosis> {
    let Facts { server, source, .. } = facts;
    // What a walreceiver needs first; a session in postgres is needed for a rewind only.
    login(server, Login::Replication, &source.replication)
}

fn login<T>(server: &Server, login: Login, answer: &Answer<T>) -> Option<Diagnosis> {
    match answer {
        Answer::In(_) => None,
        Answer::NotLetIn(refusal) => {
            let advice = server.not_let_in(login, refusal);
            Some(Diagnosis { cause: Cause::NotLetIn, advice })
        }
        Answer::Silent(silence) => {
            Some(Diagnosis { cause: Cause::NoPrimary, advice: server.silent(silence) })
        }
        Answer::Unknown(words) => Some(found(
            Cause::NotKnown,
            format!("{} was not understood when asked for {}", server.node, login.database()),
            format!("it says: {words}"),
        )),
    }
}

fn compared(facts: &Facts) -> Option<Diagnosis> {
    match &facts.parted {
        Known::Known(Some(why)) => Some(found(Cause::Diverged, why.clone(), "it is recovered")),
        Known::Known(None) | Known::Unknown(_) => None,
    }
}

/// While an archive feeds it, nothing that the primary lacks is missing.
fn catching_up(facts: &Facts) -> Option<Diagnosis> {
    let (before, now) = (facts.replayed_before?, facts.standby.as_ref()?.replay?);
    (now > before).then(|| {
        found(
            Cause::CatchingUp,
            "it replays WAL without streaming",
            "nothing, while restore_command or its own pg_wal has more",
        )
    })
}

fn slot(facts: &Facts) -> Option<Diagnosis> {
    let (name, node) = (&facts.slot, &facts.server.node);
    let Session { slot: Known::Known(slot), has_segment, .. } = session(facts)? else {
        return None;
    };
    match (slot, has_segment) {
        (None, Known::Known(true) | Known::Unknown(_)) => Some(slot_missing(name, node)),
        (Some(Slot { physical: false, .. }), _) => {
            Some(Diagnosis { cause: Cause::SlotTaken, advice: facts.server.slot_is_logical(name) })
        }
        (Some(slot), Known::Known(true)) if slot.wal_status == "lost" => {
            Some(slot_spent(name, node))
        }
        // A receiver that is not let in has not come as far as its slot.
        (Some(slot), _) if slot.wal_status == "lost" && !refused_by_the_log(facts) => {
            Some(slot_lost(name, node))
        }
        // A new slot is no help without the WAL.
        (None, Known::Known(false)) | (Some(_), _) => None,
    }
}

fn refused_by_the_log(facts: &Facts) -> bool {
    matches!(facts.log, Known::Known(Some(Trouble::NotConnected(_))))
}

/// Last of all: a receiver that gets in and is refused its WAL has the slot for a moment each time.
fn in_use(facts: &Facts) -> Option<Diagnosis> {
    if facts.standby.as_ref().is_some_and(|standby| standby.receiver.is_some()) {
        return None;
    }
    match &session(facts)?.slot {
        Known::Known(Some(slot)) if slot.active => Some(slot_in_use(facts)),
        Known::Known(_) | Known::Unknown(_) => None,
    }
}

fn slot_missing(name: &str, node: &str) -> Diagnosis {
    found(
        Cause::SlotMissing,
        format!("the slot {name} is missing on {node}"),
        format!(
            "nothing, it is made anew soon; or on {node}: SELECT \
             pg_create_physical_replication_slot('{name}', true)"
        ),
    )
}

fn slot_in_use(facts: &Facts) -> Diagnosis {
    Diagnosis { cause: Cause::SlotTaken, advice: facts.server.slot_in_use(&facts.slot) }
}

fn slot_spent(name: &str, node: &str) -> Diagnosis {
    found(
        Cause::SlotSpent,
        format!("the slot {name} on {node} is lost, and the WAL that this node needs is there"),
        format!(
            "nothing, it is made anew; or on {node}: SELECT pg_drop_replication_slot('{name}'), and \
             the next look makes it"
        ),
    )
}

fn slot_lost(name: &str, node: &str) -> Diagnosis {
    found(
        Cause::SlotLost,
        format!("the slot {name} on {node} is lost, and the WAL that this node needs is gone"),
        "it is recovered; max_slot_wal_keep_size says how long a slot lasts",
    )
}

fn session(facts: &Facts) -> Option<&Session> {
    facts.source.postgres.answered()
}

/// The primary says itself that it has not got what is asked for.
fn wal_is_gone(facts: &Facts) -> Option<Diagnosis> {
    match &session(facts)?.has_segment {
        Known::Known(false) => Some(removed(&facts.server.node)),
        Known::Known(true) | Known::Unknown(_) => None,
    }
}

fn removed(node: &str) -> Diagnosis {
    found(
        Cause::WalRemoved,
        format!("the WAL that this node needs is gone on {node}"),
        "it is recovered; slots keep WAL for as long as max_slot_wal_keep_size allows",
    )
}

fn by_the_log(facts: &Facts) -> Option<Diagnosis> {
    let Known::Known(Some(trouble)) = &facts.log else { return None };
    let (name, node) = (&facts.slot, &facts.server.node);
    // A slot that was just seen, and is neither missing nor lost, is not what the log says it was.
    let slot_seen = session(facts).is_some_and(|session| session.slot.is_known());
    Some(match trouble {
        Trouble::WalRemoved { segment } => {
            let there = session(facts).map(|session| &session.has_segment);
            let contradicted = matches!(there, Some(Known::Known(true)));
            if contradicted || !asks_for(facts, segment) {
                return None;
            }
            removed(node)
        }
        Trouble::NotInHistory => match &facts.parted {
            Known::Known(_) => return None,
            Known::Unknown(why) => found(
                Cause::TimelineUnproven,
                format!("this node's timeline may not be in {node}'s history"),
                format!("it is compared again: {why}"),
            ),
        },
        Trouble::NotAChild => foreign_history(),
        Trouble::SlotMissing if !slot_seen => slot_missing(name, node),
        Trouble::SlotInUse if !slot_seen => slot_in_use(facts),
        Trouble::DiskFull => disk_full(),
        Trouble::NotConnected(refusal) => receiver_refused(&facts.server, refusal),
        // What the slot is like the primary says, and settings were judged before.
        Trouble::SlotMissing | Trouble::SlotInUse | Trouble::SlotLost | Trouble::LowerSettings => {
            return None;
        }
        Trouble::StartupFailed => found(
            Cause::StartupFailed,
            "the startup process of PostgreSQL ended",
            "see PostgreSQL's log on this node",
        ),
    })
}

/// The login was good when it was tried with the settings of the agent.
fn receiver_refused(server: &Server, refusal: &Refusal) -> Diagnosis {
    let said = match refusal {
        Refusal::Other(_) => "it could not connect".to_owned(),
        known => server.not_let_in(Login::Replication, known).reason,
    };
    found(
        Cause::ReceiverNotLetIn,
        format!("the receiver is refused by {}, and a login of the agent's is not", server.node),
        format!("compare primary_conninfo here with pgpassfile and repuser ({said})"),
    )
}

/// Whether this is the segment that the standby needs now: an old line of a log names another.
fn asks_for(facts: &Facts, segment: &str) -> bool {
    let (Some(end), Known::Known(size)) = (facts.wanted, &facts.segment_size) else {
        return false;
    };
    // At the border of two segments, it may be either.
    [end, Lsn(end.0.saturating_sub(1))]
        .iter()
        .filter_map(|lsn| segment_suffix(*lsn, *size))
        .any(|suffix| segment.get(8..).is_some_and(|rest| rest.eq_ignore_ascii_case(&suffix)))
}

/// From where a standby needs WAL; none while it still has some of its own to replay, for then it
/// asks for none.
pub fn wanted(standby: &StandbyFacts) -> Option<Lsn> {
    if standby.at_end_of_wal() { standby.receive.max(standby.replay) } else { None }
}

/// The part of a segment's name that follows the timeline: 16 digits.
pub fn segment_suffix(lsn: Lsn, segment_size: u32) -> Option<String> {
    let size = u64::from(segment_size);
    let number = lsn.0.checked_div(size)?;
    let per_file = (1_u64 << 32).checked_div(size)?;
    Some(format!("{:08X}{:08X}", number.checked_div(per_file)?, number.checked_rem(per_file)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
