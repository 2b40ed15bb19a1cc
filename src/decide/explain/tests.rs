#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod rows;

use std::collections::BTreeSet;

use super::{Facts, Verdict, Writes, against_a_move, explain, json};
use crate::cluster::cib::{Location, NodeStateEntry, Setting};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Own, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::Shutdown;
use crate::cluster::topology::{Ban, Quorum, Role};
use crate::decide::report::tests::{
    AT, LOST, OFF, fits, from_a_standby, healthy, instance, local, set_node, transient,
};
use crate::decide::report::{OwnLedger, Server};
use crate::decide::support::{
    after, at, at_least, entry, in_async, intending, node, nodes, says, store, streaming,
};
use crate::ocf::params::FencingPolicy;
use crate::postgres::lsn::{Lsn, Timeline};

type Change = fn(&mut Facts);

pub(crate) const ID: u64 = 0x8f3a_12bc_0000_0001;
const LINE: &str = "1@0/3000000,2@0/4000000,3";

pub(crate) fn its() -> Entry {
    after(entry(3, 7, ID, "n1", "n2 n3"), &[ID - 1])
}

/// n1 the primary of term 3 on timeline 3, n2 and n3 its heirs, seen from n1. n3 is a little behind.
pub(crate) fn well() -> Facts {
    let mut facts = Facts {
        seen: healthy(),
        own: Some(Own::new("db", &node("n1"))),
        standby: None,
        heard: None,
        acks: Known::Known([(node("n2"), its().ack()), (node("n3"), its().ack())].into()),
        published: Known::Known([].into()),
        shutdowns: Known::Known([].into()),
        lines: [(Timeline(3), Known::Known(LINE.parse().unwrap()))].into(),
        strict: false,
        max_lag: 16 << 20,
        force: false,
    };
    facts.own.as_mut().unwrap().followed = Some(its().id);
    set_store(&mut facts, &store(&[its()]));
    facts
}

/// The same, seen from n2; nobody is behind.
pub(crate) fn seen_from_n2() -> Facts {
    let mut facts = Facts { standby: Some(streaming(7, AT.0)), ..well() };
    facts.seen = Facts { seen: from_a_standby(), ..facts.clone() }.seen;
    facts.own.as_mut().unwrap().node = node("n2");
    set_store(&mut facts, &store(&[its()]));
    facts
}

/// A node that was fenced, as the CIB says it.
fn fence(facts: &mut Facts, name: &str) {
    set_node(&mut facts.seen, name, OFF);
    let down = || Some("down".to_owned());
    facts.seen.cib.node_states.push(NodeStateEntry {
        in_ccm: Some("false".into()),
        crmd: Some("offline".into()),
        join: down(),
        expected: down(),
        ..transient(name, "", None)
    });
}

/// Seen from n2 when the primary is gone, and fenced.
pub(crate) fn without_n1() -> Facts {
    let mut facts = seen_from_n2();
    fence(&mut facts, "n1");
    facts.seen.names = Known::unknown("no primary answers");
    facts
}

pub(crate) fn set_store(facts: &mut Facts, store: &Store) {
    facts.seen.own = OwnLedger::Read(store.clone());
    facts.own.as_mut().unwrap().store = store.clone();
    facts.seen.ledger = Known::Known(store.clone());
}

pub(crate) fn set_names(facts: &mut Facts, names: &str) {
    facts.seen.names = Known::Known(names.to_owned());
}

#[track_caller]
fn says_so(facts: &Facts, dies: &str, expected: &str) {
    let text = explain(facts, &nodes(dies)).to_string();
    assert!(text == expected, "said:\n{text}\nexpected:\n{expected}");
    fits(&text);
}

/// What is said of a member when `dies` die.
#[track_caller]
fn reason(facts: &Facts, dies: &str, name: &str) -> String {
    let explanation = explain(facts, &nodes(dies));
    fits(&explanation.to_string());
    explanation.reasons(&node(name)).join("; ")
}

fn then(facts: &Facts, dies: &str) -> BTreeSet<NodeName> {
    explain(facts, &nodes(dies)).then
}

#[test]
fn of_a_healthy_cluster_it_says_who_would_take_over_and_what_the_other_lacks() {
    says_so(
        &well(),
        "",
        "\
db: n1 is the primary; if it were lost now, n2 would be promoted, as seen from
n1

NODE  PROMOTE  WHY
n1    lost     it is the primary, and supposed to be lost
n2    YES      nothing is against it
n3    no       n2 has more: timeline 3 at 0/5000148, this node timeline 3 at
               0/4FFC148

Writes:
- now: they go on, and need n2 or n3
- then: they go on, and need n3

This supposes:
- that the fencing of n1 succeeds
- one vote for each node, and no quorum device
- that nobody gets further meanwhile: who has most is found out then
",
    );
}

#[test]
fn equals_are_equal() {
    says_so(
        &seen_from_n2(),
        "",
        "\
db: n1 is the primary; if it were lost now, n2 or n3 would be promoted, as seen
from n2

NODE  PROMOTE  WHY
n1    lost     it is the primary, and supposed to be lost
n2    YES      nothing is against it; n3 is as good, and Pacemaker chooses
n3    YES      nothing is against it; n2 is as good, and Pacemaker chooses

Writes:
- now: they go on, and need n2 or n3
- then: they go on, and need another of them

This supposes:
- that the fencing of n1 succeeds
- one vote for each node, and no quorum device
- that nobody gets further meanwhile: who has most is found out then
",
    );
}

#[test]
fn a_standby_that_dies_leaves_the_primary_with_the_other() {
    says_so(
        &seen_from_n2(),
        "n3",
        "\
db: if n3 were lost now, n1 would stay the primary, as seen from n2

NODE  PROMOTE  WHY
n1    primary  it is the primary, and stays it
n2    no       once n1 is lost as well: without quorum Pacemaker promotes
               nobody: bring nodes back
n3    lost     it is supposed to be lost

Writes:
- now: they go on, and need n2 or n3
- then: they go on, and need n2

This supposes:
- that the fencing of n3 succeeds
- one vote for each node, and no quorum device
",
    );
}

#[test]
fn without_both_standbys_there_is_no_quorum_and_writes_wait() {
    says_so(
        &well(),
        "n2 n3",
        "\
db: if n2 and n3 were lost now, n1 would stay the primary, as seen from n1

NODE  PROMOTE  WHY
n1    primary  it is the primary, and stays it
n2    lost     it is supposed to be lost
n3    lost     it is supposed to be lost

Writes:
- now: they go on, and need n2 or n3
- then: writes wait: this partition has no quorum

This supposes:
- one vote for each node, and no quorum device
",
    );
}

#[test]
fn a_lost_primary_that_is_not_fenced_lets_nobody_be_promoted() {
    let mut facts = seen_from_n2();
    set_node(&mut facts.seen, "n1", LOST);
    facts.seen.names = Known::unknown("no primary answers");
    says_so(
        &facts,
        "",
        "\
db: there is no primary; nobody would be promoted now, as seen from n2

NODE  PROMOTE  WHY
n1    no       it is lost, not fenced
n2    no       n1 is lost and not proven down: it has not been fenced
n3    no       n1 is lost and not proven down: it has not been fenced

Writes:
- now: nobody takes any: there is no primary
",
    );
}

#[test]
fn two_nodes_go_on_alone_when_the_other_is_proven_out() {
    let mut facts = well();
    facts.seen.members = nodes("n1 n2");
    facts.seen.status.nodes.truncate(2);
    set_store(&mut facts, &store(&[entry(3, 7, ID, "n1", "n2")]));
    set_names(&mut facts, "ANY 1 (\"n2\")");
    says_so(
        &facts,
        "n2",
        "\
db: if n2 were lost now, n1 would stay the primary, as seen from n1

NODE  PROMOTE  WHY
n1    primary  it is the primary, and stays it
n2    lost     it is supposed to be lost

Writes:
- now: they go on, and need n2
- then: they go on, and wait for no standby

This supposes:
- that the fencing of n2 succeeds
- that one node of two keeps quorum (two_node, or a quorum device)
",
    );
}

#[test]
fn without_a_score_the_rule_of_a_cold_start_holds() {
    let mut facts = without_n1();
    for state in &mut facts.seen.cib.node_states {
        state.transient.remove("master-db");
    }
    let words = reason(&facts, "", "n2");
    assert!(
        words.contains("n1 may have more and has not said how far it is (it is offline)"),
        "{words}"
    );
    // With their scores, which they got from n1, they may.
    assert_eq!(then(&without_n1(), ""), nodes("n2 n3"));
}

#[test]
fn a_primary_that_is_known_not_to_run_is_none_and_one_that_is_silent_is_one() {
    let gone = |server: Server| {
        let mut facts = seen_from_n2();
        facts.seen.servers.insert(node("n1"), server);
        facts.seen.names = Known::unknown("no primary answers");
        explain(&facts, &BTreeSet::new())
    };
    let silent = gone(Server::Silent("it hangs".into()));
    assert_eq!(
        (silent.primary, silent.now),
        (Some(node("n1")), Writes::Unknown("no primary answers".into()))
    );
    for server in [Server::Absent("nobody listens".into()), Server::Standby(Timeline(3), AT)] {
        let none = gone(server);
        assert_eq!((none.primary, none.now, none.dead), (None, Writes::Nobody, nodes("")));
        assert_eq!(none.then, nodes("n2 n3"));
    }
}

#[test]
fn what_was_published_for_an_election_counts_as_it_does_there() {
    let mut facts = without_n1();
    facts.seen.servers.insert(node("n3"), Server::Silent("it starts up".into()));
    assert!(reason(&facts, "", "n2").contains("(it starts up)"));
    let here = says(at(LINE, "0/5000148"), store(&[its()]));
    facts.published = Known::Known([(node("n3"), here)].into());
    assert_eq!(then(&facts, ""), nodes("n2 n3"));
    let more = says(at_least(LINE, "0/5000148"), store(&[its()]));
    facts.published = Known::Known([(node("n3"), more)].into());
    let words = reason(&facts, "", "n2");
    assert!(
        words.contains("n3 may have more: it still replays WAL that it already has"),
        "{words}"
    );
    // What is older than the last promotion is nothing.
    let stale = says(at(LINE, "0/5000148"), store(&[entry(2, 0, 5, "n3", "n2")]));
    facts.published = Known::Known([(node("n3"), stale)].into());
    assert!(reason(&facts, "", "n2").contains("(it starts up)"));
}

#[test]
fn a_lacking_end_of_a_planned_move_is_found() {
    let mut facts = seen_from_n2();
    facts.seen.servers.insert(node("n1"), Server::Absent("nobody listens there".into()));
    facts.seen.status.instances[0] = instance("n1", Role::Unpromoted);
    facts.seen.names = Known::unknown("no primary answers");
    let end = Shutdown { id: its().id, timeline: Timeline(3), end: Lsn(AT.0 + 0x2000) };
    facts.shutdowns = Known::Known([(node("n1"), Known::Known(end))].into());
    let words = reason(&facts, "", "n2");
    assert!(
        words.contains("n1 ended at 0/5002148 (timeline 3), this node has 0/5000148 only"),
        "{words}"
    );
}

#[test]
fn fencing_that_is_off_promotes_nobody_and_advised_does() {
    let mut facts = well();
    facts.seen.cib.options.insert("stonith-enabled".into(), Setting::Set("false".into()));
    let words = reason(&facts, "n1", "n2");
    assert!(words.contains("n1 is lost and not proven down: fencing is disabled"), "{words}");
    facts.seen.policy = FencingPolicy::Advised;
    assert_eq!(then(&facts, "n1"), nodes("n2"));
    let notes = explain(&facts, &nodes("n1")).notes;
    assert!(notes[0].contains("nothing proves it (fencing=advised)"), "{notes:?}");
}

#[test]
fn a_location_rule_decides_among_those_who_may() {
    let mut facts = seen_from_n2();
    facts.seen.cib.locations.push(Location {
        id: "rather-n3".into(),
        resource: Some("db-clone".into()),
        node: Some("n3".into()),
        score: Some("100".into()),
        role: Some("Promoted".into()),
        rules: Vec::new(),
        complex: false,
    });
    let explanation = explain(&facts, &nodes("n1"));
    assert_eq!(explanation.then, nodes("n3"));
    assert_eq!(explanation.members[&node("n2")], Verdict::Permitted);
    assert_eq!(explanation.reasons(&node("n2")), ["it may, and Pacemaker takes n3 first"]);
}

#[test]
fn in_async_mode_too_much_lost_is_too_much() {
    let mut facts = seen_from_n2();
    facts.seen.mode = crate::cluster::ledger::Mode::Async;
    set_store(&mut facts, &store(&[in_async(its())]));
    facts.seen.servers.insert(node("n1"), Server::Primary(Timeline(3), Lsn(AT.0 + (17 << 20))));
    let words = reason(&facts, "n1", "n2");
    assert!(words.contains("17825792 bytes of the primary's WAL are missing here"), "{words}");
    facts.force = true;
    assert_eq!(then(&facts, "n1"), nodes("n2 n3"));
}

#[test]
fn in_async_mode_what_this_node_heard_of_a_primary_that_is_silent_counts() {
    let mut facts = seen_from_n2();
    facts.seen.mode = crate::cluster::ledger::Mode::Async;
    set_store(&mut facts, &store(&[in_async(its())]));
    facts.seen.servers.insert(node("n1"), Server::Silent("it is off".into()));
    facts.standby.as_mut().unwrap().receiver = None;
    let words = reason(&facts, "n1", "n2");
    assert!(words.contains("how far n1 was is not known here"), "{words}");
    facts.heard = Some(AT);
    assert_eq!(then(&facts, "n1"), nodes("n2 n3"));
}

#[test]
fn a_planned_move_is_judged_by_the_same_rules_and_being_behind_is_nothing_against_it() {
    let facts = well();
    assert!(reason(&facts, "n1", "n3").contains("n2 has more"));
    assert_eq!(against_a_move(&facts, &node("n3")), Vec::<String>::new());
    assert_eq!(against_a_move(&facts, &node("n2")), Vec::<String>::new());
    // Under load who is asked last is ahead of what the primary said.
    let mut moving = facts.clone();
    moving.seen.servers.insert(node("n3"), Server::Standby(Timeline(3), Lsn(AT.0 + 4096)));
    assert_eq!(against_a_move(&moving, &node("n2")), Vec::<String>::new());
    let mut facts = well();
    set_node(&mut facts.seen, "n3", LOST);
    facts.seen.local = Some(local(&[("n2", 0)], "ANY 1 (\"n2\",\"n3\")"));
    let words = against_a_move(&facts, &node("n2")).join("; ");
    assert!(words.contains("n3 may have more and has not said how far it is"), "{words}");
}

#[test]
fn the_json_has_its_shape() {
    let explanation = explain(&well(), &BTreeSet::new());
    let json = serde_json::to_value(json::explained(&explanation)).unwrap();
    let expected = serde_json::json!({
        "version": 1,
        "command": "explain",
        "resource": "db",
        "seen_from": "n1",
        "lost": ["n1"],
        "assumed": true,
        "primary": "n1",
        "then": ["n2"],
        "well": true,
        "summary": "n1 is the primary; if it were lost now, n2 would be promoted",
        "members": [
            {"node": "n1", "verdict": "lost", "reasons": ["it is the primary, and supposed to be lost"]},
            {"node": "n2", "verdict": "promoted", "reasons": ["nothing is against it"]},
            {"node": "n3", "verdict": "refused", "reasons": [
                "n2 has more: timeline 3 at 0/5000148, this node timeline 3 at 0/4FFC148"
            ]},
        ],
        "writes_now": {
            "state": "go-on", "need": ["n2", "n3"], "words": "they go on, and need n2 or n3"
        },
        "writes_then": {"state": "go-on", "need": ["n3"], "words": "they go on, and need n3"},
        "blocked": [],
        "supposes": [
            "that the fencing of n1 succeeds",
            "one vote for each node, and no quorum device",
            "that nobody gets further meanwhile: who has most is found out then",
        ],
    });
    assert_eq!(json, expected);
}
