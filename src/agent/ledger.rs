//! The agent's dealings with the ledger: own file, own intent, the CIB's copy, acknowledgements.
//! Floor 3.

use std::collections::BTreeMap;

use tracing::{debug, info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::{HomeError, OwnFile};
use crate::client::pacemaker::Attribute;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Entry, Own, Slot, Store};
use crate::cluster::node::NodeName;
use crate::decide::facts::{DataDir, Instance, Process, Sql};
use crate::decide::promote::Intent;
use crate::postgres::control_data::WasWritable;
use crate::postgres::lsn::Timeline;
use crate::sys::chain;

/// The timeline that a server which accepts writes is on.
pub fn timeline_written(instance: &Instance) -> Option<Timeline> {
    match &instance.sql {
        Sql::Primary(primary) => Some(primary.timeline),
        _ => None,
    }
}

impl Agent<'_> {
    /// Where an intent of this node stands, by what its data and its server show.
    pub fn intent(&mut self, own: &Own, instance: &Instance) -> Intent {
        if own.store.intent(&self.me).is_none() {
            return Intent::None;
        }
        match (&instance.process, &instance.sql) {
            (_, Sql::Primary(_)) => Intent::CarriedOut,
            (Process::Running { .. }, Sql::Standby(_)) => match self.pg.promotion_pending() {
                Known::Known(false) => Intent::Void,
                Known::Known(true) | Known::Unknown(_) => Intent::Pending,
            },
            (Process::None, _) => match &instance.data {
                DataDir::Cluster(control) => match control.state.was_writable() {
                    WasWritable::Yes => Intent::CarriedOut,
                    WasWritable::No => Intent::Void,
                    WasWritable::Unknown => Intent::Pending,
                },
                DataDir::Absent | DataDir::Empty | DataDir::Unusable(_) | DataDir::Unknown(_) => {
                    Intent::Pending
                }
            },
            _ => Intent::Pending,
        }
    }

    /// Resolves an own intent as far as it can be resolved now. The file afterwards, and what is
    /// left of the intent.
    pub fn settle_intent(&mut self, instance: &Instance) -> (OwnFile, Intent) {
        let OwnFile::Read(mut own) = self.home.read() else {
            return (self.home.read(), Intent::None);
        };
        let state = self.intent(&own, instance);
        match state {
            Intent::None | Intent::Pending => return (OwnFile::Read(own), state),
            Intent::CarriedOut => {
                own.carried_out(&self.me, timeline_written(instance));
            }
            Intent::Void => own.store.drop_intent(&self.me),
        }
        match self.home.write(&own) {
            Ok(()) => {
                info!("an earlier intent of this node is resolved: {state:?}");
                (OwnFile::Read(own), Intent::None)
            }
            Err(error) => {
                warn!("{}", chain(&error));
                (OwnFile::Unreadable(chain(&error)), state)
            }
        }
    }

    /// Writes the own file.
    pub fn write_own(&self, own: &Own) -> Result<(), HomeError> {
        self.home.write(own)
    }

    /// Brings file and CIB together: takes newer entries of others into the own file, and writes
    /// entries that the CIB lacks to the CIB. An own file that is missing stays missing unless
    /// `create`: it is made anew only by a node that follows the live primary, or is it.
    pub fn exchange_ledger(&mut self, view: &View, create: bool) -> OwnFile {
        self.exchange_with(view.ledger(), create)
    }

    /// The same with the ledger that was found in the CIB.
    pub fn exchange_with(&mut self, cib: Known<Store>, create: bool) -> OwnFile {
        let file = self.home.read();
        let cib = match cib {
            Known::Known(store) => store,
            Known::Unknown(why) => {
                warn!("the ledger in the CIB could not be read: {why}");
                return file;
            }
        };
        let mut own = match file {
            OwnFile::Read(own) => own,
            OwnFile::Missing | OwnFile::Unreadable(_) if create && !cib.is_empty() => {
                Own::new(&self.resource, &self.me)
            }
            OwnFile::Missing | OwnFile::Unreadable(_) => return file,
        };
        let merged = own.store.merged(&cib, Some(&self.me));
        if merged != own.store || !matches!(self.home.read(), OwnFile::Read(_)) {
            own.store = merged;
            if let Err(error) = self.home.write(&own) {
                warn!("{}", chain(&error));
                return OwnFile::Unreadable(chain(&error));
            }
            debug!("copied newer ledger entries from the CIB");
        }
        let wanted = cib.merged(&own.store, None);
        if wanted != cib {
            for (node, slot) in wanted.slots() {
                if cib.slot(node) != Some(slot) {
                    let _ = self.write_slot_to_cib(node, slot);
                }
            }
        }
        OwnFile::Read(own)
    }

    /// Writes one slot to the CIB.
    pub fn write_slot_to_cib(&mut self, node: &NodeName, slot: &Slot) -> Known<()> {
        let written = self.pacemaker.write_ledger(node, &slot.to_string(), self.tool_limit());
        if let Known::Unknown(why) = &written {
            warn!("the ledger could not be written to the CIB: {why}");
        }
        written
    }

    /// Tells the others which entry this node's disk holds.
    pub fn publish_ack(&mut self, own: &Own, always: bool) {
        let Some(entry) = own.store.newest_done() else { return };
        if entry.primary == self.me {
            return;
        }
        let text = entry.ack().to_string();
        if self.cache.ack == text && !always {
            return;
        }
        match self.pacemaker.publish(Attribute::Ack, &text, self.tool_limit()) {
            Known::Known(()) => self.cache.ack = text,
            Known::Unknown(why) => warn!("the acknowledgement could not be published: {why}"),
        }
    }

    /// Takes the acknowledgement back: the file that it was about is gone.
    pub fn withdraw_ack(&mut self) {
        let me = self.me.clone();
        match self.pacemaker.withdraw(Attribute::Ack, &me, self.tool_limit()) {
            Known::Known(()) => self.cache.ack.clear(),
            Known::Unknown(why) => warn!("the acknowledgement could not be withdrawn: {why}"),
        }
    }

    /// What the members have on disk; those that say nothing, or rubbish, are absent.
    pub fn read_acks(&mut self) -> Known<BTreeMap<NodeName, Ack>> {
        self.pacemaker.read_all(Attribute::Ack, self.tool_limit()).map(|values| {
            values
                .into_iter()
                .filter_map(|(node, text)| text.parse().ok().map(|ack| (node, ack)))
                .collect()
        })
    }

    /// The own entry as a running primary has to have it: from its file, or, if the file is lost, as
    /// the CIB has it, or the first one ever.
    pub fn entry_as_primary(
        &mut self,
        file: &OwnFile,
        cib: &Store,
        system_id: u64,
        timeline: Timeline,
    ) -> Result<AsPrimary, String> {
        if let OwnFile::Read(own) = file
            && own.store.done(&self.me).is_some()
        {
            return Ok(AsPrimary { own: own.clone(), lost: false });
        }
        let mut own = match file {
            OwnFile::Read(own) => own.clone(),
            OwnFile::Missing => Own::new(&self.resource, &self.me),
            OwnFile::Unreadable(why) => {
                warn!("the own ledger file is made anew: {why}");
                Own::new(&self.resource, &self.me)
            }
        };
        own.store = own.store.merged(cib, None);
        if let Some(entry) = own.store.newest_done()
            && entry.primary != self.me
        {
            return Err(format!(
                "this node accepts writes, and the ledger names {} as the primary of term {}",
                entry.primary, entry.term
            ));
        }
        own.carried_out(&self.me, Some(timeline));
        if let Some(id) = own.store.done(&self.me).map(|entry| entry.id) {
            // Without it the next promotion would have no history, and every standby be of another branch.
            own.followed = Some(id);
            // Not written: what the CIB says of E may be older than what the file said, or be a
            // beginning that was never proven (E = {}). The care for the standbys makes sure first.
            return Ok(AsPrimary { own, lost: true });
        }
        let entry = Entry {
            system_id,
            term: own.store.max_term().max(1),
            seq: 0,
            id: super::random_id()?,
            primary: self.me.clone(),
            timeline,
            mode: self.mode(),
            heirs: std::collections::BTreeSet::new(),
            history: Vec::new(),
            adopted: None,
        };
        own.followed = Some(entry.id);
        own.store.set_done(entry);
        info!("no ledger anywhere: this primary begins one");
        self.home.write(&own).map_err(|error| chain(&error))?;
        Ok(AsPrimary { own, lost: false })
    }
}

/// A running primary's own part of the ledger.
#[derive(Clone, Debug)]
pub struct AsPrimary {
    /// What it works with.
    pub own: Own,
    /// It is what the CIB says, for the own file is lost.
    pub lost: bool,
}
