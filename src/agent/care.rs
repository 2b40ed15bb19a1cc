//! The primary's care for E, V, scores and slots: the loop around `decide::sync`. Floor 3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Own, names as list};
use crate::cluster::node::NodeName;
use crate::cluster::past::Kind;
use crate::decide::facts::{Instance, PrimaryFacts, Sql, Walsender};
use crate::decide::forget;
use crate::decide::monitor::primary::Cared;
use crate::decide::sync::effect::{self, Effect};
use crate::decide::sync::{self, Cluster, HEIR_SCORE, Next, PRIMARY_SCORE, Step, Waiting};
use crate::postgres::lsn::Lsn;
use crate::postgres::sync_names::{self, StandbyName};
use crate::sys::chain;
use crate::sys::deadline::Deadline;

/// A bound on the steps of one call; each transition needs fewer than ten.
const STEPS: usize = 60;

/// The state of one round.
struct Round {
    own: Own,
    /// The own file was lost: `own` is what the CIB says, and the file is still to be made.
    lost: bool,
    view: Option<Known<View>>,
    cluster: Option<Known<Cluster>>,
    barrier: Option<Lsn>,
    leaving: BTreeSet<NodeName>,
    declared_out: BTreeSet<NodeName>,
    /// The physical slots, as last seen.
    slots: Vec<String>,
}

impl Agent<'_> {
    /// Whether a monitor of this primary has nothing to do but answer.
    pub fn primary_is_quiet(&mut self, own: &OwnFile, primary: &PrimaryFacts) -> bool {
        let OwnFile::Read(own) = own else { return false };
        let Some(entry) = own.store.done(&self.me).cloned() else { return false };
        if own.store.intent(&self.me).is_some() || self.pacemaker_is_due() {
            return false;
        }
        let Some(members) = self.known_members() else { return false };
        let facts = self.facts_of(&entry, false, primary, &members, None, None);
        sync::quiet(&facts)
    }

    pub(super) fn standby_of<'a>(
        &self,
        primary: &'a PrimaryFacts,
        node: &NodeName,
        members: usize,
    ) -> Option<&'a Walsender> {
        effect::sender(primary, &self.name_of(node, members)?)
    }

    fn name_of(&self, node: &NodeName, members: usize) -> Option<StandbyName> {
        let name = self.params.application_name_for(node, members).ok()?;
        name.parse::<StandbyName>().ok()
    }

    /// V as a set of members; none when the setting is not ours.
    pub(super) fn parse_names(
        &self,
        text: &str,
        members: &BTreeSet<NodeName>,
    ) -> Option<BTreeSet<NodeName>> {
        effect::members_of(text, &self.others_by_name(members))
    }

    /// The other members by the names of their walreceivers.
    fn others_by_name(&self, members: &BTreeSet<NodeName>) -> effect::Names {
        let others = members.iter().filter(|node| **node != self.me);
        let named = |node: &NodeName| Some((node.clone(), self.name_of(node, members.len())?));
        others.filter_map(named).collect()
    }

    fn facts_of(
        &mut self,
        own: &Entry,
        lost: bool,
        primary: &PrimaryFacts,
        members: &BTreeSet<NodeName>,
        cluster: Option<Known<Cluster>>,
        barrier: Option<Lsn>,
    ) -> sync::Facts {
        let names = self.parse_names(&primary.names, members);
        let now = super::uptime();
        let mut standbys = BTreeMap::new();
        for node in members.iter().filter(|node| **node != self.me) {
            let walsender = self.standby_of(primary, node, members.len());
            if walsender.is_some() {
                self.cache.missing_since.remove(node.as_str());
            } else {
                self.cache.missing_since.entry(node.to_string()).or_insert(now);
            }
            let since = self.cache.missing_since.get(node.as_str()).copied().unwrap_or(now);
            let delayed = self.cache.delayed.iter().any(|name| *name == node.as_str());
            let standby = effect::standby(walsender, now.saturating_sub(since), delayed);
            standbys.insert(node.clone(), standby);
        }
        let effective = self.effective(primary, names.as_ref(), members);
        sync::Facts {
            me: self.me.clone(),
            mode: self.mode(),
            strict: self.params.sync_strict,
            own: own.clone(),
            lost,
            names,
            effective,
            barrier,
            standbys,
            cluster,
        }
    }

    fn effect(&self) -> Effect {
        let cache = &self.cache;
        Effect {
            started: cache.started,
            names: cache.names.clone(),
            names_at: cache.names_at,
            proven: cache.flag_proven,
            requested: cache.checkpoint_requested,
        }
    }

    /// Whether V is in effect.
    fn effective(
        &mut self,
        primary: &PrimaryFacts,
        names: Option<&BTreeSet<NodeName>>,
        members: &BTreeSet<NodeName>,
    ) -> bool {
        let others = self.others_by_name(members);
        let (after, effective) = self.effect().after(primary, names, &others);
        let cache = &mut self.cache;
        (cache.started, cache.names, cache.names_at) = (after.started, after.names, after.names_at);
        (cache.flag_proven, cache.checkpoint_requested) = (after.proven, after.requested);
        effective
    }

    /// Does what the primary has to do for its standbys. `leaving` are members whose instance is
    /// being stopped, or was.
    pub fn care(&mut self, leaving: &BTreeSet<NodeName>, patience: Duration) -> Cared {
        self.care_without(leaving, &BTreeSet::new(), patience)
    }

    /// The same, with an operator's word that `declared_out` are gone for good.
    pub fn care_without(
        &mut self,
        leaving: &BTreeSet<NodeName>,
        declared_out: &BTreeSet<NodeName>,
        patience: Duration,
    ) -> Cared {
        let deadline = self.deadline.within(patience);
        let instance = self.pg.look(&deadline);
        let Sql::Primary(primary) = &instance.sql else {
            return Cared::NotPrimary(Box::new(instance));
        };
        if let Some(why) = self.usurps(&instance.process) {
            return Cared::Failed(why);
        }
        let (file, _) = self.settle_intent(&instance);
        let view = self.view();
        let store = match view.as_known().and_then(super::view::View::ledger) {
            Known::Known(store) => store,
            Known::Unknown(why) => return Cared::Waiting(Waiting::ClusterUnknown(why)),
        };
        let entry = self.entry_as_primary(&file, &store, primary.system_id, primary.timeline);
        let (own, lost) = match entry {
            Ok(entry) => entry,
            Err(why) => {
                return match store.newest_done() {
                    Some(entry) if entry.primary != self.me => {
                        Cared::Superseded(Box::new(entry.clone()))
                    }
                    _ => Cared::Failed(why),
                };
            }
        };
        let mut round = Round {
            own,
            lost,
            view: Some(view),
            cluster: None,
            barrier: None,
            leaving: leaving.clone(),
            declared_out: declared_out.clone(),
            slots: primary.slots.clone(),
        };
        let result = self.rounds(&mut round, instance, &deadline);
        self.after_care(&round, &result);
        result
    }

    fn rounds(&mut self, round: &mut Round, first: Instance, deadline: &Deadline) -> Cared {
        let mut instance = first;
        for _ in 0..STEPS {
            let Sql::Primary(primary) = &instance.sql else {
                return Cared::NotPrimary(Box::new(instance));
            };
            let primary = primary.clone();
            let Some(Known::Known(view)) = &round.view else {
                return Cared::Waiting(Waiting::ClusterUnknown("no view of the cluster".into()));
            };
            let mut members = self.members(view);
            let Some(entry) = round.own.store.done(&self.me).cloned() else {
                return Cared::Failed("the own ledger file has no entry of this primary".into());
            };
            // Whoever was taken out of the configuration counts until it is out of E.
            members.extend(entry.heirs.iter().cloned());
            members.extend(round.declared_out.iter().cloned());
            let (cluster, barrier) = (round.cluster.clone(), round.barrier);
            let facts = self.facts_of(&entry, round.lost, &primary, &members, cluster, barrier);
            match sync::next(&forget::with_word(&facts, &round.declared_out)) {
                Next::Settled => return Cared::Settled(entry.heirs),
                Next::Wait(waiting) => return Cared::Waiting(waiting),
                Next::Superseded(entry) => return Cared::Superseded(entry),
                Next::Do(step) => {
                    if deadline.expired() {
                        return Cared::Failed(format!("no time was left for {step:?}"));
                    }
                    debug!("care: {step:?}");
                    if let Err(why) = self.take(round, &step, &primary, &members, deadline) {
                        return Cared::Failed(why);
                    }
                    if let Step::WriteFile(entry) = &step
                        && let Some(words) = sync::change(&facts, entry, &round.declared_out)
                    {
                        self.note_past(Kind::Sync, &words);
                    }
                }
            }
            instance = self.pg.look(deadline);
        }
        Cared::Failed("the care for the standbys came to no end".into())
    }

    /// One step.
    fn take(
        &mut self,
        round: &mut Round,
        step: &Step,
        primary: &PrimaryFacts,
        members: &BTreeSet<NodeName>,
        deadline: &Deadline,
    ) -> Result<(), String> {
        match step {
            Step::AskCluster => {
                round.cluster = Some(self.ask_cluster(round));
                if let Some(Known::Known(cluster)) = &round.cluster
                    && cluster.superseded.is_none()
                    && !cluster.scores.contains_key(&self.me)
                {
                    self.set_missing_score(&self.me.clone(), PRIMARY_SCORE);
                }
                Ok(())
            }
            Step::SetNames(nodes) => {
                let names: BTreeSet<StandbyName> =
                    nodes.iter().filter_map(|node| self.name_of(node, members.len())).collect();
                if names.len() != nodes.len() {
                    return Err("a member has no valid application_name".into());
                }
                let text = sync_names::write(&names);
                info!("synchronous_standby_names becomes {text:?}");
                round.barrier = None;
                self.pg.set_and_reload(&[("synchronous_standby_names", Some(&text))])?;
                self.pg.await_setting("synchronous_standby_names", &text, deadline)
            }
            Step::AwaitEffective => {
                let now = super::uptime().max(1);
                if self.effect().wants_a_checkpoint(now) {
                    self.pg.request_checkpoint()?;
                    self.cache.checkpoint_requested = now;
                }
                let end = deadline.within(Duration::from_secs(5));
                let names = self.parse_names(&primary.names, members);
                loop {
                    if let Sql::Primary(now) = self.pg.look(&end).sql
                        && self.effective(&now, names.as_ref(), members)
                    {
                        return Ok(());
                    }
                    if end.expired() {
                        return Err(
                            "synchronous_standby_names is not in effect yet (a checkpoint \
                                    is under way)"
                                .into(),
                        );
                    }
                    end.sleep(Duration::from_millis(30));
                }
            }
            Step::TakeBarrier => {
                round.barrier = Some(primary.insert);
                Ok(())
            }
            Step::AwaitFlush(nodes) => {
                let barrier = round.barrier.unwrap_or(Lsn(u64::MAX));
                let end = deadline.within(Duration::from_secs(3));
                loop {
                    if let Sql::Primary(now) = self.pg.look(&end).sql
                        && nodes.iter().any(|node| {
                            self.standby_of(&now, node, members.len())
                                .and_then(|walsender| walsender.flush)
                                .is_some_and(|flush| flush >= barrier)
                        })
                    {
                        return Ok(());
                    }
                    if end.expired() {
                        round.barrier = None;
                        return Err(format!("{} has not flushed {barrier} yet", list(nodes)));
                    }
                    end.sleep(Duration::from_millis(20));
                }
            }
            Step::WriteFile(entry) => {
                let before = round.own.clone();
                round.own.store.set_done(entry.clone());
                if let Err(error) = self.write_own(&round.own) {
                    round.own = before;
                    return Err(chain(&error));
                }
                round.lost = false;
                info!(
                    "the ledger: standbys that may take over: {} (term {} seq {})",
                    list(&entry.heirs),
                    entry.term,
                    entry.seq
                );
                Ok(())
            }
            Step::WriteCib(entry) => {
                let mut slot = round.own.store.slot(&self.me).cloned().unwrap_or_default();
                slot.done = Some(entry.clone());
                self.write_slot_to_cib(&self.me.clone(), &slot).into_result()?;
                if let Some(Known::Known(cluster)) = &mut round.cluster {
                    cluster.cib = Some(entry.clone());
                }
                Ok(())
            }
            Step::Grant(node) => {
                info!("{node} may take over: score {HEIR_SCORE}");
                if !self.set_missing_score(node, HEIR_SCORE) {
                    return Err(format!("the score of {node} could not be set"));
                }
                if let Some(Known::Known(cluster)) = &mut round.cluster {
                    cluster.scores.insert(node.clone(), HEIR_SCORE);
                }
                Ok(())
            }
            Step::Revoke(node) => {
                info!("{node} may no longer take over: its score is withdrawn");
                let there = match &round.view {
                    Some(Known::Known(view)) => view.node(node) == sync::NodeState::Online,
                    Some(Known::Unknown(_)) | None => false,
                };
                if there {
                    if !self.bar(node) {
                        return Err(format!("the score of {node} could not be taken away"));
                    }
                } else {
                    self.delete_score(node).into_result()?;
                }
                if let Some(Known::Known(cluster)) = &mut round.cluster {
                    cluster.scores.remove(node);
                }
                Ok(())
            }
        }
    }

    fn ask_cluster(&mut self, round: &mut Round) -> Known<Cluster> {
        let view = match round.view.take() {
            Some(Known::Known(view)) => view,
            _ => match self.view() {
                Known::Known(view) => view,
                Known::Unknown(why) => {
                    round.view = Some(Known::unknown(why.clone()));
                    return Known::Unknown(why);
                }
            },
        };
        let cluster = self.cluster_facts(&view, round);
        round.view = Some(Known::Known(view));
        cluster
    }

    fn cluster_facts(&mut self, view: &View, round: &Round) -> Known<Cluster> {
        let members = self.members(view);
        let Some(own) = round.own.store.done(&self.me) else {
            return Known::unknown("the own ledger file has no entry of this primary");
        };
        let superseded = match view.superseding(&self.me, own) {
            Known::Known(entry) => entry,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let cib = match view.ledger() {
            Known::Known(store) => store.done(&self.me).cloned(),
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let acks = match self.read_acks() {
            Known::Known(acks) => acks,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let stopped = members
            .iter()
            .filter(|node| **node != self.me)
            .filter(|node| {
                round.leaving.contains(*node)
                    || !view.runs_on(node)
                    || view.is_to_leave(node)
                    // It says so before it stops streaming, and until a monitor has seen it stream again.
                    || (view.is_rebuilding(node)
                        && self.cache.missing_since.contains_key(node.as_str()))
            })
            .cloned()
            .collect();
        Known::Known(Cluster {
            cib,
            superseded,
            nodes: members.iter().map(|node| (node.clone(), view.node(node))).collect(),
            stopped,
            scores: view.scores(),
            acks,
            quorum: view.quorum(),
            two_and_ignore: view.two_and_ignore(),
            fencing: view.fencing(),
        })
    }

    /// What does not belong to the protocol, and is done with it: slots for the standbys.
    fn after_care(&mut self, round: &Round, result: &Cared) {
        if let Some(Known::Known(view)) = &round.view {
            let members = self.members(view);
            self.remember_members(&members);
            self.tend_slots(view, &round.slots);
        }
        self.tell_past();
        if !matches!(result, Cared::Settled(_)) {
            // The next monitor asks again.
            self.cache.asked = 0;
        }
        if let Cared::Failed(why) = result {
            warn!("{why}");
            self.cache.care_failed = self.cache.care_failed.saturating_add(1);
        } else {
            self.cache.care_failed = 0;
        }
    }
}
