//! What `psql` printed, as an answer. Pure. Floor 2.

use crate::postgres::history::History;
use crate::postgres::identify::{parse_identify, parse_timeline_history};
use crate::postgres::lsn::Timeline;
use crate::postgres::version::Version;
use crate::sys::chain;
use crate::sys::exec::Output;

use super::{Identity, PeerAnswer};

/// Reads the answers to `SHOW server_version_num`, `SHOW transaction_read_only`,
/// `SHOW default_transaction_read_only`, `IDENTIFY_SYSTEM` and, since 14, `SHOW in_hot_standby`.
pub(super) fn identity(output: &Output) -> PeerAnswer {
    let lines: Vec<&str> = output.stdout.split_inclusive('\n').collect();
    let [version, read_only, default_read_only, system, rest @ ..] = lines.as_slice() else {
        return failure(output);
    };
    let (Ok(version), Ok(system)) = (Version::of_number(version), parse_identify(system)) else {
        return failure(output);
    };
    let identity = Identity {
        system_id: system.system_id,
        timeline: system.timeline,
        lsn: system.lsn,
        version,
    };
    let in_hot_standby = rest.first().map(|line| line.trim_end());
    match (in_hot_standby, read_only.trim_end(), default_read_only.trim_end()) {
        (Some("on"), _, _) => PeerAnswer::Standby(identity),
        (Some("off"), _, _) => PeerAnswer::Primary(identity),
        // 13 does not say it outright: read-only, though not by a setting.
        (None, "off", _) if version.major < 14 => PeerAnswer::Primary(identity),
        (None, "on", "off") if version.major < 14 => PeerAnswer::Standby(identity),
        (None, "on", "on") if version.major < 14 => PeerAnswer::Unknown(
            "default_transaction_read_only is on, so PostgreSQL 13 does not tell a primary from a \
             standby: set it off for the replication role"
                .to_owned(),
        ),
        _ => failure(output),
    }
}

/// Reads the answer to `TIMELINE_HISTORY`.
pub(super) fn history(timeline: Timeline, output: &Output) -> Result<History, PeerAnswer> {
    // A history that psql could not get to the end of would lack ancestors.
    if output.stdout.is_empty() || !output.ok() {
        return Err(failure(output));
    }
    match parse_timeline_history(&output.stdout) {
        Ok(history) if history.timeline() == timeline => Ok(history),
        Ok(other) => Err(PeerAnswer::Unknown(format!(
            "asked for the history of timeline {timeline}, got that of {}",
            other.timeline()
        ))),
        Err(error) => Err(PeerAnswer::Unknown(chain(&error))),
    }
}

/// Reads the answer to `SHOW`: one line, which may be empty.
pub(super) fn setting(output: &Output) -> Result<String, PeerAnswer> {
    match output.stdout.strip_suffix('\n') {
        Some(line) if output.ok() && !line.contains('\n') => Ok(line.to_owned()),
        _ => Err(failure(output)),
    }
}

/// Parts of messages of libpq and the server, and what they mean. The server's may be translated:
/// those end as unknown, with their text.
const NOT_LET_IN: [&str; 13] = [
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "authentication failed for user",
    "does not exist",
    "is not permitted to log in",
    "must be superuser or replication role",
    "permission denied to start WAL sender",
    "password could not be",
    "certificate",
    "requires a password",
    "permission denied for database",
];
const NOT_YET: [&str; 4] = [
    "the database system is starting up",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "the database system is in recovery mode",
];
const FULL: [&str; 4] = [
    "too many clients already",
    "remaining connection slots are reserved",
    "exceeds max_wal_senders",
    "too many connections",
];
const NO_ROUTE: [&str; 5] = [
    "No route to host",
    "Network is unreachable",
    "Connection timed out",
    "Host is down",
    "could not translate host name",
];

pub(super) fn failure(output: &Output) -> PeerAnswer {
    let stderr = output.stderr.trim();
    let says = |parts: &[&str]| parts.iter().any(|part| stderr.contains(part));
    let message = one_line(stderr);
    if says(&["the database system is shutting down"]) {
        PeerAnswer::ShuttingDown
    } else if says(&NOT_YET) {
        PeerAnswer::Starting(message)
    } else if says(&FULL) {
        PeerAnswer::Busy(message)
    } else if says(&["Connection refused", "Is the server running locally"]) {
        PeerAnswer::Refused
    } else if says(&["timeout expired"]) {
        PeerAnswer::NoAnswer
    } else if says(&NO_ROUTE) {
        PeerAnswer::Unreachable(message)
    } else if says(&NOT_LET_IN) {
        PeerAnswer::AuthFailed(message)
    } else if message.is_empty() {
        PeerAnswer::Unknown(format!("psql printed {:?}", one_line(&output.stdout)))
    } else {
        PeerAnswer::Unknown(message)
    }
}

/// The messages of several attempts on one line, without psql's own prefix.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.first().copied().unwrap_or_default();
    let mut line = first.strip_prefix("psql: error: ").unwrap_or(first).to_owned();
    for more in lines.iter().skip(1).take(3) {
        line.push_str("; ");
        line.push_str(more);
    }
    line.chars().take(400).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::lsn::Lsn;
    use crate::sys::exec::Ended;

    fn printed(stdout: &str, stderr: &str) -> Output {
        Output { ended: Ended::Exited(1), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn of_version(version: u32) -> Identity {
        Identity {
            system_id: 7_710_224_403_141_089_813,
            timeline: Timeline(2),
            lsn: Lsn(0x300_0060),
            version: Version { major: version / 10_000, minor: version % 10_000 },
        }
    }

    #[test]
    fn recovery_is_read_from_in_hot_standby_or_from_two_older_settings() {
        let line = "7710224403141089813|2|0/3000060|";
        for (stdout, expected) in [
            (format!("150018\non\noff\n{line}\non\n"), PeerAnswer::Standby(of_version(150_018))),
            (format!("150018\noff\noff\n{line}\noff\n"), PeerAnswer::Primary(of_version(150_018))),
            // A primary whose sessions are read-only by default is a primary all the same.
            (format!("150018\non\non\n{line}\noff\n"), PeerAnswer::Primary(of_version(150_018))),
            (format!("130021\non\noff\n{line}\n"), PeerAnswer::Standby(of_version(130_021))),
            (format!("130021\noff\noff\n{line}\n"), PeerAnswer::Primary(of_version(130_021))),
        ] {
            assert_eq!(identity(&printed(&stdout, "")), expected, "{stdout}");
        }
        for stdout in [
            format!("130021\non\non\n{line}\n"),
            format!("150018\non\noff\n{line}\n"),
            format!("150018\non\noff\n{line}\nperhaps\n"),
            "150018\non\noff\nx|2|0/3000060|\non\n".to_owned(),
            "150018\n".to_owned(),
            String::new(),
        ] {
            let answer = identity(&printed(&stdout, ""));
            assert!(matches!(answer, PeerAnswer::Unknown(_)), "{stdout}: {answer:?}");
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let at = "psql: error: connection to server at \"192.0.2.7\", port 5432 failed: ";
        for (message, expected) in [
            ("FATAL:  password authentication failed for user \"r\"", "auth"),
            ("fe_sendauth: no password supplied", "auth"),
            ("FATAL:  no pg_hba.conf entry for replication connection from host", "auth"),
            ("FATAL:  role \"r\" does not exist", "auth"),
            ("FATAL:  permission denied to start WAL sender", "auth"),
            ("FATAL:  the database system is starting up", "starting"),
            ("FATAL:  the database system is not yet accepting connections", "starting"),
            ("FATAL:  the database system is shutting down", "stopping"),
            ("FATAL:  sorry, too many clients already", "busy"),
            (
                "FATAL:  number of requested standby connections exceeds max_wal_senders (currently 5)",
                "busy",
            ),
            (
                "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
                "refused",
            ),
            (
                "No such file or directory\n\tIs the server running locally and accepting connections on that socket?",
                "refused",
            ),
            ("No route to host", "unreachable"),
            ("timeout expired", "no answer"),
            ("server closed the connection unexpectedly", "unknown"),
            ("FATAL:  Passwort-Authentifizierung", "unknown"),
        ] {
            let answer = identity(&printed("", &format!("{at}{message}\n")));
            let found = match answer {
                PeerAnswer::Primary(_) => "primary",
                PeerAnswer::Standby(_) => "standby",
                PeerAnswer::Starting(_) => "starting",
                PeerAnswer::ShuttingDown => "stopping",
                PeerAnswer::Busy(_) => "busy",
                PeerAnswer::AuthFailed(_) => "auth",
                PeerAnswer::Refused => "refused",
                PeerAnswer::Unreachable(_) => "unreachable",
                PeerAnswer::NoAnswer => "no answer",
                PeerAnswer::Unknown(_) => "unknown",
            };
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn a_setting_is_one_line_and_an_empty_one_is_an_answer() {
        let answered = |stdout: &str| Output { ended: Ended::Exited(0), ..printed(stdout, "") };
        assert_eq!(setting(&answered("ANY 1 (\"n2\")\n")).unwrap(), "ANY 1 (\"n2\")");
        assert_eq!(setting(&answered("\n")).unwrap(), "");
        for output in [answered(""), answered("a\nb\n"), printed("a\n", "ERROR:  no")] {
            assert!(setting(&output).is_err(), "{output:?}");
        }
    }

    #[test]
    fn a_history_is_what_follows_its_own_file_name() {
        let text = "00000002.history|1\t0/3000060\tno recovery target specified\n\n";
        let output = Output { ended: Ended::Exited(0), ..printed(text, "") };
        assert_eq!(history(Timeline(2), &output).unwrap().to_string(), "1@0/3000060,2");
        assert!(matches!(history(Timeline(3), &output), Err(PeerAnswer::Unknown(_))));
        // Found by fuzzing: that psql failed was passed over where it had printed something.
        let failed = printed(text, "psql: error: out of memory");
        assert!(matches!(history(Timeline(2), &failed), Err(PeerAnswer::Unknown(_))));
        let missing = printed("", "ERROR:  could not open file \"pg_wal/00000003.history\"");
        assert!(matches!(history(Timeline(3), &missing), Err(PeerAnswer::Unknown(_))));
    }
}
