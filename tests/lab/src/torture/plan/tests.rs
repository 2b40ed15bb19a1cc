//! What holds of every plan.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn shape(nodes: usize) -> Shape {
    Shape { nodes, disks: true, clocks: true }
}

fn steps(seed: u64, nodes: usize, number: usize) -> Vec<Step> {
    Plan::new(seed, shape(nodes), &[]).take(number).collect()
}

#[test]
fn so_many_nodes_may_be_gone_at_a_time() {
    for (nodes, expected) in [(2, 1), (3, 1), (4, 1), (5, 2)] {
        assert_eq!(shape(nodes).may_lose(), expected, "{nodes}");
    }
}

#[test]
fn the_same_seed_gives_the_same_plan_and_a_longer_one_begins_like_a_shorter_one() {
    assert_eq!(steps(11, 3, 60), steps(11, 3, 60));
    assert_eq!(steps(11, 3, 60).get(..20), Some(steps(11, 3, 20).as_slice()));
    assert_ne!(steps(11, 3, 20), steps(12, 3, 20));
    assert_ne!(steps(11, 3, 20), steps(11, 2, 20), "another shape, another plan");
}

#[test]
fn no_plan_takes_more_nodes_away_than_leave_a_majority() {
    for nodes in 2..=5 {
        for seed in 0..300 {
            let mut away = 0;
            for step in steps(seed, nodes, 40) {
                let shape = shape(nodes);
                let reach = step.reach(shape);
                if step.kind == Kind::KillAllNodes {
                    assert!(step.with.is_none() && away == 0, "seed {seed}: {step}");
                    assert!(matches!(step.rest, Rest::Well(_)), "seed {seed}: {step}");
                } else {
                    assert!(away + reach <= shape.may_lose(), "seed {seed}, {nodes} nodes: {step}");
                }
                away = if matches!(step.rest, Rest::Hurry(_)) { reach } else { 0 };
            }
        }
    }
}

#[test]
fn each_fault_lasts_as_long_as_its_row_says_and_fencing_fails_only_where_it_is_asked() {
    for seed in 0..200 {
        for step in steps(seed, 3, 40) {
            let (least, most) = step.kind.row().hold;
            assert!(
                (least * 1000..=most * 1000)
                    .contains(&u64::try_from(step.hold.as_millis()).unwrap_or(0))
            );
            if step.fencing != Fencing::Works {
                assert!(step.kind.reach(3) == 1, "seed {seed}: {step}");
            }
            if let Some((after, kind, _)) = &step.with {
                assert!(*after <= step.hold && *kind != step.kind, "seed {seed}: {step}");
            }
        }
    }
}

#[test]
fn every_kind_comes_about_as_often_as_its_weight_says() {
    let mut seen: BTreeMap<Kind, u64> = BTreeMap::new();
    for seed in 0..400 {
        for step in steps(seed, 5, 50) {
            *seen.entry(step.kind).or_default() += 1;
        }
    }
    let all: u64 = Kind::ALL.iter().map(|row| row.weight).sum();
    for row in Kind::ALL {
        let (expected, found) =
            (20_000 * row.weight / all, seen.get(&row.kind).copied().unwrap_or(0));
        assert!(
            found * 2 > expected && found < expected * 2,
            "{}: {found} of {expected}",
            row.name
        );
    }
}

#[test]
fn all_variants_are_drawn_by_some_seed() {
    let mut words = BTreeSet::new();
    for seed in 0..400 {
        for step in steps(seed, 3, 50) {
            words.insert(step.to_string().split_once(": ").map(|(_, rest)| rest.to_owned()));
        }
    }
    let all: Vec<String> = words.into_iter().flatten().collect();
    for part in [
        "Kill Postmaster of the primary",
        "Pause Postmaster of a standby",
        "Pause Instance",
        "Kill Client of the primary",
        "Kill Checkpointer",
        "Kill Startup of a standby",
        "Kill Receiver of a standby",
        "Pause Sender of the primary",
        "kill the agent on a node",
        "Kill corosync",
        "Kill pacemakerd",
        "Kill pacemaker-based",
        "Kill pacemaker-attrd",
        "Kill pacemaker-execd",
        "Kill pacemaker-controld",
        "Kill pacemaker-fenced",
        "Kill pacemaker-schedulerd",
        "Pause corosync",
        "Pause pacemaker-attrd",
        "freeze the primary",
        "freeze a standby",
        "boot at once",
        "cut the power of all nodes",
        "cut All at",
        "cut In at",
        "cut Out at",
        "cut Pair at",
        "cut Replication at",
        "cut Corosync at",
        "fill the disk of",
        "freeze the disk of the primary",
        "freeze the disk of a standby",
        "break the disk of the primary",
        "break the disk of a standby",
        "set the clock of the primary by +3600 s",
        "set the clock of a standby by -3600 s",
        "set the clock of the primary by -2 s; after",
        "set the clock of the primary by +45 s",
        "by switchover",
        "by crm_resource",
        "as a superuser",
        "end sessions while they commit, receivers stopped",
        "cancel statements while they commit;",
        "MaintenanceOn",
        "MaintenanceOff",
        "NodeMaintenance",
        "Standby after",
        "Online after",
        "Cleanup after",
        "Refresh after",
        "Pause after",
        "Resume after",
        "Switchover after",
        "rebuild a standby",
        "fencing fails",
        "fencing takes",
        "the next after",
        "until well",
    ] {
        assert!(all.iter().any(|line| line.contains(part)), "no step has {part:?}");
    }
}

#[test]
fn only_the_wanted_kinds_come_and_none_that_the_cluster_cannot_have() {
    let wanted = [Kind::Isolate, Kind::KillNode];
    let plan: Vec<Step> = Plan::new(5, shape(3), &wanted).take(50).collect();
    assert_eq!(plan.len(), 50);
    assert!(plan.iter().all(|step| wanted.contains(&step.kind)));
    let small = Shape { nodes: 2, disks: false, clocks: false };
    let never = [Kind::CutPair, Kind::FullDisk, Kind::FrozenDisk, Kind::ReadOnlyDisk, Kind::Clock];
    assert!(Plan::new(5, small, &[]).take(500).all(|step| !never.contains(&step.kind)));
    assert_eq!(Plan::new(5, small, &never).next(), None);
}
