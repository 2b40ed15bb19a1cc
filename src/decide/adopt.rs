//! `pgtwin adopt`: an operator declares the data of one node to be the truth, and all other data is given
//! up for it. Whether that can be done now, and what it costs. Floor 1.
//!
//! After pg_upgrade, or when a backup was put back, what the ledger says is about other data. The word
//! becomes an entry of it, as that of `force-promote` does: a later term, a new identity, this node as
//! the primary, E = {}, done. Three things are different. Its term is far beyond all that are known
//! ([`LEAP`]). It has no history: no promotion before leads to this data, so whatever another node has is of
//! another branch, by its promotion and not by its position, and is replaced by a full copy; never rewound,
//! for timelines of the old history may have the numbers of the new one. And it names the database systems that the ledger knew before: data of those,
//! and of no other, may be overwritten although it is another database.
//!
//! Nothing may run anywhere meanwhile, and Pacemaker must not start anything: who was promoted by the old
//! entries in between would take commits that nobody counts on. So what is not known is a refusal.
//!
//! The order of the writes: the own file says that an adoption was begun, and permits nothing from then
//! on, for this data is not what the old entries speak of; the entry comes into the CIB, and from then on
//! nobody else is permitted either; the own file gets it. Cut off before the CIB has it, the old entries
//! are in force without this node; after that, nobody is promoted; the command run again goes on.

mod data;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::absence::Absence;
use crate::cluster::cib::Setting;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, GIVEN_UP, Mode, Own, PromotionId};
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Process};
use crate::decide::force::Other;
use crate::decide::recovery::Marked;
use crate::decide::report::Server;
use crate::decide::view::View;
use crate::postgres::lsn::Timeline;

/// What an adoption adds to the highest term that is known. A member that is away, or only stopped, may have been
/// promoted unseen, by terms that nobody here knows: of one term there must not be two.
pub const LEAP: u64 = 1_000;
/// A standby that has it replays what an archive holds.
pub const RESTORE_COMMAND: &str = "restore_command";
/// Settings by which a server that is started as a standby goes on beyond the data that was looked at, or ends
/// before its end.
pub const LEAD_ON: [&str; 6] = [
    RESTORE_COMMAND,
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
];

/// What keeps Pacemaker from starting PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// `target-role=Stopped`.
    Stopped,
    /// Maintenance: Pacemaker starts and stops nothing.
    Unmanaged,
    /// Nothing does.
    No,
}

/// The instance and the data of this node.
#[derive(Clone, Debug)]
pub struct Here {
    /// Its processes.
    pub process: Process,
    /// What stands at PGDATA.
    pub data: DataDir,
    /// Why PGDATA is not what it should be, if its file system is not mounted.
    pub not_mounted: Option<String>,
    /// The major versions of the data and of the programs.
    pub majors: Known<(u32, u32)>,
    /// The file that says that a backup has to be recovered first, if there is one.
    pub to_recover: Known<Option<&'static str>>,
    /// Which of [`LEAD_ON`] are set.
    pub lead_on: Known<Vec<&'static str>>,
    /// A recovery is at work.
    pub at_work: Known<bool>,
    /// What recoveries have left written.
    pub marked: Marked,
}

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is started and stopped by hand: the clone, if there is one.
    pub resource: String,
    /// The node whose data is to be adopted.
    pub node: NodeName,
    /// The node on which the command runs.
    pub me: NodeName,
    /// It is a member.
    pub member: bool,
    /// This partition has quorum, or no-quorum-policy=ignore with two nodes.
    pub quorum: Known<bool>,
    /// What keeps Pacemaker from starting PostgreSQL.
    pub held: Held,
    /// Where Pacemaker has an instance, in whatever role.
    pub runs_on: BTreeSet<NodeName>,
    /// All other members.
    pub others: BTreeMap<NodeName, Other>,
    /// This node.
    pub here: Here,
    /// All entries that the CIB and the own file hold.
    pub entries: Known<Vec<Entry>>,
    /// Sync or async.
    pub mode: Mode,
    /// `sync_strict`.
    pub strict: bool,
    /// Old data is kept as a copy.
    pub keep_old: bool,
    /// The operator says that the archive leads nowhere else.
    pub keep_restore_command: bool,
}

/// What would be written and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The term of the entry.
    pub term: u64,
    /// The database system.
    pub system_id: u64,
    /// The timeline of the data.
    pub timeline: Timeline,
    /// The other database systems that are given up, the last one first.
    pub given_up: Vec<u64>,
    /// What is lost, one line each; never empty.
    pub losses: Vec<String>,
    /// What else the operator should know.
    pub remarks: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Not here, or not now; why, and what to do.
    Refused(String),
    /// It can be done.
    Possible(Proposal),
}

/// What people start and stop: the clone, if there is one.
pub fn clone_of(view: &View) -> String {
    let clone = view.cib.primitive(&view.resource).and_then(|primitive| primitive.clone.as_ref());
    clone.map_or_else(|| view.resource.clone(), |clone| clone.id.clone())
}

/// What keeps Pacemaker from starting it. What is said twice has to be said alike.
#[must_use]
pub fn held(view: &View) -> Held {
    let mut instances = view.status.instances_of(&view.resource).peekable();
    let unmanaged = instances.peek().is_some() && instances.all(|instance| !instance.managed);
    if view.status.options.maintenance_mode || unmanaged {
        return Held::Unmanaged;
    }
    let Some(primitive) = view.cib.primitive(&view.resource) else { return Held::No };
    let clone = primitive.clone.as_ref().and_then(|clone| clone.meta.get("target-role"));
    let roles: Vec<&Setting> =
        [primitive.meta.get("target-role"), clone].into_iter().flatten().collect();
    let stopped = |setting: &&Setting| match setting {
        Setting::Set(role) => role.eq_ignore_ascii_case("stopped"),
        Setting::Conditional => false,
    };
    if !roles.is_empty() && roles.iter().all(stopped) { Held::Stopped } else { Held::No }
}

/// May the data of this node be adopted, and what is lost?
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    match possible(facts) {
        Ok(proposal) => Ruling::Possible(proposal),
        Err(why) => Ruling::Refused(why),
    }
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
        history: Vec::new(),
        adopted: Some(proposal.given_up.clone()),
    }
}

/// The own file before the CIB has the entry: it permits nothing any more.
#[must_use]
pub fn begun(own: &Own, entry: &Entry) -> Own {
    Own { adopting: Some(entry.id), followed: Some(entry.id), pointed: None, ..own.clone() }
}

/// The own file once the CIB has the entry.
#[must_use]
pub fn ended(own: &Own, entry: &Entry) -> Own {
    let mut own = Own { adopting: None, followed: Some(entry.id), pointed: None, ..own.clone() };
    own.store.set_done(entry.clone());
    own
}

fn possible(facts: &Facts) -> Result<Proposal, String> {
    names(facts)?;
    everything_is_down(facts)?;
    let control = data::whole(facts)?;
    data::leads_nowhere_else(facts, control)?;
    let entries = match &facts.entries {
        Known::Known(entries) => entries,
        Known::Unknown(why) => return Err(format!("the ledger cannot be read: {why}")),
    };
    let term = entries.iter().map(|entry| entry.term).max().unwrap_or(0) + LEAP;
    let system_id = control.system_id;
    let timeline = control.timeline.max(control.min_recovery_timeline);
    let given_up = given_up(entries, system_id);
    let losses = words::losses(facts, entries, control);
    let remarks = words::remarks(facts, control);
    Ok(Proposal { term, system_id, timeline, given_up, losses, remarks })
}

fn names(facts: &Facts) -> Result<(), String> {
    let Facts { node, me, .. } = facts;
    if node.is_nearly(me) {
        return Err(format!("the name of this node is {me}, not {node}"));
    }
    if node == me {
        let member = if facts.member { Ok(()) } else { Err(()) };
        return member.map_err(|()| format!("{node} is no member of this cluster (node_list)"));
    }
    if let Some(similar) = facts.others.keys().find(|other| other.is_nearly(node)) {
        return Err(format!("there is no member {node}: {similar} may be meant"));
    }
    if !facts.others.contains_key(node) {
        return Err(format!("{node} is no member of this cluster (node_list)"));
    }
    Err(format!(
        "it is about the data of the node that it runs on: run it on {node} (this is {me})"
    ))
}

/// Nobody runs, and nobody is going to.
fn everything_is_down(facts: &Facts) -> Result<(), String> {
    let resource = &facts.resource;
    match &facts.quorum {
        Known::Known(true) => {}
        Known::Known(false) => {
            return Err("this partition has no quorum: the others may go on without it".to_owned());
        }
        Known::Unknown(why) => return Err(format!("whether there is quorum is not known: {why}")),
    }
    for (other, seen) in &facts.others {
        match &seen.server {
            Server::Primary(..) => return Err(format!("{other} accepts writes at this moment")),
            Server::Standby(..) => {
                return Err(format!("PostgreSQL runs on {other}: {}", stop(resource)));
            }
            Server::Silent(why) => {
                return Err(format!("whether PostgreSQL runs on {other} is not known: {why}"));
            }
            Server::Absent(_) => {}
        }
        if let (false, Absence::Present(why)) = (seen.online, &seen.absence) {
            return Err(format!(
                "PostgreSQL may run on {other}: {why}. Fence it, or switch it off and confirm that: \
                 stonith_admin --confirm {other}"
            ));
        }
    }
    if let Some(node) = facts.runs_on.first() {
        return Err(format!(
            "Pacemaker has {resource} running on {node}: {}; where it is stopped already: crm_resource \
             --refresh --resource {resource}",
            stop(resource)
        ));
    }
    if facts.held == Held::No {
        return Err(format!(
            "Pacemaker may start {resource} at any moment, on data that is given up: {}",
            stop(resource)
        ));
    }
    match &facts.here.process {
        Process::None => Ok(()),
        Process::Unknown(why) => Err(format!("whether PostgreSQL runs here is not known: {why}")),
        process @ (Process::Running { .. } | Process::Orphans(_)) => {
            Err(format!("PostgreSQL has to be stopped here, and {process}: {}", stop(resource)))
        }
    }
}

fn stop(resource: &str) -> String {
    format!("stop it everywhere (crm resource stop {resource}, or pcs resource disable {resource})")
}

/// What the ledger knew before, the last one first.
fn given_up(entries: &[Entry], system_id: u64) -> Vec<u64> {
    let mut by_age: Vec<&Entry> = entries.iter().collect();
    by_age.sort_by_key(|entry| std::cmp::Reverse(entry.key()));
    let named = by_age.iter().map(|entry| entry.system_id);
    let before = by_age.iter().flat_map(|entry| entry.adopted.iter().flatten().copied());
    let mut all = Vec::new();
    for system in named.chain(before) {
        if system != system_id && !all.contains(&system) {
            all.push(system);
        }
    }
    all.truncate(GIVEN_UP);
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
