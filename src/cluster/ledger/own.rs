//! The ledger file of a member: its text, with a checksum. Floor 0.

use std::fmt::Write as _;

use super::entry::{Entry, PromotionId};
use super::origin::{NeverWritten, Pointed};
use super::store::Store;
use super::text::{LedgerError, Voids, parse_voids};
use crate::cluster::node::NodeName;
use crate::cluster::sealed::{seal, unseal};
use crate::postgres::lsn::Timeline;

/// What a member keeps on its own disk: the ledger, and the promotion whose data it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The resource it belongs to.
    pub resource: String,
    /// The member.
    pub node: NodeName,
    /// The last promotion that this node's data is known to contain.
    pub followed: Option<PromotionId>,
    /// Whose WAL it gets, where that is not the primary of that promotion by its done entry alone.
    pub pointed: Option<Pointed>,
    /// What of this node's data counts for nothing.
    pub never_written: Option<NeverWritten>,
    /// An operator has begun to declare this node's data the truth, by this entry, which the file does not
    /// have yet. What the file has is about other data: it permits nothing.
    pub adopting: Option<PromotionId>,
    /// The entries.
    pub store: Store,
}

const MAGIC: &str = "pgtwin-ledger 1";

impl Own {
    /// An empty file for this node.
    pub fn new(resource: &str, node: &NodeName) -> Self {
        Self {
            resource: resource.to_owned(),
            node: node.clone(),
            followed: None,
            pointed: None,
            never_written: None,
            adopting: None,
            store: Store::default(),
        }
    }

    /// The intent of `node`, whose file this is, was carried out: its data is of that promotion, on
    /// this timeline where it is known, and else on one after that from which it started. Without an
    /// intent nothing changes.
    pub fn carried_out(&mut self, node: &NodeName, timeline: Option<Timeline>) {
        let Some(mut entry) = self.store.intent(node).cloned() else { return };
        (self.followed, self.pointed, self.never_written) = (Some(entry.id), None, None);
        entry = entry.as_carried_out();
        entry.timeline = timeline.unwrap_or(entry.timeline);
        self.store.set_intent(entry);
        self.store.resolve_done(node);
    }

    /// Whether this node's data is known to be of a promotion that did not lead to this one.
    pub fn is_elsewhere_than(&self, entry: &Entry) -> bool {
        entry.is_after(self.followed) == Some(false)
    }

    /// The data is that of a primary now, of this promotion, whatever it was of before.
    pub fn is_a_copy_of(&mut self, promotion: PromotionId, node: &NodeName) {
        let leads_to = |entry: &&Entry| entry.id == promotion || entry.descends_from(promotion);
        let done = self.store.done(node).filter(leads_to);
        let term = done.map_or_else(|| self.store.max_term(), |entry| entry.term);
        self.followed = Some(promotion);
        self.pointed = Some(Pointed { node: node.clone(), term });
        (self.never_written, self.adopting) = (None, None);
    }

    /// Why what this file says is no help, if it is about other data than there is.
    pub fn unfinished(&self) -> Option<String> {
        self.adopting.map(|_| format!("pgtwin adopt {} has not ended: run it again", self.node))
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{MAGIC}\nresource {}\nnode {}\n", self.resource, self.node);
        if let Some(id) = self.followed {
            let _ = writeln!(text, "followed {id}");
        }
        if let Some(Pointed { node, term }) = &self.pointed {
            let _ = writeln!(text, "pointed {node} {term}");
        }
        if let Some(NeverWritten { after, last, end }) = self.never_written {
            let _ = writeln!(text, "never-written {after} {last} {end}");
        }
        if let Some(id) = self.adopting {
            let _ = writeln!(text, "adopting {id}");
        }
        for (node, slot) in self.store.slots() {
            if !slot.void.is_empty() {
                let _ = writeln!(text, "void {node} {}", Voids(&slot.void));
            }
            for (stage, entry) in [("done", &slot.done), ("intent", &slot.intent)] {
                if let Some(entry) = entry {
                    let _ = writeln!(text, "{stage} {entry}");
                }
            }
        }
        seal(text)
    }

    /// Reads a file of this resource and node.
    pub fn parse(text: &str, resource: &str, node: &NodeName) -> Result<Self, LedgerError> {
        let file = |what: &str| LedgerError::File(what.to_owned());
        let body = unseal(text).map_err(file)?;
        let mut lines = body.lines();
        if lines.next() != Some(MAGIC) {
            return Err(file("it was written by another version or program"));
        }
        let mut own = Self::new(resource, node);
        for line in lines {
            let (key, value) = line.split_once(' ').ok_or_else(|| file("a line has no value"))?;
            match key {
                "resource" if value == resource => {}
                "resource" => {
                    return Err(LedgerError::File(format!("it belongs to resource {value}")));
                }
                "node" if value == node.as_str() => {}
                "node" => return Err(LedgerError::File(format!("it belongs to node {value}"))),
                "followed" => own.followed = Some(value.parse()?),
                "pointed" => own.pointed = Some(pointed(value)?),
                "never-written" => own.never_written = Some(never_written(value)?),
                "adopting" => own.adopting = Some(value.parse()?),
                "void" => {
                    let (node, voids) =
                        value.split_once(' ').ok_or_else(|| file("a line has no value"))?;
                    let node = node.parse().map_err(|_| file("a name is no node"))?;
                    own.store.slot_mut(&node).void = parse_voids(voids)?;
                }
                "done" => {
                    let entry: Entry = value.parse()?;
                    let slot = own.store.slot_mut(&entry.primary);
                    slot.done = Some(entry);
                }
                "intent" => {
                    let entry: Entry = value.parse()?;
                    let slot = own.store.slot_mut(&entry.primary);
                    slot.intent = Some(entry);
                }
                _ => return Err(LedgerError::File(format!("it has an unknown line {key:?}"))),
            }
        }
        own.store.normalize();
        Ok(own)
    }
}

/// `n1 4`: the node and the term.
fn pointed(value: &str) -> Result<Pointed, LedgerError> {
    let read = || {
        let (node, term) = value.split_once(' ')?;
        Some(Pointed { node: node.parse().ok()?, term: term.parse().ok()? })
    };
    let what = || format!("whose WAL this node gets is malformed: {value:?}");
    read().ok_or_else(|| LedgerError::File(what()))
}

/// `2 3 0/5000148`: the timeline that counts, the last one that does not, and up to where it was looked at.
fn never_written(value: &str) -> Result<NeverWritten, LedgerError> {
    let read = || {
        let mut words = value.split(' ');
        let (after, last, end) = (words.next()?, words.next()?, words.next()?);
        let (after, last) = (after.parse().ok()?, last.parse().ok()?);
        let found = NeverWritten { after, last, end: end.parse().ok()? };
        (words.next().is_none() && after < last).then_some(found)
    };
    let what = || format!("what was never written is malformed: {value:?}");
    read().ok_or_else(|| LedgerError::File(what()))
}
