//! The primary's care for E, V and the scores: grow, shrink, relax. Floor 1.
//!
//! The invariant (design 4.2): every acknowledged commit is flushed on the primary and on some
//! member of E, or E = {} is durable with the primary. Each step here keeps it, also when the process
//! dies right after it. The rows are those of the model checker (`tests/model`), with its guards; the
//! names of its rules are those of docs/safety.md.

mod alone;
mod asynchronous;
mod change;
pub mod effect;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Entry, Mode};
use crate::cluster::node::NodeName;
use crate::postgres::lsn::Lsn;

pub use change::change;

/// The score that the primary holds itself.
pub const PRIMARY_SCORE: i32 = 20_000;
/// The score of a standby that may take over; gaps are wide so that location rules can rank.
pub const HEIR_SCORE: i32 = 10_000;

/// Whether fencing lets an offline node prove anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// It is enabled and has a device.
    Works,
    /// It is off, or cannot work; the reason. The owner has accepted that (`fencing=advised`).
    OffAccepted(String),
    /// It is off, or cannot work; the reason.
    Off(String),
    /// It could not be found out.
    Unknown(String),
}

/// What Pacemaker knows about a member's node and instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// In the membership.
    Online,
    /// Not in the membership, and not unclean.
    OfflineClean,
    /// Lost, and not yet fenced.
    Unclean,
    /// Not known.
    Unknown,
}

impl NodeState {
    /// Why a member in this state has said nothing of itself.
    pub fn silence(self) -> &'static str {
        match self {
            Self::Online => "it is online and has not said yet",
            Self::OfflineClean => "it is offline",
            Self::Unclean => "it is lost, not fenced",
            Self::Unknown => "its state is unknown",
        }
    }
}

/// A standby as the primary sees it.
#[derive(Clone, Debug)]
pub struct Standby {
    /// What it has flushed, when it streams now; none when it does not stream.
    pub streaming: Option<Lsn>,
    /// It has been missing for longer than a reconnect takes.
    pub gone_for_long: bool,
    /// It may be an heir (no delayed replay).
    pub eligible: bool,
}

/// What only Pacemaker can tell; asked for when something has to change.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// My slot of the ledger's copy in the CIB: its done entry.
    pub cib: Option<Entry>,
    /// The highest entry of another primary that is newer than mine.
    pub superseded: Option<Entry>,
    /// State of each member's node.
    pub nodes: BTreeMap<NodeName, NodeState>,
    /// Members whose instance Pacemaker has stopped, or is about to stop.
    pub stopped: BTreeSet<NodeName>,
    /// Promotion scores.
    pub scores: BTreeMap<NodeName, i32>,
    /// What members have on disk.
    pub acks: BTreeMap<NodeName, Ack>,
    /// This partition has quorum.
    pub quorum: Known<bool>,
    /// `no-quorum-policy=ignore` in a cluster of exactly two.
    pub two_and_ignore: bool,
    /// Whether an offline node proves anything.
    pub fencing: Fencing,
}

/// All that the next step depends on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The primary: this node.
    pub me: NodeName,
    /// The mode that the owner wants.
    pub mode: Mode,
    /// `sync_strict`.
    pub strict: bool,
    /// My done entry, as my file has it; as the CIB has it if the file was lost.
    pub own: Entry,
    /// This running primary's file was lost or damaged: what its E was is not known.
    pub lost: bool,
    /// V: the names that a fresh session sees; none when they are not ours.
    pub names: Option<BTreeSet<NodeName>>,
    /// Whether V is in effect: backends wait, and no walsender has other names.
    pub effective: bool,
    /// An insert position taken while V, as it is now, was in effect.
    pub barrier: Option<Lsn>,
    /// All other members.
    pub standbys: BTreeMap<NodeName, Standby>,
    /// Pacemaker's part: not asked yet, unknown, or known.
    pub cluster: Option<Known<Cluster>>,
}

/// One atomic act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask Pacemaker.
    AskCluster,
    /// Set synchronous_standby_names, reload, and see it on a fresh session.
    SetNames(BTreeSet<NodeName>),
    /// Wait until V is in effect; asks for one checkpoint if the wait flag has to be raised.
    AwaitEffective,
    /// Take the insert position.
    TakeBarrier,
    /// Wait until one of these standbys has flushed the barrier.
    AwaitFlush(BTreeSet<NodeName>),
    /// Write this entry to my own file, fsynced.
    WriteFile(Entry),
    /// Write this entry to the CIB.
    WriteCib(Entry),
    /// Give a standby its score.
    Grant(NodeName),
    /// Take a standby's score away.
    Revoke(NodeName),
}

/// Why there is nothing more to do now, although all is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Pacemaker could not be asked.
    ClusterUnknown(String),
    /// Commits wait for a standby that runs and does not stream.
    ForStandby(BTreeSet<NodeName>),
    /// Commits wait until these are fenced, or have confirmed that they are out.
    ForProof(BTreeSet<NodeName>),
    /// Commits wait because the owner wants two copies always.
    Strict,
    /// Commits wait, and fencing cannot prove anything.
    NoFencing(String),
    /// Commits wait for quorum.
    NoQuorum,
    /// The own file was lost, and is made anew when these have acknowledged that nobody may take over,
    /// and with quorum. Commits go on as V has it.
    FileLost(BTreeSet<NodeName>),
    /// A larger E, or a score, waits for the acknowledgement of these.
    ForAcks(BTreeSet<NodeName>),
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this and look again.
    Do(Step),
    /// Nothing now; the next monitor looks again.
    Wait(Waiting),
    /// All is as it should be with these heirs.
    Settled,
    /// Another node has been promoted since: this one must change nothing.
    Superseded(Box<Entry>),
}

/// The next step of the primary.
#[must_use]
pub fn next(facts: &Facts) -> Next {
    match facts.mode {
        Mode::Sync => next_sync(facts),
        Mode::Async => asynchronous::next_async(facts),
    }
}

impl Facts {
    fn streaming(&self) -> BTreeSet<NodeName> {
        self.standbys
            .iter()
            .filter(|(_, standby)| standby.eligible && standby.streaming.is_some())
            .map(|(node, _)| node.clone())
            .collect()
    }

    fn flushed(&self, node: &NodeName, barrier: Lsn) -> bool {
        self.standbys
            .get(node)
            .and_then(|standby| standby.streaming)
            .is_some_and(|flush| flush >= barrier)
    }

    fn gone_for_long(&self, node: &NodeName) -> bool {
        self.standbys.get(node).is_none_or(|standby| standby.gone_for_long || !standby.eligible)
    }

    /// Those of `nodes` that may stream again in the next seconds.
    fn expected(&self, nodes: &BTreeSet<NodeName>, cluster: &Cluster) -> BTreeSet<NodeName> {
        nodes
            .iter()
            .filter(|node| !cluster.away(node) && !self.gone_for_long(node))
            .cloned()
            .collect()
    }

    /// The steps that bring V into effect (`in-effect`) and one of `who` up to date with it.
    fn confirmed_by(&self, who: &BTreeSet<NodeName>) -> Option<Step> {
        if !self.effective {
            return Some(Step::AwaitEffective);
        }
        let Some(barrier) = self.barrier else {
            return Some(Step::TakeBarrier);
        };
        if who.iter().any(|node| self.flushed(node, barrier)) {
            return None;
        }
        Some(Step::AwaitFlush(who.clone()))
    }
}

impl Cluster {
    fn has_score(&self, node: &NodeName) -> bool {
        self.scores.contains_key(node)
    }

    fn node(&self, node: &NodeName) -> NodeState {
        self.nodes.get(node).copied().unwrap_or(NodeState::Unknown)
    }

    fn acked(&self, node: &NodeName, entry: &Entry) -> bool {
        self.acks
            .get(node)
            .is_some_and(|ack| ack.id == entry.id && ack.term == entry.term && ack.seq == entry.seq)
    }

    /// Its file holds an entry of this promotion.
    fn knows(&self, node: &NodeName, entry: &Entry) -> bool {
        self.acks.get(node).is_some_and(|ack| ack.id == entry.id)
    }

    /// Offline and not unclean, with fencing that proves it (or an owner who accepts that it does not).
    fn out(&self, node: &NodeName) -> bool {
        let proves = match self.fencing {
            Fencing::Works | Fencing::OffAccepted(_) => true,
            Fencing::Off(_) | Fencing::Unknown(_) => false,
        };
        proves && self.node(node) == NodeState::OfflineClean
    }

    /// It will not stream in the next seconds: its node is away, or its instance is stopped.
    fn away(&self, node: &NodeName) -> bool {
        self.node(node) != NodeState::Online || self.stopped.contains(node)
    }

    fn may_relax(&self) -> bool {
        self.quorum == Known::Known(true) || self.two_and_ignore
    }

    fn foreign_scores<'a>(
        &'a self,
        me: &'a NodeName,
        heirs: &'a BTreeSet<NodeName>,
    ) -> impl Iterator<Item = &'a NodeName> {
        self.scores.keys().filter(move |node| *node != me && !heirs.contains(*node))
    }
}

fn set(node: &NodeName) -> BTreeSet<NodeName> {
    BTreeSet::from([node.clone()])
}

/// Whether a quiet monitor may stop here without asking Pacemaker.
#[must_use]
pub fn quiet(facts: &Facts) -> bool {
    let streaming = facts.streaming();
    match facts.mode {
        Mode::Sync => {
            !facts.lost
                && facts.own.mode == Mode::Sync
                && facts.own.heirs == streaming
                && facts.names.as_ref() == Some(&streaming)
                && (facts.effective || streaming.is_empty())
                && !(facts.strict && streaming.is_empty())
        }
        Mode::Async => {
            facts.own.mode == Mode::Async
                && facts.own.heirs == streaming
                && facts.names.as_ref().is_some_and(BTreeSet::is_empty)
        }
    }
}

/// What both modes do first: ask, stand back, bring file and CIB together.
fn common(facts: &Facts) -> Result<&Cluster, Box<Next>> {
    let cluster = match &facts.cluster {
        None => return Err(Box::new(Next::Do(Step::AskCluster))),
        Some(Known::Unknown(why)) => {
            return Err(Box::new(Next::Wait(Waiting::ClusterUnknown(why.clone()))));
        }
        Some(Known::Known(cluster)) => cluster,
    };
    if let Some(entry) = &cluster.superseded {
        return Err(Box::new(Next::Superseded(Box::new(entry.clone()))));
    }
    Ok(cluster)
}

fn next_sync(facts: &Facts) -> Next {
    let own = &facts.own;
    let cluster = match common(facts) {
        Ok(cluster) => cluster,
        Err(next) => return *next,
    };
    if own.mode == Mode::Async {
        return alone::to_sync(facts, cluster);
    }
    if facts.lost {
        return alone::remade(facts, cluster);
    }
    let Some(names) = &facts.names else {
        // Names of somebody else: ours instead. An empty V is safe only with E = {}.
        return Next::Do(Step::SetNames(own.heirs.clone()));
    };
    match &cluster.cib {
        Some(cib) if cib == own => {}
        // My own slot is ahead of my file with another promotion: the file is not the newest truth.
        Some(cib) if cib.id != own.id && cib.key() > own.key() => {
            return Next::Superseded(Box::new(cib.clone()));
        }
        Some(cib) if cib.id == own.id && cib.seq > own.seq => {
            return alone::relaxing(facts, cluster, cib);
        }
        // `file-first`: the CIB follows.
        Some(_) | None => return Next::Do(Step::WriteCib(own.clone())),
    }
    if let Some(node) = cluster.foreign_scores(&facts.me, &own.heirs).next() {
        return Next::Do(Step::Revoke(node.clone()));
    }
    if own.heirs.is_empty() {
        return alone::alone(facts, cluster, names);
    }
    if !names.is_subset(&own.heirs) || names.is_empty() {
        return Next::Do(Step::SetNames(own.heirs.clone()));
    }
    let streaming = facts.streaming();
    let stay: BTreeSet<NodeName> = own.heirs.intersection(&streaming).cloned().collect();
    if stay.is_empty() {
        return alone::all_lost(facts, cluster);
    }
    let drop: BTreeSet<NodeName> = own
        .heirs
        .difference(&streaming)
        .filter(|node| cluster.away(node) || facts.gone_for_long(node))
        .cloned()
        .chain(stay.iter().filter(|node| cluster.stopped.contains(*node)).cloned())
        .collect();
    let keep: BTreeSet<NodeName> = own.heirs.difference(&drop).cloned().collect();
    if !drop.is_empty() && keep.iter().any(|node| streaming.contains(node)) {
        return shrink(facts, cluster, names, &drop, &keep);
    }
    if !drop.is_empty() && stay.iter().all(|node| cluster.stopped.contains(node)) {
        // The last one that streams is about to be stopped in an orderly way.
        return alone::all_lost(facts, cluster);
    }
    grow(facts, cluster, names, &streaming)
}

/// Some of E are lost and others stay (`rest-has-all`).
fn shrink(
    facts: &Facts,
    cluster: &Cluster,
    names: &BTreeSet<NodeName>,
    drop: &BTreeSet<NodeName>,
    keep: &BTreeSet<NodeName>,
) -> Next {
    if let Some(node) = drop.iter().find(|node| cluster.has_score(node)) {
        return Next::Do(Step::Revoke(node.clone()));
    }
    if names != keep {
        // A grow that was begun: whoever confirms commits now may still act on the smaller E.
        let silent: BTreeSet<NodeName> = names
            .iter()
            .filter(|node| !cluster.acked(node, &facts.own) && !cluster.out(node))
            .cloned()
            .collect();
        if !keep.is_subset(names) && !silent.is_empty() {
            return Next::Wait(Waiting::ForAcks(silent));
        }
        return Next::Do(Step::SetNames(keep.clone()));
    }
    if let Some(step) = facts.confirmed_by(keep) {
        return Next::Do(step);
    }
    Next::Do(Step::WriteFile(facts.own.with_heirs(keep.clone(), facts.own.seq)))
}

/// Take in more standbys, then let V follow, then give scores.
fn grow(
    facts: &Facts,
    cluster: &Cluster,
    names: &BTreeSet<NodeName>,
    streaming: &BTreeSet<NodeName>,
) -> Next {
    let own = &facts.own;
    if *names != own.heirs {
        // `heirs-agree`: whoever could act on an older entry has to have this one on disk.
        let silent: BTreeSet<NodeName> =
            names.iter().filter(|node| !cluster.acked(node, own)).cloned().collect();
        if silent.is_empty() {
            return Next::Do(Step::SetNames(own.heirs.clone()));
        }
        if facts.effective
            && let Some(node) = ungranted(facts, cluster, names)
        {
            return Next::Do(Step::Grant(node));
        }
        return Next::Wait(Waiting::ForAcks(silent));
    }
    if !facts.effective {
        return Next::Do(Step::AwaitEffective);
    }
    if let Some(node) = ungranted(facts, cluster, names) {
        return Next::Do(Step::Grant(node));
    }
    // Only those whose file holds this promotion: all of E has to be seen in an election, and one that
    // knows nothing of it says nothing.
    let (new, ignorant): (BTreeSet<NodeName>, BTreeSet<NodeName>) = streaming
        .difference(&own.heirs)
        .filter(|node| !cluster.away(node))
        .cloned()
        .partition(|node| cluster.knows(node, own));
    if !new.is_empty() {
        // `heir-has-all`. Not one that only seems to stream: it has to confirm what it is sent now. One
        // that does not is no reason for the others to wait.
        if let Some(step) = facts.confirmed_by(&new) {
            return Next::Do(step);
        }
        let barrier = facts.barrier.unwrap_or(Lsn::MAX);
        let confirmed = new.into_iter().filter(|node| facts.flushed(node, barrier)).take(1);
        let heirs = own.heirs.iter().cloned().chain(confirmed).collect();
        return Next::Do(Step::WriteFile(own.with_heirs(heirs, own.seq)));
    }
    let silent = &unready(facts, cluster, names) | &ignorant;
    if silent.is_empty() { Next::Settled } else { Next::Wait(Waiting::ForAcks(silent)) }
}

/// Heirs in V that stream and have no score, for they have not said yet that they know the promotion.
fn unready(facts: &Facts, cluster: &Cluster, names: &BTreeSet<NodeName>) -> BTreeSet<NodeName> {
    let streaming = facts.streaming();
    names
        .iter()
        .filter(|node| {
            facts.own.heirs.contains(*node)
                && streaming.contains(*node)
                && !cluster.has_score(node)
                && !cluster.away(node)
        })
        .cloned()
        .collect()
}

/// An heir in V that streams, has no score yet, and has this promotion in its own ledger file: a
/// member whose file knows nothing of it could not be promoted.
fn ungranted(facts: &Facts, cluster: &Cluster, names: &BTreeSet<NodeName>) -> Option<NodeName> {
    unready(facts, cluster, names).into_iter().find(|node| cluster.knows(node, &facts.own))
}

impl Waiting {
    /// Whether commits wait as long as this lasts.
    pub fn stops_writes(&self) -> bool {
        match self {
            Self::ForStandby(_)
            | Self::ForProof(_)
            | Self::Strict
            | Self::NoFencing(_)
            | Self::NoQuorum => true,
            Self::ClusterUnknown(_) | Self::FileLost(_) | Self::ForAcks(_) => false,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &BTreeSet<NodeName>| {
            nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::ClusterUnknown(why) => write!(f, "Pacemaker could not be asked: {why}"),
            Self::ForStandby(nodes) => {
                write!(f, "writes wait for {}, which runs and does not stream", list(nodes))
            }
            Self::ForProof(nodes) => write!(
                f,
                "writes wait until {} is fenced or has confirmed that it left",
                list(nodes)
            ),
            Self::Strict => f.write_str("writes wait for a standby (sync_strict=true)"),
            Self::NoFencing(why) => write!(
                f,
                "writes wait: a lost standby cannot be proven dead without fencing ({why})"
            ),
            Self::NoQuorum => f.write_str("writes wait: this partition has no quorum"),
            Self::FileLost(nodes) if nodes.is_empty() => {
                f.write_str("this node's ledger file was lost; to make it anew takes quorum")
            }
            Self::FileLost(nodes) => write!(
                f,
                "this node's ledger file was lost; nobody can be promoted until {} has confirmed \
                 that, or is fenced",
                list(nodes)
            ),
            Self::ForAcks(nodes) => {
                write!(f, "{} has yet to confirm what the ledger says", list(nodes))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
