//! A deterministic simulator of pgtwin: two to five model nodes run the real `pgtwin::decide` and the real
//! ledger against a model of PostgreSQL, Pacemaker and disks. A seed decides everything, so that a history
//! that broke an invariant can be lived through again.
//!
//! Invariants, at every step: an acknowledged commit is on the primary's disk, and on that of a member of
//! the E that this primary's file has, or E is empty; it is on every node that begins to accept writes; no
//! two servers accept writes; terms never fall, and none has two primaries. At the end, when all faults are
//! over: one primary, and all others stream from it, on the same branch, and are its heirs. Nobody begins to stream on
//! top of another branch of its timeline without knowing that it parted. Where an operator
//! has data adopted, what is not in it is given up on purpose, at the end of the command and not before; no
//! data of another database system is overwritten that nobody gave up, and none by a copy that lacks what was
//! acknowledged.
//!
//! What is real: every `next` and `judge` of the decisions that it calls, with what follows from a
//! notification, how a demotion begins, how an intent stands, what a member says and may, and whether V is in
//! effect; and ledger files, slots, positions, acknowledgements and `synchronous_standby_names` as text,
//! written and read back. What is told again for model nodes, and may differ from the program: the loops of
//! `src/agent/` around the decisions, and who is found to be the primary.
//!
//! Quorum is had by a majority; of two nodes with `wait_for_all` or without; or by the votes of a third party
//! without data, which suffice for whoever has them: the seed decides which. Where data is adopted, two nodes have
//! `wait_for_all`.
//!
//! What the model leaves out: async mode, `sync_strict`, fencing that is off or lies, fencing devices that
//! fail for ever, a clean leave of a node's Pacemaker, maintenance, location rules, `no-quorum-policy`
//! other than stop, a CIB that an administrator edits or that is older than its version says, damaged or lost ledger files, forget and force-promote; of PostgreSQL: rewind (every way
//! back is a copy, within the start), slots and removed WAL, archives, page contents, cancelled waits,
//! remote_apply, clocks that jump. Fencing itself is an instant; a membership changes at once for all who
//! form it; and a ring that waits for a lost node keeps back only what comes from that node.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    // Tables are read row by row.
    clippy::match_same_arms,
    // Whether there was a file before is a fact of its own.
    clippy::option_option,
    // A task is a coroutine also where it does only one thing.
    clippy::unused_async,
    // Everything is on one thread, and a borrow never lives across a sleep.
    clippy::future_not_send
)]

mod adoptions;
mod agent;
mod chance;
mod cluster;
mod controller;
mod exec;
mod faults;
mod mutation;
mod server;
mod wal;
mod world;

use std::rc::Rc;

use exec::{Owner, Sim};
pub use mutation::{ALL as MUTATIONS, Mutation};
pub use world::Counts;
use world::World;

/// What a history is made by.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nodes; none: the seed decides, from 2 to 5.
    pub nodes: Option<usize>,
    /// For how long faults go on, in seconds of the history.
    pub seconds: u64,
    /// What is wrong on purpose.
    pub mutation: Option<Mutation>,
    /// At the end all has to come back by itself.
    pub converges: bool,
    /// An operator has nodes rebuilt meanwhile.
    pub rebuilds: bool,
    /// An operator puts other data on nodes meanwhile, and has it adopted.
    pub adoptions: bool,
    /// The distribution starts PostgreSQL at boot, now and then, on data of a primary of the past.
    pub services: bool,
    /// An heir is promoted and lost again and again, and nothing else befalls anybody.
    pub lost_heirs: bool,
    /// Two nodes are promoted to one timeline number, again and again, and nothing else befalls anybody.
    pub branches: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: None,
            seconds: 120,
            mutation: None,
            converges: true,
            rebuilds: false,
            adoptions: false,
            services: false,
            lost_heirs: false,
            branches: false,
        }
    }
}

/// How a history went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// The invariant that was broken.
    pub violation: Option<String>,
    /// What happened, a line each, with the time in seconds.
    pub history: Vec<String>,
    /// How much happened.
    pub counts: Counts,
}

/// How long a healed cluster may take, in milliseconds.
const PATIENCE: u64 = 400_000;

/// Lives through one history.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    let by_seed = match seed % 10 {
        0..=2 => 2,
        3..=7 => 3,
        8 => 4,
        _ => 5,
    };
    let nodes = options.nodes.unwrap_or(by_seed);
    let sim = Sim::new(World::new(nodes, options.mutation), seed);
    sim.spawn(Owner::World, 0, cluster::membership(Rc::clone(&sim)));
    for node in 0..nodes {
        let (again, later) = (Rc::clone(&sim), sim.between(0, 3_000));
        sim.spawn(Owner::World, later, async move { again.power_on(node) });
    }
    for _ in 0..3 {
        sim.spawn(Owner::World, 1_000, server::client(Rc::clone(&sim)));
    }
    let begin = sim.between(20_000, 60_000);
    let until = begin + options.seconds * 1_000;
    if options.lost_heirs {
        sim.spawn(Owner::World, begin, faults::lost_heirs(Rc::clone(&sim), until));
    } else if options.branches {
        sim.spawn(Owner::World, begin, faults::branches(Rc::clone(&sim), until));
    } else {
        sim.spawn(Owner::World, begin, faults::faults(Rc::clone(&sim), until));
    }
    if options.rebuilds {
        sim.spawn(Owner::World, begin, faults::rebuilds(Rc::clone(&sim), until));
    }
    {
        let mut world = sim.world.borrow_mut();
        world.services = options.services;
        world.only_demotes = (seed / 10).is_multiple_of(2);
        world.quorum = match seed / 20 % 8 {
            // An adoption says so to the nodes that it reaches. One that boots alone with quorum has not heard of it
            // (seed 300042 without this line): the page on operations says what follows.
            _ if options.adoptions => world::Quorum::Waits,
            0 | 1 => world::Quorum::ThirdVote,
            2..=4 => world::Quorum::WaitsForNobody,
            _ => world::Quorum::Waits,
        };
    }
    if options.adoptions {
        let adoptions = adoptions::adoptions(Rc::clone(&sim), until, !options.converges);
        sim.spawn(Owner::World, begin, adoptions);
    }
    sim.run(begin);
    // In most histories agents are killed in the middle, in some often.
    let deadly = [0, 300, 1_000, 3_000][sim.between(0, 3) as usize];
    sim.deadly.set(if options.lost_heirs || options.branches { 0 } else { deadly });
    sim.run(until);
    if options.converges && sim.world.borrow().violation.is_none() {
        sim.world.borrow_mut().services = false;
        sim.spawn(Owner::World, 0, faults::heal(Rc::clone(&sim)));
        let mut end = until;
        while end < until + PATIENCE && !is_well(&sim) && sim.world.borrow().violation.is_none() {
            end += 1_000;
            sim.run(end);
        }
        if !is_well(&sim) {
            sim.log("the end");
            let words = state(&sim);
            let words = format!("all faults are over, and after {} s: {words}", PATIENCE / 1_000);
            sim.world.borrow_mut().broken(words);
        }
        let primary = sim.world.borrow().writable().first().copied();
        let apart = primary.map(|node| sim.world.borrow().elsewhere_than(node));
        if let Some(apart) = apart.filter(|apart| !apart.is_empty()) {
            let words = format!("{} stream on top of another branch", world::say(&apart));
            sim.world.borrow_mut().broken(words);
        }
    }
    sim.end();
    let mut world = sim.world.borrow_mut();
    if let Some(words) = world.violation.clone() {
        let last = sim.now();
        world.history.push(format!("{:>7}.{:03} BROKEN: {words}", last / 1000, last % 1000));
    }
    Report {
        seed,
        nodes,
        violation: world.violation.clone(),
        history: std::mem::take(&mut world.history),
        counts: world.counts,
    }
}

/// One primary, and everybody else streams from it, is an heir, and has a score.
fn is_well(sim: &Sim) -> bool {
    let world = sim.world.borrow();
    let writable = world.writable();
    let [primary] = writable.as_slice() else { return false };
    if world.adopting {
        return false;
    }
    let follows = |node: usize| {
        world.nodes[node].server.as_ref().is_some_and(|one| one.streams_from == Some(*primary))
    };
    let heirs = agent::heirs_on_disk(&world, *primary).unwrap_or_default();
    world
        .all()
        .into_iter()
        .filter(|node| node != primary)
        .all(|node| follows(node) && heirs.contains(&node))
}

/// The nodes in words.
fn state(sim: &Sim) -> String {
    let world = sim.world.borrow();
    let words = world.nodes.iter().enumerate().map(|(index, node)| {
        let server = node.server.as_ref().map_or("none".to_owned(), |one| {
            let from = one.streams_from.map(|from| format!(" from n{}", from + 1));
            format!("{:?}{}", one.phase, from.unwrap_or_default())
        });
        let role = node.stack.shared.roles.get(&index).copied().unwrap_or(world::Role::Unknown);
        let wal = &node.disk.wal.records;
        let (line, end) = (wal::line(wal), wal::lsn(wal.len()));
        let file = node.disk.ledger.as_deref().unwrap_or("no ledger file");
        let entries = file.lines().filter(|one| {
            ["done", "intent", "followed", "pointed"].iter().any(|key| one.starts_with(key))
        });
        let entries = entries.collect::<Vec<_>>().join("\n      ");
        format!("\n  n{}: {server}, {role:?}, line {line} end {end}\n      {entries}", index + 1)
    });
    words.collect()
}
