//! Rows over documents that real clusters of all supported versions printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

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
    use NodeState::{OfflineClean, OfflineUnclean, OnlineMember, Pending};
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
