//! What an adoption costs, and what to mind, in words. Floor 1.

use std::collections::BTreeSet;

use super::Facts;
use crate::cluster::absence::Absence;
use crate::cluster::ledger::{Entry, Mode};
use crate::cluster::node::NodeName;
use crate::decide::report::enumerate;
use crate::postgres::control_data::ControlData;

/// What is lost; never empty.
pub(super) fn losses(facts: &Facts, entries: &[Entry], control: &ControlData) -> Vec<String> {
    let node = &facts.node;
    let mut losses = Vec::new();
    if let Some(newest) = entries.iter().max_by_key(|entry| entry.key()) {
        let Entry { term, primary, heirs, system_id, .. } = newest;
        let who = if heirs.is_empty() {
            format!("{primary} has")
        } else {
            format!("{primary} and {} have", enumerate(heirs, "and"))
        };
        losses.push(format!(
            "every acknowledged commit that is not in the data of {node}: of term {term}, {who} them all"
        ));
        if *system_id != control.system_id {
            losses.push(format!(
                "the database system {system_id}: {} takes its place",
                control.system_id
            ));
        }
    } else {
        losses.push(format!(
            "there is no ledger: nobody knows which node has the newest data. What another node has and \
             {node} has not is lost"
        ));
    }
    let others: BTreeSet<NodeName> = facts.others.keys().cloned().collect();
    if !others.is_empty() {
        let old = if facts.keep_old {
            "; the old data is kept as a backup there (backup_before_basebackup)"
        } else {
            ", and removed (backup_before_basebackup=false)"
        };
        losses.push(format!(
            "the data of {}: it is replaced by a full copy{old}",
            enumerate(&others, "and")
        ));
    }
    losses
}

/// What else to mind.
pub(super) fn remarks(facts: &Facts, control: &ControlData) -> Vec<String> {
    let node = &facts.node;
    let mut remarks = vec![format!(
        "the data of {node}: database system {}, timeline {}, checkpoint at {}, {}",
        control.system_id, control.timeline, control.checkpoint, control.state
    )];
    if facts.keep_restore_command {
        remarks.push(
            "it is started as a standby first: a restore_command has it replay what the archive has of its \
             timeline beyond this data, and follow any newer timeline there"
                .to_owned(),
        );
    }
    for (other, seen) in &facts.others {
        if let (false, Absence::Assumed(why)) = (seen.online, &seen.absence) {
            remarks.push(format!(
                "nothing proves that {other} is down: {why}. Make sure that it is switched off"
            ));
        }
    }
    let away: BTreeSet<NodeName> = facts
        .others
        .iter()
        .filter(|(_, other)| !other.online)
        .map(|(name, _)| name.clone())
        .collect();
    if !away.is_empty() {
        remarks.push(format!(
            "do not start {} while it cannot reach {node}: its own ledger may let it accept writes",
            enumerate(&away, "and")
        ));
    }
    remarks.push(if facts.strict && facts.mode == Mode::Sync {
        format!("commits on {node} wait until a standby streams from it (sync_strict=true)")
    } else {
        format!("{node} takes commits on its own until a standby streams from it")
    });
    remarks
}
