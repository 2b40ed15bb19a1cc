//! As `src/agent/care.rs`: the loop around `decide::sync`.

use std::collections::{BTreeMap, BTreeSet};

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Entry, Mode, Own};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::facts::{PrimaryFacts, Sql};
use pgtwin::decide::sync::effect;
use pgtwin::decide::sync::{
    self, Cluster, Facts, Fencing, HEIR_SCORE, Next, NodeState, PRIMARY_SCORE, Step,
};
use pgtwin::decide::token::{self, BARRED};
use pgtwin::postgres::lsn::Lsn;

use super::ledger::cib;
use super::look::standby_name;
use super::{Agent, View};
use crate::mutation::Mutation;
use crate::wal::Record;
use crate::world::{index, name, say};

struct Round {
    own: Own,
    lost: bool,
    view: View,
    asked: bool,
    barrier: Option<Lsn>,
    leaving: BTreeSet<usize>,
    /// What this round itself has written since it asked.
    cluster: Option<Cluster>,
}

impl Agent {
    fn primary(&self) -> Option<PrimaryFacts> {
        match self.look_now().sql {
            Sql::Primary(primary) => Some(*primary),
            _ => None,
        }
    }

    fn facts(
        &self,
        own: &Entry,
        lost: bool,
        primary: &PrimaryFacts,
        round: Option<&Round>,
    ) -> Facts {
        let names = self.members_of(&primary.names);
        let effective = self.effective(primary, names.as_ref());
        let now = self.sim.now();
        let mut world = self.sim.world.borrow_mut();
        let others: Vec<usize> = world.all().into_iter().filter(|node| *node != self.me).collect();
        let missing = &mut world.nodes[self.me].cache.missing_since;
        let mut standbys = BTreeMap::new();
        for node in others {
            let sender = effect::sender(primary, &standby_name(node));
            if sender.is_some() {
                missing.remove(&node);
            } else {
                missing.entry(node).or_insert(now);
            }
            let since = missing.get(&node).copied().unwrap_or(now);
            standbys.insert(name(node), effect::standby(sender, (now - since) / 1_000, false));
        }
        Facts {
            me: self.name(),
            mode: Mode::Sync,
            strict: false,
            own: own.clone(),
            lost,
            names,
            effective,
            barrier: round.and_then(|round| round.barrier),
            standbys,
            cluster: round.and_then(|round| round.cluster.clone()).map(Known::Known),
        }
    }

    fn others_by_name(&self) -> effect::Names {
        let all = self.sim.world.borrow().all();
        let others = all.into_iter().filter(|node| *node != self.me);
        others.map(|node| (name(node), standby_name(node))).collect()
    }

    fn members_of(&self, text: &str) -> Option<BTreeSet<NodeName>> {
        effect::members_of(text, &self.others_by_name())
    }

    fn effective(&self, primary: &PrimaryFacts, names: Option<&BTreeSet<NodeName>>) -> bool {
        let others = self.others_by_name();
        let mut world = self.sim.world.borrow_mut();
        let eager = world.has(Mutation::EffectiveAtOnce) && names.is_some();
        let cache = &mut world.nodes[self.me].cache;
        let (after, effective) = std::mem::take(&mut cache.effect).after(primary, names, &others);
        cache.effect = after;
        eager || effective
    }

    /// A quiet monitor has nothing to do.
    pub(super) fn is_quiet(&self) -> bool {
        let (Some(own), Some(primary)) = (self.own(), self.primary()) else { return false };
        let Some(entry) = own.store.done(&self.name()).cloned() else { return false };
        own.store.intent(&self.name()).is_none()
            && sync::quiet(&self.facts(&entry, false, &primary, None))
    }

    /// Does what the primary has to do for its standbys. `leaving`: whose instance is being stopped. Whether
    /// another node was promoted since.
    pub(super) async fn care(&self, leaving: &BTreeSet<usize>, patience: u64) -> bool {
        let end = self.sim.now() + patience;
        let instance = self.look().await;
        let Sql::Primary(primary) = &instance.sql else { return false };
        if !self.is_noted_primary() {
            let shared = self.sim.world.borrow().nodes[self.me].stack.shared.clone();
            if token::overtaken(self.own().as_ref(), &cib(&shared), &self.name()).is_some() {
                return false;
            }
        }
        self.settle_intent(&instance).await;
        let view = self.view().await;
        let Some((own, lost)) = self.entry_as_primary(&view, primary.timeline).await else {
            return cib(&view.stack.shared)
                .newest_done()
                .is_some_and(|entry| entry.primary != self.name());
        };
        let leaving = leaving.clone();
        let mut round =
            Round { own, lost, view, asked: false, barrier: None, leaving, cluster: None };
        for _ in 0..60 {
            self.sim.act().await;
            let Some(primary) = self.primary() else { return false };
            let Some(entry) = round.own.store.done(&self.name()).cloned() else { return false };
            let facts = self.facts(&entry, round.lost, &primary, Some(&round));
            match sync::next(&facts) {
                Next::Settled | Next::Wait(_) => return false,
                Next::Superseded(_) => return true,
                Next::Do(step) => {
                    if self.sim.now() > end || !self.take(&mut round, &step, &primary, end).await {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// One step; false: it did not come to its end.
    async fn take(&self, round: &mut Round, step: &Step, primary: &PrimaryFacts, end: u64) -> bool {
        match step {
            Step::AskCluster => {
                if round.asked {
                    round.view = self.view().await;
                }
                round.asked = true;
                let cluster = self.cluster(round);
                let alone =
                    cluster.superseded.is_none() && !cluster.scores.contains_key(&self.name());
                round.cluster = Some(cluster);
                if alone {
                    self.set_score(self.me, PRIMARY_SCORE).await;
                }
            }
            Step::SetNames(nodes) => {
                round.barrier = None;
                let names: BTreeSet<usize> = nodes.iter().map(index).collect();
                self.log(&format!("V becomes {}", say(&names)));
                self.sim.world.borrow_mut().nodes[self.me].disk.names = names;
                self.sim.act().await;
                self.sim.reload(self.me);
            }
            Step::AwaitEffective => {
                let names = self.members_of(&primary.names);
                let until = end.min(self.sim.now() + 5_000);
                let proven = self.sim.world.borrow().nodes[self.me].cache.effect.proven;
                let id = self.sim.id();
                {
                    let mut world = self.sim.world.borrow_mut();
                    let here = &mut world.nodes[self.me];
                    if let Some(server) = here.server.as_mut().filter(|_| !proven) {
                        server.wanted = true;
                        here.disk.wal.write(Record::Checkpoint(id));
                    }
                }
                loop {
                    let Some(now) = self.primary() else { return false };
                    if self.effective(&now, names.as_ref()) {
                        return true;
                    }
                    if self.sim.now() > until {
                        return false;
                    }
                    self.sim.sleep(30).await;
                }
            }
            Step::TakeBarrier => round.barrier = Some(primary.insert),
            Step::AwaitFlush(nodes) => {
                if self.has(Mutation::NoBarrier) {
                    round.barrier = Some(Lsn(0));
                    return true;
                }
                let Some(barrier) = round.barrier else { return false };
                let until = end.min(self.sim.now() + 3_000);
                loop {
                    let Some(now) = self.primary() else { return false };
                    let flushed = now.walsenders.iter().any(|one| {
                        nodes.iter().any(|node| node.as_str() == one.name)
                            && one.flush.is_some_and(|flush| flush >= barrier)
                    });
                    if flushed {
                        return true;
                    }
                    if self.sim.now() > until {
                        return false;
                    }
                    self.sim.sleep(20).await;
                }
            }
            Step::WriteFile(entry) => {
                if self.has(Mutation::NamesBeforeHeirs) && entry.heirs.len() > 1 {
                    let names = entry.heirs.iter().map(index).collect();
                    self.sim.world.borrow_mut().nodes[self.me].disk.names = names;
                    self.sim.reload(self.me);
                    self.sim.sleep(self.sim.between(10, 2_000)).await;
                }
                if entry.heirs.is_empty() {
                    self.sim.world.borrow_mut().counts.alone += 1;
                }
                self.write_entry(round, entry).await;
            }
            Step::WriteCib(entry) => {
                let mut slot = round.own.store.slot(&self.name()).cloned().unwrap_or_default();
                slot.done = Some(entry.clone());
                if self.has(Mutation::RelaxBeforeProof) && entry.heirs.is_empty() {
                    self.write_entry(round, entry).await;
                    self.sim.world.borrow_mut().nodes[self.me].disk.names.clear();
                    self.sim.reload(self.me);
                }
                self.write_slot(self.me, &slot).await;
                if let Some(cluster) = &mut round.cluster {
                    cluster.cib = Some(entry.clone());
                }
            }
            Step::Grant(node) => {
                self.log(&format!("{node} may take over"));
                self.set_score(index(node), HEIR_SCORE).await;
                if let Some(cluster) = &mut round.cluster {
                    cluster.scores.insert(node.clone(), HEIR_SCORE);
                }
            }
            Step::Revoke(node) => {
                if !self.has(Mutation::ScoreNotRevoked) {
                    let at = index(node);
                    if round.view.stack.view.contains(&at) {
                        self.set_score(at, BARRED).await;
                    } else {
                        self.delete_score(at).await;
                    }
                }
                if let Some(cluster) = &mut round.cluster {
                    cluster.scores.remove(node);
                }
            }
        }
        true
    }

    async fn write_entry(&self, round: &mut Round, entry: &Entry) {
        round.own.store.set_done(entry.clone());
        self.write_own(&round.own).await;
        round.lost = false;
        let heirs: Vec<usize> = entry.heirs.iter().map(index).collect();
        self.log(&format!("E={} (term {} seq {})", say(&heirs), entry.term, entry.seq));
    }

    /// A standby does not stream, as this primary has seen it.
    fn misses(&self, node: usize) -> bool {
        self.sim.world.borrow().nodes[self.me].cache.missing_since.contains_key(&node)
    }

    fn cluster(&self, round: &Round) -> Cluster {
        let view = &round.view;
        let store = cib(&view.stack.shared);
        let term = round.own.store.done(&self.name()).map_or(0, |entry| entry.term);
        let superseded = store
            .slots()
            .filter(|(node, _)| **node != self.name())
            .filter_map(|(_, slot)| slot.done.clone())
            .filter(|entry| entry.term >= term)
            .max_by_key(Entry::key);
        let state = |node: &usize| {
            if view.stack.view.contains(node) {
                NodeState::Online
            } else if view.stack.unclean.contains(node) {
                NodeState::Unclean
            } else if view.stack.down.contains(node) {
                NodeState::OfflineClean
            } else {
                NodeState::Unknown
            }
        };
        let trusting = self.has(Mutation::BrokenConnectionIsProof);
        let nodes = view.members.iter().map(|node| {
            let state =
                if trusting && *node != self.me { NodeState::OfflineClean } else { state(node) };
            (name(*node), state)
        });
        let stopped = view.members.iter().filter(|node| {
            **node != self.me
                && (round.leaving.contains(node)
                    || !view.runs_on(**node)
                    || view.standby.contains(node)
                    || (view.stack.shared.rebuilding.contains(node) && self.misses(**node)))
        });
        Cluster {
            cib: store.done(&self.name()).cloned(),
            superseded,
            nodes: nodes.collect(),
            stopped: stopped.map(|node| name(*node)).collect(),
            scores: view.scores().into_iter().map(|(node, score)| (name(node), score)).collect(),
            acks: Self::acks(view),
            quorum: Known::Known(view.quorum),
            two_and_ignore: false,
            fencing: Fencing::Works,
        }
    }
}
