//! `pgtwin force-promote`: what an operator's word may do when no election permits anybody
//! (design 4.5), and what it may cost. Floor 1.
//!
//! The word becomes an entry of the ledger: the next term, a new identity, this node as the
//! primary, E = {}, done. That is the entry of a primary that went on alone, the one case in which a
//! node's own file permits it without asking anybody. So the ordinary promote action does all the
//! rest, with its order and its checks, and every other member is no heir in the highest term that
//! it can see: it follows the new primary, or is refused.
//!
//! The entry binds whoever sees it: in the CIB, in this node's file, or in what this node says of
//! itself. Who sees none of them is not bound. Two operators who force a node each on two sides of
//! a partition, or an old primary that went on alone and is started while nobody else is there,
//! give two histories, and nothing that this program could write would prevent it; that is the
//! risk that the operator takes, and why the words here ask that lost nodes stay off. It is found
//! when the two meet. The term grows by exactly one so that two such entries tie where they may:
//! both primaries then see an entry as high as their own and stop, and people choose. A larger
//! step would make one of them win and discard the other's commits without a word.
//!
//! What the entry calls its history are the promotions that this node's data is known to contain,
//! and no others. A node whose last promotion is not among them is refused instead of being taken
//! for one that can follow: two promotions can have the same timeline number.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::absence::Absence;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, Mode, Past, PromotionId, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Exactness, Position};
use crate::decide::election;
use crate::decide::promote::words;
use crate::decide::report::{Server, bytes};
use crate::postgres::lsn::{Lsn, Timeline};

/// Another member, as it is seen now.
#[derive(Clone, Debug)]
pub struct Other {
    /// Pacemaker has it online.
    pub online: bool,
    /// What can be said of its absence.
    pub absence: Absence,
    /// What its PostgreSQL answers.
    pub server: Server,
}

/// The instance of the node that is to be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// It runs as a standby.
    Standby,
    /// It runs, and opens only with an upstream (its snapshot is not known): it can be promoted.
    WaitsForUpstream,
    /// It accepts writes.
    Primary,
    /// Anything else, in words.
    Other(String),
}

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node to promote.
    pub node: NodeName,
    /// The node on which the command runs.
    pub me: NodeName,
    /// It is a member.
    pub member: bool,
    /// This partition has quorum, or no-quorum-policy=ignore with two nodes.
    pub quorum: Known<bool>,
    /// Where Pacemaker has the instance promoted.
    pub promoted: BTreeSet<NodeName>,
    /// All other members.
    pub others: BTreeMap<NodeName, Other>,
    /// The instance here.
    pub here: Here,
    /// How far its data goes.
    pub position: Known<Position>,
    /// System identifier and timeline of its data.
    pub data: Known<(u64, Timeline)>,
    /// All entries that anybody who is seen holds, the CIB and the own file included; their own
    /// intent resolved where that is possible.
    pub entries: Known<Vec<Entry>>,
    /// A promotion of this node is under way, or was begun and its end is not known.
    pub pending: bool,
    /// The last promotion that this node's data is known to contain.
    pub followed: Option<PromotionId>,
    /// What the election says without force.
    pub ruling: election::Ruling,
    /// Sync or async.
    pub mode: Mode,
    /// `sync_strict`.
    pub strict: bool,
    /// Pacemaker is told to leave the resource alone.
    pub maintenance: bool,
}

/// What would be written and what it may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The term of the entry.
    pub term: u64,
    /// The database system.
    pub system_id: u64,
    /// The timeline from which the promotion starts.
    pub timeline: Timeline,
    /// The promotions that this node's data contains, newest first.
    pub history: Vec<Past>,
    /// What was given up for the data that it goes back to, where that was adopted.
    pub adopted: Option<Vec<u64>>,
    /// What may be lost, one line each; never empty.
    pub losses: Vec<String>,
    /// What else the operator should know.
    pub remarks: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Not here, or not now; why, and what to do.
    Refused(String),
    /// The election permits this node: nothing has to be forced.
    NotNeeded,
    /// It can be done.
    Possible(Proposal),
}

/// May the node be promoted by force, and what may be lost?
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    match refusal(facts) {
        Some(why) => return Ruling::Refused(why),
        None if matches!(facts.ruling, election::Ruling::Permitted(_)) => return Ruling::NotNeeded,
        None => {}
    }
    let (system_id, timeline) = match &facts.data {
        Known::Known(data) => *data,
        Known::Unknown(why) => {
            return Ruling::Refused(format!("what data {} has is not known: {why}", facts.node));
        }
    };
    let entries = match &facts.entries {
        Known::Known(entries) => entries,
        Known::Unknown(why) => {
            return Ruling::Refused(format!("the ledger cannot be read: {why}"));
        }
    };
    if let Some(entry) = entries.iter().find(|entry| entry.system_id != system_id) {
        return Ruling::Refused(format!(
            "the ledger entry of {} is about database system {}, the data of {} is {system_id}: it \
             is not a copy of this cluster's database",
            entry.primary, entry.system_id, facts.node
        ));
    }
    let (history, adopted) = contained(entries, facts.followed, timeline);
    Ruling::Possible(Proposal {
        term: entries.iter().map(|entry| entry.term).max().unwrap_or(0) + 1,
        system_id,
        timeline,
        history,
        adopted,
        losses: losses(facts, entries),
        remarks: remarks(facts),
    })
}

/// The entry that the proposal leads to.
#[must_use]
pub fn entry(proposal: &Proposal, me: &NodeName, id: PromotionId, mode: Mode) -> Entry {
    Entry {
        system_id: proposal.system_id,
        term: proposal.term,
        seq: 0,
        id,
        primary: me.clone(),
        timeline: proposal.timeline,
        mode,
        heirs: BTreeSet::new(),
        history: proposal.history.clone(),
        adopted: proposal.adopted.clone(),
    }
}

/// All entries of several stores, each once. An intent stands for the promotion that it leads to, for it may have
/// been carried out.
#[must_use]
pub fn all_entries<'a>(stores: impl IntoIterator<Item = &'a Store>) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for (_, slot) in stores.into_iter().flat_map(Store::slots) {
        for entry in
            slot.done.iter().cloned().chain(slot.intent.as_ref().map(Entry::as_carried_out))
        {
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
    }
    all
}

fn refusal(facts: &Facts) -> Option<String> {
    let node = &facts.node;
    if node.is_nearly(&facts.me) {
        return Some(format!("the name of this node is {}, not {node}", facts.me));
    }
    if *node != facts.me {
        if let Some(similar) = facts.others.keys().find(|other| other.is_nearly(node)) {
            return Some(format!("there is no member {node}: {similar} may be meant"));
        }
        if !facts.others.contains_key(node) {
            return Some(format!("{node} is no member of this cluster (node_list)"));
        }
        return Some(format!(
            "it has to run on {node} itself: pgtwin force-promote {node} --accept-data-loss"
        ));
    }
    if !facts.member {
        return Some(format!("{node} is no member of this cluster (node_list)"));
    }
    if let Some(primary) = facts.promoted.first() {
        return Some(format!(
            "{primary} is promoted for Pacemaker: move the primary (crm_resource --move), or stop \
             it there first"
        ));
    }
    for (other, seen) in &facts.others {
        if let Server::Primary(..) = seen.server {
            return Some(format!(
                "{other} accepts writes at this moment: two primaries must not be"
            ));
        }
        if let (false, Absence::Present(why)) = (seen.online, &seen.absence) {
            return Some(format!(
                "{other} may still accept writes: {why}. Fence it, or switch it off and confirm \
                 that: stonith_admin --confirm {other}"
            ));
        }
    }
    match &facts.quorum {
        Known::Known(true) => {}
        Known::Known(false) => {
            return Some("this partition has no quorum, so Pacemaker promotes nobody".to_owned());
        }
        Known::Unknown(why) => {
            return Some(format!("Pacemaker promotes nobody at the moment: {why}"));
        }
    }
    match &facts.here {
        Here::Standby | Here::WaitsForUpstream => {}
        Here::Primary => return Some(format!("{node} accepts writes already")),
        Here::Other(why) => {
            return Some(format!(
                "PostgreSQL has to run as a standby on {node} first (start the resource): {why}"
            ));
        }
    }
    facts.pending.then(|| {
        format!("a promotion of {node} has begun and has not come to its end: wait for it")
    })
}

/// The promotions that a node's data contains which is noted as a follower of `followed` and ends on
/// `timeline`; and what was given up for it, if it was adopted: what leads to an adoption is in no history,
/// so whatever is found in one is of that data.
fn contained(
    entries: &[Entry],
    followed: Option<PromotionId>,
    timeline: Timeline,
) -> (Vec<Past>, Option<Vec<u64>>) {
    let Some(id) = followed else { return (Vec::new(), None) };
    let from = |entry: &Entry| {
        let line = entry.history_with_self();
        let at = line.iter().position(|past| past.id == id)?;
        let history = line.into_iter().skip(at).filter(|past| past.timeline <= timeline);
        Some((history.collect(), entry.adopted.clone()))
    };
    let known = entries
        .iter()
        .find(|entry| entry.id == id)
        .and_then(from)
        .or_else(|| entries.iter().find_map(from));
    known.unwrap_or_else(|| (vec![Past { id, timeline }], None))
}

fn losses(facts: &Facts, entries: &[Entry]) -> Vec<String> {
    let high = entries.iter().map(|entry| entry.term).max();
    let binding: Vec<&Entry> = entries.iter().filter(|entry| Some(entry.term) == high).collect();
    if binding.is_empty() {
        return vec![format!(
            "there is no ledger: nobody knows which node has the newest data. What another node \
             has and {} has not is lost",
            facts.node
        )];
    }
    let mut told: BTreeSet<NodeName> = BTreeSet::new();
    let mut losses = Vec::new();
    for entry in binding {
        if entry.primary != facts.node && told.insert(entry.primary.clone()) {
            let alone = if entry.heirs.is_empty() {
                "; it went on alone, so its last commits are nowhere else"
            } else {
                ""
            };
            losses.push(format!(
                "{} was the primary of term {}{alone}. {}",
                entry.primary,
                entry.term,
                of_node(facts, &entry.primary)
            ));
        }
        for heir in &entry.heirs {
            if *heir != facts.node && told.insert(heir.clone()) {
                losses.push(format!(
                    "{heir} may have confirmed commits that {} has not. {}",
                    facts.node,
                    of_node(facts, heir)
                ));
            }
        }
        if entry.mode == Mode::Async && entry.primary != facts.node {
            losses.push(format!(
                "replication was asynchronous: the last commits of {} may be nowhere else",
                entry.primary
            ));
        }
    }
    if losses.is_empty() {
        losses.push(format!("what {} itself cannot recover from its own disk", facts.node));
    }
    losses
}

/// What one member's absence or position means for the data.
fn of_node(facts: &Facts, other: &NodeName) -> String {
    let Some(seen) = facts.others.get(other) else {
        return format!("{other} is no member any more: what only it has is lost");
    };
    let Some((timeline, lsn)) = seen.server.position() else {
        return format!("{other} has not been seen ({}): what only it has is lost", seen.server);
    };
    let Known::Known(mine) = &facts.position else {
        return format!("{other} is at timeline {timeline}, {lsn}: what only it has is lost");
    };
    compared(&facts.node, (mine.timeline(), mine.lsn), other, (timeline, lsn))
}

fn compared(
    node: &NodeName,
    mine: (Timeline, Lsn),
    other: &NodeName,
    theirs: (Timeline, Lsn),
) -> String {
    if mine.0 != theirs.0 {
        return format!(
            "{other} is on timeline {} at {}, {node} on timeline {} at {}: what only {other} has is \
             lost",
            theirs.0, theirs.1, mine.0, mine.1
        );
    }
    match theirs.1.bytes_since(mine.1) {
        0 => format!("As far as {other} says, {node} has all that {other} has"),
        more => format!(
            "IT HAS {} MORE ({} against {}): promote {other} rather than {node}",
            bytes(more),
            theirs.1,
            mine.1
        ),
    }
}

fn remarks(facts: &Facts) -> Vec<String> {
    let node = &facts.node;
    let mut remarks = Vec::new();
    if let Known::Known(position) = &facts.position {
        remarks.push(format!("{node} is on {}", position.short()));
    }
    if let election::Ruling::Refused(obstacles) = &facts.ruling {
        remarks.push(format!("the election refuses {node}: {}", words(obstacles)));
    }
    match &facts.position {
        Known::Known(position) if position.exactness == Exactness::AtLeast => {
            remarks.push(format!("{node} still replays WAL that it has: it may have more"));
        }
        Known::Known(_) => {}
        Known::Unknown(why) => remarks.push(format!("how far {node} is cannot be asked: {why}")),
    }
    for (other, seen) in &facts.others {
        if let (false, Absence::Assumed(why)) = (seen.online, &seen.absence) {
            remarks.push(format!(
                "nothing proves that {other} is down: {why}. Make sure that it is switched off, or \
                 two nodes accept writes"
            ));
        }
    }
    let lost: BTreeSet<NodeName> = facts
        .others
        .iter()
        .filter(|(_, other)| !other.online)
        .map(|(name, _)| name.clone())
        .collect();
    if !lost.is_empty() {
        let names = super::report::enumerate(&lost, "and");
        remarks.push(format!(
            "do not start {names} while it cannot reach {node}: its own ledger may let it accept \
             writes again. Where it has what {node} lacks, its data has to be rebuilt"
        ));
    }
    remarks.push(if facts.strict && facts.mode == Mode::Sync {
        format!("commits on {node} wait until a standby streams from it (sync_strict=true)")
    } else {
        format!("{node} takes commits on its own until a standby streams from it")
    });
    if facts.maintenance {
        remarks.push("Pacemaker promotes nobody until maintenance is over".to_owned());
    }
    remarks
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
