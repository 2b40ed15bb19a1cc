//! A model of PostgreSQL: recovery, receivers and senders, sync waits with the checkpointer's delay,
//! promotion, and orderly and other ends.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pgtwin::postgres::control_data::ClusterState;

use crate::exec::{Owner, Sim};
use crate::wal::{self, Record};
use crate::world::{World, say};

/// What a server is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It answers nobody yet.
    Starting,
    /// It answers, and replays.
    Standby,
    /// It accepts writes.
    Primary,
    /// It shuts down.
    Stopping,
}

/// A walsender.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The life of the receiver's server: another one is another connection.
    pub of: u64,
    /// What the standby has said to have flushed.
    pub flush: Option<usize>,
    /// V, as it has taken it up.
    pub names: BTreeSet<usize>,
    /// When it heard of the standby.
    pub heard: u64,
    /// The standby streams, and does not catch up.
    pub caught_up: bool,
}

/// One life of a postmaster.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its number.
    pub life: u64,
    /// What it is at.
    pub phase: Phase,
    /// A hand has started it, or the distribution at boot, and no cluster: nobody finds it by the address.
    pub by_hand: bool,
    /// How many records it has replayed.
    pub replayed: usize,
    /// The startup process waits at the end of the WAL.
    pub at_end: bool,
    /// The receiver of this life has streamed.
    pub streamed: bool,
    /// It streams now, from there.
    pub streams_from: Option<usize>,
    /// The settings as last loaded.
    pub names: BTreeSet<usize>,
    /// Likewise.
    pub upstream: Option<usize>,
    /// Backends wait.
    pub flag: bool,
    /// The redo position of the last checkpoint.
    pub redo: usize,
    /// A checkpoint is asked for.
    pub wanted: bool,
    /// It was told to promote.
    pub told: bool,
    /// It is being promoted, and sends no more than so many records before it accepts writes.
    pub holds_back: Option<usize>,
    /// Commits before this record are released.
    pub released: usize,
    /// Everybody who streams from it.
    pub senders: BTreeMap<usize, Sender>,
}

impl Server {
    /// Whether it accepts writes.
    pub fn is_primary(&self) -> bool {
        self.phase == Phase::Primary
    }
}

impl Sim {
    /// A change of this server, if it still lives.
    fn server<T>(&self, node: usize, life: u64, act: impl FnOnce(&mut Server) -> T) -> Option<T> {
        let mut world = self.world.borrow_mut();
        world.nodes[node].server.as_mut().filter(|one| one.life == life).map(act)
    }

    /// Records beyond what is synced may be gone.
    fn lose_unsynced(&self, node: usize) {
        let (flushed, all) = {
            let wal = &self.world.borrow().nodes[node].disk.wal;
            (wal.flushed, wal.records.len())
        };
        let kept = self.between(flushed as u64, all as u64) as usize;
        let wal = &mut self.world.borrow_mut().nodes[node].disk.wal;
        wal.records.truncate(kept);
        wal.flush();
    }

    /// The server is killed.
    pub fn crash_server(&self, node: usize) {
        if self.world.borrow().nodes[node].server.is_none() {
            return;
        }
        self.world.borrow_mut().nodes[node].server = None;
        self.world.borrow_mut().counts.crashes += 1;
        self.lose_unsynced(node);
    }

    /// Starts a postmaster on what the disk holds.
    pub fn start_server(self: &Rc<Self>, node: usize) {
        let life = self.id();
        {
            let mut world = self.world.borrow_mut();
            world.check_start(node);
            let node = &mut world.nodes[node];
            assert!(node.server.is_none() && node.disk.signal, "always started as a standby");
            node.disk.wal.flush();
            node.disk.state = ClusterState::InArchiveRecovery;
            node.server = Some(Server {
                life,
                phase: Phase::Starting,
                by_hand: false,
                replayed: node.disk.checkpoint,
                at_end: false,
                streamed: false,
                streams_from: None,
                names: node.disk.names.clone(),
                upstream: node.disk.upstream,
                flag: !node.disk.names.is_empty(),
                redo: node.disk.checkpoint,
                wanted: false,
                told: false,
                holds_back: None,
                released: 0,
                senders: BTreeMap::new(),
            });
        }
        let owner = Owner::Server(node, life);
        self.spawn(owner, self.between(5, 400), startup(Rc::clone(self), node, life));
        self.spawn(owner, self.between(5, 100), checkpointer(Rc::clone(self), node, life));
        self.spawn(owner, self.between(5, 100), receiver(Rc::clone(self), node, life));
    }

    /// The distribution starts a server at boot, on data of a primary of the past: it accepts writes at once.
    pub fn start_by_itself(self: &Rc<Self>, node: usize) {
        let (life, records) =
            (self.id(), [Record::Checkpoint(self.id()), Record::Commit(self.id())]);
        {
            let mut world = self.world.borrow_mut();
            if !world.is_past(node) {
                return;
            }
            let node = &mut world.nodes[node];
            let disk = &mut node.disk;
            if node.server.is_some() || disk.signal || disk.changed || disk.half_done.is_some() {
                return;
            }
            disk.checkpoint = disk.wal.records.len();
            for record in records {
                disk.wal.write(record);
            }
            disk.wal.flush();
            disk.state = ClusterState::InProduction;
            node.server = Some(Server {
                life,
                phase: Phase::Primary,
                by_hand: true,
                replayed: disk.wal.records.len(),
                at_end: true,
                streamed: false,
                streams_from: None,
                names: disk.names.clone(),
                upstream: None,
                flag: !disk.names.is_empty(),
                redo: disk.checkpoint,
                wanted: false,
                told: false,
                holds_back: None,
                released: 0,
                senders: BTreeMap::new(),
            });
            world.counts.by_hand += 1;
        }
        self.log(&format!("n{}: ACCEPTS WRITES, started by the distribution", node + 1));
        let owner = Owner::Server(node, life);
        self.spawn(owner, self.between(5, 100), checkpointer(Rc::clone(self), node, life));
    }

    /// An orderly end: a primary writes its last checkpoint and waits a while for those who stream.
    pub async fn shut_down(&self, node: usize, fast: bool) {
        let Some((life, was)) =
            self.world.borrow().nodes[node].server.as_ref().map(|one| (one.life, one.phase))
        else {
            return;
        };
        self.server(node, life, |one| one.phase = Phase::Stopping);
        if was == Phase::Primary {
            self.world.borrow_mut().nodes[node].disk.state = ClusterState::ShuttingDown;
            self.act().await;
            let id = self.id();
            {
                let mut world = self.world.borrow_mut();
                let disk = &mut world.nodes[node].disk;
                let before = disk.wal.records.len();
                disk.wal.write(Record::Checkpoint(id));
                disk.wal.flush();
                disk.checkpoint = before;
            }
            let patience = if fast { self.between(500, 15_000) } else { 0 };
            let end = self.now() + patience;
            while self.now() < end {
                self.sleep(20).await;
                let all = self.world.borrow().nodes[node].disk.wal.flushed;
                let waits = self.server(node, life, |one| {
                    one.senders.values().any(|sender| sender.flush.is_none_or(|at| at < all))
                });
                if waits != Some(true) {
                    break;
                }
            }
        }
        self.act().await;
        let last = self.id();
        let mut world = self.world.borrow_mut();
        let node = &mut world.nodes[node];
        let Some(server) = node.server.take_if(|one| one.life == life) else { return };
        // It may have been promoted while it stopped: then it ends as a primary that has let nobody in.
        let promoted = !node.disk.signal && node.disk.state == ClusterState::InProduction;
        if was != Phase::Primary && promoted {
            node.disk.checkpoint = node.disk.wal.records.len();
            node.disk.wal.write(Record::Checkpoint(last));
        }
        node.disk.state = match was {
            Phase::Primary => ClusterState::ShutDown,
            Phase::Standby | Phase::Starting | Phase::Stopping if promoted => {
                ClusterState::ShutDown
            }
            Phase::Standby | Phase::Starting | Phase::Stopping => {
                node.disk.min_recovery = Some(server.replayed);
                ClusterState::ShutDownInRecovery
            }
        };
        node.disk.wal.flush();
    }

    /// Crash recovery in single-user mode.
    pub fn recover_single_user(&self, node: usize) {
        let id = self.id();
        let mut world = self.world.borrow_mut();
        let disk = &mut world.nodes[node].disk;
        disk.checkpoint = disk.wal.records.len();
        disk.wal.write(Record::Checkpoint(id));
        disk.wal.flush();
        disk.state = ClusterState::ShutDown;
    }

    /// SIGHUP: fresh sessions see it at once, the checkpointer and the walsenders in their own time.
    pub fn reload(&self, node: usize) {
        let mut world = self.world.borrow_mut();
        let node = &mut world.nodes[node];
        if let Some(server) = &mut node.server {
            server.names.clone_from(&node.disk.names);
            server.upstream = node.disk.upstream;
        }
    }
}

/// Replays, opens, and ends recovery when it is told to.
async fn startup(sim: Rc<Sim>, node: usize, life: u64) {
    let opens_early = sim.once_in(2);
    if opens_early {
        sim.server(node, life, |one| one.phase = Phase::Standby);
    }
    // A machine that has just been booted may take its time for every page.
    let pace = if sim.once_in(3) { sim.between(30, 400) } else { 20 };
    loop {
        sim.sleep(if sim.once_in(30) { sim.between(100, 4_000) } else { sim.between(1, pace) })
            .await;
        let mut told = false;
        {
            let mut world = sim.world.borrow_mut();
            let there = world.nodes[node].disk.wal.flushed;
            let Some(server) = world.nodes[node].server.as_mut() else { return };
            if server.phase == Phase::Stopping {
                return;
            }
            if server.replayed < there {
                server.replayed += 1;
                server.at_end = false;
            } else {
                if server.phase == Phase::Starting {
                    server.phase = Phase::Standby;
                }
                server.at_end = true;
                told = server.told;
            }
        }
        if told {
            return promote(&sim, node, life).await;
        }
    }
}

/// The end of recovery: the receiver is gone, a timeline begins, and writes are accepted.
async fn promote(sim: &Rc<Sim>, node: usize, life: u64) {
    sim.server(node, life, |one| one.streams_from = None);
    sim.act().await;
    let id = sim.id();
    {
        let mut world = sim.world.borrow_mut();
        let disk = &mut world.nodes[node].disk;
        let begun = disk.wal.records.len();
        let next = wal::timeline(&disk.wal.records).0 + 1;
        disk.wal.write(Record::Begin(next, id));
        disk.wal.flush();
        disk.signal = false;
        let Some(server) = world.nodes[node].server.as_mut() else { return };
        server.senders.clear();
        server.holds_back = Some(begun);
        server.redo = begun;
    }
    sim.act().await;
    {
        let mut world = sim.world.borrow_mut();
        let end = world.nodes[node].disk.wal.records.len();
        let Some(server) = world.nodes[node].server.as_mut() else { return };
        server.replayed = end;
        if server.phase == Phase::Stopping {
            world.nodes[node].disk.state = ClusterState::InProduction;
            return;
        }
        server.phase = Phase::Primary;
        server.holds_back = None;
    }
    let (term, names) = {
        let world = sim.world.borrow();
        let names = world.nodes[node].server.as_ref().map(|one| say(&one.names));
        (crate::agent::intended_term(&world, node), names.unwrap_or_default())
    };
    sim.log(&format!("n{}: ACCEPTS WRITES, term {term}, V={names}", node + 1));
    {
        let mut world = sim.world.borrow_mut();
        world.counts.promotions += 1;
        let (before, who) = world.term;
        if term < before || (term == before && who != node) {
            world.broken(format!(
                "n{} becomes primary of term {term} after n{}'s {before}",
                node + 1,
                who + 1
            ));
        }
        world.adopted = None;
        world.check_primary(node);
    }
    // Writes are let in before that is on the disk.
    sim.sleep(if sim.once_in(8) { sim.between(100, 5_000) } else { sim.between(1, 20) }).await;
    let mut world = sim.world.borrow_mut();
    let lives = |one: &Server| one.life == life && one.phase == Phase::Primary;
    if world.nodes[node].server.as_ref().is_some_and(lives) {
        world.nodes[node].disk.state = ClusterState::InProduction;
        promotion_counts(&mut world, node);
    }
}

/// What this node's promotion has led to is on its disk; one that is lost before that leaves nothing.
fn promotion_counts(world: &mut World, node: usize) {
    let term = crate::agent::intended_term(world, node);
    if term > world.term.0 {
        world.term = (term, node);
    }
}

/// Takes up the settings and makes checkpoints, in its own time.
async fn checkpointer(sim: Rc<Sim>, node: usize, life: u64) {
    loop {
        let slow = sim.once_in(20);
        sim.sleep(if slow { sim.between(500, 6_000) } else { sim.between(10, 150) }).await;
        let (redo, begin) = {
            let mut world = sim.world.borrow_mut();
            let end = world.nodes[node].disk.wal.records.len();
            let Some(server) = world.nodes[node].server.as_mut() else { return };
            server.flag = !server.names.is_empty();
            let replayed = server.replayed;
            let primary = server.phase == Phase::Primary;
            if !std::mem::take(&mut server.wanted) && !sim.once_in(100) {
                continue;
            }
            (if primary { end } else { replayed }, primary)
        };
        sim.sleep(sim.between(5, 300)).await;
        let id = sim.id();
        let mut world = sim.world.borrow_mut();
        let node = &mut world.nodes[node];
        let Some(server) = node.server.as_mut().filter(|one| one.life == life) else { return };
        if begin && server.phase == Phase::Primary {
            node.disk.wal.write(Record::Checkpoint(id));
            node.disk.wal.flush();
        }
        if server.phase != Phase::Stopping {
            server.redo = redo;
            node.disk.checkpoint = redo.min(node.disk.wal.flushed);
        }
    }
}

/// Connects, streams, flushes, and says so.
async fn receiver(sim: Rc<Sim>, node: usize, life: u64) {
    loop {
        sim.sleep(if sim.once_in(25) { sim.between(300, 3_000) } else { sim.between(1, 60) }).await;
        let wanted = {
            let world = sim.world.borrow();
            let Some(server) = world.nodes[node].server.as_ref() else { return };
            // A receiver begins where local WAL ends.
            let ready = server.phase == Phase::Standby && !server.told;
            if ready && (server.at_end || server.streamed) { server.upstream } else { None }
        };
        let from = wanted.filter(|from| {
            let world = sim.world.borrow();
            let here = &world.nodes[node];
            let there = &world.nodes[*from];
            let sends = there.server.as_ref().is_some_and(|one| {
                matches!(one.phase, Phase::Primary | Phase::Standby | Phase::Stopping)
            });
            there.up
                && sends
                && there.frozen_until <= sim.now()
                && world.wire[*from][node]
                && (goes_on(there.server.as_ref(), *from, here.server.as_ref(), node)
                    || (there.disk.system == here.disk.system
                        && wal::may_follow(there.disk.wal.durable(), &here.disk.wal.records)))
        });
        let Some(from) = from else {
            sim.server(node, life, |one| one.streams_from = None);
            forget_sender(&sim, node, life, wanted);
            continue;
        };
        {
            let mut world = sim.world.borrow_mut();
            let begins =
                world.nodes[node].server.as_ref().is_some_and(|one| one.streams_from != Some(from));
            let apart = begins && world.is_apart(node, from);
            if apart {
                let words =
                    format!("n{} streams from n{} on top of another branch", node + 1, from + 1);
                world.broken(words);
            }
        }
        let fresh = {
            let mut world = sim.world.borrow_mut();
            let now = sim.now();
            let Some(there) = world.nodes[from].server.as_mut() else { continue };
            let names = there.names.clone();
            let sender = there.senders.entry(node).or_insert_with(|| Sender {
                of: life,
                flush: None,
                names: names.clone(),
                heard: now,
                caught_up: false,
            });
            if sender.of != life {
                *sender = Sender { of: life, flush: None, names, heard: now, caught_up: false };
            }
            let have = world.nodes[node].disk.wal.records.len();
            let held_back = world.nodes[from].server.as_ref().and_then(|one| one.holds_back);
            let sent = world.nodes[from].disk.wal.durable();
            let sent = &sent[..held_back.unwrap_or(sent.len())];
            let more = sent.len().saturating_sub(have).min(sim.between(1, 6) as usize);
            let next: Vec<Record> = sent.get(have..have + more).unwrap_or(&[]).to_vec();
            world.nodes[node].disk.wal.records.extend(next);
            let Some(server) = world.nodes[node].server.as_mut() else { return };
            server.streamed = true;
            server.streams_from = Some(from);
            more > 0
        };
        if fresh {
            sim.sleep(sim.between(1, 25)).await;
            sim.world.borrow_mut().nodes[node].disk.wal.flush();
        }
        let said = sim.world.borrow().nodes[node].disk.wal.flushed;
        sim.sleep(sim.between(1, 25)).await;
        if !sim.world.borrow().wire[node][from] {
            continue;
        }
        hear(&sim, from, node, life, said);
    }
}

/// Whether a connection that was made goes on.
fn goes_on(there: Option<&Server>, from: usize, here: Option<&Server>, node: usize) -> bool {
    let (Some(there), Some(here)) = (there, here) else { return false };
    here.streams_from == Some(from)
        && there.senders.get(&node).is_some_and(|sender| sender.of == here.life)
}

/// The connection is gone: at once, or, where nobody says so, when the walsender's timeout is over.
fn forget_sender(sim: &Sim, node: usize, life: u64, from: Option<usize>) {
    let mut world = sim.world.borrow_mut();
    for other in world.all() {
        let silent = Some(other) == from && !world.wire[node][other];
        let now = sim.now();
        if let Some(server) = world.nodes[other].server.as_mut() {
            let over = |one: &Sender| one.of == life && (!silent || now > one.heard + 60_000);
            if server.senders.get(&node).is_some_and(over) {
                server.senders.remove(&node);
            }
        }
    }
}

/// A walsender hears what is flushed, and releases who waits, by its own copy of the settings.
fn hear(sim: &Sim, from: usize, node: usize, life: u64, said: usize) {
    let takes_up = !sim.once_in(6);
    let now = sim.now();
    let mut world = sim.world.borrow_mut();
    let end = world.nodes[from].disk.wal.flushed;
    let Some(server) = world.nodes[from].server.as_mut() else { return };
    let loaded = server.names.clone();
    let Some(sender) = server.senders.get_mut(&node).filter(|one| one.of == life) else { return };
    sender.flush = Some(said);
    sender.heard = now;
    sender.caught_up |= said >= end;
    if server.phase != Phase::Primary {
        return;
    }
    if sender.names.contains(&node) && sender.caught_up {
        let sync = server.senders.iter().filter(|(at, one)| one.names.contains(at));
        let best = sync.filter_map(|(_, one)| one.flush).max().unwrap_or(0);
        server.released = server.released.max(best);
    }
    if takes_up && let Some(sender) = server.senders.get_mut(&node) {
        sender.names = loaded;
    }
}

/// A client: it commits on whoever accepts writes, and remembers what was acknowledged.
pub async fn client(sim: Rc<Sim>) {
    loop {
        sim.sleep(sim.between(30, 700)).await;
        if !sim.world.borrow().clients {
            continue;
        }
        let writable = sim.world.borrow().writable();
        if writable.is_empty() {
            continue;
        }
        let node = writable[sim.between(0, writable.len() as u64 - 1) as usize];
        let commit = sim.id();
        let (life, at) = {
            let mut world = sim.world.borrow_mut();
            if world.nodes[node].frozen_until > sim.now() {
                continue;
            }
            let Some(life) = world.nodes[node].server.as_ref().map(|one| one.life) else {
                continue;
            };
            (life, world.nodes[node].disk.wal.write(Record::Commit(commit)))
        };
        sim.sleep(sim.between(1, 15)).await;
        let lives = sim.server(node, life, |one| one.phase == Phase::Primary);
        if lives != Some(true) {
            continue;
        }
        {
            let mut world = sim.world.borrow_mut();
            world.nodes[node].disk.wal.flush();
            promotion_counts(&mut world, node);
        }
        sim.sleep(sim.between(0, 5)).await;
        let mut patience = 400;
        loop {
            let done = sim.server(node, life, |one| {
                (one.phase == Phase::Primary).then_some(!one.flag || one.released >= at)
            });
            match done.flatten() {
                Some(true) if sim.world.borrow().nodes[node].frozen_until <= sim.now() => {
                    sim.world.borrow_mut().acknowledge(commit, node);
                    break;
                }
                Some(_) if patience > 0 => patience -= 1,
                // The client never hears what became of it.
                Some(_) | None => break,
            }
            sim.sleep(50).await;
        }
    }
}
