//! The primary's agent in the small world: its facts, its step as `next` decides it, and the rules of
//! design 4.2 that every single step has to keep.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::{Cluster, Facts, Fencing, Next, NodeState, Standby, Step, Waiting, next};
use super::world::{Bounds, Ent, MAX, Power, Run, Snap, World, has};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Entry, Mode, PromotionId};
use crate::cluster::node::NodeName;
use crate::decide::support::{Fast, SYSTEM, node};
use crate::postgres::lsn::{Lsn, Timeline};

pub const NAMES: [&str; MAX] = ["n2", "n3"];

pub fn set(mask: u8) -> BTreeSet<NodeName> {
    (0..MAX).filter(|i| has(mask, *i)).map(|i| node(NAMES[i])).collect()
}

pub fn bits(nodes: &BTreeSet<NodeName>) -> u8 {
    nodes.iter().map(|name| 1 << index(name)).sum()
}

fn index(name: &NodeName) -> usize {
    NAMES.iter().position(|known| *known == name.as_str()).unwrap()
}

pub fn real(entry: Ent) -> Entry {
    Entry {
        system_id: SYSTEM,
        term: 1,
        seq: entry.s.into(),
        id: PromotionId(entry.id.into()),
        primary: node("n1"),
        timeline: Timeline(1),
        mode: if entry.sync { Mode::Sync } else { Mode::Async },
        heirs: set(entry.e),
        history: Vec::new(),
        adopted: None,
    }
}

pub fn small(entry: &Entry) -> Ent {
    Ent {
        s: entry.seq.try_into().unwrap(),
        e: bits(&entry.heirs),
        sync: entry.mode == Mode::Sync,
        id: entry.id.0.try_into().unwrap(),
    }
}

/// What `next` answered, in small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    Ask,
    SetNames(u8),
    AwaitEffective,
    Barrier,
    AwaitFlush(u8),
    File(Ent),
    Cib(Ent),
    Grant(usize),
    Revoke(usize),
    Wait(&'static str),
    Settled,
    Superseded,
}

impl Act {
    /// The variant of `Next`, `Step` or `Waiting` that it is.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ask => "AskCluster",
            Self::SetNames(_) => "SetNames",
            Self::AwaitEffective => "AwaitEffective",
            Self::Barrier => "TakeBarrier",
            Self::AwaitFlush(_) => "AwaitFlush",
            Self::File(_) => "WriteFile",
            Self::Cib(_) => "WriteCib",
            Self::Grant(_) => "Grant",
            Self::Revoke(_) => "Revoke",
            Self::Wait(kind) => kind,
            Self::Settled => "Settled",
            Self::Superseded => "Superseded",
        }
    }
}

/// All kinds there are; the two matches below do not compile when one is missing.
pub const KINDS: [&str; 19] = [
    "AskCluster",
    "SetNames",
    "AwaitEffective",
    "TakeBarrier",
    "AwaitFlush",
    "WriteFile",
    "WriteCib",
    "Grant",
    "Revoke",
    "Settled",
    "Superseded",
    "ClusterUnknown",
    "ForStandby",
    "ForProof",
    "FileLost",
    "Strict",
    "NoFencing",
    "NoQuorum",
    "ForAcks",
];

fn act(next: &Next) -> Act {
    match next {
        Next::Do(Step::AskCluster) => Act::Ask,
        Next::Do(Step::SetNames(names)) => Act::SetNames(bits(names)),
        Next::Do(Step::AwaitEffective) => Act::AwaitEffective,
        Next::Do(Step::TakeBarrier) => Act::Barrier,
        Next::Do(Step::AwaitFlush(nodes)) => Act::AwaitFlush(bits(nodes)),
        Next::Do(Step::WriteFile(entry)) => Act::File(small(entry)),
        Next::Do(Step::WriteCib(entry)) => Act::Cib(small(entry)),
        Next::Do(Step::Grant(node)) => Act::Grant(index(node)),
        Next::Do(Step::Revoke(node)) => Act::Revoke(index(node)),
        Next::Wait(Waiting::ClusterUnknown(_)) => Act::Wait("ClusterUnknown"),
        Next::Wait(Waiting::ForStandby(_)) => Act::Wait("ForStandby"),
        Next::Wait(Waiting::ForProof(_)) => Act::Wait("ForProof"),
        Next::Wait(Waiting::FileLost(_)) => Act::Wait("FileLost"),
        Next::Wait(Waiting::Strict) => Act::Wait("Strict"),
        Next::Wait(Waiting::NoFencing(_)) => Act::Wait("NoFencing"),
        Next::Wait(Waiting::NoQuorum) => Act::Wait("NoQuorum"),
        Next::Wait(Waiting::ForAcks(_)) => Act::Wait("ForAcks"),
        Next::Settled => Act::Settled,
        Next::Superseded(_) => Act::Superseded,
    }
}

/// What the answer of `next` depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    sync: bool,
    file: Ent,
    lost: bool,
    v: Option<u8>,
    effective: bool,
    barrier: Option<u8>,
    standbys: [(bool, u8, bool); MAX],
    snap: Option<Snap>,
}

/// The agent, which remembers what `next` has answered before.
pub struct Agent {
    pub bounds: Bounds,
    known: HashMap<Key, Act, Fast>,
}

impl Agent {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, known: HashMap::default() }
    }

    /// The kinds of all answers so far.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.known.values().map(|act| act.kind()).collect()
    }

    pub fn snap(&self, world: &World) -> Snap {
        let each = [0, 1];
        Snap {
            cib: world.cib,
            superseded: world.superseded,
            quorum: world.quorum(&self.bounds),
            power: each.map(|i| world.view_of(i)),
            stopped: each.map(|i| world.m[i].run != Run::Up),
            scores: each.map(|i| world.m[i].score_seen),
            acks: each.map(|i| world.m[i].ack_seen),
        }
    }

    fn cluster(&self, snap: &Snap) -> Cluster {
        let each = || 0..self.bounds.standbys;
        let state = |power| match power {
            Power::Up => NodeState::Online,
            Power::Lost => NodeState::Unclean,
            Power::Fenced => NodeState::OfflineClean,
        };
        let of = |mask: &dyn Fn(usize) -> bool| -> BTreeSet<NodeName> {
            each().filter(|i| mask(*i)).map(|i| node(NAMES[i])).collect()
        };
        let ack = |(id, s): (u8, u8)| Ack { id: PromotionId(id.into()), term: 1, seq: s.into() };
        Cluster {
            cib: Some(real(snap.cib)),
            superseded: snap.superseded.then(|| Entry {
                term: 2,
                primary: node("n2"),
                ..real(Ent::default())
            }),
            nodes: each().map(|i| (node(NAMES[i]), state(snap.power[i]))).collect(),
            stopped: of(&|i| snap.stopped[i]),
            scores: of(&|i| snap.scores[i]).into_iter().map(|name| (name, 1)).collect(),
            acks: each().filter_map(|i| Some((node(NAMES[i]), ack(snap.acks[i]?)))).collect(),
            quorum: Known::Known(snap.quorum),
            two_and_ignore: false,
            fencing: if self.bounds.fencing {
                Fencing::Works
            } else {
                Fencing::Off("stonith-enabled=false".into())
            },
        }
    }

    pub fn facts(&self, world: &World) -> Facts {
        let standbys: BTreeMap<_, _> = (0..self.bounds.standbys)
            .map(|i| {
                let m = &world.m[i];
                let standby = Standby {
                    streaming: world.sees(i).then_some(Lsn(m.flushed.into())),
                    gone_for_long: m.long && !world.sees(i),
                    eligible: true,
                };
                (node(NAMES[i]), standby)
            })
            .collect();
        Facts {
            me: node("n1"),
            mode: if world.sync { Mode::Sync } else { Mode::Async },
            strict: self.bounds.strict,
            own: real(world.file),
            lost: world.lost,
            names: world.names().map(set),
            effective: world.names().is_some() && world.effective(),
            barrier: world.barrier.map(|lsn| Lsn(lsn.into())),
            standbys,
            cluster: world.snap.as_ref().map(|snap| Known::Known(self.cluster(snap))),
        }
    }

    /// The next act in this world.
    pub fn next(&mut self, world: &World) -> Act {
        let key = Key {
            sync: world.sync,
            file: world.file,
            lost: world.lost,
            v: world.names(),
            effective: world.names().is_some() && world.effective(),
            barrier: world.barrier,
            standbys: [0, 1].map(|i| {
                let m = &world.m[i];
                let sees = world.sees(i);
                (sees, if sees { m.flushed } else { 0 }, m.long && !sees)
            }),
            snap: world.snap,
        };
        if let Some(act) = self.known.get(&key) {
            return *act;
        }
        let answer = act(&next(&self.facts(world)));
        self.known.insert(key, answer);
        answer
    }

    /// Carries an act out. None if it is one that waits, and what it waits for has not come.
    pub fn carry_out(&self, world: &World, act: Act) -> Option<World> {
        let mut w = *world;
        match act {
            Act::Ask => w.snap = Some(self.snap(world)),
            Act::SetNames(v) => (w.v, w.v_renamed, w.barrier) = (v, w.renamed, None),
            Act::AwaitEffective | Act::AwaitFlush(_) => return None,
            Act::Barrier => w.barrier = Some(w.wal),
            Act::File(entry) => (w.file, w.lost) = (entry, false),
            Act::Cib(entry) => w.write_cib(entry),
            Act::Grant(i) => w.set_score(i, true),
            Act::Revoke(i) => w.set_score(i, false),
            Act::Wait(_) | Act::Settled | Act::Superseded => w.forget(),
        }
        Some(w)
    }

    /// The rules that each step of a primary in sync mode has to keep, apart from what may follow.
    pub fn against_the_rules(&self, world: &World, act: Act) -> Option<&'static str> {
        let (old, v, snap) = (world.file, world.v, world.snap);
        let all =
            |mask: u8, test: &dyn Fn(usize) -> bool| (0..MAX).filter(|i| has(mask, *i)).all(test);
        let acked = |i: usize, entry: Ent| {
            snap.is_some_and(|snap| snap.acks[i] == Some((entry.id, entry.s)))
        };
        let fenced = |i: usize| {
            self.bounds.fencing && snap.is_some_and(|snap| snap.power[i] == Power::Fenced)
        };
        let broken = |kept: bool, rule| (!kept).then_some(rule);
        match act {
            Act::SetNames(_) if world.lost => broken(false, "V stays while E is not known"),
            Act::SetNames(new) if world.sync && old.sync => {
                broken(new & !old.e == 0 || old.e == 0, "V names nobody outside E")
                    .or(broken(new != 0 || old.e == 0, "V is empty only when E is"))
                    .or(broken(
                        old.e == 0 || new & !v == 0 || all(v, &|i| acked(i, old) || fenced(i)),
                        "V grows only when all of the old V have acknowledged the larger E",
                    ))
            }
            // After a loss it is E = {}, and everybody but the primary was proven out.
            Act::File(new) if world.lost && new.sync => {
                let everybody = (1 << self.bounds.standbys) - 1;
                let proven = |i: usize| fenced(i) || acked(i, new);
                broken(
                    new.e == 0
                        && snap.is_some_and(|snap| snap.cib == new && snap.quorum)
                        && all(everybody, &proven),
                    "a file that was lost is made anew as E = {} when all others know it",
                )
            }
            Act::File(new) if old.sync && new.sync => {
                let dropped = old.e & !new.e;
                let flushed = |i: usize| {
                    world.barrier.is_some_and(|b| world.sees(i) && world.m[i].flushed >= b)
                };
                let any_flushed = (0..MAX).any(|i| has(new.e, i) && flushed(i));
                let proven = |i: usize| {
                    snap.is_some_and(|snap| {
                        snap.power[i] == Power::Fenced && self.bounds.fencing
                            || snap.cib.e == 0 && acked(i, snap.cib)
                    })
                };
                broken(new.s > old.s && new.id == old.id, "an entry is never written twice")
                    .or(broken(
                        snap.is_some_and(|snap| all(dropped, &|i| !snap.scores[i])),
                        "whoever leaves E has lost its score before",
                    ))
                    .or(broken(
                        old.e != 0 || new.e == 0 || v == new.e && world.effective() && any_flushed,
                        "from alone, V is E, in effect, and was flushed",
                    ))
                    .or(broken(
                        dropped == 0
                            || new.e == 0
                            || v == new.e && world.effective() && any_flushed,
                        "whoever stays has flushed what the others had",
                    ))
                    .or(broken(
                        old.e == 0
                            || new.e != 0
                            || snap.is_some_and(|snap| snap.cib == new && snap.quorum)
                                && all(old.e, &proven),
                        "alone only when the CIB says so, all of E are proven out, with quorum",
                    ))
            }
            Act::Cib(new) if old.sync && new.sync => broken(
                new == old || new.e == 0 && new.s > old.s,
                "the CIB is ahead of the file only to go on alone",
            ),
            Act::Grant(i) => broken(
                has(old.e, i) && world.sees(i) && snap.is_some_and(|snap| snap.cib == old),
                "a score is for a member of E, in file and CIB, that streams",
            )
            .or(broken(
                !world.sync || has(v, i) && world.effective(),
                "a score is for one that confirms commits",
            )),
            Act::Wait("ForStandby" | "ForProof" | "NoQuorum" | "Strict") if old.sync => {
                broken(v != 0, "one waits only while commits do")
            }
            _ => None,
        }
    }
}
