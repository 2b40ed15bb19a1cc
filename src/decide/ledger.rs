//! What a node makes of its own ledger file: how an intent of its own stands, which entries it takes in,
//! and which entry is its own as a running primary. Floor 1.

use std::collections::BTreeSet;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Beyond, Entry, Mode, Own, PromotionId, Slot, Store};
use crate::cluster::node::NodeName;
use crate::cluster::recovery::Kept;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::promote::Intent;
use crate::postgres::control_data::WasWritable;
use crate::postgres::lsn::Timeline;

/// How an intent of this node stands, as far as one look at the instance tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// So.
    Is(Intent),
    /// A standby runs: only PostgreSQL knows whether it has been told to promote ([`of_standby`]).
    AskIfTold,
}

/// How an intent of this node stands, by what its data and its server show.
#[must_use]
pub fn stands(own: &Own, me: &NodeName, instance: &Instance) -> Stands {
    if own.store.intent(me).is_none() {
        return Stands::Is(Intent::None);
    }
    match (&instance.process, &instance.sql) {
        (_, Sql::Primary(_)) => Stands::Is(Intent::CarriedOut),
        (Process::Running { .. }, Sql::Standby(_)) => Stands::AskIfTold,
        (
            Process::None,
            Sql::NotAsked
            | Sql::Standby(_)
            | Sql::Starting(_)
            | Sql::ShuttingDown
            | Sql::Busy(_)
            | Sql::Alive(_)
            | Sql::Hung
            | Sql::Refused(_)
            | Sql::Unknown(_),
        ) => Stands::Is(of_data(&instance.data)),
        (Process::Orphans(_) | Process::Unknown(_), Sql::Standby(_))
        | (
            Process::Running { .. } | Process::Orphans(_) | Process::Unknown(_),
            Sql::NotAsked
            | Sql::Starting(_)
            | Sql::ShuttingDown
            | Sql::Busy(_)
            | Sql::Alive(_)
            | Sql::Hung
            | Sql::Refused(_)
            | Sql::Unknown(_),
        ) => Stands::Is(Intent::Pending),
    }
}

/// The intent of a node whose server does not run: it was carried out if the server was writable.
fn of_data(data: &DataDir) -> Intent {
    match data {
        DataDir::Cluster(control) => match control.state.was_writable() {
            WasWritable::Yes => Intent::CarriedOut,
            WasWritable::No => Intent::Void,
            WasWritable::Unknown => Intent::Pending,
        },
        DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => {
            Intent::Pending
        }
    }
}

/// The intent of a running standby. `told`: PostgreSQL has been told to promote.
#[must_use]
pub fn of_standby(told: &Known<bool>) -> Intent {
    match told {
        Known::Known(false) => Intent::Void,
        Known::Known(true) | Known::Unknown(_) => Intent::Pending,
    }
}

/// The file without the intent that stands so; none: it stays as it is. `beyond`: what the WAL
/// holds beyond the timeline from which its promotion began; it is asked for where the control file says that this was
/// not carried out.
#[must_use]
pub fn resolved(
    own: &Own,
    me: &NodeName,
    intent: &Intent,
    instance: &Instance,
    beyond: impl FnOnce(Timeline) -> Known<Beyond>,
) -> Option<Own> {
    let mut own = own.clone();
    match intent {
        Intent::None | Intent::Pending => return None,
        Intent::CarriedOut => own.carried_out(me, timeline_written(instance)),
        Intent::Void => {
            let from = own.store.intent(me).map(|intent| intent.timeline);
            own.came_to_nothing(&from.map_or_else(|| Known::unknown("no intent"), beyond));
        }
    }
    Some(own)
}

/// What came of the intent that the file had `before`, for people.
#[must_use]
pub fn came_of(before: &Own, after: &Own) -> String {
    let me = &before.node;
    let Some(intent) = before.store.intent(me) else {
        return "no promotion was pending".to_owned();
    };
    let term = intent.term;
    if after.store.done(me).is_some_and(|done| done.id == intent.id) {
        return format!("an earlier promotion of this node (term {term}) was carried out");
    }
    let begun = after.never_written.map_or_else(String::new, |found| {
        format!(": nobody has written to timeline {}, which counts for nothing", found.last)
    });
    format!("an earlier promotion of this node (term {term}) came to nothing{begun}")
}

/// The timeline that a server which accepts writes is on.
#[must_use]
pub fn timeline_written(instance: &Instance) -> Option<Timeline> {
    match &instance.sql {
        Sql::Primary(primary) => Some(primary.timeline),
        Sql::NotAsked
        | Sql::Standby(_)
        | Sql::Starting(_)
        | Sql::ShuttingDown
        | Sql::Busy(_)
        | Sql::Alive(_)
        | Sql::Hung
        | Sql::Refused(_)
        | Sql::Unknown(_) => None,
    }
}

/// The own file with the newer entries of others that the CIB has. None: there is no file, and none is
/// made. One that is missing is made anew only where that is wanted (`create`: by a node that follows the
/// live primary, or is it), and never of a CIB that has no ledger.
#[must_use]
pub fn taken_in(
    file: &Kept<Own>,
    cib: &Store,
    resource: &str,
    me: &NodeName,
    create: bool,
) -> Option<Own> {
    let mut own = match file {
        Kept::Read(own) => own.clone(),
        Kept::Missing | Kept::Unreadable(_) if create && !cib.is_empty() => Own::new(resource, me),
        Kept::Missing | Kept::Unreadable(_) => return None,
    };
    own.store = own.store.merged(cib, Some(me));
    Some(own)
}

/// What the CIB lacks of the own file.
#[must_use]
pub fn lacking(cib: &Store, own: &Store) -> Vec<(NodeName, Slot)> {
    let wanted = cib.merged(own, None);
    let lacking = wanted.slots().filter(|(node, slot)| cib.slot(node) != Some(slot));
    lacking.map(|(node, slot)| (node.clone(), slot.clone())).collect()
}

/// The ledger of a running primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsPrimary {
    /// Its file has an entry of its own.
    Has(Own),
    /// Its file is lost, and this is what the CIB says: which may be older than what the file said, or a
    /// beginning that was never proven (E = {}). So it is not written; the care for the standbys makes
    /// sure first.
    Lost(Own),
    /// There is no ledger anywhere: it begins one with this, and [`first_entry`].
    Begins(Own),
    /// The ledger names another primary.
    NamesAnother(Entry),
}

/// The ledger of a running primary: of its file, or, if that is lost, of the CIB, or the first one ever.
#[must_use]
pub fn as_primary(
    file: &Kept<Own>,
    cib: &Store,
    resource: &str,
    me: &NodeName,
    timeline: Timeline,
) -> AsPrimary {
    let mut own = match file {
        Kept::Read(own) if own.store.done(me).is_some() => return AsPrimary::Has(own.clone()),
        Kept::Read(own) => own.clone(),
        Kept::Missing | Kept::Unreadable(_) => Own::new(resource, me),
    };
    own.store = own.store.merged(cib, None);
    if let Some(entry) = own.store.newest_done()
        && entry.primary != *me
    {
        return AsPrimary::NamesAnother(entry.clone());
    }
    own.carried_out(me, Some(timeline));
    let Some(id) = own.store.done(me).map(|entry| entry.id) else { return AsPrimary::Begins(own) };
    // Without it the next promotion would have no history, and every standby be of another branch.
    (own.followed, own.pointed) = (Some(id), None);
    AsPrimary::Lost(own)
}

/// The first entry of a cluster, in the file of its primary: nobody may replace it yet.
#[must_use]
pub fn first_entry(
    mut own: Own,
    me: &NodeName,
    id: PromotionId,
    system_id: u64,
    timeline: Timeline,
    mode: Mode,
) -> Own {
    (own.followed, own.pointed) = (Some(id), None);
    own.store.set_done(Entry {
        system_id,
        term: own.store.max_term().max(1),
        seq: 0,
        id,
        primary: me.clone(),
        timeline,
        mode,
        heirs: BTreeSet::new(),
        history: Vec::new(),
        adopted: None,
    });
    own
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
