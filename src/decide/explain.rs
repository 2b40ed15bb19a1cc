//! What `pgtwin explain` says: who would be promoted, for each other member why not, and what becomes
//! of writes. Floor 1.
//!
//! No rule lives here. What is seen, less the nodes that are supposed to die, is put into the facts of
//! the decisions (`election`, `promote`, `sync`), and these answer as they would answer the agent; their
//! words are given as they are. Only what Pacemaker itself has to say against a node is added
//! (`obstacles`).

pub mod json;
pub mod obstacles;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod world;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Mode, Own, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Publication, Shutdown};
use crate::decide::election::{Plan, Purpose};
use crate::decide::facts::{StandbyFacts, Walsender};
use crate::decide::report::{self, OwnLedger, Server, any_of, enumerate};
use crate::decide::sync::{Fencing, NodeState};
use crate::postgres::history::History;
use crate::postgres::lsn::{Lsn, Timeline};

use world::World;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What `status` sees.
    pub seen: report::Facts,
    /// The whole ledger file here; none if it is no help.
    pub own: Option<Own>,
    /// All that our own instance says, when it is a standby.
    pub standby: Option<StandbyFacts>,
    /// How far the primary of the newest promotion was when this node last heard of it.
    pub heard: Option<Lsn>,
    /// Which entry of the ledger each member has on its disk.
    pub acks: Known<BTreeMap<NodeName, Ack>>,
    /// What members have published for an election.
    pub published: Known<BTreeMap<NodeName, Known<Publication>>>,
    /// Where primaries that were shut down ended.
    pub shutdowns: Known<BTreeMap<NodeName, Known<Shutdown>>>,
    /// The line of each timeline that a member is on.
    pub lines: BTreeMap<Timeline, Known<History>>,
    /// `sync_strict`.
    pub strict: bool,
    /// `max_promotion_lag_bytes`.
    pub max_lag: u64,
    /// `force_promotion`.
    pub force: bool,
}

/// What is said of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the primary, and stays it.
    Primary,
    /// It is supposed to be dead.
    Dead,
    /// It would be promoted, or one of several equals.
    Promoted,
    /// It may be promoted, and somebody else comes first.
    Permitted,
    /// The primary stays; it may be promoted if that one is lost as well, later.
    Next,
    /// It would not; why.
    Refused(Vec<String>),
}

/// What becomes of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They go on, and need one of these; nobody: they wait for no standby.
    Need(BTreeSet<NodeName>),
    /// They wait; why.
    Wait(String),
    /// There is nobody who takes any.
    Nobody,
    /// It cannot be told; why.
    Unknown(String),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The resource.
    pub resource: String,
    /// The node that asks.
    pub me: NodeName,
    /// Who dies; with no question of its own, the primary.
    pub dead: BTreeSet<NodeName>,
    /// Nobody asked for that: there is a primary, and somebody could only take over from it.
    pub assumed: bool,
    /// The primary as things are.
    pub primary: Option<NodeName>,
    /// Who would be the primary then; several: equals. Empty: nobody.
    pub then: BTreeSet<NodeName>,
    /// Each member.
    pub members: BTreeMap<NodeName, Verdict>,
    /// Writes as things are.
    pub now: Writes,
    /// Writes then.
    pub after: Writes,
    /// What stands in everybody's way.
    pub blocked: Vec<String>,
    /// What the answer supposes.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Whether there would be a primary that takes writes.
    pub fn is_well(&self) -> bool {
        !self.then.is_empty() && matches!(self.after, Writes::Need(_))
    }

    /// What is said of a member, in words.
    pub fn reasons(&self, node: &NodeName) -> Vec<String> {
        let is_one = |node: &NodeName| self.then.len() == 1 && self.then.contains(node);
        match self.members.get(node) {
            None => Vec::new(),
            Some(Verdict::Primary) => vec!["it is the primary, and stays it".to_owned()],
            Some(Verdict::Dead) => vec![if self.primary.as_ref() == Some(node) {
                "it is the primary, and supposed to be lost".to_owned()
            } else {
                "it is supposed to be lost".to_owned()
            }],
            Some(Verdict::Promoted) if is_one(node) => vec!["nothing is against it".to_owned()],
            Some(Verdict::Promoted) => {
                let mut others = self.then.clone();
                others.remove(node);
                let equals = enumerate(&others, "and");
                vec![format!("nothing is against it; {equals} is as good, and Pacemaker chooses")]
            }
            Some(Verdict::Permitted) => {
                vec![format!("it may, and Pacemaker takes {} first", any_of(&self.then))]
            }
            Some(Verdict::Next) => {
                let primary = any_of(&self.then);
                vec![format!("it may take over when {primary} is lost as well, later")]
            }
            Some(Verdict::Refused(reasons)) => reasons.clone(),
        }
    }
}

/// Who would be promoted, and what becomes of writes, if these die at the same time. Nobody: if the
/// primary does, or as things are where there is none.
#[must_use]
pub fn explain(facts: &Facts, dies: &BTreeSet<NodeName>) -> Explanation {
    let seen = &facts.seen;
    let primary = facts.primary().cloned();
    let assumed = dies.is_empty();
    let dead = if assumed { primary.iter().cloned().collect() } else { dies.clone() };
    let stays = primary.clone().filter(|node| !dead.contains(node));
    let mut world = World::new(facts, &dead);
    let notes = notes(&world, &dead, stays.is_none());
    let mut after = Writes::Nobody;
    if let Some(primary) = &stays {
        after = writes::under(&mut world, primary);
        // The others are asked what they could do once it is lost as well.
        world.dead.insert(primary.clone());
    }
    let mut blocked = obstacles::of_everybody(&world.view, world.may_promote());
    let mut members = BTreeMap::new();
    let mut able: BTreeMap<NodeName, (Plan, i64)> = BTreeMap::new();
    for node in &seen.members {
        let verdict = if dead.contains(node) {
            Verdict::Dead
        } else if stays.as_ref() == Some(node) {
            Verdict::Primary
        } else {
            match (candidate(&world, node), &stays) {
                (_, Some(primary)) if !blocked.is_empty() => {
                    let words = blocked.join("; ");
                    Verdict::Refused(vec![format!("once {primary} is lost as well: {words}")])
                }
                (Ok(_), Some(_)) => Verdict::Next,
                (Ok((plan, weight)), None) => {
                    able.insert(node.clone(), (plan, weight));
                    Verdict::Permitted
                }
                (Err(reasons), _) => Verdict::Refused(reasons),
            }
        };
        members.insert(node.clone(), verdict);
    }
    let mut then: BTreeSet<NodeName> = stays.iter().cloned().collect();
    if stays.is_some() {
        blocked.clear();
    } else {
        if blocked.is_empty() {
            let high = able.values().map(|(_, weight)| *weight).max();
            able.retain(|_, (_, weight)| Some(*weight) == high);
            then = able.keys().cloned().collect();
        }
        for (node, (plan, _)) in able.iter().filter(|_| !then.is_empty()) {
            members.insert(node.clone(), Verdict::Promoted);
            after = writes::after(&world, node, plan);
        }
        if then.len() > 1 && matches!(after, Writes::Need(_)) {
            after = Writes::Need(then.clone());
        }
    }
    let (resource, me) = (seen.resource.clone(), seen.me.clone());
    Explanation {
        resource,
        me,
        dead,
        assumed,
        primary,
        then,
        members,
        now: writes::as_things_are(facts),
        after,
        blocked,
        notes,
    }
}

/// What a planned move to `node` would meet: why it would be refused. Empty: nothing.
///
/// An orderly end sends all of its WAL to everybody who streams, so who is a moment behind now is no
/// obstacle.
#[must_use]
pub fn against_a_move(facts: &Facts, node: &NodeName) -> Vec<String> {
    let mut caught_up = facts.clone();
    let at = facts.seen.primary().and_then(|primary| facts.seen.servers.get(primary));
    if let Some((timeline, lsn)) = at.and_then(Server::position) {
        // Who was asked after the primary may be further than the primary was.
        let streamed = |(other, server): (&NodeName, &Server)| match server {
            Server::Standby(its, lsn) if *its == timeline && facts.streams(other) => Some(*lsn),
            _ => None,
        };
        let lsn = facts.seen.servers.iter().filter_map(streamed).fold(lsn, Ord::max);
        for (other, server) in &mut caught_up.seen.servers {
            if let Server::Standby(its, behind) = server
                && *its == timeline
                && facts.streams(other)
            {
                *behind = lsn.max(*behind);
            }
        }
        for sender in caught_up.seen.local.iter_mut().flat_map(|local| &mut local.walsenders) {
            sender.flush = sender.flush.map(|_| lsn);
        }
    }
    let gone: BTreeSet<NodeName> = facts.seen.primary().cloned().into_iter().collect();
    let mut world = World::new(&caught_up, &gone);
    world.moved_away = true;
    match candidate(&world, node) {
        Ok(_) => Vec::new(),
        Err(reasons) => reasons,
    }
}

/// How a member would be promoted, and what it weighs with Pacemaker; or why not.
fn candidate(world: &World<'_>, node: &NodeName) -> Result<(Plan, i64), Vec<String>> {
    let mut reasons = obstacles::of_node(&world.view, node);
    match world.state(node) {
        NodeState::Online => {}
        state => return Err(vec![state.silence().to_owned()]),
    }
    let weight = obstacles::weight(&world.view, node);
    match world.judge(node) {
        Ok(plan) if reasons.is_empty() => match world.purpose(node) {
            Purpose::Promotion => Ok((plan, weight)),
            // Its own monitor gives it a score, when it finds what was found here.
            Purpose::ColdStart => Ok((plan, weight.max(0))),
        },
        Ok(_) => Err(reasons),
        Err(mut refused) => {
            reasons.append(&mut refused);
            Err(reasons)
        }
    }
}

fn notes(world: &World<'_>, dead: &BTreeSet<NodeName>, election: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !dead.is_empty() {
        match world.view.fencing() {
            Fencing::Works if world.may_promote() == Known::Known(true) => {
                notes.push(format!("that the fencing of {} succeeds", enumerate(dead, "and")));
            }
            Fencing::OffAccepted(_) => notes.push(format!(
                "that no lost node runs on ({}): nothing proves it (fencing=advised)",
                enumerate(dead, "and")
            )),
            Fencing::Works | Fencing::Off(_) | Fencing::Unknown(_) => {}
        }
        notes.extend(world.quorum_note());
    }
    if election && world.facts.primary().is_some() {
        notes.push("that nobody gets further meanwhile: who has most is found out then".to_owned());
    }
    notes
}

impl Facts {
    /// The primary: who says that it accepts writes, or whom Pacemaker has promoted and who does not say
    /// otherwise. One that is known not to run is none.
    fn primary(&self) -> Option<&NodeName> {
        let primary = self.seen.primary()?;
        match self.seen.servers.get(primary) {
            Some(Server::Primary(..) | Server::Silent(_)) | None => Some(primary),
            Some(Server::Standby(..) | Server::Absent(_)) => None,
        }
    }

    /// Whether a member is known to stream from the primary.
    pub(crate) fn streams(&self, node: &NodeName) -> bool {
        let seen = &self.seen;
        if let Some(local) = &seen.local
            && let Some(name) = seen.standby_names.get(node)
        {
            return local
                .walsenders
                .iter()
                .any(|sender| sender.state == "streaming" && name.matches(&sender.name));
        }
        if *node == seen.me {
            return self.standby.as_ref().is_some_and(StandbyFacts::streams);
        }
        matches!(seen.servers.get(node), Some(Server::Standby(..)))
            && matches!(seen.said(node).as_deref(), Some("streaming" | "delayed" | "paused"))
    }

    /// What a standby that streams has confirmed, as the primary here sees it.
    fn confirmed(&self, node: &NodeName) -> Option<Lsn> {
        let (local, name) = (self.seen.local.as_ref()?, self.seen.standby_names.get(node)?);
        let is = |sender: &&Walsender| sender.state == "streaming" && name.matches(&sender.name);
        local.walsenders.iter().find(is)?.flush
    }

    fn own_followed(&self) -> Option<PromotionId> {
        self.own.as_ref().and_then(|own| own.followed)
    }

    /// Why the ledger file here is no help.
    fn own_problem(&self) -> String {
        match &self.seen.own {
            OwnLedger::Read(_) | OwnLedger::Missing => "it is missing".to_owned(),
            OwnLedger::Unreadable(why) => why.clone(),
        }
    }

    fn mode(&self) -> Mode {
        self.seen.mode
    }
}
