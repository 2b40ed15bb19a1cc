//! The agent's dealings with the ledger: own file, own intent, the CIB's copy, acknowledgements.
//! Floor 3.

use std::collections::BTreeMap;

use tracing::{debug, info, warn};

use super::Agent;
use super::view::View;
use crate::client::ledger_file::{HomeError, OwnFile};
use crate::client::pacemaker::Attribute;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Own, Slot, Store};
use crate::cluster::node::NodeName;
use crate::decide::facts::Instance;
use crate::decide::ledger::{self, AsPrimary, Stands};
use crate::decide::promote::Intent;
use crate::decide::publication;
use crate::postgres::lsn::Timeline;
use crate::sys::chain;

impl Agent<'_> {
    /// Where an intent of this node stands, by what its data and its server show.
    pub fn intent(&mut self, own: &Own, instance: &Instance) -> Intent {
        match ledger::stands(own, &self.me, instance) {
            Stands::Is(intent) => intent,
            Stands::AskIfTold => ledger::of_standby(&self.pg.promotion_pending()),
        }
    }

    /// Resolves an own intent as far as it can be resolved now. The file afterwards, and what is
    /// left of the intent.
    pub fn settle_intent(&mut self, instance: &Instance) -> (OwnFile, Intent) {
        let OwnFile::Read(own) = self.home.read() else {
            return (self.home.read(), Intent::None);
        };
        let state = self.intent(&own, instance);
        let beyond = |timeline| self.beyond(timeline);
        let Some(resolved) = ledger::resolved(&own, &self.me, &state, instance, beyond) else {
            return (OwnFile::Read(own), state);
        };
        match self.home.write(&resolved) {
            Ok(()) => {
                info!("{}", ledger::came_of(&own, &resolved));
                (OwnFile::Read(resolved), Intent::None)
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
    /// entries that the CIB lacks to the CIB. `create`: see [`ledger::taken_in`].
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
        let Some(own) = ledger::taken_in(&file, &cib, &self.resource, &self.me, create) else {
            return file;
        };
        if file.if_read() != Some(&own) {
            if let Err(error) = self.home.write(&own) {
                warn!("{}", chain(&error));
                return OwnFile::Unreadable(chain(&error));
            }
            debug!("copied newer ledger entries from the CIB");
        }
        for (node, slot) in ledger::lacking(&cib, &own.store) {
            let _ = self.write_slot_to_cib(&node, &slot);
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
        let Some(ack) = publication::ack(own, &self.me) else { return };
        let text = ack.to_string();
        if self.cache.ack == text && !always {
            return;
        }
        let told = self.pacemaker.publish(Attribute::Ack, &text, self.tool_limit());
        if self.is_heard("acknowledgement", told) {
            self.cache.ack = text;
        }
    }

    /// Whether Pacemaker passes on what was said; the next monitor answers with the reason where it does not.
    pub fn is_heard(&mut self, what: &str, told: Known<()>) -> bool {
        let why = match told {
            Known::Known(()) => String::new(),
            Known::Unknown(why) => {
                warn!("the {what} could not be published: {why}");
                why
            }
        };
        self.cache.unheard = why;
        self.cache.unheard.is_empty()
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

    /// The own ledger as a running primary has to have it, and whether it is what the CIB says, for the own
    /// file is lost.
    pub fn entry_as_primary(
        &mut self,
        file: &OwnFile,
        cib: &Store,
        system_id: u64,
        timeline: Timeline,
    ) -> Result<(Own, bool), String> {
        let found = ledger::as_primary(file, cib, &self.resource, &self.me, timeline);
        if let OwnFile::Unreadable(why) = file {
            warn!("the own ledger file is made anew: {why}");
        }
        match found {
            AsPrimary::Has(own) => Ok((own, false)),
            AsPrimary::Lost(own) => Ok((own, true)),
            AsPrimary::NamesAnother(entry) => Err(format!(
                "this node accepts writes, and the ledger names {} as the primary of term {}",
                entry.primary, entry.term
            )),
            AsPrimary::Begins(own) => {
                let (id, mode) = (super::random_id()?, self.mode());
                let own = ledger::first_entry(own, &self.me, id, system_id, timeline, mode);
                info!("no ledger anywhere: this primary begins one");
                self.home.write(&own).map_err(|error| chain(&error))?;
                Ok((own, false))
            }
        }
    }
}
