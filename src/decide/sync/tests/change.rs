//! The words of a change: one row for each reason.

use super::rows::in_order;
use crate::cluster::known::Known;
use crate::cluster::ledger::Entry;
use crate::decide::support::{entry, in_async, node, nodes};
use crate::decide::sync::{Cluster, Facts, Fencing, NodeState, Waiting, change};

fn cluster(mut facts: Facts, change: impl Fn(&mut Cluster)) -> Facts {
    if let Some(Known::Known(cluster)) = &mut facts.cluster {
        change(cluster);
    }
    facts
}

fn without(facts: &Facts) -> String {
    change(facts, &entry(1, 5, 1, "n1", "n3"), &nodes("")).unwrap()
}

#[test]
fn each_change_says_who_and_why_and_who_is_left() {
    let own: Entry = entry(1, 4, 1, "n1", "n2 n3");
    let gone = |state| {
        move |cluster: &mut Cluster| {
            cluster.nodes.insert(node("n2"), state);
        }
    };
    let stops = |cluster: &mut Cluster| cluster.stopped = nodes("n2");
    let silent = |for_long| {
        let mut facts = in_order();
        let standby = facts.standbys.get_mut(&node("n2")).unwrap();
        (standby.streaming, standby.gone_for_long) = (None, for_long);
        facts
    };
    let mut late = in_order();
    late.standbys.get_mut(&node("n2")).unwrap().eligible = false;
    let mut stranger = in_order();
    stranger.standbys.remove(&node("n2"));
    let unfenced = cluster(in_order(), |cluster| cluster.fencing = Fencing::Off("off".into()));
    let rows = [
        (cluster(in_order(), gone(NodeState::OfflineClean)), "its node is down"),
        (cluster(unfenced, gone(NodeState::OfflineClean)), "its node is offline"),
        (cluster(in_order(), gone(NodeState::Unclean)), "its node is lost"),
        (cluster(in_order(), stops), "its instance stops, or its data is brought back"),
        (late, "it replays with a delay"),
        (silent(true), "it has not streamed for long"),
        (silent(false), "it does not stream"),
        (in_order(), "it leaves"),
        (stranger, "it is no member any more"),
    ];
    for (facts, why) in rows {
        let words = format!("without n2 from now on ({why}); n3 may take over");
        assert_eq!(without(&facts), words);
    }
    let facts = in_order();
    let to = |entry: &Entry, out: &str| change(&facts, entry, &nodes(out));
    assert_eq!(
        to(&entry(1, 5, 1, "n1", "n3"), "n2").unwrap(),
        "without n2 from now on (an operator has it forgotten); n3 may take over"
    );
    // A step back changes no more than a number.
    assert_eq!(to(&entry(1, 9, 1, "n1", "n2 n3"), ""), None);
    let alone = to(&entry(1, 5, 1, "n1", ""), "").unwrap();
    assert!(
        alone.ends_with("; commits are on this node alone, and nobody may take over"),
        "{alone}"
    );
    let relaxed = to(&in_async(own), "").unwrap();
    assert_eq!(relaxed, "from sync to async; n2 or n3 may take over");
    let alone = Facts { own: entry(1, 4, 1, "n1", ""), ..in_order() };
    assert_eq!(
        change(&alone, &entry(1, 5, 1, "n1", "n3"), &nodes("")).unwrap(),
        "with n3 from now on (it streams); n3 may take over"
    );
}

#[test]
fn only_what_stops_commits_is_said_to_stop_them() {
    let n2 = nodes("n2");
    for (waiting, stops) in [
        (Waiting::ForStandby(n2.clone()), true),
        (Waiting::ForProof(n2.clone()), true),
        (Waiting::Strict, true),
        (Waiting::NoFencing("off".into()), true),
        (Waiting::NoQuorum, true),
        (Waiting::ClusterUnknown("hung".into()), false),
        (Waiting::FileLost(n2.clone()), false),
        (Waiting::ForAcks(n2), false),
    ] {
        assert_eq!(waiting.stops_writes(), stops, "{waiting}");
        assert_eq!(waiting.to_string().starts_with("writes wait"), stops, "{waiting}");
    }
}
