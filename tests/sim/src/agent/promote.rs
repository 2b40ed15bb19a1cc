//! As `src/agent/promote.rs`: the loop around `decide::promote`.

use std::collections::BTreeSet;

use pgtwin::cluster::ledger::{Mode, Own, PromotionId};
use pgtwin::cluster::position::Position;
use pgtwin::decide::election::{Plan, Ruling};
use pgtwin::decide::ledger::resolved;
use pgtwin::decide::promote::{
    Answer as Said, Facts, Intent, Next, OldPrimary, Planned, Progress, Step, intent, next,
};
use pgtwin::decide::sync::PRIMARY_SCORE;
use pgtwin::decide::token;

use super::ledger::cib;
use super::{Agent, Answer, View};
use crate::mutation::Mutation;
use crate::server::Phase;
use crate::world::{index, say};

/// How long a candidate waits for what its peers have to say.
const FOR_PEERS: u64 = 10_000;
/// How long it waits for PostgreSQL.
const FOR_WRITES: u64 = 50_000;

struct Round {
    id: PromotionId,
    view: Option<View>,
    file: Option<Own>,
    position: Option<Position>,
    seen: BTreeSet<usize>,
}

impl Agent {
    pub(super) async fn promote(&self) -> Answer {
        let begun = self.sim.now();
        let instance = self.look().await;
        let (file, intent) = self.settle_intent(&instance).await;
        let id = self.promotion_id();
        let mut round = Round { id, view: None, file, position: None, seen: BTreeSet::new() };
        let mut facts = Facts {
            instance,
            intent,
            ruling: None,
            out_of_time: false,
            old_primary: None,
            planned: None,
            force: false,
            mode: Mode::Sync,
            done: Progress::Nothing,
        };
        loop {
            let limit = if facts.done < Progress::Told { FOR_PEERS } else { FOR_WRITES };
            facts.out_of_time = self.sim.now() > begun + limit;
            match next(&facts) {
                Next::Promoted => {
                    self.promoted().await;
                    return Answer::Primary;
                }
                Next::Failed(why) => return Answer::Fails(why),
                Next::Refused { reason, .. } => {
                    self.give_way(facts.ruling.as_ref()).await;
                    return Answer::Fails(format!("refused: {reason}"));
                }
                Next::Do(step) => self.promote_step(&step, &mut facts, &mut round).await,
            }
        }
    }

    async fn promote_step(&self, step: &Step, facts: &mut Facts, round: &mut Round) {
        match step {
            Step::ResolveDone | Step::ResolveVoid => {
                let stands =
                    if *step == Step::ResolveDone { Intent::CarriedOut } else { Intent::Void };
                let beyond = |timeline| self.beyond(timeline);
                if let Some(own) = self.own()
                    && let Some(own) =
                        resolved(&own, &self.name(), &stands, &facts.instance, beyond)
                {
                    self.write_own(&own).await;
                    round.file = Some(own);
                }
                facts.intent = Intent::None;
            }
            Step::Elect | Step::WaitAndElect => {
                if *step == Step::WaitAndElect {
                    self.sim.sleep(100).await;
                }
                facts.instance = self.look().await;
                facts.old_primary = None;
                facts.planned = None;
                let view = self.view().await;
                let file = self.exchange(&view, false).await;
                let reach = self.reach(&facts.instance);
                round.file = self.explained(file, &cib(&view.stack.shared), reach).await;
                self.sim.act().await;
                let position = self.position(&facts.instance);
                round.position = position.clone().known();
                let purpose = token::purpose(self.has_token(&view));
                let (ruling, seen) = self.elect(&view, round.file.as_ref(), position, purpose);
                facts.ruling = Some(ruling);
                round.seen = seen;
                round.view = Some(view);
            }
            Step::AskOldPrimary => {
                self.sim.act().await;
                facts.old_primary = Some(self.ask_old_primary(facts, round));
            }
            Step::CheckPlanned => {
                facts.planned = Some(match (&facts.ruling, &round.view) {
                    (Some(Ruling::Permitted(plan)), Some(view)) => {
                        self.check_planned(plan, view, round.position.as_ref(), &round.seen)
                    }
                    _ => Planned::NotApplicable,
                });
            }
            Step::WriteIntent(plan) => {
                if !self.has(Mutation::IntentAfterPromotion) {
                    self.write_intent(plan, round).await;
                }
                facts.done = Progress::FileWritten;
            }
            Step::Announce => {
                self.announce(round).await;
                facts.done = Progress::Announced;
            }
            Step::Configure(plan) => {
                self.configure(plan).await;
                facts.done = Progress::Configured;
            }
            Step::Tell => {
                self.sim.act().await;
                if let Some(server) = &mut self.sim.world.borrow_mut().nodes[self.me].server {
                    server.told = true;
                }
                facts.done = Progress::Told;
                if self.has(Mutation::IntentAfterPromotion)
                    && let Some(Ruling::Permitted(plan)) = facts.ruling.clone()
                {
                    self.sim.act().await;
                    self.write_intent(&plan, round).await;
                }
                facts.instance = self.look().await;
                facts.intent = Intent::Pending;
            }
            Step::AwaitWritable => {
                self.sim.sleep(10).await;
                facts.instance = self.look().await;
                if facts.done == Progress::Nothing {
                    let (file, intent) = self.settle_intent(&facts.instance).await;
                    round.file = file;
                    facts.intent = intent;
                }
            }
        }
    }

    fn ask_old_primary(&self, facts: &Facts, round: &Round) -> OldPrimary {
        let Some(Ruling::Permitted(plan)) = &facts.ruling else { return OldPrimary::NotApplicable };
        let Some(old) = plan.after.as_ref().map(|entry| entry.primary.clone()) else {
            return OldPrimary::NotApplicable;
        };
        if old == self.name() {
            return OldPrimary::NotApplicable;
        }
        let at = index(&old);
        let in_cluster = match &round.view {
            Some(view) if view.stack.view.contains(&at) => true,
            Some(view) if view.stack.down.contains(&at) => false,
            Some(_) => return OldPrimary::NotProvenDown(old, "it has not been fenced".into()),
            None => return OldPrimary::NotProvenDown(old, "no view of the cluster".into()),
        };
        let world = self.sim.world.borrow();
        let node = &world.nodes[at];
        let answer = match &node.server {
            _ if !world.wire[self.me][at] || !world.wire[at][self.me] => Said::NoPrimary,
            Some(_) if node.frozen_until > self.sim.now() => Said::Unknown("no answer".into()),
            Some(server) if server.phase == Phase::Primary => Said::Primary,
            Some(_) | None => Said::NoPrimary,
        };
        OldPrimary::of(&old, in_cluster, answer)
    }

    async fn write_intent(&self, plan: &Plan, round: &mut Round) {
        let Some(position) = &round.position else { return };
        let mut own =
            round.file.clone().unwrap_or_else(|| Own::new(crate::world::RESOURCE, &self.name()));
        let mut plan = plan.clone();
        if self.has(Mutation::InPlaceWithoutNames) && plan.in_place {
            plan.names.clear();
        }
        let (me, id) = (self.name(), round.id);
        let line = position.timeline();
        let system = self.sim.world.borrow().nodes[self.me].disk.system;
        let entry = intent(&plan, &me, own.followed, id, system, line, Mode::Sync);
        self.log(&format!(
            "promotion begins: term {} seq {}, E={} V={}",
            entry.term,
            entry.seq,
            say(&entry.heirs.iter().map(index).collect::<Vec<_>>()),
            say(&plan.names.iter().map(index).collect::<Vec<_>>()),
        ));
        own.intends(entry);
        self.write_own(&own).await;
        round.file = Some(own);
    }

    /// The intent in the CIB and what was said taken back: at once, so in any order.
    async fn announce(&self, round: &Round) {
        let Some(own) = &round.file else { return };
        let slot = own.store.slot(&self.name()).cloned().unwrap_or_default();
        let first = self.sim.once_in(2);
        if first {
            self.write_slot(self.me, &slot).await;
        }
        let members = round.view.as_ref().map(|view| view.members.clone()).unwrap_or_default();
        for node in members {
            self.withdraw_position(node).await;
        }
        if !first {
            self.write_slot(self.me, &slot).await;
        }
    }

    async fn configure(&self, plan: &Plan) {
        self.sim.act().await;
        let skip = self.has(Mutation::InPlaceWithoutNames) && plan.in_place;
        let names = if skip { BTreeSet::new() } else { plan.names.iter().map(index).collect() };
        {
            let mut world = self.sim.world.borrow_mut();
            let disk = &mut world.nodes[self.me].disk;
            disk.names = names;
            disk.upstream = None;
        }
        self.sim.act().await;
        self.sim.reload(self.me);
    }

    async fn promoted(&self) {
        let Some(own) = self.own() else { return };
        let Some(slot) = own.store.slot(&self.name()).cloned() else { return };
        self.set_score(self.me, PRIMARY_SCORE).await;
        self.write_slot(self.me, &slot).await;
        self.note_primary();
        self.sim.world.borrow_mut().nodes[self.me].cache.missing_since.clear();
    }
}
