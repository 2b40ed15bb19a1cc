//! What is wrong with the configuration around the resource.

use super::*;
use crate::decide::doctor::{Finding, Remedy, Verdict};

fn database_of(facts: &mut Facts) -> &mut Primitive {
    facts.cib.primitives.iter_mut().find(|primitive| primitive.id == "db").unwrap()
}

/// The warnings of the healthy cluster with its clone changed so.
fn with_clone(change: impl Fn(&mut CloneOf)) -> Facts {
    let mut facts = healthy();
    change(database_of(&mut facts).clone.as_mut().unwrap());
    facts
}

fn set(value: &str) -> Setting {
    Setting::Set(value.into())
}

#[test]
fn a_clone_that_cannot_do_its_work_is_told() {
    let mut alone = healthy();
    database_of(&mut alone).clone = None;
    warns(&alone, "db is in no clone: it has to be a promotable clone with notify=true");

    let plain = with_clone(|clone| clone.promotable = false);
    warns(&plain, "db-clone has no promotable=true");

    for change in [Some("false"), Some("perhaps"), None] {
        let facts = with_clone(|clone| {
            clone.meta.remove("notify");
            clone.meta.extend(change.map(|value| ("notify".into(), set(value))));
        });
        warns(&facts, "db-clone has no notify=true");
    }
    let by_rule =
        with_clone(|clone| drop(clone.meta.insert("notify".into(), Setting::Conditional)));
    assert!(!report(&by_rule).needs_attention(), "what a rule decides is not known");

    for name in ["promoted-max", "master-max"] {
        let two = with_clone(|clone| drop(clone.meta.insert(name.into(), set("2"))));
        warns(&two, &format!("db-clone has {name}=2: there is one primary"));
        let one = with_clone(|clone| drop(clone.meta.insert(name.into(), set("1"))));
        assert!(!report(&one).needs_attention());
    }
    let mut bundled = healthy();
    database_of(&mut bundled).bundle = Some("box".into());
    warns(&bundled, "db is in a bundle");
}

#[test]
fn a_role_that_no_monitor_looks_at_is_told() {
    type Ops = fn(&mut Vec<Operation>);
    let rows: &[(&str, Ops, &[&str])] = &[
        ("none", Vec::clear, &["Promoted", "Unpromoted"]),
        ("no promoted one", |ops| drop(ops.remove(0)), &["Promoted"]),
        ("no unpromoted one", |ops| drop(ops.remove(1)), &["Unpromoted"]),
        ("one that does not recur", |ops| ops[0].interval = Some("0s".into()), &["Promoted"]),
        ("one without an interval", |ops| ops[1].interval = None, &["Unpromoted"]),
        ("another operation", |ops| ops[0].name = "start".into(), &["Promoted"]),
        ("the older name", |ops| ops[0].role = Some("Master".into()), &[]),
        ("a standby's older name", |ops| ops[1].role = Some("Slave".into()), &[]),
        ("no role is a standby's", |ops| ops[1].role = None, &[]),
    ];
    for (name, change, roles) in rows {
        let mut facts = healthy();
        change(&mut database_of(&mut facts).operations);
        let told: Vec<String> = report(&facts)
            .warnings
            .iter()
            .filter_map(|words| words.split_once("no recurring monitor for the role "))
            .map(|(_, rest)| rest.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(told, *roles, "{name}");
    }
}

#[test]
fn the_address_is_where_the_primary_is_or_that_is_told() {
    let instance_of = |facts: &mut Facts, node: Option<&str>| {
        let vip = facts.status.instances.iter_mut().find(|one| one.resource == "vip").unwrap();
        vip.active = node.is_some();
        vip.nodes = node.iter().map(|name| name.parse().unwrap()).collect();
    };
    let mut facts = healthy();
    instance_of(&mut facts, Some("n2"));
    warns(&facts, "the primary is n1, and its address is 192.0.2.100 on n2");
    instance_of(&mut facts, None);
    warns(&facts, "the primary is n1, and its address is 192.0.2.100 on no node that is seen");

    let mut facts = healthy();
    facts.vip = Some("192.0.2.1".into());
    warns(&facts, "no resource of the cluster carries the address 192.0.2.1 (vip)");
    // The resource's own parameter of that name is no carrier.
    database_of(&mut facts).parameters.insert("vip".into(), set("192.0.2.1"));
    warns(&facts, "no resource of the cluster carries the address 192.0.2.1 (vip)");

    let mut facts = healthy();
    let ip = |value: &str| Settings::from([("ip".to_owned(), set(value))]);
    for (carried, wanted) in [("192.0.2.100/24", "192.0.2.100"), ("2001:db8:0::1", "2001:db8::1")] {
        let vip = facts.cib.primitives.iter_mut().find(|one| one.id == "vip").unwrap();
        vip.parameters = ip(carried);
        facts.vip = Some(wanted.into());
        assert!(!report(&facts).needs_attention(), "{carried}\n{}", report(&facts));
    }
}

#[test]
fn an_order_that_nobody_took_is_named_and_how_it_is_removed() {
    let ordered = |text: &str| {
        let mut facts = healthy();
        let entry =
            std::collections::BTreeMap::from([("pgtwin-db-rebuild-n3".into(), text.into())]);
        facts.cib.own_sets.insert("pgtwin-db".into(), entry);
        facts
    };
    let order =
        |age: i64| format!("id=0000000000000007 at={} by=operator root", 1_700_000_000 - age);
    // It may be taken any moment.
    assert!(!report(&ordered(&order(120))).needs_attention());
    let old = ordered(&order(1200));
    warns(&old, "an order of operator root to rebuild n3 is 20 min old and was not taken");
    warns(
        &old,
        "crm_attribute --type crm_config --set-name pgtwin-db --name pgtwin-db-rebuild-n3 --delete",
    );
    warns(&ordered("rebuild, please"), "an order to rebuild n3 cannot be read");
}

#[test]
fn what_the_doctor_finds_in_the_configuration_is_named_and_warned_of_where_it_costs_data() {
    let finding = |check, verdict| Finding {
        check,
        verdict,
        words: "words".into(),
        remedy: Remedy::default(),
    };
    let (warn, unknown) =
        (finding("stickiness", Verdict::Warn), finding("quorum", Verdict::Unknown));
    let line = |facts: &Facts| {
        let lines = report(facts).lines;
        lines.into_iter().find(|(title, _)| *title == "Doctor").map(|(_, words)| words)
    };
    assert_eq!(line(&healthy()), None);
    let minor = Facts { configuration: vec![warn.clone(), unknown.clone()], ..healthy() };
    assert_eq!(line(&minor).unwrap(), "WARN stickiness; UNKNOWN quorum (pgtwin doctor)");
    assert!(!report(&minor).needs_attention());
    let grave = |check| finding(check, Verdict::Fail);
    let configuration =
        vec![unknown, grave("fencing-startup"), warn, grave("clone"), grave("clone")];
    let bad = Facts { configuration, ..healthy() };
    assert_eq!(
        line(&bad).unwrap(),
        "FAIL clone, fencing-startup; WARN stickiness; UNKNOWN quorum (pgtwin doctor)"
    );
    warns(&bad, "the configuration does not pass clone, fencing-startup: pgtwin doctor says why");
}
