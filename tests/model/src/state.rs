//! What the world is in one moment: small values, compared and hashed as a whole.

use std::fmt;

pub use crate::set::Set;
pub use crate::wal::{RECORDS, Record, Wal};

/// Places for nodes; a model of two leaves the last one empty.
pub const NODES: usize = 3;
/// What stands for no node.
pub const NOBODY: u8 = 3;
/// Promotions that one history can have; 0 is none.
pub const PROMOTIONS: usize = 16;

/// An entry of the ledger; term 0 is none. Its place in a [`Store`] names the primary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Entry {
    /// The term.
    pub term: u8,
    /// The sequence number.
    pub seq: u8,
    /// The promotion, in the order in which they were drawn.
    pub id: u8,
    /// E.
    pub heirs: Set,
    /// The promotions that led to it, as bits.
    pub past: u16,
}

impl Entry {
    /// Whether there is one.
    pub const fn exists(&self) -> bool {
        self.term > 0
    }

    /// What orders entries of one primary.
    pub const fn key(&self) -> (u8, u8) {
        (self.term, self.seq)
    }

    /// Whether the promotion `id` is this one or one that led to it.
    pub const fn descends_from(&self, id: u8) -> bool {
        self.id == id || self.past >> id & 1 == 1
    }
}

/// What a ledger file or a CIB holds: of each primary its last done entry and a later intent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Store {
    /// The done entries.
    pub done: [Entry; NODES],
    /// The intents.
    pub intent: [Entry; NODES],
}

impl Store {
    /// Without what is void: entries below the highest done term, intents that were overtaken.
    #[must_use]
    pub fn normal(mut self) -> Self {
        let high = self.done.iter().map(|entry| entry.term).max().unwrap_or(0);
        for p in 0..NODES {
            if self.done[p].term < high {
                self.done[p] = Entry::default();
            }
            if self.intent[p].term < high || self.intent[p].key() <= self.done[p].key() {
                self.intent[p] = Entry::default();
            }
        }
        self
    }

    /// Whether node `p`, whose own file this is, has given up this intent of its.
    pub fn gave_up(&self, p: usize, intent: Entry) -> bool {
        intent.exists() && ![self.intent[p].id, self.done[p].id].contains(&intent.id)
    }

    /// With the newer entries of another one. The slot of `owner`, whose file this is, is never taken
    /// from elsewhere.
    #[must_use]
    pub fn merged(mut self, other: &Self, owner: Option<usize>) -> Self {
        for p in (0..NODES).filter(|p| Some(*p) != owner) {
            if other.done[p].key() > self.done[p].key() {
                self.done[p] = other.done[p];
            }
            if other.intent[p].key() > self.intent[p].key() {
                self.intent[p] = other.intent[p];
            }
        }
        self.normal()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.done.iter().chain(&self.intent).filter(|entry| entry.exists())
    }

    /// The highest term.
    pub fn max_term(&self) -> u8 {
        self.entries().map(|entry| entry.term).max().unwrap_or(0)
    }

    /// The done entry with the highest (term, seq), and its primary.
    pub fn newest_done(&self) -> Option<(usize, Entry)> {
        (0..NODES)
            .map(|p| (p, self.done[p]))
            .filter(|(_, entry)| entry.exists())
            .max_by_key(|(_, entry)| entry.key())
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in 0..NODES {
            for (entry, mark) in [(self.done[p], ""), (self.intent[p], "?")] {
                if entry.exists() {
                    let Entry { term, seq, id, heirs, .. } = entry;
                    write!(f, "(t{term} s{seq} p{p} E{heirs} u{id}){mark}")?;
                }
            }
        }
        Ok(())
    }
}

/// What PostgreSQL is on a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Server {
    /// It does not run.
    #[default]
    Stopped,
    /// It runs and replays.
    Standby,
    /// It accepts writes.
    Primary,
}

/// How far a promotion on a node has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Promotion {
    /// There is none.
    #[default]
    None,
    /// The intent is in the own file.
    Written,
    /// The intent is in the CIB.
    Announced,
}

/// One node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// The node is on.
    pub up: bool,
    /// Its PostgreSQL.
    pub server: Server,
    /// Its WAL, all of it on disk.
    pub wal: Wal,
    /// Its ledger file.
    pub file: Store,
    /// In the ledger file: the last promotion that its data is known to be of; 0 is none.
    pub followed: u8,
    /// In the ledger file: the node that it was pointed at and whose promotion it has not
    /// noted.
    pub pointed: u8,
    /// Its copy of the CIB.
    pub cib: Store,
    /// That copy's version.
    pub version: u8,
    /// The membership that it believes in.
    pub view: Set,
    /// Who is lost and not fenced, as it believes.
    pub unclean: Set,
    /// Who has a score, as it believes.
    pub scores: Set,
    /// It has booted and has not been part of a membership since.
    pub fresh: bool,
    /// wait_for_all has been met since it booted.
    pub met_all: bool,
    /// V.
    pub names: Set,
    /// Backends wait.
    pub waits: bool,
    /// V as walsenders still have it.
    pub old_names: Set,
    /// Walsenders still have the old V.
    pub old_senders: bool,
    /// 0: V is not in effect; else one more than the position taken since it is.
    pub barrier: u8,
    /// From whom it streams.
    pub upstream: u8,
    /// A promotion under way.
    pub promotion: Promotion,
    /// V for that promotion.
    pub planned_names: Set,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            up: false,
            server: Server::Stopped,
            wal: Wal::default(),
            file: Store::default(),
            followed: 0,
            pointed: NOBODY,
            cib: Store::default(),
            version: 0,
            view: Set::NONE,
            unclean: Set::NONE,
            scores: Set::NONE,
            fresh: false,
            met_all: false,
            names: Set::NONE,
            waits: false,
            old_names: Set::NONE,
            old_senders: false,
            barrier: 0,
            upstream: NOBODY,
            promotion: Promotion::None,
            planned_names: Set::NONE,
        }
    }
}

impl Node {
    /// PostgreSQL ends.
    pub fn stop_server(&mut self) {
        self.server = Server::Stopped;
        self.names = Set::NONE;
        self.waits = false;
        self.old_names = Set::NONE;
        self.old_senders = false;
        self.barrier = 0;
        self.upstream = NOBODY;
        self.promotion = Promotion::None;
        self.planned_names = Set::NONE;
    }

    /// The node loses power: what is on disk stays.
    pub fn power_off(&mut self, keep_scores: bool) {
        *self = Self {
            wal: self.wal,
            file: self.file,
            followed: self.followed,
            pointed: self.pointed,
            cib: self.cib,
            version: self.version,
            scores: if keep_scores { self.scores } else { Set::NONE },
            ..Self::default()
        };
    }
}

/// The world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The nodes.
    pub nodes: [Node; NODES],
    /// In which part of the network each node is, and the third vote.
    pub part: [u8; NODES + 1],
    /// Nodes that never come back.
    pub gone: Set,
    /// Commits that were acknowledged, as bits.
    pub acked: u8,
    /// The number of the next commit.
    pub next_commit: u8,
    /// The number of the next promotion.
    pub next_promotion: u8,
    /// The timeline that each promotion began.
    pub lines: [u8; PROMOTIONS],
    /// How much of each bound is used.
    pub used: Used,
    /// The highest term that a promotion may take.
    pub max_term: u8,
}

/// How often what happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Used {
    /// Power losses and crashes of PostgreSQL.
    pub crashes: u8,
    /// Cuts of the network.
    pub cuts: u8,
    /// Edits of a CIB by hand.
    pub edits: u8,
    /// Planned moves.
    pub moves: u8,
    /// Promotions in place.
    pub in_place: u8,
    /// Promotions by an operator's word.
    pub forced: u8,
}
