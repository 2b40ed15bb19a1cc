//! The one question that a look at a running instance asks, and its answer as facts. Floor 2.
//!
//! One round trip, on PostgreSQL 13 to 18, primary or standby. Each row says in its first column
//! what it is.

use tracing::warn;

use crate::decide::facts::{PrimaryFacts, Receiver, Sql, StandbyFacts, Walsender};
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::units;
use crate::postgres::version::Version;
use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire};

/// A fresh session pays for every catalogue that a statement touches, and for every statement and
/// every operator and cast: so functions are asked and not the views on them, what belongs together is
/// put together, a primary is not asked what only a standby knows, and what can be converted here is.
const SERVER: &str = "\
SELECT 'server', pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(),
 system_identifier, pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())
 FROM pg_catalog.pg_control_system();
SELECT 'slot', slot_name, slot_type, temporary FROM pg_catalog.pg_get_replication_slots();
";

const PRIMARY: &str = "\
SELECT 'primary', pg_catalog.current_setting('synchronous_standby_names'),
 pg_catalog.pg_current_wal_insert_lsn(), redo_lsn,
 pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()),
 pg_catalog.current_setting('fsync'), pg_catalog.current_setting('full_page_writes'),
 pg_catalog.current_setting('synchronous_commit'),
 pg_catalog.current_setting('restart_after_crash'), pg_catalog.current_setting('wal_log_hints'),
 pg_catalog.current_setting('data_checksums'), pg_catalog.current_setting('max_slot_wal_keep_size')
 FROM pg_catalog.pg_control_checkpoint() WHERE NOT pg_catalog.pg_is_in_recovery();
SELECT 'walsender', sender.pid, process.application_name, sender.state, flush_lsn, replay_lsn,
 sync_priority, sync_state, pg_catalog.date_part('epoch', reply_time), process.backend_type,
 pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
 FROM pg_catalog.pg_stat_get_wal_senders() sender,
  pg_catalog.pg_stat_get_activity(sender.pid) process;
";

const STANDBY: &str = "\
SELECT 'standby', pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn(),
 pg_catalog.current_setting('primary_conninfo'), pg_catalog.current_setting('primary_slot_name'),
 pg_catalog.pg_is_wal_replay_paused(), pg_catalog.current_setting('recovery_min_apply_delay')
 WHERE pg_catalog.pg_is_in_recovery();
SELECT 'receiver', status, sender_host, sender_port, received_tli, latest_end_lsn, pid
 FROM pg_catalog.pg_stat_get_wal_receiver();
";

/// Asked in addition where nothing was ever received: how far the startup process is.
const STARTUP: &str = "\
SELECT 'startup', wait_event FROM pg_catalog.pg_stat_get_activity(NULL)
 WHERE backend_type = 'startup'";

/// What the server is thought to be: which question it is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It accepts writes.
    Primary,
    /// It is in recovery.
    Standby,
    /// Nothing that helps.
    None,
}

impl Hint {
    fn question(self) -> String {
        match self {
            Self::Primary => [SERVER, PRIMARY].concat(),
            Self::Standby => [SERVER, STANDBY].concat(),
            Self::None => [SERVER, PRIMARY, STANDBY].concat(),
        }
    }
}

/// What only `status` wants to know, for a catalogue more.
const OVERRIDES: &str = "\
SELECT 'override', CASE WHEN setdatabase <> 0 THEN
  pg_catalog.pg_describe_object('pg_catalog.pg_database'::regclass, setdatabase, 0) END,
 CASE WHEN setrole <> 0 THEN pg_catalog.pg_get_userbyid(setrole) END,
 pg_catalog.array_to_string(setconfig, E'\\n')
 FROM pg_catalog.pg_db_role_setting WHERE setconfig::text LIKE '%synchronous_commit=%'";

/// Said where nothing limits what slots keep.
pub const UNLIMITED_SLOTS: &str =
    "max_slot_wal_keep_size is unlimited: the slot of an absent standby can fill the disk";

/// Asks the instance for everything a decision needs.
pub fn look(wire: &mut dyn Wire, hint: Hint, deadline: &Deadline) -> Sql {
    let question = hint.question();
    let answer = wire.ask(&question, deadline).or_else(|error| match error {
        // Promoted between two statements of the question: the second answer is consistent.
        SqlError::Server { ref code, .. } if code == "55000" => wire.ask(&question, deadline),
        other => Err(other),
    });
    match answer.and_then(|rows| facts(&rows)) {
        Ok(Sql::Standby(standby)) if standby.receive.is_none() => {
            let asked = wire.ask(STARTUP, deadline).and_then(|rows| startup(&rows));
            match asked {
                Ok(event) => {
                    Sql::Standby(Box::new(StandbyFacts { startup_waits_for: event, ..*standby }))
                }
                Err(error) => error.into(),
            }
        }
        Ok(facts) => facts,
        // It is not what it was when it wrote that: a promotion is at work.
        Err(SqlError::Answer(_)) if hint != Hint::None => look(wire, Hint::None, deadline),
        Err(error) => error.into(),
    }
}

/// Roles and databases of a primary whose commits are acknowledged before a standby has them, in
/// words.
pub fn overrides(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Vec<String>, SqlError> {
    let rows = wire.ask(OVERRIDES, deadline)?;
    overridden(&Answer { rows: rows.iter().filter_map(Fields::of).collect() })
}

fn overridden(answer: &Answer<'_>) -> Result<Vec<String>, SqlError> {
    let mut words = Vec::new();
    for row in answer.all("override") {
        let items = row.optional(2)?.unwrap_or_default().lines();
        let values = items.filter_map(|item| item.strip_prefix("synchronous_commit="));
        for value in values.filter(|value| !waits_for_flush(value)) {
            let scope = match (row.optional(0)?, row.optional(1)?) {
                (Some(database), Some(role)) => format!("role {role} in {database}"),
                (Some(database), None) => database.to_owned(),
                (None, Some(role)) => format!("role {role}"),
                (None, None) => "all roles".to_owned(),
            };
            words.push(format!(
                "synchronous_commit is {value} for {scope}: its commits are acknowledged before a standby has them"
            ));
        }
    }
    Ok(words)
}

/// One row, its tag taken off.
struct Fields<'a> {
    tag: &'a str,
    columns: &'a [Option<String>],
}

impl<'a> Fields<'a> {
    fn of(row: &'a Row) -> Option<Self> {
        let (tag, columns) = row.split_first()?;
        Some(Self { tag: tag.as_deref()?, columns })
    }

    fn bad(&self, index: usize) -> SqlError {
        // Not in the error: the reason of a degraded server has to stay the same.
        warn!("column {index} of {} is {:?}", self.tag, self.columns.get(index));
        SqlError::Answer(format!("column {index} of {}", self.tag))
    }

    fn optional(&self, index: usize) -> Result<Option<&'a str>, SqlError> {
        self.columns.get(index).map(Option::as_deref).ok_or_else(|| self.bad(index))
    }

    fn text(&self, index: usize) -> Result<&'a str, SqlError> {
        self.optional(index)?.ok_or_else(|| self.bad(index))
    }

    fn number<T: std::str::FromStr>(&self, index: usize) -> Result<T, SqlError> {
        self.text(index)?.parse().map_err(|_| self.bad(index))
    }

    fn lsn(&self, index: usize) -> Result<Option<Lsn>, SqlError> {
        self.optional(index)?.map(str::parse).transpose().map_err(|_| self.bad(index))
    }

    /// From seconds and fractions of the epoch, which a double holds to the microsecond.
    fn microseconds(&self, index: usize) -> Result<i64, SqlError> {
        let text = self.text(index)?;
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let bad = seconds.is_empty() || fraction.len() > 6;
        if bad || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(self.bad(index));
        }
        format!("{seconds}{fraction:0<6}").parse().map_err(|_| self.bad(index))
    }

    fn milliseconds(&self, index: usize) -> Result<u64, SqlError> {
        let value = units::milliseconds(self.text(index)?).ok();
        value.and_then(|value| u64::try_from(value).ok()).ok_or_else(|| self.bad(index))
    }

    fn flag(&self, index: usize) -> Result<bool, SqlError> {
        match self.text(index)? {
            "t" | "on" => Ok(true),
            "f" | "off" => Ok(false),
            _ => Err(self.bad(index)),
        }
    }
}

/// The rows of the answer, by their tags.
struct Answer<'a> {
    rows: Vec<Fields<'a>>,
}

impl<'a> Answer<'a> {
    fn all(&self, tag: &'static str) -> impl Iterator<Item = &Fields<'a>> {
        self.rows.iter().filter(move |row| row.tag == tag)
    }

    fn one(&self, tag: &'static str) -> Result<&Fields<'a>, SqlError> {
        self.all(tag).next().ok_or_else(|| SqlError::Answer(format!("no row {tag:?}")))
    }
}

/// Oldest version that is understood.
const OLDEST: u32 = 130_000;

fn facts(rows: &[Row]) -> Result<Sql, SqlError> {
    let answer = Answer { rows: rows.iter().filter_map(Fields::of).collect() };
    let server = answer.one("server")?;
    let version: u32 = server.number(0)?;
    if version < OLDEST {
        return Err(SqlError::Answer(format!("server version {version}: PostgreSQL 13 is needed")));
    }
    // The identifier is unsigned, SQL shows it signed.
    let system_id = server.number::<i64>(2)?.cast_unsigned();
    let started = server.microseconds(3)?;
    let slots = slots(&answer)?;
    if server.flag(1)? {
        let standby = answer.one("standby")?;
        return Ok(Sql::Standby(Box::new(StandbyFacts {
            receive: standby.lsn(0)?,
            replay: standby.lsn(1)?,
            receiver: received(&answer)?,
            startup_waits_for: None,
            conninfo: standby.text(2)?.to_owned(),
            slot: standby.text(3)?.to_owned(),
            paused: standby.flag(4)?,
            apply_delay: standby.milliseconds(5)?,
            started,
            version,
            system_id,
            slots,
        })));
    }
    let primary = answer.one("primary")?;
    Ok(Sql::Primary(Box::new(PrimaryFacts {
        names: primary.text(0)?.to_owned(),
        insert: primary.lsn(1)?.ok_or_else(|| primary.bad(1))?,
        redo: primary.lsn(2)?.ok_or_else(|| primary.bad(2))?,
        timeline: timeline_of_wal_file(primary.text(3)?).ok_or_else(|| primary.bad(3))?,
        started,
        walsenders: walsenders(&answer)?,
        version,
        weaknesses: weaknesses(version, primary)?,
        system_id,
        slots,
    })))
}

fn timeline_of_wal_file(name: &str) -> Option<Timeline> {
    u32::from_str_radix(name.get(..8)?, 16).ok().filter(|&number| number > 0).map(Timeline)
}

/// Physical ones that outlive their session.
fn slots(answer: &Answer<'_>) -> Result<Vec<String>, SqlError> {
    let mut names = Vec::new();
    for row in answer.all("slot") {
        if row.text(1)? == "physical" && !row.flag(2)? {
            names.push(row.text(0)?.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What the startup process waits for, from the answer to that question.
fn startup(rows: &[Row]) -> Result<Option<String>, SqlError> {
    let answer = Answer { rows: rows.iter().filter_map(Fields::of).collect() };
    let event = answer.all("startup").next().map(|row| row.optional(0)).transpose()?;
    Ok(event.flatten().map(str::to_owned))
}

/// A process that has gone, or has given its number away, between the two lists is none.
fn walsenders(answer: &Answer<'_>) -> Result<Vec<Walsender>, SqlError> {
    let mut walsenders = Vec::new();
    for row in answer.all("walsender") {
        if row.optional(8)? == Some("walsender") {
            walsenders.push(walsender(row)?);
        }
    }
    Ok(walsenders)
}

fn walsender(row: &Fields<'_>) -> Result<Walsender, SqlError> {
    Ok(Walsender {
        pid: row.number(0)?,
        name: row.optional(1)?.unwrap_or_default().to_owned(),
        state: row.optional(2)?.unwrap_or("startup").to_owned(),
        flush: row.lsn(3)?,
        replay: row.lsn(4)?,
        // NULL for a user that may not see it: then it does not count as synchronous.
        priority: row.optional(5)?.map_or(Ok(0), str::parse).map_err(|_| row.bad(5))?,
        sync_state: row.optional(6)?.unwrap_or("async").to_owned(),
        silent_for: silent_for(row)?,
    })
}

/// Whole seconds since its last word. That has the time of the standby's own clock: one that is ahead, or
/// makes no sense, is nothing that can be said against it.
fn silent_for(row: &Fields<'_>) -> Result<Option<u64>, SqlError> {
    // One that copies, or has only begun, has said nothing yet.
    if row.optional(7)?.is_none() {
        return Ok(None);
    }
    let (now, then) = (row.microseconds(9)?, row.microseconds(7));
    let gone = then.ok().and_then(|then| u64::try_from(now.checked_sub(then)?).ok());
    Ok(gone.map(|gone| gone / 1_000_000))
}

/// The function answers a row of nothing where there is no receiver.
fn received(answer: &Answer<'_>) -> Result<Option<Receiver>, SqlError> {
    for row in answer.all("receiver") {
        if row.optional(5)?.is_some() {
            return receiver(row).map(Some);
        }
    }
    Ok(None)
}

fn receiver(row: &Fields<'_>) -> Result<Receiver, SqlError> {
    Ok(Receiver {
        state: row.optional(0)?.unwrap_or_default().to_owned(),
        host: row.optional(1)?.unwrap_or_default().to_owned(),
        port: row.optional(2)?.map_or(Ok(0), str::parse).map_err(|_| row.bad(2))?,
        timeline: Timeline(row.number(3)?),
        latest_end: row.lsn(4)?,
        pid: row.number(5)?,
    })
}

/// What weakens the promises, in words for an operator.
fn weaknesses(version: u32, settings: &Fields<'_>) -> Result<Vec<String>, SqlError> {
    let mut words = Vec::new();
    if !settings.flag(4)? {
        words.push("fsync is off: a crash of the machine loses or corrupts data".to_owned());
    }
    if !settings.flag(5)? {
        words.push("full_page_writes is off: a crash of the machine can corrupt data".to_owned());
    }
    let synchronous_commit = settings.text(6)?;
    if !waits_for_flush(synchronous_commit) {
        words.push(format!(
            "synchronous_commit is {synchronous_commit}: commits are acknowledged before a standby has them"
        ));
    }
    if settings.flag(7)? {
        words.push(
            "restart_after_crash is on: the server restarts itself behind the cluster's back"
                .to_owned(),
        );
    }
    let version = Version { major: version / 10_000, minor: version % 10_000 };
    if version.has_sync_start_bug() {
        words.push(format!(
            "PostgreSQL {version} skips the wait for a standby just after its start: update it"
        ));
    }
    if !settings.flag(8)? && !settings.flag(9)? {
        words.push(
            "wal_log_hints and data checksums are off: pg_rewind cannot be used, a node comes back by a full copy"
                .to_owned(),
        );
    }
    if settings.text(10)? == "-1" {
        words.push(UNLIMITED_SLOTS.to_owned());
    }
    Ok(words)
}

/// `on` has four more spellings in what `ALTER ROLE … SET` stores.
fn waits_for_flush(synchronous_commit: &str) -> bool {
    matches!(
        synchronous_commit.to_ascii_lowercase().as_str(),
        "on" | "remote_apply" | "true" | "yes" | "1" | "t" | "y"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
