//! Who takes a score first where several could: Pacemaker's plan for one would be broken off by the score of
//! another, after it has cancelled the monitor of the first, and a monitor whose failure is remembered is not
//! scheduled again then. Floor 1.

use std::collections::BTreeMap;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Publication};
use crate::postgres::history::Relation;

/// Of the members that have said that they are as far as this one, exactly, the one that takes a score
/// before it: the primary of the newest promotion, else the first by name. None: this node does.
#[must_use]
pub fn goes_first(
    me: &NodeName,
    mine: &Position,
    last_primary: Option<&NodeName>,
    said: &BTreeMap<NodeName, Known<Publication>>,
) -> Option<NodeName> {
    let is_as_far = |publication: &Known<Publication>| match publication {
        Known::Known(Publication::Data(theirs)) => {
            matches!(mine.relation_to(&theirs.position), Relation::Equal)
        }
        Known::Known(Publication::NoData) | Known::Unknown(_) => false,
    };
    if last_primary == Some(me) {
        return None;
    }
    let others = said.iter().filter(|(node, publication)| *node != me && is_as_far(publication));
    let others: Vec<&NodeName> = others.map(|(node, _)| node).collect();
    let last = others.iter().find(|node| last_primary == Some(**node));
    let by_name = others.iter().min().filter(|node| **node < me);
    last.or(by_name).map(|node| (*node).clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::ledger::Store;
    use crate::decide::support::{at, node, says};

    #[test]
    fn one_of_several_that_are_as_far_goes_first() {
        let mine = at("1", "0/500");
        for (me, last, others, first) in [
            // The first by name.
            ("n1", None, vec![("n2", "0/500"), ("n3", "0/500")], None),
            ("n3", None, vec![("n1", "0/500"), ("n2", "0/500")], Some("n1")),
            // The last primary, if it is as far.
            ("n3", Some("n2"), vec![("n1", "0/500"), ("n2", "0/500")], Some("n2")),
            ("n1", Some("n3"), vec![("n2", "0/500"), ("n3", "0/500")], Some("n3")),
            ("n3", Some("n3"), vec![("n1", "0/500"), ("n2", "0/500")], None),
            ("n1", Some("n3"), vec![("n2", "0/500"), ("n3", "0/400")], None),
            // Who has less waits for nobody, and nobody for it.
            ("n3", Some("n1"), vec![("n1", "0/400"), ("n2", "0/500")], Some("n2")),
            ("n2", None, vec![("n1", "0/400")], None),
            // Nobody else is there.
            ("n2", Some("n1"), vec![], None),
        ] {
            let said =
                others.iter().map(|(name, lsn)| (node(name), says(at("1", lsn), Store::default())));
            let last = last.map(node);
            let found = goes_first(&node(me), &mine, last.as_ref(), &said.collect());
            assert_eq!(found, first.map(node), "{me} {last:?} {others:?}");
        }
    }

    #[test]
    fn who_is_not_known_to_be_as_far_is_not_waited_for() {
        let said = [
            (node("n1"), Known::unknown("older than the last promotion")),
            (node("n2"), Known::Known(Publication::NoData)),
        ];
        let mine = at("1", "0/500");
        assert_eq!(goes_first(&node("n3"), &mine, Some(&node("n1")), &said.into()), None);
    }
}
