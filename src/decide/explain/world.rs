//! What is seen, less what is supposed: the facts of an election and of a promotion, for any member.
//! Floor 1.

use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, PromotionId, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Member, Position, Publication};
use crate::decide::election::{self, Obstacle, Plan, Purpose, Ruling};
use crate::decide::facts::{DataDir, Instance, Process, Sql, StandbyFacts};
use crate::decide::promote::{self, Answer, End, Intent, OldPrimary, Planned, Progress, Step};
use crate::decide::report::Server;
use crate::decide::sync::{Fencing, NodeState};
use crate::decide::view::View;
use crate::postgres::lsn::{Lsn, Timeline};

/// The cluster as it is supposed to be.
pub(super) struct World<'f> {
    /// What was seen.
    pub(super) facts: &'f Facts,
    /// What Pacemaker says.
    pub(super) view: View,
    /// The ledger in the CIB.
    pub(super) ledger: Known<Store>,
    /// Promotion scores.
    pub(super) scores: BTreeMap<NodeName, i32>,
    /// Who is dead.
    pub(super) dead: BTreeSet<NodeName>,
    /// The dead primary is none: it was shut down in order, and its node is there.
    pub(super) moved_away: bool,
}

impl<'f> World<'f> {
    pub(super) fn new(facts: &'f Facts, dead: &BTreeSet<NodeName>) -> Self {
        let view = facts.seen.view();
        Self {
            facts,
            ledger: facts.seen.ledger.clone(),
            scores: view.scores(),
            view,
            dead: dead.clone(),
            moved_away: false,
        }
    }

    /// A member's node: a dead one is off, if it can be fenced. Without quorum nobody is.
    pub(super) fn state(&self, node: &NodeName) -> NodeState {
        if !self.dead.contains(node) || self.moved_away {
            return self.view.node(node);
        }
        match self.view.fencing() {
            Fencing::OffAccepted(_) => NodeState::OfflineClean,
            Fencing::Works if self.may_promote() == Known::Known(true) => NodeState::OfflineClean,
            Fencing::Works | Fencing::Off(_) | Fencing::Unknown(_) => NodeState::Unclean,
        }
    }

    /// Whether this partition has quorum then, one vote a node.
    pub(super) fn quorum(&self) -> Known<bool> {
        let all = self.view.status.full_members().count();
        let is_there = |node: &&NodeName| {
            self.view.node(node) == NodeState::Online
                && (self.moved_away || !self.dead.contains(*node))
        };
        let left = self.view.status.full_members().filter(is_there).count();
        match self.view.quorum() {
            Known::Known(true) if !self.dead.is_empty() && all > 2 => Known::Known(left * 2 > all),
            as_it_is => as_it_is,
        }
    }

    /// Whether Pacemaker promotes without asking whether there is quorum, or there is.
    pub(super) fn may_promote(&self) -> Known<bool> {
        if self.view.cib.no_quorum_policy() == Known::Known("ignore".to_owned()) {
            return Known::Known(true);
        }
        self.quorum()
    }

    /// What the count of votes supposes.
    pub(super) fn quorum_note(&self) -> Option<String> {
        let all = self.view.status.full_members().count();
        let ignored = self.view.cib.no_quorum_policy() == Known::Known("ignore".to_owned());
        if self.moved_away || ignored {
            return None;
        }
        Some(match all {
            0..=2 => "that one node of two keeps quorum (two_node, or a quorum device)".to_owned(),
            _ => "one vote for each node, and no quorum device".to_owned(),
        })
    }

    /// Whether it would be promoted as one who was given the right to it, or by the rule of a cold start.
    pub(super) fn purpose(&self, node: &NodeName) -> Purpose {
        if self.scores.contains_key(node) { Purpose::Promotion } else { Purpose::ColdStart }
    }

    /// What `promote` would find on a member: the plan, or why it is refused.
    pub(super) fn judge(&self, node: &NodeName) -> Result<Plan, Vec<String>> {
        let ruling = match self.election(node) {
            Ok(facts) => election::judge(&facts),
            Err(obstacle) => Ruling::Refused(vec![obstacle]),
        };
        let (old_primary, planned) = match &ruling {
            Ruling::Permitted(plan) => (self.old_primary(node, plan), self.planned(node, plan)),
            Ruling::Refused(_) => (OldPrimary::NotApplicable, Planned::NotApplicable),
        };
        let facts = promote::Facts {
            instance: Instance {
                data: DataDir::Unknown("not looked at".into()),
                process: Process::Running { pid: 0, stopped: false },
                sql: Sql::NotAsked,
            },
            intent: Intent::None,
            ruling: Some(ruling),
            out_of_time: true,
            old_primary: Some(old_primary),
            planned: Some(planned),
            force: self.facts.force,
            mode: self.facts.mode(),
            done: Progress::Nothing,
        };
        match promote::next(&facts) {
            promote::Next::Do(Step::WriteIntent(plan)) => Ok(plan),
            promote::Next::Refused { reason, .. } | promote::Next::Failed(reason) => {
                Err(vec![reason])
            }
            other @ (promote::Next::Do(_) | promote::Next::Promoted) => {
                Err(vec![format!("what it would do is not known: {other:?}")])
            }
        }
    }

    fn election(&self, node: &NodeName) -> Result<election::Facts, Obstacle> {
        let (own, followed) = self.own_of(node)?;
        let seen = &self.facts.seen;
        let peers = seen
            .members
            .iter()
            .filter(|other| *other != node)
            .map(|other| (other.clone(), self.says(other)))
            .collect();
        let out = seen
            .members
            .iter()
            .filter(|other| *other != node && self.state(other) == NodeState::OfflineClean)
            .cloned()
            .collect();
        Ok(election::Facts {
            me: node.clone(),
            position: self.says(node).and_then(|says| match says {
                Publication::Data(member) => Known::Known(member.position),
                Publication::NoData => Known::unknown("it has no database"),
            }),
            own,
            followed,
            cib: self.ledger.clone(),
            peers,
            reached: self.reached(),
            out,
            mode: self.facts.mode(),
            strict: self.facts.strict,
            max_lag: self.facts.max_lag,
            force: self.facts.force,
            purpose: self.purpose(node),
        })
    }

    /// How far the primary is, or was when it was last heard of.
    fn reached(&self) -> Option<Lsn> {
        let seen = &self.facts.seen;
        let primary = seen.primary().and_then(|primary| seen.servers.get(primary));
        let of_receiver = |standby: &StandbyFacts| standby.receiver.as_ref()?.latest_end;
        primary
            .and_then(Server::position)
            .map(|(_, lsn)| lsn)
            .max(self.facts.standby.as_ref().and_then(of_receiver))
            .max(self.facts.heard)
    }

    /// A member's ledger file, as far as it is known, and whose data it has. Before an election it
    /// copies what the CIB knows of others.
    fn own_of(&self, node: &NodeName) -> Result<(Store, Option<PromotionId>), Obstacle> {
        let cib = match &self.ledger {
            Known::Known(store) => store,
            Known::Unknown(why) => return Err(Obstacle::CibUnknown(why.clone())),
        };
        if *node == self.facts.seen.me {
            return match &self.facts.own {
                Some(own) => Ok((own.store.merged(cib, Some(node)), own.followed)),
                None if cib.is_empty() => Ok((Store::default(), None)),
                None => Err(Obstacle::OwnLedgerUnknown(self.facts.own_problem())),
            };
        }
        if let Some(member) = self.has_published(node) {
            return Ok((member.store.merged(cib, Some(node)), member.followed));
        }
        let has_file = match &self.facts.acks {
            Known::Unknown(why) => return Err(Obstacle::OwnLedgerUnknown(why.clone())),
            Known::Known(acks) => acks.contains_key(node) || cib.done(node).is_some(),
        };
        if !has_file && !cib.is_empty() {
            let why = "it has not said that it has one";
            return Err(Obstacle::OwnLedgerUnknown(why.to_owned()));
        }
        Ok((cib.clone(), self.followed(node)))
    }

    /// The newest entry that is done.
    fn newest(&self) -> Option<&Entry> {
        match &self.ledger {
            Known::Known(store) => store.newest_done(),
            Known::Unknown(_) => None,
        }
    }

    /// The promotion whose data a member has, if that can be told from here: who streams from the
    /// primary has its.
    fn followed(&self, node: &NodeName) -> Option<PromotionId> {
        if *node == self.facts.seen.me {
            return self.facts.own_followed();
        }
        let entry = self.newest()?;
        let streams = self.facts.streams(node) && self.facts.seen.primary() == Some(&entry.primary);
        (streams || entry.primary == *node).then_some(entry.id)
    }

    /// What a member has published for the election that is being held.
    fn has_published(&self, node: &NodeName) -> Option<&Member> {
        let Known::Known(all) = &self.facts.published else { return None };
        let Some(Known::Known(Publication::Data(member))) = all.get(node) else { return None };
        let newest = self.newest().map(|entry| entry.id);
        (member.store.newest_done().map(|entry| entry.id) == newest).then_some(member.as_ref())
    }

    /// What a member would say of itself.
    fn says(&self, node: &NodeName) -> Known<Publication> {
        let seen = &self.facts.seen;
        if self.dead.contains(node) {
            return Known::unknown(self.state(node).silence());
        }
        match self.state(node) {
            NodeState::Online => {}
            away => return Known::unknown(away.silence()),
        }
        if let Known::Known(all) = &self.facts.published
            && let Some(Known::Known(Publication::NoData)) = all.get(node)
        {
            return Known::Known(Publication::NoData);
        }
        if self.facts.primary().is_none()
            && *node != seen.me
            && let Some(member) = self.has_published(node)
        {
            return Known::Known(Publication::Data(Box::new(member.clone())));
        }
        let (timeline, lsn) = match seen.servers.get(node) {
            // The primary saw all of them at one moment.
            Some(Server::Standby(timeline, lsn)) => {
                (*timeline, self.facts.confirmed(node).unwrap_or(*lsn))
            }
            Some(Server::Primary(..)) => return Known::unknown("it accepts writes"),
            Some(Server::Absent(why) | Server::Silent(why)) => return Known::unknown(why.clone()),
            None => return Known::unknown("it was not asked"),
        };
        let Some(system_id) = seen.systems.get(node).copied() else {
            return Known::unknown("which database it has is not known");
        };
        let store = match self.own_of(node) {
            Ok((store, _)) => store,
            Err(Obstacle::OwnLedgerUnknown(why)) => {
                return Known::unknown(format!("its ledger file is no help: {why}"));
            }
            Err(other) => return Known::unknown(other.to_string()),
        };
        self.exactness(node).and_then(|exactness| {
            self.line(timeline).map(|line| {
                Publication::Data(Box::new(Member {
                    position: Position { system_id, line, lsn, exactness },
                    followed: self.followed(node),
                    primary_reached: None,
                    never_written: None,
                    store,
                }))
            })
        })
    }

    fn line(&self, timeline: Timeline) -> Known<crate::postgres::history::History> {
        self.facts.lines.get(&timeline).cloned().unwrap_or_else(|| {
            Known::unknown(format!("the history of timeline {timeline} is not known"))
        })
    }

    fn exactness(&self, node: &NodeName) -> Known<Exactness> {
        if *node == self.facts.seen.me
            && let Some(standby) = &self.facts.standby
        {
            let at_end = standby.at_end_of_wal();
            return Known::Known(if at_end { Exactness::Exact } else { Exactness::AtLeast });
        }
        if self.facts.streams(node) {
            return Known::Known(Exactness::Exact);
        }
        Known::unknown(format!(
            "it does not stream, and whether it has replayed all its WAL is not seen from {}",
            self.facts.seen.me
        ))
    }

    /// What the address of the primary before would answer.
    fn old_primary(&self, node: &NodeName, plan: &Plan) -> OldPrimary {
        let Some(old) = plan.after.as_ref().map(|entry| &entry.primary) else {
            return OldPrimary::NotApplicable;
        };
        if old == node {
            return OldPrimary::NotApplicable;
        }
        if self.dead.contains(old) && self.moved_away {
            return OldPrimary::NotWritable;
        }
        let state = self.state(old);
        let in_cluster = match OldPrimary::in_cluster(old, state, self.view.fencing()) {
            Ok(in_cluster) => in_cluster,
            Err(unproven) => return unproven,
        };
        let answer = match self.facts.seen.servers.get(old) {
            _ if self.dead.contains(old) => Answer::NoPrimary,
            Some(Server::Primary(..)) => Answer::Primary,
            Some(Server::Standby(..) | Server::Absent(_)) => Answer::NoPrimary,
            Some(Server::Silent(why)) => Answer::Unknown(why.clone()),
            None => Answer::Unknown("it was not asked".into()),
        };
        OldPrimary::of(old, in_cluster, answer)
    }

    fn planned(&self, node: &NodeName, plan: &Plan) -> Planned {
        let Some(entry) = plan.after.as_ref().filter(|entry| entry.primary != *node) else {
            return Planned::NotApplicable;
        };
        if self.dead.contains(&entry.primary) {
            // Dead, or about to end in order: where, is found out then.
            return Planned::NotApplicable;
        }
        let Known::Known(Publication::Data(mine)) = self.says(node) else {
            return Planned::Unknown("the own position is not known".into());
        };
        let silent = || Known::unknown("it has published no shutdown checkpoint");
        let shutdown = self
            .facts
            .shutdowns
            .clone()
            .and_then(|mut all| all.remove(&entry.primary).unwrap_or_else(silent));
        let online = self.state(&entry.primary) == NodeState::Online;
        let seen = self.says(&entry.primary).is_known();
        Planned::of(entry, &mine.position, &End { shutdown, online, seen })
    }
}
