//! `pgtwin forget`: whether a node may be left out on an operator's word, and what has to be done.
//! Floor 1.
//!
//! A primary drops a lost standby from E by itself when the loss is proven (fencing), or when
//! another standby stays. What remains for people is the last standby, gone without proof: its
//! node was taken out of the configuration, or there is no fencing. The operator's word then takes
//! the place of the proof, and of nothing else: the steps, their order, quorum and `sync_strict`
//! stay those of `decide::sync`.

use std::collections::BTreeSet;

use crate::cluster::absence::Absence;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Slot};
use crate::cluster::node::NodeName;
use crate::decide::sync::{self, NodeState, Standby};

/// What is known when an operator asks to forget a node.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node to forget.
    pub node: NodeName,
    /// The node on which the command runs.
    pub me: NodeName,
    /// The instance here accepts writes.
    pub writable: bool,
    /// Where Pacemaker has the instance promoted.
    pub promoted: BTreeSet<NodeName>,
    /// Pacemaker has a node of that name.
    pub listed: bool,
    /// A node that the cluster or the ledger knows and whose name is nearly this one, which neither
    /// of them knows.
    pub similar: Option<NodeName>,
    /// It is a member: in node_list, or a full node where that is not set.
    pub member: bool,
    /// What can be said of its absence.
    pub absence: Absence,
    /// Its standby streams from here.
    pub streams: bool,
    /// This primary's entry, as its file has it.
    pub own: Option<Entry>,
    /// Commits wait for it (it is in V).
    pub in_names: bool,
    /// Its own slot of the ledger in the CIB.
    pub slot: Option<Slot>,
    /// It has a promotion score.
    pub has_score: bool,
    /// Its replication slot here, if there is one.
    pub replication_slot: Option<String>,
}

/// What is done with the node's own slot of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerSlot {
    /// There is none.
    None,
    /// It is older than this primary's entry: deleted.
    Delete,
    /// It is of the highest term, and stays; why that matters.
    Keep(String),
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The node is taken out of E and V by the steps of the protocol.
    pub leave_out: bool,
    /// Its slot of the ledger.
    pub ledger: LedgerSlot,
    /// Its score is deleted.
    pub delete_score: bool,
    /// This replication slot is dropped.
    pub drop_slot: Option<String>,
    /// What the operator should know.
    pub remarks: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Not here, or not now; why, and what to do.
    Refused(String),
    /// Nothing here remembers the node.
    Nothing,
    /// This will be done.
    Do(Plan),
}

/// May the node be forgotten?
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    let node = &facts.node;
    if *node == facts.me {
        return Ruling::Refused(format!("{node} is this node: it cannot forget itself"));
    }
    // PostgreSQL takes two names that differ in case for one: half of it would be forgotten.
    if let Some(similar) = &facts.similar {
        return Ruling::Refused(format!(
            "nothing here knows a node {node}; the name of the one that may be meant is {similar}"
        ));
    }
    if !facts.writable {
        return Ruling::Refused(match facts.promoted.iter().find(|other| **other != facts.me) {
            Some(primary) => format!("the primary is on {primary}: run pgtwin forget {node} there"),
            None => format!(
                "there is no primary here: only a running primary can leave {node} out (see \
                 pgtwin status, and pgtwin force-promote --help)"
            ),
        });
    }
    let mut remarks = Vec::new();
    if facts.listed {
        match &facts.absence {
            Absence::Present(why) => {
                return Ruling::Refused(format!(
                    "{node} cannot be forgotten: {why}. Stop the cluster on it first; if it is \
                     lost and switched off, confirm that: stonith_admin --confirm {node}"
                ));
            }
            Absence::Proven => {}
            Absence::Assumed(why) => remarks.push(format!(
                "nothing but your word says that {node} is down: {why}. If it still runs, it must \
                 never come back with its data"
            )),
        }
    }
    if !facts.listed {
        remarks.push(format!(
            "Pacemaker knows no node {node}: if that machine still exists, it must never come back \
             with its data"
        ));
    }
    if facts.streams {
        return Ruling::Refused(format!(
            "{node} cannot be forgotten: its PostgreSQL streams from this node, or has just ended and \
             that is not noticed yet (wal_sender_timeout). If it is off, try again in a minute"
        ));
    }
    let own_term = facts.own.as_ref().map_or(0, |entry| entry.term);
    let ledger = match ledger_slot(facts, own_term) {
        Ok(ledger) => ledger,
        Err(why) => return Ruling::Refused(why),
    };
    let in_heirs = facts.own.as_ref().is_some_and(|entry| entry.heirs.contains(node));
    let plan = Plan {
        leave_out: in_heirs || facts.in_names,
        ledger,
        delete_score: facts.has_score,
        drop_slot: facts.replication_slot.clone(),
        remarks,
    };
    let nothing = !plan.leave_out
        && plan.ledger == LedgerSlot::None
        && !plan.delete_score
        && plan.drop_slot.is_none();
    if nothing { Ruling::Nothing } else { Ruling::Do(with_remarks(plan, facts)) }
}

fn ledger_slot(facts: &Facts, own_term: u64) -> Result<LedgerSlot, String> {
    let node = &facts.node;
    let Some(slot) = &facts.slot else { return Ok(LedgerSlot::None) };
    if let Some(done) = slot.done.as_ref().filter(|entry| entry.term >= own_term) {
        return Err(format!(
            "{node} was promoted after this primary, or at the same time (term {}, here {own_term}): \
             its data may be the newer, see pgtwin status",
            done.term
        ));
    }
    match slot.intent.as_ref().filter(|entry| entry.term >= own_term) {
        None => Ok(LedgerSlot::Delete),
        Some(intent) => Ok(LedgerSlot::Keep(format!(
            "{node} had begun a promotion (term {}, here {own_term}); that entry stays in the \
             ledger, and binds elections until a node is promoted in a higher term",
            intent.term
        ))),
    }
}

fn with_remarks(mut plan: Plan, facts: &Facts) -> Plan {
    let node = &facts.node;
    if let LedgerSlot::Keep(why) = &plan.ledger {
        plan.remarks.push(why.clone());
    }
    if facts.member {
        plan.remarks.push(format!(
            "{node} is still a member (in node_list, or a node of the cluster): take it out there \
             as well, or its replication slot is made again"
        ));
    }
    if let Some(own) = &facts.own
        && plan.leave_out
        && own.heirs.len() == 1
        && own.heirs.contains(node)
    {
        plan.remarks.push(format!(
            "{node} is the last standby that may take over: {} goes on alone, and nobody can \
             replace it until another standby streams",
            facts.me
        ));
    }
    plan
}

/// The facts of the primary's care with the operator's word in them: `gone` are down, and whatever
/// they were to confirm counts as confirmed. Applied before each step, since the word is about the
/// entry that is current then.
#[must_use]
pub fn with_word(facts: &sync::Facts, gone: &BTreeSet<NodeName>) -> sync::Facts {
    let mut facts = facts.clone();
    if gone.is_empty() {
        return facts;
    }
    let asked = if let Some(Known::Known(cluster)) = &mut facts.cluster {
        for node in gone {
            cluster.nodes.insert(node.clone(), NodeState::OfflineClean);
            cluster.stopped.insert(node.clone());
            // As if the node itself had confirmed the entry, and so could act on no older one.
            if let Some(entry) = &cluster.cib {
                let ack = entry.ack();
                cluster.acks.insert(node.clone(), ack);
            }
        }
        true
    } else {
        false
    };
    if asked {
        for node in gone {
            let lost = Standby { streaming: None, gone_for_long: true, eligible: true };
            facts.standbys.insert(node.clone(), lost);
        }
    }
    facts
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
