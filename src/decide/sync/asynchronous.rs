//! Async mode: E is whoever streams. Floor 1.

use std::collections::BTreeSet;

use super::{Facts, Next, Step, Waiting, common, ungranted, unready};
use crate::cluster::ledger::{Entry, Mode};
use crate::cluster::node::NodeName;

/// Async: E is whoever streams; V is empty.
pub(super) fn next_async(facts: &Facts) -> Next {
    let own = &facts.own;
    let cluster = match common(facts) {
        Ok(cluster) => cluster,
        Err(next) => return *next,
    };
    if own.mode == Mode::Sync {
        return Next::Do(Step::WriteFile(Entry {
            mode: Mode::Async,
            ..own.with_heirs(own.heirs.clone(), cluster.cib.as_ref().map_or(0, |cib| cib.seq))
        }));
    }
    if cluster.cib.as_ref() != Some(own) {
        return Next::Do(Step::WriteCib(own.clone()));
    }
    if facts.names.as_ref().is_none_or(|names| !names.is_empty()) {
        return Next::Do(Step::SetNames(BTreeSet::new()));
    }
    if let Some(node) = cluster.foreign_scores(&facts.me, &own.heirs).next() {
        return Next::Do(Step::Revoke(node.clone()));
    }
    let streaming = facts.streaming();
    let heirs: BTreeSet<NodeName> = own
        .heirs
        .iter()
        .filter(|node| {
            streaming.contains(*node) || !(cluster.away(node) || facts.gone_for_long(node))
        })
        .chain(streaming.iter())
        .filter(|node| !cluster.stopped.contains(*node))
        .cloned()
        .collect();
    if heirs != own.heirs {
        if let Some(node) = own.heirs.difference(&heirs).find(|node| cluster.has_score(node)) {
            return Next::Do(Step::Revoke(node.clone()));
        }
        return Next::Do(Step::WriteFile(own.with_heirs(heirs, own.seq)));
    }
    if let Some(node) = ungranted(facts, cluster, &own.heirs) {
        return Next::Do(Step::Grant(node));
    }
    let silent = unready(facts, cluster, &own.heirs);
    if silent.is_empty() { Next::Settled } else { Next::Wait(Waiting::ForAcks(silent)) }
}
