//! `pgtwin switchover`: whether the primary may be moved, to whom, and how it went. Floor 1.
//!
//! Whether the target would be promoted is what the election and the check of a planned move say
//! (`explain::against_a_move`); the rest is what would keep Pacemaker from moving it, or would make the
//! move longer than it has to be.

mod course;
mod hindered;
pub mod json;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use course::{Course, Event, Outcome};
pub use hindered::{hindered, outstanding};

use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::NodeState;
use crate::decide::explain::{Facts, against_a_move, obstacles};
use crate::decide::report::{Server, any_of, bytes, enumerate};
use crate::decide::sync::{HEIR_SCORE, PRIMARY_SCORE};

/// A target that lacks more than this might not get it in the second that an orderly end gives to those
/// who lag.
const MOST_BEHIND: u64 = 16 << 20;

/// What a move is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The primary.
    pub from: NodeName,
    /// Who shall be.
    pub to: NodeName,
    /// What `crm_resource --move` names.
    pub clone: String,
    /// What the operator should know.
    pub remarks: Vec<String>,
}

impl Plan {
    /// The id of the constraint that Pacemaker's tool makes of it.
    pub fn constraint(&self) -> String {
        constraint(&self.clone)
    }
}

/// The id of the constraint that `crm_resource --move` makes.
pub fn constraint(clone: &str) -> String {
    format!("cli-prefer-{clone}")
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The target is the primary.
    Already(NodeName),
    /// Not now; why, one line each.
    Refused(Vec<String>),
    /// It can be done.
    Possible(Plan),
}

/// May the primary be moved, to `to` or to the best that there is?
#[must_use]
pub fn judge(facts: &Facts, to: Option<&NodeName>) -> Ruling {
    let seen = &facts.seen;
    if let (Some(to), [only]) = (to, seen.writable().as_slice())
        && *only == to
    {
        return Ruling::Already(to.clone());
    }
    if let Some(to) = to.filter(|to| !seen.members.contains(*to)) {
        let members = enumerate(&seen.members, "and");
        return Ruling::Refused(vec![format!("{to} is no member of {}: {members}", seen.resource)]);
    }
    let (from, clone) = match whence(facts) {
        Ok(found) => found,
        Err(reasons) => return Ruling::Refused(reasons),
    };
    let others = seen.members.iter().filter(|node| **node != from);
    let asked: BTreeSet<&NodeName> =
        others.filter(|node| to.is_none_or(|to| to == *node)).collect();
    let against: BTreeMap<&NodeName, Vec<String>> =
        asked.into_iter().map(|node| (node, against(facts, &from, node))).collect();
    let able = against.iter().filter(|(_, reasons)| reasons.is_empty()).map(|(node, _)| *node);
    let view = seen.view();
    let best = able.min_by_key(|node| {
        (Reverse(obstacles::weight(&view, node)), behind(facts, &from, node), (*node).clone())
    });
    let Some(best) = best else {
        let of_each = against.into_iter().flat_map(|(node, reasons)| {
            reasons.into_iter().map(move |reason| format!("{node}: {reason}"))
        });
        let reasons: Vec<String> = of_each.collect();
        let nobody = || vec!["there is no other member".to_owned()];
        return Ruling::Refused(if reasons.is_empty() { nobody() } else { reasons });
    };
    let remarks = remarks(facts, best);
    Ruling::Possible(Plan { from, to: best.clone(), clone, remarks })
}

/// The primary that is to be moved, and what Pacemaker calls the whole; or why nobody could be.
fn whence(facts: &Facts) -> Result<(NodeName, String), Vec<String>> {
    let seen = &facts.seen;
    let from = match seen.writable().as_slice() {
        [one] => (*one).clone(),
        [] => {
            return Err(vec![
                "there is no primary that accepts writes: pgtwin explain says why".to_owned(),
            ]);
        }
        several => {
            let several = several.iter().map(|node| (*node).clone()).collect();
            return Err(vec![format!("{} accept writes at once", enumerate(&several, "and"))]);
        }
    };
    let view = seen.view();
    let mut reasons = obstacles::of_everybody(
        &view,
        match view.quorum() {
            Known::Known(false) if view.two_and_ignore() => Known::Known(true),
            quorum => quorum,
        },
    );
    if view.promoted() != BTreeSet::from([from.clone()]) {
        reasons.push(format!(
            "{from} accepts writes, and Pacemaker has promoted {}",
            enumerate(&view.promoted(), "and")
        ));
    }
    match seen.binding().as_slice() {
        [entry] if entry.primary == from => {}
        [] => reasons.push(match &seen.ledger {
            Known::Known(_) => "the ledger has no entry yet: the next monitor writes it".to_owned(),
            Known::Unknown(why) => format!("the ledger in the CIB cannot be read: {why}"),
        }),
        entries => {
            let primaries = entries.iter().map(|entry| entry.primary.clone()).collect();
            reasons.push(format!("the ledger's primary is {}, not {from}", any_of(&primaries)));
        }
    }
    if let Known::Known(store) = &seen.ledger {
        for intent in store.slots().filter_map(|(_, slot)| slot.intent.as_ref()) {
            reasons.push(format!(
                "{} has begun a promotion (term {}) and has not reported its end",
                intent.primary, intent.term
            ));
        }
    }
    for node in seen.status.full_members() {
        if matches!(seen.status.node_state(node), NodeState::OfflineUnclean | NodeState::Unknown) {
            reasons.push(format!("{node} is lost and has not been fenced: wait until it is"));
        }
    }
    if seen.status.node(&from).is_some_and(|node| node.maintenance) {
        reasons.push(format!("{from} is in maintenance mode: Pacemaker leaves it alone"));
    }
    let clone = seen.cib.primitive(&seen.resource).and_then(|one| one.clone.as_ref());
    let clone = clone.map(|clone| clone.id.clone());
    if let Some(clone) = &clone
        && has_constraint(&seen.cib, clone)
    {
        reasons.push(format!(
            "the constraint {} is left from an earlier move: crm_resource --clear --resource {clone}",
            constraint(clone)
        ));
    }
    match clone {
        Some(clone) if reasons.is_empty() => Ok((from, clone)),
        _ => Err(reasons),
    }
}

/// Whether the constraint of a move is there.
pub fn has_constraint(cib: &Cib, clone: &str) -> bool {
    let id = constraint(clone);
    cib.locations.iter().any(|location| location.id == id)
}

/// What stands against moving the primary to a member.
fn against(facts: &Facts, from: &NodeName, to: &NodeName) -> Vec<String> {
    let seen = &facts.seen;
    let said = seen.said(to);
    match seen.status.node_state(to) {
        NodeState::OnlineMember => {}
        NodeState::OfflineClean => return vec!["it is offline".to_owned()],
        NodeState::OfflineUnclean => return vec!["it is lost and has not been fenced".to_owned()],
        NodeState::Pending | NodeState::Unknown => return vec!["it is not online yet".to_owned()],
    }
    if !facts.streams(to) || said.as_deref() != Some("streaming") {
        let mut reasons = obstacles::of_node(&seen.view(), to);
        reasons.push(match said.as_deref() {
            None if facts.streams(to) => {
                "it has not said yet that it streams: its next monitor does".to_owned()
            }
            Some("streaming") | None => format!("it does not stream from {from}"),
            Some(other) => format!("it does not stream from {from} (its state: {other})"),
        });
        return reasons;
    }
    let mut reasons = against_a_move(facts, to);
    match behind(facts, from, to) {
        None => reasons.push(format!("how far it is behind {from} is not known")),
        Some(lag) if lag > MOST_BEHIND => {
            reasons
                .push(format!("it is {} behind {from}: wait until it has caught up", bytes(lag)));
        }
        Some(_) => {}
    }
    let view = seen.view();
    // Afterwards the target has the primary's score, and the old primary an heir's.
    let stays = obstacles::preference(&view, to).saturating_add(PRIMARY_SCORE.into());
    let back = obstacles::preference(&view, from).saturating_add(HEIR_SCORE.into());
    if back >= stays {
        reasons.push(format!(
            "location constraints prefer {from} by {}: the primary would move back at once",
            obstacles::preference(&view, from) - obstacles::preference(&view, to)
        ));
    }
    if !view.scores().contains_key(to) {
        reasons.push(format!("{from} has not given it the right to be promoted (no score)"));
    }
    reasons
}

/// How many bytes of the primary's WAL a member lacks.
fn behind(facts: &Facts, from: &NodeName, to: &NodeName) -> Option<u64> {
    let position = |node| facts.seen.servers.get(node).and_then(Server::position);
    let (mine, theirs) = (position(to)?, position(from)?);
    (mine.0 == theirs.0).then(|| theirs.1.bytes_since(mine.1))
}

fn remarks(facts: &Facts, to: &NodeName) -> Vec<String> {
    let seen = &facts.seen;
    let mut remarks = Vec::new();
    let failures = obstacles::failures(&seen.view(), to);
    if failures > 0 {
        remarks.push(format!("the resource has failed on {to} before (fail-count {failures})"));
    }
    for id in obstacles::with_rules(&seen.view()) {
        remarks.push(format!("what the rules of the constraint {id} want is not known here"));
    }
    if seen.writes_wait() {
        remarks.push("commits wait for a standby at the moment".to_owned());
    }
    remarks.extend(seen.noted.iter().filter(|words| words.contains("logical slots")).cloned());
    remarks
}
