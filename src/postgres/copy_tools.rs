//! What pg_rewind and pg_basebackup print: how far they are, where two lines of history part, and
//! why a copy failed. Floor 0.
//!
//! Source: their sources, with `LC_ALL=C`, versions 13 to 18. Both write all of it to standard error.

use std::fmt;

use super::lsn::{Lsn, Timeline};

/// What the role needs that pg_rewind logs in with, if it is no superuser; the same in versions 13 to
/// 18. Version 13 also makes a temporary table in the database, which PUBLIC may unless that was
/// revoked. Each stands behind `GRANT` and before `TO role`, in the database `postgres`.
pub const REWIND_GRANTS: [&str; 4] = [
    "EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean)",
    "EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text)",
    "EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
];

/// How much has been copied. The total is an estimate that may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that are here.
    pub done: u64,
    /// Bytes that are to come altogether.
    pub total: u64,
}

impl Copied {
    /// Reads a line of progress; none for any other line. Both tools round to kB.
    pub fn of_line(line: &str) -> Option<Self> {
        let (done, rest) = line.trim().split_once('/')?;
        let (total, rest) = rest.split_once(" kB (")?;
        if !rest.contains("%)") {
            return None;
        }
        let bytes = |text: &str| text.parse::<u64>().ok()?.checked_mul(1024);
        Some(Self { done: bytes(done)?, total: bytes(total)? })
    }

    /// Of a hundred.
    pub fn percent(self) -> u8 {
        let hundredths = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(0);
        u8::try_from(hundredths.min(100)).unwrap_or(100)
    }
}

/// Where pg_rewind has found that target and source part.
pub fn fork_of(text: &str) -> Option<(Timeline, Lsn)> {
    let (_, rest) = text.split_once("servers diverged at WAL location ")?;
    let (lsn, rest) = rest.split_once(" on timeline ")?;
    let timeline = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((timeline.parse().ok()?, lsn.parse().ok()?))
}

/// Whether pg_rewind says that there is nothing to do.
pub fn says_no_rewind(text: &str) -> bool {
    text.contains("no rewind required")
}

/// Whether pg_rewind, with `--progress`, may have written to its target: the last that it says before
/// it begins to.
pub fn has_begun_to_write(text: &str) -> bool {
    text.contains("need to copy ")
}

/// Why a copy failed, as far as the tool's words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The source is not reached, or was lost on the way.
    Unreachable,
    /// It did not let us in: password, pg_hba.conf, role, TLS.
    Login,
    /// The role lacks a privilege: what stands between `GRANT` and `TO`.
    Grant(String),
    /// It has no connection or walsender left.
    Busy,
    /// The slot is missing, in use or lost.
    Slot,
    /// WAL that is needed is gone: this node's own since the fork, or the source's.
    WalRemoved,
    /// The target has neither `wal_log_hints` nor checksums.
    NoHints,
    /// The target was not shut down cleanly.
    NotClean,
    /// The source runs with full_page_writes off.
    NoFullPageWrites,
    /// It is another database system, or has no common ancestor with ours.
    Foreign,
    /// Programs and data are of different versions.
    Version,
    /// The source is in recovery, which pg_rewind 13 does not take.
    NotPrimary,
    /// No room is left.
    DiskFull,
    /// The deadline came first.
    TooLate,
    /// Its words tell.
    Other,
}

/// Words, and what they mean. The first that is found counts, so causes stand before what comes of
/// them.
const PHRASES: [(WhyNot, &[&str]); 12] = [
    (WhyNot::NoHints, &["needs to use either data checksums or"]),
    (WhyNot::NotClean, &["target server must be shut down cleanly"]),
    (WhyNot::NoFullPageWrites, &["must be enabled in the source server"]),
    (
        WhyNot::Foreign,
        &[
            "are from different systems",
            "could not find common ancestor",
            "system identifier does not match",
        ],
    ),
    (
        WhyNot::Version,
        &["are not compatible with this version of pg_rewind", "incompatible server version"],
    ),
    (WhyNot::NotPrimary, &["source server must not be in recovery mode"]),
    (
        WhyNot::Slot,
        &[
            "ERROR:  replication slot \"",
            "can no longer get changes from replication slot",
            "cannot read from replication slot",
            "all replication slots are in use",
        ],
    ),
    (
        WhyNot::WalRemoved,
        &[
            "could not find previous WAL record at ",
            "could not read WAL record at ",
            "could not restore file ",
            "has already been removed",
        ],
    ),
    (
        WhyNot::Busy,
        &[
            "too many clients already",
            "remaining connection slots are reserved",
            "exceeds max_wal_senders",
            "too many connections for ",
        ],
    ),
    (
        WhyNot::Login,
        &[
            "authentication failed",
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "no password supplied",
            "is not permitted to log in",
            "replication role to start walsender",
            "permission denied to start WAL sender",
            "permission denied for database",
            "server does not support SSL",
            "certificate",
            "SSL error",
        ],
    ),
    (
        WhyNot::Unreachable,
        &[
            "Connection refused",
            "No route to host",
            "Network is unreachable",
            "Connection timed out",
            "timeout expired",
            "could not translate host name",
            "the database system is ",
            "server closed the connection",
            "could not receive data from",
            "could not send data to",
            "no connection to the server",
            "terminating connection",
            "No such file or directory\n\tIs the server running",
        ],
    ),
    // Last: a message of libpq that nothing above knows.
    (WhyNot::Unreachable, &["error: connection to server", "could not connect to server"]),
];

impl WhyNot {
    /// From the words of a tool that failed.
    pub fn of_words(text: &str) -> Self {
        if let Some(what) = missing_grant(text) {
            return Self::Grant(what);
        }
        if text.contains("FATAL:  role \"") && text.contains("\" does not exist") {
            return Self::Login;
        }
        // What the source says of its own disk is another matter.
        let full = |line: &str| {
            ["No space left on device", "Disk quota exceeded"].iter().any(|w| line.contains(w))
                && !line.contains("ERROR:  ")
        };
        if text.lines().any(full) {
            return Self::DiskFull;
        }
        // pg_rewind opens a segment of its target that is not there any more.
        let no_segment = text
            .lines()
            .any(|line| line.contains("pg_wal/") && line.ends_with("No such file or directory"));
        let known = PHRASES.iter().find(|(_, all)| all.iter().any(|some| text.contains(some)));
        match known {
            Some((why, _)) => why.clone(),
            None if no_segment => Self::WalRemoved,
            None => Self::Other,
        }
    }
}

/// What was denied to the role of pg_rewind.
fn missing_grant(text: &str) -> Option<String> {
    if text.contains("permission denied to create temporary tables") {
        return Some("TEMPORARY ON DATABASE postgres".to_owned());
    }
    let (_, rest) = text.split_once("permission denied for function ")?;
    let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
    let mut forms = REWIND_GRANTS.iter().filter(|grant| grant.contains(&format!(".{name}(")));
    // Of the two forms, the short one reads whole files.
    let whole = text.contains("could not fetch remote file");
    let form = if whole { forms.next() } else { forms.next_back() };
    Some(
        form.map_or_else(
            || format!("EXECUTE ON FUNCTION pg_catalog.{name}"),
            |&form| form.to_owned(),
        ),
    )
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the source is not reached, or was lost on the way",
            Self::Login => {
                "the source does not let us in: see pg_hba.conf there and the passfile here"
            }
            Self::Grant(what) => {
                return write!(
                    f,
                    "the role lacks a privilege on the source: in the database postgres there, \
                     GRANT {what} TO the role"
                );
            }
            Self::Busy => {
                "the source has no connection left: see max_connections and max_wal_senders"
            }
            Self::Slot => "the slot on the source is missing, in use or lost",
            Self::WalRemoved => "WAL that is needed is gone",
            Self::NoHints => "this node's data has neither wal_log_hints nor checksums",
            Self::NotClean => "this node's data was not shut down cleanly",
            Self::NoFullPageWrites => "the source runs with full_page_writes=off: set it to on",
            Self::Foreign => "the source's data has another origin than this node's",
            Self::Version => "programs and data are of different versions",
            Self::NotPrimary => "the source is in recovery",
            Self::DiskFull => "no room is left on this node's disk",
            Self::TooLate => "it did not end in time",
            Self::Other => "it failed",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
