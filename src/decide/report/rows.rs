//! The table of the members. Floor 1.

use std::collections::BTreeSet;

use super::{Facts, Row, Server, WAITING, bytes, recovery};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::{NodeState, Role};
use crate::postgres::lsn::{Lsn, Timeline};

const UNKNOWN: &str = "?";
const NONE: &str = "-";
/// Pacemaker's.
const INFINITY: i32 = 1_000_000;

/// One row a member.
pub(super) fn rows(facts: &Facts, warnings: &mut Vec<String>) -> Vec<Row> {
    let names = facts.sync_names();
    if let (Known::Unknown(why), Some(primary)) = (&names, facts.primary()) {
        warnings.push(format!("for whom commits wait on {primary} is not known: {why}"));
    }
    facts
        .members
        .iter()
        .map(|node| Row {
            node: node.to_string(),
            role: role(facts, node).to_owned(),
            state: state(facts, node),
            timeline: position(facts, node, warnings, |(timeline, _)| timeline.to_string()),
            lsn: position(facts, node, &mut Vec::new(), |(_, lsn)| lsn.to_string()),
            lag: lag(facts, node, warnings),
            sync: sync(facts, node, &names),
            score: score(facts, node, warnings),
            heir: heir(facts, node),
        })
        .collect()
}

fn is_primary(facts: &Facts, node: &NodeName) -> bool {
    facts.primary() == Some(node)
}

/// The instance's own word, else Pacemaker's.
fn role(facts: &Facts, node: &NodeName) -> &'static str {
    match facts.servers.get(node) {
        Some(Server::Primary(..)) => return "primary",
        Some(Server::Standby(..)) => return "standby",
        Some(Server::Absent(_) | Server::Silent(_)) | None => {}
    }
    match facts.status.node_state(node) {
        NodeState::OnlineMember => match facts.role(node) {
            Some(Role::Promoted) => "primary",
            Some(Role::Unpromoted | Role::Started) => "standby",
            Some(Role::Stopped) | None => NONE,
            Some(Role::Other(_)) => UNKNOWN,
        },
        NodeState::OfflineClean => NONE,
        NodeState::OfflineUnclean | NodeState::Pending | NodeState::Unknown => UNKNOWN,
    }
}

fn state(facts: &Facts, node: &NodeName) -> String {
    match facts.status.node_state(node) {
        NodeState::OfflineClean => return "offline".to_owned(),
        NodeState::Pending => return "pending".to_owned(),
        NodeState::Unknown if facts.status.node(node).is_none() => return "no node".to_owned(),
        NodeState::OfflineUnclean | NodeState::Unknown => return "UNCLEAN".to_owned(),
        NodeState::OnlineMember => {}
    }
    let said = facts.said(node);
    match (facts.servers.get(node), said.as_deref()) {
        (Some(Server::Primary(..)), Some("primary-alone")) => "alone".to_owned(),
        (Some(Server::Primary(..)), Some(said)) if said.starts_with(WAITING) => {
            "waiting".to_owned()
        }
        (Some(Server::Primary(..)), _) => "writable".to_owned(),
        (_, Some(said)) if facts.role(node).is_some() => said.to_owned(),
        (_, _) if facts.role(node).is_none() => "stopped".to_owned(),
        (_, _) => UNKNOWN.to_owned(),
    }
}

/// Whether it is known that nothing runs there, so that a position does not apply.
fn runs_not(facts: &Facts, node: &NodeName) -> bool {
    match facts.servers.get(node) {
        Some(Server::Absent(_)) => match facts.status.node_state(node) {
            NodeState::OfflineClean => true,
            NodeState::OnlineMember => {
                facts.role(node).is_none() || recovery::is_under_way(facts, node)
            }
            NodeState::OfflineUnclean | NodeState::Pending | NodeState::Unknown => false,
        },
        Some(Server::Primary(..) | Server::Standby(..) | Server::Silent(_)) | None => false,
    }
}

fn position(
    facts: &Facts,
    node: &NodeName,
    warnings: &mut Vec<String>,
    part: impl Fn((Timeline, Lsn)) -> String,
) -> String {
    let server = facts.servers.get(node);
    if let Some(position) = server.and_then(Server::position) {
        return part(position);
    }
    if runs_not(facts, node) {
        return NONE.to_owned();
    }
    let why = server.map_or_else(|| "it was not asked".to_owned(), ToString::to_string);
    warnings.push(format!("{node}'s PostgreSQL gave no position: {why}"));
    UNKNOWN.to_owned()
}

fn lag(facts: &Facts, node: &NodeName, warnings: &mut Vec<String>) -> String {
    let nobody = facts.primary().is_none() && facts.writable().is_empty();
    if nobody || is_primary(facts, node) || runs_not(facts, node) {
        return NONE.to_owned();
    }
    // The primary's own view of it is of one moment.
    let of_local = facts.local.as_ref().and_then(|local| {
        let name = facts.standby_names.get(node)?;
        let walsender = local
            .walsenders
            .iter()
            .find(|walsender| walsender.state == "streaming" && name.matches(&walsender.name))?;
        Some(local.insert.bytes_since(walsender.flush?))
    });
    if let Some(missing) = of_local {
        return bytes(missing);
    }
    let Some(mine) = facts.servers.get(node).and_then(Server::position) else {
        return UNKNOWN.to_owned();
    };
    let Some(primary) = facts.primary() else { return UNKNOWN.to_owned() };
    let Some(theirs) = facts.servers.get(primary).and_then(Server::position) else {
        return UNKNOWN.to_owned();
    };
    if mine.0 != theirs.0 {
        warnings.push(format!(
            "{node} is on timeline {}, the primary {primary} on {}: their positions cannot be \
             compared",
            mine.0, theirs.0
        ));
        return UNKNOWN.to_owned();
    }
    bytes(theirs.1.bytes_since(mine.1))
}

fn sync(facts: &Facts, node: &NodeName, names: &Known<BTreeSet<NodeName>>) -> String {
    if is_primary(facts, node) || facts.primary().is_none() {
        return NONE.to_owned();
    }
    yes_no(match names {
        Known::Known(names) => Some(names.contains(node)),
        Known::Unknown(_) => None,
    })
}

fn score(facts: &Facts, node: &NodeName, warnings: &mut Vec<String>) -> String {
    match facts.cib.scores(&facts.resource).remove(node) {
        None => NONE.to_owned(),
        Some(Known::Known(score)) if score >= INFINITY => "INF".to_owned(),
        Some(Known::Known(score)) if score <= -INFINITY => "-INF".to_owned(),
        Some(Known::Known(score)) => score.to_string(),
        Some(Known::Unknown(why)) => {
            warnings.push(why);
            UNKNOWN.to_owned()
        }
    }
}

fn heir(facts: &Facts, node: &NodeName) -> String {
    let binding = facts.binding();
    if binding.is_empty() {
        let empty = matches!(&facts.ledger, Known::Known(store) if store.is_empty());
        return if empty { NONE } else { UNKNOWN }.to_owned();
    }
    if binding.iter().any(|entry| entry.primary == *node) {
        return NONE.to_owned();
    }
    yes_no(Some(binding.iter().all(|entry| entry.heirs.contains(node))))
}

fn yes_no(known: Option<bool>) -> String {
    match known {
        Some(true) => "yes",
        Some(false) => "no",
        None => UNKNOWN,
    }
    .to_owned()
}
