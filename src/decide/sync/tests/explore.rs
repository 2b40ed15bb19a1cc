//! All states that the primary's steps, the outcomes of each, and the world around them can lead to,
//! within bounds.

use std::collections::{BTreeSet, HashSet};

use super::agent::{Act, Agent, KINDS};
use super::safety::{Elections, in_place, invariant};
use super::world::{Bounds, Ent, Member, Run, World, has};
use crate::decide::support::{Chance, Fast};

/// Where it starts: all in order; E = {} with nobody streaming; just taken over.
fn seeds(bounds: &Bounds) -> Vec<World> {
    let all = (1u8 << bounds.standbys) - 1;
    [(all, all), (0, 0), (0, all), (1, 1)]
        .into_iter()
        .flat_map(|(e, v)| [true, false].map(|sync| (e, if sync { v } else { 0 }, sync)))
        .filter(|(_, _, sync)| *sync || bounds.switches > 0)
        .map(|(e, v, sync)| {
            let file = Ent { s: 0, e, sync, id: 1 };
            let member = |i: usize| Member {
                run: Run::Up,
                streams: has(e, i),
                sync: has(v & e, i),
                file,
                ack: Some((1, 0)),
                ack_seen: Some((1, 0)),
                score: has(e, i),
                score_seen: has(e, i),
                ..Member::default()
            };
            let mut m = [member(0), member(1)];
            m[bounds.standbys..].fill(Member::default());
            World {
                sync,
                file,
                cib: file,
                cib_others: file,
                v,
                flag: v != 0,
                m,
                ..World::default()
            }
        })
        .collect()
}

/// One exploration.
struct Explorer {
    agent: Agent,
    elections: Elections,
    healed: HashSet<World, Fast>,
    seen: HashSet<World, Fast>,
    states: Vec<(u32, &'static str, World)>,
    crashes: bool,
    steps: usize,
}

impl Explorer {
    fn new(bounds: Bounds, crashes: bool) -> Self {
        Self {
            agent: Agent::new(bounds),
            elections: Elections::default(),
            healed: HashSet::default(),
            seen: HashSet::default(),
            states: Vec::new(),
            crashes,
            steps: 0,
        }
    }

    /// How one comes to a state, for people.
    fn trace(&self, mut at: usize, last: &str) -> String {
        let mut steps = vec![last.to_owned()];
        loop {
            let (from, label, world) = &self.states[at];
            steps.push(format!("{label}\n      {}", brief(world)));
            if *from == u32::MAX {
                break;
            }
            at = *from as usize;
        }
        steps.reverse();
        steps.join("\n")
    }

    /// Every state, or the first `limit` of them: those that the fewest events lead to.
    fn breadth(&mut self, limit: usize) {
        for seed in seeds(&self.agent.bounds) {
            self.add(u32::MAX, "begin", seed);
        }
        let mut at = 0;
        while at < self.states.len() && self.states.len() < limit {
            for (label, next) in self.successors(at) {
                self.add(u32::try_from(at).unwrap(), label, next);
            }
            at += 1;
        }
    }

    /// Long ways that chance takes, among them many that no limit would let through.
    fn walks(&mut self, walks: usize, length: usize, chance: &mut Chance) {
        for _ in 0..walks {
            self.states.clear();
            self.seen.clear();
            let mut from = seeds(&self.agent.bounds);
            let seed = from.swap_remove(chance.below(from.len() as u64));
            self.add(u32::MAX, "begin", seed);
            for _ in 0..length {
                let at = self.states.len() - 1;
                let mut next = self.successors(at);
                // The agent moves half of the time.
                let acts = next.iter().filter(|(label, _)| KINDS.contains(label)).count();
                if acts > 0 && chance.once_in(2) {
                    next.retain(|(label, _)| KINDS.contains(label));
                }
                if next.is_empty() {
                    break;
                }
                let (label, world) = next.swap_remove(chance.below(next.len() as u64));
                self.seen.clear();
                self.add(u32::try_from(at).unwrap(), label, world);
                if self.states.len() == at + 1 {
                    break; // out of bounds
                }
            }
            self.steps += self.states.len();
        }
    }

    /// What may follow, after the checks of what the agent would do now.
    fn successors(&mut self, at: usize) -> Vec<(&'static str, World)> {
        let bounds = self.agent.bounds;
        let world = self.states[at].2;
        let mut out = Vec::new();
        world.events(&bounds, &mut out);
        let act = self.agent.next(&world);
        if let Some(rule) = self.agent.against_the_rules(&world, act) {
            panic!("{}", self.trace(at, &format!("{act:?} breaks the rule: {rule}")));
        }
        if let Some(next) = self.agent.carry_out(&world, act) {
            // It succeeds and goes on, or it is killed after it. (Before it: an event.)
            out.push((act.kind(), next));
            let mut killed = next;
            killed.forget();
            out.push(("a step and its action's end", killed));
        }
        if self.crashes && world.faults < bounds.faults && !world.superseded {
            let again = in_place(&world, &bounds).into_iter();
            out.extend(again.map(|next| ("crash, promoted in place", next)));
        }
        if world.snap.is_none() {
            self.terminates(at);
            self.settles(at);
        }
        out
    }

    fn add(&mut self, from: u32, label: &'static str, world: World) {
        let bounds = self.agent.bounds;
        if world.file.s > bounds.seqs || world.cib.s > bounds.seqs {
            return;
        }
        let world = world.canonical(&bounds);
        if !self.seen.insert(world) {
            return;
        }
        self.states.push((from, label, world));
        let at = self.states.len() - 1;
        let kept = invariant(&world);
        assert!(kept, "{}", self.trace(at, "no member of E has what was promised"));
        if let Some(how) = self.elections.loses(&world, &bounds) {
            panic!("{}", self.trace(at, &format!("a promised commit is lost: {how}")));
        }
    }

    /// One action of the agent alone, in a world that stands still but for what it waits for, ends.
    fn terminates(&mut self, at: usize) {
        let mut world = self.states[at].2;
        let mut acts = Vec::new();
        loop {
            let act = self.agent.next(&world);
            acts.push(act);
            if matches!(act, Act::Wait(_) | Act::Settled | Act::Superseded) {
                return;
            }
            let ends = || self.trace(at, &format!("the action does not end: {acts:?}"));
            assert!(acts.len() <= 20, "{}", ends());
            let Some(next) = self.succeed(&world, act) else { return };
            world = next;
        }
    }

    /// Carries an act out; what it waits for comes, if it can.
    fn succeed(&self, world: &World, act: Act) -> Option<World> {
        let mut w = *world;
        match act {
            Act::AwaitEffective => {
                w.flag = w.v != 0;
                for i in 0..w.m.len() {
                    w.m[i].sync = w.m[i].streams && w.in_v(i);
                }
            }
            Act::AwaitFlush(who) => {
                let i = (0..w.m.len()).find(|i| has(who, *i) && w.sees(*i))?;
                w.m[i].flushed = w.wal;
            }
            _ => return self.agent.carry_out(world, act),
        }
        Some(w)
    }

    /// When everybody is back and streams, a few actions lead to an E and a V of all of them.
    fn settles(&mut self, at: usize) {
        let bounds = self.agent.bounds;
        let start = self.states[at].2;
        let mut world = start.healed(&bounds);
        if start.superseded || !self.healed.insert(world) {
            return;
        }
        let mut acts = Vec::new();
        for _ in 0..8 {
            for _ in 0..20 {
                let act = self.agent.next(&world);
                acts.push(act);
                let next = self.succeed(&world, act);
                if let Some(rule) = self.agent.against_the_rules(&world, act) {
                    panic!("{}", self.trace(at, &format!("{acts:?} breaks the rule: {rule}")));
                }
                let Some(next) = next else { break };
                world = next;
                if world.snap.is_none() {
                    break;
                }
            }
            world.breathe(&bounds);
        }
        let all = (1u8 << bounds.standbys) - 1;
        let scores = (0..bounds.standbys).all(|i| world.m[i].score_seen);
        let v = if world.sync { all } else { 0 };
        let file = world.file;
        let written = file.sync == world.sync && world.cib == file;
        let in_order = file.e == all && written && world.names() == Some(v) && scores;
        if acts.last() != Some(&Act::Settled) || !in_order {
            let ends = format!("{acts:?}\n{}\n", brief(&world));
            panic!("{}", self.trace(at, &format!("all are back, and it does not settle: {ends}")));
        }
        assert!(
            super::super::quiet(&self.agent.facts(&world)),
            "settled, and not quiet: {world:?}"
        );
    }
}

fn brief(w: &World) -> String {
    let ent = |e: Ent| format!("{}.{}:{:02b}{}", e.id, e.s, e.e, if e.sync { "" } else { "a" });
    let members: Vec<String> =
        w.m.iter()
            .map(|m| {
                format!(
                    "[{:?} {:?} {}{}{}{} at {} file {} ack {:?}/{:?} score {}/{}]",
                    m.power,
                    m.run,
                    if m.streams { "streams" } else { "-" },
                    if m.sync { " sync" } else { "" },
                    if m.long { " long" } else { "" },
                    if m.renamed { " renamed" } else { "" },
                    m.flushed,
                    ent(m.file),
                    m.ack,
                    m.ack_seen,
                    m.score,
                    m.score_seen
                )
            })
            .collect();
    format!(
        "wal {} acked {} promised {} file {} cib {}/{} names {}{}{} V {:02b} flag {} barrier {:?} cut {:?} snap {} {}",
        w.wal,
        w.acked,
        w.promised,
        ent(w.file),
        ent(w.cib),
        ent(w.cib_others),
        u8::from(w.rename),
        u8::from(w.renamed),
        u8::from(w.v_renamed),
        w.v,
        w.flag,
        w.barrier,
        w.cut,
        w.snap.is_some(),
        members.join(" ")
    )
}

const TWO_NODES: Bounds = Bounds {
    standbys: 1,
    commits: 1,
    seqs: 2,
    faults: 2,
    losses: false,
    switches: 0,
    renames: 0,
    strict: false,
    fencing: true,
};

const THREE_NODES: Bounds = Bounds { standbys: 2, faults: 1, ..TWO_NODES };

/// Explores all of it, and says which kinds of answers it met.
fn explore(bounds: Bounds) -> BTreeSet<&'static str> {
    explore_up_to(bounds, usize::MAX)
}

fn explore_up_to(bounds: Bounds, limit: usize) -> BTreeSet<&'static str> {
    let mut explorer = Explorer::new(bounds, true);
    explorer.breadth(limit);
    assert!(explorer.states.len() > 10_000, "only {} states", explorer.states.len());
    explorer.agent.kinds()
}

fn without<'a>(met: &BTreeSet<&'a str>, missing: &[&'a str]) -> BTreeSet<&'a str> {
    assert!(met.iter().all(|kind| !missing.contains(kind)), "{met:?}");
    let unmet = |kind: &&str| !met.contains(kind) && !missing.contains(kind);
    KINDS.into_iter().filter(unmet).collect()
}

#[test]
fn two_nodes_lose_nothing_and_settle() {
    let met = explore(TWO_NODES);
    // Two nodes keep their quorum.
    let other = ["ClusterUnknown", "FileLost", "NoFencing", "NoQuorum", "Strict", "Superseded"];
    assert_eq!(without(&met, &other), BTreeSet::new());
}

#[test]
fn two_nodes_whose_primary_loses_its_file_lose_nothing_else_and_settle() {
    let met = explore(Bounds { losses: true, ..TWO_NODES });
    assert!(met.contains("FileLost"), "{met:?}");
}

#[test]
fn two_nodes_without_fencing_never_go_on_alone_after_a_loss() {
    let met = explore(Bounds { fencing: false, ..TWO_NODES });
    assert!(met.contains("NoFencing") && met.contains("Superseded"), "{met:?}");
}

#[test]
fn two_nodes_in_strict_mode_never_go_on_alone() {
    let met = explore(Bounds { strict: true, ..TWO_NODES });
    assert!(met.contains("Strict"), "{met:?}");
}

#[test]
fn two_nodes_change_between_sync_and_async_without_breaking_a_promise() {
    explore(Bounds { switches: 1, faults: 1, ..TWO_NODES });
}

/// application_name is of two members only.
#[test]
fn a_standby_that_is_renamed_loses_nothing_and_settles() {
    let met = explore(Bounds { renames: 1, faults: 1, ..TWO_NODES });
    assert!(met.contains("ForStandby") && met.contains("ForProof"), "{met:?}");
    explore(Bounds { renames: 1, faults: 1, switches: 1, commits: 0, ..TWO_NODES });
    explore(Bounds { renames: 1, faults: 1, fencing: false, ..TWO_NODES });
    explore(Bounds { renames: 1, faults: 1, losses: true, ..TWO_NODES });
}

#[test]
fn three_nodes_lose_nothing_and_settle_on_all_short_ways() {
    let met = explore_up_to(THREE_NODES, 100_000);
    let other = ["ClusterUnknown", "FileLost", "NoFencing", "Strict", "Superseded"];
    assert_eq!(without(&met, &other), BTreeSet::new());
}

#[test]
fn three_nodes_lose_nothing_and_settle_on_long_ways() {
    let bounds = Bounds { commits: 3, seqs: 12, faults: 6, losses: true, ..THREE_NODES };
    let mut met = BTreeSet::new();
    let mut chance = Chance(3);
    for (switches, strict, fencing) in
        [(0, false, true), (2, false, true), (0, true, true), (1, false, false)]
    {
        let mut explorer = Explorer::new(Bounds { switches, strict, fencing, ..bounds }, true);
        explorer.walks(250, 250, &mut chance);
        assert!(explorer.steps > 30_000, "only {} steps", explorer.steps);
        met.append(&mut explorer.agent.kinds());
    }
    // What nothing but a failed question leads to has its row.
    assert_eq!(without(&met, &["ClusterUnknown"]), BTreeSet::new());
}

/// The same with wider bounds: minutes and a few GB. Run it when a rule changes:
/// `CARGO_PROFILE_TEST_OPT_LEVEL=2 cargo test --lib decide::sync -- --ignored`.
#[test]
#[ignore = "takes minutes and a few GB in an optimized build: tests/run --full does"]
fn wider_bounds_find_nothing_either() {
    for bounds in [
        Bounds { seqs: 4, faults: 3, ..TWO_NODES },
        Bounds { seqs: 4, faults: 3, fencing: false, ..TWO_NODES },
        Bounds { seqs: 3, switches: 1, ..TWO_NODES },
        Bounds { seqs: 4, faults: 3, losses: true, ..TWO_NODES },
    ] {
        explore(bounds);
    }
    explore_up_to(THREE_NODES, 5_000_000);
    explore_up_to(Bounds { switches: 1, ..THREE_NODES }, 5_000_000);
}
