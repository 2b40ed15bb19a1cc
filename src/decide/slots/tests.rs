//! Rows of slots.

use super::*;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
    names.iter().map(|name| node(name)).collect()
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// n1 of three members, with these slots, all of them nobody's for long if they are nobody's at all.
fn facts(slots: &[&str]) -> Facts {
    Facts {
        prefix: "ha_slot".into(),
        former: Vec::new(),
        me: node("n1"),
        members: Known::Known(nodes(&["n1", "n2", "n3"])),
        in_ledger: BTreeSet::new(),
        slots: texts(slots),
        since: slots.iter().map(|slot| ((*slot).to_owned(), 100)).collect(),
        now: 100 + PATIENCE,
    }
}

/// The slots that are made, all of them with the WAL of this one.
fn made(plan: &Plan, like: Option<&str>) -> Vec<String> {
    assert!(plan.make.iter().all(|(_, of)| of.as_deref() == like), "{plan:?}");
    plan.make.iter().map(|(slot, _)| slot.clone()).collect()
}

const BOTH: [&str; 2] = ["ha_slot_n2", "ha_slot_n3"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&BOTH, more].concat()
}

#[test]
fn every_member_has_a_slot_and_whoever_left_has_none() {
    for (what, facts, make, drop) in [
        ("none there", facts(&[]), &BOTH[..], &[][..]),
        ("one there", facts(&["ha_slot_n3"]), &["ha_slot_n2"], &[]),
        ("all there", facts(&BOTH), &[], &[]),
        ("of a node that left", facts(&with(&["ha_slot_n4"])), &[], &["ha_slot_n4"]),
        ("one's own, which nobody uses", facts(&with(&["ha_slot_n1"])), &[], &["ha_slot_n1"]),
        (
            "of a node with a changed name",
            facts(&with(&[&slot_name("ha_slot", "Node-4")])),
            &[],
            &[&slot_name("ha_slot", "Node-4")],
        ),
        ("others' slots", facts(&with(&["barman", "ha_slots_n4", "ha_slot2", "ha"])), &[], &[]),
        (
            "a node that the ledger speaks of",
            Facts { in_ledger: nodes(&["n4"]), ..facts(&with(&["ha_slot_n4"])) },
            &[],
            &[],
        ),
        (
            "members unknown",
            Facts { members: Known::unknown("no quorum"), ..facts(&["ha_slot_n4"]) },
            &[],
            &[],
        ),
        (
            "members without oneself",
            Facts { members: Known::Known(nodes(&["n2"])), ..facts(&["ha_slot_n4"]) },
            &["ha_slot_n2"],
            &[],
        ),
    ] {
        let plan = plan(&facts);
        assert_eq!((made(&plan, None), plan.drop), (texts(make), texts(drop)), "{what}");
    }
}

#[test]
fn the_predecessors_slot_is_taken_over_and_goes_when_its_successors_are_there() {
    let first = plan(&facts(&["ha_slot"]));
    assert_eq!(made(&first, Some("ha_slot")), texts(&BOTH));
    assert_eq!((first.drop, first.since), (Vec::new(), BTreeMap::new()));
    let later = plan(&facts(&with(&["ha_slot"])));
    assert_eq!((later.make.len(), later.drop), (0, texts(&["ha_slot"])));
    // Alone in the cluster nobody is there who has another one.
    let alone = Facts { members: Known::Known(nodes(&["n1"])), ..facts(&["ha_slot"]) };
    assert_eq!(plan(&alone).drop, texts(&[]));
}

#[test]
fn a_new_prefix_leaves_no_slot_behind_and_loses_no_wal() {
    let renamed = |slots: &[&str]| Facts { prefix: "new".into(), ..facts(slots) };
    let known = |slots: &[&str]| Facts { former: texts(&["ha_slot"]), ..renamed(slots) };
    let pair = |slot: &str, like: &str| (slot.to_owned(), Some(like.to_owned()));
    let others = ["ha_slot_barman", "ha_slot"];
    // The WAL of a member that is away is in its old slot: the new one takes it over.
    let first = plan(&known(&with(&others)));
    assert_eq!(first.make, [pair("new_n2", "ha_slot_n2"), pair("new_n3", "ha_slot_n3")]);
    assert_eq!((first.drop, first.since), (Vec::new(), BTreeMap::new()));
    let half = plan(&known(&["ha_slot_n2", "ha_slot_n3", "new_n2"]));
    assert_eq!((half.make.len(), half.drop), (1, Vec::new()));
    // Then the old ones of members go, and nobody else's.
    let later = plan(&known(&with(&["new_n2", "new_n3", "ha_slot_barman", "ha_slot"])));
    assert_eq!((later.make.len(), later.drop), (0, texts(&BOTH)));
    let left = Facts { in_ledger: nodes(&["n4"]), ..known(&["new_n2", "new_n3", "ha_slot_n4"]) };
    assert_eq!(plan(&left).drop, texts(&["ha_slot_n4"]));
    // What nobody remembers is not touched.
    let forgotten = plan(&renamed(&with(&["new_n2", "new_n3"])));
    assert_eq!(forgotten.since, BTreeMap::new());
}

#[test]
fn a_former_prefix_is_remembered_for_as_long_as_there_are_slots_of_it() {
    let slots = texts(&["a_n2", "b_n2", "ha_slot_n2"]);
    for (prefix, last, before, expected) in [
        ("ha_slot", "ha_slot", &[][..], &[][..]),
        ("ha_slot", "", &[], &[]),
        ("ha_slot", "a", &[], &["a"]),
        ("ha_slot", "ha_slot", &["a"], &["a"]),
        ("ha_slot", "b", &["a"], &["a", "b"]),
        ("ha_slot", "a", &["a"], &["a"]),
        ("a", "ha_slot", &["a"], &["ha_slot"]),
        ("ha_slot", "gone", &["past"], &[]),
    ] {
        let kept = former(prefix, last, &texts(before), &slots);
        assert_eq!(kept, texts(expected), "{prefix} {last} {before:?}");
    }
}

#[test]
fn a_slot_goes_only_after_it_was_nobodys_for_a_while_on_end() {
    let slots = with(&["ha_slot_n4"]);
    let mut facts = Facts { since: BTreeMap::new(), now: 5_000, ..facts(&slots) };
    let first = plan(&facts);
    assert_eq!(first.drop, texts(&[]));
    facts.since = first.since;
    facts.now += PATIENCE - 1;
    assert_eq!(plan(&facts).drop, texts(&[]));
    let back = Facts { members: Known::Known(nodes(&["n1", "n2", "n3", "n4"])), ..facts.clone() };
    assert_eq!(plan(&back).since, BTreeMap::new(), "it is a member again");
    let unknown = Facts { members: Known::unknown("x"), ..facts.clone() };
    assert_eq!(plan(&unknown).since, facts.since);
    facts.now += 1;
    assert_eq!(plan(&facts).drop, texts(&["ha_slot_n4"]));
}

#[test]
fn a_logical_slot_that_a_failover_loses_is_named_with_what_keeps_it() {
    let slot = |name: &str, failover| Logical { name: name.into(), failover };
    let said = |slots: Vec<Logical>, waits_for: &str| {
        let logical = LogicalSlots { slots, waits_for: waits_for.into() };
        lost_at_failover(&logical, &texts(&BOTH)).join("\n")
    };
    assert_eq!(said(vec![], ""), "");
    let old = said(vec![slot("a", None), slot("b", None)], "");
    assert!(old.contains("slots a, b:") && old.contains("PostgreSQL 17"), "{old}");
    let new = said(vec![slot("a", Some(false))], "ha_slot_n2, ha_slot_n3");
    for setting in [
        "failover = true",
        "sync_replication_slots",
        "hot_standby_feedback",
        "synchronized_standby_slots",
        "dbname=postgres",
    ] {
        assert!(new.contains(setting), "{setting}: {new}");
    }
    let ahead = said(vec![slot("a", Some(true))], "\"ha_slot_n2\"");
    assert!(ahead.contains("slots a ") && ahead.ends_with("lacks ha_slot_n3"), "{ahead}");
    assert_eq!(said(vec![slot("a", Some(true))], "ha_slot_n3,ha_slot_n2"), "");
}

#[test]
fn a_standby_that_does_not_take_over_logical_slots_says_what_it_lacks() {
    let slots = texts(&["a", "b"]);
    let said = |slots: &[String], on: &[&str], conninfo: &str| {
        let setting = |name: &str| {
            Known::Known(if on.contains(&name) { "on".to_owned() } else { "off".to_owned() })
        };
        not_synchronized(slots, setting, &Conninfo::parse(conninfo).unwrap())
    };
    assert_eq!(said(&[], &[], ""), None);
    let all = ["sync_replication_slots", "hot_standby_feedback"];
    assert_eq!(said(&slots, &all, "host=n1 dbname=postgres"), None);
    let none = said(&slots, &[], "host=n1").unwrap();
    assert!(none.contains("slots a, b: set here sync_replication_slots = on, hot_"), "{none}");
    let one = said(&slots, &all, "host=n1").unwrap();
    assert!(one.ends_with("set here dbname=postgres in primary_conninfo"), "{one}");
    let unknown = |_: &str| Known::unknown("busy");
    let conninfo = Conninfo::parse("dbname=postgres").unwrap();
    assert_eq!(not_synchronized(&slots, unknown, &conninfo), None);
}
