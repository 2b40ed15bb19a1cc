#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cluster::cib::{Operation, Primitive, Setting};
use crate::decide::report::Facts;
use crate::decide::report::tests::healthy;
use crate::decide::support::{node, nodes};

fn run(operation: &str, interval: Option<u64>, is_memory: bool) -> Run {
    Run {
        resource: "db".into(),
        operation: operation.into(),
        interval,
        is_memory,
        exit_code: Some(if is_memory { 190 } else { 0 }),
        when: Some(1_700_000_000),
    }
}

fn configured(interval: &str) -> Operation {
    Operation {
        name: "monitor".into(),
        interval: Some(interval.into()),
        timeout: None,
        role: Some("Unpromoted".into()),
        on_fail: None,
        disabled: false,
    }
}

/// Three members; n3 is in the trap.
fn trapped() -> Facts {
    let mut facts = healthy();
    let db = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
    db.operations = vec![configured("8s")];
    for state in &mut facts.cib.node_states {
        state.runs = vec![run("start", Some(0), false), run("monitor", Some(8000), false)];
    }
    facts.cib.node_states[2].runs =
        vec![run("start", Some(0), false), run("monitor", Some(8000), true)];
    facts
}

fn found(facts: &Facts) -> BTreeSet<NodeName> {
    unwatched(&facts.status, &facts.cib, &facts.resource)
}

#[test]
fn a_standby_whose_only_monitor_is_the_memory_of_a_failure_is_unwatched() {
    assert_eq!(found(&trapped()), nodes("n3"));
}

#[test]
fn nobody_is_where_pacemaker_watches_or_is_not_meant_to_or_is_at_it() {
    type Change = fn(&mut Facts);
    let rows: &[(&str, Change)] = &[
        ("no failure is remembered: Pacemaker schedules it by itself", |facts| {
            facts.cib.node_states[2].runs.pop();
        }),
        ("it recurs", |facts| {
            facts.cib.node_states[2].runs.push(run("monitor", Some(8000), false));
        }),
        ("another one recurs", |facts| {
            facts.cib.node_states[2].runs.push(run("monitor", Some(30_000), false));
        }),
        ("an interval that cannot be read", |facts| {
            facts.cib.node_states[2].runs.push(run("monitor", None, false));
        }),
        ("the failure is of a probe", |facts| {
            facts.cib.node_states[2].runs[1].interval = Some(0);
        }),
        ("no such monitor is configured", |facts| {
            let db = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
            db.operations = vec![configured("9s")];
        }),
        ("the memory is of the monitor of primaries, and it is a standby", |facts| {
            let db = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
            db.operations[0].role = Some("Promoted".into());
        }),
        ("it is switched off", |facts| {
            let db = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
            db.operations[0].disabled = true;
        }),
        ("the memory is another resource's", |facts| {
            facts.cib.node_states[2].runs[1].resource = "vip".into();
        }),
        ("the cluster is in maintenance", |facts| facts.status.options.maintenance_mode = true),
        ("the node is in maintenance", |facts| facts.status.nodes[2].maintenance = true),
        ("the node is in standby", |facts| facts.status.nodes[2].standby = true),
        ("the node shuts down", |facts| facts.status.nodes[2].shutdown = true),
        ("the node is unclean", |facts| facts.status.nodes[2].unclean = true),
        ("it is not managed", |facts| facts.status.instances[2].managed = false),
        ("it is blocked", |facts| facts.status.instances[2].blocked = true),
        ("something is being done to it", |facts| {
            facts.status.instances[2].pending = Some("Promoting".into());
        }),
        ("its role is not known", |facts| {
            facts.status.instances[2].role = Role::Other("Starting".into());
        }),
        ("it does not run", |facts| facts.status.instances[2].role = Role::Stopped),
        ("it runs in two places", |facts| facts.status.instances[2].nodes.push(node("n2"))),
    ];
    for (name, change) in rows {
        let mut facts = trapped();
        change(&mut facts);
        assert_eq!(found(&facts), BTreeSet::new(), "{name}");
    }
    let mut without = trapped();
    without.cib.primitives.clear();
    assert_eq!(found(&without), BTreeSet::new());
    let mut conditional = trapped();
    conditional.cib.node_states[2].transient.insert("x".into(), Setting::Conditional);
    assert_eq!(found(&conditional), nodes("n3"), "what else a node has does not matter");
}

/// The primary n1 has lost its own monitor.
fn trapped_primary() -> Facts {
    let mut facts = trapped();
    let db = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
    let mut of_primary = configured("3s");
    of_primary.role = Some("Promoted".into());
    db.operations.push(of_primary);
    facts.cib.node_states[0].runs =
        vec![run("promote", Some(0), false), run("monitor", Some(3000), true)];
    facts.cib.node_states[2].runs[1] = run("monitor", Some(8000), false);
    facts
}

#[test]
fn a_primary_whose_only_monitor_is_the_memory_of_a_failure_is_unwatched() {
    let mut facts = trapped_primary();
    assert_eq!(found(&facts), nodes("n1"));
    // What it remembers as a standby is not in the way of the primary's monitor.
    facts.cib.node_states[0].runs[1].interval = Some(8000);
    assert_eq!(found(&facts), nodes(""));
}

#[test]
fn who_is_monitored_tells_pacemaker_and_the_primary_before_others() {
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("nobody is lost: the primary would", "", Some("n1")),
        ("a standby is lost", "n3", Some("n1")),
        ("the primary is lost: the first standby", "n1", Some("n2")),
        ("the first standby as well", "n1 n2", Some("n3")),
        ("nobody is monitored", "n1 n2 n3", None),
    ];
    let mut facts = trapped();
    for (name, lost, told) in rows {
        let tells = teller(&facts.status, &facts.resource, &nodes(lost));
        assert_eq!(tells, told.map(node), "{name}");
    }
    facts.status.nodes[1].unclean = true;
    let tells = teller(&facts.status, &facts.resource, &nodes("n1"));
    assert_eq!(tells, Some(node("n3")), "one that is not there does not");
}

#[test]
fn it_is_acted_upon_when_it_lasts_and_not_again_at_once() {
    let mut since = BTreeMap::new();
    note(&nodes("n2 n3"), &mut since, 100);
    assert!(due(&since, 100 + SURE - 1).is_empty());
    note(&nodes("n3"), &mut since, 130);
    assert_eq!(due(&since, 100 + SURE), vec![node("n3")], "n2 has its monitor back");
    note(&nodes("n2 n3"), &mut since, 140);
    assert_eq!(due(&since, 100 + SURE), vec![node("n3")], "for n2 it begins anew");
    since.insert("n3".into(), 150 + AGAIN);
    note(&nodes("n3"), &mut since, 160);
    assert!(due(&since, 150 + AGAIN).is_empty());
    assert_eq!(due(&since, 150 + AGAIN + SURE), vec![node("n3")]);
}

#[test]
fn of_a_monitor_its_result_and_the_memory_of_a_failure_are_recorded() {
    type Change = fn(&mut Facts);
    let of = |facts: &Facts| recorded(&facts.cib, &facts.resource, &node("n3"), 8000);
    assert_eq!(of(&trapped()), Recorded::MemoryAlone);
    let rows: &[(&str, Change, Recorded)] = &[
        (
            "both are there",
            |facts| facts.cib.node_states[2].runs.push(run("monitor", Some(8000), false)),
            Recorded::Both,
        ),
        (
            "the memory has been deleted",
            |facts| facts.cib.node_states[2].runs[1] = run("monitor", Some(8000), false),
            Recorded::ResultAlone,
        ),
        (
            "the memory has gone to another monitor's failure",
            |facts| {
                facts.cib.node_states[2].runs[1].interval = Some(3000);
                facts.cib.node_states[2].runs.push(run("monitor", Some(8000), false));
            },
            Recorded::ResultAlone,
        ),
        (
            "nothing is: it is not written yet",
            |facts| drop(facts.cib.node_states[2].runs.pop()),
            Recorded::Nothing,
        ),
        (
            "the memory is of another monitor",
            |facts| facts.cib.node_states[2].runs[1].interval = Some(3000),
            Recorded::Nothing,
        ),
        (
            "of which monitor it is cannot be read",
            |facts| facts.cib.node_states[2].runs[1].interval = None,
            Recorded::Nothing,
        ),
        (
            "the memory is another resource's",
            |facts| facts.cib.node_states[2].runs[1].resource = "vip".into(),
            Recorded::Nothing,
        ),
        (
            "the memory is of a start",
            |facts| facts.cib.node_states[2].runs[1].operation = "start".into(),
            Recorded::Nothing,
        ),
        (
            "the node is not in the CIB",
            |facts| drop(facts.cib.node_states.pop()),
            Recorded::Nothing,
        ),
        ("nor is the resource", |facts| facts.cib.primitives.clear(), Recorded::Nothing),
        (
            "another monitor's result is no help",
            |facts| facts.cib.node_states[2].runs.push(run("monitor", Some(30_000), false)),
            Recorded::MemoryAlone,
        ),
    ];
    for (name, change, expected) in rows {
        let mut facts = trapped();
        change(&mut facts);
        assert_eq!(of(&facts), *expected, "{name}");
    }
}

#[test]
fn a_reason_is_shown_until_failure_timeout() {
    type Change = fn(&mut Facts);
    const NAME: &str = "failure-timeout";
    fn set(text: &str) -> Setting {
        Setting::Set(text.to_owned())
    }
    fn own(facts: &mut Facts) -> &mut Primitive {
        let resource = facts.resource.clone();
        facts.cib.primitives.iter_mut().find(|primitive| primitive.id == resource).unwrap()
    }
    let bare = || {
        let mut facts = trapped();
        let cib = &mut facts.cib;
        cib.resource_defaults.remove(NAME);
        for primitive in &mut cib.primitives {
            primitive.meta.remove(NAME);
            if let Some(clone) = &mut primitive.clone {
                clone.meta.remove(NAME);
            }
        }
        facts
    };
    let rows: &[(&str, Change, Option<u64>)] = &[
        ("it is not set", |_| {}, None),
        (
            "of the resource",
            |facts| {
                facts.cib.resource_defaults.insert(NAME.into(), set("300"));
                own(facts).meta.insert(NAME.into(), set("60s"));
            },
            Some(60),
        ),
        (
            "of its clone",
            |facts| {
                facts.cib.resource_defaults.insert(NAME.into(), set("300"));
                let clone = own(facts).clone.as_mut().unwrap();
                clone.meta.insert(NAME.into(), set("2min"));
            },
            Some(120),
        ),
        (
            "of all resources",
            |facts| drop(facts.cib.resource_defaults.insert(NAME.into(), set("300"))),
            Some(300),
        ),
        ("never", |facts| drop(own(facts).meta.insert(NAME.into(), set("0"))), None),
        ("rubbish", |facts| drop(own(facts).meta.insert(NAME.into(), set("soon"))), None),
        (
            "a rule decides",
            |facts| {
                own(facts).meta.insert(NAME.into(), Setting::Conditional);
            },
            None,
        ),
        ("there is no such resource", |facts| facts.cib.primitives.clear(), None),
    ];
    for (name, change, expected) in rows {
        let mut facts = bare();
        change(&mut facts);
        assert_eq!(shown_for(&facts.cib, &facts.resource), *expected, "{name}");
    }
}
