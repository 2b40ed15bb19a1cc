//! Who the primary is, and whether one that accepts writes is it by the ledger. Floor 1.

use crate::cluster::ledger::{Entry, PromotionId, Store};
use crate::cluster::node::NodeName;
use crate::postgres::history::History;
use crate::postgres::lsn::Lsn;

/// The primary, as proven by asking it.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its node.
    pub node: NodeName,
    /// Its system identifier.
    pub system_id: u64,
    /// Its line of history.
    pub line: History,
    /// How far it is.
    pub lsn: Lsn,
    /// The promotion that it is of, by the ledger; none where that is not known.
    pub promotion: Option<PromotionId>,
    /// Whether its ledger entry descends from the promotion that this node's data contains; none
    /// when either is not known.
    pub knows_our_promotion: Option<bool>,
    /// Its entry goes back to data that an operator has adopted: the database systems that were given up for
    /// that. None where it does not, or where its entry is not known.
    pub adopted: Option<Vec<u64>>,
}

impl Live {
    /// What its entry says of data that is known to be of `followed`.
    #[must_use]
    pub fn of(
        node: &NodeName,
        system_id: u64,
        (line, lsn): (History, Lsn),
        entry: Option<&Entry>,
        followed: Option<PromotionId>,
    ) -> Self {
        Self {
            node: node.clone(),
            system_id,
            line,
            lsn,
            promotion: entry.map(|entry| entry.id),
            knows_our_promotion: entry.and_then(|entry| entry.is_after(followed)),
            adopted: entry.and_then(|entry| entry.adopted.clone()),
        }
    }

    /// Whether an operator has given this other database system up for the data that it goes back to.
    #[must_use]
    pub fn was_chosen_over(&self, system_id: u64) -> bool {
        self.adopted.as_ref().is_some_and(|systems| systems.contains(&system_id))
    }
}

/// Who is primary now.
#[derive(Clone, Debug, PartialEq)]
pub enum Upstream {
    /// Pacemaker has none, and nobody answers as one.
    Nobody,
    /// This one; it was asked.
    Live(Box<Live>),
    /// Pacemaker has one, and it could not be asked.
    Silent(NodeName, String),
    /// Pacemaker has one, which accepts writes without being the ledger's: nobody follows it, and no data is
    /// replaced for its ([`disowned`]).
    Disowned(NodeName, String),
    /// Pacemaker could not be asked.
    Unknown(String),
}

/// Why a node that accepts writes is not the primary, by this ledger. Somebody has started a server there by
/// hand, or the distribution has at boot; what it has is of no promotion, or of one that is past, and the data of
/// whoever asks may be all that there is of the commits since. A ledger without entries knows nothing, and says
/// nothing against anybody: the first primary begins it.
#[must_use]
pub fn disowned(node: &NodeName, ledger: &Store) -> Option<String> {
    let newest = ledger.newest_done()?;
    let past = |since: &Entry, how: &str| {
        format!(
            "{node} accepts writes, and is not the ledger's primary: {} {how} (term {})",
            since.primary, since.term
        )
    };
    let Some(entry) = ledger.of_running_primary(node) else {
        return Some(past(newest, "is"));
    };
    // Whether that was carried out is not known here. But nobody is about to be promoted after one that still
    // is the primary, and to become it again takes another promotion.
    let after = ledger.slots().filter(|(other, _)| *other != node).find_map(|(_, slot)| {
        slot.intent.as_ref().filter(|one| one.term > entry.term && one.descends_from(entry.id))
    });
    after.map(|intent| past(intent, "was about to follow it"))
}
