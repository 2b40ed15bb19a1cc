//! Standbys that Pacemaker runs and has stopped watching. Floor 1.
//!
//! Pacemaker cancels the monitor of a standby that it is about to promote. When that plan is broken off,
//! it schedules the monitor anew only if no failure of it is remembered: the memory (`last_failure_0`) has
//! the key of the operation, and passes for it. A degraded answer (190) is such a failure. The standby
//! then runs without a monitor for ever: it never says that it may take over, and nobody sees it fail.
//! Seen on Pacemaker 3.0.0. `crm_resource --refresh` brings the monitor back, and restarts nothing;
//! `--cleanup` does not touch what was only degraded.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::cib::{Cib, Operation, Run};
use crate::cluster::node::NodeName;
use crate::cluster::topology::{ClusterStatus, Instance, NodeState, Role};
use crate::ocf::action;

/// How long that has to be so, in seconds: a plan that is being carried out looks the same meanwhile.
pub const SURE: u64 = 8;
/// How long after a refresh that has not helped the next one is, in seconds.
pub const AGAIN: u64 = 600;

/// The standbys of which this is so now. Of the primary it would be guessing: a refresh has Pacemaker
/// look anew at what the address of the service hangs on, and is left to people.
#[must_use]
pub fn unwatched(status: &ClusterStatus, cib: &Cib, resource: &str) -> BTreeSet<NodeName> {
    if status.options.maintenance_mode {
        return BTreeSet::new();
    }
    status
        .instances_of(resource)
        .filter(|instance| is_left_to_itself(instance))
        .flat_map(|instance| &instance.nodes)
        .filter(|name| {
            status.node_state(name) == NodeState::OnlineMember
                && status.node(name).is_some_and(|node| {
                    !(node.maintenance || node.standby || node.standby_onfail || node.shutdown)
                })
                && is_forgotten(cib, resource, name)
        })
        .cloned()
        .collect()
}

/// It runs as a standby in Pacemaker's care, and nothing is being done to it.
fn is_left_to_itself(instance: &Instance) -> bool {
    instance.role == Role::Unpromoted
        && instance.active
        && instance.managed
        && instance.maintenance != Some(true)
        && !instance.blocked
        && !instance.orphaned
        && instance.pending.is_none()
        && instance.nodes.len() == 1
}

/// A monitor that is configured is remembered to have failed, and none recurs.
fn is_forgotten(cib: &Cib, resource: &str, node: &NodeName) -> bool {
    let Some(primitive) = cib.primitive(resource) else { return false };
    let runs = cib
        .node_states
        .iter()
        .filter(|state| state.name == *node)
        .flat_map(|state| &state.runs)
        .filter(|run| run.resource == primitive.id && run.operation == "monitor")
        .collect::<Vec<&Run>>();
    // An interval that cannot be read may be one that recurs.
    let recurs = |run: &Run| !run.is_memory && run.interval != Some(0);
    let blocks = |run: &Run| {
        let of_standbys = |(operation, every): (&Operation, u64)| {
            watches(operation, action::Role::Unpromoted) && run.interval == Some(every)
        };
        run.is_memory && primitive.monitors().any(of_standbys)
    };
    !runs.iter().any(|run| recurs(run)) && runs.iter().any(|run| blocks(run))
}

/// Whether this is the monitor of instances in this role.
pub fn watches(operation: &Operation, role: action::Role) -> bool {
    if operation.name != "monitor" {
        return false;
    }
    let names: &[&str] = match role {
        action::Role::Promoted => &["Promoted", "Master"],
        action::Role::Unpromoted => &["Unpromoted", "Slave", "Started"],
    };
    let of = operation.role.as_deref().unwrap_or("Started");
    names.iter().any(|name| of.eq_ignore_ascii_case(name))
}

/// Keeps `since` (node to seconds of uptime) for those of whom it is so `now`.
pub fn note(unwatched: &BTreeSet<NodeName>, since: &mut BTreeMap<String, u64>, now: u64) {
    since.retain(|node, _| unwatched.iter().any(|one| one.as_str() == node));
    for node in unwatched {
        since.entry(node.to_string()).or_insert(now);
    }
}

/// At whom Pacemaker has to look anew now.
pub fn due(since: &BTreeMap<String, u64>, now: u64) -> Vec<NodeName> {
    let long = since.iter().filter(|(_, since)| now.saturating_sub(**since) >= SURE);
    long.filter_map(|(node, _)| node.parse().ok()).collect()
}
