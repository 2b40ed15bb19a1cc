//! One row for each answer of `next`, and the regressions that the exploration found.

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
fn in_order() -> Facts {
    let own = entry(1, 4, 1, "n1", "n2 n3");
    Facts {
        me: node("n1"),
        mode: Mode::Sync,
        strict: false,
        own: own.clone(),
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

/// What comes before everything else.
fn first() -> Vec<Row> {
    let other = entry(2, 0, 2, "n2", "");
    let own = entry(1, 4, 1, "n1", "n2 n3");
    vec![
        ("all in order: nothing", in_order(), Next::Settled),
        (
            "Pacemaker is asked first",
            Facts { cluster: None, ..in_order() },
            Next::Do(Step::AskCluster),
        ),
        (
            "without Pacemaker nothing is changed",
            Facts { cluster: Some(Known::unknown("no answer")), ..in_order() },
            wait(Waiting::ClusterUnknown("no answer".into())),
        ),
        (
            "another was promoted: nothing is changed",
            in_order().silent("n2").cluster(|cluster| cluster.superseded = Some(other.clone())),
            Next::Superseded(Box::new(other.clone())),
        ),
        (
            "the own slot in the CIB is of a later promotion: the file is not the newest truth",
            in_order().cib(&entry(1, 9, 7, "n1", "")),
            Next::Superseded(Box::new(entry(1, 9, 7, "n1", ""))),
        ),
        (
            "the CIB lags behind the file",
            in_order().cib(&entry(1, 3, 1, "n1", "n2")),
            write_cib(own.clone()),
        ),
        (
            "the CIB is empty",
            in_order().cluster(|cluster| cluster.cib = None),
            write_cib(own.clone()),
        ),
        (
            "the CIB has an earlier promotion",
            in_order().cib(&entry(1, 3, 7, "n1", "n2")),
            write_cib(own.clone()),
        ),
        (
            "names of somebody else are replaced",
            Facts { names: None, ..in_order() },
            set_names("n2 n3"),
        ),
        (
            "names beyond E are replaced",
            in_order().holds(&entry(1, 4, 1, "n1", "n2")),
            set_names("n2"),
        ),
        ("an empty V with an E is filled", in_order().v(""), set_names("n2 n3")),
        (
            "a score outside E is taken back before anything else",
            in_order().holds(&entry(1, 4, 1, "n1", "n2")).scores("n2 n3").v("n2"),
            revoke("n3"),
        ),
    ]
}

/// From alone.
fn grow_from_alone() -> Vec<Row> {
    let alone = entry(1, 4, 1, "n1", "");
    let facts = || in_order().holds(&alone).v("");
    let one = || facts().v("n2");
    vec![
        ("the first that streams comes into V alone", facts(), set_names("n2")),
        ("one that is in V already is nearest", facts().v("n3"), Next::Do(Step::TakeBarrier)),
        ("of several in V one is chosen", facts().v("n2 n3"), set_names("n2")),
        ("V has to be in effect", one().not_effective(), Next::Do(Step::AwaitEffective)),
        ("then the insert position is taken", one(), Next::Do(Step::TakeBarrier)),
        (
            "then it has to have flushed that",
            one().barrier(0x501),
            Next::Do(Step::AwaitFlush(nodes("n2"))),
        ),
        (
            "then it is an heir, in the own file first",
            one().barrier(0x500),
            write_file(entry(1, 5, 1, "n1", "n2")),
        ),
        (
            "then in the CIB",
            one().holds(&entry(1, 5, 1, "n1", "n2")).cib(&alone),
            write_cib(entry(1, 5, 1, "n1", "n2")),
        ),
        (
            "then it has its score",
            one().holds(&entry(1, 5, 1, "n1", "n2")).scores("n1"),
            grant("n2"),
        ),
        (
            "but not before V is in effect",
            one().holds(&entry(1, 5, 1, "n1", "n2")).scores("n1").not_effective(),
            Next::Do(Step::AwaitEffective),
        ),
        (
            "one that is being stopped is not taken in",
            facts().silent("n3").stopped("n2"),
            Next::Settled,
        ),
        (
            "one with delayed replay is not taken in",
            facts().silent("n3").delayed("n2"),
            Next::Settled,
        ),
        (
            "alone with nobody there, commits wait for nobody",
            facts().silent("n2 n3"),
            Next::Settled,
        ),
        (
            "just after a takeover, those who can still come are waited for",
            facts().v("n2 n3").silent("n2 n3").stopped("n3"),
            wait(Waiting::ForStandby(nodes("n2"))),
        ),
        (
            "and those who are lost until they are fenced",
            facts().v("n2").silent("n2 n3").node("n2", NodeState::Unclean),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "strictly, for ever",
            facts().v("n2").silent("n2 n3").node("n2", NodeState::OfflineClean).strict(),
            wait(Waiting::Strict),
        ),
        (
            "strictly, V is never empty: whoever comes first will do",
            facts().silent("n2 n3").strict(),
            set_names("n2 n3"),
        ),
        (
            "never without quorum",
            facts().v("n2").silent("n2 n3").node("n2", NodeState::OfflineClean).no_quorum(),
            wait(Waiting::NoQuorum),
        ),
        (
            "when nobody can come any more, commits wait for nobody",
            facts().v("n2").silent("n2 n3").node("n2", NodeState::OfflineClean),
            set_names(""),
        ),
    ]
}

/// One more, while another is in E.
fn grow() -> Vec<Row> {
    let (one, both) = (entry(1, 4, 1, "n1", "n2"), entry(1, 5, 1, "n1", "n2 n3"));
    let facts = || in_order().holds(&one).v("n2");
    let begun = || in_order().holds(&both).v("n2").scores("n1 n2").acked("n2 n3", &one);
    vec![
        ("one that only seems to stream is not taken in", facts(), Next::Do(Step::TakeBarrier)),
        (
            "it comes into E in the own file first, once it has confirmed something",
            facts().barrier(0x500),
            write_file(both.clone()),
        ),
        (
            "it has no score before it is in V, and V waits for the other's word",
            begun(),
            wait(Waiting::ForAcks(nodes("n2"))),
        ),
        (
            "its own word does not help",
            begun().acked("n3", &both),
            wait(Waiting::ForAcks(nodes("n2"))),
        ),
        ("with the other's word V follows", begun().acked("n2", &both), set_names("n2 n3")),
        ("and it has its score", in_order().holds(&both).scores("n1 n2"), grant("n3")),
        ("whoever is in V and streams has its score meanwhile", begun().scores("n1"), grant("n2")),
        (
            "regression: but not while V is not in effect",
            begun().scores("n1").not_effective(),
            wait(Waiting::ForAcks(nodes("n2"))),
        ),
        ("one that is gone for a moment keeps its place", in_order().silent("n3"), Next::Settled),
        (
            "one whose node is not known to be there is not taken in",
            facts().node("n3", NodeState::Unknown),
            Next::Settled,
        ),
        ("one with delayed replay is not taken in", facts().delayed("n3"), Next::Settled),
    ]
}

/// One less, and another stays.
fn shrink() -> Vec<Row> {
    let own = entry(1, 4, 1, "n1", "n2 n3");
    let lost = || in_order().silent("n3").node("n3", NodeState::Unclean);
    let revoked = || lost().scores("n1 n2");
    let (one, begun) = (entry(1, 4, 1, "n1", "n2"), entry(1, 5, 1, "n1", "n2 n3"));
    let other_lost =
        || in_order().holds(&begun).v("n2").scores("n1").silent("n2").acked("n2", &one);
    vec![
        ("first its score is taken back", lost(), revoke("n3")),
        ("then it leaves V", revoked(), set_names("n2")),
        (
            "that has to be in effect, at every walsender",
            revoked().v("n2").not_effective(),
            Next::Do(Step::AwaitEffective),
        ),
        ("then the insert position is taken", revoked().v("n2"), Next::Do(Step::TakeBarrier)),
        (
            "and who stays flushes it",
            revoked().v("n2").barrier(0x501),
            Next::Do(Step::AwaitFlush(nodes("n2"))),
        ),
        (
            "then it leaves E",
            revoked().v("n2").barrier(0x500),
            write_file(entry(1, 5, 1, "n1", "n2")),
        ),
        ("so does one that is gone for long", in_order().silent_for_long("n2"), revoke("n2")),
        ("one whose instance is being stopped", in_order().stopped("n3"), revoke("n3")),
        (
            "one whose node is fenced",
            in_order().silent("n3").node("n3", NodeState::OfflineClean),
            revoke("n3"),
        ),
        (
            "one whose node is unknown",
            in_order().silent("n3").node("n3", NodeState::Unknown),
            revoke("n3"),
        ),
        ("one that replays with a delay now", in_order().delayed("n3"), revoke("n3")),
        (
            "regression: V does not pass to one that the other has not heard of",
            other_lost().silent_for_long("n2"),
            wait(Waiting::ForAcks(nodes("n2"))),
        ),
        (
            "it does once the other has",
            other_lost().silent_for_long("n2").acked("n2", &begun),
            set_names("n3"),
        ),
        ("or is proven out", other_lost().node("n2", NodeState::OfflineClean), set_names("n3")),
        (
            "but not when it is only lost",
            other_lost().node("n2", NodeState::Unclean),
            wait(Waiting::ForAcks(nodes("n2"))),
        ),
        ("what the own file says is what counts", in_order().holds(&own), Next::Settled),
    ]
}

/// All of E are gone.
fn relax() -> Vec<Row> {
    let (own, none) = (entry(1, 4, 1, "n1", "n2"), entry(1, 5, 1, "n1", ""));
    let facts = || in_order().holds(&own).v("n2").silent("n2 n3");
    let relaxing = || facts().cib(&none).scores("n1");
    let off = Fencing::Off("stonith-enabled=false".into());
    let unknown = Fencing::Unknown("no answer".into());
    let accepted = Fencing::OffAccepted("stonith-enabled=false".into());
    let clean = NodeState::OfflineClean;
    vec![
        (
            "a broken connection alone is never enough",
            facts().silent_for_long("n2"),
            wait(Waiting::ForStandby(nodes("n2"))),
        ),
        (
            "a lost node: the CIB says so first",
            facts().node("n2", NodeState::Unclean),
            write_cib(none.clone()),
        ),
        ("a stopped instance: likewise", facts().stopped("n2"), write_cib(none.clone())),
        (
            "the last one that streams is being stopped: likewise",
            in_order().holds(&own).v("n2").silent("n3").stopped("n2"),
            write_cib(none.clone()),
        ),
        ("strictly: never", facts().node("n2", clean).strict(), wait(Waiting::Strict)),
        ("without quorum: never", facts().node("n2", clean).no_quorum(), wait(Waiting::NoQuorum)),
        (
            "with unknown quorum: never",
            facts().node("n2", clean).cluster(|c| c.quorum = Known::unknown("no answer")),
            wait(Waiting::NoQuorum),
        ),
        (
            "two nodes that ignore quorum do",
            facts().node("n2", clean).no_quorum().cluster(|c| c.two_and_ignore = true),
            write_cib(none.clone()),
        ),
        (
            "then the score is taken back",
            relaxing().scores("n1 n2").node("n2", clean),
            revoke("n2"),
        ),
        (
            "a node that is lost proves nothing before it is fenced",
            relaxing().node("n2", NodeState::Unclean),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "nor does one that is unknown",
            relaxing().node("n2", NodeState::Unknown),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "nor a stopped instance without its word",
            relaxing().stopped("n2").acked("", &none),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "nor its word about an older entry",
            relaxing().stopped("n2").acked("n2", &own),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "nor about another promotion",
            relaxing().stopped("n2").acked("n2", &entry(1, 5, 9, "n1", "")),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        ("fenced: it goes on alone", relaxing().node("n2", clean), write_file(none.clone())),
        (
            "its word: likewise",
            relaxing().stopped("n2").acked("n2", &none),
            write_file(none.clone()),
        ),
        (
            "without fencing an offline node proves nothing",
            relaxing().node("n2", clean).fencing(&off),
            wait(Waiting::NoFencing("stonith-enabled=false".into())),
        ),
        (
            "nor with fencing that is not known to work",
            relaxing().node("n2", clean).fencing(&unknown),
            wait(Waiting::NoFencing("no answer".into())),
        ),
        (
            "unless the owner has accepted that",
            relaxing().node("n2", clean).fencing(&accepted),
            write_file(none.clone()),
        ),
        (
            "a lost node proves nothing even then",
            relaxing().node("n2", NodeState::Unclean).fencing(&accepted),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "without fencing its own word still counts",
            relaxing().stopped("n2").acked("n2", &none).fencing(&off),
            write_file(none.clone()),
        ),
        (
            "proven, and without quorum: it waits",
            relaxing().node("n2", clean).no_quorum(),
            wait(Waiting::NoQuorum),
        ),
        (
            "all of E stream again: withdrawn, with a seq of its own",
            in_order().holds(&own).v("n2").cib(&none),
            write_file(entry(1, 6, 1, "n1", "n2")),
        ),
        (
            "not while that one is being stopped",
            in_order().holds(&own).v("n2").cib(&none).scores("n1").stopped("n2").acked("n2", &none),
            write_file(none.clone()),
        ),
        (
            "strict mode withdraws it, too",
            relaxing().node("n2", clean).strict(),
            write_file(entry(1, 6, 1, "n1", "n2")),
        ),
        (
            "a CIB that is ahead with an E is not ours: the file is written again",
            facts().cib(&entry(1, 7, 1, "n1", "n2 n3")),
            write_file(entry(1, 8, 1, "n1", "n2")),
        ),
        ("the file says so: then V does", relaxing().holds(&none).node("n2", clean), set_names("")),
        (
            "all of two have to be proven out",
            in_order().cib(&none).v("n2 n3").scores("n1").silent("n2 n3").node("n2", clean),
            wait(Waiting::ForProof(nodes("n3"))),
        ),
    ]
}

/// Async, and from one to the other.
fn asynchronous() -> Vec<Row> {
    let both = in_async(entry(1, 4, 1, "n1", "n2 n3"));
    let one = in_async(entry(1, 5, 1, "n1", "n2"));
    let facts = || in_order().in_async().holds(&both).v("");
    let to_sync = || in_order().holds(&both).v("");
    let none = entry(1, 5, 1, "n1", "");
    vec![
        ("all in order: nothing", facts(), Next::Settled),
        (
            "the owner has switched from sync: the file first",
            in_order().in_async(),
            write_file(Entry { seq: 5, ..both.clone() }),
        ),
        (
            "regression: past a relax that was begun",
            in_order().in_async().cib(&entry(1, 5, 1, "n1", "")),
            write_file(Entry { seq: 6, ..both.clone() }),
        ),
        ("then the CIB", facts().cib(&entry(1, 3, 1, "n1", "n2 n3")), write_cib(both.clone())),
        ("then V is emptied", facts().v("n2"), set_names("")),
        ("names of somebody else, too", Facts { names: None, ..facts() }, set_names("")),
        (
            "whoever streams is an heir",
            facts().holds(&one),
            write_file(Entry { seq: 6, ..both.clone() }),
        ),
        ("with a score", facts().scores("n1 n2"), grant("n3")),
        (
            "a score outside E is taken back",
            facts().holds(&one).silent("n3").scores("n2 n3"),
            revoke("n3"),
        ),
        ("one that is gone for a moment keeps its place", facts().silent("n3"), Next::Settled),
        (
            "one that is lost loses its score",
            facts().silent("n3").node("n3", NodeState::Unclean),
            revoke("n3"),
        ),
        (
            "and its place",
            facts().silent("n3").node("n3", NodeState::Unclean).scores("n1 n2"),
            write_file(one.clone()),
        ),
        ("one that is being stopped as well", facts().stopped("n3"), revoke("n3")),
        ("back to sync: the CIB first, and nobody is an heir", to_sync(), write_cib(none.clone())),
        ("then their scores", to_sync().cib(&none), revoke("n2")),
        (
            "regression: nothing is promised before all have heard of it",
            to_sync().cib(&none).scores("n1").acked("n2", &none),
            wait(Waiting::ForProof(nodes("n3"))),
        ),
        (
            "also those whom async had let go",
            to_sync()
                .holds(&one)
                .cib(&entry(1, 6, 1, "n1", ""))
                .scores("n1")
                .acked("n2", &entry(1, 6, 1, "n1", "")),
            wait(Waiting::ForProof(nodes("n3"))),
        ),
        (
            "or are proven out",
            to_sync()
                .cib(&none)
                .scores("n1")
                .acked("n2", &none)
                .node("n3", NodeState::OfflineClean),
            write_file(none.clone()),
        ),
        (
            "a CIB that was ahead in async mode is passed",
            to_sync().cib(&in_async(entry(1, 6, 1, "n1", ""))),
            write_cib(entry(1, 7, 1, "n1", "")),
        ),
    ]
}

#[test]
fn every_row_of_the_care_for_standbys() {
    let mut wrong = Vec::new();
    for (name, facts, expected) in
        [first(), grow_from_alone(), grow(), shrink(), relax(), asynchronous()].concat()
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
        ("n3 has yet to confirm", Waiting::ForAcks(nodes("n3"))),
    ]);
    for (word, waiting) in ways {
        let words = waiting.to_string();
        assert!(words.contains(word) && !words.contains('\n'), "{words:?} lacks {word:?}");
    }
}
