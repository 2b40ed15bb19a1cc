//! The member's own ledger file, and the cache beside it. Floor 2.
//!
//! The file lies in a root-owned directory on disk and is fsynced before anybody hears of what it
//! says. The cache lies under /run and may vanish at any time: nothing depends on it but effort.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::ledger::{LedgerError, Own, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::recovery::Kept;
use crate::decide::standby::watch::Watch;
use crate::postgres::lsn::Lsn;
use crate::sys::files::{self, FileError, Lock};

const FILE: &str = "ledger";
const CACHE: &str = "cache.json";
const LOCK: &str = "lock";
const MAX_BYTES: u64 = 256 * 1024;

/// What the own file says. Where it is missing, this member has never held a ledger, or has lost it; and
/// one that is not this member's is unreadable.
pub type OwnFile = Kept<Own>;

/// Where a member keeps what it knows.
#[derive(Debug)]
pub struct Home {
    resource: String,
    node: NodeName,
    state: PathBuf,
    run: PathBuf,
    turn: Option<Lock>,
}

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another process is at work on it: an operator's command, or an action that Pacemaker gave up.
    #[error("the ledger file was not written: another process is at work on it")]
    NotOurTurn,
    /// The file system refused.
    #[error("the ledger file could not be written")]
    Write(#[source] FileError),
    /// It would not read back.
    #[error("the ledger would not read back")]
    Format(#[source] LedgerError),
}

/// Where data ends that cannot follow any more, as a monitor measured it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOff {
    /// The system identifier.
    pub system_id: u64,
    /// Its timelines, in their compact form.
    pub line: String,
    /// The end of its WAL.
    pub lsn: u64,
    /// When, in seconds of uptime.
    pub at: u64,
    /// `start` found that it can follow all the same, and when.
    #[serde(default)]
    pub refuted: bool,
}

/// Observations that are cheap to have again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// The boot in which this was written; another boot's cache is ignored.
    pub boot: String,
    /// The names (V) that `names_at` is about.
    pub names: String,
    /// The postmaster start that it is about, in microseconds since 1970.
    pub started: i64,
    /// The insert position taken when these names were first seen.
    pub names_at: u64,
    /// When a checkpoint was asked for since, in seconds of uptime; 0: not yet.
    pub checkpoint_requested: u64,
    /// It is proven that backends wait.
    pub flag_proven: bool,
    /// Since when a standby is missing: node to seconds of uptime.
    pub missing_since: BTreeMap<String, u64>,
    /// Uptime in seconds when Pacemaker was last asked.
    pub asked: u64,
    /// Modification time of Pacemaker's configuration when it was last asked, in nanoseconds.
    pub cib_changed: i64,
    /// Rounds of care for the standbys in a row that failed.
    pub care_failed: u32,
    /// How far the primary of promotion `reached_of` was last known to be.
    pub reached: u64,
    /// That promotion.
    pub reached_of: String,
    /// The node that this standby should stream from.
    pub upstream: String,
    /// Its address.
    pub upstream_host: String,
    /// The members, as last known.
    pub members: Vec<String>,
    /// Whether replication is broken, from one monitor to the next.
    pub watch: Watch,
    /// The reason of the last monitor that reported it to be broken; empty: none did.
    pub reported: String,
    /// What kept a recovery from beginning when that was looked for last; empty: nothing.
    pub not_yet: String,
    /// How far the data goes that a monitor found to be unable to follow; none: none did.
    pub left_off: Option<LeftOff>,
    /// The node that was to be promoted and is streamed from, and its term, when a monitor last saw no primary; empty:
    /// there was none.
    pub awaited: String,
    /// The promotion under which this node had a score and gave way to one that has more.
    pub yielded: String,
    /// The newest promotion when it let another go first, where several could take over; once for each.
    pub let_go_first: Option<String>,
    /// Why fencing proves nothing here; empty when it works.
    pub unfenced: String,
    /// Standbys that Pacemaker does not watch: node to seconds of uptime.
    pub unwatched: BTreeMap<String, u64>,
    /// Members that replay with a delay, and therefore never take over.
    pub delayed: Vec<String>,
    /// How far this standby had replayed when its slots for the others were last moved.
    pub slots_at: u64,
    /// `slot_name` at the last look at the slots; empty: there was none.
    pub slot_prefix: String,
    /// What it was before, as long as slots of such names are left.
    pub former_prefixes: Vec<String>,
    /// Slots that are no member's, and since when, in seconds of uptime.
    pub stray_slots: BTreeMap<String, u64>,
    /// What this node warns of, by its role.
    pub warnings: BTreeMap<String, Vec<String>>,
    /// What of that makes the node degraded: what pg_hba.conf keeps from coming in, or that PostgreSQL's
    /// programs are not there; empty: nothing.
    pub kept_out: String,
    /// Why Pacemaker does not pass on what this node says; empty: it does, as far as is known.
    pub unheard: String,
    /// When it last looked for what makes it degraded, in seconds of uptime.
    pub warned: u64,
    /// And of which primary.
    pub warned_of: String,
    /// When this node took the right to be promoted from itself, in seconds of uptime; 0: it has not,
    /// or has a score again.
    pub barred: u64,
    /// The postmaster that the last monitor found to hang; empty: it found none.
    pub hung: String,
    /// The designated controller was on this node at the last look.
    pub controller_here: bool,
    /// The right to be promoted is to be taken from this node before its demotion.
    pub bar_due: bool,
    /// A position of this node is published.
    pub published: bool,
    /// The state attribute as last written.
    pub state: String,
    /// And how far a recovery is, as last told to the others.
    pub progress: String,
    /// For what commits wait, as it was last written down; empty: they do not.
    pub commits_wait: String,
    /// The stamp of the record of this node's past as it was last told to the others; empty: it may be that
    /// it was not.
    pub past_told: String,
    /// The last order of another node that this one took; empty: none since boot.
    pub order_taken: String,
    /// The last acknowledgement published.
    pub ack: String,
    /// The kind of the reason that Pacemaker shows of this instance; empty: none.
    pub shown: String,
    /// When it was said last, in seconds of uptime.
    pub shown_at: u64,
    /// The last answer of the monitor had it.
    pub just_said: bool,
    /// The postmaster that is a primary by the cluster's will: its process id and its start, as `4711-86231`;
    /// empty: none is.
    pub promoted: String,
    /// When a recurring monitor last answered, in seconds of uptime, to within [`Cache::COARSE`]; 0: none
    /// since Pacemaker has done something else with this instance.
    pub monitored: u64,
}

impl Cache {
    /// How exact `monitored` is, in seconds: a quiet monitor need not write the cache each time.
    pub const COARSE: u64 = 10;

    /// How far the primary of this promotion was last known to be.
    pub fn reached_by(&self, promotion: PromotionId) -> Option<Lsn> {
        (self.reached_of == promotion.to_string()).then_some(Lsn(self.reached))
    }
}

impl Home {
    /// The directories of this resource on this node. `state` and `run` are the roots, as a rule
    /// `/var/lib/pgtwin` and `/run/pgtwin`.
    pub fn new(state: &str, run: &str, resource: &str, node: &NodeName) -> Self {
        Self {
            resource: resource.to_owned(),
            node: node.clone(),
            state: PathBuf::from(state).join(resource),
            run: PathBuf::from(run).join(resource),
            turn: None,
        }
    }

    /// Reads the own ledger file.
    pub fn read(&self) -> OwnFile {
        let path = self.state.join(FILE);
        match files::look(&path) {
            files::Seen::Missing => return OwnFile::Missing,
            files::Seen::Present(_) => {}
            files::Seen::Unknown(why) => return OwnFile::Unreadable(why),
        }
        let text = match files::read_root_owned(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) => return OwnFile::Unreadable(crate::sys::chain(&error)),
        };
        match Own::parse(&text, &self.resource, &self.node) {
            Ok(own) => OwnFile::Read(own),
            Err(error) => OwnFile::Unreadable(format!("{}: {error}", path.display())),
        }
    }

    /// Writes it: when this returns, it is on the disk. Only in one's turn.
    pub fn write(&self, own: &Own) -> Result<(), HomeError> {
        if self.turn.is_none() {
            return Err(HomeError::NotOurTurn);
        }
        let text = own.to_text();
        Own::parse(&text, &self.resource, &self.node).map_err(HomeError::Format)?;
        if let Some(root) = self.state.parent() {
            files::ensure_root_dir(root, 0o755).map_err(HomeError::Write)?;
        }
        files::ensure_root_dir(&self.state, 0o750).map_err(HomeError::Write)?;
        if files::look(&self.state.join(FILE)) == files::Seen::Missing {
            // The first one: a file is as safe as the directories that lead to it, which may be new.
            for dir in self.state.ancestors().skip(1).take(2) {
                files::sync_dir(dir).map_err(HomeError::Write)?;
            }
        }
        files::write_durably(&self.state, FILE, text.as_bytes(), 0o640).map_err(HomeError::Write)
    }

    /// Waits for the right to change the ledger: it is read, changed and written by one process at
    /// a time. Pacemaker runs one action after the other; an operator's command comes between them.
    pub fn take_turn(&mut self, wait: Duration) -> Result<(), FileError> {
        if let Some(root) = self.run.parent() {
            files::ensure_root_dir(root, 0o755)?;
        }
        files::ensure_root_dir(&self.run, 0o750)?;
        self.turn = Some(files::lock_file(&self.run.join(LOCK), wait)?);
        Ok(())
    }

    /// Gives that right back.
    pub fn end_turn(&mut self) {
        self.turn = None;
    }

    /// When Pacemaker's configuration on this node was last written, in nanoseconds since 1970: the
    /// cheapest sign that there is something to ask for. 0 when it cannot be seen.
    pub fn cib_changed(&self) -> i64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/var/lib/pacemaker/cib/cib.xml").map_or(0, |meta| {
            meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
        })
    }

    /// Reads the cache; anything wrong with it is an empty cache.
    pub fn cache(&self) -> Cache {
        let boot = files::boot_id().unwrap_or_default();
        let read = files::read_root_owned(&self.run.join(CACHE), MAX_BYTES)
            .ok()
            .and_then(|text| serde_json::from_str::<Cache>(&text).ok())
            .filter(|cache| cache.boot == boot);
        read.unwrap_or(Cache { boot, ..Cache::default() })
    }

    /// Writes the cache; failing to is no error.
    pub fn keep(&self, cache: &Cache) {
        let Ok(text) = serde_json::to_string(cache) else { return };
        if let Some(root) = self.run.parent() {
            let _ = files::ensure_root_dir(root, 0o755);
        }
        if files::ensure_root_dir(&self.run, 0o750).is_ok() {
            let _ = files::write_volatile(&self.run, CACHE, text.as_bytes(), 0o640);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let roots = ["state", "run"].map(|name| dir.path().join(name).display().to_string());
        let node: NodeName = "n1".parse().unwrap();
        let home = || Home::new(&roots[0], &roots[1], "pg", &node);
        let own = Own::new("pg", &node);
        let (mut first, mut second) = (home(), home());
        assert!(matches!(first.write(&own), Err(HomeError::NotOurTurn)));
        first.take_turn(Duration::ZERO).unwrap();
        first.write(&own).unwrap();
        assert!(second.take_turn(Duration::ZERO).is_err());
        assert!(matches!(second.write(&own), Err(HomeError::NotOurTurn)));
        assert_eq!(second.read(), OwnFile::Read(own.clone()));
        first.end_turn();
        second.take_turn(Duration::ZERO).unwrap();
        second.write(&own).unwrap();
    }
}
