//! One less, or all of them.

use super::{Row, in_order, revoke, set_names, wait, write_cib, write_file};
use crate::cluster::known::Known;
use crate::decide::support::{entry, nodes};
use crate::decide::sync::{Facts, Fencing, Next, NodeState, Step, Waiting};

/// One less, and another stays.
pub fn shrink() -> Vec<Row> {
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
pub fn relax() -> Vec<Row> {
    let (own, none) = (entry(1, 4, 1, "n1", "n2"), entry(1, 5, 1, "n1", ""));
    let facts = || in_order().holds(&own).v("n2").silent("n2 n3");
    let relaxing = || facts().cib(&none).scores("n1");
    let off = Fencing::Off("stonith-enabled=false".into());
    let unknown = Fencing::Unknown("no answer".into());
    let accepted = Fencing::OffAccepted("stonith-enabled=false".into());
    let clean = NodeState::OfflineClean;
    vec![
        (
            "one that runs may stream again in a moment",
            facts(),
            wait(Waiting::ForStandby(nodes("n2"))),
        ),
        (
            "regression: one that runs and does not stream for long is let go, too",
            facts().silent_for_long("n2"),
            write_cib(none.clone()),
        ),
        (
            "but a broken connection alone is never enough",
            relaxing().silent_for_long("n2").acked("", &none),
            wait(Waiting::ForProof(nodes("n2"))),
        ),
        (
            "its own word is",
            relaxing().silent_for_long("n2").acked("n2", &none),
            write_file(none.clone()),
        ),
        (
            "one that is delayed now will never stream as an heir",
            facts().delayed("n2"),
            write_cib(none.clone()),
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

/// The own file was lost.
pub fn remade() -> Vec<Row> {
    let (own, none) = (entry(1, 4, 1, "n1", "n2"), entry(1, 5, 1, "n1", ""));
    let facts = || in_order().holds(&own).lost().v("n2").scores("n1");
    let said = || facts().holds(&none);
    vec![
        ("what E was is not known: the CIB says none first", facts(), write_cib(none.clone())),
        ("whatever V is, it stays", Facts { names: None, ..facts() }, write_cib(none.clone())),
        (
            "an E = {} there may never have been proven: scores are taken back",
            said().scores("n1 n2"),
            revoke("n2"),
        ),
        (
            "and all others have to know, not only those whom the CIB named",
            said().acked("n2", &none),
            wait(Waiting::FileLost(nodes("n3"))),
        ),
        ("then the file says so", said().acked("n2 n3", &none), write_file(none.clone())),
        (
            "or they are proven out",
            said().acked("n2", &none).node("n3", NodeState::OfflineClean),
            write_file(none.clone()),
        ),
        (
            "never without quorum",
            said().acked("n2 n3", &none).no_quorum(),
            wait(Waiting::FileLost(nodes(""))),
        ),
    ]
}
