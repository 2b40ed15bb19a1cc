//! In order, from alone, and one more.

use super::{Row, grant, in_order, revoke, set_names, wait, write_cib, write_file};
use crate::cluster::known::Known;
use crate::decide::support::{entry, nodes};
use crate::decide::sync::{Facts, Next, NodeState, Step, Waiting};

/// What comes before everything else.
pub fn first() -> Vec<Row> {
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
pub fn grow_from_alone() -> Vec<Row> {
    let alone = entry(1, 4, 1, "n1", "");
    let facts = || in_order().holds(&alone).v("");
    let one = || facts().v("n2");
    vec![
        ("the first that streams comes into V alone", facts(), set_names("n2")),
        ("one that is in V already is nearest", facts().v("n3"), Next::Do(Step::TakeBarrier)),
        ("of several in V one is chosen", facts().v("n2 n3"), set_names("n2")),
        (
            "of several the one that has most",
            facts().v("n2 n3").and_streaming("n3", 0x501),
            set_names("n3"),
        ),
        (
            "before that, one whose file holds the promotion",
            facts().and_streaming("n2", 0x501).acked("n3", &alone),
            set_names("n3"),
        ),
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
            "regression: an only heir whose file lacks the promotion could not be promoted",
            one().barrier(0x500).acked("n3", &alone),
            wait(Waiting::ForAcks(nodes("n2"))),
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
            "but not for longer than a reconnect takes",
            facts().v("n2 n3").silent_for_long("n2").silent("n3").stopped("n3"),
            set_names(""),
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
pub fn grow() -> Vec<Row> {
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
            "regression: one whose file lacks the promotion would block every election",
            facts().barrier(0x500).acked("n2", &one),
            wait(Waiting::ForAcks(nodes("n3"))),
        ),
        (
            "one that confirms nothing is waited for",
            facts().barrier(0x501),
            Next::Do(Step::AwaitFlush(nodes("n3"))),
        ),
        (
            "but not by others",
            facts().and_streaming("n4", 0x501).barrier(0x501).acked("n2 n3 n4", &one),
            write_file(entry(1, 5, 1, "n1", "n2 n4")),
        ),
        (
            "several come one after the other",
            facts().and_streaming("n4", 0x500).barrier(0x500).acked("n2 n3 n4", &one),
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
