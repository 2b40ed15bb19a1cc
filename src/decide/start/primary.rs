//! What is known of the primary. Who it is, [`crate::decide::upstream`] decides. Floor 1.

use crate::cluster::known::Known;
use crate::cluster::ledger::{Own, PromotionId, Store};
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
    /// The promotion that it is of, by the ledger. Where that is not known, because the ledger does not say
    /// it yet or could not be read, it may be followed, and is not copied; nor is one that Pacemaker does not have
    /// as the primary: a hand may have started it, or the distribution at boot.
    pub promotion: Known<PromotionId>,
    /// Whether its ledger entry descends from the promotion that this node's data contains; none
    /// when either is not known. It does not where nobody knows whose WAL this node has.
    pub knows_our_promotion: Option<bool>,
    /// Whatever WAL this node has beyond the promotion that is noted is this primary's, or there is none by what
    /// is known: it may be attached before all of it is replayed.
    pub feeds_us: bool,
    /// Its entry goes back to data that an operator has adopted: the database systems that were given up for
    /// that. None where it does not, or where its entry is not known.
    pub adopted: Option<Vec<u64>>,
}

impl Live {
    /// What the CIB's ledger says of it, and of this node's data by the own file.
    #[must_use]
    pub fn of(
        node: &NodeName,
        system_id: u64,
        (line, lsn): (History, Lsn),
        ledger: &Known<Store>,
        own: Option<&Own>,
    ) -> Self {
        let entry = ledger.as_known().map(|store| store.of_running_primary(node));
        let promotion = entry.clone().and_then(|entry| match entry {
            Some(entry) => Known::Known(entry.id),
            None => Known::unknown("the ledger does not say it yet"),
        });
        let entry = entry.known().flatten();
        let pointed = own.and_then(Own::pointed_at);
        Self {
            node: node.clone(),
            system_id,
            line,
            lsn,
            promotion,
            knows_our_promotion: entry
                .as_ref()
                .and_then(|entry| entry.is_after(own.and_then(|own| own.followed))),
            feeds_us: pointed.is_none_or(|pointed| pointed.node == *node),
            adopted: entry.and_then(|entry| entry.adopted),
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
    /// This one accepts writes, and the ledger stands against it: why nobody follows it, and no data is
    /// replaced for its ([`crate::decide::upstream::disowned`]).
    Disowned(NodeName, String),
    /// Pacemaker could not be asked.
    Unknown(String),
}
