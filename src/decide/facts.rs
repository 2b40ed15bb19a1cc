//! What is known about one PostgreSQL instance, as values. Floor 1.
//!
//! *Unknown* is a value of its own everywhere: nothing here turns a failed question into an answer.

use std::fmt;

use crate::postgres::control_data::ControlData;
use crate::postgres::lsn::{Lsn, Timeline};

/// What stands at PGDATA.
#[derive(Clone, Debug, PartialEq)]
pub enum DataDir {
    /// There is nothing at that path.
    Absent,
    /// A directory without a database (empty, or only `lost+found`).
    Empty,
    /// It cannot serve: wrong owner, wrong mode, not a directory, another major version; with the remedy.
    Unusable(String),
    /// It could not be looked at (an I/O error, a hung mount).
    Unknown(String),
    /// A database cluster, with its control file.
    Cluster(Box<ControlData>),
}

/// The processes of the instance, proven by uid, executable, working directory and start time.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// No process of this instance exists.
    None,
    /// The postmaster runs.
    Running {
        /// Its process id.
        pid: i32,
        /// It is stopped by a signal (SIGSTOP) or frozen.
        stopped: bool,
    },
    /// The postmaster is gone; children of it still run.
    Orphans(Vec<i32>),
    /// It could not be found out.
    Unknown(String),
}

/// What the instance answers over its socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Sql {
    /// Nobody asked (there is no process).
    NotAsked,
    /// It accepts writes.
    Primary(Box<PrimaryFacts>),
    /// It is in recovery.
    Standby(Box<StandbyFacts>),
    /// 57P03: it starts up, or replays and has not opened yet.
    Starting(String),
    /// 57P03 because it shuts down.
    ShuttingDown,
    /// Alive, but it took no connection of ours or cut the question short (53300, 57014, …).
    Busy(String),
    /// Alive, and it answered something else than what was asked: it does not let the agent in, or
    /// says what is not understood. The words stay the same for as long as the cause does.
    Alive(String),
    /// It accepted the connection, or should have, and gave no answer in time.
    Hung,
    /// No socket, or nobody listens on it.
    Refused(String),
    /// Anything else.
    Unknown(String),
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("it does not run"),
            Self::Running { pid, stopped: false } => write!(f, "it runs, pid {pid}"),
            Self::Running { pid, stopped: true } => {
                write!(f, "its postmaster, pid {pid}, is stopped by a signal")
            }
            Self::Orphans(pids) => {
                write!(f, "its postmaster is gone and left processes behind, pids {pids:?}")
            }
            Self::Unknown(why) => write!(f, "its processes could not be looked at: {why}"),
        }
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("it was not asked"),
            Self::Primary(_) => f.write_str("it accepts writes"),
            Self::Standby(_) => f.write_str("it is a standby"),
            Self::Starting(why) => write!(f, "it starts: {why}"),
            Self::ShuttingDown => f.write_str("it is shutting down"),
            Self::Busy(why) => write!(f, "it is alive and busy: {why}"),
            Self::Alive(why) => write!(f, "it is alive and the agent cannot ask it: {why}"),
            Self::Hung => f.write_str("it hangs: it took no question in time"),
            Self::Refused(why) | Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// A standby as the primary sees it: one row of pg_stat_replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walsender {
    /// Its application_name.
    pub name: String,
    /// `streaming`, `catchup`, `startup`, `backup`, `stopping`.
    pub state: String,
    /// What it has flushed; unknown until it has said so.
    pub flush: Option<Lsn>,
    /// What it has replayed.
    pub replay: Option<Lsn>,
    /// 0: not synchronous, as this walsender itself sees the setting.
    pub priority: u32,
    /// `sync`, `quorum`, `potential`, `async`.
    pub sync_state: String,
    /// Seconds since the standby was last heard; none if never, or if clocks disagree.
    pub silent_for: Option<u64>,
    /// Its process id.
    pub pid: i32,
}

/// A server that accepts writes.
#[derive(Clone, Debug, PartialEq)]
pub struct PrimaryFacts {
    /// `synchronous_standby_names` as a fresh session sees it.
    pub names: String,
    /// The insert position.
    pub insert: Lsn,
    /// The redo position of the last checkpoint.
    pub redo: Lsn,
    /// The timeline it writes.
    pub timeline: Timeline,
    /// When the postmaster started, in microseconds since 1970.
    pub started: i64,
    /// Everybody who streams from it.
    pub walsenders: Vec<Walsender>,
    /// `server_version_num`.
    pub version: u32,
    /// Settings that weaken what pgtwin promises, in words.
    pub weaknesses: Vec<String>,
    /// The system identifier.
    pub system_id: u64,
    /// Physical slots there are.
    pub slots: Vec<String>,
}

/// A server in recovery that answers SQL.
#[derive(Clone, Debug, PartialEq)]
pub struct StandbyFacts {
    /// What the receiver of this postmaster has flushed; none if it never streamed.
    pub receive: Option<Lsn>,
    /// What has been replayed.
    pub replay: Option<Lsn>,
    /// The walreceiver's state, none when there is none.
    pub receiver: Option<Receiver>,
    /// The wait event of the startup process.
    pub startup_waits_for: Option<String>,
    /// `primary_conninfo`.
    pub conninfo: String,
    /// `primary_slot_name`.
    pub slot: String,
    /// Replay is paused by an administrator.
    pub paused: bool,
    /// `recovery_min_apply_delay` in milliseconds.
    pub apply_delay: u64,
    /// When the postmaster started, in microseconds since 1970.
    pub started: i64,
    /// `server_version_num`.
    pub version: u32,
    /// The system identifier.
    pub system_id: u64,
    /// Physical slots there are.
    pub slots: Vec<String>,
}

/// A walreceiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// `streaming`, `starting`, `waiting`, `restarting`, `stopping`.
    pub state: String,
    /// The host it streams from.
    pub host: String,
    /// The port it streams from.
    pub port: u16,
    /// The timeline of what it has received.
    pub timeline: Timeline,
    /// The last position that the sender told it of.
    pub latest_end: Option<Lsn>,
    /// Its process id: each attempt to connect is another process.
    pub pid: i32,
}

impl StandbyFacts {
    /// Whether the position of this standby is all that its disk holds: its receiver has streamed
    /// in the life of this postmaster, or the startup process waits at the end of local WAL.
    pub fn at_end_of_wal(&self) -> bool {
        const WAITING: [&str; 2] = ["RecoveryWalStream", "RecoveryRetrieveRetryInterval"];
        self.receive.is_some()
            || self.startup_waits_for.as_deref().is_some_and(|event| WAITING.contains(&event))
    }

    /// Whether it streams now.
    pub fn streams(&self) -> bool {
        self.receiver.as_ref().is_some_and(|receiver| receiver.state == "streaming")
    }
}

/// All that one look at the instance gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The directory.
    pub data: DataDir,
    /// The processes.
    pub process: Process,
    /// The answers.
    pub sql: Sql,
}
