//! What the doctor asks the own instance, each question by itself: what may take long (sizes) leaves the
//! others their answers. Floor 2.

use std::collections::BTreeMap;

use crate::decide::doctor::{BadLine, Role, Slot, Value};
use crate::postgres::version::Version;
use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire, literal};

/// The settings that checks look at.
const SETTINGS: &[&str] = &[
    "wal_level",
    "hot_standby",
    "wal_log_hints",
    "data_checksums",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
    "restart_after_crash",
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "wal_sender_timeout",
    "listen_addresses",
    "archive_mode",
    "archive_command",
    "archive_library",
    "shared_buffers",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "recovery_min_apply_delay",
    "restore_command",
];

fn bad(what: &str) -> SqlError {
    SqlError::Answer(format!("{what} is not as expected"))
}

fn text<'a>(row: &'a Row, index: usize, what: &str) -> Result<&'a str, SqlError> {
    row.get(index).and_then(Option::as_deref).ok_or_else(|| bad(what))
}

fn optional(row: &Row, index: usize) -> Option<String> {
    row.get(index).cloned().flatten()
}

fn flag(row: &Row, index: usize, what: &str) -> Result<bool, SqlError> {
    match text(row, index, what)? {
        "t" | "true" => Ok(true),
        "f" | "false" => Ok(false),
        _ => Err(bad(what)),
    }
}

fn one<'a>(rows: &'a [Row], what: &str) -> Result<&'a Row, SqlError> {
    rows.first().ok_or_else(|| bad(what))
}

/// Whether it accepts writes, and its version.
pub fn server(wire: &mut dyn Wire, deadline: &Deadline) -> Result<(bool, Version), SqlError> {
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), \
               pg_catalog.current_setting('server_version_num')";
    let rows = wire.ask(sql, deadline)?;
    let row = one(&rows, "the server's version")?;
    let version = Version::of_number(text(row, 1, "its version")?)
        .map_err(|error| SqlError::Answer(error.to_string()))?;
    Ok((!flag(row, 0, "recovery")?, version))
}

/// Its settings, and all that wait for a restart.
pub fn settings(
    wire: &mut dyn Wire,
    deadline: &Deadline,
) -> Result<BTreeMap<String, Value>, SqlError> {
    let names: Vec<String> = SETTINGS.iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT name, setting, source, sourcefile, pending_restart FROM pg_catalog.pg_settings \
         WHERE name IN ({}) OR pending_restart",
        names.join(", ")
    );
    let mut found = BTreeMap::new();
    for row in wire.ask(&sql, deadline)? {
        let value = Value {
            setting: optional(&row, 1).unwrap_or_default(),
            source: text(&row, 2, "the source of a setting")?.to_owned(),
            file: optional(&row, 3),
            pending: flag(&row, 4, "a setting's restart")?,
        };
        found.insert(text(&row, 0, "a setting's name")?.to_owned(), value);
    }
    Ok(found)
}

/// The role of this name.
pub fn role(
    wire: &mut dyn Wire,
    name: &str,
    deadline: &Deadline,
) -> Result<Option<Role>, SqlError> {
    let functions = [
        "pg_ls_dir(text, boolean, boolean)",
        "pg_stat_file(text, boolean)",
        "pg_read_binary_file(text)",
        "pg_read_binary_file(text, bigint, bigint, boolean)",
    ];
    let may: Vec<String> = functions
        .iter()
        .map(|f| format!("pg_catalog.has_function_privilege(oid, 'pg_catalog.{f}', 'EXECUTE')"))
        .collect();
    let sql = format!(
        "SELECT rolsuper, rolreplication, rolcanlogin, rolconnlimit, \
         coalesce(rolvaliduntil < pg_catalog.now(), false), {} \
         FROM pg_catalog.pg_roles WHERE rolname = {}",
        may.join(" AND "),
        literal(name)
    );
    let rows = wire.ask(&sql, deadline)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let what = "a role";
    Ok(Some(Role {
        superuser: flag(row, 0, what)?,
        replication: flag(row, 1, what)?,
        login: flag(row, 2, what)?,
        limit: text(row, 3, what)?.parse().map_err(|_| bad(what))?,
        expired: flag(row, 4, what)?,
        may_rewind: flag(row, 5, what)?,
    }))
}

/// Slots that outlive their session, with the WAL that they keep.
pub fn slots(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Vec<Slot>, SqlError> {
    let sql = "SELECT slot_name, slot_type = 'physical', active, wal_status, \
         pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() \
          THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_catalog.pg_lsn) \
          ELSE pg_catalog.pg_current_wal_insert_lsn() END, restart_lsn)::bigint \
         FROM pg_catalog.pg_replication_slots WHERE NOT temporary ORDER BY slot_name";
    let what = "a slot";
    let read = |row: Row| {
        let keeps = optional(&row, 4).and_then(|text| text.parse::<i64>().ok());
        Ok(Slot {
            name: text(&row, 0, what)?.to_owned(),
            physical: flag(&row, 1, what)?,
            active: flag(&row, 2, what)?,
            wal_status: optional(&row, 3),
            keeps: keeps.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        })
    };
    wire.ask(sql, deadline)?.into_iter().map(read).collect()
}

/// Lines of its configuration files that it cannot use.
pub fn bad_lines(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Vec<BadLine>, SqlError> {
    let sql = "SELECT file.sourcefile, file.sourceline, file.name, file.error, \
         coalesce(known.context = 'postmaster', false) \
         FROM pg_catalog.pg_file_settings file LEFT JOIN pg_catalog.pg_settings known \
          ON pg_catalog.lower(known.name) = pg_catalog.lower(file.name) \
         WHERE file.error IS NOT NULL ORDER BY file.seqno";
    let read = |row: Row| {
        let place = match (optional(&row, 0), optional(&row, 1)) {
            (Some(file), Some(line)) => format!("{file} line {line}"),
            (Some(file), None) => file,
            (None, _) => "the configuration".to_owned(),
        };
        Ok(BadLine {
            place,
            name: optional(&row, 2),
            error: text(&row, 3, "a configuration file's error")?.to_owned(),
            at_start: flag(&row, 4, "a configuration file's setting")?,
        })
    };
    wire.ask(sql, deadline)?.into_iter().map(read).collect()
}

/// The archiver's last failure, if nothing was archived since.
pub fn archiver(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Option<String>, SqlError> {
    let sql = "SELECT last_failed_wal, failed_count FROM pg_catalog.pg_stat_archiver \
         WHERE last_failed_time > coalesce(last_archived_time, '-infinity')";
    let rows = wire.ask(sql, deadline)?;
    Ok(rows.first().map(|row| {
        let word = |index| optional(row, index).unwrap_or_default();
        format!("{} failed, {} failures in all", word(0), word(1))
    }))
}

/// The age of the oldest transaction that is not frozen.
pub fn oldest_xid(wire: &mut dyn Wire, deadline: &Deadline) -> Result<u64, SqlError> {
    let sql = "SELECT pg_catalog.max(pg_catalog.age(datfrozenxid)) FROM pg_catalog.pg_database";
    let rows = wire.ask(sql, deadline)?;
    let what = "the age of the oldest transaction";
    text(one(&rows, what)?, 0, what)?.parse().map_err(|_| bad(what))
}

/// Bytes of all databases.
pub fn size(wire: &mut dyn Wire, deadline: &Deadline) -> Result<u64, SqlError> {
    let sql = "SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid))::bigint \
               FROM pg_catalog.pg_database";
    let rows = wire.ask(sql, deadline)?;
    let what = "the size of the databases";
    text(one(&rows, what)?, 0, what)?.parse().map_err(|_| bad(what))
}
