//! A rewind that breaks off, and one that never begins.

use std::fs;
use std::sync::atomic::Ordering;

use pgtwin::cluster::recovery::{Kept, Method, Phase, Turn};
use pgtwin::decide::facts::{DataDir, Instance};
use pgtwin::decide::recovery::{Cause, Way};
use pgtwin::decide::start::Upstream;
use pgtwin::sys::deadline::Deadline;

use crate::turn;
use crate::world::{TIME, World, marker, node, subject, work};

/// What a monitor of n2 finds: the primary, its own instance, and the way back.
fn seen(world: &World) -> (Upstream, Instance, Way) {
    let mut agent = subject(world).agent(world, TIME).unwrap();
    let view = agent.view().known().unwrap();
    let file = agent.home.read();
    let upstream = agent.find_upstream(&view, &file, None);
    let instance = agent.pg.look(&Deadline::after(TIME));
    let cause = Some(Cause::Diverged("data diverged".into()));
    let way = agent.way_back(cause.as_ref(), &upstream, &instance, Turn::Now).0;
    (upstream, instance, way)
}

#[test]
fn what_a_broken_rewind_has_left_is_kept_by_nobody_and_drives_out_no_backup() {
    let Some(_turn) = turn() else { return };
    let world = World::new();
    world.write_ledger();
    world.part();
    world.make_dir("standby.backup.20201126-031500");
    world.touch("standby.backup.20201126-031500/mark");
    world.breaks.store(true, Ordering::Relaxed);
    work(&world).unwrap();
    world.streams();
    assert_eq!(marker(&world), Kept::Missing);
    let log = World::last_log();
    assert!(log.contains("Rewind failed: "), "{log}");
    assert!(log.contains("no backup is made of it, and an earlier one stays"), "{log}");
    let left: Vec<String> =
        world.beside("standby.").into_iter().filter(|name| name != "standby.log").collect();
    assert_eq!(left, ["standby.backup.20201126-031500"], "{log}");
    assert!(world.has("standby.backup.20201126-031500/mark"));
}

#[test]
fn a_source_that_is_none_any_more_gives_up_the_attempt_and_no_copy_follows() {
    let Some(_turn) = turn() else { return };
    let world = World::new();
    world.write_ledger();
    world.part();
    let before = fs::metadata(world.path("standby/mark-of-the-old-data")).unwrap().modified();
    world.overtakes.store(true, Ordering::Relaxed);
    let why = work(&world).unwrap_err();
    let newer = "n1 accepts writes, and the ledger's primary is n4 (term 2)";
    assert!(why.contains(newer), "{why}");
    let log = World::last_log();
    assert!(log.contains("RecoverCrash") && !log.contains("EnsureSlot"), "{log}");
    let Kept::Read(found) = marker(&world) else { panic!("no marker") };
    assert_eq!((found.method, found.phase), (Method::Rewind, Phase::Recovering));
    assert!(!found.half_done && !found.ruin);
    let after = fs::metadata(world.path("standby/mark-of-the-old-data")).unwrap().modified();
    assert_eq!(before.unwrap(), after.unwrap());

    // As long as it is so nothing begins.
    let (upstream, instance, way) = seen(&world);
    assert!(matches!(upstream, Upstream::Disowned(node, _) if node == self::node("n1")));
    assert!(matches!(instance.data, DataDir::Cluster(_)));
    let Way::Wait(why) = way else { panic!("{way:?}") };
    assert!(why.starts_with(newer) && why.ends_with("; data diverged"), "{why}");
    // And then it is rewound, and not copied: nothing was wrong with a rewind.
    world.overtakes.store(false, Ordering::Relaxed);
    world.overtaken.store(false, Ordering::Relaxed);
    let (_, _, way) = seen(&world);
    assert_eq!(way, Way::Recover(Method::Rewind, "data diverged".into()));
}
