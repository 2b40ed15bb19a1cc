//! Who is the primary, of those who may be: whoever answers as one, and only if nobody is known to have been
//! promoted since. Floor 1.
//!
//! Two nodes may accept writes, where fencing is off or an owner has said that a node is down. What is
//! followed, and above all what is copied, is then the newer promotion or nothing: what an older primary
//! writes is lost, and the data of whoever has followed the newer one is worth more.

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

/// The promotion of another node that came after this node's, or in the same term, which is as bad: two
/// operators have forced one each. An intent counts for the node that accepts writes, and for nobody else.
pub fn newer<'a>(ledger: &'a Store, node: &NodeName) -> Option<&'a Entry> {
    let own = ledger.of_running_primary(node).map(|entry| entry.term);
    ledger
        .slots()
        .filter(|(other, _)| *other != node)
        .filter_map(|(_, slot)| slot.done.as_ref())
        .filter(|entry| own.is_none_or(|own| entry.term >= own))
        .max_by_key(|entry| entry.key())
}

/// Why nothing is taken from a node that accepts writes.
pub fn overtaken(node: &NodeName, newer: &Entry) -> String {
    format!(
        "{node} accepts writes, and {} was promoted since (term {}): nothing is taken from {node}",
        newer.primary, newer.term
    )
}

/// The order in which they are asked: the newest promotion first.
#[must_use]
pub fn in_order(mut nodes: Vec<NodeName>, ledger: &Known<Store>) -> Vec<NodeName> {
    if let Known::Known(ledger) = ledger {
        nodes.sort_by_key(|node| Reverse(ledger.of_running_primary(node).map(Entry::key)));
    }
    nodes
}

/// The primary, of those that were asked, in that order. The ledger is the own file's and the CIB's together.
#[must_use]
pub fn choose(asked: Vec<Candidate>, ledger: &Known<Store>) -> Upstream {
    let mut silent: Option<(NodeName, String)> = None;
    let mut older = None;
    for Candidate { node, promoted, answer } in asked {
        match answer {
            Answer::NotOne => {}
            Answer::Silent(why) => {
                if promoted && silent.is_none() {
                    silent = Some((node, why));
                }
            }
            Answer::Primary(live) => match ledger {
                Known::Unknown(why) => {
                    let term = Known::unknown(why.clone());
                    return Upstream::Live(Box::new(Live { term, ..*live }));
                }
                Known::Known(store) => {
                    let term = |node| store.of_running_primary(node).map(|entry| entry.term);
                    if let Some(newer) = newer(store, &node) {
                        let why = overtaken(&node, newer);
                        older = older.or(Some((node, why)));
                    } else if silent.as_ref().is_none_or(|(other, _)| term(other) <= term(&node)) {
                        let term = Known::Known(term(&node).unwrap_or_default());
                        return Upstream::Live(Box::new(Live { term, ..*live }));
                    }
                }
            },
        }
    }
    match (silent, older) {
        (Some((node, why)), _) => Upstream::Silent(node, why),
        (None, Some((node, why))) => Upstream::Older(node, why),
        (None, None) => Upstream::Nobody,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::ledger::{Mode, PromotionId};
    use crate::decide::support::{SYSTEM, node};
    use crate::postgres::history::History;
    use crate::postgres::lsn::{Lsn, Timeline};

    fn entry(name: &str, term: u64) -> Entry {
        Entry {
            system_id: SYSTEM,
            term,
            seq: 0,
            id: PromotionId(term * 100 + u64::from(name.as_bytes()[1])),
            primary: node(name),
            timeline: Timeline(1),
            mode: Mode::Sync,
            heirs: [].into(),
            history: Vec::new(),
        }
    }

    fn ledger(done: &[(&str, u64)], intents: &[(&str, u64)]) -> Known<Store> {
        let mut store = Store::default();
        for (name, term) in done {
            store.set_done(entry(name, *term));
        }
        for (name, term) in intents {
            store.set_intent(entry(name, *term));
        }
        Known::Known(store)
    }

    fn writes(name: &str) -> Candidate {
        let live = Live {
            node: node(name),
            system_id: SYSTEM,
            line: History::of_first_line(),
            lsn: Lsn(0x500),
            knows_our_promotion: None,
            term: Known::unknown("it was not looked for"),
        };
        Candidate { node: node(name), promoted: true, answer: Answer::Primary(Box::new(live)) }
    }

    fn silent(name: &str, promoted: bool) -> Candidate {
        let answer = Answer::Silent("no route".into());
        Candidate { node: node(name), promoted, answer }
    }

    fn chosen(asked: &[Candidate], ledger: &Known<Store>) -> String {
        let nodes = asked.iter().map(|one| one.node.clone()).collect();
        let in_order = in_order(nodes, ledger).into_iter();
        let asked = in_order.map(|node| asked.iter().find(|one| one.node == node).unwrap().clone());
        match choose(asked.collect(), ledger) {
            Upstream::Live(live) => match live.term {
                Known::Known(term) => format!("{} of {term}", live.node),
                Known::Unknown(why) => format!("{}, {why}", live.node),
            },
            Upstream::Silent(node, why) => format!("{node} is silent: {why}"),
            Upstream::Older(_, why) => why,
            Upstream::Nobody => "nobody".into(),
            Upstream::Unknown(why) => panic!("{why}"),
        }
    }

    #[test]
    fn what_is_followed_and_copied_is_the_newest_promotion_that_is_known_or_nothing() {
        let overtaken = |by: &str, term: u64| {
            format!(
                "n1 accepts writes, and {by} was promoted since (term {term}): nothing is taken from n1"
            )
        };
        let standby = Candidate { answer: Answer::NotOne, ..writes("n2") };
        for (name, asked, ledger, expected) in [
            ("the one of the ledger", vec![writes("n1")], ledger(&[("n1", 4)], &[]), "n1 of 4"),
            ("no ledger anywhere", vec![writes("n1")], ledger(&[], &[]), "n1 of 0"),
            ("no ledger but an intent", vec![writes("n1")], ledger(&[], &[("n2", 1)]), "n1 of 0"),
            (
                "its intent was carried out",
                vec![writes("n1")],
                ledger(&[("n2", 4)], &[("n1", 5)]),
                "n1 of 5",
            ),
            (
                "another's intent was not",
                vec![writes("n1")],
                ledger(&[("n1", 4)], &[("n2", 5)]),
                "n1 of 4",
            ),
            // By name n1 comes first.
            (
                "two accept writes",
                vec![writes("n1"), writes("n2")],
                ledger(&[("n2", 5)], &[]),
                "n2 of 5",
            ),
            (
                "the newer one has not said that it was promoted",
                vec![writes("n1"), writes("n2")],
                ledger(&[("n1", 4)], &[("n2", 5)]),
                "n2 of 5",
            ),
            (
                "the newer one is silent",
                vec![writes("n1"), silent("n2", true)],
                ledger(&[("n2", 5)], &[]),
                "n2 is silent: no route",
            ),
            (
                "the newer one has not said it and is silent",
                vec![writes("n1"), silent("n2", true)],
                ledger(&[("n1", 4)], &[("n2", 5)]),
                "n2 is silent: no route",
            ),
            (
                "an older one is silent",
                vec![silent("n1", true), writes("n2")],
                ledger(&[("n2", 5)], &[]),
                "n2 of 5",
            ),
            (
                "the newer one is away",
                vec![writes("n1")],
                ledger(&[("n2", 5)], &[]),
                &overtaken("n2", 5),
            ),
            (
                "the newer one is a standby by now",
                vec![writes("n1"), standby.clone()],
                ledger(&[("n2", 5)], &[]),
                &overtaken("n2", 5),
            ),
            // This node itself, which comes back, is n2.
            (
                "forced on a node that had not seen the newer term",
                vec![writes("n1")],
                ledger(&[("n1", 5), ("n2", 6)], &[]),
                &overtaken("n2", 6),
            ),
            (
                "forced there, and the two terms meet",
                vec![writes("n1")],
                ledger(&[("n1", 6), ("n2", 6)], &[]),
                &overtaken("n2", 6),
            ),
            (
                "and forced again",
                vec![writes("n1")],
                ledger(&[("n1", 7), ("n2", 6)], &[]),
                "n1 of 7",
            ),
            (
                "the CIB is not understood",
                vec![writes("n1")],
                Known::unknown("rubbish"),
                "n1, rubbish",
            ),
            ("only a standby", vec![standby.clone()], ledger(&[("n1", 4)], &[]), "nobody"),
            (
                "nobody has it promoted",
                vec![silent("n1", false)],
                ledger(&[("n1", 4)], &[]),
                "nobody",
            ),
        ] {
            assert_eq!(chosen(&asked, &ledger), expected, "{name}");
        }
    }
}
