//! What the doctor asks another member, in the database `postgres`, as pg_rewind would log in. Floor 2.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::decide::doctor::{Remote, asked_of_others};
use crate::decide::source::Login;
use crate::postgres::version::Version;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Exec};
use crate::sys::utc;

use super::{Peer, PeerAnswer, answer, ask_in};

/// The tags of the rows that are no settings.
const SERVER: &str = "?server";
const CLOCK: &str = "?clock";

/// Asks it for its settings, its version and its clock.
pub fn examine(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    limit: Duration,
) -> Result<Remote, PeerAnswer> {
    let names: Vec<String> = asked_of_others().map(|name| format!("'{name}'")).collect();
    let question = format!(
        "SELECT '{CLOCK}', (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint \
         UNION ALL SELECT '{SERVER}', pg_catalog.current_setting('server_version_num')::bigint * \
          CASE WHEN pg_catalog.pg_is_in_recovery() THEN -1 ELSE 1 END"
    );
    let settings = format!(
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ({})",
        names.join(", ")
    );
    let deadline = Deadline::after(limit);
    let (began, before) = (Instant::now(), utc::now_ms());
    let output = ask_in(exec, psql, peer, Login::Postgres, &[question, settings], &deadline)?;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if !output.ok() {
        return Err(answer::failure(&output));
    }
    read(&output.stdout, before, took)
        .ok_or_else(|| PeerAnswer::Unknown("its answer was not understood".to_owned()))
}

/// Reads the rows. `before`: our time when it was asked, and `took`: how long that was, both in
/// milliseconds; at some moment in between it looked at its clock.
fn read(rows: &str, before: i64, took: u64) -> Option<Remote> {
    let (mut server, mut clock, mut settings) = (None, None, BTreeMap::new());
    for (name, value) in rows.lines().filter_map(|line| line.split_once('|')) {
        match name {
            SERVER => server = Some(value.parse::<i64>().ok()?),
            CLOCK => clock = Some(value.parse::<i64>().ok()?),
            name => {
                settings.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    let server = server?;
    let half = took / 2;
    let ahead = clock?.saturating_sub(before).saturating_sub(i64::try_from(half).ok()?);
    Some(Remote {
        primary: server > 0,
        version: Version::of_number(&server.unsigned_abs().to_string()).ok()?,
        settings,
        clock: (ahead, half),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_half_of_one_is_none() {
        let rows = "?clock|1000500\n?server|-170005\nmax_connections|100\nlisten_addresses|*\n";
        let remote = read(rows, 1_000_000, 400).unwrap();
        assert_eq!((remote.primary, remote.version), (false, Version { major: 17, minor: 5 }));
        assert_eq!(remote.clock, (300, 200));
        assert_eq!(remote.settings.get("max_connections").map(String::as_str), Some("100"));
        assert!(read(&rows.replace('-', ""), 0, 0).unwrap().primary);
        for rows in ["", "?clock|1\n", "?server|170005\n", "?clock|x\n?server|170005\n"] {
            assert_eq!(read(rows, 0, 0), None, "{rows}");
        }
    }
}
