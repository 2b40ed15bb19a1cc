//! What is done on our own instance by SQL. Nothing here takes a transaction id, so nothing ever
//! waits for a standby. Floor 2.

use crate::decide::slots::{Logical, LogicalSlots};
use crate::decide::source::identifier;
use crate::postgres::copy_tools::REWIND_GRANTS;
use crate::postgres::lsn::Lsn;
use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire, literal};

/// What an exchange answered in its first column, row by row.
fn firsts(rows: &[Row]) -> impl Iterator<Item = &str> {
    rows.iter().filter_map(|row| row.first()?.as_deref())
}

/// Makes every process of the server read its configuration again.
pub fn reload(wire: &mut dyn Wire, deadline: &Deadline) -> Result<(), SqlError> {
    let rows = wire.ask("SELECT pg_catalog.pg_reload_conf()::text", deadline)?;
    match firsts(&rows).next() {
        Some("true") => Ok(()),
        other => Err(SqlError::Answer(format!("pg_reload_conf() said {other:?}"))),
    }
}

/// The processes that send WAL to others.
pub fn walsenders(wire: &mut dyn Wire, deadline: &Deadline) -> Result<Vec<i32>, SqlError> {
    let rows = wire.ask("SELECT pid::text FROM pg_catalog.pg_stat_replication", deadline)?;
    Ok(firsts(&rows).filter_map(|pid| pid.parse().ok()).collect())
}

/// The value of a setting, as this session sees it and as SHOW prints it.
pub fn show(wire: &mut dyn Wire, name: &str, deadline: &Deadline) -> Result<String, SqlError> {
    let sql = format!("SELECT pg_catalog.current_setting({})", literal(name));
    let rows = wire.ask(&sql, deadline)?;
    firsts(&rows)
        .next()
        .map(str::to_owned)
        .ok_or_else(|| SqlError::Answer(format!("no value of {name}")))
}

/// Asks for a checkpoint and does not wait long for its end. It begins after a record of its own: so it
/// can be told from one that was under way, also where nobody else writes anything.
///
/// The request stays with the checkpointer when the statement that made it is cut short, which
/// happens here on purpose, and without a line in the server's log. Not after a few milliseconds: on a
/// machine that stands still for a moment that would be before the request was made at all.
pub fn request_checkpoint(wire: &mut dyn Wire, deadline: &Deadline) -> Result<(), SqlError> {
    let record = "SELECT pg_catalog.pg_logical_emit_message(false, 'pgtwin'::text, ''::text)::text";
    wire.ask(record, deadline)?;
    let sql = "SET log_min_messages TO fatal; SET statement_timeout TO 1000; CHECKPOINT";
    let cut_short = match wire.ask(sql, deadline) {
        Ok(_) | Err(SqlError::Busy(_)) => Ok(()),
        Err(error) => Err(error),
    };
    let restored = wire.ask("RESET log_min_messages; RESET statement_timeout", deadline);
    cut_short.and(restored.map(|_| ()))
}

/// Has a checkpoint written, and waits for its end until the deadline.
pub fn checkpoint(wire: &mut dyn Wire, deadline: &Deadline) -> Result<(), SqlError> {
    let limit = deadline.left().as_millis().max(1);
    let sql = format!("SET statement_timeout TO {limit}; CHECKPOINT; RESET statement_timeout");
    wire.ask(&sql, deadline).map(|_| ())
}

/// Makes the role by which standbys log in, with what pg_rewind needs. Nothing of it comes into the server's
/// log: the password is among it.
pub fn make_replication_role(
    wire: &mut dyn Wire,
    role: &str,
    password: &str,
    deadline: &Deadline,
) -> Result<(), SqlError> {
    let (name, password) = (identifier(role), literal(password));
    let mut sql = format!(
        "SET log_statement TO none; SET log_min_duration_statement TO -1; \
         SET log_min_error_statement TO panic; SET synchronous_commit TO local; \
         SET password_encryption TO 'scram-sha-256'; \
         CREATE ROLE {name} LOGIN REPLICATION PASSWORD {password}"
    );
    for grant in REWIND_GRANTS {
        sql.push_str("; GRANT ");
        sql.push_str(grant);
        sql.push_str(" TO ");
        sql.push_str(&name);
    }
    wire.ask(&sql, deadline).map(|_| ())
}

/// Makes a physical slot that keeps WAL from now on, unless there is a slot of that name.
/// Whether one was made.
pub fn create_physical_slot(
    wire: &mut dyn Wire,
    name: &str,
    deadline: &Deadline,
) -> Result<bool, SqlError> {
    let name = literal(name);
    let sql = format!(
        "SELECT slot_name FROM pg_catalog.pg_create_physical_replication_slot({name}, true) \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {name})"
    );
    match wire.ask(&sql, deadline) {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(SqlError::Server { code, .. }) if code == "42710" => Ok(false),
        Err(error) => Err(error),
    }
}

/// Drops a physical slot, unless there is none of that name. An active one is an error (55006).
/// Whether one was dropped.
pub fn drop_physical_slot(
    wire: &mut dyn Wire,
    name: &str,
    deadline: &Deadline,
) -> Result<bool, SqlError> {
    let sql = format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name)::text \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {} AND slot_type = 'physical'",
        literal(name)
    );
    match wire.ask(&sql, deadline) {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(SqlError::Server { code, .. }) if code == "42704" => Ok(false),
        Err(error) => Err(error),
    }
}

/// Drops a physical slot by which nobody streams, unless there is none of that name. Whether one was
/// dropped.
pub fn drop_idle_slot(
    wire: &mut dyn Wire,
    name: &str,
    deadline: &Deadline,
) -> Result<bool, SqlError> {
    let sql = format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name)::text \
         FROM pg_catalog.pg_replication_slots \
         WHERE slot_name = {} AND slot_type = 'physical' AND NOT temporary AND NOT active",
        literal(name)
    );
    match wire.ask(&sql, deadline) {
        Ok(rows) => Ok(!rows.is_empty()),
        // It went, or somebody came, in this moment.
        Err(SqlError::Server { code, .. }) if code == "42704" || code == "55006" => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a physical slot that keeps what another one keeps, unless there is one of that name, or that
/// other one keeps nothing. Whether one was made.
pub fn copy_physical_slot(
    wire: &mut dyn Wire,
    from: &str,
    name: &str,
    deadline: &Deadline,
) -> Result<bool, SqlError> {
    let (from, name) = (literal(from), literal(name));
    let sql = format!(
        "SELECT (pg_catalog.pg_copy_physical_replication_slot(slot_name, {name})).slot_name \
         FROM pg_catalog.pg_replication_slots \
         WHERE slot_name = {from} AND slot_type = 'physical' AND restart_lsn IS NOT NULL \
         AND wal_status <> 'lost' AND NOT EXISTS \
         (SELECT FROM pg_catalog.pg_replication_slots other WHERE other.slot_name = {name})"
    );
    match wire.ask(&sql, deadline) {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(SqlError::Server { code, .. }) if code == "42710" => Ok(true),
        Err(error) => Err(error),
    }
}

/// The logical slots that outlive their session, of a server of this version.
pub fn logical_slots(
    wire: &mut dyn Wire,
    version: u32,
    deadline: &Deadline,
) -> Result<LogicalSlots, SqlError> {
    let (failover, waits_for) = if version >= 170_000 {
        ("failover::text", "pg_catalog.current_setting('synchronized_standby_slots')")
    } else {
        ("NULL", "''")
    };
    let sql = format!(
        "SELECT NULL, NULL, {waits_for} UNION ALL SELECT slot_name::text, {failover}, NULL \
         FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary"
    );
    let rows = wire.ask(&sql, deadline)?;
    let mut found = LogicalSlots { slots: Vec::new(), waits_for: String::new() };
    for row in &rows {
        match row.as_slice() {
            [Some(name), failover, _] => found.slots.push(Logical {
                name: name.clone(),
                failover: failover.as_deref().map(|kept| kept == "true"),
            }),
            [None, _, Some(waits_for)] => found.waits_for.clone_from(waits_for),
            other => return Err(SqlError::Answer(format!("a row of logical slots: {other:?}"))),
        }
    }
    found.slots.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Moves the idle ones of these slots of a standby forward, so that it keeps what its own
/// standbys would need after its promotion, and no more. Never beyond what has been replayed.
pub fn advance_physical_slots(
    wire: &mut dyn Wire,
    names: &[String],
    to: Lsn,
    deadline: &Deadline,
) -> Result<(), SqlError> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    let to = literal(&to.to_string());
    let sql = format!(
        "SELECT pg_catalog.pg_replication_slot_advance(slot_name, {to}::pg_lsn) \
         FROM pg_catalog.pg_replication_slots WHERE slot_name IN ({}) AND slot_type = 'physical' \
         AND NOT active AND restart_lsn < {to}::pg_lsn",
        names.join(", ")
    );
    wire.ask(&sql, deadline).map(|_| ())
}

/// Whether a standby has taken a promotion request that it has not finished.
///
/// `pg_wal_replay_resume()` refuses exactly then, with the SQLSTATE it also has outside recovery;
/// so recovery is asked for again. A replay that was paused is left alone: its request waits too.
pub fn promotion_pending(wire: &mut dyn Wire, deadline: &Deadline) -> Result<bool, SqlError> {
    let sql = "SELECT pg_catalog.pg_wal_replay_resume()::text \
         WHERE pg_catalog.pg_is_in_recovery() AND NOT pg_catalog.pg_is_wal_replay_paused()";
    match wire.ask(sql, deadline) {
        Ok(_) => Ok(false),
        Err(SqlError::Server { code, .. }) if code == "55000" => {
            let rows = wire.ask("SELECT pg_catalog.pg_is_in_recovery()::text", deadline)?;
            Ok(firsts(&rows).next() == Some("true"))
        }
        Err(error) => Err(error),
    }
}
