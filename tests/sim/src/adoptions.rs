//! Now and then an operator stops everything, puts other data on a node (a new database system, as after
//! pg_upgrade, or an old copy, as a backup that was put back) and has it adopted.

use std::collections::BTreeSet;
use std::rc::Rc;

use pgtwin::cluster::ledger::Own;
use pgtwin::postgres::control_data::ClusterState;

use crate::agent::{Action, Answer};
use crate::exec::Sim;
use crate::server::Server;
use crate::wal::{self, Record, Wal};
use crate::world::{Disk, RESOURCE, name};

/// Until all faults are over. One that was begun is ended, but for some that are given up.
pub async fn adoptions(sim: Rc<Sim>, until: u64, gives_up: bool) {
    while sim.now() < until {
        sim.sleep(sim.between(5_000, 50_000)).await;
        if sim.world.borrow().counts.promotions == 0 {
            // What no ledger has ever known is not given up: it would have to be moved away by hand.
            continue;
        }
        let at = {
            let n = sim.world.borrow().nodes.len() as u64;
            sim.between(0, n - 1) as usize
        };
        sim.world.borrow_mut().adopting = true;
        one(&sim, at, gives_up).await;
        sim.world.borrow_mut().adopting = false;
    }
}

async fn one(sim: &Rc<Sim>, at: usize, gives_up: bool) {
    sim.log(&format!("OPERATOR: has the data of {} adopted: everything is stopped", name(at)));
    let before = sim.world.borrow().nodes[at].disk.clone();
    let mut put = None;
    loop {
        set_disabled(sim, true).await;
        sim.sleep(sim.between(200, 2_000)).await;
        stop_by_hand(sim);
        let (up, stopped) = {
            let world = sim.world.borrow();
            let node = &world.nodes[at];
            (node.up, node.server.is_none() && node.action.is_none())
        };
        if put.is_none() && stopped && sim.once_in(3) && !a_primary_runs(sim) {
            // What an earlier life of this loop has seen of the disk is past.
            put = Some(sim.world.borrow().nodes[at].disk.clone());
            put_data(sim, at);
        }
        if !up || put.is_none() {
            continue;
        }
        if sim.perform(at, at, Action::Adopt).await == Some(Answer::Standby) {
            break;
        }
        if is_adopted(sim, at) {
            break;
        }
        if gives_up && sim.once_in(12) && give_up(sim, at, put.as_ref().unwrap_or(&before)) {
            break;
        }
    }
    sim.log("OPERATOR: crm resource start");
    set_disabled(sim, false).await;
}

/// A node that stands still, or cannot be told, may have a primary that takes the old data's word for a commit: the
/// operator waits until it is stopped.
fn a_primary_runs(sim: &Sim) -> bool {
    let world = sim.world.borrow();
    world.nodes.iter().any(|node| node.server.as_ref().is_some_and(Server::is_primary))
}

/// The command was killed after its last write.
fn is_adopted(sim: &Sim, at: usize) -> bool {
    let world = sim.world.borrow();
    let own = world.nodes[at].disk.ledger.as_ref();
    let own = own.and_then(|text| Own::parse(text, RESOURCE, &name(at)).ok());
    own.is_some_and(|own| {
        let mine = own.store.done(&name(at));
        own.adopting.is_none() && mine.is_some_and(|one| own.followed == Some(one.id))
    }) && !world.nodes[at].disk.changed
}

/// The operator starts everything as it was. Where nothing says yet that the data was replaced, the old data
/// is put back first; else it may stay, and then nobody may take it for the old.
fn give_up(sim: &Sim, at: usize, before: &Disk) -> bool {
    let begun = {
        let world = sim.world.borrow();
        let text = world.nodes[at].disk.ledger.clone();
        text.and_then(|text| Own::parse(&text, RESOURCE, &name(at)).ok())
            .is_some_and(|own| own.adopting.is_some())
    };
    if sim.world.borrow().nodes[at].server.is_some() {
        return false;
    }
    sim.log(&format!("OPERATOR: gives the adoption on {} up", name(at)));
    let puts_back = !begun || sim.once_in(2);
    let mut world = sim.world.borrow_mut();
    let disk = &mut world.nodes[at].disk;
    if puts_back {
        *disk =
            Disk { ledger: disk.ledger.clone(), unsynced: disk.unsynced.clone(), ..before.clone() };
    }
    disk.changed = false;
    true
}

/// What no cluster has started, none stops.
fn stop_by_hand(sim: &Sim) {
    let by_hand: Vec<usize> = {
        let world = sim.world.borrow();
        let is = |node: &usize| world.nodes[*node].server.as_ref().is_some_and(|one| one.by_hand);
        world.all().into_iter().filter(is).collect()
    };
    for node in by_hand {
        sim.log(&format!("OPERATOR: kills the server that {} has started by itself", name(node)));
        sim.crash_server(node);
    }
}

/// `crm resource stop`, or start, from a node of a partition with quorum.
pub async fn set_disabled(sim: &Rc<Sim>, disabled: bool) {
    loop {
        let by = {
            let world = sim.world.borrow();
            let able = |node: &usize| world.nodes[*node].up && world.quorate(*node);
            world.all().into_iter().find(able)
        };
        if let Some(by) = by {
            if sim.world.borrow().nodes[by].stack.shared.disabled != disabled {
                sim.tell(by, move |shared| shared.disabled = disabled);
            }
            return;
        }
        sim.sleep(500).await;
    }
}

/// Other data takes the place of this node's, by hand.
fn put_data(sim: &Sim, at: usize) {
    let mut world = sim.world.borrow_mut();
    // What is half done cannot be what anybody wants.
    let kind = sim.between(0, if world.nodes[at].disk.half_done.is_some() { 3 } else { 4 });
    let from = sim.between(0, world.nodes.len() as u64 - 1) as usize;
    let source = world.nodes[from].disk.clone();
    let length = source.wal.flushed;
    let kept = sim.between(length as u64 / 2, length as u64) as usize;
    let names = world.all().into_iter().filter(|node| *node != at && sim.once_in(2));
    let names: BTreeSet<usize> = names.collect();
    let mut records = source.wal.durable()[..kept].to_vec();
    let redo = source.checkpoint.min(kept);
    let system = source.system;
    let (system, state, checkpoint, ended) = match kind {
        // A copy of a running server's disk at one moment.
        0 => (system, ClusterState::InProduction, redo, None),
        // A standby's that was stopped.
        1 => (system, ClusterState::ShutDownInRecovery, redo, Some(kept)),
        // A backup that was recovered by hand to a timeline of its own, and written to.
        2 => {
            let next = wal::timeline(&records).0 + 1;
            records.extend([Record::Begin(next, sim.id()), Record::Commit(sim.id())]);
            records.push(Record::Checkpoint(sim.id()));
            (system, ClusterState::ShutDown, records.len() - 1, None)
        }
        // Another database system, as after pg_upgrade.
        3 => {
            records = vec![Record::Commit(sim.id()), Record::Checkpoint(sim.id())];
            (1_000 + sim.id(), ClusterState::ShutDown, 1, None)
        }
        // Its own, as it is.
        _ => {
            world.nodes[at].disk.changed = true;
            world.nodes[at].disk.begun = false;
            drop(world);
            sim.log(&format!("OPERATOR: the data of {} stays as it is", name(at)));
            return;
        }
    };
    let flushed = records.len();
    let wal = Wal { records, flushed };
    let disk = &mut world.nodes[at].disk;
    *disk = Disk {
        system,
        wal,
        state,
        checkpoint,
        min_recovery: ended,
        names,
        upstream: Some((at + 1) % 2),
        signal: false,
        half_done: None,
        changed: true,
        begun: false,
        ledger: disk.ledger.clone(),
        unsynced: disk.unsynced.clone(),
    };
    drop(world);
    sim.log(&format!("OPERATOR: puts data of kind {kind} on {}: system {system}", name(at)));
}
