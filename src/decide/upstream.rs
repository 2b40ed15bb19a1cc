//! Who is the primary, of those who may be: whoever answers as one, and only if the ledger does not stand
//! against it. Floor 1.
//!
//! A server may accept writes that a hand or the distribution has started; and two may, where fencing is off
//! or an owner has said that a node is down. What is followed, and above all what is copied, is the newest
//! promotion or nothing: what an older primary writes is lost, and the data of whoever has followed the newer
//! one is worth more.

use std::cmp::Reverse;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Store};
use crate::cluster::node::NodeName;
use crate::decide::start::{Live, Upstream};

/// What one that may be the primary answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It accepts writes.
    Primary(Box<Live>),
    /// It answered, and does not.
    NotOne,
    /// It could not be asked, for this reason.
    Silent(String),
}

/// One that may be the primary.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its node.
    pub node: NodeName,
    /// Pacemaker has it promoted.
    pub promoted: bool,
    /// What it answered.
    pub answer: Answer,
}

/// Why a node that accepts writes is not the primary, by this ledger; none: nothing stands against it. It may
/// have been overtaken, and not know it; or somebody has started a server there by hand, or the distribution
/// has at boot, on data of no promotion, or of one that is past. The data of whoever asks may be all that
/// there is of the commits since. Two promotions of one term stand against each other: two operators have
/// forced one each. An intent counts for the node that accepts writes; and for another's where that was to
/// follow this very promotion. A ledger without entries says nothing: the first primary begins it.
#[must_use]
pub fn disowned(node: &NodeName, ledger: &Store) -> Option<String> {
    let newest = ledger.newest_done()?;
    let because = |how: String, term: u64| {
        format!("{node} accepts writes, and {how} (term {term}): nothing is taken from {node}")
    };
    let Some(entry) = ledger.of_running_primary(node) else {
        return Some(because(format!("the ledger's primary is {}", newest.primary), newest.term));
    };
    let others = || ledger.slots().filter(|(other, _)| *other != node).map(|(_, slot)| slot);
    let done = others().filter_map(|slot| slot.done.as_ref());
    if let Some(newer) = done.filter(|one| one.term > entry.term).max_by_key(|one| one.key()) {
        return Some(because(format!("the ledger's primary is {}", newer.primary), newer.term));
    }
    let mut done = others().filter_map(|slot| slot.done.as_ref());
    if let Some(same) = done.find(|one| one.term == entry.term) {
        return Some(because(format!("{} was promoted too", same.primary), same.term));
    }
    // Whether that was carried out is not known here. But nobody is about to be promoted after one that still
    // is the primary, and to become it again takes another promotion.
    let mut intents = others().filter_map(|slot| slot.intent.as_ref());
    let after = intents.find(|one| one.term > entry.term && one.descends_from(entry.id));
    after.map(|one| because(format!("{} was about to follow it", one.primary), one.term))
}

/// The order in which they are asked: the newest promotion first.
#[must_use]
pub fn in_order(mut nodes: Vec<NodeName>, ledger: &Known<Store>) -> Vec<NodeName> {
    if let Known::Known(ledger) = ledger {
        nodes.sort_by_key(|node| Reverse(ledger.of_running_primary(node).as_ref().map(Entry::key)));
    }
    nodes
}

/// The primary, of those that were asked, in that order. The ledger is the own file's and the CIB's together.
#[must_use]
pub fn choose(asked: Vec<Candidate>, ledger: &Known<Store>) -> Upstream {
    let mut silent: Option<(NodeName, String)> = None;
    let mut against = None;
    for Candidate { node, promoted, answer } in asked {
        match answer {
            Answer::NotOne => {}
            Answer::Silent(why) => {
                if promoted && silent.is_none() {
                    silent = Some((node, why));
                }
            }
            Answer::Primary(mut live) => match ledger {
                Known::Unknown(_) => return Upstream::Live(live),
                Known::Known(store) => {
                    let term = |node| store.of_running_primary(node).map(|entry| entry.term);
                    if let Some(why) = disowned(&node, store) {
                        against = against.or(Some((node, why)));
                    } else if silent.as_ref().is_none_or(|(other, _)| term(other) <= term(&node)) {
                        if !promoted {
                            live.promotion =
                                Known::unknown("Pacemaker does not have it as the primary");
                        }
                        return Upstream::Live(live);
                    }
                }
            },
        }
    }
    match (silent, against) {
        (Some((node, why)), _) => Upstream::Silent(node, why),
        (None, Some((node, why))) => Upstream::Disowned(node, why),
        (None, None) => Upstream::Nobody,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
