//! Rows of the election, its traps by their names, and its equality with the model.

mod model;
mod rows;
mod traps;

use std::collections::BTreeSet;

use super::{Facts, Obstacle, Plan, Purpose, Ruling};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, PromotionId, Store};
use crate::cluster::position::{Position, Publication};
use crate::decide::support::{at, node, nodes, says};

/// A promotion of `me` in sync mode, with its data at 0/500 of timeline 1, that knows nothing of
/// anybody; every test says what it needs beyond that.
fn ask(me: &str) -> Facts {
    Facts {
        me: node(me),
        position: Known::Known(at("1", "0/500")),
        own: Store::default(),
        followed: None,
        cib: Known::Known(Store::default()),
        peers: ["n1", "n2", "n3"]
            .iter()
            .filter(|name| **name != me)
            .map(|name| (node(name), Known::unknown("silent")))
            .collect(),
        reached: None,
        out: BTreeSet::new(),
        mode: Mode::Sync,
        strict: false,
        max_lag: 0x100,
        force: false,
        purpose: Purpose::Promotion,
    }
}

impl Facts {
    fn cold(mut self) -> Self {
        self.purpose = Purpose::ColdStart;
        self
    }

    fn of_two(mut self) -> Self {
        self.peers.remove(&node("n3"));
        self
    }

    fn here(mut self, position: Position) -> Self {
        self.position = Known::Known(position);
        self
    }

    /// The own file, and the same in the CIB.
    fn ledger(mut self, store: &Store) -> Self {
        self.own = store.clone();
        self.cib = Known::Known(store.clone());
        self
    }

    fn own(mut self, store: Store) -> Self {
        self.own = store;
        self
    }

    fn cib(mut self, store: Store) -> Self {
        self.cib = Known::Known(store);
        self
    }

    fn sees(mut self, name: &str, position: Position, store: Store) -> Self {
        self.peers.insert(node(name), says(position, store));
        self
    }

    fn blank(mut self, name: &str) -> Self {
        self.peers.insert(node(name), Known::Known(Publication::NoData));
        self
    }

    fn reached(mut self, name: &str, lsn: &str) -> Self {
        if let Some(Known::Known(Publication::Data(member))) = self.peers.get_mut(&node(name)) {
            member.primary_reached = Some(lsn.parse().unwrap());
        }
        self
    }

    /// What this node itself knew of the primary.
    fn knew(mut self, lsn: &str) -> Self {
        self.reached = Some(lsn.parse().unwrap());
        self
    }

    fn out(mut self, names: &str) -> Self {
        self.out = nodes(names);
        self
    }

    fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn in_async(mut self) -> Self {
        self.mode = Mode::Async;
        self
    }

    fn forced(mut self) -> Self {
        self.force = true;
        self
    }

    fn followed(mut self, id: u64) -> Self {
        self.followed = Some(PromotionId(id));
        self
    }
}

/// What a row expects, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    /// Another node takes over: the term, V and E.
    TakesOver(u64, &'static str, &'static str),
    /// The primary restarts in place: term and seq, V and E.
    InPlace((u64, u64), &'static str, &'static str),
    /// Refused for exactly these reasons.
    Refused(Vec<Obstacle>),
}

fn matches(ruling: &Ruling, expected: &Is) -> bool {
    match (ruling, expected) {
        (Ruling::Permitted(plan), Is::TakesOver(term, names, heirs)) => {
            let Plan { term: t, seq, in_place, names: v, heirs: e, after: _ } = plan;
            (t, *seq, *in_place, v, e) == (term, 0, false, &nodes(names), &nodes(heirs))
        }
        (Ruling::Permitted(plan), Is::InPlace(key, names, heirs)) => {
            let Plan { term, seq, in_place, names: v, heirs: e, after } = plan;
            after.is_some()
                && (*term, *seq) == *key
                && (*in_place, v, e) == (true, &nodes(names), &nodes(heirs))
        }
        (Ruling::Refused(obstacles), Is::Refused(expected)) => obstacles == expected,
        _ => false,
    }
}
