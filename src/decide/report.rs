//! What `pgtwin status` says: from what was seen to rows and words. Floor 1.
//!
//! Nothing is guessed here: what is not known is `?` in the table, and a warning says why. `-` is
//! what does not apply (the position of an instance that is known not to run).

mod configuration;
pub mod json;
mod ledger;
mod recovery;
mod rows;
pub mod runtime;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub(crate) use recovery::span;
pub use recovery::{OldCopy, Recovery};
pub use text::wrapped;

use crate::cluster::cib::{Cib, Setting};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Store};
use crate::cluster::node::NodeName;
use crate::cluster::topology::{ClusterStatus, NodeState, Role};
use crate::decide::doctor::Finding;
use crate::decide::facts::PrimaryFacts;
use crate::decide::view::{View, state_attribute};
use crate::ocf::params::FencingPolicy;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::sync_names::{self, StandbyName, SyncNames};

/// The width that the text keeps to.
pub const WIDTH: usize = 80;

/// How the state attribute of a primary begins whose commits wait.
const WAITING: &str = "primary-waiting-for-";

/// What a member's PostgreSQL says when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It accepts writes.
    Primary(Timeline, Lsn),
    /// It is in recovery.
    Standby(Timeline, Lsn),
    /// Nothing listens there, or its machine is not reached: no running server was found.
    Absent(String),
    /// It may run, and no position was had from it; why.
    Silent(String),
}

impl Server {
    /// Its timeline and position.
    pub fn position(&self) -> Option<(Timeline, Lsn)> {
        match self {
            Self::Primary(timeline, lsn) | Self::Standby(timeline, lsn) => Some((*timeline, *lsn)),
            Self::Absent(_) | Self::Silent(_) => None,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(timeline, lsn) => write!(f, "a primary on timeline {timeline} at {lsn}"),
            Self::Standby(timeline, lsn) => write!(f, "a standby on timeline {timeline} at {lsn}"),
            Self::Absent(why) | Self::Silent(why) => f.write_str(why),
        }
    }
}

/// The ledger file of the node that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnLedger {
    /// It was read.
    Read(Store),
    /// There is none.
    Missing,
    /// It could not be read, or is damaged.
    Unreadable(String),
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The resource.
    pub resource: String,
    /// The node that asks.
    pub me: NodeName,
    /// The members.
    pub members: BTreeSet<NodeName>,
    /// Sync or async, as the owner wants it.
    pub mode: Mode,
    /// What is asked of fencing.
    pub policy: FencingPolicy,
    /// The clients' address, as configured.
    pub vip: Option<String>,
    /// crm_mon's answer.
    pub status: ClusterStatus,
    /// The CIB.
    pub cib: Cib,
    /// The ledger's copy in the CIB.
    pub ledger: Known<Store>,
    /// The ledger file here.
    pub own: OwnLedger,
    /// What each member's PostgreSQL answered.
    pub servers: BTreeMap<NodeName, Server>,
    /// The database system that each of them said to be.
    pub systems: BTreeMap<NodeName, u64>,
    /// How far each standby's replay is behind in time, in milliseconds.
    pub delays: BTreeMap<NodeName, Known<u64>>,
    /// All that our own instance says, when it is the primary.
    pub local: Option<PrimaryFacts>,
    /// `synchronous_standby_names` of the primary.
    pub names: Known<String>,
    /// The application_name of each member that has a valid one.
    pub standby_names: BTreeMap<NodeName, StandbyName>,
    /// What this node has warned of in its log and what still holds, one line each.
    pub noted: Vec<String>,
    /// What this node has written of its recoveries.
    pub recovery: Recovery,
    /// How far other nodes say that theirs are.
    pub progress: BTreeMap<NodeName, String>,
    /// What was seen of containers.
    pub runtimes: runtime::Runtimes,
    /// What the doctor finds in the configuration, but for what is well.
    pub configuration: Vec<Finding>,
    /// What went wrong on the way, one line each.
    pub problems: Vec<String>,
}

/// What is in one place of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<T> {
    /// This.
    Is(T),
    /// It could not be learned: `?`, and a warning says why.
    Unknown,
    /// It does not apply: `-`.
    No,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: String,
    /// primary or standby.
    pub role: Cell<&'static str>,
    /// What it is doing.
    pub state: Cell<String>,
    /// Its timeline.
    pub timeline: Cell<Timeline>,
    /// Its position.
    pub lsn: Cell<Lsn>,
    /// How many bytes of the primary's WAL it lacks.
    pub lag: Cell<u64>,
    /// How long ago the primary wrote what it has replayed last, in milliseconds.
    pub delay: Cell<u64>,
    /// Whether commits wait for it (it is in V).
    pub sync: Cell<bool>,
    /// Its promotion score.
    pub score: Cell<i32>,
    /// Whether it may replace the primary (it is in E).
    pub heir: Cell<bool>,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first line.
    pub title: String,
    /// The table.
    pub rows: Vec<Row>,
    /// What stands below it: a title and words.
    pub lines: Vec<(&'static str, String)>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
    /// What could be better, and is not urgent.
    pub advice: Vec<String>,
}

impl Report {
    /// Whether somebody should look.
    pub fn needs_attention(&self) -> bool {
        !self.warnings.is_empty()
    }
}

/// Puts what was seen into words.
#[must_use]
pub fn report(facts: &Facts) -> Report {
    let mut warnings = Vec::new();
    let rows = rows::rows(facts, &mut warnings);
    let ledger = ledger::words(facts, &mut warnings);
    let mut lines = vec![("Ledger", ledger)];
    lines.push(("Quorum", warnings::quorum(facts, &mut warnings)));
    lines.push(("Fencing", warnings::fencing(facts, &mut warnings)));
    lines.push(("Maintenance", warnings::maintenance(facts, &mut warnings)));
    if let Some(vip) = &facts.vip {
        lines.push(("Address", configuration::address(facts, vip, &mut warnings)));
    }
    let mut of_runtimes = Vec::new();
    lines.extend(runtime::line(facts, &mut of_runtimes).map(|words| ("Runtime", words)));
    configuration::clone(facts, &mut warnings);
    configuration::left_behind(facts, &mut warnings);
    lines.extend(configuration::judged(facts, &mut warnings).map(|words| ("Doctor", words)));
    lines.extend(recovery::lines(facts, &mut warnings));
    warnings::members(facts, &mut warnings);
    warnings::primary(facts, &mut warnings);
    warnings::failures(facts, &mut warnings);
    let (grave, mut advice) = warnings::settings(facts);
    warnings.extend(grave);
    warnings::delays(facts, &mut advice);
    advice.extend(of_runtimes);
    warnings.extend(facts.noted.iter().map(|line| format!("{}: {line}", facts.me)));
    warnings.extend(facts.problems.iter().cloned());
    let mode = match facts.mode {
        Mode::Sync => "synchronous",
        Mode::Async => "asynchronous",
    };
    Report {
        title: format!(
            "{}: {mode} replication, {} members, as seen from {}",
            facts.resource,
            facts.members.len(),
            facts.me
        ),
        rows,
        lines,
        warnings,
        advice,
    }
}

impl Facts {
    /// What Pacemaker says, in the words of the decisions.
    pub fn view(&self) -> View {
        View {
            resource: self.resource.clone(),
            policy: self.policy,
            status: self.status.clone(),
            cib: self.cib.clone(),
        }
    }

    /// The members whose PostgreSQL said that it accepts writes.
    pub(crate) fn writable(&self) -> Vec<&NodeName> {
        let writes = |server: &Server| matches!(server, Server::Primary(..));
        self.servers.iter().filter(|(_, server)| writes(server)).map(|(node, _)| node).collect()
    }

    /// The one primary: who said so, else whom Pacemaker has promoted.
    pub(crate) fn primary(&self) -> Option<&NodeName> {
        match self.writable().as_slice() {
            [one] => Some(one),
            [] => {
                let mut promoted = self.status.promoted_on(&self.resource);
                promoted.next().filter(|_| promoted.next().is_none())
            }
            [_, _, ..] => None,
        }
    }

    /// What a member's state attribute says.
    pub(crate) fn said(&self, node: &NodeName) -> Option<String> {
        match self.cib.transient(&state_attribute(&self.resource)).remove(node) {
            Some(Setting::Set(text)) if !text.is_empty() => Some(text),
            Some(Setting::Set(_) | Setting::Conditional) | None => None,
        }
    }

    /// Whether the primary says that commits wait.
    pub(crate) fn writes_wait(&self) -> bool {
        let said = self.primary().and_then(|primary| self.said(primary));
        said.is_some_and(|said| said.starts_with(WAITING))
    }

    /// Pacemaker's role of the instance on a node; none if it has none there.
    pub(crate) fn role(&self, node: &NodeName) -> Option<&Role> {
        self.status
            .instances_of(&self.resource)
            .find(|instance| instance.active && instance.nodes.contains(node))
            .map(|instance| &instance.role)
    }

    /// Whether Pacemaker would start an instance on this node.
    pub(crate) fn may_run_on(&self, node: &NodeName) -> bool {
        self.status.node_state(node) == NodeState::OnlineMember
            && self
                .status
                .node(node)
                .is_some_and(|one| !one.standby && !one.standby_onfail && !one.shutdown)
    }

    /// The members that commits wait for.
    pub(crate) fn sync_names(&self) -> Known<BTreeSet<NodeName>> {
        let text = match &self.names {
            Known::Known(text) => text,
            Known::Unknown(why) => return Known::Unknown(why.clone()),
        };
        match sync_names::parse(text) {
            SyncNames::Empty => Known::Known(BTreeSet::new()),
            SyncNames::Foreign(other) => Known::unknown(format!("it is {other:?}, not pgtwin's")),
            SyncNames::Ours(names) => {
                let is_named = |node: &NodeName| {
                    let name = self.standby_names.get(node)?;
                    Some(names.iter().any(|listed| listed.matches(name.as_str())))
                };
                let nodes: BTreeSet<NodeName> = self
                    .members
                    .iter()
                    .filter(|node| Some(*node) != self.primary())
                    .filter(|node| is_named(node) == Some(true))
                    .cloned()
                    .collect();
                if nodes.is_empty() {
                    return Known::unknown(format!("it names no member: {text}"));
                }
                Known::Known(nodes)
            }
        }
    }

    /// The done entries of the highest term in the CIB; one, unless something has gone wrong.
    pub(crate) fn binding(&self) -> Vec<&Entry> {
        let Known::Known(store) = &self.ledger else { return Vec::new() };
        let done: Vec<&Entry> = store.slots().filter_map(|(_, slot)| slot.done.as_ref()).collect();
        let high = done.iter().map(|entry| entry.term).max();
        done.into_iter().filter(|entry| Some(entry.term) == high).collect()
    }
}

/// `n2`, `n2 or n3`, `n2, n3 or n4`.
pub(crate) fn any_of(nodes: &BTreeSet<NodeName>) -> String {
    enumerate(nodes, "or")
}

/// The same with another last word.
pub(crate) fn enumerate(nodes: &BTreeSet<NodeName>, word: &str) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((one, [])) => (*one).to_owned(),
        Some((last, others)) => format!("{} {word} {last}", others.join(", ")),
    }
}

/// A number of bytes, as short as a table needs it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 100_000 {
        return format!("{count} B");
    }
    let mut size = count / 1024;
    let mut unit = 0;
    while size >= 10_000 && unit + 1 < UNITS.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS.get(unit).copied().unwrap_or("TB"))
}
