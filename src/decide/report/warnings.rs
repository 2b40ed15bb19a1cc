//! What somebody should look at, in words. Floor 1.

use super::{Facts, Server, WAITING, enumerate, recovery};
use crate::cluster::known::Known;
use crate::cluster::topology::{FenceHistory, FenceOutcome, NodeState, Quorum, Role};
use crate::decide::pause;
use crate::decide::unwatched::unwatched;
use crate::ocf::params::FencingPolicy;

/// Quorum in one line.
pub(super) fn quorum(facts: &Facts, warnings: &mut Vec<String>) -> String {
    let all = facts.status.full_members().count();
    let online = facts
        .status
        .full_members()
        .filter(|node| facts.status.node_state(node) == NodeState::OnlineMember)
        .count();
    let count = format!("{online} of {all} nodes are online");
    match facts.status.quorum {
        Quorum::Quorate => format!("yes: {count}"),
        Quorum::Inquorate => {
            let policy = facts.cib.no_quorum_policy();
            let ignored = policy == Known::Known("ignore".to_owned());
            let words = policy.map(|policy| format!("no-quorum-policy={policy}"));
            let (Known::Known(words) | Known::Unknown(words)) = words;
            let so = match (ignored, all) {
                (true, 2) => "both nodes may go on alone",
                (true, _) => "a primary without standbys takes no commits",
                (false, _) => {
                    "nothing is promoted, and a primary without standbys takes no commits"
                }
            };
            warnings.push(format!("this partition has no quorum ({words}): {so}"));
            format!("NO: {count}")
        }
        Quorum::NoController => {
            warnings.push(
                "the cluster has no designated controller (yet): it decides nothing".to_owned(),
            );
            format!("?: {count}")
        }
    }
}

/// Fencing in one line.
pub(super) fn fencing(facts: &Facts, warnings: &mut Vec<String>) -> String {
    let failed = fence_events(facts, warnings);
    let fencing = facts.cib.fencing();
    match fencing.offline_means_down() {
        Ok(()) => {
            let by = if fencing.devices.is_empty() {
                ", by watchdog".to_owned()
            } else {
                format!(" ({})", fencing.devices.join(", "))
            };
            format!("{}{by}", if failed { "the last attempt FAILED" } else { "works" })
        }
        Err(why) => {
            warnings.push(match facts.policy {
                FencingPolicy::Required => format!(
                    "fencing cannot prove that a lost node is down: {why}. After the loss of a \
                     node nobody is promoted, and a primary without standbys takes no commits"
                ),
                FencingPolicy::Advised => format!(
                    "fencing cannot prove that a lost node is down: {why}. fencing=advised \
                     accepts that two nodes may write at once"
                ),
            });
            format!("NO: {why}")
        }
    }
}

/// Whether the last attempt to fence one of them failed.
fn fence_events(facts: &Facts, warnings: &mut Vec<String>) -> bool {
    let mut failed = false;
    let events = match &facts.status.fencing {
        FenceHistory::Events(events) => events,
        FenceHistory::Unavailable(why) => {
            warnings.push(format!("the history of fencing cannot be read: {why}"));
            return false;
        }
    };
    for node in facts.status.full_members() {
        // Newest first: only how it ended last matters.
        let Some(event) = events.iter().find(|event| &event.target == node) else { continue };
        match &event.outcome {
            FenceOutcome::Success | FenceOutcome::Other(_) => {}
            FenceOutcome::Pending => warnings.push(format!("{node} is being fenced")),
            FenceOutcome::Failed => {
                failed = true;
                let why = event.exit_reason.as_deref().filter(|why| !why.is_empty());
                warnings.push(format!(
                    "the last attempt to fence {node} failed{}",
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                ));
            }
        }
    }
    failed
}

/// Maintenance in one line.
pub(super) fn maintenance(facts: &Facts, warnings: &mut Vec<String>) -> String {
    if facts.status.options.maintenance_mode {
        warnings.push(
            "the cluster is in maintenance mode: Pacemaker starts, stops and promotes nothing"
                .to_owned(),
        );
        return "YES: the whole cluster".to_owned();
    }
    let nodes = facts
        .members
        .iter()
        .filter(|node| facts.status.node(node).is_some_and(|node| node.maintenance))
        .cloned()
        .collect::<std::collections::BTreeSet<_>>();
    if !nodes.is_empty() {
        warnings.push(format!(
            "in maintenance mode: {}: Pacemaker leaves alone what runs there",
            enumerate(&nodes, "and")
        ));
        return format!("YES: {}", enumerate(&nodes, "and"));
    }
    let paused = pause::noted(facts);
    if facts.status.instances_of(&facts.resource).any(|instance| !instance.managed) {
        if let Some(paused) = &paused {
            let words = format!("{} is {}", facts.resource, pause::words(facts, paused));
            warnings.push(format!(
                "{words}: what fails is not put right, and nobody is promoted; nodes are fenced as ever. \
                 pgtwin resume ends it"
            ));
            return format!("YES: {words}");
        }
        warnings.push(format!(
            "Pacemaker does not manage {}: it starts, stops and promotes nothing",
            facts.resource
        ));
        return format!("YES: {} is unmanaged", facts.resource);
    }
    if paused.is_some() {
        warnings.push(format!(
            "a note of a pause is left, and Pacemaker manages {}: pgtwin resume removes it",
            facts.resource
        ));
    }
    "no".to_owned()
}

/// Who is missing, who is where nobody expects it.
pub(super) fn members(facts: &Facts, warnings: &mut Vec<String>) {
    let writable: std::collections::BTreeSet<_> = facts.writable().into_iter().cloned().collect();
    if writable.len() > 1 {
        warnings.push(format!(
            "{} ACCEPT WRITES AT ONCE: stop one of them now",
            enumerate(&writable, "and")
        ));
    }
    let promoted: std::collections::BTreeSet<_> =
        facts.status.promoted_on(&facts.resource).cloned().collect();
    if writable.is_empty() && promoted.is_empty() {
        warnings.push("there is no primary".to_owned());
    }
    for node in writable.difference(&promoted) {
        warnings.push(format!("{node} accepts writes, and Pacemaker has not promoted it"));
    }
    for node in &promoted {
        if let Some(Server::Standby(..)) = facts.servers.get(node) {
            warnings.push(format!("{node} is promoted, and its PostgreSQL is a standby"));
        }
    }
    for node in unwatched(&facts.status, &facts.cib, &facts.resource) {
        warnings.push(format!(
            "Pacemaker runs {node} and does not monitor it: it takes the memory of a failure for the \
             monitor. Another node has it look anew when that lasts; by hand: crm_resource --refresh \
             --resource {} --node {node}",
            facts.resource
        ));
    }
    systems(facts, warnings);
    for node in &facts.members {
        let answers = facts.servers.get(node).is_some_and(|server| server.position().is_some());
        match facts.status.node_state(node) {
            NodeState::OnlineMember => online(facts, node, warnings),
            NodeState::OfflineClean if answers => {
                warnings.push(format!("{node} is offline for Pacemaker, and its PostgreSQL runs"));
            }
            NodeState::OfflineClean => warnings.push(format!("{node} is offline")),
            NodeState::OfflineUnclean => warnings.push(format!(
                "{node} is lost and has not been fenced: nothing is decided until it is (if you \
                 have switched it off yourself: stonith_admin --confirm {node})"
            )),
            NodeState::Pending => {
                warnings.push(format!("{node} is joining or leaving the cluster"));
            }
            NodeState::Unknown if facts.status.node(node).is_none() => warnings
                .push(format!("{node} is in node_list, and Pacemaker knows no node of that name")),
            NodeState::Unknown => {
                warnings.push(format!("{node} is unclean: Pacemaker is about to fence it"));
            }
        }
    }
}

/// Members whose data is another database than the ledger's.
fn systems(facts: &Facts, warnings: &mut Vec<String>) {
    let Some(entry) = facts.binding().first().copied() else { return };
    for (node, system) in facts.systems.iter().filter(|(_, system)| **system != entry.system_id) {
        warnings.push(format!(
            "{node} has database system {system}, the ledger is about {}: it is another database",
            entry.system_id
        ));
    }
}

fn online(facts: &Facts, node: &crate::cluster::node::NodeName, warnings: &mut Vec<String>) {
    let Some(status) = facts.status.node(node) else { return };
    if status.standby || status.standby_onfail {
        warnings.push(format!("{node} was put on standby: nothing runs there"));
    } else if facts.role(node).is_none() {
        warnings.push(format!("{}'s instance on {node} is stopped", facts.resource));
    }
    warnings.extend(recovery::of_another(facts, node));
    let blocked = facts
        .status
        .instances_of(&facts.resource)
        .any(|instance| instance.blocked && instance.nodes.contains(node));
    if blocked {
        warnings.push(format!("Pacemaker will not touch {node}'s instance until it is cleaned up"));
    }
    // What the primary sees is newer than what the standby last said.
    if let Some(local) = &facts.local
        && let Some(name) = facts.standby_names.get(node)
        && node != &facts.me
        && facts.role(node) == Some(&Role::Unpromoted)
        && !recovery::is_under_way(facts, node)
        && !local
            .walsenders
            .iter()
            .any(|walsender| walsender.state == "streaming" && name.matches(&walsender.name))
    {
        warnings.push(format!("{node} does not stream from {}", facts.me));
    }
}

/// What the primary says of itself: its state attribute is of the last monitor.
pub(super) fn primary(facts: &Facts, warnings: &mut Vec<String>) {
    let Some(primary) = facts.primary() else { return };
    let Some(said) = facts.said(primary) else { return };
    match said.strip_prefix(WAITING) {
        Some("quorum") => {
            warnings.push(format!("writes on {primary} wait: this partition has no quorum"));
        }
        Some("fencing") => warnings.push(format!(
            "writes on {primary} wait: without fencing nothing proves that the lost standby is \
             down (if it is gone for good: pgtwin forget)"
        )),
        Some("a-standby") => {
            warnings.push(format!("writes on {primary} wait for a standby (sync_strict=true)"));
        }
        Some(nodes) => warnings.push(format!(
            "writes on {primary} wait until {nodes} streams, is fenced, or has confirmed that it left"
        )),
        None if said == "primary-alone" => warnings.push(format!(
            "no standby streams: every commit is on {primary} only, and nobody can take over"
        )),
        None if said == "superseded" => {
            warnings.push(format!("another node was promoted since {primary} was"));
        }
        None => {}
    }
}

/// Failed operations of the resource.
pub(super) fn failures(facts: &Facts, warnings: &mut Vec<String>) {
    for failure in facts.status.failures_of(&facts.resource) {
        // The reason is that of the first of several such results, and stays after the last of
        // them; the state is the present one.
        let said = facts.said(&failure.node);
        let passed = match (failure.exit_code, said.as_deref()) {
            (Some(191), Some(_)) | (Some(190), Some("streaming" | "delayed")) => true,
            (Some(190), _) => facts.primary() == Some(&failure.node),
            (_, _) => false,
        };
        if passed {
            continue;
        }
        let reason = if failure.reason.is_empty() { &failure.words } else { &failure.reason };
        // Pacemaker keeps the reason of the first of several results with the same code.
        let when = failure.when.as_ref().map(|when| format!(" at {when}")).unwrap_or_default();
        // These two are shown by Pacemaker as failures, and count as success.
        let how = match failure.exit_code {
            Some(190 | 191) => "reported",
            Some(_) | None => "failed",
        };
        // Pacemaker keeps the first 128 bytes.
        let rest = if reason.ends_with("...") {
            format!(" (the whole is in the system log of {})", failure.node)
        } else {
            String::new()
        };
        // After a failed start Pacemaker keeps the resource away from the node.
        let then = if failure.operation == "start" {
            let (resource, node) = (&facts.resource, &failure.node);
            format!(
                "; once that is mended: crm_resource --cleanup --resource {resource} --node {node}"
            )
        } else {
            String::new()
        };
        warnings.push(format!(
            "{} on {} {how}{when}: {reason}{rest}{then}",
            failure.operation, failure.node
        ));
    }
}

/// Standbys that did not say how late they are.
pub(super) fn delays(facts: &Facts, advice: &mut Vec<String>) {
    for (node, delay) in &facts.delays {
        if let Known::Unknown(why) = delay {
            advice.push(format!("how late the replay of {node} is, is not known: {why}"));
        }
    }
}

/// Settings of the primary that weaken what pgtwin promises: those that cost committed data, and
/// those that cost time or disk.
pub(super) fn settings(facts: &Facts) -> (Vec<String>, Vec<String>) {
    const GRAVE: [&str; 4] = ["fsync", "full_page_writes", "synchronous_commit", "PostgreSQL"];
    let all = facts.local.as_ref().map(|local| local.weaknesses.clone()).unwrap_or_default();
    all.into_iter().partition(|words| {
        words.split_whitespace().next().is_some_and(|first| GRAVE.contains(&first))
    })
}
