#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cluster::asked::{Answer, Stage};
use crate::cluster::recovery::{Marker, Phase, Progress, WorkerId};
use crate::decide::report::tests::{from_a_standby, healthy, transient};
use crate::decide::support::{entry, node, store};

const NOW: i64 = 1_700_000_000;
const REASON: &str = "a full copy was asked for (operator root)";

fn copy() -> Way {
    Way::Recover(Method::Rebuild, REASON.into())
}

/// What is answered for `name`, with this answer of the check.
fn asked(seen: &report::Facts, name: &str, way: Option<&Way>) -> Ruling {
    judge(&Facts { seen, node: &node(name), strict: false, keep_old: true, way })
}

fn refused(seen: &report::Facts, name: &str) -> String {
    match asked(seen, name, Some(&copy())) {
        Ruling::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

fn remarks(seen: &report::Facts, strict: bool, keep_old: bool) -> Vec<String> {
    let (node, way) = (node("n2"), copy());
    match judge(&Facts { seen, node: &node, strict, keep_old, way: Some(&way) }) {
        Ruling::Possible(plan) => plan.remarks,
        other => panic!("{other:?}"),
    }
}

/// Nobody is promoted, and nobody writes.
fn without_a_primary() -> report::Facts {
    let mut seen = from_a_standby();
    seen.servers.insert(node("n1"), Server::Absent("it does not run".into()));
    for one in &mut seen.status.instances {
        if one.role == Role::Promoted {
            one.role = Role::Unpromoted;
        }
    }
    seen
}

#[test]
fn a_healthy_standby_may_be_rebuilt_on_itself_after_the_check() {
    let seen = from_a_standby();
    assert_eq!(asked(&seen, "n2", None), Ruling::MakeTheCheck);
    let Ruling::Possible(plan) = asked(&seen, "n2", Some(&copy())) else { panic!() };
    assert_eq!((plan.node, plan.source), (node("n2"), node("n1")));
    for (way, words) in [
        (Way::Wait("no room".into()), "no room"),
        (Way::Refuse("another database".into()), "another database"),
        (Way::Follow, "report it"),
        (Way::Recover(Method::Rewind, "x".into()), "report it"),
    ] {
        let ruling = asked(&seen, "n2", Some(&way));
        assert!(matches!(&ruling, Ruling::Refused(why) if why.contains(words)), "{ruling:?}");
    }
}

#[test]
fn the_primary_is_never_rebuilt_whoever_says_that_it_is_one() {
    // It says so itself.
    assert!(refused(&healthy(), "n1").contains("n1 is the primary"));
    // Pacemaker has promoted it, and it does not answer.
    let mut seen = healthy();
    seen.servers.insert(node("n1"), Server::Silent("it hangs".into()));
    assert!(refused(&seen, "n1").contains("n1 is the primary"));
    // The ledger names it, and nobody else writes.
    let mut seen = without_a_primary();
    seen.me = node("n1");
    assert!(refused(&seen, "n1").contains("n1 is the primary"));
    // The ledger names it still, and another one has taken over.
    seen.servers.insert(node("n2"), from_a_standby().servers[&node("n1")].clone());
    seen.status.instances.iter_mut().for_each(|one| {
        if one.resource == "db" {
            one.role = if one.nodes == [node("n2")] { Role::Promoted } else { Role::Unpromoted };
        }
    });
    assert!(matches!(asked(&seen, "n1", Some(&copy())), Ruling::Possible(_)));
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_to_do() {
    let seen = from_a_standby();
    assert!(refused(&seen, "n9").contains("n9 is no member of db: n1, n2 and n3"));
    let none = without_a_primary();
    assert!(refused(&none, "n2").contains("there is no primary to copy"));
    let mut two = from_a_standby();
    two.servers.insert(node("n3"), two.servers[&node("n1")].clone());
    assert!(refused(&two, "n2").contains("several primaries"));
    let mut busy = from_a_standby();
    busy.recovery.at_work = Known::Known(true);
    assert!(refused(&busy, "n2").contains("already: pgtwin status"));
    busy.recovery.at_work = Known::unknown("no /proc");
    assert!(refused(&busy, "n2").contains("is not known: no /proc"));
    let mut stopped = from_a_standby();
    stopped.status.instances.retain(|one| one.nodes != [node("n2")]);
    assert!(refused(&stopped, "n2").contains("Pacemaker does not run db on n2"));
}

type Change = fn(&mut report::Facts);

#[test]
fn another_node_is_told_where_its_monitor_finds_the_order_and_makes_the_check_itself() {
    let seen = from_a_standby();
    for way in [None, Some(copy())] {
        let Ruling::Possible(plan) = asked(&seen, "n3", way.as_ref()) else { panic!() };
        assert_eq!((plan.node, plan.source), (node("n3"), node("n1")));
        assert!(plan.remarks[0].contains("n3 makes the check"), "{:?}", plan.remarks);
    }
    // From the primary as well, whatever is at work here.
    let mut seen = healthy();
    seen.recovery.at_work = Known::Known(true);
    assert!(matches!(asked(&seen, "n2", None), Ruling::Possible(_)));
    let mut busy = from_a_standby();
    let mut says = |state: &str| {
        busy.cib.node_states[2] = transient("n3", state, None);
        asked(&busy, "n3", None)
    };
    assert!(matches!(says("rebuilding"), Ruling::Refused(why) if why.contains("already")));
    // Its recovery was given up.
    assert!(matches!(says("waiting"), Ruling::Possible(_)));
    let rows: &[(Change, &str)] = &[
        (|seen| seen.status.options.maintenance_mode = true, "no monitor runs on n3"),
        (|seen| of_n3(seen).maintenance = true, "no monitor runs on n3"),
        (
            |seen| {
                let of_n3 = |one: &&mut Instance| one.nodes == [node("n3")];
                seen.status.instances.iter_mut().find(of_n3).unwrap().maintenance = Some(true);
            },
            "no monitor runs on n3",
        ),
        (|seen| of_n3(seen).online = false, "n3 is not online"),
        (
            |seen| seen.status.instances.retain(|one| one.nodes != [node("n3")]),
            "Pacemaker does not run db on n3",
        ),
    ];
    for (change, words) in rows {
        let mut seen = from_a_standby();
        change(&mut seen);
        assert!(refused(&seen, "n3").contains(words), "{words}: {}", refused(&seen, "n3"));
    }
}

fn of_n3(seen: &mut report::Facts) -> &mut crate::cluster::topology::NodeStatus {
    seen.status.nodes.iter_mut().find(|one| one.name == node("n3")).unwrap()
}

#[test]
fn what_it_costs_meanwhile_is_said_before() {
    let seen = from_a_standby();
    assert!(remarks(&seen, true, true)[0].contains("n2 cannot take over"));
    let mut only = from_a_standby();
    only.ledger = Known::Known(store(&[entry(3, 7, 1, "n1", "n2")]));
    assert!(remarks(&only, false, true)[0].contains("commits are on n1 alone"));
    let (n2, way) = (node("n2"), copy());
    let strict = Facts { seen: &only, node: &n2, strict: true, keep_old: true, way: Some(&way) };
    assert!(matches!(judge(&strict), Ruling::Refused(why) if why.contains("sync_strict=true")));
    only.ledger = Known::Known(store(&[entry(3, 7, 1, "n1", "n3")]));
    assert!(remarks(&only, false, true)[0].contains("is kept as a backup"));
    assert!(remarks(&only, false, false)[0].contains("is removed"));
    assert_eq!(remarks(&only, false, true).len(), 1);
    only.status.options.maintenance_mode = true;
    assert!(remarks(&only, false, true)[1].contains("nobody restarts PostgreSQL"));
}

fn marker(half_done: bool) -> Kept<Marker> {
    Kept::Read(Marker {
        attempt: 1,
        method: Method::Rebuild,
        phase: Phase::Copying,
        source: node("n1"),
        system_id: 7,
        begun: NOW,
        worker: WorkerId { boot: "0f1e2d3c".into(), pid: 4711, start_ticks: 123 },
        half_done,
        ruin: false,
        asked: true,
        old_copy: None,
        reason: REASON.into(),
    })
}

fn last(outcome: Outcome, reason: &str, begun: i64) -> Kept<Summary> {
    Kept::Read(Summary {
        outcome,
        reason: reason.into(),
        failure: "disk full".into(),
        ..Summary::begun("db", &node("n2"), 1, begun)
    })
}

#[test]
fn the_end_is_told_from_what_was_before_and_from_what_goes_on() {
    let (yes, no) = (Known::Known(true), Known::Known(false));
    let missing = || Kept::Missing;
    let whole = "what an earlier attempt has left is finished";
    for (name, at_work, marker, last, idle, expected) in [
        ("begins", no.clone(), marker(false), Kept::Missing, false, "goes on"),
        ("at work", yes.clone(), marker(true), Kept::Missing, true, "goes on: copying, 41 %"),
        (
            "unknown",
            Known::unknown("x"),
            marker(true),
            Kept::Missing,
            true,
            "goes on: copying, 41 %",
        ),
        ("done", no.clone(), missing(), last(Outcome::Done, REASON, NOW), false, "done"),
        // Its summary is written before it is gone.
        (
            "done, still there",
            yes,
            missing(),
            last(Outcome::Done, REASON, NOW),
            false,
            "goes on: c",
        ),
        (
            "one before",
            no.clone(),
            marker(false),
            last(Outcome::Done, REASON, NOW - 1),
            false,
            "goes on",
        ),
        (
            "failed",
            no.clone(),
            marker(false),
            last(Outcome::Failed, "", NOW),
            false,
            "failed: disk full",
        ),
        (
            "failed before",
            no.clone(),
            marker(false),
            last(Outcome::Failed, "", NOW - 9),
            false,
            "goes on",
        ),
        (
            "another's end",
            no.clone(),
            missing(),
            last(Outcome::Done, whole, NOW),
            true,
            "over: it was ended",
        ),
        (
            "stopped",
            no.clone(),
            missing(),
            last(Outcome::Ended, REASON, NOW),
            true,
            "over: it was ended",
        ),
        ("nobody", no, marker(true), Kept::Missing, true, "over: nobody is at work"),
    ] {
        let progress = Progress { percent: Some(41), ..Progress::of(Phase::Copying, 0, None, NOW) };
        let progress = Kept::Read(progress);
        let recovery = Recovery { marker, at_work, progress, last, ..Recovery::none(NOW) };
        let words = match course(&recovery, REASON, NOW, idle) {
            Course::GoesOn(None) => "goes on".to_owned(),
            Course::GoesOn(Some(words)) => format!("goes on: {words}"),
            Course::Done(_) => "done".to_owned(),
            Course::Failed(why) => format!("failed: {why}"),
            Course::Over(why) => format!("over: {why}"),
        };
        assert!(words.starts_with(expected), "{name}: {words}");
    }
}

#[test]
fn programs_are_told_how_it_went() {
    let Ruling::Possible(plan) = asked(&from_a_standby(), "n2", Some(&copy())) else { panic!() };
    let text = |shape: &json::Rebuild| serde_json::to_value(shape).unwrap();
    let could = text(&json::possible("db", &plan));
    assert_eq!((&could["outcome"], &could["source"]), (&"possible".into(), &"n1".into()));
    assert_eq!(could["version"], 1);
    let refused = text(&json::not_done("db", &plan.node, "refused", Some("no room")));
    assert_eq!((&refused["reason"], &refused["source"]), (&"no room".into(), &().into()));
    let Kept::Read(summary) = last(Outcome::Done, REASON, NOW) else { panic!() };
    let summary = Summary { ended: NOW + 41, source: "n1".into(), copied_bytes: 9, ..summary };
    let done = text(&json::went("db", &plan, Some(&Course::Done(Box::new(summary)))));
    assert_eq!((&done["outcome"], &done["seconds"]), (&"done".into(), &41.into()));
    assert_eq!((&done["copied_bytes"], &done["reason"]), (&9.into(), &().into()));
    assert_eq!(text(&json::went("db", &plan, None))["outcome"], "goes-on");
    let failed = text(&json::went("db", &plan, Some(&Course::Failed("disk full".into()))));
    assert_eq!((&failed["outcome"], &failed["reason"]), (&"failed".into(), &"disk full".into()));
}

#[test]
fn the_primary_hears_that_a_standby_will_not_stream() {
    let mut seen = healthy();
    assert!(!seen.view().is_rebuilding(&node("n2")));
    let at = seen.cib.node_states.iter().position(|one| one.name == node("n2")).unwrap();
    for (state, rebuilding) in [("rebuilding", true), ("waiting", false), ("", false)] {
        let value = crate::cluster::cib::Setting::Set(state.into());
        seen.cib.node_states[at].transient.insert("pgtwin-db-state".into(), value);
        assert_eq!(seen.view().is_rebuilding(&node("n2")), rebuilding, "{state}");
        assert!(!seen.view().is_rebuilding(&node("n3")));
    }
}

#[test]
fn programs_are_told_what_another_node_has_answered() {
    let seen = from_a_standby();
    let Ruling::Possible(plan) = asked(&seen, "n3", None) else { panic!() };
    let told = |stage, words: &str| {
        let answer = Answer {
            bytes: 99,
            ..Answer::new(crate::cluster::asked::OrderId(7), stage, 42, words)
        };
        serde_json::to_value(json::heard("db", &plan, &answer)).unwrap()
    };
    let done = told(Stage::Done, "/pg/data.backup");
    let expected = [
        ("outcome", serde_json::json!("done")),
        ("node", "n3".into()),
        ("source", "n1".into()),
        ("reason", serde_json::Value::Null),
        ("seconds", 42.into()),
        ("copied_bytes", 99.into()),
        ("old_copy", "/pg/data.backup".into()),
    ];
    for (field, value) in expected {
        assert_eq!(done[field], value, "{field}");
    }
    for stage in [Stage::Failed, Stage::Over, Stage::Refused, Stage::NotBegun] {
        let told = told(stage, "disk full");
        assert_eq!(
            (&told["outcome"], &told["reason"]),
            (&stage.word().into(), &"disk full".into())
        );
        assert_eq!(told["copied_bytes"], serde_json::Value::Null);
    }
    assert_eq!(told(Stage::GoesOn, "copying")["reason"], serde_json::Value::Null);
}
