//! One row for each answer of `next`, and the regressions that the exploration found.

mod growing;
mod modes;
mod shrinking;

use std::collections::BTreeMap;

use super::super::{
    Cluster, Facts, Fencing, HEIR_SCORE, Next, NodeState, PRIMARY_SCORE, Standby, Step, Waiting,
    next, quiet,
};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode};
use crate::decide::support::{entry, in_async, node, nodes};
use crate::postgres::lsn::Lsn;

/// All in order: n1 is primary, n2 and n3 stream, E and V are both of them, at 0/500.
pub(super) fn in_order() -> Facts {
    let own = entry(1, 4, 1, "n1", "n2 n3");
    Facts {
        me: node("n1"),
        mode: Mode::Sync,
        strict: false,
        own: own.clone(),
        lost: false,
        names: Some(nodes("n2 n3")),
        effective: true,
        barrier: None,
        standbys: ["n2", "n3"].map(|name| (node(name), standby(Some(0x500)))).into(),
        cluster: Some(Known::Known(Cluster {
            cib: Some(own.clone()),
            superseded: None,
            nodes: ["n2", "n3"].map(|name| (node(name), NodeState::Online)).into(),
            stopped: nodes(""),
            scores: [("n1", PRIMARY_SCORE), ("n2", HEIR_SCORE), ("n3", HEIR_SCORE)]
                .map(|(name, score)| (node(name), score))
                .into(),
            acks: ["n2", "n3"].map(|name| (node(name), own.ack())).into(),
            quorum: Known::Known(true),
            two_and_ignore: false,
            fencing: Fencing::Works,
        })),
    }
}

fn standby(flushed: Option<u64>) -> Standby {
    Standby { streaming: flushed.map(Lsn), gone_for_long: false, eligible: true }
}

impl Facts {
    fn cluster(mut self, change: impl Fn(&mut Cluster)) -> Self {
        if let Some(Known::Known(cluster)) = &mut self.cluster {
            change(cluster);
        }
        self
    }

    /// The own file and the CIB hold this; nobody has acknowledged it.
    fn holds(mut self, own: &Entry) -> Self {
        self.own = own.clone();
        self.cluster(|cluster| {
            cluster.cib = Some(own.clone());
            cluster.scores.retain(|node, _| own.concerns(node));
        })
    }

    fn cib(self, cib: &Entry) -> Self {
        self.cluster(|cluster| cluster.cib = Some(cib.clone()))
    }

    fn v(mut self, names: &str) -> Self {
        self.names = Some(nodes(names));
        self
    }

    fn not_effective(mut self) -> Self {
        self.effective = false;
        self
    }

    fn barrier(mut self, lsn: u64) -> Self {
        self.barrier = Some(Lsn(lsn));
        self
    }

    fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The own file is lost.
    fn lost(mut self) -> Self {
        self.lost = true;
        self
    }

    fn in_async(mut self) -> Self {
        self.mode = Mode::Async;
        self
    }

    /// These do not stream.
    fn silent(mut self, names: &str) -> Self {
        for name in nodes(names) {
            self.standbys.insert(name, standby(None));
        }
        self
    }

    fn silent_for_long(mut self, names: &str) -> Self {
        for name in nodes(names) {
            self.standbys.insert(name, Standby { gone_for_long: true, ..standby(None) });
        }
        self
    }

    fn delayed(mut self, name: &str) -> Self {
        self.standbys.insert(node(name), Standby { eligible: false, ..standby(Some(0x500)) });
        self
    }

    /// One more node, which has flushed this.
    fn and_streaming(mut self, name: &str, flushed: u64) -> Self {
        self.standbys.insert(node(name), standby(Some(flushed)));
        self.node(name, NodeState::Online)
    }

    fn node(self, name: &str, state: NodeState) -> Self {
        self.cluster(|cluster| {
            cluster.nodes.insert(node(name), state);
        })
    }

    fn stopped(self, names: &str) -> Self {
        self.cluster(|cluster| cluster.stopped = nodes(names))
    }

    fn scores(self, names: &str) -> Self {
        self.cluster(|cluster| {
            cluster.scores = nodes(names).into_iter().map(|node| (node, HEIR_SCORE)).collect();
        })
    }

    /// Only these have acknowledged this.
    fn acked(self, names: &str, entry: &Entry) -> Self {
        self.cluster(|cluster| {
            cluster.acks = nodes(names).into_iter().map(|node| (node, entry.ack())).collect();
        })
    }

    fn no_quorum(self) -> Self {
        self.cluster(|cluster| cluster.quorum = Known::Known(false))
    }

    fn fencing(self, fencing: &Fencing) -> Self {
        self.cluster(|cluster| cluster.fencing = fencing.clone())
    }
}

type Row = (&'static str, Facts, Next);

fn write_file(entry: Entry) -> Next {
    Next::Do(Step::WriteFile(entry))
}

fn write_cib(entry: Entry) -> Next {
    Next::Do(Step::WriteCib(entry))
}

fn set_names(names: &str) -> Next {
    Next::Do(Step::SetNames(nodes(names)))
}

fn grant(name: &str) -> Next {
    Next::Do(Step::Grant(node(name)))
}

fn revoke(name: &str) -> Next {
    Next::Do(Step::Revoke(node(name)))
}

fn wait(waiting: Waiting) -> Next {
    Next::Wait(waiting)
}

#[test]
fn every_row_of_the_care_for_standbys() {
    let mut wrong = Vec::new();
    for (name, facts, expected) in [
        growing::first(),
        growing::grow_from_alone(),
        growing::grow(),
        shrinking::shrink(),
        shrinking::relax(),
        shrinking::remade(),
        modes::asynchronous(),
    ]
    .concat()
    {
        let answer = next(&facts);
        if answer != expected {
            wrong.push(format!("{name}:\n  expected {expected:?}\n  got      {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_quiet_monitor_asks_nobody_only_when_all_is_in_order() {
    let alone = entry(1, 4, 1, "n1", "");
    let both = in_async(entry(1, 4, 1, "n1", "n2 n3"));
    for (name, facts, expected) in [
        ("all in order", in_order(), true),
        ("one does not stream", in_order().silent("n3"), false),
        ("one more streams", in_order().holds(&entry(1, 4, 1, "n1", "n2")).v("n2"), false),
        ("V is smaller", in_order().v("n2"), false),
        ("V is larger", in_order().silent("n3").holds(&entry(1, 4, 1, "n1", "n2")), false),
        ("V is somebody else's", Facts { names: None, ..in_order() }, false),
        ("V is not in effect", in_order().not_effective(), false),
        ("one is delayed", in_order().delayed("n3"), false),
        ("alone, and nobody streams", in_order().holds(&alone).v("").silent("n2 n3"), true),
        ("alone, strictly", in_order().holds(&alone).v("").silent("n2 n3").strict(), false),
        ("alone, and V is not empty", in_order().holds(&alone).v("n2").silent("n2 n3"), false),
        ("the own file is lost", in_order().lost(), false),
        ("the entry is async", in_order().holds(&both), false),
        ("async in order", in_order().in_async().holds(&both).v(""), true),
        ("async with a V", in_order().in_async().holds(&both), false),
        ("async with an entry of sync", in_order().in_async().v(""), false),
    ] {
        assert_eq!(quiet(&facts), expected, "{name}");
    }
}

#[test]
fn every_way_of_waiting_says_so_in_one_line() {
    let ways = BTreeMap::from([
        ("crm_mon hung", Waiting::ClusterUnknown("crm_mon hung".into())),
        ("n2, n3, which runs", Waiting::ForStandby(nodes("n2 n3"))),
        ("n2 is fenced", Waiting::ForProof(nodes("n2"))),
        ("sync_strict", Waiting::Strict),
        ("no device", Waiting::NoFencing("no device".into())),
        ("quorum", Waiting::NoQuorum),
        ("file was lost; nobody", Waiting::FileLost(nodes("n2"))),
        ("takes quorum", Waiting::FileLost(nodes(""))),
        ("n3 has yet to confirm what the ledger says", Waiting::ForAcks(nodes("n3"))),
    ]);
    for (word, waiting) in ways {
        let words = waiting.to_string();
        assert!(words.contains(word) && !words.contains('\n'), "{words:?} lacks {word:?}");
    }
}
