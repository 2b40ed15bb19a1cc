//! What there is: nodes with their disks, servers and cluster stacks, and what lies between them.

use std::collections::{BTreeMap, BTreeSet};

use pgtwin::cluster::ledger::{Entry, Own, Pointed};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::sync::effect::Effect;
use pgtwin::postgres::control_data::ClusterState;

use crate::mutation::Mutation;
use crate::server::Server;
use crate::wal::{Record, Wal};

/// The database system that all histories begin with.
pub const SYSTEM: u64 = 7;
/// The resource.
pub const RESOURCE: &str = "db";

/// What outlives a loss of power.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The database system.
    pub system: u64,
    /// The WAL.
    pub wal: Wal,
    /// The control file: state, and how many records lay before its checkpoint.
    pub state: ClusterState,
    /// Where recovery begins.
    pub checkpoint: usize,
    /// How far a standby had replayed when it ended.
    pub min_recovery: Option<usize>,
    /// `synchronous_standby_names` in postgresql.auto.conf.
    pub names: BTreeSet<usize>,
    /// `primary_conninfo` there.
    pub upstream: Option<usize>,
    /// `standby.signal`.
    pub signal: bool,
    /// The ledger file.
    pub ledger: Option<String>,
    /// The ledger file as it was before a write that was not synced (only a mutation leaves one).
    pub unsynced: Option<Option<String>>,
    /// A recovery of the data is half done, from a primary of this system.
    pub half_done: Option<u64>,
    /// An operator has changed the data, and it was not adopted since.
    pub changed: bool,
    /// And its adoption was begun.
    pub begun: bool,
}

/// In which role Pacemaker has an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To be probed.
    Unknown,
    /// It does not run.
    Stopped,
    /// A standby.
    Unpromoted,
    /// The primary.
    Promoted,
    /// A monitor or an action failed; whether in the role of a primary.
    Failed(bool),
    /// Its start failed, or its data cannot follow: nothing is tried again before a cleanup.
    Banned,
}

/// A node's copy of what the cluster shares. The ledger is the CIB's; the rest is transient.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// The CIB's version: the highest wins when partitions meet.
    pub version: u64,
    /// The ledger's slots, as text.
    pub ledger: BTreeMap<usize, String>,
    /// What runs where.
    pub roles: BTreeMap<usize, Role>,
    /// Promotion scores.
    pub scores: BTreeMap<usize, i32>,
    /// Published positions.
    pub position: BTreeMap<usize, String>,
    /// Acknowledgements.
    pub ack: BTreeMap<usize, String>,
    /// Ends of primaries that were shut down.
    pub shutdown: BTreeMap<usize, String>,
    /// Who says that its data is being brought back.
    pub rebuilding: BTreeSet<usize>,
    /// The operator wants nothing to run anywhere (`crm resource stop`); in the CIB.
    pub disabled: bool,
}

/// The cluster stack of a node: gone with its boot, but for the CIB.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The membership, as it believes.
    pub view: BTreeSet<usize>,
    /// Lost, and not fenced.
    pub unclean: BTreeSet<usize>,
    /// Fenced, or gone in order.
    pub down: BTreeSet<usize>,
    /// Its copy.
    pub shared: Shared,
    /// It has seen everybody since it was booted.
    pub seen_all: bool,
}

/// What the agent keeps under /run.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// What proves V to be in effect.
    pub effect: Effect,
    /// Since when a standby is missing.
    pub missing_since: BTreeMap<usize, u64>,
    /// Whom it streamed from that was to be promoted, when a monitor last saw no primary.
    pub awaited: Option<Pointed>,
    /// For which promotion this node has laid its score down.
    pub yielded: Option<String>,
    /// Since when this node has barred itself.
    pub barred: Option<u64>,
    /// Monitors in a row that saw no stream.
    pub broken: u32,
    /// What the last monitor said.
    pub reported: Option<String>,
    /// The life of the server that is a primary by the cluster's will.
    pub promoted: Option<u64>,
}

/// How quorum is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// By a majority; of two nodes each has it alone once it has seen the other since its boot (`two_node`
    /// with `wait_for_all`).
    Waits,
    /// The same without `wait_for_all`: of two nodes each has it at once.
    WaitsForNobody,
    /// By a third party without data, whose votes suffice for whoever has them (a quorum device with `lms`).
    ThirdVote,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// It has power.
    pub up: bool,
    /// Counts boots.
    pub boot: u64,
    /// Until then nothing on it moves.
    pub frozen_until: u64,
    /// Its disk.
    pub disk: Disk,
    /// Its PostgreSQL.
    pub server: Option<Server>,
    /// Its cluster stack.
    pub stack: Stack,
    /// The agent's cache.
    pub cache: Cache,
    /// The action that runs.
    pub action: Option<u64>,
    /// The operator wants nothing to run here (`crm node standby`).
    pub standby: bool,
    /// The operator wants its data rebuilt.
    pub wants_a_copy: bool,
}

/// How much happened, to see that something did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that were acknowledged.
    pub acked: u64,
    /// Promotions that ended.
    pub promotions: u64,
    /// Nodes that were fenced.
    pub fenced: u64,
    /// Losses of power, fencing not counted.
    pub cuts: u64,
    /// Servers that were killed.
    pub crashes: u64,
    /// Partitions.
    pub partitions: u64,
    /// Times that a primary went on alone.
    pub alone: u64,
    /// Times that data was replaced.
    pub rebuilt: u64,
    /// Of these, how often it could have followed: it was a beginning of the primary's, and nobody knew.
    pub needless: u64,
    /// How often one that had no right had another one's, who was about to be promoted.
    pub passed: u64,
    /// Times that an operator had data adopted.
    pub adopted: u64,
    /// Acknowledged commits that were given up by that.
    pub given_up: u64,
    /// Servers that no cluster has started.
    pub by_hand: u64,
    /// Heirs that were promoted and lost while the old primary came back.
    pub heirs_lost: u64,
    /// Of these, how often somebody else was promoted without them.
    pub without_them: u64,
    /// Times a node was promoted to a timeline that another one had begun.
    pub branches: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.acked += more.acked;
        self.promotions += more.promotions;
        self.fenced += more.fenced;
        self.cuts += more.cuts;
        self.crashes += more.crashes;
        self.partitions += more.partitions;
        self.alone += more.alone;
        self.rebuilt += more.rebuilt;
        self.needless += more.needless;
        self.passed += more.passed;
        self.adopted += more.adopted;
        self.given_up += more.given_up;
        self.by_hand += more.by_hand;
        self.heirs_lost += more.heirs_lost;
        self.without_them += more.without_them;
        self.branches += more.branches;
    }
}

/// All of it.
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Who reaches whom on the cluster's network.
    pub link: Vec<Vec<bool>>,
    /// The same for PostgreSQL's.
    pub wire: Vec<Vec<bool>>,
    /// Commits that were acknowledged, with the primary.
    pub acked: Vec<(u64, usize)>,
    /// Database systems that an operator has given up.
    pub given_up: BTreeSet<u64>,
    /// An operator has started what was not adopted: nothing that is broken from here on counts.
    pub spoiled: bool,
    /// An operator is in the middle of an adoption.
    pub adopting: bool,
    /// The highest term that has been carried out, and by whom.
    pub term: (u64, usize),
    /// Whose data was adopted, and nobody was promoted since.
    pub adopted: Option<usize>,
    /// The distribution starts PostgreSQL at boot, now and then.
    pub services: bool,
    /// Who gets no power, whatever fencing and operators do.
    pub held: BTreeSet<usize>,
    /// How quorum is had.
    pub quorum: Quorum,
    /// The partition that has the third party's vote.
    pub vote: BTreeSet<usize>,
    /// A primary whose monitor fails is demoted (`on-fail=demote`), and not stopped and started again.
    pub only_demotes: bool,
    /// Clients go on.
    pub clients: bool,
    /// What is on its way between the nodes.
    pub mail: crate::cluster::Mail,
    /// What happened, a line each.
    pub history: Vec<String>,
    /// The invariant that was broken.
    pub violation: Option<String>,
    /// What is wrong on purpose.
    pub mutation: Option<Mutation>,
    /// How much happened.
    pub counts: Counts,
}

/// A node's name.
pub fn name(node: usize) -> NodeName {
    format!("n{}", node + 1).parse().expect("a node's name")
}

/// The node of this name.
pub fn index(name: &NodeName) -> usize {
    name.as_str()[1..].parse::<usize>().expect("a number") - 1
}

/// Nodes in words.
pub fn say<'a>(nodes: impl IntoIterator<Item = &'a usize>) -> String {
    let names: Vec<String> = nodes.into_iter().map(|node| format!("n{}", node + 1)).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(",") }
}

impl World {
    /// `n` nodes that were stopped in order, all with the same data, on which nothing has run yet.
    pub fn new(n: usize, mutation: Option<Mutation>) -> Self {
        let disk = Disk {
            system: SYSTEM,
            wal: Wal::default(),
            state: ClusterState::ShutDownInRecovery,
            checkpoint: 0,
            min_recovery: None,
            names: BTreeSet::new(),
            upstream: None,
            signal: true,
            ledger: None,
            unsynced: None,
            half_done: None,
            changed: false,
            begun: false,
        };
        let node = Node {
            up: false,
            boot: 0,
            frozen_until: 0,
            disk,
            server: None,
            stack: Stack::default(),
            cache: Cache::default(),
            action: None,
            standby: false,
            wants_a_copy: false,
        };
        Self {
            nodes: vec![node; n],
            link: vec![vec![true; n]; n],
            wire: vec![vec![true; n]; n],
            acked: Vec::new(),
            given_up: BTreeSet::new(),
            spoiled: false,
            adopting: false,
            term: (0, 0),
            adopted: None,
            services: false,
            held: BTreeSet::new(),
            quorum: Quorum::Waits,
            vote: BTreeSet::new(),
            only_demotes: false,
            clients: true,
            mail: crate::cluster::Mail::default(),
            history: Vec::new(),
            violation: None,
            mutation,
            counts: Counts::default(),
        }
    }

    /// Whether this error is planted.
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// All nodes.
    pub fn all(&self) -> BTreeSet<usize> {
        (0..self.nodes.len()).collect()
    }

    /// Whether this node's partition has quorum, as it believes.
    pub fn quorate(&self, node: usize) -> bool {
        let stack = &self.nodes[node].stack;
        match (self.quorum, self.nodes.len()) {
            (Quorum::ThirdVote, n) => stack.view.len() == n || stack.view == self.vote,
            (Quorum::Waits, 2) => stack.seen_all,
            (Quorum::Waits | Quorum::WaitsForNobody, n) => n == 2 || stack.view.len() * 2 > n,
        }
    }

    /// The third party gives its votes to one partition at a time: to the one that has them for as long as
    /// that is there, else to the largest.
    pub fn vote_again(&mut self, now: u64) {
        let is_there = |view: &BTreeSet<usize>| {
            view.iter().any(|node| {
                let node = &self.nodes[*node];
                node.up && node.stack.view == *view && node.frozen_until <= now
            })
        };
        if is_there(&self.vote) {
            return;
        }
        let views = self.nodes.iter().filter(|node| node.up).map(|node| &node.stack.view);
        let largest = views.filter(|view| is_there(view)).max_by_key(|view| view.len());
        self.vote = largest.cloned().unwrap_or_default();
    }

    /// Servers that accept writes, frozen ones included; but for those that no cluster has started.
    pub fn writable(&self) -> Vec<usize> {
        let writes = |one: &Server| one.is_primary() && !one.by_hand;
        (0..self.nodes.len())
            .filter(|node| self.nodes[*node].server.as_ref().is_some_and(writes))
            .collect()
    }

    /// Another node was promoted since this one was, or its data adopted.
    pub fn is_past(&self, node: usize) -> bool {
        self.adopted.map_or(self.term.1, |by| by) != node && self.term.0 > 0
    }

    /// Notes a broken invariant; the first one counts.
    pub fn broken(&mut self, words: String) {
        if !self.spoiled {
            self.violation.get_or_insert(words);
        }
    }

    /// A server begins to accept writes: is anything missing, and is it the only one?
    pub fn check_primary(&mut self, node: usize) {
        let missing =
            self.acked.iter().find(|(commit, _)| !self.nodes[node].disk.wal.has(*commit)).copied();
        if let Some((commit, by)) = missing {
            self.broken(format!(
                "commit {commit}, which n{} acknowledged, is missing on the primary n{}",
                by + 1,
                node + 1
            ));
        }
        let writable = self.writable();
        if writable.len() > 1 {
            self.broken(format!("two primaries accept writes: {}", say(&writable)));
        }
    }

    /// The data of this node is the truth now: what is not in it was given up on purpose, and nothing of what
    /// is in it, or comes after it.
    pub fn adopt(&mut self, node: usize) {
        self.spoiled = false;
        let (lost, kept): (Vec<_>, Vec<_>) =
            self.acked.iter().partition(|(commit, _)| !self.nodes[node].disk.wal.has(*commit));
        self.counts.given_up += lost.len() as u64;
        self.acked = kept;
        self.counts.adopted += 1;
        self.adopted = Some(node);
        self.nodes[node].disk.changed = false;
        let system = self.nodes[node].disk.system;
        self.given_up.extend(self.nodes.iter().map(|one| one.disk.system));
        self.given_up.remove(&system);
        let writable = self.writable();
        if !writable.is_empty() {
            self.broken(format!("{} accepts writes while data is adopted", say(&writable)));
        }
    }

    /// A server is about to start. On data that an operator has put there, and has not begun to adopt, it is
    /// the operator who loses what was acknowledged: the rest of this history shows nothing.
    pub fn check_start(&mut self, node: usize) {
        let disk = &self.nodes[node].disk;
        self.spoiled |= disk.changed && !disk.begun;
    }

    /// Data is about to be replaced by a copy of that of `from`, which has all that was acknowledged.
    pub fn check_copy(&mut self, node: usize, from: usize) {
        let has = |at: usize, commit| self.nodes[at].disk.wal.has(commit);
        let lost = self.acked.iter().find(|(one, _)| has(node, *one) && !has(from, *one)).copied();
        if let Some((commit, by)) = lost {
            self.broken(format!(
                "commit {commit}, which n{} acknowledged, is overwritten on n{} by a copy of n{}",
                by + 1,
                node + 1,
                from + 1
            ));
        }
        let (old, new) = (self.nodes[node].disk.system, self.nodes[from].disk.system);
        if old != new && !self.given_up.contains(&old) {
            self.broken(format!(
                "n{}'s data of system {old}, which nobody gave up, is overwritten by system {new}",
                node + 1
            ));
        }
    }

    /// How many timelines a node's data has begun.
    pub fn begun(&self, node: usize) -> usize {
        let begins = |record: &&Record| matches!(record, Record::Begin(..));
        self.nodes[node].disk.wal.records.iter().filter(begins).count()
    }

    /// Whether a node's data is not a beginning of that one's, and its ledger file does not know it. One that knows it
    /// is going to be brought back.
    pub fn is_apart(&self, node: usize, from: usize) -> bool {
        let (here, there) = (&self.nodes[node].disk.wal, self.nodes[from].disk.wal.durable());
        let last = here.records.len().checked_sub(1);
        let apart = last.is_some_and(|at| there.get(at) != here.records.get(at));
        apart && !self.knows_that_it_parted(node, from)
    }

    fn knows_that_it_parted(&self, node: usize, from: usize) -> bool {
        let file = |node: usize| {
            let text = self.nodes[node].disk.ledger.as_ref()?;
            Own::parse(text, RESOURCE, &name(node)).ok()
        };
        let (Some(mine), Some(theirs)) = (file(node), file(from)) else { return false };
        let Some(followed) = mine.followed else { return false };
        let its = |entry: &&Entry| Some(entry.id) == theirs.followed;
        let its = theirs.store.entries().chain(mine.store.entries()).find(its);
        its.is_some_and(|entry| !entry.descends_from(followed))
    }

    /// Whether this node's data is a beginning of what that one has.
    pub fn is_a_beginning(&self, node: usize, from: usize) -> bool {
        let there = self.nodes[from].disk.wal.durable();
        there.starts_with(&self.nodes[node].disk.wal.records)
    }

    /// Standbys whose data is not a beginning of this primary's. PostgreSQL may not see that.
    pub fn elsewhere_than(&self, primary: usize) -> Vec<usize> {
        let there = self.nodes[primary].disk.wal.durable();
        let follows = |node: &usize| {
            let disk = &self.nodes[*node].disk;
            let last = disk.wal.durable().len().checked_sub(1);
            // No act writes twice: who has the same last record has all before it.
            disk.system == self.nodes[primary].disk.system
                && last.is_none_or(|at| there.get(at) == disk.wal.durable().get(at))
        };
        self.all().into_iter().filter(|node| *node != primary && !follows(node)).collect()
    }

    /// A commit is acknowledged. It is on the primary's disk, and on that of one of those who may replace
    /// it, or nobody may.
    pub fn acknowledge(&mut self, commit: u64, by: usize) {
        self.counts.acked += 1;
        self.acked.push((commit, by));
        if !self.nodes[by].disk.wal.has(commit) {
            self.broken(format!("commit {commit} is acknowledged and not on n{}'s disk", by + 1));
        }
        let heirs = crate::agent::heirs_on_disk(self, by);
        if let Some(heirs) = heirs
            && !heirs.is_empty()
            && !heirs.iter().any(|heir| self.nodes[*heir].disk.wal.has(commit))
        {
            self.broken(format!(
                "commit {commit} is acknowledged by n{}, and none of {}, who may replace it, has it",
                by + 1,
                say(&heirs)
            ));
        }
    }
}
