//! Going on alone: E = {} and the ways there. Floor 1.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Cluster, Facts, Fencing, Next, NodeState, Step, Waiting, set};
use crate::cluster::ledger::{Entry, Mode};
use crate::cluster::node::NodeName;

/// E = {}: nobody else can be primary. Take in the first standby that streams, or go on alone.
pub(super) fn alone(facts: &Facts, cluster: &Cluster, names: &BTreeSet<NodeName>) -> Next {
    let own = &facts.own;
    let candidates: BTreeSet<NodeName> =
        facts.streaming().into_iter().filter(|node| !cluster.stopped.contains(node)).collect();
    // One that is V already stays; then whoever is nearest to being an heir. A choice by name alone
    // would let commits wait for one that hangs.
    let first = candidates.iter().find(|node| *names == set(node)).or_else(|| {
        candidates.iter().min_by_key(|node| {
            let flushed = facts.standbys.get(*node).and_then(|standby| standby.streaming);
            (!names.contains(*node), !cluster.knows(node, own), Reverse(flushed))
        })
    });
    if let Some(first) = first {
        if *names != set(first) {
            return Next::Do(Step::SetNames(set(first)));
        }
        if let Some(step) = facts.confirmed_by(names) {
            return Next::Do(step);
        }
        if !cluster.knows(first, own) {
            // As the only heir it could not be promoted, and nobody without it.
            return Next::Wait(Waiting::ForAcks(set(first)));
        }
        return Next::Do(Step::WriteFile(own.with_heirs(set(first), own.seq)));
    }
    if facts.strict && !facts.standbys.is_empty() {
        if names.is_empty() {
            return Next::Do(Step::SetNames(facts.standbys.keys().cloned().collect()));
        }
        return Next::Wait(Waiting::Strict);
    }
    if names.is_empty() {
        return Next::Settled;
    }
    // `names-last`: E = {} is durable, so nothing can be lost by going on; but a second copy is wanted,
    // so those who can still come are waited for, as long as a reconnect takes.
    let expected = facts.expected(names, cluster);
    if !expected.is_empty() {
        return Next::Wait(Waiting::ForStandby(expected));
    }
    if names.iter().any(|node| cluster.node(node) == NodeState::Unclean) {
        return Next::Wait(Waiting::ForProof(names.clone()));
    }
    if !cluster.may_relax() {
        return Next::Wait(Waiting::NoQuorum);
    }
    Next::Do(Step::SetNames(BTreeSet::new()))
}

/// None of E streams any more, or the last is being stopped: begin to go on alone, if it may come to that.
pub(super) fn all_lost(facts: &Facts, cluster: &Cluster) -> Next {
    let own = &facts.own;
    if facts.strict {
        return Next::Wait(Waiting::Strict);
    }
    // One that runs and has not streamed for long is let go like one that is stopped: by its own ack.
    let present = facts.expected(&own.heirs, cluster);
    if !present.is_empty() {
        return Next::Wait(Waiting::ForStandby(present));
    }
    if !cluster.may_relax() {
        return Next::Wait(Waiting::NoQuorum);
    }
    Next::Do(Step::WriteCib(own.with_heirs(BTreeSet::new(), own.seq)))
}

/// The CIB already says E = {}; the own file does not.
pub(super) fn relaxing(facts: &Facts, cluster: &Cluster, cib: &Entry) -> Next {
    let own = &facts.own;
    if !cib.heirs.is_empty() {
        // Not a state that these steps leave behind: what the own file says is written again.
        return Next::Do(Step::WriteFile(own.with_heirs(own.heirs.clone(), cib.seq)));
    }
    let streaming = facts.streaming();
    let leaving = own.heirs.iter().any(|node| cluster.stopped.contains(node));
    if facts.strict || (own.heirs.is_subset(&streaming) && !leaving) {
        return Next::Do(Step::WriteFile(own.with_heirs(own.heirs.clone(), cib.seq)));
    }
    alone_when_proven(facts, cluster, cib)
}

/// The own file was lost, and with it what E is. Until the CIB says E = {} and *all* others are proven
/// to act on nothing older, anything that the file is made to say could be wrong: E = {} while a standby
/// may be promoted by an older entry, or an E of standbys that lack what was committed alone.
pub(super) fn remade(facts: &Facts, cluster: &Cluster) -> Next {
    let own = &facts.own;
    match &cluster.cib {
        Some(cib) if cib.id == own.id && cib.mode == Mode::Sync && cib.heirs.is_empty() => {
            alone_when_proven(facts, cluster, cib)
        }
        cib => {
            let seq = cib.as_ref().map_or(0, |cib| cib.seq);
            Next::Do(Step::WriteCib(own.with_heirs(BTreeSet::new(), seq)))
        }
    }
}

/// Once the CIB says E = {}: the own file does (`own-file-last`), when nobody can act on an older entry
/// any more (`proven-out`).
fn alone_when_proven(facts: &Facts, cluster: &Cluster, cib: &Entry) -> Next {
    let own = &facts.own;
    // Async lets members go without proof: then all of them have to know.
    let everybody = own.mode == Mode::Async || facts.lost;
    let may_act: BTreeSet<&NodeName> =
        own.heirs.iter().chain(facts.standbys.keys().filter(|_| everybody)).collect();
    if let Some(node) = may_act.iter().find(|node| cluster.has_score(node)) {
        return Next::Do(Step::Revoke((*node).clone()));
    }
    let unproven: BTreeSet<NodeName> = may_act
        .into_iter()
        .filter(|node| !cluster.out(node) && !cluster.acked(node, cib))
        .cloned()
        .collect();
    if facts.lost && (!unproven.is_empty() || !cluster.may_relax()) {
        return Next::Wait(Waiting::FileLost(unproven));
    }
    if !unproven.is_empty() {
        return Next::Wait(match &cluster.fencing {
            Fencing::Off(why) | Fencing::Unknown(why)
                if unproven.iter().all(|n| cluster.node(n) != NodeState::Online) =>
            {
                Waiting::NoFencing(why.clone())
            }
            _ => Waiting::ForProof(unproven),
        });
    }
    if !cluster.may_relax() {
        return Next::Wait(Waiting::NoQuorum);
    }
    Next::Do(Step::WriteFile(cib.clone()))
}

/// The owner has switched from async. Nobody is known to have every commit, so E = {} comes first; and
/// nothing is promised before all who may act on an async entry are proven out of it.
pub(super) fn to_sync(facts: &Facts, cluster: &Cluster) -> Next {
    let own = &facts.own;
    let mine = cluster.cib.as_ref().filter(|cib| cib.id == own.id && cib.seq > own.seq);
    match mine {
        Some(cib) if cib.mode == Mode::Sync && cib.heirs.is_empty() => {
            alone_when_proven(facts, cluster, cib)
        }
        Some(_) | None => Next::Do(Step::WriteCib(Entry {
            mode: Mode::Sync,
            ..own.with_heirs(BTreeSet::new(), mine.map_or(0, |cib| cib.seq))
        })),
    }
}
