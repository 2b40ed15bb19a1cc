//! The election: may this node be promoted, with which synchronous names, and if not, why. Floor 1.
//!
//! Its rules have the names that docs/safety.md and the model checker (`tests/model`) have for them. It
//! is used three times: before a promotion, for the score of a cold start, and for telling people who
//! would take over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, PromotionId, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Member, Position, Publication};
use crate::postgres::history::Relation;
use crate::postgres::lsn::{Lsn, Timeline};

/// Which election it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The action promote, or what leads to it.
    Promotion,
    /// No primary anywhere: may this node have a score?
    ColdStart,
}

/// What is known when one asks.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The candidate.
    pub me: NodeName,
    /// Its own position, measured now.
    pub position: Known<Position>,
    /// Its own ledger file, with its own intent resolved.
    pub own: Store,
    /// The last promotion that its data is known to contain.
    pub followed: Option<PromotionId>,
    /// The copy of the ledger in the CIB.
    pub cib: Known<Store>,
    /// All other members; unknown means *not seen*.
    pub peers: BTreeMap<NodeName, Known<Publication>>,
    /// Async: how far this node last knew the primary to be; none: it never heard.
    pub reached: Option<Lsn>,
    /// Members that are offline and not unclean, with fencing that works.
    pub out: BTreeSet<NodeName>,
    /// Sync or async.
    pub mode: Mode,
    /// Never acknowledge a commit that is on one node only.
    pub strict: bool,
    /// Async: how far behind the last known primary a candidate may be, in bytes.
    pub max_lag: u64,
    /// Async: the operator accepts what is lost beyond that.
    pub force: bool,
    /// Which election it is.
    pub purpose: Purpose,
}

/// Why a node may not be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its position could not be measured.
    OwnPositionUnknown(String),
    /// It still replays WAL that it has.
    StillReplaying,
    /// Its own ledger file is missing or damaged, and there is a ledger elsewhere.
    OwnLedgerUnknown(String),
    /// The ledger's copy in the CIB could not be read.
    CibUnknown(String),
    /// An entry is about another database system.
    ForeignSystem {
        /// The system of the entry or the member.
        theirs: u64,
        /// This node's.
        ours: u64,
        /// Who says so.
        source: String,
    },
    /// An entry neither names it as primary nor lets it replace the primary.
    NotAnHeir(Box<Entry>),
    /// A member that counts has not said how far its data goes.
    NotSeen(NodeName, String),
    /// A member that counts still replays what it has.
    NotExact(NodeName),
    /// A member that counts has more.
    Behind {
        /// Who.
        better: NodeName,
        /// How far that member is, as (timeline, position).
        at: (Timeline, Lsn),
        /// How far this node is.
        mine: (Timeline, Lsn),
    },
    /// A member that counts is on another line of history.
    Diverged {
        /// Who.
        from: NodeName,
        /// Where the lines part, as (timeline, position).
        fork: (Timeline, Lsn),
    },
    /// Its data lacks a promotion of the ledger (two promotions on one timeline number).
    OtherBranch {
        /// The promotion that its data contains.
        mine: PromotionId,
        /// Whose entry does not know that promotion.
        primary: NodeName,
    },
    /// Nobody would be left to confirm commits, and that was forbidden or is not proven.
    NobodyToConfirm(BTreeSet<NodeName>),
    /// The old primary was shut down in order, and this node lacks WAL from before its end.
    LacksTheEnd(String),
    /// Async: the old primary is there and does not run, and where it ended is not known.
    EndUnknown(String),
    /// Async: too much would be lost.
    TooFarBehind {
        /// How many bytes are missing from what the primary was known to have.
        bytes: u64,
        /// How many are allowed.
        allowed: u64,
    },
    /// Async: nobody knows how far this primary was.
    LagUnknown(NodeName),
}

impl Obstacle {
    /// Whether time alone may remove it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::OwnPositionUnknown(_)
            | Self::StillReplaying
            | Self::CibUnknown(_)
            | Self::EndUnknown(_)
            | Self::NotSeen(..)
            | Self::LagUnknown(_)
            | Self::NotExact(_) => true,
            Self::ForeignSystem { .. }
            | Self::OwnLedgerUnknown(_)
            | Self::NotAnHeir(_)
            | Self::Behind { .. }
            | Self::Diverged { .. }
            | Self::OtherBranch { .. }
            | Self::LacksTheEnd(_)
            | Self::NobodyToConfirm(_)
            | Self::TooFarBehind { .. } => false,
        }
    }
}

/// How a node would be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The term of the new entry.
    pub term: u64,
    /// Its sequence number.
    pub seq: u64,
    /// Whether the primary of the ledger restarts in place.
    pub in_place: bool,
    /// The standbys that have to confirm commits (V).
    pub names: BTreeSet<NodeName>,
    /// The standbys that may replace it from the first moment (E).
    pub heirs: BTreeSet<NodeName>,
    /// The entry that this promotion follows.
    pub after: Option<Entry>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Permitted.
    Permitted(Plan),
    /// Refused; never empty.
    Refused(Vec<Obstacle>),
}

impl Ruling {
    /// The member that should be promoted instead, if one is known to have more.
    pub fn better(&self) -> Option<&NodeName> {
        let Self::Refused(obstacles) = self else { return None };
        obstacles.iter().find_map(|obstacle| match obstacle {
            Obstacle::Behind { better, .. } => Some(better),
            _ => None,
        })
    }

    /// Whether waiting may change it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Permitted(_) => false,
            Self::Refused(obstacles) => obstacles.iter().all(Obstacle::may_pass),
        }
    }
}

/// An entry that has a say.
#[derive(Clone, Debug)]
struct Vote {
    entry: Entry,
}

impl Facts {
    fn seen(&self, node: &NodeName) -> Option<&Member> {
        match self.peers.get(node) {
            Some(Known::Known(Publication::Data(member))) => Some(member),
            _ => None,
        }
    }

    fn why_not_seen(&self, node: &NodeName) -> String {
        match self.peers.get(node) {
            None => "it is not a member".into(),
            Some(Known::Unknown(why)) => why.clone(),
            Some(Known::Known(Publication::NoData)) => "it has no database".into(),
            Some(Known::Known(Publication::Data(_))) => "it was seen".into(),
        }
    }

    /// All entries that anybody seen holds, and the CIB.
    fn everything(&self, cib: &Store) -> Store {
        let mut all = cib.merged(&self.own, None);
        for node in self.peers.keys() {
            if let Some(member) = self.seen(node) {
                all = all.merged(&member.store, None);
            }
        }
        all
    }

    /// The entries of the highest term that are not void, one a primary. An entry of a member that
    /// is seen counts as that member's own file has it; its intent, which it has resolved before it
    /// spoke, no longer counts (`newest`). An intent of a member that is not seen binds (`intent-binds`).
    fn votes(&self, cib: &Store) -> Vec<Vote> {
        let all = self.everything(cib);
        // Not only those with a slot in `all`: an entry that somebody else holds of a primary may
        // void there what the files of those who are seen still say.
        let primaries: BTreeSet<&NodeName> = all
            .slots()
            .map(|(primary, _)| primary)
            .chain(self.peers.keys())
            .chain([&self.me])
            .collect();
        let mut votes: Vec<Vote> = Vec::new();
        for primary in primaries {
            let entry = if *primary == self.me {
                self.own.done(primary).cloned()
            } else if let Some(member) = self.seen(primary) {
                member.store.done(primary).cloned()
            } else {
                all.of_running_primary(primary)
            };
            votes.extend(entry.map(|entry| Vote { entry }));
        }
        let high = votes.iter().map(|vote| vote.entry.term).max().unwrap_or(0);
        votes.retain(|vote| vote.entry.term == high);
        votes
    }

    /// Members that count in an entry and are ahead of this node, or elsewhere (`most-wal`).
    fn rivals(&self, entry: &Entry, mine: &Position, obstacles: &mut Vec<Obstacle>) {
        for node in entry.heirs.iter().chain([&entry.primary]) {
            let Some(member) = self.seen(node).filter(|_| *node != self.me) else { continue };
            obstacles.extend(rival(node, member, mine));
        }
    }

    /// What of `heir`, `own-file`, `same-branch`, `most-wal`, `all-seen` and, where nobody has a score,
    /// `cold-start` is in the way.
    fn permitted(&self, entry: &Entry, mine: &Known<Position>) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        if !entry.concerns(&self.me) {
            return vec![Obstacle::NotAnHeir(Box::new(entry.clone()))];
        }
        if entry.primary == self.me && entry.heirs.is_empty() {
            return obstacles;
        }
        let mine = match mine {
            Known::Known(position) => position,
            Known::Unknown(why) => return vec![Obstacle::OwnPositionUnknown(why.clone())],
        };
        if mine.exactness == Exactness::AtLeast {
            obstacles.push(Obstacle::StillReplaying);
        }
        if let Some(followed) = self.followed
            && !entry.descends_from(followed)
        {
            obstacles
                .push(Obstacle::OtherBranch { mine: followed, primary: entry.primary.clone() });
        }
        self.rivals(entry, mine, &mut obstacles);
        if entry.mode == Mode::Async && self.purpose == Purpose::Promotion {
            self.lag(entry, mine, &mut obstacles);
        }
        let must_be_seen = entry.heirs.iter().chain(match (self.purpose, entry.mode) {
            (Purpose::ColdStart, _) => Some(&entry.primary),
            (Purpose::Promotion, _) => None,
        });
        for node in must_be_seen.filter(|node| **node != self.me) {
            match self.seen(node) {
                None if entry.mode == Mode::Async && self.purpose == Purpose::Promotion => {}
                None => {
                    obstacles.push(Obstacle::NotSeen(node.clone(), self.why_not_seen(node)));
                }
                Some(member) if member.position.exactness == Exactness::AtLeast => {
                    obstacles.push(Obstacle::NotExact(node.clone()));
                }
                Some(_) => {}
            }
        }
        obstacles
    }

    /// Async: how much of what the primary had would be missing. Where nobody knows how far it was, nobody
    /// can say that it is not more than the owner allows; one who allows any lag has said so.
    fn lag(&self, entry: &Entry, mine: &Position, obstacles: &mut Vec<Obstacle>) {
        if entry.primary == self.me || self.force || self.max_lag == u64::MAX {
            return;
        }
        let itself = self.seen(&entry.primary).map(|member| member.position.lsn);
        let reached = self
            .peers
            .keys()
            .filter_map(|node| self.seen(node))
            .filter_map(|member| member.primary_reached)
            .chain(self.reached)
            .chain(itself)
            .max();
        let Some(reached) = reached else {
            obstacles.push(Obstacle::LagUnknown(entry.primary.clone()));
            return;
        };
        let bytes = reached.0.saturating_sub(mine.lsn.0);
        if bytes > self.max_lag {
            obstacles.push(Obstacle::TooFarBehind { bytes, allowed: self.max_lag });
        }
    }

    /// V when no standby is left that could confirm: nobody, or, strictly, whoever comes first.
    fn when_nobody_is_left(&self) -> BTreeSet<NodeName> {
        if self.strict { self.peers.keys().cloned().collect() } else { BTreeSet::new() }
    }

    /// No ledger anywhere, or none but of promotions that came to nothing: every member that has data is
    /// seen, and this one has it all.
    fn first_start(&self, before: u64) -> Ruling {
        let mine = match &self.position {
            Known::Known(position) => position,
            Known::Unknown(why) => {
                return Ruling::Refused(vec![Obstacle::OwnPositionUnknown(why.clone())]);
            }
        };
        let mut obstacles = Vec::new();
        if mine.exactness == Exactness::AtLeast {
            obstacles.push(Obstacle::StillReplaying);
        }
        for (node, peer) in &self.peers {
            match peer {
                Known::Known(Publication::NoData) => {}
                Known::Known(Publication::Data(member)) => {
                    obstacles.extend(rival(node, member, mine));
                    if member.position.exactness == Exactness::AtLeast {
                        obstacles.push(Obstacle::NotExact(node.clone()));
                    }
                }
                Known::Unknown(why) => {
                    obstacles.push(Obstacle::NotSeen(node.clone(), why.clone()));
                }
            }
        }
        if !obstacles.is_empty() {
            return Ruling::Refused(obstacles);
        }
        let mut names = BTreeSet::new();
        if self.mode == Mode::Sync {
            let with_data = |node: &&NodeName| self.seen(node).is_some();
            names.extend(self.peers.keys().filter(with_data).cloned());
            if names.is_empty() {
                names = self.when_nobody_is_left();
            }
        }
        Ruling::Permitted(Plan {
            term: before + 1,
            seq: 0,
            in_place: false,
            names,
            heirs: BTreeSet::new(),
            after: None,
        })
    }
}

fn rival(node: &NodeName, member: &Member, mine: &Position) -> Option<Obstacle> {
    let theirs = &member.position;
    if theirs.system_id != mine.system_id {
        return Some(Obstacle::ForeignSystem {
            theirs: theirs.system_id,
            ours: mine.system_id,
            source: format!("node {node}"),
        });
    }
    match mine.relation_to(theirs) {
        Relation::Equal | Relation::AAhead => None,
        Relation::BAhead => Some(Obstacle::Behind {
            better: node.clone(),
            at: (theirs.timeline(), theirs.lsn),
            mine: (mine.timeline(), mine.lsn),
        }),
        Relation::Diverged { timeline, at } => {
            Some(Obstacle::Diverged { from: node.clone(), fork: (timeline, at) })
        }
    }
}

/// May this node be promoted?
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    let cib = match &facts.cib {
        Known::Known(store) => store,
        Known::Unknown(why) => return Ruling::Refused(vec![Obstacle::CibUnknown(why.clone())]),
    };
    if let Known::Known(position) = &facts.position
        && let Some(entry) =
            facts.everything(cib).entries().find(|entry| entry.system_id != position.system_id)
    {
        return Ruling::Refused(vec![Obstacle::ForeignSystem {
            theirs: entry.system_id,
            ours: position.system_id,
            source: format!("the ledger entry of {}", entry.primary),
        }]);
    }
    let votes = facts.votes(cib);
    if votes.is_empty() {
        // Intents alone, each of a member that is seen and has given it up: nobody was ever promoted.
        let all = facts.everything(cib);
        if all.newest_done().is_none() && facts.own.intent(&facts.me).is_none() {
            return facts.first_start(all.max_term());
        }
        return Ruling::Refused(vec![Obstacle::CibUnknown(
            "it holds an entry that its primary, who is present, does not have".into(),
        )]);
    }
    let mut obstacles = Vec::new();
    for vote in &votes {
        for obstacle in facts.permitted(&vote.entry, &facts.position) {
            if !obstacles.contains(&obstacle) {
                obstacles.push(obstacle);
            }
        }
    }
    if !obstacles.is_empty() {
        return Ruling::Refused(obstacles);
    }
    plan(facts, cib, &votes)
}

/// With which names and heirs: `confirmers`; in place `known-names` and `same-term`, elsewhere
/// `alone-first`.
fn plan(facts: &Facts, cib: &Store, votes: &[Vote]) -> Ruling {
    let all = facts.everything(cib);
    let mine = votes.iter().find(|vote| vote.entry.primary == facts.me);
    let mut names: BTreeSet<NodeName> =
        votes.iter().flat_map(|vote| vote.entry.heirs.iter().cloned()).collect();
    names.retain(|node| *node != facts.me && !facts.out.contains(node));
    if let Some(vote) = mine {
        let entry = &vote.entry;
        let was_async = entry.mode == Mode::Async;
        names.retain(|node| entry.heirs.contains(node));
        for node in &entry.heirs {
            let Some(member) = facts.seen(node) else { continue };
            if let Some(theirs) = member.store.done(&facts.me)
                && theirs.id == entry.id
                && !theirs.heirs.is_empty()
            {
                names.retain(|name| theirs.heirs.contains(name));
            }
        }
        if facts.mode == Mode::Async || was_async {
            names.clear();
        } else if names.is_empty() && entry.heirs.iter().any(|node| !facts.out.contains(node)) {
            return Ruling::Refused(vec![Obstacle::NobodyToConfirm(entry.heirs.clone())]);
        }
        let in_my_slot = facts
            .peers
            .keys()
            .filter_map(|node| facts.seen(node).map(|member| &member.store))
            .chain([cib, &facts.own])
            .filter_map(|store| store.slot(&facts.me))
            .flat_map(|slot| slot.done.iter().chain(slot.intent.iter()))
            .filter(|other| other.term == entry.term)
            .map(|other| other.seq)
            .max()
            .unwrap_or(entry.seq);
        // E is kept, unless all of it is proven out and nobody has to confirm.
        let heirs = if names.is_empty() && facts.mode == Mode::Sync && !was_async {
            names = facts.when_nobody_is_left();
            BTreeSet::new()
        } else {
            entry.heirs.clone()
        };
        return Ruling::Permitted(Plan {
            term: entry.term,
            seq: in_my_slot + 1,
            in_place: true,
            names,
            heirs,
            after: Some(entry.clone()),
        });
    }
    let after = votes.iter().map(|vote| &vote.entry).max_by_key(|entry| entry.key()).cloned();
    if facts.mode == Mode::Async {
        names.clear();
    } else if names.is_empty() {
        names = facts.when_nobody_is_left();
    }
    Ruling::Permitted(Plan {
        term: all.max_term().max(facts.own.max_term()) + 1,
        seq: 0,
        in_place: false,
        names,
        heirs: BTreeSet::new(),
        after,
    })
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &BTreeSet<NodeName>| {
            nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Self::OwnPositionUnknown(why) => {
                write!(f, "how far this node's data goes is unknown: {why}")
            }
            Self::StillReplaying => f.write_str("this node still replays WAL that it already has"),
            Self::OwnLedgerUnknown(why) => {
                write!(f, "this node's ledger file is no help ({why}), and unknown permits nothing")
            }
            Self::CibUnknown(why) => write!(f, "the ledger in the CIB could not be read: {why}"),
            Self::ForeignSystem { theirs, ours, source } => {
                write!(f, "{source} is about database system {theirs}, this node's is {ours}")
            }
            Self::NotAnHeir(entry) if entry.is_an_adoption() => write!(
                f,
                "only {} may be promoted: an operator has adopted its data (term {})",
                entry.primary, entry.term
            ),
            Self::NotAnHeir(entry) if entry.heirs.is_empty() => write!(
                f,
                "only {} has every acknowledged commit (term {}: it went on alone)",
                entry.primary, entry.term
            ),
            Self::NotAnHeir(entry) => write!(
                f,
                "only {} or its standby {} has every acknowledged commit (term {})",
                entry.primary,
                list(&entry.heirs),
                entry.term
            ),
            Self::NotSeen(node, why) => {
                write!(f, "{node} may have more and has not said how far it is ({why})")
            }
            Self::NotExact(node) => {
                write!(f, "{node} may have more: it still replays WAL that it already has")
            }
            Self::Behind { better, at, mine } => write!(
                f,
                "{better} has more: timeline {} at {}, this node timeline {} at {}",
                at.0, at.1, mine.0, mine.1
            ),
            Self::Diverged { from, fork } => write!(
                f,
                "this node and {from} are on different lines of history since timeline {} at {}",
                fork.0, fork.1
            ),
            Self::OtherBranch { mine, primary } => write!(
                f,
                "this node's data is of promotion {mine}, which {primary} does not descend from"
            ),
            Self::NobodyToConfirm(nodes) => write!(
                f,
                "no standby is left to confirm commits, and {} is not proven out",
                list(nodes)
            ),
            Self::LacksTheEnd(why) | Self::EndUnknown(why) => f.write_str(why),
            Self::TooFarBehind { bytes, allowed } => write!(
                f,
                "{bytes} bytes of the primary's WAL are missing here, max_promotion_lag_bytes is \
                 {allowed}"
            ),
            Self::LagUnknown(primary) => write!(
                f,
                "how far {primary} was is not known here, so not whether more is missing than \
                 max_promotion_lag_bytes"
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
