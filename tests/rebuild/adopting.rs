//! Data that an operator has given up is replaced, and `pgtwin adopt` does what it says.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use pgtwin::agent::adopt::Begun;
use pgtwin::client::ledger_file::OwnFile;
use pgtwin::cluster::ledger::{PromotionId, Slot};
use pgtwin::cluster::recovery::Kept;
use pgtwin::decide::adopt::{Facts, LEAP, Ruling, judge};
use pgtwin::decide::report::Server;

use crate::turn;
use crate::world::{TIME, World, marker, node, subject, work};

#[test]
fn data_is_replaced_where_it_was_given_up_and_nowhere_else_and_adopt_does_what_it_says() {
    let Some(_turn) = turn() else { return };
    let mut world = World::new();
    world.write_ledger();
    world.stop("standby");
    given_up_data_is_replaced(&mut world);
    world.stop("standby");
    own_data_is_adopted(&mut world);
}

/// n1 has another database system: that of n2 is left alone, until an operator has given it up.
fn given_up_data_is_replaced(world: &mut World) {
    let old = world.system;
    world.another_primary();
    for adopted in [None, Some(vec![]), Some(vec![old + 1])] {
        world.adopted = adopted;
        work(world).unwrap_err();
        assert_eq!(world.own_system(), old);
        assert_eq!(marker(world), Kept::Missing);
    }
    world.adopted = Some(vec![old + 1, old]);
    work(world).unwrap();
    world.streams();
    assert_eq!(marker(world), Kept::Missing);
    assert_eq!(world.own_system(), world.system);
    let OwnFile::Read(own) = subject(world).home().read() else { panic!("no ledger file") };
    assert_eq!(own.followed, Some(PromotionId(world.promotion)));
}

/// What the command does, with what it finds in the way.
fn own_data_is_adopted(world: &mut World) {
    let absent = |why: &str| BTreeMap::from([(node("n1"), Server::Absent(why.to_owned()))]);
    let facts = |world: &World| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        agent.adopt_facts(&node("n2"), &absent("nobody listens")).unwrap()
    };
    let judged = |world: &World| judge(&facts(world));
    let refused = |world: &World, words: &str| match judged(world) {
        Ruling::Refused(why) => assert!(why.contains(words), "{words}: {why}"),
        Ruling::Possible(_) => panic!("{words}"),
    };
    world.stop("primary");
    refused(world, "Pacemaker has c running on n1");
    world.stopped.store(true, Ordering::Relaxed);
    let label = world.home.path().join("standby/backup_label");
    fs::write(&label, "").unwrap();
    refused(world, "backup_label is there");
    fs::remove_file(&label).unwrap();
    world.start("standby");
    refused(world, "PostgreSQL has to be stopped here, and it runs");
    world.stop("standby");
    // As the server itself would read it, and not by the letters of a file.
    let conf = world.home.path().join("standby/postgresql.conf");
    let plain = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{plain}Restore_Command 'false'\n")).unwrap();
    refused(world, "restore_command is set here");
    let told = Facts { keep_restore_command: true, ..facts(world) };
    assert!(matches!(judge(&told), Ruling::Possible(_)), "{:?}", judge(&told));
    fs::write(&conf, format!("{plain}recovery_target_time = '2026-01-01 00:00:00+00'\n")).unwrap();
    refused(world, "recovery_target_time is set here");
    fs::write(&conf, format!("{plain}restore_command = nonsense nonsense\n")).unwrap();
    refused(world, "whether a restore_command is set here is not known");
    fs::write(&conf, plain).unwrap();
    let Ruling::Possible(proposal) = judged(world) else { panic!("{:?}", judged(world)) };
    assert_eq!((proposal.term, proposal.system_id), (world.promotion - 6 + LEAP, world.system));

    // Before the others know of it, the own file permits nothing; and it goes no further than they know.
    let begin = |world: &World| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        agent.home.take_turn(TIME).unwrap();
        agent.begin_adoption(&proposal, "a test").unwrap()
    };
    let end = |world: &World, begun: &Begun| {
        let mut agent = subject(world).agent(world, TIME).unwrap();
        agent.home.take_turn(TIME).unwrap();
        agent.end_adoption(begun, "a test")
    };
    let own = |world: &World| match subject(world).home().read() {
        OwnFile::Read(own) => own,
        other => panic!("{other:?}"),
    };
    let begun = begin(world);
    assert_eq!(world.epoch.load(Ordering::Relaxed), 5);
    let file = own(world);
    assert!(file.unfinished().is_some() && file.store.done(&node("n2")).is_none(), "{file:?}");
    let slot: Slot = world.slot.lock().unwrap().as_ref().unwrap().parse().unwrap();
    assert_eq!(slot.done.as_ref(), Some(&begun.entry));
    let was = world.slot.lock().unwrap().take();
    assert!(end(world, &begun).unwrap_err().contains("the CIB does not have it any more"));
    *world.slot.lock().unwrap() = was;
    world.epoch.store(4, Ordering::Relaxed);
    assert!(end(world, &begun).unwrap_err().contains("the CIB does not have it any more"));
    assert!(own(world).unfinished().is_some());

    // It goes on when it is run again.
    let begun = begin(world);
    end(world, &begun).unwrap();
    let file = own(world);
    assert_eq!((file.unfinished(), file.followed), (None, Some(begun.entry.id)));
    assert_eq!(file.store.entries().collect::<Vec<_>>(), [&begun.entry]);
    assert_eq!(begun.entry.adopted, Some(world.adopted.clone().unwrap()));
}
