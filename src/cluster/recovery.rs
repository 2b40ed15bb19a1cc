//! What is remembered of a recovery: the marker that stands while a node's data is brought back, how
//! far that is, how often it failed, and what came of the last attempt. Floor 0.
//!
//! The marker is on the disk before the first byte of the data changes. It says who is at work, so
//! that another process can prove whether that one still lives, and whether the data may be started.
//! A marker that cannot be read says the worst: that it may not.

mod attempts;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::node::NodeName;

pub use attempts::{Attempts, MOST, Turn, pause};
pub use text::NotUnderstood;

/// How a node's data is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// pg_rewind: only what diverged is copied.
    Rewind,
    /// pg_basebackup: everything is copied.
    Rebuild,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rewind, Self::Rebuild];

    /// Its name in files and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rewind => "rewind",
            Self::Rebuild => "rebuild",
        }
    }
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Source and target are looked at; nothing has changed.
    Checking,
    /// The target crashed and is recovered in single-user mode, so that it can be rewound.
    Recovering,
    /// pg_rewind runs.
    Rewinding,
    /// The node's own configuration is put right.
    PuttingRight,
    /// pg_basebackup runs, beside the old data.
    Copying,
    /// The new data takes the place of the old.
    Swapping,
    /// PostgreSQL is started on it.
    Starting,
}

impl Phase {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 7] = [
        Self::Checking,
        Self::Recovering,
        Self::Rewinding,
        Self::PuttingRight,
        Self::Copying,
        Self::Swapping,
        Self::Starting,
    ];

    /// Its name in files and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Recovering => "recovering",
            Self::Rewinding => "rewinding",
            Self::PuttingRight => "putting-right",
            Self::Copying => "copying",
            Self::Swapping => "swapping",
            Self::Starting => "starting",
        }
    }
}

/// A process, beyond doubt: the kernel gives a number out again, but not with the same start in the
/// same boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerId {
    /// The boot of the machine, as the kernel names it (a UUID).
    pub boot: String,
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since that boot.
    pub start_ticks: u64,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.boot, self.pid, self.start_ticks)
    }
}

impl FromStr for WorkerId {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let bad = || NotUnderstood::new("the identity of a worker is malformed", text);
        let mut parts = text.split('.');
        let (Some(boot), Some(pid), Some(ticks), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let uuid = |b: u8| b.is_ascii_hexdigit() || b == b'-';
        if boot.is_empty() || boot.len() > 64 || !boot.bytes().all(uuid) {
            return Err(bad());
        }
        let pid = text::number(pid).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
        Ok(Self {
            boot: boot.to_owned(),
            pid: pid.ok_or_else(bad)?,
            start_ticks: text::number(ticks).ok_or_else(bad)?,
        })
    }
}

/// A recovery that has begun and has not ended in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// How many attempts in a row this makes, from 1.
    pub attempt: u32,
    /// How.
    pub method: Method,
    /// How far.
    pub phase: Phase,
    /// From which node.
    pub source: NodeName,
    /// The database system that the source was proven to be.
    pub system_id: u64,
    /// When this attempt began, in seconds of the epoch.
    pub begun: i64,
    /// Who is at work, or was.
    pub worker: WorkerId,
    /// The data directory may not be started: from before its first byte changes until it is whole
    /// again, be it the old data or the new.
    pub half_done: bool,
    /// What is half done is what a rewind has left: no way leads back to the data that it was, and no backup
    /// is made of it, though its control file looks healthy.
    pub ruin: bool,
    /// Nothing was wrong with the data: an operator wants a full copy in its place.
    pub asked: bool,
    /// Where the old data was put, an absolute path.
    pub old_copy: Option<String>,
    /// Why this node is recovered, for people.
    pub reason: String,
}

impl Marker {
    /// How far it is, for the other nodes: `rebuild from n1: copying, 41 % (832 MB of 2028 MB)`.
    pub fn how_far(&self, progress: &Kept<Progress>) -> String {
        let (method, source) = (self.method.word(), &self.source);
        match progress {
            Kept::Read(progress) if progress.phase == self.phase => {
                format!("{method} from {source}: {progress}")
            }
            Kept::Read(_) | Kept::Missing | Kept::Unreadable(_) => match self.phase {
                Phase::Checking => "it is checked which way".to_owned(),
                phase => format!("{method} from {source}: {}", phase.word()),
            },
        }
    }

    /// The same recovery in another phase.
    #[must_use]
    pub fn at(&self, phase: Phase, half_done: bool) -> Self {
        Self { phase, half_done, ruin: ruin(self.ruin, half_done, phase), ..self.clone() }
    }
}

/// Whether half done data is a ruin, from before its first byte changes until it is whole again, or something
/// else is in its place. `before`: it was one.
#[must_use]
pub fn ruin(before: bool, half_done: bool, phase: Phase) -> bool {
    half_done && (before || phase == Phase::Rewinding)
}

/// What a file says that is there, or not, or not to be understood. The three are never taken for
/// one another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept<T> {
    /// This.
    Read(T),
    /// There certainly is none.
    Missing,
    /// It could not be read or understood, for this reason.
    Unreadable(String),
}

impl<T> Kept<T> {
    /// What it says, where it says anything.
    pub fn if_read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Missing | Self::Unreadable(_) => None,
        }
    }
}

impl Kept<Marker> {
    /// Whether the data directory is whole as far as recoveries go. A marker that cannot be read may
    /// stand for a copy that is half done.
    #[must_use]
    pub fn data_is_whole(&self) -> bool {
        match self {
            Self::Read(marker) => !marker.half_done,
            Self::Missing => true,
            Self::Unreadable(_) => false,
        }
    }

    /// Whether the data directory is, or may be, what a broken rewind has left.
    #[must_use]
    pub fn data_is_a_ruin(&self) -> bool {
        match self {
            Self::Read(marker) => marker.ruin,
            Self::Missing => false,
            Self::Unreadable(_) => true,
        }
    }
}

/// How far a worker is. It may be lost at any time, and nothing but what people are told depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// How much of this phase is done, 0 to 100; none where that cannot be told.
    pub percent: Option<u8>,
    /// Bytes copied in this phase.
    pub done_bytes: u64,
    /// Bytes to copy in this phase, where that is known; an estimate.
    pub total_bytes: Option<u64>,
    /// When this was written, in seconds of the epoch.
    pub at: i64,
}

impl Progress {
    /// So many bytes of so many; the percentage follows. An estimate that was too low is never more
    /// than 100 %.
    pub fn of(phase: Phase, done_bytes: u64, total_bytes: Option<u64>, at: i64) -> Self {
        let percent = total_bytes.filter(|total| *total > 0).map(|total| {
            let percent = u128::from(done_bytes) * 100 / u128::from(total);
            u8::try_from(percent.min(100)).unwrap_or(100)
        });
        Self { phase, percent, done_bytes, total_bytes, at }
    }
}

/// `copying, 41 % (832 MB of 2028 MB)`
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1_000_000;
        f.write_str(self.phase.word())?;
        if let Some(percent) = self.percent {
            write!(f, ", {percent} %")?;
        }
        match (self.done_bytes, self.total_bytes) {
            (0, None) => Ok(()),
            (done, None) => write!(f, " ({} MB)", done / MB),
            (done, Some(total)) => write!(f, " ({} MB of {} MB)", done / MB, total / MB),
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The data is whole and PostgreSQL was started on it.
    Done,
    /// It failed.
    Failed,
    /// It was ended from outside.
    Ended,
}

/// The last attempt, for people and their programs: the JSON beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The resource.
    pub resource: String,
    /// The node that was recovered.
    pub node: String,
    /// Which attempt in a row, from 1.
    pub attempt: u32,
    /// How.
    pub method: Method,
    /// From which node.
    pub source: String,
    /// The database system, as text: programs that read JSON cut numbers of this size.
    pub system_id: String,
    /// When it began, in seconds of the epoch.
    pub begun: i64,
    /// When it ended.
    pub ended: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// The phase that it ended in.
    pub phase: Phase,
    /// Why the node was recovered.
    pub reason: String,
    /// Why it failed; empty where it did not.
    pub failure: String,
    /// What to type next; empty where nothing is to be done.
    pub next_command: String,
    /// Where the old data was put.
    pub old_copy: Option<String>,
    /// Bytes copied.
    pub copied_bytes: u64,
    /// The log of this attempt.
    pub log: String,
}

impl Summary {
    /// An attempt that has begun at `now`, and of which nothing else is known.
    pub fn begun(resource: &str, node: &NodeName, attempt: u32, now: i64) -> Self {
        Self {
            resource: resource.to_owned(),
            node: node.to_string(),
            attempt,
            method: Method::Rewind,
            source: String::new(),
            system_id: String::new(),
            begun: now,
            ended: now,
            outcome: Outcome::Done,
            phase: Phase::Checking,
            reason: String::new(),
            failure: String::new(),
            next_command: String::new(),
            old_copy: None,
            copied_bytes: 0,
            log: String::new(),
        }
    }
}
