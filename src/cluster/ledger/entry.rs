//! One entry of the ledger, and what belongs to it. Floor 0.

use std::collections::BTreeSet;

use crate::cluster::node::NodeName;
use crate::postgres::lsn::Timeline;

/// How many past promotions an entry remembers.
pub const HISTORY: usize = 24;
/// How many database systems that were given up an entry remembers.
pub const GIVEN_UP: usize = 16;

/// The identity of one promotion: 64 random bits, written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromotionId(pub u64);

impl PromotionId {
    /// That of data of which nobody knows what promotion it is of. No promotion leads from it.
    pub const UNKNOWN: Self = Self(0);
}

/// What an acknowledgement of a standby is worth: how the cluster replicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A commit waits for one standby.
    Sync,
    /// A commit waits for nobody.
    Async,
}

/// A promotion of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its identity.
    pub id: PromotionId,
    /// The timeline it wrote.
    pub timeline: Timeline,
}

/// A promotion that came to nothing: nobody has ever written under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void {
    /// Its identity.
    pub id: PromotionId,
    /// Its term.
    pub term: u64,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The database system's identifier (pg_control).
    pub system_id: u64,
    /// Grows with every promotion of another node.
    pub term: u64,
    /// Grows with every change within a term.
    pub seq: u64,
    /// The promotion that this entry is about.
    pub id: PromotionId,
    /// The node promoted.
    pub primary: NodeName,
    /// The timeline that it writes (for an intent: from which it starts).
    pub timeline: Timeline,
    /// Sync or async.
    pub mode: Mode,
    /// The standbys that may replace the primary (E). Empty: nobody but the primary itself.
    pub heirs: BTreeSet<NodeName>,
    /// Earlier promotions, newest first.
    pub history: Vec<Past>,
    /// An operator has declared data to be the truth (`pgtwin adopt`), and this line goes back to that: the
    /// other database systems that were given up for it, the last one first. None where nobody did.
    pub adopted: Option<Vec<u64>>,
}

impl Entry {
    /// What orders entries.
    pub fn key(&self) -> (u64, u64) {
        (self.term, self.seq)
    }

    /// Whether `node` is the primary or one of those who may replace it.
    pub fn concerns(&self, node: &NodeName) -> bool {
        self.primary == *node || self.heirs.contains(node)
    }

    /// This entry with other heirs and the next sequence number after `seq`.
    #[must_use]
    pub fn with_heirs(&self, heirs: BTreeSet<NodeName>, after: u64) -> Self {
        Self { heirs, seq: after.max(self.seq) + 1, ..self.clone() }
    }

    /// Whether the promotion `id` is this one or one that led to it.
    pub fn descends_from(&self, id: PromotionId) -> bool {
        self.id == id || self.history.iter().any(|past| past.id == id)
    }

    /// Whether it is the entry of an adoption itself: nobody was promoted since.
    pub fn is_an_adoption(&self) -> bool {
        self.adopted.is_some() && self.history.is_empty() && self.heirs.is_empty()
    }

    /// Whether data that is known to be of `followed` is of a promotion that led to this one; none: nobody
    /// knows. Where data was adopted nothing else leads to it, so what is known of nothing does not.
    pub fn is_after(&self, followed: Option<PromotionId>) -> Option<bool> {
        match followed {
            Some(id) => Some(self.descends_from(id)),
            None => self.adopted.is_some().then_some(false),
        }
    }

    /// This intent as the entry of the promotion that it leads to, where nobody has told its timeline yet.
    #[must_use]
    pub fn as_carried_out(&self) -> Self {
        Self { timeline: Timeline(self.timeline.0.saturating_add(1)), ..self.clone() }
    }

    /// The history for an entry that follows this one, which is no intent.
    pub fn history_with_self(&self) -> Vec<Past> {
        let mut history = vec![Past { id: self.id, timeline: self.timeline }];
        history.extend(self.history.iter().filter(|past| past.id != self.id).cloned());
        history.truncate(HISTORY);
        history
    }

    /// The acknowledgement that names this entry.
    pub fn ack(&self) -> Ack {
        Ack { id: self.id, term: self.term, seq: self.seq }
    }
}

/// What a member says that it has written to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The promotion of the entry.
    pub id: PromotionId,
    /// Its term.
    pub term: u64,
    /// Its sequence number.
    pub seq: u64,
}
