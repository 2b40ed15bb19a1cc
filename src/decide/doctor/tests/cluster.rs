//! Defects of the configuration and the state of a cluster, planted one by one into real
//! configurations of each release.

mod rows;

use super::*;
use crate::cluster::topology::NodeStatus;

use rows::{END, HOSTS, POLICY, PROMOTED, ROWS, UNPROMOTED};

const RULE: &str = "<rule id=\"r\" score=\"0\"><expression id=\"re\" attribute=\"#uname\" \
    operation=\"eq\" value=\"n1\"/></rule>";

#[test]
fn every_defect_of_a_configuration_is_named_on_every_release() {
    let mut failed = Vec::new();
    for release in RELEASES {
        let healthy = healthy_cib(release);
        for (name, from, to, expected) in ROWS {
            let mut from = *from;
            if *name == "an old Pacemaker" {
                // The version itself differs.
                from = part(&healthy, from, "\"/>").trim_end_matches("\"/>");
            }
            assert!(healthy.contains(from), "{release} {name}: no {from}");
            let facts = facts_of(&healthy.replacen(from, to, 1), release);
            let also: &[&str] = match *name {
                // Nobody can say where nobody's address is.
                "another address" => &["address-place", "address-order"],
                _ => &[],
            };
            let unlike = unlike(&facts, expected, also);
            failed.extend(unlike.map(|why| format!("{release} {name}: {why}")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(ROWS.len() > 45);
}

#[test]
fn what_is_harmless_is_not_said() {
    let add = |constraint: &str| format!("{constraint}{END}");
    let location = |inside: &str| add(&format!("<rsc_location id=\"l\" rsc=\"db-clone\" {inside}"));
    for (name, from, to) in [
        ("a weak preference", END, location("role=\"Promoted\" node=\"n1\" score=\"100\"/>")),
        ("a preference of any role", END, location("node=\"n1\" score=\"INFINITY\"/>")),
        (
            "one of three excluded",
            END,
            location("role=\"Promoted\" node=\"n2\" score=\"-INFINITY\"/>"),
        ),
        ("a rule by a node's name", END, location(&format!(">{RULE}</rsc_location>"))),
        (
            "a constraint of another",
            END,
            add("<rsc_location id=\"l\" rsc=\"fence\" node=\"n1\" score=\"INFINITY\"/>"),
        ),
        ("freeze", POLICY, "name=\"no-quorum-policy\" value=\"freeze\"".to_owned()),
        ("old names of roles", PROMOTED, "interval=\"3s\" role=\"Master\"".to_owned()),
        ("a monitor of no role", UNPROMOTED, "interval=\"8s\"".to_owned()),
        (
            "a longer timeout",
            "name=\"stop\" timeout=\"120s\"",
            "name=\"stop\" timeout=\"10min\"".to_owned(),
        ),
        ("the default timeout", "name=\"start\" timeout=\"120s\"", "name=\"start\"".to_owned()),
        (
            "no address at all",
            "<nvpair name=\"vip\" value=\"10.0.0.100\" \
            id=\"db-instance_attributes-vip\"/>",
            String::new(),
        ),
        ("a longer colocation", "score=\"INFINITY\" rsc=\"vip\"", "rsc=\"vip\"".to_owned()),
    ] {
        let healthy = healthy_cib("trixie");
        assert!(healthy.contains(from), "{name}");
        let mut changed = healthy.replacen(from, &to, 1);
        if name == "the default timeout" {
            changed = changed.replace("<rsc_defaults>", "<op_defaults><meta_attributes id=\"od\">\
                <nvpair id=\"odt\" name=\"timeout\" value=\"3min\"/></meta_attributes></op_defaults>\
                <rsc_defaults>");
        }
        assert_eq!(said(&facts_of(&changed, "trixie")), [""; 0], "{name}");
    }
}

#[test]
fn a_primitive_that_is_in_no_clone_or_in_a_bundle_or_on_a_remote_node_is_told_so() {
    let healthy = healthy_cib("trixie");
    let clone = part(&healthy, "<clone id=\"db-clone\">", "</clone>");
    let alone = part(clone, "<primitive id=\"db\"", "</primitive>");
    let said_of = |cib: &str| said(&facts_of(cib, "trixie")).join("\n");
    let said_alone = said_of(&healthy.replace(clone, alone));
    assert!(said_alone.contains("FAIL clone: db is in no clone"), "{said_alone}");
    assert!(said_alone.contains("UNKNOWN clone-notify: db is in no clone"), "{said_alone}");
    let bundle = format!("<bundle id=\"b\">{alone}</bundle>");
    assert!(said_of(&healthy.replace(clone, &bundle)).contains("FAIL clone: db is in a bundle"));
    let remote = healthy.replace("uname=\"n3\"/>", "uname=\"n3\" type=\"remote\"/>");
    assert!(said_of(&remote).contains("FAIL clone: n3 is a remote or guest node"));
    // An older element.
    let master = clone.replace("<clone ", "<master ").replace("</clone>", "</master>");
    let master = master.replace("name=\"promotable\" value=\"true\"", "name=\"x\" value=\"1\"");
    assert_eq!(said_of(&healthy.replace(clone, &master)), "");
}

#[test]
fn a_member_without_a_fence_device_is_named_or_it_is_not_known() {
    let healthy = healthy_cib("trixie");
    let facts = |hosts: &str| {
        let mut facts = facts_of(&healthy.replace(HOSTS, hosts), "trixie");
        if let Known::Known(status) = &mut facts.status {
            // Whoever was fenced has a device.
            status.fencing = FenceHistory::Events(Vec::new());
        }
        facts
    };
    let report = |hosts: &str| {
        let all = examine(&facts(hosts), &["fencing-tested".to_owned()]).findings;
        let of_it = all.iter().filter(|one| one.check == "fencing-devices");
        of_it
            .map(|one| format!("{} {}", one.verdict.name(), one.words))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (hosts, expected) in [
        ("name=\"pcmk_host_list\" value=\"n1,n2;n3\"", "OK each member"),
        ("name=\"pcmk_host_map\" value=\"n1:1 n2:2;n3:3\"", "OK each member"),
        ("name=\"pcmk_host_list\" value=\"n1 N2 n3\"", "OK each member"),
        ("name=\"pcmk_host_list\" value=\"n1 n3\"", "FAIL no fence device is for n2"),
        ("name=\"pcmk_host_list\" value=\"n1 n20 n3\"", "FAIL no fence device is for n2"),
        ("name=\"x\" value=\"\"", "UNKNOWN whether a device can fence n2"),
        (
            "name=\"pcmk_host_check\" value=\"dynamic-list\"",
            "UNKNOWN whether a device can fence n1",
        ),
    ] {
        assert!(report(hosts).contains(expected), "{hosts}: {}", report(hosts));
    }
    // It was fenced, so there is a way.
    let list = "name=\"x\" value=\"\"";
    assert_eq!(said(&facts_of(&healthy.replace(HOSTS, list), "trixie")), [""; 0]);
    // A device that does not run fences nobody.
    let mut stopped = facts_of(&healthy, "trixie");
    if let Known::Known(status) = &mut stopped.status {
        for instance in status.instances.iter_mut().filter(|one| one.resource == "fence") {
            instance.active = false;
        }
    }
    only(
        "stopped",
        &stopped,
        "FAIL fencing-devices: the fence device fence is configured and not running",
    );
}

#[test]
fn fencing_that_was_not_tried_or_failed_or_long_ago_is_named() {
    let with = |change: &dyn Fn(&mut Vec<FenceEvent>)| {
        let mut facts = healthy();
        if let Known::Known(status) = &mut facts.status
            && let FenceHistory::Events(events) = &mut status.fencing
        {
            change(events);
        }
        facts
    };
    let outcome = |outcome: FenceOutcome| {
        with(&move |events| {
            let newer = FenceEvent { outcome: outcome.clone(), ..events[1].clone() };
            events.insert(0, newer);
        })
    };
    let never = with(&|events| events.retain(|event| event.target != node("n3")));
    only("never", &never, "WARN fencing-tested: no fencing of n3 is remembered");
    let old = with(&|events| events[0].completed = Some("2026-01-02 03:04:05Z".into()));
    only("old", &old, "WARN fencing-tested: n1 was last fenced 328 days ago");
    let odd = with(&|events| events[0].completed = Some("yesterday".into()));
    only("odd", &odd, "UNKNOWN fencing-tested: when n1 was fenced last is not understood");
    let failed = outcome(FenceOutcome::Failed);
    only("failed", &failed, "FAIL fencing-tested: the last attempt to fence n2 failed");
    assert_eq!(said(&outcome(FenceOutcome::Pending)), [""; 0]);
    let mut silent = healthy();
    if let Known::Known(status) = &mut silent.status {
        status.fencing = FenceHistory::Unavailable("124".into());
    }
    only("silent", &silent, "UNKNOWN fencing-tested: the history of fencing cannot be read");
}

#[test]
fn a_standby_whose_monitor_pacemaker_has_lost_is_named() {
    for release in RELEASES {
        let cib = healthy_cib(release);
        let of = |name: &&str| part(&cib, &format!("uname=\"{name}\" in_ccm"), "</lrm_resource>");
        let is_standby = |name: &&str| of(name).contains("db_monitor_11000");
        let name = ["n1", "n2", "n3"].into_iter().find(is_standby).unwrap();
        let standby = of(&name);
        let memory = standby
            .replace("id=\"db_monitor_11000\"", "id=\"db_last_failure_0\"")
            .replace("interval=\"11000\"", "interval=\"8000\"");
        let lost = facts_of(&cib.replace(standby, &memory), release);
        only(release, &lost, &format!("WARN watched: {name} runs and is not monitored"));
    }
}

#[test]
fn two_nodes_need_a_delay_that_has_an_effect() {
    let two = of_two(&healthy_cib("trixie"));
    let delay = "name=\"priority-fencing-delay\" value=\"15s\"";
    let without = two.replace(delay, "name=\"x\" value=\"\"");
    let name = "FAIL two";
    only(name, &facts_of(&without, "trixie"), "WARN fencing-delay: shoot at the same moment");
    let zero = two.replace(delay, "name=\"priority-fencing-delay\" value=\"0\"");
    only(name, &facts_of(&zero, "trixie"), "WARN fencing-delay: shoot at the same moment");
    let priority = two.replace("name=\"priority\" value=\"10\"", "name=\"x\" value=\"10\"");
    only(name, &facts_of(&priority, "trixie"), "WARN fencing-delay: the database has no priority");
    let device = "name=\"pcmk_host_list\"";
    for (parameter, expected) in [
        ("name=\"pcmk_delay_base\" value=\"n1:0s;n2:5s\"", true),
        ("name=\"pcmk_delay_max\" value=\"5s\"", true),
        ("name=\"pcmk_delay_max\" value=\"0s\"", false),
        // Both wait, and then shoot at the same moment.
        ("name=\"pcmk_delay_base\" value=\"5s\"", false),
    ] {
        let own = format!("{parameter}/><nvpair id=\"y\" name=\"pcmk_host_list\"");
        let said = said(&facts_of(&without.replace(device, &own), "trixie"));
        assert_eq!(said.is_empty(), expected, "{parameter}: {said:?}");
    }
    let ignore = two.replace(POLICY, "name=\"no-quorum-policy\" value=\"ignore\"");
    only(name, &facts_of(&ignore, "trixie"), "WARN quorum-policy: which two nodes do not need");
}

#[test]
fn members_that_pacemaker_does_not_know_are_named() {
    let list = |names: &str| {
        let cib = healthy_cib("trixie")
            .replace("value=\"n1 n2 n3\" id=\"db-", &format!("value=\"{names}\" id=\"db-"));
        // Who is asked is not what this is about.
        Facts { here: Here::NoMember(node("n1")), ..facts_of(&cib, "trixie") }
    };
    let facts = |names: &str| {
        let said = said(&list(names));
        said.into_iter().filter(|line| line.contains(" members: ")).collect::<Vec<_>>().join("\n")
    };
    assert!(facts("n1 n2 n3.example.org").contains("FAIL members: node_list has n3.example.org"));
    assert!(facts("n1 n2 N3").contains("(is n3 meant?)"));
    assert!(facts("n1").contains("WARN members: there is one member"));
    let address = healthy_cib("trixie").replace(
        "name=\"repuser\" value=\"replicator\"",
        "name=\"node_addresses\" value=\"n1=10.0.0.11 N2=10.0.0.12\"",
    );
    let said = said(&facts_of(&address, "trixie")).join("\n");
    assert!(
        said.contains("WARN members: node_addresses has N2, which is no member (is n2 meant?)"),
        "{said}"
    );
}

#[test]
fn nodes_in_maintenance_and_of_different_versions_are_named() {
    for release in RELEASES {
        let with = |change: &dyn Fn(&mut NodeStatus)| {
            let mut facts = facts_of(&healthy_cib(release), release);
            if let Known::Known(status) = &mut facts.status {
                change(status.nodes.iter_mut().find(|one| one.name == node("n2")).unwrap());
            }
            facts
        };
        let facts = with(&|node| node.maintenance = true);
        only(release, &facts, "WARN maintenance: in maintenance mode: n2");
        let facts = with(&|node| node.feature_set = Some("3.99.0".into()));
        only(release, &facts, "WARN pacemaker: the nodes run different versions");
        let mut facts = facts_of(&healthy_cib(release), release);
        if let Known::Known(status) = &mut facts.status {
            status.instances.iter_mut().for_each(|instance| instance.managed = false);
        }
        only(release, &facts, "WARN maintenance: Pacemaker does not manage db");
    }
}

#[test]
fn fencing_that_the_owner_does_without_is_a_warning() {
    let cib = healthy_cib("trixie")
        .replace("\"stonith-enabled\" value=\"true\"", "\"stonith-enabled\" value=\"false\"")
        .replace("name=\"repuser\" value=\"replicator\"", "name=\"fencing\" value=\"advised\"");
    only("advised", &facts_of(&cib, "trixie"), "WARN fencing-enabled: fencing=advised accepts");
}
