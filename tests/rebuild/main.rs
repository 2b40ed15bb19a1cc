//! `pgtwin rebuild` and `pgtwin adopt` on a real primary and a real standby; Pacemaker's tools alone are played.
//! Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../account/mod.rs"]
#[allow(dead_code)]
mod account;
mod adopting;
mod world;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use account::is_root;
use pgtwin::agent::operate::Subject;
use pgtwin::agent::recover::now;
use pgtwin::agent::worker;
use pgtwin::cluster::asked::{Order, OrderId};
use pgtwin::cluster::ledger::{Own, PromotionId};
use pgtwin::cluster::recovery::{Kept, Marker, Method};
use pgtwin::decide::recovery::Way;
use world::{RESOURCE, TIME, World, node};

const REASON: &str = "a full copy was asked for (a test)";

fn subject(world: &World) -> Subject {
    Subject::find(world, Some(RESOURCE)).unwrap()
}

/// What the command does before it starts a worker.
fn make_way(world: &World) {
    let subject = subject(world);
    let way = subject.agent(world, TIME).unwrap().way_to_a_copy(REASON).unwrap();
    assert_eq!(way, Way::Recover(Method::Rebuild, REASON.into()));
    let mut agent = subject.agent(world, TIME).unwrap();
    agent.home.take_turn(TIME).unwrap();
    agent.make_way_for_a_copy(&node("n1"), REASON).unwrap();
    let Kept::Read(marker) = agent.recovery().marker() else { panic!("no marker") };
    assert!(marker.asked && !marker.half_done && marker.reason == REASON, "{marker:?}");
    assert!(!world.has("standby/postmaster.pid"), "PostgreSQL runs");
}

/// A worker, as the agent starts one.
fn work(world: &World) -> Result<(), String> {
    let order = subject(world).agent(world, TIME).unwrap().recovery().give_order().unwrap();
    worker::recover(world, RESOURCE, &node("n2"), &order)
}

fn marker(world: &World) -> Kept<Marker> {
    subject(world).agent(world, TIME).unwrap().recovery().marker()
}

/// What a monitor of n2 makes of what it finds in the CIB.
fn takes(world: &World) -> Option<Order> {
    let mut agent = subject(world).agent(world, TIME).unwrap();
    let view = agent.view().known().unwrap();
    agent.take_order(&view)
}

/// An order of another node is removed, and then it is carried out; once.
fn an_order_is_taken_once(world: &World) {
    let removed = || {
        let name = format!("--name=pgtwin-{RESOURCE}-rebuild-n2 --delete");
        world.told.lock().unwrap().iter().filter(|told| told.contains(&name)).count()
    };
    assert_eq!((takes(world), removed()), (None, 0));
    let order = |id, at| Order::new(OrderId(id), at, "operator root on n1");
    let put = |text: &str| text.clone_into(&mut world.order.lock().unwrap());
    put(&order(1, now()).to_string());
    world.sealed.store(true, Ordering::Relaxed);
    assert_eq!((takes(world), removed()), (None, 0));
    world.sealed.store(false, Ordering::Relaxed);
    assert_eq!(takes(world).map(|order| order.id), Some(OrderId(1)));
    assert_eq!(removed(), 1);
    // It is still there, or there again: somebody's CIB was older.
    assert_eq!((takes(world), removed()), (None, 2));
    for text in [order(2, now() - 700).to_string(), "rebuild, please".to_owned()] {
        put(&text);
        let before = removed();
        assert_eq!((takes(world), removed()), (None, before + 1), "{text}");
    }
    put(&order(3, now()).to_string());
    assert_eq!(takes(world).map(|order| order.by), Some("operator root on n1".to_owned()));
    put("");
}

// One test: a process is one user at a time.
#[test]
fn a_standby_is_built_anew_or_goes_on_with_its_old_data_wherever_that_is_cut_off() {
    if !is_root() {
        eprintln!("not tried: not root");
        return;
    }
    let mut world = World::new();
    let mut own = Own::new(RESOURCE, &node("n2"));
    own.store.set_done(world.entry());
    own.followed = Some(PromotionId(7));
    let mut home = subject(&world).home();
    home.take_turn(TIME).unwrap();
    home.write(&own).unwrap();
    drop(home);

    an_order_is_taken_once(&world);

    // Pacemaker has stopped it since the check.
    world.stopped.store(true, Ordering::Relaxed);
    let mut agent = subject(&world).agent(&world, TIME).unwrap();
    agent.home.take_turn(TIME).unwrap();
    let why = agent.make_way_for_a_copy(&node("n1"), REASON).unwrap_err();
    assert!(why.contains("nothing was done: Pacemaker does not run it"), "{why}");
    drop(agent);
    assert_eq!(marker(&world), Kept::Missing);
    world.streams();
    world.stopped.store(false, Ordering::Relaxed);

    // A primary that counts on its data keeps it from being replaced.
    let mut agent = subject(&world).agent(&world, TIME).unwrap();
    agent.home.take_turn(TIME).unwrap();
    let why = agent.make_way_for_a_copy(&node("n1"), REASON).unwrap_err();
    assert!(why.contains("counts on its data still"), "{why}");
    drop(agent);
    assert_eq!(marker(&world), Kept::Missing);
    world.start("standby");
    world.streams();
    world.stubborn.store(false, Ordering::Relaxed);
    world.asked.store(0, Ordering::Relaxed);

    // Cut off, and PostgreSQL is started again on the old data: that is all that happens.
    make_way(&world);
    let told = world.told.lock().unwrap().join("\n");
    for words in ["state --update=rebuilding", "--promotion=pgtwin-test-rebuild --node=n2 --delete"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let said = |words: &str| told.find(words).unwrap_or_else(|| panic!("{words}: {told}"));
    // Of the entry that it was in, and then, when n1 has written that, of the one that it is not in.
    assert!(said("--update=0000000000000007.1.0") < said("--update=0000000000000007.1.1"));
    world.start("standby");
    world.streams();
    work(&world).unwrap();
    assert_eq!(marker(&world), Kept::Missing);
    assert!(world.has("standby/mark-of-the-old-data"));

    // Cut off, and somebody has worked on the old data since: the order holds no more.
    make_way(&world);
    std::thread::sleep(Duration::from_secs(3));
    world.start("standby");
    world.stop("standby");
    let why = work(&world).unwrap_err();
    assert!(why.contains("can follow as it is"), "{why}");
    assert!(world.has("standby/mark-of-the-old-data"));
    world.start("standby");
    world.streams();
    work(&world).unwrap();

    // And to its end.
    make_way(&world);
    work(&world).unwrap();
    world.streams();
    assert_eq!(marker(&world), Kept::Missing);
    assert!(!world.has("standby/mark-of-the-old-data"), "it is the old data");
    let conf = fs::read_to_string(world.path("standby/postgresql.conf")).unwrap();
    assert!(conf.contains("127.0.0.2"), "its own configuration: {conf}");
    let copies: Vec<PathBuf> = fs::read_dir(world.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("standby.backup."))
        .collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    assert!(copy.join("mark-of-the-old-data").exists());

    world.stop("standby");
    adopting::given_up_data_is_replaced(&mut world);
    world.stop("standby");
    adopting::own_data_is_adopted(&mut world);
}
