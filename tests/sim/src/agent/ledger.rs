//! As `src/agent/ledger.rs`: the own file, the own intent, the CIB's copy, acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Ack, Beyond, Entry, Mode, NeverWritten, Own, Slot, Store};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::recovery::Kept;
use pgtwin::decide::facts::Instance;
use pgtwin::decide::ledger::{self, AsPrimary, Stands};
use pgtwin::decide::promote::Intent;
use pgtwin::decide::publication;
use pgtwin::postgres::lsn::Timeline;

use super::{Agent, View};
use crate::exec::Owner;
use crate::mutation::Mutation;
use crate::wal::{self, Record};
use crate::world::{RESOURCE, Shared, World, index, name};

/// The entry that this node's file has of its own last promotion, carried out or about to be.
fn own_entry(world: &World, node: usize) -> Option<Entry> {
    let text = world.nodes[node].disk.ledger.as_ref()?;
    let me = name(node);
    let own = Own::parse(text, RESOURCE, &me).ok()?;
    own.store.intent(&me).or_else(|| own.store.done(&me)).cloned()
}

/// Who may replace this primary, as its own file says.
pub fn heirs_on_disk(world: &World, node: usize) -> Option<BTreeSet<usize>> {
    own_entry(world, node).map(|entry| entry.heirs.iter().map(index).collect())
}

/// The term of this node's promotion.
pub fn intended_term(world: &World, node: usize) -> u64 {
    own_entry(world, node).map_or(0, |entry| entry.term)
}

/// The ledger's copy in a CIB.
pub fn cib(shared: &Shared) -> Store {
    let mut store = Store::default();
    for (node, text) in &shared.ledger {
        let slot: Slot = text.parse().expect("only slots are written");
        store.replace_slot(&name(*node), slot);
    }
    store
}

impl Agent {
    pub(super) fn name(&self) -> NodeName {
        name(self.me)
    }

    /// The own file; none where there is none.
    pub(super) fn own(&self) -> Option<Own> {
        let world = self.sim.world.borrow();
        let text = world.nodes[self.me].disk.ledger.as_ref()?;
        Some(Own::parse(text, RESOURCE, &self.name()).expect("what was written is read"))
    }

    /// Writes the own file: a temporary file, fsync, rename, fsync of the directory.
    pub(super) async fn write_own(&self, own: &Own) {
        self.sim.act().await;
        let lazy = self.has(Mutation::LedgerNotSynced);
        {
            let mut world = self.sim.world.borrow_mut();
            let disk = &mut world.nodes[self.me].disk;
            let before = disk.ledger.replace(own.to_text());
            if lazy && disk.unsynced.is_none() {
                disk.unsynced = Some(before);
            }
        }
        if lazy {
            let (sim, me) = (std::rc::Rc::clone(&self.sim), self.me);
            self.sim.spawn(Owner::World, self.sim.between(1_000, 30_000), async move {
                sim.world.borrow_mut().nodes[me].disk.unsynced = None;
            });
        }
    }

    /// Where an own intent stands.
    fn intent(&self, own: &Own, instance: &Instance) -> Intent {
        match ledger::stands(own, &self.name(), instance) {
            Stands::Is(intent) => intent,
            Stands::AskIfTold => ledger::of_standby(&self.promotion_pending()),
        }
    }

    /// Whether this node's standby was told to promote and has not done so yet.
    pub(super) fn promotion_pending(&self) -> Known<bool> {
        let world = self.sim.world.borrow();
        Known::Known(world.nodes[self.me].server.as_ref().is_none_or(|one| one.told))
    }

    /// What this node's WAL holds beyond a timeline.
    pub(super) fn beyond(&self, after: Timeline) -> Known<Beyond> {
        let world = self.sim.world.borrow();
        let records = &world.nodes[self.me].disk.wal.records;
        let begins = |record: &Record| matches!(record, Record::Begin(next, _) if *next > after.0);
        let last = wal::timeline(records);
        let Some(from) = records.iter().position(begins) else {
            return Known::Known(Beyond::Nothing);
        };
        let writes = records[from..].iter().any(|record| matches!(record, Record::Commit(_)));
        Known::Known(if writes && !self.has(Mutation::NothingIsWritten) {
            Beyond::Written(last)
        } else {
            Beyond::NeverWritten(NeverWritten { after, last, end: wal::lsn(records.len()) })
        })
    }

    /// Resolves an own intent as far as it can be resolved now.
    pub(super) async fn settle_intent(&self, instance: &Instance) -> (Option<Own>, Intent) {
        let Some(own) = self.own() else { return (None, Intent::None) };
        let state = self.intent(&own, instance);
        let beyond = |timeline| self.beyond(timeline);
        let Some(new) = ledger::resolved(&own, &self.name(), &state, instance, beyond) else {
            return (Some(own), state);
        };
        self.write_own(&new).await;
        self.log(&ledger::came_of(&own, &new));
        (Some(new), Intent::None)
    }

    /// Brings file and CIB together.
    pub(super) async fn exchange(&self, view: &View, create: bool) -> Option<Own> {
        let cib = cib(&view.stack.shared);
        let file = self.own();
        let kept = file.clone().map_or(Kept::Missing, Kept::Read);
        let mut own = ledger::taken_in(&kept, &cib, RESOURCE, &self.name(), create)?;
        if let (Some(file), true) = (&file, self.has(Mutation::CibIsBelieved)) {
            own.store = file.store.merged(&cib, None);
        }
        if file.as_ref() != Some(&own) {
            if self.has(Mutation::AckBeforeFile) {
                self.publish_ack(&own).await;
            }
            self.write_own(&own).await;
        }
        for (node, slot) in ledger::lacking(&cib, &own.store) {
            self.write_slot(index(&node), &slot).await;
        }
        Some(own)
    }

    /// Writes one slot to the CIB.
    pub(super) async fn write_slot(&self, node: usize, slot: &Slot) {
        let text = slot.to_string();
        self.tell(move |shared| {
            shared.ledger.insert(node, text.clone());
        })
        .await;
    }

    /// Tells the others which entry this node's disk holds.
    pub(super) async fn publish_ack(&self, own: &Own) {
        let Some(ack) = publication::ack(own, &self.name()) else { return };
        let (me, text) = (self.me, ack.to_string());
        let there = self.sim.world.borrow().nodes[me].stack.shared.ack.get(&me).cloned();
        if there.as_ref() == Some(&text) {
            return;
        }
        self.tell(move |shared| {
            shared.ack.insert(me, text.clone());
        })
        .await;
    }

    /// What the members have on disk.
    pub(super) fn acks(view: &View) -> BTreeMap<NodeName, Ack> {
        let all = view.stack.shared.ack.iter();
        all.filter_map(|(node, text)| Some((name(*node), text.parse().ok()?))).collect()
    }

    /// The own entry of a running primary; none where the ledger names another one.
    pub(super) async fn entry_as_primary(
        &self,
        view: &View,
        timeline: Timeline,
    ) -> Option<(Own, bool)> {
        let kept = self.own().map_or(Kept::Missing, Kept::Read);
        let cib = cib(&view.stack.shared);
        match ledger::as_primary(&kept, &cib, RESOURCE, &self.name(), timeline) {
            AsPrimary::Has(own) => Some((own, false)),
            AsPrimary::Lost(own) => Some((own, true)),
            AsPrimary::NamesAnother(_) => None,
            AsPrimary::Begins(own) => {
                let id = self.promotion_id();
                let system = self.sim.world.borrow().nodes[self.me].disk.system;
                let own = ledger::first_entry(own, &self.name(), id, system, timeline, Mode::Sync);
                self.write_own(&own).await;
                Some((own, false))
            }
        }
    }
}
