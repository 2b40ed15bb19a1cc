//! `pgtwin rebuild`: whether a full copy may take the place of a node's data although it can follow, and
//! how that goes. Floor 1.
//!
//! The copy is a recovery's: the same worker makes it, with the same check before and the same marker.
//! What is asked here is only whether an operator may want it, and what it costs meanwhile.

pub mod asked;
pub mod json;
#[cfg(test)]
mod tests;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{Kept, Method, Outcome, Summary};
use crate::cluster::topology::{Instance, NodeState, Role};
use crate::decide::recovery::Way;
use crate::decide::report::{self, Recovery, Server, enumerate};

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// The cluster.
    pub seen: &'f report::Facts,
    /// Whose data is to be built anew.
    pub node: &'f NodeName,
    /// Commits wait rather than being on the primary alone.
    pub strict: bool,
    /// The old data is kept as a copy.
    pub keep_old: bool,
    /// What the check of a recovery says; none: it was not made yet.
    pub way: Option<&'f Way>,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose data.
    pub node: NodeName,
    /// From whom.
    pub source: NodeName,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It cannot be done; why.
    Refused(String),
    /// Nothing stands against it so far: make the check, and ask again.
    MakeTheCheck,
    /// It can.
    Possible(Plan),
}

/// The reason on record of a copy that somebody has asked for.
pub fn reason(by: &str) -> String {
    format!("a full copy was asked for ({by})")
}

/// May it be done?
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Ruling {
    let Facts { seen, node, .. } = *facts;
    let refused = |why: String| Ruling::Refused(why);
    if !seen.members.contains(node) {
        let members = enumerate(&seen.members, "and");
        return refused(format!("{node} is no member of {}: {members}", seen.resource));
    }
    if is_primary(seen, node) {
        return refused(format!(
            "{node} is the primary, and its data is what the others are copied from: pgtwin \
             switchover makes another node the primary first"
        ));
    }
    let source = match seen.writable().as_slice() {
        [one] => (*one).clone(),
        [] => return refused("there is no primary to copy: pgtwin explain says why".to_owned()),
        [_, _, ..] => return refused("there are several primaries: nothing is copied".to_owned()),
    };
    let elsewhere = *node != seen.me;
    let at_work = if elsewhere {
        &Known::Known(seen.view().is_rebuilding(node))
    } else {
        &seen.recovery.at_work
    };
    match at_work {
        Known::Known(false) => {}
        Known::Known(true) => {
            return refused(format!(
                "{node}'s data is being brought back already: pgtwin status says how far it is"
            ));
        }
        Known::Unknown(why) => {
            return refused(format!(
                "whether {node}'s data is being brought back is not known: {why}"
            ));
        }
    }
    match seen.role(node) {
        Some(Role::Unpromoted) => {}
        // Pacemaker would not look after it, and a worker ends with a server that runs.
        Some(_) | None => {
            return refused(format!(
                "Pacemaker does not run {} on {node} as a standby: have it started first (crm_mon -1rf \
                 says why it does not run); data that cannot follow is brought back by that",
                seen.resource
            ));
        }
    }
    let is_last = |entry: &&crate::cluster::ledger::Entry| {
        entry.heirs.len() == 1 && entry.heirs.contains(node)
    };
    if facts.strict && seen.binding().iter().any(is_last) {
        return refused(format!(
            "{node} is the only one who confirms commits, and with sync_strict=true {source} does not go on \
             without it: nothing is copied over the only second copy"
        ));
    }
    if elsewhere {
        return match nobody_listens(seen, node) {
            Some(why) => refused(format!("{why}: run pgtwin rebuild {node} on {node}")),
            None => Ruling::Possible(Plan { node: node.clone(), source, remarks: remarks(facts) }),
        };
    }
    match facts.way {
        None => Ruling::MakeTheCheck,
        Some(Way::Recover(Method::Rebuild, _)) => {
            Ruling::Possible(Plan { node: node.clone(), source, remarks: remarks(facts) })
        }
        Some(Way::Wait(why) | Way::Refuse(why)) => refused(why.clone()),
        Some(Way::Recover(Method::Rewind, _) | Way::Follow | Way::MakeTheCheck) => refused(
            "the way to a full copy is not known (a mistake in pgtwin: please report it)"
                .to_owned(),
        ),
    }
}

fn is_primary(seen: &report::Facts, node: &NodeName) -> bool {
    let named = |entry: &&crate::cluster::ledger::Entry| entry.primary == *node;
    matches!(seen.servers.get(node), Some(Server::Primary(..)))
        || seen.status.promoted_on(&seen.resource).any(|promoted| promoted == node)
        // Who is named and has been replaced may be copied: somebody else writes by now.
        || (seen.writable().is_empty() && seen.binding().iter().any(named))
}

/// Why another node's monitor would not find an order.
fn nobody_listens(seen: &report::Facts, node: &NodeName) -> Option<String> {
    let of_node = seen.status.node(node);
    if seen.status.node_state(node) != NodeState::OnlineMember {
        return Some(format!("{node} is not online"));
    }
    let in_maintenance =
        |instance: &Instance| instance.maintenance == Some(true) && instance.nodes.contains(node);
    let maintenance = seen.status.options.maintenance_mode
        || of_node.is_some_and(|one| one.maintenance)
        || seen.status.instances_of(&seen.resource).any(in_maintenance);
    maintenance.then(|| format!("no monitor runs on {node} in maintenance mode"))
}

fn remarks(facts: &Facts<'_>) -> Vec<String> {
    let Facts { seen, node, .. } = *facts;
    let mut remarks = Vec::new();
    if *node != seen.me {
        remarks.push(format!(
            "{node} makes the check of a recovery itself before it begins, and may refuse"
        ));
    }
    let heirs = seen.binding().into_iter().find(|entry| entry.heirs.contains(node));
    if let Some(entry) = heirs {
        let others = entry.heirs.iter().filter(|heir| *heir != node).count();
        if others > 0 {
            remarks.push(format!("until it streams again, {node} cannot take over"));
        } else {
            remarks.push(format!(
                "{node} is the only one who may take over: until it streams again, commits are on {} alone",
                entry.primary
            ));
        }
    }
    let old = if facts.keep_old {
        "the old data is kept as a backup beside the new (backup_before_basebackup)"
    } else {
        "the old data is removed when the new streams (backup_before_basebackup=false)"
    };
    remarks.push(old.to_owned());
    let unmanaged = |instance: &Instance| !instance.managed && instance.nodes.contains(node);
    if seen.status.options.maintenance_mode
        || seen.status.instances_of(&seen.resource).any(unmanaged)
    {
        remarks.push(
            "Pacemaker leaves the resource alone at the moment: should the copy fail, nobody restarts \
             PostgreSQL before the end of that"
                .to_owned(),
        );
    }
    remarks
}

/// How it stands after it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It is at work; how far, where that is known.
    GoesOn(Option<String>),
    /// The new data streams.
    Done(Box<Summary>),
    /// The attempt failed. A monitor begins another one after a pause.
    Failed(String),
    /// It was ended from outside.
    Over(String),
}

/// How it stands. `reason` and `begun` are what is on record of this order; `idle`: nobody was seen at
/// work for longer than a worker takes to begin.
#[must_use]
pub fn course(recovery: &Recovery, reason: &str, begun: i64, idle: bool) -> Course {
    if let Kept::Read(last) = &recovery.last
        && last.begun >= begun
        && recovery.at_work != Known::Known(true)
    {
        match last.outcome {
            Outcome::Done if last.reason == reason => return Course::Done(Box::new(last.clone())),
            Outcome::Failed => return Course::Failed(last.failure.clone()),
            Outcome::Done | Outcome::Ended => {}
        }
    }
    match (&recovery.at_work, &recovery.marker) {
        (Known::Known(true) | Known::Unknown(_), _) => {
            Course::GoesOn(match &recovery.progress {
                Kept::Read(progress) => Some(progress.to_string()),
                Kept::Missing | Kept::Unreadable(_) => None,
            })
        }
        (Known::Known(false), _) if !idle => Course::GoesOn(None),
        (Known::Known(false), Kept::Missing) => Course::Over(
            "it was ended before the new data was whole: by a stop, or a start of the resource on this \
             node. The old data is in use again"
                .to_owned(),
        ),
        (Known::Known(false), Kept::Read(_) | Kept::Unreadable(_)) => Course::Over(
            "nobody is at work on it any more; the next monitor goes on".to_owned(),
        ),
    }
}
