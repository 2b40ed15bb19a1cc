#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Course, Event, Outcome, Plan, Ruling, json, judge};
use crate::cluster::cib::{Location, Setting};
use crate::cluster::known::Known;
use crate::cluster::topology::{Ban, Quorum, Role};
use crate::decide::explain::Facts;
use crate::decide::explain::tests::{
    ID, its, seen_from_n2, set_names, set_store, well, without_n1,
};
use crate::decide::report::Server;
use crate::decide::report::tests::{AT, LOST, OFF, instance, local, set_node, transient};
use crate::decide::support::{entry, intending, node, store};
use crate::postgres::lsn::{Lsn, Timeline};

fn refused(facts: &Facts, to: Option<&str>) -> Vec<String> {
    match judge(facts, to.map(node).as_ref()) {
        Ruling::Refused(reasons) => {
            assert!(!reasons.is_empty());
            reasons
        }
        other => panic!("{other:?}"),
    }
}

fn possible(facts: &Facts, to: Option<&str>) -> Plan {
    match judge(facts, to.map(node).as_ref()) {
        Ruling::Possible(plan) => plan,
        other => panic!("{other:?}"),
    }
}

fn location(id: &str, score: &str) -> Location {
    Location {
        id: id.into(),
        resource: Some("db-clone".into()),
        node: Some("n3".into()),
        score: Some(score.into()),
        role: Some("Promoted".into()),
        rules: Vec::new(),
        complex: false,
    }
}

#[test]
fn a_healthy_cluster_moves_to_whom_it_is_told_or_to_the_best() {
    let plan =
        Plan { from: node("n1"), to: node("n2"), clone: "db-clone".into(), remarks: Vec::new() };
    // From any node, and n3, which is behind, as well.
    for facts in [well(), seen_from_n2()] {
        assert_eq!(possible(&facts, Some("n2")), plan);
        assert_eq!(possible(&facts, Some("n3")).to, node("n3"));
        assert_eq!(possible(&facts, None), plan);
    }
    let mut facts = well();
    facts.seen.servers.insert(node("n2"), Server::Standby(Timeline(3), Lsn(AT.0 - 8)));
    assert_eq!(possible(&facts, None).to, node("n3"), "who has most");
    let mut facts = well();
    facts.seen.cib.locations.push(location("rather-n3", "100"));
    assert_eq!(possible(&facts, None).to, node("n3"), "whom a location rule prefers");
    let mut facts = well();
    facts.seen.status.nodes[1].standby = true;
    assert_eq!(possible(&facts, None).to, node("n3"), "who is not on standby");
    assert_eq!(judge(&well(), Some(&node("n1"))), Ruling::Already(node("n1")));
}

#[test]
fn each_thing_that_would_stop_the_move_is_found_before_it_begins() {
    type Change = fn(&mut Facts);
    let rows: &[(&str, Change, &str)] = &[
        ("no primary", |f| f.seen = without_n1().seen, "there is no primary that accepts writes"),
        (
            "two primaries",
            |f| {
                f.seen.servers.insert(node("n3"), Server::Primary(Timeline(4), AT));
            },
            "n1 and n3 accept writes at once",
        ),
        (
            "not Pacemaker's primary",
            |f| f.seen.status.instances[0] = instance("n1", Role::Unpromoted),
            "n1 accepts writes, and Pacemaker has promoted nobody",
        ),
        (
            "not the ledger's",
            |f| set_store(f, &store(&[entry(4, 0, ID + 1, "n3", "n2")])),
            "the ledger's primary is n3, not n1",
        ),
        ("no ledger", |f| set_store(f, &store(&[])), "the ledger has no entry yet"),
        (
            "a ledger that is not read",
            |f| f.seen.ledger = Known::unknown("cibadmin hung"),
            "the ledger in the CIB cannot be read: cibadmin hung",
        ),
        (
            "a promotion that has begun",
            |f| set_store(f, &intending(&[its()], &entry(4, 0, ID + 1, "n3", ""))),
            "n3 has begun a promotion (term 4)",
        ),
        (
            "a lost node",
            |f| set_node(&mut f.seen, "n3", LOST),
            "n3 is lost and has not been fenced: wait until it is",
        ),
        (
            "no quorum",
            |f| f.seen.status.quorum = Quorum::Inquorate,
            "without quorum Pacemaker promotes nobody",
        ),
        (
            "maintenance",
            |f| f.seen.status.options.maintenance_mode = true,
            "the cluster is in maintenance mode",
        ),
        (
            "maintenance of the primary's node",
            |f| f.seen.status.nodes[0].maintenance = true,
            "n1 is in maintenance mode",
        ),
        ("unmanaged", |f| f.seen.status.instances[0].managed = false, "does not manage db"),
        (
            "an earlier move",
            |f| f.seen.cib.locations.push(location("cli-prefer-db-clone", "INFINITY")),
            "the constraint cli-prefer-db-clone is left from an earlier move: crm_resource --clear \
             --resource db-clone",
        ),
        ("the target offline", |f| set_node(&mut f.seen, "n2", OFF), "n2: it is offline"),
        ("the target on standby", |f| f.seen.status.nodes[1].standby = true, "put on standby"),
        (
            "the target in maintenance",
            |f| f.seen.status.nodes[1].maintenance = true,
            "n2: it is in maintenance mode",
        ),
        (
            "the target stopped",
            |f| f.seen.status.instances.retain(|one| one.nodes != [node("n2")]),
            "its instance is stopped",
        ),
        ("the target blocked", |f| f.seen.status.instances[1].blocked = true, "--cleanup"),
        (
            "the target banned",
            |f| {
                f.seen.status.bans.push(Ban {
                    id: "cli-ban-x".into(),
                    resource: "db-clone".into(),
                    node: "n2".into(),
                    promoted_only: true,
                });
            },
            "the constraint cli-ban-x keeps it from there",
        ),
        (
            "the target failed",
            |f| {
                let count = Setting::Set("INFINITY".into());
                f.seen.cib.node_states[1].transient.insert("fail-count-db#promote_0".into(), count);
            },
            "it has failed there too often",
        ),
        (
            "the target does not stream",
            |f| f.seen.local = Some(local(&[("n3", 0)], "ANY 1 (\"n2\",\"n3\")")),
            "n2: it does not stream from n1",
        ),
        (
            "it was started seconds ago, and has not said yet how it is",
            |f| {
                f.seen.cib.node_states[1].transient.retain(|name, _| !name.ends_with("-state"));
            },
            "n2: it has not said yet that it streams: its next monitor does",
        ),
        (
            "replay is paused there",
            |f| f.seen.cib.node_states[1] = transient("n2", "paused", Some(10_000)),
            "n2: it does not stream from n1 (its state: paused)",
        ),
        (
            "the target has no score",
            |f| f.seen.cib.node_states[1] = transient("n2", "streaming", None),
            "n1 has not given it the right to be promoted (no score)",
        ),
        (
            "the target is no heir",
            |f| {
                set_store(f, &store(&[entry(3, 7, ID, "n1", "n3")]));
                set_names(f, "ANY 1 (\"n3\")");
            },
            "n2: only n1 or its standby n3 has every acknowledged commit (term 3)",
        ),
        (
            "the target's ledger is not known",
            |f| f.acks = Known::Known([(node("n3"), its().ack())].into()),
            "n2: this node's ledger file is no help",
        ),
        (
            "another heir is not seen",
            |f| {
                f.seen.servers.insert(node("n3"), Server::Silent("it hangs".into()));
            },
            "n2: n3 may have more and has not said how far it is (it hangs)",
        ),
        (
            "the target is far behind",
            |f| {
                f.seen
                    .servers
                    .insert(node("n1"), Server::Primary(Timeline(3), Lsn(AT.0 + (17 << 20))));
            },
            "n2: it is 17 MB behind n1: wait until it has caught up",
        ),
    ];
    for (name, change, expected) in rows {
        let mut facts = well();
        change(&mut facts);
        let reasons = refused(&facts, Some("n2")).join("\n");
        assert!(reasons.contains(expected), "{name}: {reasons}");
    }
    assert_eq!(refused(&well(), Some("n9")), ["n9 is no member of db: n1, n2 and n3"]);
}

#[test]
fn a_primary_that_would_move_back_is_not_moved() {
    let of =
        |node: &str, score: &str| Location { node: Some(node.into()), ..location("rather", score) };
    for (locations, back) in [
        (vec![of("n1", "1000")], None),
        (vec![of("n1", "9999")], None),
        (vec![of("n1", "10000")], Some(10_000)),
        (vec![of("n1", "INFINITY")], Some(1_000_000)),
        (vec![of("n1", "12000"), of("n2", "5000")], None),
        (vec![of("n2", "-9000"), of("n1", "2000")], Some(11_000)),
    ] {
        let mut facts = well();
        facts.seen.cib.locations.clone_from(&locations);
        match (judge(&facts, Some(&node("n2"))), back) {
            (Ruling::Possible(_), None) => {}
            (Ruling::Refused(reasons), Some(by)) => {
                let words = format!("prefer n1 by {by}: the primary would move back at once");
                assert!(reasons.join("; ").contains(&words), "{reasons:?}");
            }
            (other, _) => panic!("{locations:?}: {other:?}"),
        }
    }
    let mut facts = well();
    let ruled = Location { complex: true, score: None, node: None, ..location("by-rule", "") };
    facts.seen.cib.locations.push(ruled);
    let remarks = possible(&facts, Some("n2")).remarks;
    assert_eq!(remarks, ["what the rules of the constraint by-rule want is not known here"]);
}

#[test]
fn without_a_target_it_is_said_of_each_why_not() {
    let mut facts = well();
    facts.seen.status.nodes[1].standby = true;
    facts.seen.cib.node_states[2] = transient("n3", "rebuilding", None);
    let reasons = refused(&facts, None);
    assert!(
        reasons.iter().any(|words| words.starts_with("n2: it was put on standby")),
        "{reasons:?}"
    );
    assert!(reasons.iter().any(|words| words.starts_with("n3: it does not stream")), "{reasons:?}");
}

#[test]
fn two_nodes_that_ignore_quorum_can_move() {
    let mut facts = well();
    facts.seen.members.remove(&node("n3"));
    facts.seen.status.nodes.truncate(2);
    facts.seen.status.quorum = Quorum::Inquorate;
    set_store(&mut facts, &store(&[entry(3, 7, ID, "n1", "n2")]));
    set_names(&mut facts, "ANY 1 (\"n2\")");
    assert!(refused(&facts, None)[0].contains("without quorum"));
    facts.seen.cib.options.insert("no-quorum-policy".into(), Setting::Set("ignore".into()));
    assert_eq!(possible(&facts, None).to, node("n2"));
}

#[test]
fn what_an_operator_should_know_is_remarked_and_no_reason_to_refuse() {
    let mut facts = well();
    let count = Setting::Set("2".into());
    facts.seen.cib.node_states[1].transient.insert("fail-count-db#monitor_8000".into(), count);
    facts.seen.noted = vec!["a failover loses the logical slots cdc".into(), "another".into()];
    let remarks = possible(&facts, Some("n2")).remarks;
    assert_eq!(
        remarks,
        [
            "the resource has failed on n2 before (fail-count 2)",
            "a failover loses the logical slots cdc",
        ]
    );
}

fn course(outcome: Outcome, events: &[(u64, Event)]) -> Course {
    Course {
        plan: possible(&well(), Some("n2")),
        events: events.to_vec(),
        last_writable: Some(900),
        outcome,
    }
}

fn went_well() -> Course {
    course(
        Outcome::Done,
        &[
            (412, Event::Checkpointed),
            (520, Event::Told),
            (1_012, Event::Stopped),
            (1_788, Event::Promoted(node("n2"))),
            (2_050, Event::Reached("192.0.2.100".into(), node("n2"))),
            (2_330, Event::Cleared),
            (3_901, Event::Follows(node("n2"))),
        ],
    )
}

fn text(course: &Course) -> String {
    let lines = course.events.iter().map(|(at, event)| course.plan.line(*at, event));
    lines.chain(course.summary()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_move_that_went_well_is_told_by_its_phases_and_the_outage() {
    let course = went_well();
    let expected = "    0.4 s  n1 has written a checkpoint, so its end is short
    0.5 s  Pacemaker has its order (constraint cli-prefer-db-clone)
    1.0 s  n1 accepts no writes any more
    1.7 s  n2 accepts writes
    2.0 s  192.0.2.100 leads to n2
    2.3 s  the constraint is removed
    3.9 s  n1 streams from n2
n2 is the primary.
Writes stood still for at most 1.1 s, by 192.0.2.100.";
    assert_eq!(text(&course), expected);
    assert!(course.is_well());
    assert_eq!((course.outage(), course.is_cleared()), (Some(1_150), Some(true)));
}

#[test]
fn how_a_move_went_otherwise_is_told_with_what_is_left_to_do() {
    let told = (520, Event::Told);
    let cleared = (30_000, Event::Cleared);
    let rows: &[(&str, Course, &str)] = &[
        (
            "back",
            course(
                Outcome::Elsewhere(node("n1")),
                &[
                    told.clone(),
                    (1_000, Event::Stopped),
                    (60_000, Event::TimedOut),
                    cleared.clone(),
                    (61_000, Event::Promoted(node("n1"))),
                ],
            ),
            "The move did not come to its end: n1 is the primary again.",
        ),
        (
            "never begun by Pacemaker",
            course(
                Outcome::Elsewhere(node("n1")),
                &[
                    told.clone(),
                    (60_000, Event::TimedOut),
                    cleared.clone(),
                    (61_000, Event::Promoted(node("n1"))),
                ],
            ),
            "The move did not come to its end: n1 is the primary as before.",
        ),
        (
            "a third one",
            course(Outcome::Elsewhere(node("n3")), &[told.clone(), cleared.clone()]),
            "n3 is the primary now.",
        ),
        (
            "nobody",
            course(Outcome::Nobody, &[told.clone(), (2_000, Event::Interrupted), cleared.clone()]),
            "there is no primary: pgtwin explain says why",
        ),
        (
            "a constraint that stays",
            course(
                Outcome::Done,
                &[
                    told.clone(),
                    (1_788, Event::Promoted(node("n2"))),
                    (32_000, Event::NotCleared("crm_resource hung".into())),
                    (33_000, Event::Follows(node("n2"))),
                ],
            ),
            "The constraint cli-prefer-db-clone is still there: crm_resource --clear --resource db-clone.",
        ),
        (
            "the old one does not follow",
            course(Outcome::Done, &[told.clone(), (1_788, Event::Promoted(node("n2"))), cleared]),
            "n1 does not stream from n2 yet: pgtwin status says more.",
        ),
        (
            "not begun",
            course(Outcome::NotBegun("n2 is offline".into()), &[]),
            "Nothing was done: n2 is offline.",
        ),
    ];
    for (name, course, expected) in rows {
        let text = text(course);
        assert!(text.contains(expected), "{name}: {text}");
        assert!(!course.is_well(), "{name}");
        let stopped = course.events.iter().any(|(_, event)| *event == Event::Stopped);
        assert_eq!(text.contains("stood still"), stopped, "{name}: {text}");
    }
}

#[test]
fn the_json_has_its_shape() {
    let value = serde_json::to_value(json::went("db", &went_well())).unwrap();
    assert_eq!(
        value["events"][4],
        serde_json::json!({
            "at_ms": 2050, "event": "reached", "words": "192.0.2.100 leads to n2"
        })
    );
    let mut without_events = value;
    without_events["events"] = serde_json::json!([]);
    assert_eq!(
        without_events,
        serde_json::json!({
            "version": 1, "command": "switchover", "resource": "db", "outcome": "done", "from": "n1",
            "to": "n2", "primary": "n2", "reasons": [], "remarks": [], "outage_ms": 1150,
            "constraint_removed": true, "events": [],
        })
    );
    let rows = [
        (Ruling::Already(node("n2")), "already", Some("n2"), 0),
        (Ruling::Refused(vec!["no".into()]), "refused", None, 1),
        (Ruling::Possible(possible(&well(), None)), "possible", Some("n1"), 0),
    ];
    for (ruling, outcome, primary, reasons) in rows {
        let value = serde_json::to_value(json::ruled("db", &ruling)).unwrap();
        assert_eq!(value["outcome"], outcome);
        assert_eq!(value["primary"].as_str(), primary);
        assert_eq!(value["reasons"].as_array().unwrap().len(), reasons);
        assert!(value["constraint_removed"].is_null());
    }
}
