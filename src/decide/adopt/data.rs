//! Whether the data can be adopted as it is. Floor 1.

use super::{Facts, Here, RESTORE_COMMAND};
use crate::cluster::known::Known;
use crate::decide::facts::DataDir;
use crate::decide::recovery::Marked;
use crate::postgres::control_data::{ClusterState, ControlData};

/// The data is whole, and PostgreSQL will start on it.
pub(super) fn whole(facts: &Facts) -> Result<&ControlData, String> {
    let Here { data, not_mounted, majors, to_recover, at_work, marked, .. } = &facts.here;
    if let Some(why) = not_mounted {
        return Err(why.clone());
    }
    match at_work {
        Known::Known(false) => {}
        Known::Known(true) => {
            return Err("a recovery of this node's data is at work: see pgtwin status".to_owned());
        }
        Known::Unknown(why) => {
            return Err(format!("whether a recovery is at work here is not known: {why}"));
        }
    }
    match marked {
        Marked::Nothing | Marked::Whole => {}
        Marked::HalfDone { .. } => {
            return Err(
                "a recovery of this node's data ended half way: it is between old and new. \
                        Where you have put whole data in its place since, remove the marker as \
                        docs/recovery-by-hand.md says"
                    .to_owned(),
            );
        }
        Marked::Unreadable(why) => {
            return Err(format!("the marker of a recovery is unreadable: {why}"));
        }
    }
    let control = match data {
        DataDir::Cluster(control) => control,
        DataDir::Absent | DataDir::Empty => return Err("there is no data here".to_owned()),
        DataDir::Unusable(why) => return Err(why.clone()),
        DataDir::Unknown(why) => return Err(format!("pgdata could not be read: {why}")),
    };
    match majors {
        Known::Known((data, programs)) if data == programs => {}
        Known::Known((data, programs)) => {
            return Err(format!(
                "the data is of version {data}, and the programs are {programs}: upgrade it first, or set \
                 pgdata or pg_bindir"
            ));
        }
        Known::Unknown(why) => return Err(format!("the version of the data is not known: {why}")),
    }
    let by_hand =
        "start PostgreSQL on it by hand once, look whether it is the data you want, and stop it";
    match to_recover {
        Known::Known(None) => {}
        Known::Known(Some(file)) => {
            return Err(format!(
                "this is a backup that has not been recovered ({file} is there): {by_hand}"
            ));
        }
        Known::Unknown(why) => {
            return Err(format!("whether this is a backup to be recovered is not known: {why}"));
        }
    }
    if control.backup_end_required || control.backup_start.is_valid() {
        return Err(format!("this is a backup whose recovery has not come to its end: {by_hand}"));
    }
    match &control.state {
        ClusterState::ShutDown
        | ClusterState::ShutDownInRecovery
        | ClusterState::ShuttingDown
        | ClusterState::InCrashRecovery
        | ClusterState::InArchiveRecovery
        | ClusterState::InProduction => Ok(control),
        state @ (ClusterState::StartingUp | ClusterState::Other(_)) => {
            Err(format!("the control file says {state}, which does not tell what it is: {by_hand}"))
        }
    }
}

/// Nothing but its own WAL is replayed when it is started, and all of that.
pub(super) fn leads_nowhere_else(facts: &Facts, control: &ControlData) -> Result<(), String> {
    let set = match &facts.here.lead_on {
        Known::Known(set) => set,
        Known::Unknown(why) => {
            return Err(format!("whether a restore_command is set here is not known: {why}"));
        }
    };
    if let Some(target) = set.iter().find(|one| **one != RESTORE_COMMAND) {
        return Err(format!(
            "{target} is set here, of a recovery that is over: PostgreSQL is started as a standby, and would \
             stop there again. Take it out of its configuration"
        ));
    }
    if set.contains(&RESTORE_COMMAND) && !facts.keep_restore_command {
        let timeline = control.timeline.max(control.min_recovery_timeline);
        return Err(format!(
            "restore_command is set here: PostgreSQL is started as a standby, and would replay what the archive \
             has of timeline {timeline} beyond this data, and follow any newer timeline there. Take it out of \
             its configuration until {} is the primary; or, where you know that the archive has neither, add \
             --keep-restore-command",
            facts.node
        ));
    }
    Ok(())
}
