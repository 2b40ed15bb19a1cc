//! The one question that a look at a running instance asks, and its answer as facts. Floor 2.
//!
//! One round trip, on PostgreSQL 13 to 18, primary or standby. Each row says in its first column
//! what it is.

use crate::decide::facts::{PrimaryFacts, Receiver, Sql, StandbyFacts, Walsender};
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::version::Version;
use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire};

/// Settings are read by `current_setting`, not from `pg_settings`, which costs more than all the
/// rest; a duration comes with its unit, so the server is asked to convert it.
const QUESTION: &str = "\
SELECT 'server', pg_catalog.current_setting('server_version_num'),
 pg_catalog.pg_is_in_recovery()::text,
 (SELECT system_identifier FROM pg_catalog.pg_control_system()),
 (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint;
SELECT 'primary', pg_catalog.current_setting('synchronous_standby_names'),
 pg_catalog.pg_current_wal_insert_lsn(), redo_lsn,
 pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())
 FROM pg_catalog.pg_control_checkpoint() WHERE NOT pg_catalog.pg_is_in_recovery();
SELECT 'walsender', application_name, state, flush_lsn, replay_lsn, sync_priority, sync_state, pid
 FROM pg_catalog.pg_stat_replication;
SELECT 'standby', pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn(),
 pg_catalog.current_setting('primary_conninfo'), pg_catalog.current_setting('primary_slot_name'),
 pg_catalog.pg_is_wal_replay_paused()::text,
 (pg_catalog.date_part('epoch', pg_catalog.current_setting('recovery_min_apply_delay')::interval)
  * 1000)::bigint
 WHERE pg_catalog.pg_is_in_recovery();
SELECT 'startup', wait_event FROM pg_catalog.pg_stat_activity WHERE backend_type = 'startup';
SELECT 'receiver', status, sender_host, sender_port, received_tli, latest_end_lsn
 FROM pg_catalog.pg_stat_wal_receiver;
SELECT 'slot', slot_name FROM pg_catalog.pg_replication_slots
 WHERE slot_type = 'physical' AND NOT temporary ORDER BY slot_name;
SELECT 'settings', pg_catalog.current_setting('fsync'),
 pg_catalog.current_setting('full_page_writes'), pg_catalog.current_setting('synchronous_commit'),
 pg_catalog.current_setting('restart_after_crash'), pg_catalog.current_setting('wal_log_hints'),
 pg_catalog.current_setting('data_checksums'), pg_catalog.current_setting('max_slot_wal_keep_size');
SELECT 'override', datname, rolname, item
 FROM pg_catalog.pg_db_role_setting CROSS JOIN pg_catalog.unnest(setconfig) AS item
 LEFT JOIN pg_catalog.pg_database ON pg_database.oid = setdatabase
 LEFT JOIN pg_catalog.pg_roles ON pg_roles.oid = setrole
 WHERE item LIKE 'synchronous\\_commit=%'";

/// Asks the instance for everything a decision needs.
pub fn look(wire: &mut dyn Wire, deadline: &Deadline) -> Sql {
    let answer = wire.ask(QUESTION, deadline).or_else(|error| match error {
        // Promoted between two statements of the question: the second answer is consistent.
        SqlError::Server { ref code, .. } if code == "55000" => wire.ask(QUESTION, deadline),
        other => Err(other),
    });
    match answer.and_then(|rows| facts(&rows)) {
        Ok(facts) => facts,
        Err(error) => error.into(),
    }
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
        let value = self.columns.get(index);
        SqlError::Answer(format!("column {index} of {}: {value:?}", self.tag))
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

    fn flag(&self, index: usize) -> Result<bool, SqlError> {
        match self.text(index)? {
            "true" | "on" => Ok(true),
            "false" | "off" => Ok(false),
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
    let started = server.number(3)?;
    let slots = answer.all("slot").map(|row| row.text(0).map(str::to_owned));
    let slots = slots.collect::<Result<Vec<_>, _>>()?;
    if server.flag(1)? {
        let standby = answer.one("standby")?;
        return Ok(Sql::Standby(Box::new(StandbyFacts {
            receive: standby.lsn(0)?,
            replay: standby.lsn(1)?,
            receiver: answer.all("receiver").next().map(receiver).transpose()?,
            startup_waits_for: match answer.all("startup").next() {
                Some(row) => row.optional(0)?.map(str::to_owned),
                None => None,
            },
            conninfo: standby.text(2)?.to_owned(),
            slot: standby.text(3)?.to_owned(),
            paused: standby.flag(4)?,
            apply_delay: standby.number(5)?,
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
        walsenders: answer.all("walsender").map(walsender).collect::<Result<_, _>>()?,
        version,
        weaknesses: weaknesses(version, &answer)?,
        system_id,
        slots,
    })))
}

fn timeline_of_wal_file(name: &str) -> Option<Timeline> {
    u32::from_str_radix(name.get(..8)?, 16).ok().filter(|&number| number > 0).map(Timeline)
}

fn walsender(row: &Fields<'_>) -> Result<Walsender, SqlError> {
    Ok(Walsender {
        name: row.text(0)?.to_owned(),
        state: row.optional(1)?.unwrap_or("startup").to_owned(),
        flush: row.lsn(2)?,
        replay: row.lsn(3)?,
        // NULL for a user that may not see it: then it does not count as synchronous.
        priority: row.optional(4)?.map_or(Ok(0), str::parse).map_err(|_| row.bad(4))?,
        sync_state: row.optional(5)?.unwrap_or("async").to_owned(),
        pid: row.number(6)?,
    })
}

fn receiver(row: &Fields<'_>) -> Result<Receiver, SqlError> {
    Ok(Receiver {
        state: row.optional(0)?.unwrap_or_default().to_owned(),
        host: row.optional(1)?.unwrap_or_default().to_owned(),
        port: row.optional(2)?.map_or(Ok(0), str::parse).map_err(|_| row.bad(2))?,
        timeline: Timeline(row.number(3)?),
        latest_end: row.lsn(4)?,
    })
}

/// What weakens the promises, in words for an operator.
fn weaknesses(version: u32, answer: &Answer<'_>) -> Result<Vec<String>, SqlError> {
    let settings = answer.one("settings")?;
    let mut words = Vec::new();
    if !settings.flag(0)? {
        words.push("fsync is off: a crash of the machine loses or corrupts data".to_owned());
    }
    if !settings.flag(1)? {
        words.push("full_page_writes is off: a crash of the machine can corrupt data".to_owned());
    }
    let synchronous_commit = settings.text(2)?;
    if !waits_for_flush(synchronous_commit) {
        words.push(format!(
            "synchronous_commit is {synchronous_commit}: commits are acknowledged before a standby has them"
        ));
    }
    for row in answer.all("override") {
        let value = row.text(2)?.split_once('=').map_or("", |(_, value)| value);
        if !waits_for_flush(value) {
            let scope = match (row.optional(0)?, row.optional(1)?) {
                (Some(database), Some(role)) => format!("role {role} in database {database}"),
                (Some(database), None) => format!("database {database}"),
                (None, Some(role)) => format!("role {role}"),
                (None, None) => "all roles".to_owned(),
            };
            words.push(format!(
                "synchronous_commit is {value} for {scope}: its commits are acknowledged before a standby has them"
            ));
        }
    }
    if settings.flag(3)? {
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
    if !settings.flag(4)? && !settings.flag(5)? {
        words.push(
            "wal_log_hints and data checksums are off: pg_rewind cannot be used, a node comes back by a full copy"
                .to_owned(),
        );
    }
    if settings.text(6)? == "-1" {
        words.push(
            "max_slot_wal_keep_size is unlimited: the slot of an absent standby can fill the disk"
                .to_owned(),
        );
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
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> Row {
        columns.iter().map(|&text| (text != "NULL").then(|| text.to_owned())).collect()
    }

    fn primary(more: &[&[&str]], settings: &[&str]) -> Result<Sql, SqlError> {
        let mut rows = vec![
            row(&["server", "150018", "false", "7710224403141089813", "1763640512123456"]),
            row(&["primary", "ANY 1 (n2)", "0/3000060", "0/2000028", "000000020000000000000003"]),
        ];
        rows.extend(more.iter().map(|columns| row(columns)));
        rows.push(row(settings));
        facts(&rows)
    }

    const SOUND: [&str; 8] = ["settings", "on", "on", "on", "off", "off", "on", "10GB"];

    #[test]
    fn a_primary_is_read_whole() {
        let answer = primary(
            &[
                &["walsender", "n2", "streaming", "0/3000060", "0/3000000", "1", "quorum", "4711"],
                &["walsender", "pgtwin_x", "backup", "NULL", "NULL", "0", "async", "4712"],
                &["slot", "ha_slot_n2"],
            ],
            &SOUND,
        );
        let Ok(Sql::Primary(facts)) = answer else { panic!("{answer:?}") };
        assert_eq!(facts.names, "ANY 1 (n2)");
        assert_eq!(facts.timeline, Timeline(2));
        assert_eq!(facts.started, 1_763_640_512_123_456);
        assert_eq!(facts.walsenders.len(), 2);
        assert_eq!(facts.walsenders[0].flush, Some(Lsn(0x300_0060)));
        assert_eq!(facts.walsenders[1].flush, None);
        assert_eq!(facts.slots, ["ha_slot_n2"]);
        assert_eq!(facts.weaknesses, Vec::<String>::new());
    }

    #[test]
    fn a_standby_without_a_receiver_is_read_whole() {
        let rows = [
            row(&["server", "130021", "true", "-5", "1"]),
            row(&["standby", "NULL", "0/3000000", "host=n1", "s", "false", "30000"]),
            row(&["startup", "RecoveryRetrieveRetryInterval"]),
        ];
        let Ok(Sql::Standby(facts)) = facts(&rows) else { panic!() };
        assert_eq!(facts.receive, None);
        assert_eq!(facts.receiver, None);
        assert_eq!(facts.apply_delay, 30_000);
        assert_eq!(facts.system_id, u64::MAX - 4);
        assert!(facts.at_end_of_wal() && !facts.streams());
    }

    #[test]
    fn each_weakness_is_named() {
        for (setting, value, expected) in [
            (1, "off", "fsync"),
            (2, "off", "full_page_writes"),
            (3, "remote_write", "synchronous_commit is remote_write"),
            (3, "local", "synchronous_commit is local"),
            (4, "on", "restart_after_crash"),
            (6, "off", "pg_rewind"),
            (7, "-1", "max_slot_wal_keep_size"),
        ] {
            let mut settings = SOUND;
            settings[setting] = value;
            let Ok(Sql::Primary(facts)) = primary(&[], &settings) else { panic!() };
            assert_eq!(facts.weaknesses.len(), 1, "{:?}", facts.weaknesses);
            assert!(facts.weaknesses[0].contains(expected), "{:?}", facts.weaknesses);
        }
    }

    #[test]
    fn a_role_or_database_that_does_not_wait_is_named() {
        for (database, role, value, expected) in [
            ("shop", "NULL", "off", Some("database shop")),
            ("NULL", "bulk", "local", Some("role bulk")),
            ("shop", "bulk", "OFF", Some("role bulk in database shop")),
            ("NULL", "bulk", "remote_apply", None),
            ("NULL", "bulk", "True", None),
        ] {
            let item = format!("synchronous_commit={value}");
            let answer = primary(&[&["override", database, role, &item]], &SOUND);
            let Ok(Sql::Primary(facts)) = answer else { panic!() };
            let words = facts.weaknesses.first();
            match expected {
                Some(text) => assert!(words.unwrap().contains(text), "{words:?}"),
                None => assert_eq!(words, None),
            }
        }
    }

    #[test]
    fn an_answer_with_a_hole_is_an_error_and_not_a_guess() {
        for rows in [
            vec![],
            vec![row(&["server", "150018", "false", "1", "1"])],
            vec![row(&["server", "150018", "true", "1", "1"])],
            vec![row(&["server", "150018", "perhaps", "1", "1"])],
            vec![row(&["server", "NULL", "true", "1", "1"])],
            vec![row(&["server", "120000", "true", "1", "1"])],
            vec![row(&["server"])],
            vec![row(&[])],
        ] {
            assert!(facts(&rows).is_err(), "{rows:?}");
        }
    }
}
