//! Instances that Pacemaker runs and has stopped watching. Floor 1.
//!
//! Pacemaker cancels the monitor of a standby that it is about to promote, and all monitors in maintenance
//! mode. When that plan is broken off, or maintenance ends, it schedules the monitor anew only if no failure
//! of it is remembered: the memory (`last_failure_0`) has the key of the operation, and passes for it. A
//! degraded answer (190, 191) is such a failure. The instance then runs without a monitor for ever: a
//! standby never says that it may take over, and nobody sees a primary die. Both seen on Pacemaker 3.0.0.
//! `crm_resource --refresh` brings the monitor back, and restarts nothing, of a primary neither;
//! `--cleanup` does not touch what was only degraded.
//!
//! Who is not monitored cannot help itself. Another one has Pacemaker look ([`teller`]).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::cib::{Cib, Operation, Run, Setting};
use crate::cluster::interval::milliseconds;
use crate::cluster::node::NodeName;
use crate::cluster::topology::{ClusterStatus, Instance, NodeState, Role};
use crate::ocf::action;

/// How long that has to be so, in seconds: a plan that is being carried out looks the same meanwhile, and
/// its notifications take seconds on a busy machine.
pub const SURE: u64 = 30;
/// How long after a refresh that has not helped the next one is, in seconds.
pub const AGAIN: u64 = 600;

/// The nodes of whose instance this is so now.
#[must_use]
pub fn unwatched(status: &ClusterStatus, cib: &Cib, resource: &str) -> BTreeSet<NodeName> {
    if status.options.maintenance_mode {
        return BTreeSet::new();
    }
    status
        .instances_of(resource)
        .filter(|instance| is_left_to_itself(instance))
        .filter_map(|instance| Some((role_of(instance)?, instance)))
        .flat_map(|(role, instance)| instance.nodes.iter().map(move |name| (role, name)))
        .filter(|(role, name)| {
            status.node_state(name) == NodeState::OnlineMember
                && status.node(name).is_some_and(|node| {
                    !(node.maintenance || node.standby || node.standby_onfail || node.shutdown)
                })
                && is_forgotten(cib, resource, name, *role)
        })
        .map(|(_, name)| name.clone())
        .collect()
}

/// Who has Pacemaker look anew at those who are not monitored: the primary, or, where the primary's own
/// monitor is lost, the first standby that has one. None where nobody is monitored: `status` says so.
#[must_use]
pub fn teller(
    status: &ClusterStatus,
    resource: &str,
    unwatched: &BTreeSet<NodeName>,
) -> Option<NodeName> {
    status
        .instances_of(resource)
        .filter(|instance| instance.active)
        .filter_map(|instance| Some((role_of(instance)?, instance)))
        .flat_map(|(role, instance)| instance.nodes.iter().map(move |name| (role, name)))
        .filter(|(_, name)| {
            status.node_state(name) == NodeState::OnlineMember && !unwatched.contains(*name)
        })
        .min_by_key(|(role, name)| (*role != action::Role::Promoted, *name))
        .map(|(_, name)| name.clone())
}

fn role_of(instance: &Instance) -> Option<action::Role> {
    match instance.role {
        Role::Promoted => Some(action::Role::Promoted),
        Role::Unpromoted => Some(action::Role::Unpromoted),
        _ => None,
    }
}

/// It runs in Pacemaker's care, and nothing is being done to it.
fn is_left_to_itself(instance: &Instance) -> bool {
    instance.active
        && instance.managed
        && instance.maintenance != Some(true)
        && !instance.blocked
        && !instance.orphaned
        && instance.pending.is_none()
        && instance.nodes.len() == 1
}

/// What the status section has of a node's monitors.
fn monitors<'a>(
    cib: &'a Cib,
    primitive: &'a str,
    node: &'a NodeName,
) -> impl Iterator<Item = &'a Run> {
    cib.node_states
        .iter()
        .filter(move |state| state.name == *node)
        .flat_map(|state| &state.runs)
        .filter(move |run| run.resource == primitive && run.operation == "monitor")
}

/// A monitor that is configured is remembered to have failed, and none recurs.
fn is_forgotten(cib: &Cib, resource: &str, node: &NodeName, role: action::Role) -> bool {
    let Some(primitive) = cib.primitive(resource) else { return false };
    // An interval that cannot be read may be one that recurs.
    let recurs = |run: &Run| !run.is_memory && run.interval != Some(0);
    let blocks = |run: &Run| {
        let of_role = |(operation, every): (&Operation, u64)| {
            watches(operation, role) && run.interval == Some(every)
        };
        run.is_memory && primitive.monitors().any(of_role)
    };
    !monitors(cib, &primitive.id, node).any(recurs)
        && monitors(cib, &primitive.id, node).any(blocks)
}

/// What Pacemaker has on record of one recurring monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Nothing: it is not written yet, or this is not known of the node.
    Nothing,
    /// Its result, and the memory of a failure, which a reason is too.
    Both,
    /// The memory alone. That comes of nodes that join: what is recorded of operations may be written anew then,
    /// and of a monitor whose last result was 190 or 191 that is the memory. When such a monitor has to be
    /// cancelled, for a demotion, the controller waits for the record to go: for three minutes nothing happens
    /// in the whole cluster (seen on 3.0.0).
    MemoryAlone,
    /// Its result alone: no reason is shown. That comes of `failure-timeout`, by which the memory is deleted with
    /// failures that are older, and of a cleanup.
    ResultAlone,
}

/// Of the monitor of `me` that recurs every `interval` milliseconds.
#[must_use]
pub fn recorded(cib: &Cib, resource: &str, me: &NodeName, interval: u64) -> Recorded {
    let Some(primitive) = cib.primitive(resource) else { return Recorded::Nothing };
    let this = |run: &&Run| run.interval == Some(interval);
    let is_there = |memory: bool| {
        monitors(cib, &primitive.id, me).filter(this).any(|run| run.is_memory == memory)
    };
    match (is_there(true), is_there(false)) {
        (true, true) => Recorded::Both,
        (true, false) => Recorded::MemoryAlone,
        (false, true) => Recorded::ResultAlone,
        (false, false) => Recorded::Nothing,
    }
}

/// For how many seconds Pacemaker shows a reason: `failure-timeout`, although nothing has failed. `None`: for as long
/// as it is on record, as far as can be told.
#[must_use]
pub fn shown_for(cib: &Cib, resource: &str) -> Option<u64> {
    match cib.meta(resource, "failure-timeout")? {
        Setting::Set(text) => milliseconds(text).map(|time| time / 1000).filter(|time| *time > 0),
        Setting::Conditional => None,
    }
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
