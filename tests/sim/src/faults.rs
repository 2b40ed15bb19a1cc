//! What goes wrong: at times and places that the seed decides, until all is healed.

use std::rc::Rc;

use crate::adoptions::set_disabled;
use crate::exec::{Owner, Sim};
use crate::world::{Role, name, say};

/// Faults, one after the other, sometimes on top of each other.
pub async fn faults(sim: Rc<Sim>, until: u64) {
    loop {
        let next = if sim.once_in(4) { sim.between(50, 1_500) } else { sim.between(2_000, 25_000) };
        sim.sleep(next).await;
        if sim.now() > until {
            return;
        }
        one(&sim);
    }
}

/// Now and then an operator has a node rebuilt.
pub async fn rebuilds(sim: Rc<Sim>, until: u64) {
    while sim.now() < until {
        sim.sleep(sim.between(5_000, 40_000)).await;
        let mut world = sim.world.borrow_mut();
        let node = sim.between(0, world.nodes.len() as u64 - 1) as usize;
        world.nodes[node].wants_a_copy = true;
    }
}

fn one(sim: &Rc<Sim>) {
    let n = sim.world.borrow().nodes.len() as u64;
    let any = sim.between(0, n - 1) as usize;
    let primary = sim.world.borrow().writable().first().copied();
    let node = primary.filter(|_| sim.once_in(2)).unwrap_or(any);
    match sim.between(0, 13) {
        0 | 1 => {
            if sim.world.borrow().nodes[node].up {
                sim.log(&format!("FAULT: {} loses power", name(node)));
                sim.world.borrow_mut().counts.cuts += 1;
                sim.power_off(node);
            }
        }
        2 | 3 => {
            if sim.world.borrow().nodes[node].server.is_some() {
                sim.log(&format!("FAULT: {}'s postmaster is killed", name(node)));
                sim.crash_server(node);
            }
        }
        4 | 5 => partition(sim, node, true, true),
        6 => partition(sim, node, true, false),
        7 => partition(sim, node, false, true),
        8 => {
            let ms = sim.between(300, 40_000);
            sim.log(&format!("FAULT: {} stands still for {ms} ms", name(node)));
            let until = sim.now() + ms;
            sim.world.borrow_mut().nodes[node].frozen_until = until;
        }
        9 => {
            // Everybody at once, or nearly.
            for node in 0..n as usize {
                if sim.once_in(3) && n > 1 {
                    continue;
                }
                if sim.world.borrow().nodes[node].up {
                    sim.log(&format!("FAULT: {} loses power", name(node)));
                    sim.power_off(node);
                }
            }
        }
        10 => {
            let to = {
                let mut world = sim.world.borrow_mut();
                world.nodes[node].standby = !world.nodes[node].standby;
                world.nodes[node].standby
            };
            let what = if to { "standby" } else { "online" };
            sim.log(&format!("OPERATOR: crm node {what} {}", name(node)));
        }
        11 => cleanup(sim),
        _ => {
            // A switch dies: one network first, and the other a moment later.
            let link_first = sim.once_in(3);
            partition(sim, node, link_first, !link_first);
            let (later, again) = (sim.between(100, 16_000), Rc::clone(sim));
            sim.spawn(Owner::World, later, async move {
                partition(&again, node, !link_first, link_first);
            });
        }
    }
    for node in 0..n as usize {
        if !sim.world.borrow().nodes[node].up {
            let later = sim.between(2_000, 40_000);
            let again = Rc::clone(sim);
            sim.spawn(Owner::World, later, async move { again.power_on(node) });
        }
    }
}

/// Cuts one node, or a link, off for a while; perhaps one way only.
fn partition(sim: &Rc<Sim>, node: usize, link: bool, wire: bool) {
    let one_way = sim.once_in(4);
    let others: Vec<usize> = {
        let all = sim.world.borrow().all();
        let others: Vec<usize> = all.into_iter().filter(|other| *other != node).collect();
        if sim.once_in(3) { others.into_iter().take(1).collect() } else { others }
    };
    let what = match (link, wire) {
        (true, true) => "all networks",
        (true, false) => "the cluster's network",
        (false, _) => "PostgreSQL's network",
    };
    let way = if one_way { ", one way" } else { "" };
    sim.log(&format!("FAULT: {} is cut off from {} on {what}{way}", name(node), say(&others)));
    let set = move |sim: &Sim, on: bool| {
        let mut world = sim.world.borrow_mut();
        for other in &others {
            for (from, to) in [(node, *other), (*other, node)] {
                if one_way && from != node && !on {
                    continue;
                }
                if link {
                    world.link[from][to] = on;
                }
                if wire {
                    world.wire[from][to] = on;
                }
            }
        }
    };
    sim.world.borrow_mut().counts.partitions += 1;
    set(sim, false);
    let (later, again) = (sim.between(300, 60_000), Rc::clone(sim));
    sim.spawn(Owner::World, later, async move {
        again.log(&format!("{} is reached again on {what}", name(node)));
        set(&again, true);
    });
}

/// `crm resource cleanup`: what failed is tried again.
fn cleanup(sim: &Rc<Sim>) {
    sim.log("OPERATOR: crm resource cleanup");
    let up: Vec<usize> = {
        let world = sim.world.borrow();
        world.all().into_iter().filter(|node| world.nodes[*node].up).collect()
    };
    for node in up {
        let own = sim.world.borrow().nodes[node].stack.shared.roles.get(&node).copied();
        if own == Some(Role::Banned) {
            sim.tell(node, move |shared| {
                shared.roles.insert(node, Role::Unknown);
            });
        }
    }
}

/// The primary is lost, an heir is promoted, and lost itself a moment later; the old primary is back, with
/// whoever else there is. Then the heir returns as well.
pub async fn lost_heirs(sim: Rc<Sim>, until: u64) {
    let hold = |node: usize, held: bool| {
        let mut world = sim.world.borrow_mut();
        if held {
            world.held.insert(node)
        } else {
            world.held.remove(&node)
        };
    };
    while sim.now() < until {
        sim.sleep(sim.between(1_000, 10_000)).await;
        if !crate::is_well(&sim) {
            continue;
        }
        let Some(old) = sim.world.borrow().writable().first().copied() else { continue };
        sim.log(&format!("FAULT: {} loses power, and stays without", name(old)));
        hold(old, true);
        sim.power_off(old);
        let patience = sim.now() + 90_000;
        let heir = loop {
            sim.sleep(20).await;
            let heir = sim.world.borrow().writable().first().copied();
            if heir.is_some() || sim.now() > patience {
                break heir;
            }
        };
        if let Some(heir) = heir.filter(|heir| *heir != old) {
            sim.sleep(if sim.once_in(3) { 0 } else { sim.between(0, 6_000) }).await;
            sim.log(&format!(
                "FAULT: {}, just promoted, loses power, and stays without",
                name(heir)
            ));
            hold(heir, true);
            sim.power_off(heir);
            hold(old, false);
            sim.power_on(old);
            let end = sim.now() + 120_000;
            let mut without = false;
            while sim.now() < end && !without {
                sim.sleep(100).await;
                without = !sim.world.borrow().writable().is_empty();
            }
            {
                let counts = &mut sim.world.borrow_mut().counts;
                counts.heirs_lost += 1;
                counts.without_them += u64::from(without);
            }
            hold(heir, false);
            sim.power_on(heir);
        }
        hold(old, false);
        sim.power_on(old);
    }
}

/// A standby that may not take over streams from a primary that restarts in place, and is lost as soon as that
/// standby has the begin of its new timeline; the heir has as much as there was before, and not that. What it is
/// promoted to has the same number.
pub async fn branches(sim: Rc<Sim>, until: u64) {
    let wired = |one: usize, other: usize, on: bool| {
        let mut world = sim.world.borrow_mut();
        world.wire[one][other] = on;
        world.wire[other][one] = on;
    };
    while sim.now() < until {
        sim.sleep(sim.between(1_000, 10_000)).await;
        if !crate::is_well(&sim) {
            continue;
        }
        let Some(primary) = sim.world.borrow().writable().first().copied() else { continue };
        let mut others = sim.world.borrow().all();
        others.remove(&primary);
        let (Some(apart), Some(heir)) = (others.pop_first(), others.pop_first()) else { return };
        sim.log(&format!("FAULT: {} gets no WAL until it may not take over", name(apart)));
        wired(primary, apart, false);
        let is_out = || {
            let heirs = crate::agent::heirs_on_disk(&sim.world.borrow(), primary);
            heirs.is_some_and(|heirs| !heirs.contains(&apart))
        };
        await_for(&sim, 100_000, is_out).await;
        if is_out() && sim.world.borrow().writable().contains(&primary) {
            sim.log(&format!(
                "FAULT: {}'s postmaster is killed, with more than {} has",
                name(primary),
                name(heir)
            ));
            wired(primary, heir, false);
            sim.sleep(sim.between(50, 400)).await;
            let before = sim.world.borrow().begun(primary);
            sim.crash_server(primary);
            wired(primary, heir, true);
            wired(primary, apart, true);
            let begins = |node: usize| sim.world.borrow().begun(node) > before;
            await_for(&sim, 60_000, || begins(primary)).await;
            wired(primary, heir, false);
            await_for(&sim, 2_000, || begins(apart)).await;
            if begins(apart) && !begins(heir) {
                sim.sleep(if sim.once_in(2) { 0 } else { sim.between(0, 500) }).await;
                sim.log(&format!("FAULT: {} loses power, and stays without", name(primary)));
                sim.world.borrow_mut().held.insert(primary);
                sim.power_off(primary);
                let promoted = || sim.world.borrow().writable().contains(&heir);
                await_for(&sim, 90_000, promoted).await;
                if promoted() {
                    sim.world.borrow_mut().counts.branches += 1;
                }
                sim.sleep(sim.between(0, 20_000)).await;
            }
        }
        wired(primary, apart, true);
        wired(primary, heir, true);
        sim.world.borrow_mut().held.remove(&primary);
        sim.power_on(primary);
    }
}

/// Waits until it is so, for so long at most.
async fn await_for(sim: &Sim, limit: u64, is_so: impl Fn() -> bool) {
    let end = sim.now() + limit;
    while sim.now() < end && !is_so() {
        sim.sleep(1).await;
    }
}

/// All faults end: networks, power, and the operator's wishes. What failed is cleaned up now and then.
pub async fn heal(sim: Rc<Sim>) {
    sim.log("all faults end");
    sim.deadly.set(0);
    {
        let mut world = sim.world.borrow_mut();
        let n = world.nodes.len();
        world.link = vec![vec![true; n]; n];
        world.wire = vec![vec![true; n]; n];
        world.held.clear();
        for node in &mut world.nodes {
            node.frozen_until = 0;
            node.standby = false;
        }
    }
    loop {
        let n = sim.world.borrow().nodes.len();
        for node in 0..n {
            sim.power_on(node);
        }
        sim.sleep(15_000).await;
        // Its configuration may have been lost with the node that had it.
        if !sim.world.borrow().adopting {
            set_disabled(&sim, false).await;
        }
        cleanup(&sim);
    }
}
