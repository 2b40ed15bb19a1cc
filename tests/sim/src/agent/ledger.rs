//! As `src/agent/ledger.rs`: the own file, the own intent, the CIB's copy, acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use pgtwin::cluster::ledger::{Ack, Entry, Mode, Own, Slot, Store};
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::facts::{DataDir, Instance, Process, Sql};
use pgtwin::decide::promote::Intent;
use pgtwin::postgres::control_data::WasWritable;
use pgtwin::postgres::lsn::Timeline;

use super::{Agent, View};
use crate::exec::Owner;
use crate::mutation::Mutation;
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
        if own.store.intent(&self.name()).is_none() {
            return Intent::None;
        }
        match (&instance.process, &instance.sql) {
            (_, Sql::Primary(_)) => Intent::CarriedOut,
            (Process::Running { .. }, Sql::Standby(_)) => {
                let world = self.sim.world.borrow();
                let told = world.nodes[self.me].server.as_ref().is_none_or(|one| one.told);
                if told { Intent::Pending } else { Intent::Void }
            }
            (Process::None, _) => match &instance.data {
                DataDir::Cluster(control) => match control.state.was_writable() {
                    WasWritable::Yes => Intent::CarriedOut,
                    WasWritable::No => Intent::Void,
                    WasWritable::Unknown => Intent::Pending,
                },
                _ => Intent::Pending,
            },
            _ => Intent::Pending,
        }
    }

    /// Resolves an own intent as far as it can be resolved now.
    pub(super) async fn settle_intent(&self, instance: &Instance) -> (Option<Own>, Intent) {
        let Some(mut own) = self.own() else { return (None, Intent::None) };
        let state = self.intent(&own, instance);
        match state {
            Intent::None | Intent::Pending => return (Some(own), state),
            Intent::CarriedOut => own.carried_out(&self.name(), timeline_written(instance)),
            Intent::Void => own.store.drop_intent(&self.name()),
        }
        self.write_own(&own).await;
        self.log(&format!("an earlier intent is resolved: {state:?}"));
        (Some(own), Intent::None)
    }

    /// Brings file and CIB together.
    pub(super) async fn exchange(&self, view: &View, create: bool) -> Option<Own> {
        let cib = cib(&view.stack.shared);
        let file = self.own();
        let missing = file.is_none();
        let mut own = match file {
            Some(own) => own,
            None if create && !cib.is_empty() => Own::new(RESOURCE, &self.name()),
            None => return None,
        };
        let mine = self.name();
        let keep = if self.has(Mutation::CibIsBelieved) { None } else { Some(&mine) };
        let merged = own.store.merged(&cib, keep);
        if merged != own.store || missing {
            own.store = merged;
            if self.has(Mutation::AckBeforeFile) {
                self.publish_ack(&own).await;
            }
            self.write_own(&own).await;
        }
        let wanted = cib.merged(&own.store, None);
        for (node, slot) in wanted.slots() {
            if cib.slot(node) != Some(slot) {
                self.write_slot(index(node), slot).await;
            }
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
        let Some(entry) = own.store.newest_done() else { return };
        if entry.primary == self.name() {
            return;
        }
        let (me, text) = (self.me, entry.ack().to_string());
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
        let file = self.own();
        if let Some(own) = &file
            && own.store.done(&self.name()).is_some()
        {
            return Some((own.clone(), false));
        }
        let mut own = file.unwrap_or_else(|| Own::new(RESOURCE, &self.name()));
        own.store = own.store.merged(&cib(&view.stack.shared), None);
        if own.store.newest_done().is_some_and(|entry| entry.primary != self.name()) {
            return None;
        }
        own.carried_out(&self.name(), Some(timeline));
        if let Some(id) = own.store.done(&self.name()).map(|entry| entry.id) {
            own.followed = Some(id);
            return Some((own, true));
        }
        let entry = Entry {
            system_id: self.sim.world.borrow().nodes[self.me].disk.system,
            term: own.store.max_term().max(1),
            seq: 0,
            id: self.promotion_id(),
            primary: self.name(),
            timeline,
            mode: Mode::Sync,
            heirs: BTreeSet::new(),
            history: Vec::new(),
            adopted: None,
        };
        own.followed = Some(entry.id);
        own.store.set_done(entry);
        self.write_own(&own).await;
        Some((own, false))
    }
}

/// The timeline that a server which accepts writes is on.
pub fn timeline_written(instance: &Instance) -> Option<Timeline> {
    match &instance.sql {
        Sql::Primary(primary) => Some(primary.timeline),
        _ => None,
    }
}
