//! Rows over documents that real clusters of all supported versions printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use pgtwin::cluster::absence::{Absence, absence};
use pgtwin::cluster::cib::{Cib, Setting};
use pgtwin::cluster::known::Known;
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::topology::{
    ClusterStatus, FenceHistory, FenceOutcome, NodeState, Quorum, Role,
};

const RELEASES: &[&str] = &["bookworm", "trixie", "forky"];

fn read(release: &str, file: &str) -> String {
    let path = format!("{}/tests/fixtures/pacemaker/{release}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn status(release: &str, case: &str) -> ClusterStatus {
    ClusterStatus::parse(&read(release, &format!("{case}.crm_mon.xml")))
        .unwrap_or_else(|error| panic!("{release} {case}: {error}"))
}

fn cib(release: &str, case: &str) -> Cib {
    Cib::parse(&read(release, &format!("{case}.cib.xml")))
        .unwrap_or_else(|error| panic!("{release} {case}: {error}"))
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// The clusters were captured with three nodes n1, n2, n3; n3 is the one that things happen to,
/// but for `standby`, where it is n2.
#[test]
fn every_release_tells_the_state_of_every_node_in_every_case() {
    use NodeState::{OfflineClean, OfflineUnclean, OnlineMember, Pending, Unknown};
    let rows: &[(&str, [NodeState; 3], Quorum)] = &[
        ("healthy", [OnlineMember, OnlineMember, OnlineMember], Quorum::Quorate),
        ("standby", [OnlineMember, OnlineMember, OnlineMember], Quorum::Quorate),
        ("maintenance", [OnlineMember, OnlineMember, OnlineMember], Quorum::Quorate),
        // Pacemaker stopped in an orderly way while corosync still runs: no proof of anything.
        ("pacemaker-stopped", [OnlineMember, OnlineMember, Pending], Quorum::Quorate),
        ("offline-clean", [OnlineMember, OnlineMember, OfflineClean], Quorum::Quorate),
        ("unclean", [OnlineMember, OnlineMember, OfflineUnclean], Quorum::Quorate),
        ("fenced", [OnlineMember, OnlineMember, OfflineClean], Quorum::Quorate),
        ("no-quorum", [OnlineMember, OfflineUnclean, OfflineUnclean], Quorum::Inquorate),
        // n1 alone after a power cut: before its controller is elected, and after.
        ("boot-no-controller", [OfflineUnclean; 3], Quorum::NoController),
        ("boot-alone", [OnlineMember, OfflineUnclean, OfflineUnclean], Quorum::Inquorate),
        // pacemakerd and its children of n3 killed, corosync alive.
        ("pacemaker-crashed", [OnlineMember, OnlineMember, Unknown], Quorum::Quorate),
        (
            "pacemaker-stopped-in-maintenance",
            [OnlineMember, OnlineMember, Pending],
            Quorum::Quorate,
        ),
        ("left-in-maintenance", [OnlineMember, OnlineMember, OfflineClean], Quorum::Quorate),
        // Offline and "clean" without any proof.
        ("no-fencing-lost", [OnlineMember, OnlineMember, OfflineClean], Quorum::Quorate),
        ("no-startup-fencing", [OnlineMember, OfflineClean, OfflineClean], Quorum::Inquorate),
        ("banned", [OnlineMember, OnlineMember, OnlineMember], Quorum::Quorate),
        ("failed", [OnlineMember, OnlineMember, OnlineMember], Quorum::Quorate),
    ];
    for release in RELEASES {
        for (case, expected, quorum) in rows {
            let status = status(release, case);
            let states = ["n1", "n2", "n3"].map(|name| status.node_state(&node(name)));
            assert_eq!(&states, expected, "{release} {case}");
            assert_eq!(status.quorum, *quorum, "{release} {case}");
            assert_eq!(status.node_state(&node("n4")), NodeState::Unknown);
        }
    }
}

#[test]
fn the_instances_of_a_promotable_clone_are_found_with_role_and_node() {
    for release in RELEASES {
        let status = status(release, "healthy");
        let instances: Vec<_> = status.instances_of("db").collect();
        assert_eq!(instances.len(), 3, "{release}");
        let promoted: Vec<_> = status.promoted_on("db").collect();
        assert_eq!(promoted.len(), 1, "{release}");
        assert_eq!(instances.iter().filter(|i| i.role == Role::Unpromoted).count(), 2);
        for instance in instances {
            assert_eq!(instance.clone.as_deref(), Some("db-clone"));
            assert_eq!(instance.agent, "ocf:pacemaker:Stateful");
            assert!(instance.active && instance.managed && !instance.failed && !instance.blocked);
        }
        assert_eq!(status.instances_of("fence").count(), 1);
        assert_eq!(status.full_members().count(), 3);
        assert!(status.options.fencing_enabled && !status.options.maintenance_mode);
        assert_eq!(status.options.no_quorum_policy, "stop");
        assert_eq!(status.attributes[promoted[0]]["master-db"], "10", "{release}");
    }
}

#[test]
fn maintenance_is_seen_as_an_option_and_as_unmanaged_instances() {
    for release in RELEASES {
        let status = status(release, "maintenance");
        assert!(status.options.maintenance_mode, "{release}");
        assert!(status.instances_of("db").all(|i| !i.managed), "{release}");
    }
}

#[test]
fn a_standby_node_is_online_and_has_a_stopped_instance() {
    for release in RELEASES {
        let status = status(release, "standby");
        assert!(status.node(&node("n2")).unwrap().standby, "{release}");
        assert!(!status.node(&node("n1")).unwrap().standby, "{release}");
        assert_eq!(status.instances_of("db").filter(|i| i.role == Role::Stopped).count(), 1);
        let cib = cib(release, "standby");
        let n2 = cib.nodes.iter().find(|n| n.name == node("n2")).unwrap();
        assert_eq!(n2.attributes["standby"], Setting::Set("on".into()), "{release}");
    }
}

#[test]
fn only_a_fencing_that_succeeded_counts_as_fenced() {
    for release in RELEASES {
        let fenced = status(release, "fenced");
        let n3 = node("n3");
        let event = fenced.fenced(&n3).next().unwrap();
        assert_eq!(event.action, "reboot");
        assert!(event.completed.as_deref().unwrap().starts_with("2026-"), "{release}");
        assert_eq!(fenced.fenced(&node("n1")).count(), 0);
        let FenceHistory::Events(events) = &status(release, "unclean").fencing else {
            panic!("{release}: no history");
        };
        assert!(events.iter().any(|e| e.outcome == FenceOutcome::Failed), "{release}");
        assert!(events.iter().any(|e| e.outcome == FenceOutcome::Pending), "{release}");
        assert_eq!(status(release, "healthy").fenced(&n3).count(), 0, "{release}");
    }
}

#[test]
fn the_cib_names_the_primitive_its_clone_its_parameters_and_the_fence_devices() {
    for release in RELEASES {
        let cib = cib(release, "healthy");
        let db = cib.primitive("db:1").unwrap();
        assert_eq!((db.class.as_str(), db.agent.as_str()), ("ocf", "Stateful"));
        assert_eq!(db.provider.as_deref(), Some("pacemaker"));
        assert_eq!(db.parameter("envfile"), Some(&Setting::Set("/tmp/env".into())));
        assert_eq!(db.operations.len(), 2);
        let clone = db.clone.as_ref().unwrap();
        assert_eq!(clone.id, "db-clone");
        assert!(clone.promotable);
        assert_eq!(clone.meta["notify"], Setting::Set("true".into()));
        assert_eq!(cib.primitives_of("Stateful").count(), 1);
        let fencing = cib.fencing();
        assert_eq!(fencing.devices, ["fence"]);
        assert_eq!(fencing.offline_means_down(), Ok(()));
        assert_eq!(cib.no_quorum_policy(), Known::Known("stop".into()));
        assert_eq!(cib.full_members().count(), 3);
        assert_eq!(cib.have_quorum, Some(true));
        let mut scores: Vec<_> = cib.scores("db").into_values().collect();
        scores.sort_by_key(|score| score.clone().known());
        assert_eq!(scores, [Known::Known(5), Known::Known(5), Known::Known(10)], "{release}");
    }
}

#[test]
fn the_status_section_tells_who_is_joined_and_who_is_down() {
    for release in RELEASES {
        let entry = |case: &str| {
            let cib = cib(release, case);
            cib.node_states.into_iter().find(|n| n.name == node("n3")).unwrap()
        };
        assert_eq!(entry("healthy").join.as_deref(), Some("member"), "{release}");
        assert_eq!(entry("fenced").join.as_deref(), Some("down"), "{release}");
        assert_eq!(entry("fenced").expected.as_deref(), Some("down"), "{release}");
        assert_eq!(entry("unclean").expected.as_deref(), Some("member"), "{release}");
        assert!(entry("fenced").transient.is_empty(), "{release}");
        let alone = cib(release, "boot-alone");
        assert_eq!(alone.node_states.len(), 1, "{release}: peers have no entry");
    }
}

#[test]
fn no_part_of_an_answer_is_taken_for_an_answer() {
    for release in RELEASES {
        let whole = read(release, "fenced.crm_mon.xml");
        for end in (0..whole.trim_end().len()).step_by(7) {
            assert!(ClusterStatus::parse(&whole[..end]).is_err(), "{release} {end}");
        }
        let whole = read(release, "fenced.cib.xml");
        for end in (0..whole.trim_end().len()).step_by(7) {
            assert!(Cib::parse(&whole[..end]).is_err(), "{release} {end}");
        }
        // Each of the documents is no answer to the other question.
        assert!(ClusterStatus::parse(&whole).is_err());
        assert!(Cib::parse(&read(release, "fenced.crm_mon.xml")).is_err());
    }
}

#[test]
fn a_flag_that_is_gone_or_odd_makes_the_whole_answer_unusable() {
    for release in RELEASES {
        let whole = read(release, "unclean.crm_mon.xml");
        for (from, to) in [
            ("unclean=\"true\"", ""),
            ("unclean=\"true\"", "unclean=\"maybe\""),
            ("online=\"false\"", ""),
            ("with_quorum=\"true\"", ""),
            ("<status code=\"0\" message=\"OK\"/>", ""),
            ("<status code=\"0\"", "<status code=\"102\""),
            ("stonith-enabled=\"true\"", ""),
        ] {
            let changed = whole.replace(from, to);
            assert_ne!(changed, whole, "{release}: {from} is not in the fixture");
            assert!(ClusterStatus::parse(&changed).is_err(), "{release}: {from} -> {to:?}");
        }
    }
}

#[test]
fn a_node_is_proven_gone_only_if_it_was_fenced_or_stopped_its_instance_before_it_left() {
    let proven = Absence::Proven;
    let assumed = |why: &str| Absence::Assumed(why.into());
    let present = |why: &str| Absence::Present(why.into());
    let unmanaged = "its Pacemaker left while the instance was unmanaged: PostgreSQL may run there";
    let rows = [
        ("healthy", present("it is online")),
        ("fenced", proven.clone()),
        ("offline-clean", proven.clone()),
        ("pacemaker-stopped", proven),
        ("unclean", present("it is lost and has not been fenced")),
        ("no-quorum", present("it is lost and has not been fenced")),
        ("boot-alone", present("it is lost and has not been fenced")),
        ("boot-no-controller", present("it is lost and has not been fenced")),
        ("pacemaker-crashed", present("its state is not known")),
        ("left-in-maintenance", present(unmanaged)),
        ("pacemaker-stopped-in-maintenance", present(unmanaged)),
        ("no-fencing-lost", assumed("fencing is disabled (stonith-enabled=false)")),
        ("no-startup-fencing", assumed("startup-fencing=false")),
    ];
    for release in RELEASES {
        for (case, expected) in &rows {
            let (status, cib) = (status(release, case), cib(release, case));
            assert_eq!(&absence(&status, &cib, "db", &node("n3")), expected, "{release} {case}");
        }
        let (status, cib) = (status(release, "fenced"), cib(release, "fenced"));
        let stranger = absence(&status, &cib, "db", &node("n4"));
        assert_eq!(stranger, present("its state is not known"), "{release}");
    }
}

#[test]
fn without_fencing_a_lost_node_is_shown_as_clean_and_that_means_nothing() {
    for release in RELEASES {
        let cib = cib(release, "no-fencing-lost");
        assert_eq!(cib.fencing().enabled, Known::Known(false), "{release}");
        assert!(cib.fencing().offline_means_down().is_err(), "{release}");
        assert!(!status(release, "no-fencing-lost").options.fencing_enabled, "{release}");
    }
}

#[test]
fn a_ban_is_listed_by_crm_mon_and_in_the_cib() {
    for release in RELEASES {
        let status = status(release, "banned");
        let ban = &status.bans[0];
        assert_eq!((ban.resource.as_str(), ban.node.as_str()), ("db-clone", "n2"), "{release}");
        assert!(!ban.promoted_only);
        let cib = cib(release, "banned");
        let location = cib.locations_of(cib.primitive("db").unwrap()).next().unwrap();
        assert_eq!(location.id, ban.id);
        assert_eq!(location.node.as_deref(), Some("n2"));
        assert_eq!(location.score.as_deref(), Some("-INFINITY"));
    }
}

#[test]
fn an_instance_that_could_not_be_stopped_is_failed_and_blocked() {
    for release in RELEASES {
        let status = status(release, "failed");
        let failed: Vec<_> = status.instances_of("db").filter(|i| i.failed).collect();
        assert_eq!(failed.len(), 1, "{release}");
        assert!(failed[0].blocked && failed[0].active);
        assert_eq!(failed[0].nodes, [node("n2")]);
    }
}

#[test]
fn the_ledger_is_read_from_a_set_of_its_own_and_private_attributes_are_not_in_the_cib() {
    for release in RELEASES {
        let cib = cib(release, "banned");
        let ledgers = cib.ledgers("db");
        assert_eq!(ledgers[&node("n1")], "done term=3 seq=5 primary=n1 heirs=n2,n3", "{release}");
        assert_eq!(ledgers.len(), 2, "{release}");
        assert!(cib.ledgers("d").is_empty());
        assert_eq!(
            cib.transient("pgtwin-db-state")[&node("n1")],
            Setting::Set("streaming".into()),
            "{release}"
        );
        assert!(cib.transient("pgtwin-db-ack").is_empty(), "{release}");
    }
}

#[test]
fn no_damage_to_an_answer_makes_the_parsers_panic_or_invent_a_node() {
    for release in RELEASES {
        for case in ["fenced", "failed"] {
            let whole = read(release, &format!("{case}.crm_mon.xml"));
            for damaged in damages(&whole) {
                if let Ok(status) = ClusterStatus::parse(&damaged) {
                    assert!(status.nodes.len() <= 3, "{release} {case}");
                }
            }
            let whole = read(release, &format!("{case}.cib.xml"));
            for damaged in damages(&whole) {
                if let Ok(cib) = Cib::parse(&damaged) {
                    assert!(cib.nodes.len() <= 3, "{release} {case}");
                }
            }
        }
    }
}

/// A document with one piece missing, doubled or replaced, at many places.
fn damages(whole: &str) -> impl Iterator<Item = String> + '_ {
    (0..whole.len()).step_by(whole.len() / 25).flat_map(move |at| {
        let (before, after) = whole.split_at(at);
        let rest = &after[after.len().min(9)..];
        [
            format!("{before}{rest}"),
            format!("{before}{after}{after}"),
            format!("{before}<x y=\"&#0;\">{after}"),
            format!("{before}\u{0}\u{fffd}{rest}"),
            format!("{before}-99999999999999999999{rest}"),
        ]
    })
}
