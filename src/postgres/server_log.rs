//! What the tail of a server's log says about replication. Floor 0.
//!
//! The log is nobody's word but PostgreSQL's, and those who may send it statements write into it as
//! well. So only phrases are looked for, at the beginning of a message of the right severity, and
//! what they name is read as a segment's name or a refusal, never as text. Lines that continue
//! another begin with a tab, and are passed over. What a success later in the log has ended does not
//! count. Source: `replication/walreceiver.c`, `walsender.c`, `access/transam/xlogrecovery.c`,
//! `postmaster.c`, versions 13 to 18, in the format `stderr` and in English.

use super::refusal::Refusal;

/// The last trouble that a log tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The receiver was refused, or found nobody.
    NotConnected(Refusal),
    /// The primary has removed this segment.
    WalRemoved {
        /// The 24 digits of its name.
        segment: String,
    },
    /// The primary's history does not contain the point from which WAL was asked for, or forked off
    /// before the point that was replayed.
    NotInHistory,
    /// A history file (of an archive, perhaps) is of a line that this data is not on.
    NotAChild,
    /// The primary has no slot of the name.
    SlotMissing,
    /// The slot is somebody else's at the moment.
    SlotInUse,
    /// The slot is lost.
    SlotLost,
    /// A disk of this node's is full.
    DiskFull,
    /// A setting that must not be lower than the primary's is; replay has paused, or has ended (13).
    LowerSettings,
    /// The startup process has ended for a reason that is not known.
    StartupFailed,
}

const LABELS: [&str; 14] = [
    "LOG:  ",
    "FATAL:  ",
    "PANIC:  ",
    "ERROR:  ",
    "WARNING:  ",
    "DETAIL:  ",
    "STATEMENT:  ",
    "HINT:  ",
    "CONTEXT:  ",
    "QUERY:  ",
    "NOTICE:  ",
    "INFO:  ",
    "LOCATION:  ",
    "BACKTRACE:  ",
];

/// Reads the end of a log, from the beginning of a line on.
pub fn last_trouble(tail: &str) -> Option<Trouble> {
    let mut last = None;
    for line in tail.lines().filter(|line| !line.starts_with('\t')) {
        match told(line) {
            Told::Nothing => {}
            Told::Over => last = None,
            // What was said just before is the cause of it.
            Told::Trouble(Trouble::StartupFailed) if last.is_some() => {}
            Told::Trouble(trouble) => last = Some(trouble),
        }
    }
    last
}

enum Told {
    Nothing,
    Over,
    Trouble(Trouble),
}

/// What one line says. The prefix of a line can be anything; its first label ends it.
fn told(line: &str) -> Told {
    let found = LABELS.iter().filter_map(|label| Some((line.find(label)?, *label))).min();
    let Some((at, label)) = found else { return Told::Nothing };
    let message = line.get(at + label.len()..).unwrap_or_default();
    match label {
        "LOG:  " => log(message),
        "FATAL:  " | "PANIC:  " => fatal(message),
        "WARNING:  " => {
            let lower = "hot standby is not possible because of insufficient parameter settings";
            if message.starts_with(lower) {
                Told::Trouble(Trouble::LowerSettings)
            } else {
                Told::Nothing
            }
        }
        _ => Told::Nothing,
    }
}

fn log(message: &str) -> Told {
    let begins = |part: &str| message.starts_with(part);
    if begins("started streaming WAL from primary at") || begins("starting PostgreSQL ") {
        Told::Over
    } else if begins("new timeline ") && message.contains("forked off current database system") {
        Told::Trouble(Trouble::NotInHistory)
    } else if begins("startup process (PID ") || begins("aborting startup due to startup process") {
        Told::Trouble(Trouble::StartupFailed)
    } else {
        Told::Nothing
    }
}

fn fatal(message: &str) -> Told {
    let rest = |begin: &str| message.strip_prefix(begin);
    // Newer versions say who could not: `streaming replication receiver "walreceiver" could not …`.
    let receiver =
        rest("streaming replication receiver \"").and_then(|rest| rest.split_once("\" "));
    let connecting = receiver.map_or(message, |(_, rest)| rest);
    if let Some(words) = connecting.strip_prefix("could not connect to the primary server: ") {
        return Told::Trouble(Trouble::NotConnected(Refusal::of(words)));
    }
    let streaming = rest("could not receive data from WAL stream: ERROR:  ")
        .or_else(|| rest("could not start WAL streaming: ERROR:  "));
    if let Some(words) = streaming {
        return refused(words).map_or(Told::Nothing, Told::Trouble);
    }
    // The second where the data was copied from beyond the fork: by a rewind, or a base backup.
    if let Some(rest) = rest("requested timeline ")
        && [" is not a child of this server's history", " does not contain minimum recovery point "]
            .iter()
            .any(|words| rest.contains(words))
    {
        return Told::Trouble(Trouble::NotAChild);
    }
    if message.starts_with("hot standby is not possible because ")
        || message.starts_with("recovery aborted because of insufficient parameter settings")
    {
        return Told::Trouble(Trouble::LowerSettings);
    }
    if message.starts_with("could not ") && message.ends_with(": No space left on device") {
        return Told::Trouble(Trouble::DiskFull);
    }
    Told::Nothing
}

/// An error of the walsender, as the receiver passes it on.
fn refused(words: &str) -> Option<Trouble> {
    if let Some(rest) = words.strip_prefix("requested WAL segment ") {
        let (segment, rest) = rest.split_once(' ')?;
        let is_name = segment.len() == 24 && segment.bytes().all(|b| b.is_ascii_hexdigit());
        return (is_name && rest.starts_with("has already been removed"))
            .then(|| Trouble::WalRemoved { segment: segment.to_owned() });
    }
    let slot = words.strip_prefix("replication slot \"").and_then(|rest| rest.split('"').nth(1));
    if slot.is_some_and(|rest| rest.starts_with(" does not exist")) {
        return Some(Trouble::SlotMissing);
    }
    if slot.is_some_and(|rest| rest.starts_with(" is active for PID")) {
        return Some(Trouble::SlotInUse);
    }
    if words.starts_with("cannot read from replication slot \"")
        || words.starts_with("can no longer get changes from replication slot \"")
        || words.starts_with("can no longer access replication slot \"")
    {
        return Some(Trouble::SlotLost);
    }
    let started = words.strip_prefix("requested starting point ");
    started
        .is_some_and(|rest| rest.contains(" is not in this server's history"))
        .then_some(Trouble::NotInHistory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-20 12:40:24.933 UTC [216] ";
    const STREAMS: &str = "LOG:  started streaming WAL from primary at 0/3000000 on timeline 1";
    const REMOVED: &str = "FATAL:  could not receive data from WAL stream: ERROR:  requested WAL \
         segment 000000010000000000000003 has already been removed";

    fn trouble(lines: &[&str]) -> Option<Trouble> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{AT}{line}")).collect();
        last_trouble(&lines.join("\n"))
    }

    #[test]
    fn each_phrase_is_its_own_trouble() {
        let removed = Trouble::WalRemoved { segment: "000000010000000000000003".into() };
        for (line, expected) in [
            (REMOVED, removed),
            (
                "FATAL:  could not start WAL streaming: ERROR:  requested starting point 0/9000000 \
                 on timeline 1 is not in this server's history",
                Trouble::NotInHistory,
            ),
            (
                "LOG:  new timeline 2 forked off current database system timeline 1 before current \
                 recovery point 0/90000A0",
                Trouble::NotInHistory,
            ),
            (
                "FATAL:  requested timeline 3 is not a child of this server's history",
                Trouble::NotAChild,
            ),
            (
                "FATAL:  requested timeline 4 does not contain minimum recovery point 0/204EBB0 on \
                 timeline 3",
                Trouble::NotAChild,
            ),
            (
                "FATAL:  could not start WAL streaming: ERROR:  replication slot \"s\" does not exist",
                Trouble::SlotMissing,
            ),
            (
                "FATAL:  could not start WAL streaming: ERROR:  replication slot \"s\" is active \
                 for PID 7",
                Trouble::SlotInUse,
            ),
            (
                "FATAL:  could not start WAL streaming: ERROR:  cannot read from replication slot \
                 \"s\"",
                Trouble::SlotLost,
            ),
            (
                "FATAL:  could not start WAL streaming: ERROR:  can no longer access replication \
                 slot \"s\"",
                Trouble::SlotLost,
            ),
            (
                "FATAL:  could not connect to the primary server: connection to server at \"n1\", \
                 port 5432 failed: FATAL:  password authentication failed for user \"r\"",
                Trouble::NotConnected(Refusal::WrongPassword),
            ),
            (
                "FATAL:  streaming replication receiver \"walreceiver\" could not connect to the \
                 primary server: fe_sendauth: no password supplied",
                Trouble::NotConnected(Refusal::NoPassword),
            ),
            (
                "FATAL:  could not write to log file 000000010000000000000003 at offset 0, length \
                 8192: No space left on device",
                Trouble::DiskFull,
            ),
            (
                "PANIC:  could not write to file \"pg_wal/xlogtemp.12\": No space left on device",
                Trouble::DiskFull,
            ),
            (
                "WARNING:  hot standby is not possible because of insufficient parameter settings",
                Trouble::LowerSettings,
            ),
            (
                "FATAL:  hot standby is not possible because max_connections = 10 is a lower \
                 setting than on the master server (its value was 100)",
                Trouble::LowerSettings,
            ),
            ("LOG:  startup process (PID 7) exited with exit code 1", Trouble::StartupFailed),
        ] {
            assert_eq!(trouble(&[line]), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_a_success_has_ended_does_not_count() {
        assert!(trouble(&[STREAMS, REMOVED]).is_some());
        assert_eq!(trouble(&[REMOVED, STREAMS]), None);
        assert_eq!(trouble(&[REMOVED, "LOG:  starting PostgreSQL 15.18 on x86_64"]), None);
        let child = "FATAL:  requested timeline 3 is not a child of this server's history";
        let exited = "LOG:  startup process (PID 7) exited with exit code 1";
        assert_eq!(trouble(&[child, exited]), Some(Trouble::NotAChild));
    }

    #[test]
    fn what_others_write_into_the_log_is_not_believed() {
        for line in [
            // A statement of somebody's, and an error that quotes one.
            format!("STATEMENT:  {REMOVED}"),
            format!("ERROR:  relation \"{REMOVED}\" does not exist"),
            format!("LOG:  {REMOVED}"),
            format!("CONTEXT:  while doing {REMOVED}"),
            "FATAL:  requested WAL segment 000000010000000000000003 has already been removed"
                .to_owned(),
            "FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment ../../x \
             has already been removed"
                .to_owned(),
        ] {
            let lines = [line.as_str()];
            assert_eq!(trouble(&lines), None, "{line}");
        }
        assert_eq!(last_trouble(&format!("\t{REMOVED}\n")), None);
        assert_eq!(last_trouble(""), None);
    }
}
