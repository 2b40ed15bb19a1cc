//! The entries of all primaries, as a file or the CIB holds them, and which of them are void. Floor 0.

use std::collections::BTreeMap;

use super::entry::{Entry, PromotionId, Void};
use crate::cluster::node::NodeName;

/// The entries of one primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The last promotion that was carried out.
    pub done: Option<Entry>,
    /// A promotion that was about to be carried out.
    pub intent: Option<Entry>,
    /// Those of which this primary has said that they came to nothing, the newest first.
    pub void: Vec<Void>,
}

/// So many promotions that came to nothing are remembered of each primary.
const VOID: usize = 8;

impl Slot {
    /// The intent, if nothing is known of what became of it.
    pub fn pending(&self) -> Option<&Entry> {
        self.intent.as_ref().filter(|intent| !self.is_void(intent.id))
    }

    /// Whether this promotion is known to have come to nothing.
    pub fn is_void(&self, id: PromotionId) -> bool {
        self.void.iter().any(|void| void.id == id)
    }

    fn add_void(&mut self, new: &[Void]) {
        self.void.extend_from_slice(new);
        self.void.sort_by_key(|void| std::cmp::Reverse((void.term, void.id)));
        self.void.dedup();
        self.void.truncate(VOID);
    }
}

/// All that a ledger file, or the CIB, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    slots: BTreeMap<NodeName, Slot>,
}

impl Store {
    /// The slot of this primary.
    pub fn slot(&self, node: &NodeName) -> Option<&Slot> {
        self.slots.get(node)
    }

    /// All slots.
    pub fn slots(&self) -> impl Iterator<Item = (&NodeName, &Slot)> {
        self.slots.iter()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The last done entry of this primary.
    pub fn done(&self, node: &NodeName) -> Option<&Entry> {
        self.slots.get(node).and_then(|slot| slot.done.as_ref())
    }

    /// The pending intent of this primary.
    pub fn intent(&self, node: &NodeName) -> Option<&Entry> {
        self.slots.get(node).and_then(|slot| slot.intent.as_ref())
    }

    /// The newest entry of a node that accepts writes: an intent of it has been carried out, though its
    /// primary may not have said so yet.
    pub fn of_running_primary(&self, node: &NodeName) -> Option<Entry> {
        let slot = self.slots.get(node)?;
        let pending = slot.pending().map(Entry::as_carried_out);
        slot.done.iter().cloned().chain(pending).max_by_key(Entry::key)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().flat_map(|slot| slot.done.iter().chain(slot.intent.iter()))
    }

    /// The highest term that any entry carries, 0 without entries.
    pub fn max_term(&self) -> u64 {
        self.entries().map(|entry| entry.term).max().unwrap_or(0)
    }

    /// The done entry with the highest (term, seq).
    pub fn newest_done(&self) -> Option<&Entry> {
        self.slots.values().filter_map(|slot| slot.done.as_ref()).max_by_key(|entry| entry.key())
    }

    /// Puts a done entry into its slot.
    pub fn set_done(&mut self, entry: Entry) {
        let slot = self.slot_mut(&entry.primary);
        slot.done = Some(entry);
        self.normalize();
    }

    /// Puts an intent into its slot.
    pub fn set_intent(&mut self, entry: Entry) {
        let slot = self.slot_mut(&entry.primary);
        slot.intent = Some(entry);
        self.normalize();
    }

    /// The intent of this node was carried out.
    pub fn resolve_done(&mut self, node: &NodeName) {
        if let Some(slot) = self.slots.get_mut(node)
            && let Some(intent) = slot.intent.take()
        {
            slot.done = Some(intent);
        }
        self.normalize();
    }

    /// The intent of this node was never carried out. `said`: everybody is to know that it came to nothing.
    pub fn drop_intent(&mut self, node: &NodeName, said: bool) {
        if let Some(slot) = self.slots.get_mut(node)
            && let Some(intent) = slot.intent.take().filter(|_| said)
        {
            slot.add_void(&[Void { id: intent.id, term: intent.term }]);
        }
        self.normalize();
    }

    /// Replaces the whole slot of a node.
    pub fn replace_slot(&mut self, node: &NodeName, slot: Slot) {
        self.slots.insert(node.clone(), slot);
        self.normalize();
    }

    /// This store with the newer entries of another one. The slot of `own` (the owner of the file
    /// that is merged into) is never taken from elsewhere.
    #[must_use]
    pub fn merged(&self, other: &Store, own: Option<&NodeName>) -> Store {
        let newer = |mine: &Option<Entry>, theirs: &Option<Entry>| match (mine, theirs) {
            (Some(a), Some(b)) => b.key() > a.key(),
            (None, Some(_)) => true,
            _ => false,
        };
        let mut merged = self.clone();
        for (node, theirs) in &other.slots {
            if own == Some(node) {
                continue;
            }
            let mine = merged.slots.entry(node.clone()).or_default();
            if newer(&mine.done, &theirs.done) {
                mine.done.clone_from(&theirs.done);
            }
            if newer(&mine.intent, &theirs.intent) {
                mine.intent.clone_from(&theirs.intent);
            }
            mine.add_void(&theirs.void);
        }
        merged.normalize();
        merged
    }

    pub(super) fn slot_mut(&mut self, node: &NodeName) -> &mut Slot {
        self.slots.entry(node.clone()).or_default()
    }

    pub(super) fn normalize(&mut self) {
        let high = self
            .slots
            .values()
            .filter_map(|slot| slot.done.as_ref().map(|entry| entry.term))
            .max()
            .unwrap_or(0);
        for slot in self.slots.values_mut() {
            if slot.done.as_ref().is_some_and(|entry| entry.term < high) {
                slot.done = None;
            }
            let overtaken = |intent: &Entry| {
                intent.term < high
                    || slot.done.as_ref().is_some_and(|done| intent.key() <= done.key())
            };
            if slot.intent.as_ref().is_some_and(overtaken) {
                slot.intent = None;
            }
            slot.void.retain(|void| void.term >= high);
        }
        self.slots.retain(|_, slot| *slot != Slot::default());
    }
}
