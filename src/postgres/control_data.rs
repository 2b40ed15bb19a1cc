//! What `pg_controldata` prints about a data directory, running or not. Floor 0.
//!
//! Source: PostgreSQL's `pg_controldata`, with `LC_ALL=C`, versions 13 to 18.

use std::fmt;
use std::str::FromStr;

use super::lsn::{Lsn, Timeline};

/// The parts of the control file that pgtwin reasons about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlData {
    /// `pg_control` version: 1300 for PostgreSQL 13 to 16, 1700 for 17, 1800 for 18.
    pub control_version: u32,
    /// The identifier that initdb made; equal in all copies of one cluster.
    pub system_id: u64,
    /// What the instance was doing when it last wrote the file.
    pub state: ClusterState,
    /// Start of the latest checkpoint's record (of the latest restartpoint's, on a standby).
    pub checkpoint: Lsn,
    /// Where recovery would begin.
    pub redo: Lsn,
    /// Timeline of the latest checkpoint: can be older than the one that is replayed.
    pub timeline: Timeline,
    /// The timeline before, when that checkpoint began a new one; else the same.
    pub prev_timeline: Timeline,
    /// Where recovery must come to before the data is consistent; `0/0` on a primary.
    pub min_recovery_end: Lsn,
    /// Timeline of that position; 0 on a primary. Can be old.
    pub min_recovery_timeline: Timeline,
    /// Begin of the backup that this data was made by, while it is being recovered; else `0/0`.
    pub backup_start: Lsn,
    /// Whether recovery of that backup must see the record of its end.
    pub backup_end_required: bool,
    /// `minimal`, `replica` or `logical`, as of the last run.
    pub wal_level: String,
    /// Whether `wal_log_hints` was on.
    pub wal_log_hints: bool,
    /// Whether data pages carry checksums.
    pub checksums: bool,
    /// Bytes in a WAL segment: a power of two from 1 MB to 1 GB.
    pub wal_segment_size: u32,
    /// Bytes in a WAL page: a power of two.
    pub wal_block_size: u32,
    /// `max_connections` of the primary, which a standby may not undercut.
    pub max_connections: u32,
    /// `max_wal_senders`, likewise.
    pub max_wal_senders: u32,
    /// `max_worker_processes`, likewise.
    pub max_worker_processes: u32,
    /// `max_prepared_transactions`, likewise.
    pub max_prepared_xacts: u32,
    /// `max_locks_per_transaction`, likewise.
    pub max_locks: u32,
}

/// What an instance was doing when it last wrote its control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// `starting up`.
    StartingUp,
    /// `shut down`: cleanly, as a primary.
    ShutDown,
    /// `shut down in recovery`: cleanly, as a standby.
    ShutDownInRecovery,
    /// `shutting down`: a primary is writing its last checkpoint, or died doing so.
    ShuttingDown,
    /// `in crash recovery`.
    InCrashRecovery,
    /// `in archive recovery`: a running standby, or one that died.
    InArchiveRecovery,
    /// `in production`: a running primary, or one that died.
    InProduction,
    /// Words this version of pgtwin does not know.
    Other(String),
}

/// Whether the last run of an instance took writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasWritable {
    /// It was a primary, and may hold WAL that nobody else has.
    Yes,
    /// It was a standby.
    No,
    /// The state does not tell.
    Unknown,
}

impl ClusterState {
    /// Whether the last run took writes. A crash recovery that did not end was the recovery of a
    /// writable instance: a standby's own is called archive recovery.
    pub fn was_writable(&self) -> WasWritable {
        match self {
            Self::ShutDown | Self::ShuttingDown | Self::InCrashRecovery | Self::InProduction => {
                WasWritable::Yes
            }
            Self::ShutDownInRecovery | Self::InArchiveRecovery => WasWritable::No,
            Self::StartingUp | Self::Other(_) => WasWritable::Unknown,
        }
    }

    /// Whether the last run ended in an orderly way.
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::ShutDown | Self::ShutDownInRecovery)
    }

    fn of(text: &str) -> Self {
        match text {
            "starting up" => Self::StartingUp,
            "shut down" => Self::ShutDown,
            "shut down in recovery" => Self::ShutDownInRecovery,
            "shutting down" => Self::ShuttingDown,
            "in crash recovery" => Self::InCrashRecovery,
            "in archive recovery" => Self::InArchiveRecovery,
            "in production" => Self::InProduction,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartingUp => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
            Self::Other(text) => text,
        })
    }
}

/// Why the output of `pg_controldata` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlDataError {
    /// A line that every version prints is not there.
    #[error("pg_controldata printed no line {0:?}")]
    Missing(&'static str),
    /// A line has a value that makes no sense.
    #[error("pg_controldata printed {value:?} for {label:?}")]
    Value {
        /// The line.
        label: &'static str,
        /// Its value.
        value: String,
    },
    /// Its checksum is wrong: nothing in it can be trusted.
    #[error(
        "the control file is damaged or belongs to another version of PostgreSQL: \
         pg_controldata reports a wrong checksum"
    )]
    Damaged,
}

impl ControlData {
    /// Reads the output. Give it standard error too, if there is any, after standard output: from
    /// version 17 on the warning of a damaged file goes there, with an exit code of 0.
    pub fn parse(text: &str) -> Result<Self, ControlDataError> {
        let wrong_checksum = "alculated CRC checksum does not match";
        if text.lines().any(|line| line.contains(wrong_checksum)) {
            return Err(ControlDataError::Damaged);
        }
        let lines = Lines(text);
        Ok(Self {
            control_version: lines.number("pg_control version number")?,
            system_id: lines.positive("Database system identifier")?,
            state: ClusterState::of(lines.get("Database cluster state")?),
            checkpoint: lines.parse("Latest checkpoint location")?,
            redo: lines.parse("Latest checkpoint's REDO location")?,
            timeline: lines.parse("Latest checkpoint's TimeLineID")?,
            prev_timeline: lines.parse("Latest checkpoint's PrevTimeLineID")?,
            min_recovery_end: lines.parse("Minimum recovery ending location")?,
            min_recovery_timeline: lines
                .number("Min recovery ending loc's timeline")
                .map(Timeline)?,
            backup_start: lines.parse("Backup start location")?,
            backup_end_required: lines.word("End-of-backup record required", "yes", "no")?,
            wal_level: lines.get("wal_level setting")?.to_owned(),
            wal_log_hints: lines.word("wal_log_hints setting", "on", "off")?,
            checksums: lines.number("Data page checksum version")? != 0,
            wal_segment_size: lines.size("Bytes per WAL segment", 1 << 20, 1 << 30)?,
            wal_block_size: lines.size("WAL block size", 1 << 10, 1 << 16)?,
            max_connections: lines.number("max_connections setting")?,
            max_wal_senders: lines.number("max_wal_senders setting")?,
            max_worker_processes: lines.number("max_worker_processes setting")?,
            max_prepared_xacts: lines.number("max_prepared_xacts setting")?,
            max_locks: lines.number("max_locks_per_xact setting")?,
        })
    }
}

/// Lines of the form `label: value`.
struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    fn get(&self, label: &'static str) -> Result<&'a str, ControlDataError> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(label)?.strip_prefix(':'))
            .map(str::trim)
            .ok_or(ControlDataError::Missing(label))
    }

    fn parse<T: FromStr>(&self, label: &'static str) -> Result<T, ControlDataError> {
        let value = self.get(label)?;
        value.parse().map_err(|_| bad(label, value))
    }

    fn number(&self, label: &'static str) -> Result<u32, ControlDataError> {
        self.parse(label)
    }

    fn positive(&self, label: &'static str) -> Result<u64, ControlDataError> {
        let value = self.parse(label)?;
        if value == 0 { Err(bad(label, "0")) } else { Ok(value) }
    }

    fn size(&self, label: &'static str, min: u32, max: u32) -> Result<u32, ControlDataError> {
        let value: u32 = self.parse(label)?;
        if value.is_power_of_two() && (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(bad(label, &value.to_string()))
        }
    }

    fn word(&self, label: &'static str, yes: &str, no: &str) -> Result<bool, ControlDataError> {
        let value = self.get(label)?;
        if value == yes {
            Ok(true)
        } else if value == no {
            Ok(false)
        } else {
            Err(bad(label, value))
        }
    }
}

fn bad(label: &'static str, value: &str) -> ControlDataError {
    ControlDataError::Value { label, value: value.chars().take(40).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    macro_rules! fixtures {
        ($name:literal) => {
            [
                (13, include_str!(concat!("../../tests/fixtures/postgres/13/", $name))),
                (15, include_str!(concat!("../../tests/fixtures/postgres/15/", $name))),
                (17, include_str!(concat!("../../tests/fixtures/postgres/17/", $name))),
                (18, include_str!(concat!("../../tests/fixtures/postgres/18/", $name))),
            ]
        };
    }

    #[test]
    fn every_version_is_read_in_every_state() {
        use ClusterState::{InArchiveRecovery, InProduction, ShutDown, ShutDownInRecovery};
        use WasWritable::{No, Yes};
        for (texts, state, writable, clean) in [
            (fixtures!("control-in-production.txt"), InProduction, Yes, false),
            (fixtures!("control-crashed.txt"), InProduction, Yes, false),
            (fixtures!("control-shut-down.txt"), ShutDown, Yes, true),
            (fixtures!("control-in-archive-recovery.txt"), InArchiveRecovery, No, false),
            (fixtures!("control-shut-down-in-recovery.txt"), ShutDownInRecovery, No, true),
        ] {
            for (version, text) in texts {
                let data = ControlData::parse(text).unwrap();
                assert_eq!(data.state, state, "{version}");
                assert_eq!(data.state.was_writable(), writable, "{version} {state}");
                assert_eq!(data.state.is_clean(), clean, "{version} {state}");
                let control_version = if version < 17 { 1300 } else { version * 100 };
                assert_eq!(data.control_version, control_version);
                assert!(data.wal_log_hints && data.checksums && !data.backup_end_required);
                assert_eq!(data.wal_level, "replica");
                assert_eq!(data.max_connections, 30, "{version}");
                assert_eq!((data.wal_segment_size, data.wal_block_size), (1 << 20, 8192));
                let standby = writable == No;
                assert_eq!(data.min_recovery_end.is_valid(), standby, "{version} {state}");
                assert_eq!(data.min_recovery_timeline.0, u32::from(standby));
            }
        }
    }

    #[test]
    fn all_values_of_one_file_are_read() {
        let text =
            include_str!("../../tests/fixtures/postgres/15/control-shut-down-in-recovery.txt");
        let lsn = |text: &str| text.parse::<Lsn>().unwrap();
        let value = |label: &str| {
            text.lines().find_map(|line| line.strip_prefix(label)).unwrap().trim().to_owned()
        };
        let expected = ControlData {
            control_version: 1300,
            system_id: value("Database system identifier:").parse().unwrap(),
            state: ClusterState::ShutDownInRecovery,
            checkpoint: lsn(&value("Latest checkpoint location:")),
            redo: lsn(&value("Latest checkpoint's REDO location:")),
            timeline: Timeline(1),
            prev_timeline: Timeline(1),
            min_recovery_end: lsn(&value("Minimum recovery ending location:")),
            min_recovery_timeline: Timeline(1),
            backup_start: Lsn::ZERO,
            backup_end_required: false,
            wal_level: "replica".into(),
            wal_log_hints: true,
            checksums: true,
            wal_segment_size: 1 << 20,
            wal_block_size: 8192,
            max_connections: 30,
            max_wal_senders: 10,
            max_worker_processes: 8,
            max_prepared_xacts: 0,
            max_locks: 64,
        };
        assert_eq!(ControlData::parse(text), Ok(expected));
    }

    #[test]
    fn a_promoted_node_shows_its_timeline_after_a_checkpoint() {
        for (version, text) in fixtures!("control-promoted.txt") {
            assert_eq!(ControlData::parse(text).unwrap().timeline, Timeline(3), "{version}");
        }
    }

    #[test]
    fn a_damaged_file_is_recognised_on_either_stream() {
        let errors = fixtures!("control-damaged.stderr.txt");
        for ((version, out), (_, err)) in
            fixtures!("control-damaged.stdout.txt").into_iter().zip(errors)
        {
            let both = format!("{out}{err}");
            assert_eq!(ControlData::parse(&both), Err(ControlDataError::Damaged), "{version}");
        }
    }

    #[test]
    fn a_missing_line_or_a_senseless_value_is_named() {
        let text = include_str!("../../tests/fixtures/postgres/15/control-shut-down.txt");
        for label in [
            "Database system identifier",
            "Latest checkpoint location",
            "Latest checkpoint's TimeLineID",
            "Bytes per WAL segment",
            "wal_log_hints setting",
        ] {
            let without: String =
                text.split_inclusive('\n').filter(|line| !line.starts_with(label)).collect();
            assert_eq!(ControlData::parse(&without), Err(ControlDataError::Missing(label)));
            let replaced = format!("{label}: rubbish\n{without}");
            let value = "rubbish".to_owned();
            assert_eq!(
                ControlData::parse(&replaced),
                Err(ControlDataError::Value { label, value })
            );
        }
        assert!(ControlData::parse("").is_err());
        let odd = text.replace("segment:                1048576", "segment:  1048577");
        assert_ne!(odd, text);
        assert!(ControlData::parse(&odd).is_err());
    }

    #[test]
    fn states_without_a_capture_are_read_as_documented() {
        use ClusterState::{InCrashRecovery, Other, ShuttingDown, StartingUp};
        let text = include_str!("../../tests/fixtures/postgres/15/control-shut-down.txt");
        for (words, state, writable) in [
            ("starting up", StartingUp, WasWritable::Unknown),
            ("shutting down", ShuttingDown, WasWritable::Yes),
            ("in crash recovery", InCrashRecovery, WasWritable::Yes),
            (
                "unrecognized status code",
                Other("unrecognized status code".into()),
                WasWritable::Unknown,
            ),
        ] {
            let text = text.replace("shut down\n", &format!("{words}\n"));
            let data = ControlData::parse(&text).unwrap();
            assert_eq!(data.state, state);
            assert_eq!(data.state.was_writable(), writable);
            assert_eq!(data.state.to_string(), words);
        }
    }
}
