//! The table of the members. Floor 1.

use std::collections::BTreeSet;

use super::{Cell, Facts, Row, Server, WAITING, recovery};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::{NodeState, Role};
use crate::postgres::lsn::{Lsn, Timeline};

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
            role: role(facts, node),
            state: state(facts, node),
            timeline: position(facts, node, warnings, |(timeline, _)| timeline),
            lsn: position(facts, node, &mut Vec::new(), |(_, lsn)| lsn),
            lag: lag(facts, node, warnings),
            delay: delay(facts, node),
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
fn role(facts: &Facts, node: &NodeName) -> Cell<&'static str> {
    match facts.servers.get(node) {
        Some(Server::Primary(..)) => return Cell::Is("primary"),
        Some(Server::Standby(..)) => return Cell::Is("standby"),
        Some(Server::Absent(_) | Server::Silent(_)) | None => {}
    }
    match facts.status.node_state(node) {
        NodeState::OnlineMember => match facts.role(node) {
            Some(Role::Promoted) => Cell::Is("primary"),
            Some(Role::Unpromoted | Role::Started) => Cell::Is("standby"),
            Some(Role::Stopped) | None => Cell::No,
            Some(Role::Other(_)) => Cell::Unknown,
        },
        NodeState::OfflineClean => Cell::No,
        NodeState::OfflineUnclean | NodeState::Pending | NodeState::Unknown => Cell::Unknown,
    }
}

fn state(facts: &Facts, node: &NodeName) -> Cell<String> {
    let is = |word: &str| Cell::Is(word.to_owned());
    match facts.status.node_state(node) {
        NodeState::OfflineClean => return is("offline"),
        NodeState::Pending => return is("pending"),
        NodeState::Unknown if facts.status.node(node).is_none() => return is("no node"),
        NodeState::OfflineUnclean | NodeState::Unknown => return is("UNCLEAN"),
        NodeState::OnlineMember => {}
    }
    let said = facts.said(node);
    match (facts.servers.get(node), said.as_deref()) {
        (Some(Server::Primary(..)), Some("primary-alone")) => is("alone"),
        (Some(Server::Primary(..)), Some(said)) if said.starts_with(WAITING) => is("waiting"),
        (Some(Server::Primary(..)), _) => is("writable"),
        (_, Some(said)) if facts.role(node).is_some() => is(said),
        (_, _) if facts.role(node).is_none() => is("stopped"),
        (_, _) => Cell::Unknown,
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

fn position<T>(
    facts: &Facts,
    node: &NodeName,
    warnings: &mut Vec<String>,
    part: impl Fn((Timeline, Lsn)) -> T,
) -> Cell<T> {
    let server = facts.servers.get(node);
    if let Some(position) = server.and_then(Server::position) {
        return Cell::Is(part(position));
    }
    if runs_not(facts, node) {
        return Cell::No;
    }
    let why = server.map_or_else(|| "it was not asked".to_owned(), ToString::to_string);
    warnings.push(format!("{node}'s PostgreSQL gave no position: {why}"));
    Cell::Unknown
}

/// Whether there is no primary that it could lag behind, or nothing there that could.
fn lags_not(facts: &Facts, node: &NodeName) -> bool {
    let nobody = facts.primary().is_none() && facts.writable().is_empty();
    nobody || is_primary(facts, node) || runs_not(facts, node)
}

fn lag(facts: &Facts, node: &NodeName, warnings: &mut Vec<String>) -> Cell<u64> {
    if lags_not(facts, node) {
        return Cell::No;
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
        return Cell::Is(missing);
    }
    let Some(mine) = facts.servers.get(node).and_then(Server::position) else {
        return Cell::Unknown;
    };
    let Some(primary) = facts.primary() else { return Cell::Unknown };
    let Some(theirs) = facts.servers.get(primary).and_then(Server::position) else {
        return Cell::Unknown;
    };
    if mine.0 != theirs.0 {
        warnings.push(format!(
            "{node} is on timeline {}, the primary {primary} on {}: their positions cannot be \
             compared",
            mine.0, theirs.0
        ));
        return Cell::Unknown;
    }
    Cell::Is(theirs.1.bytes_since(mine.1))
}

/// How long ago the primary wrote what a standby has replayed last, in milliseconds.
fn delay(facts: &Facts, node: &NodeName) -> Cell<u64> {
    if lags_not(facts, node) {
        return Cell::No;
    }
    match facts.delays.get(node) {
        Some(Known::Known(delay)) => Cell::Is(*delay),
        Some(Known::Unknown(_)) | None => Cell::Unknown,
    }
}

fn sync(facts: &Facts, node: &NodeName, names: &Known<BTreeSet<NodeName>>) -> Cell<bool> {
    if is_primary(facts, node) || facts.primary().is_none() {
        return Cell::No;
    }
    match names {
        Known::Known(names) => Cell::Is(names.contains(node)),
        Known::Unknown(_) => Cell::Unknown,
    }
}

fn score(facts: &Facts, node: &NodeName, warnings: &mut Vec<String>) -> Cell<i32> {
    match facts.cib.scores(&facts.resource).remove(node) {
        None => Cell::No,
        Some(Known::Known(score)) => Cell::Is(score),
        Some(Known::Unknown(why)) => {
            warnings.push(why);
            Cell::Unknown
        }
    }
}

fn heir(facts: &Facts, node: &NodeName) -> Cell<bool> {
    let binding = facts.binding();
    if binding.is_empty() {
        let empty = matches!(&facts.ledger, Known::Known(store) if store.is_empty());
        return if empty { Cell::No } else { Cell::Unknown };
    }
    if binding.iter().any(|entry| entry.primary == *node) {
        return Cell::No;
    }
    Cell::Is(binding.iter().all(|entry| entry.heirs.contains(node)))
}
