//! Which replication slots a node keeps for the other members, and which ones go; and which logical
//! slots a failover would lose. Floor 1.
//!
//! WAL waits in a slot for whoever is away: one too few, and a standby has to be built anew; one too
//! many, and the disk fills up.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::slot_name::{is_of, slot_name};

/// How long a slot has to have been nobody's before it goes, in seconds: a view of the cluster may be
/// short of a node for a while, as after an upgrade or a restart of everything.
pub const PATIENCE: u64 = 600;

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `slot_name`: the beginning of the names, and all of the name of the predecessor's only slot.
    pub prefix: String,
    /// This node.
    pub me: NodeName,
    /// The members; unknown where the partition has no quorum, or Pacemaker was not asked.
    pub members: Known<BTreeSet<NodeName>>,
    /// Nodes that the ledger speaks of: they may come back with their data.
    pub in_ledger: BTreeSet<NodeName>,
    /// The physical slots there are.
    pub slots: Vec<String>,
    /// Since when a slot has been nobody's, in seconds of uptime.
    pub since: BTreeMap<String, u64>,
    /// Seconds of uptime.
    pub now: u64,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Slots to be made.
    pub make: Vec<String>,
    /// The slot whose WAL they take over, if there is one.
    pub like: Option<String>,
    /// Slots that go, unless somebody streams by them.
    pub drop: Vec<String>,
    /// What is to be remembered as `since`.
    pub since: BTreeMap<String, u64>,
}

/// Which slots are made, and which go.
#[must_use]
pub fn plan(facts: &Facts) -> Plan {
    let Known::Known(members) = &facts.members else {
        return Plan { since: facts.since.clone(), ..Plan::default() };
    };
    let name = |node: &NodeName| slot_name(&facts.prefix, node.as_str());
    let others = |nodes: &BTreeSet<NodeName>| -> BTreeSet<String> {
        nodes.iter().filter(|node| **node != facts.me).map(name).collect()
    };
    let wanted = others(members);
    let there: BTreeSet<&String> = facts.slots.iter().collect();
    let make: Vec<String> = wanted.iter().filter(|slot| !there.contains(slot)).cloned().collect();
    let like = there.contains(&facts.prefix).then(|| facts.prefix.clone());
    if !members.contains(&facts.me) {
        // Whoever does not count this node has not counted them all.
        return Plan { make, like, since: facts.since.clone(), ..Plan::default() };
    }
    let kept = others(&facts.in_ledger);
    let replaced = make.is_empty() && !wanted.is_empty();
    let is_stray = |slot: &str| {
        (slot == facts.prefix && replaced)
            || (is_of(&facts.prefix, slot) && !wanted.contains(slot) && !kept.contains(slot))
    };
    let since: BTreeMap<String, u64> = facts
        .slots
        .iter()
        .filter(|slot| is_stray(slot))
        .map(|slot| (slot.clone(), facts.since.get(slot).copied().unwrap_or(facts.now)))
        .collect();
    let is_due = |since: u64| facts.now.saturating_sub(since) >= PATIENCE;
    let drop = since.iter().filter(|(_, since)| is_due(**since)).map(|(slot, _)| slot.clone());
    Plan { make, like, drop: drop.collect(), since }
}

/// A logical slot of a primary that outlives its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logical {
    /// Its name.
    pub name: String,
    /// `failover`; none before PostgreSQL 17, which does not know it.
    pub failover: Option<bool>,
}

/// The logical slots, and what of their environment can be seen on the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalSlots {
    /// They.
    pub slots: Vec<Logical>,
    /// `synchronized_standby_slots`; empty before 17.
    pub waits_for: String,
}

/// What is to be said of logical slots: `standbys` are the physical slots of the other members.
#[must_use]
pub fn lost_at_failover(logical: &LogicalSlots, standbys: &[String]) -> Vec<String> {
    let names = |wanted: Option<bool>| {
        let slots = logical.slots.iter().filter(|slot| slot.failover == wanted);
        slots.map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (old, lost, kept) = (names(None), names(Some(false)), names(Some(true)));
    let mut words = Vec::new();
    if !old.is_empty() {
        words.push(format!(
            "a failover loses the logical slots {old}: their subscribers start anew (PostgreSQL 17 can \
             keep them)"
        ));
    }
    if !lost.is_empty() {
        words.push(format!(
            "a failover loses the logical slots {lost}: to keep them, set failover = true on each \
             (ALTER SUBSCRIPTION ... SET), synchronized_standby_slots on every node, and on the \
             standbys sync_replication_slots = on, hot_standby_feedback = on and dbname=postgres in \
             primary_conninfo"
        ));
    }
    let waits: Vec<&str> =
        logical.waits_for.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let missing: Vec<&str> =
        standbys.iter().map(String::as_str).filter(|slot| !waits.contains(slot)).collect();
    if !kept.is_empty() && !missing.is_empty() {
        words.push(format!(
            "subscribers of the logical slots {kept} can get ahead of a standby, and are lost if it is \
             promoted: synchronized_standby_slots lacks {}",
            missing.join(", ")
        ));
    }
    words
}

/// What keeps this standby from taking over logical slots that are to survive a failover.
#[must_use]
pub fn not_synchronized(
    slots: &[String],
    setting: impl Fn(&str) -> Known<String>,
    conninfo: &Conninfo,
) -> Option<String> {
    if slots.is_empty() {
        return None;
    }
    let off = |name: &&str| setting(name).known().is_some_and(|value| value != "on");
    let mut lacks: Vec<String> = ["sync_replication_slots", "hot_standby_feedback"]
        .iter()
        .filter(|name| off(name))
        .map(|name| format!("{name} = on"))
        .collect();
    if conninfo.get("dbname").is_none() {
        lacks.push("dbname=postgres in primary_conninfo".to_owned());
    }
    (!lacks.is_empty()).then(|| {
        format!(
            "a failover to this node loses the logical slots {}: set here {}",
            slots.join(", "),
            lacks.join(", ")
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
