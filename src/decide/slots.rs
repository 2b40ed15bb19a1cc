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
    /// What `slot_name` was before, as long as there are slots of such names.
    pub former: Vec<String>,
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
    /// Slots to be made, each with the slot whose WAL it takes over, if there is one.
    pub make: Vec<(String, Option<String>)>,
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
    let before = |node: &NodeName| {
        let mut names = facts.former.iter().map(|prefix| slot_name(prefix, node.as_str()));
        names.find(|name| there.contains(name))
    };
    let make: Vec<(String, Option<String>)> = members
        .iter()
        .filter(|node| **node != facts.me && !there.contains(&name(node)))
        .map(|node| {
            let only = || there.contains(&facts.prefix).then(|| facts.prefix.clone());
            (name(node), before(node).or_else(only))
        })
        .collect();
    if !members.contains(&facts.me) {
        // Whoever does not count this node has not counted them all.
        return Plan { make, since: facts.since.clone(), ..Plan::default() };
    }
    let kept = others(&facts.in_ledger);
    let replaced = make.is_empty() && !wanted.is_empty();
    let of_anybody: BTreeSet<String> = facts.former_names(members);
    let is_stray = |slot: &str| {
        (slot == facts.prefix && replaced)
            || (!wanted.contains(slot)
                && !kept.contains(slot)
                && (is_of(&facts.prefix, slot) || (replaced && of_anybody.contains(slot))))
    };
    let since: BTreeMap<String, u64> = facts
        .slots
        .iter()
        .filter(|slot| is_stray(slot))
        .map(|slot| (slot.clone(), facts.since.get(slot).copied().unwrap_or(facts.now)))
        .collect();
    let is_due = |since: u64| facts.now.saturating_sub(since) >= PATIENCE;
    let drop = since.iter().filter(|(_, since)| is_due(**since)).map(|(slot, _)| slot.clone());
    Plan { make, drop: drop.collect(), since }
}

impl Facts {
    /// The names that the slots of these nodes, and of those in the ledger, had before `slot_name` was
    /// changed. Others that begin so may be those of other tools.
    fn former_names(&self, members: &BTreeSet<NodeName>) -> BTreeSet<String> {
        let nodes = members | &self.in_ledger;
        let names = |prefix: &String| {
            nodes.iter().map(|node| slot_name(prefix, node.as_str())).collect::<Vec<_>>()
        };
        self.former.iter().flat_map(names).collect()
    }
}

/// What is to be remembered of former prefixes: `last` was in force at the last look, and `former` before
/// it; those of which there are slots left are kept.
#[must_use]
pub fn former(prefix: &str, last: &str, former: &[String], slots: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for one in former.iter().map(String::as_str).chain([last]) {
        let is_left = slots.iter().any(|slot| is_of(one, slot));
        if !one.is_empty() && one != prefix && is_left && !kept.iter().any(|known| known == one) {
            kept.push(one.to_owned());
        }
    }
    kept
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
