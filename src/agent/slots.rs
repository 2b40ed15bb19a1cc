//! Replication slots: one for each other member, on the primary and on standbys, and none for who has
//! left. Floor 3.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::cluster::known::Known;
use crate::cluster::ledger::Store;
use crate::cluster::node::NodeName;
use crate::decide::slots::{Facts, former, plan};
use crate::postgres::lsn::Lsn;
use crate::postgres::slot_name::slot_name;

impl Agent<'_> {
    /// One physical slot for each other member, so that WAL waits for those who are away.
    pub fn ensure_slots(&mut self, members: &BTreeSet<NodeName>) {
        let wanted = self.slots_of_others(members);
        if let Err(why) = self.pg.ensure_slots(&wanted) {
            warn!("a replication slot could not be made: {why}");
        }
    }

    /// The names of the other members' slots.
    pub fn slots_of_others(&self, members: &BTreeSet<NodeName>) -> Vec<String> {
        members
            .iter()
            .filter(|node| **node != self.me)
            .map(|node| slot_name(&self.params.slot_name, node.as_str()))
            .collect()
    }

    /// Makes what is missing of these slots, and drops what has been nobody's for long.
    pub fn tend_slots(&mut self, view: &View, slots: &[String]) {
        let in_ledger = match (self.home.read(), view.ledger()) {
            (OwnFile::Read(own), Known::Known(cib)) => {
                let newest = [&own.store, &cib].into_iter().filter_map(Store::newest_done);
                let intents = own.store.slots().chain(cib.slots());
                let intents = intents.filter_map(|(_, slot)| slot.intent.as_ref());
                let named = newest.chain(intents);
                Known::Known(
                    named
                        .flat_map(|entry| entry.heirs.iter().chain([&entry.primary]))
                        .cloned()
                        .collect::<BTreeSet<NodeName>>(),
                )
            }
            (OwnFile::Missing | OwnFile::Unreadable(_), _) => Known::unknown("no ledger file"),
            (_, Known::Unknown(why)) => Known::Unknown(why),
        };
        let members = match (view.quorum(), &in_ledger) {
            (Known::Known(true), Known::Known(_)) => Known::Known(self.members(view)),
            (Known::Known(true), Known::Unknown(why)) => Known::unknown(why.clone()),
            (Known::Known(false), _) => Known::unknown("there is no quorum"),
            (Known::Unknown(why), _) => Known::Unknown(why),
        };
        if !members.is_known() {
            self.ensure_slots(&self.members(view));
        }
        let prefix = self.params.slot_name.clone();
        let known = &self.cache.former_prefixes;
        self.cache.former_prefixes = former(&prefix, &self.cache.slot_prefix, known, slots);
        self.cache.slot_prefix.clone_from(&prefix);
        let plan = plan(&Facts {
            prefix,
            former: self.cache.former_prefixes.clone(),
            me: self.me.clone(),
            members,
            in_ledger: in_ledger.known().unwrap_or_default(),
            slots: slots.to_vec(),
            since: self.cache.stray_slots.clone(),
            now: super::uptime(),
        });
        for (slot, like) in &plan.make {
            match self.pg.make_slot(slot, like.as_deref()) {
                Ok(()) => info!("the replication slot {slot} is made"),
                Err(why) => warn!("the replication slot {slot} could not be made: {why}"),
            }
        }
        self.cache.stray_slots = plan.since;
        for slot in &plan.drop {
            match self.pg.drop_idle_slot(slot) {
                Ok(true) => {
                    warn!("the replication slot {slot} is of no member any more: it is dropped");
                    self.cache.stray_slots.remove(slot);
                }
                Ok(false) => {
                    // Somebody streams by it: it is looked at again after as long a time.
                    self.cache.stray_slots.remove(slot);
                }
                Err(why) => warn!("the replication slot {slot} could not be dropped: {why}"),
            }
        }
    }

    /// A standby keeps a slot for each other member too, so that it has what they need if it is
    /// promoted. A slot is moved to where this standby had replayed at the last look, about a minute
    /// ago: the others may lag behind it.
    pub fn keep_slots(&mut self, view: &View, slots: &[String], replay: Option<Lsn>) {
        self.tend_slots(view, slots);
        let Some(replay) = replay else { return };
        let before = std::mem::replace(&mut self.cache.slots_at, replay.0);
        if before == 0 || before > replay.0 {
            return;
        }
        let names = self.slots_of_others(&self.members(view));
        if let Err(why) = self.pg.advance_slots(&names, Lsn(before)) {
            warn!("the slots kept for the other members could not be moved: {why}");
        }
    }
}
