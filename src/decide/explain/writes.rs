//! What becomes of writes: the primary's own rules (`sync`), carried out on paper. Floor 1.

use std::collections::{BTreeMap, BTreeSet};

use super::world::World;
use super::{Facts, Writes};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, PromotionId};
use crate::cluster::node::NodeName;
use crate::decide::election::Plan;
use crate::decide::promote;
use crate::decide::report::{OwnLedger, Server};
use crate::decide::sync::{
    self, Cluster, HEIR_SCORE, Next, NodeState, PRIMARY_SCORE, Standby, Step, Waiting, next,
};
use crate::postgres::lsn::{Lsn, Timeline};

/// More steps than any change of E takes.
const STEPS: usize = 100;

/// Writes at this moment.
pub(super) fn as_things_are(facts: &Facts) -> Writes {
    let Some(primary) = facts.primary() else { return Writes::Nobody };
    let names = match facts.seen.sync_names() {
        Known::Known(names) => names,
        Known::Unknown(why) => return Writes::Unknown(why),
    };
    if facts.seen.mode == Mode::Async || names.is_empty() {
        return Writes::Need(BTreeSet::new());
    }
    if names.iter().any(|node| facts.streams(node)) {
        return Writes::Need(names);
    }
    match under(&mut World::new(facts, &BTreeSet::new()), primary) {
        // It is about to go on, and does not yet.
        Writes::Need(_) => Writes::Wait(Waiting::ForStandby(names).to_string()),
        other => other,
    }
}

/// Writes on a primary that stays, once it has done what there is to do. The ledger and the scores of
/// the world become what they are then.
pub(super) fn under(world: &mut World<'_>, primary: &NodeName) -> Writes {
    let own = match entry_of(world, primary) {
        Ok(own) => own,
        Err(why) => return Writes::Unknown(why),
    };
    let names = match world.facts.seen.sync_names() {
        Known::Known(names) => names,
        Known::Unknown(why) => return Writes::Unknown(why),
    };
    let mut facts = match sync_facts(world, own, names) {
        Ok(facts) => facts,
        Err(why) => return Writes::Unknown(why),
    };
    let writes = carried_out(&mut facts);
    if let Known::Known(store) = &mut world.ledger {
        store.set_done(facts.own);
    }
    if let Some(Known::Known(cluster)) = facts.cluster {
        world.scores = cluster.scores;
    }
    writes
}

/// Writes on a new primary, once it has done what there is to do.
pub(super) fn after(world: &World<'_>, node: &NodeName, plan: &Plan) -> Writes {
    let system_id = world.facts.seen.systems.get(node).copied().unwrap_or_default();
    let mode = world.facts.seen.mode;
    // Which promotion it is, is not known before; nobody has confirmed anything of it.
    let (id, timeline) = (PromotionId(0), Timeline::FIRST);
    let entry = promote::intent(plan, node, None, id, system_id, timeline, mode);
    match sync_facts(world, entry, plan.names.clone()) {
        Ok(mut facts) => carried_out(&mut facts),
        Err(why) => Writes::Unknown(why),
    }
}

/// Does what the primary would do until nothing is left to do.
fn carried_out(facts: &mut sync::Facts) -> Writes {
    let mut waits = None;
    for _ in 0..STEPS {
        match next(facts) {
            Next::Do(step) => take(facts, step),
            Next::Wait(Waiting::ForAcks(nodes)) if acknowledged(facts, &nodes) => {}
            Next::Wait(waiting) => {
                waits = Some(waiting);
                break;
            }
            Next::Settled => break,
            Next::Superseded(entry) => {
                let (newer, term) = (&entry.primary, entry.term);
                return Writes::Unknown(format!("{newer} was promoted since (term {term})"));
            }
        }
    }
    let Some(names) = facts.names.clone() else {
        return Writes::Unknown("synchronous_standby_names is not pgtwin's".into());
    };
    let confirms =
        |node: &NodeName| facts.standbys.get(node).is_some_and(|one| one.streaming.is_some());
    if names.is_empty() || names.iter().any(confirms) {
        return Writes::Need(names);
    }
    match waits {
        Some(waiting) => Writes::Wait(waiting.to_string()),
        None => Writes::Unknown("what the primary would do came to no end".into()),
    }
}

/// The entry of a primary: as its own file has it, if that is here, else as the CIB has it.
fn entry_of(world: &World<'_>, primary: &NodeName) -> Result<Entry, String> {
    let seen = &world.facts.seen;
    let store = world.ledger.clone().into_result()?;
    let of_file = match &seen.own {
        OwnLedger::Read(own) if *primary == seen.me => own.done(primary),
        OwnLedger::Read(_) | OwnLedger::Missing | OwnLedger::Unreadable(_) => None,
    };
    let own = of_file.or_else(|| store.done(primary)).cloned();
    own.ok_or_else(|| format!("the ledger has no entry of {primary}"))
}

/// What the primary of this entry would work with, with V as it is named.
fn sync_facts(
    world: &World<'_>,
    own: Entry,
    names: BTreeSet<NodeName>,
) -> Result<sync::Facts, String> {
    let seen = &world.facts.seen;
    let primary = &own.primary.clone();
    let store = world.ledger.clone().into_result()?;
    // A new one writes its entry to the CIB before it is promoted.
    let stays = world.facts.primary() == Some(primary);
    let cib = if stays { store.done(primary) } else { Some(&own) }.cloned();
    let superseded = if stays { world.view.superseding(primary, &own) } else { Known::Known(None) };
    let alive = |node: &NodeName| world.state(node) == NodeState::Online;
    let others = || seen.members.iter().filter(|node| *node != primary);
    let standbys = others().map(|node| {
        let streams = alive(node) && world.facts.streams(node);
        let flushed = seen.servers.get(node).and_then(Server::position).map(|(_, lsn)| lsn);
        let standby = Standby {
            streaming: streams.then(|| flushed.unwrap_or(Lsn::ZERO)),
            gone_for_long: !streams,
            eligible: seen.said(node).as_deref() != Some("delayed"),
        };
        (node.clone(), standby)
    });
    let stopped = |node: &&NodeName| !world.view.runs_on(node) || world.view.is_to_leave(node);
    let mut scores = world.scores.clone();
    scores.entry(primary.clone()).or_insert(PRIMARY_SCORE);
    let cluster = Cluster {
        cib,
        superseded: superseded.into_result()?,
        nodes: seen.members.iter().map(|node| (node.clone(), world.state(node))).collect(),
        stopped: others().filter(stopped).cloned().collect(),
        scores,
        acks: world.facts.acks.clone().into_result()?,
        quorum: world.quorum(),
        two_and_ignore: world.view.two_and_ignore(),
        fencing: world.view.fencing(),
    };
    Ok(sync::Facts {
        me: primary.clone(),
        mode: seen.mode,
        strict: world.facts.strict,
        own,
        lost: stays && *primary == seen.me && !matches!(seen.own, OwnLedger::Read(_)),
        names: Some(names),
        effective: true,
        barrier: None,
        standbys: standbys.collect::<BTreeMap<_, _>>(),
        cluster: Some(Known::Known(cluster)),
    })
}

/// A step that succeeds.
fn take(facts: &mut sync::Facts, step: Step) {
    let Some(Known::Known(cluster)) = &mut facts.cluster else { return };
    match step {
        Step::AskCluster => {}
        Step::SetNames(names) => {
            facts.names = Some(names);
            facts.barrier = None;
        }
        Step::AwaitEffective => facts.effective = true,
        Step::TakeBarrier => facts.barrier = Some(Lsn::ZERO),
        Step::AwaitFlush(nodes) => {
            // Who streams confirms what it is sent.
            let barrier = facts.barrier.unwrap_or(Lsn::ZERO);
            for node in nodes {
                if let Some(standby) = facts.standbys.get_mut(&node)
                    && let Some(flush) = &mut standby.streaming
                {
                    *flush = barrier.max(*flush);
                }
            }
        }
        Step::WriteFile(entry) => {
            facts.own = entry;
            facts.lost = false;
        }
        Step::WriteCib(entry) => cluster.cib = Some(entry),
        Step::Grant(node) => {
            cluster.scores.insert(node, HEIR_SCORE);
        }
        Step::Revoke(node) => {
            cluster.scores.remove(&node);
        }
    }
}

/// Members that stream confirm what the ledger says with their next monitor. Whether any of them could.
fn acknowledged(facts: &mut sync::Facts, nodes: &BTreeSet<NodeName>) -> bool {
    let ack = facts.own.ack();
    let Some(Known::Known(cluster)) = &mut facts.cluster else { return false };
    let mut changed = false;
    for node in nodes {
        let streams = facts.standbys.get(node).is_some_and(|one| one.streaming.is_some());
        if streams && cluster.acks.get(node) != Some(&ack) {
            cluster.acks.insert(node.clone(), ack);
            changed = true;
        }
    }
    changed
}
