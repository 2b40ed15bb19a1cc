//! The ledger: who was promoted when, and which standbys may replace the primary. Floor 0.
//!
//! An entry belongs to the node that it names as primary, and that node alone writes it. A store
//! (the file of a member, or the copy in the CIB) keeps, for each primary, its last *done* entry
//! and a later *intent*. The rules are those of the model checker: entries below the highest done
//! term are void, and so is an intent that its own done entry has overtaken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::node::NodeName;
use crate::postgres::lsn::Timeline;

/// How many past promotions an entry remembers.
pub const HISTORY: usize = 24;

/// The identity of one promotion: 64 random bits, written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromotionId(pub u64);

/// What an acknowledgement of a standby is worth: how the cluster replicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A commit waits for one standby.
    Sync,
    /// A commit waits for nobody.
    Async,
}

/// A promotion of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its identity.
    pub id: PromotionId,
    /// The timeline it wrote.
    pub timeline: Timeline,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The database system's identifier (pg_control).
    pub system_id: u64,
    /// Grows with every promotion of another node.
    pub term: u64,
    /// Grows with every change within a term.
    pub seq: u64,
    /// The promotion that this entry is about.
    pub id: PromotionId,
    /// The node promoted.
    pub primary: NodeName,
    /// The timeline that it writes (for an intent: from which it starts).
    pub timeline: Timeline,
    /// Sync or async.
    pub mode: Mode,
    /// The standbys that may replace the primary (E). Empty: nobody but the primary itself.
    pub heirs: BTreeSet<NodeName>,
    /// Earlier promotions, newest first.
    pub history: Vec<Past>,
}

impl Entry {
    /// What orders entries.
    pub fn key(&self) -> (u64, u64) {
        (self.term, self.seq)
    }

    /// Whether `node` is the primary or one of those who may replace it.
    pub fn concerns(&self, node: &NodeName) -> bool {
        self.primary == *node || self.heirs.contains(node)
    }

    /// This entry with other heirs and the next sequence number after `seq`.
    #[must_use]
    pub fn with_heirs(&self, heirs: BTreeSet<NodeName>, after: u64) -> Self {
        Self { heirs, seq: after.max(self.seq) + 1, ..self.clone() }
    }

    /// Whether the promotion `id` is this one or one that led to it.
    pub fn descends_from(&self, id: PromotionId) -> bool {
        self.id == id || self.history.iter().any(|past| past.id == id)
    }

    /// The history for an entry that follows this one.
    pub fn history_with_self(&self) -> Vec<Past> {
        let mut history = vec![Past { id: self.id, timeline: self.timeline }];
        history.extend(self.history.iter().filter(|past| past.id != self.id).cloned());
        history.truncate(HISTORY);
        history
    }

    /// The acknowledgement that names this entry.
    pub fn ack(&self) -> Ack {
        Ack { id: self.id, term: self.term, seq: self.seq }
    }
}

/// What a member says that it has written to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The promotion of the entry.
    pub id: PromotionId,
    /// Its term.
    pub term: u64,
    /// Its sequence number.
    pub seq: u64,
}

/// The entries of one primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The last promotion that was carried out.
    pub done: Option<Entry>,
    /// A promotion that was about to be carried out.
    pub intent: Option<Entry>,
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

    /// The intent of this node was never carried out.
    pub fn drop_intent(&mut self, node: &NodeName) {
        if let Some(slot) = self.slots.get_mut(node) {
            slot.intent = None;
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
        }
        merged.normalize();
        merged
    }

    fn slot_mut(&mut self, node: &NodeName) -> &mut Slot {
        self.slots.entry(node.clone()).or_default()
    }

    fn normalize(&mut self) {
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
        }
        self.slots.retain(|_, slot| *slot != Slot::default());
    }
}

/// What a member keeps on its own disk: the ledger, and the promotion whose data it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The resource it belongs to.
    pub resource: String,
    /// The member.
    pub node: NodeName,
    /// The last promotion that this node's data is known to contain.
    pub followed: Option<PromotionId>,
    /// The entries.
    pub store: Store,
}

/// Why a text is not a ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A field is missing or malformed.
    #[error("ledger entry: {what} in {text:?}")]
    Entry {
        /// What is wrong.
        what: String,
        /// The text, cut.
        text: String,
    },
    /// The file is not one of ours, or was cut or changed.
    #[error("ledger file: {0}")]
    File(String),
}

const MAGIC: &str = "pgtwin-ledger 1";

impl Own {
    /// An empty file for this node.
    pub fn new(resource: &str, node: &NodeName) -> Self {
        Self {
            resource: resource.to_owned(),
            node: node.clone(),
            followed: None,
            store: Store::default(),
        }
    }

    /// The intent of `node`, whose file this is, was carried out: its data is of that promotion, on
    /// this timeline where it is known. Without an intent nothing changes.
    pub fn carried_out(&mut self, node: &NodeName, timeline: Option<Timeline>) {
        let Some(mut entry) = self.store.intent(node).cloned() else { return };
        self.followed = Some(entry.id);
        if let Some(timeline) = timeline {
            entry.timeline = timeline;
        }
        self.store.set_intent(entry);
        self.store.resolve_done(node);
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        use fmt::Write;
        let mut text = format!("{MAGIC}\nresource {}\nnode {}\n", self.resource, self.node);
        if let Some(id) = self.followed {
            let _ = writeln!(text, "followed {id}");
        }
        for slot in self.store.slots.values() {
            for (stage, entry) in [("done", &slot.done), ("intent", &slot.intent)] {
                if let Some(entry) = entry {
                    let _ = writeln!(text, "{stage} {entry}");
                }
            }
        }
        let _ = writeln!(text, "sum {:016x}", checksum(&text));
        text
    }

    /// Reads a file of this resource and node.
    pub fn parse(text: &str, resource: &str, node: &NodeName) -> Result<Self, LedgerError> {
        let file = |what: &str| LedgerError::File(what.to_owned());
        let body_end = text.rfind("sum ").ok_or_else(|| file("it has no checksum (cut off?)"))?;
        let (body, sum) = text.split_at(body_end);
        let sum = sum.trim_end_matches('\n').strip_prefix("sum ").unwrap_or_default();
        if sum != format!("{:016x}", checksum(body)) {
            return Err(file("its checksum does not match (damaged, or edited by hand)"));
        }
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

/// FNV-1a over 64 bits: against damage, not against malice (the file is root's).
fn checksum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PromotionId {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(id) if hex => Ok(Self(id)),
            _ => Err(bad("a promotion is not 16 hexadecimal digits", text)),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Async => "async",
        })
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.id, self.term, self.seq)
    }
}

impl FromStr for Ack {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let mut parts = text.split('.');
        let (Some(id), Some(term), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad("an acknowledgement has three parts", text));
        };
        Ok(Self { id: id.parse()?, term: number(term, text)?, seq: number(seq, text)? })
    }
}

/// Names separated by commas; `-` for none.
pub fn names(nodes: &BTreeSet<NodeName>) -> String {
    if nodes.is_empty() {
        return "-".to_owned();
    }
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(",")
}

/// The inverse of [`names`].
pub fn parse_names(text: &str) -> Result<BTreeSet<NodeName>, LedgerError> {
    if text == "-" {
        return Ok(BTreeSet::new());
    }
    text.split(',')
        .map(|name| name.parse().map_err(|_| bad("a node name is malformed", text)))
        .collect()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "term={} seq={} id={} primary={} timeline={} mode={} heirs={} system={} history=",
            self.term,
            self.seq,
            self.id,
            self.primary,
            self.timeline,
            self.mode,
            names(&self.heirs),
            self.system_id,
        )?;
        if self.history.is_empty() {
            return f.write_str("-");
        }
        for (i, past) in self.history.iter().enumerate() {
            write!(f, "{}{}@{}", if i == 0 { "" } else { "," }, past.id, past.timeline)?;
        }
        Ok(())
    }
}

impl FromStr for Entry {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let mut fields = BTreeMap::new();
        for field in text.split_ascii_whitespace() {
            let (key, value) =
                field.split_once('=').ok_or_else(|| bad("a field has no value", text))?;
            if fields.insert(key, value).is_some() {
                return Err(bad("a field stands twice", text));
            }
        }
        let get = |key: &'static str| {
            fields.get(key).copied().ok_or_else(|| bad(&format!("{key} is missing"), text))
        };
        let mode = match get("mode")? {
            "sync" => Mode::Sync,
            "async" => Mode::Async,
            _ => return Err(bad("the mode is neither sync nor async", text)),
        };
        let history = match get("history")? {
            "-" => Vec::new(),
            list => list
                .split(',')
                .take(HISTORY)
                .map(|past| {
                    let (id, timeline) = past
                        .split_once('@')
                        .ok_or_else(|| bad("a past promotion is malformed", text))?;
                    Ok(Past { id: id.parse()?, timeline: timeline_number(timeline, text)? })
                })
                .collect::<Result<_, LedgerError>>()?,
        };
        let entry = Self {
            system_id: number(get("system")?, text)?,
            term: number(get("term")?, text)?,
            seq: number(get("seq")?, text)?,
            id: get("id")?.parse()?,
            primary: get("primary")?.parse().map_err(|_| bad("the primary is no node", text))?,
            timeline: timeline_number(get("timeline")?, text)?,
            mode,
            heirs: parse_names(get("heirs")?)?,
            history,
        };
        if entry.heirs.contains(&entry.primary) {
            return Err(bad("the primary is among its own heirs", text));
        }
        Ok(entry)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = false;
        for (stage, entry) in [("done", &self.done), ("intent", &self.intent)] {
            if let Some(entry) = entry {
                write!(f, "{}{stage} {entry}", if rest { "; " } else { "" })?;
                rest = true;
            }
        }
        Ok(())
    }
}

impl FromStr for Slot {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let mut slot = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once(' ') {
                Some(("done", entry)) => slot.done = Some(entry.parse()?),
                Some(("intent", entry)) => slot.intent = Some(entry.parse()?),
                _ => return Err(bad("an entry is neither done nor intent", text)),
            }
        }
        let primary = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.primary.clone());
        if let (Some(a), Some(b)) = (primary(&slot.done), primary(&slot.intent))
            && a != b
        {
            return Err(bad("one slot names two primaries", text));
        }
        Ok(slot)
    }
}

fn bad(what: &str, text: &str) -> LedgerError {
    LedgerError::Entry { what: what.to_owned(), text: text.chars().take(120).collect() }
}

fn number(value: &str, text: &str) -> Result<u64, LedgerError> {
    value.parse().map_err(|_| bad("a number is malformed", text))
}

fn timeline_number(value: &str, text: &str) -> Result<Timeline, LedgerError> {
    value.parse().map(Timeline).map_err(|_| bad("a timeline is malformed", text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn entry(primary: &str, term: u64, seq: u64, heirs: &[&str]) -> Entry {
        Entry {
            system_id: 7_345_678_901_234_567_890,
            term,
            seq,
            id: PromotionId(term * 100 + 7),
            primary: node(primary),
            timeline: Timeline(3),
            mode: Mode::Sync,
            heirs: heirs.iter().map(|name| node(name)).collect(),
            history: vec![Past { id: PromotionId(5), timeline: Timeline(2) }],
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        for heirs in [&[][..], &["n2"], &["n2", "pg-3.example"]] {
            let written = entry("n1", 4, 9, heirs);
            assert_eq!(written.to_string().parse::<Entry>().unwrap(), written);
        }
    }

    #[test]
    fn malformed_entries_are_errors() {
        let good = entry("n1", 4, 9, &["n2"]).to_string();
        for (what, text) in [
            ("empty", String::new()),
            ("a missing field", good.replace("term=4 ", "")),
            ("a field twice", format!("{good} term=4")),
            ("no number", good.replace("term=4", "term=x")),
            ("a negative number", good.replace("seq=9", "seq=-9")),
            ("an overflow", good.replace("seq=9", "seq=99999999999999999999")),
            ("another mode", good.replace("mode=sync", "mode=maybe")),
            ("a short id", good.replace(&PromotionId(407).to_string(), "407")),
            ("the primary as heir", good.replace("heirs=n2", "heirs=n1")),
            ("a bad name", good.replace("heirs=n2", "heirs=n2,,n3")),
        ] {
            assert!(text.parse::<Entry>().is_err(), "{what}: {text}");
        }
    }

    #[test]
    fn a_file_reads_back_as_it_was_written() {
        let mut own = Own::new("pg", &node("n1"));
        own.followed = Some(PromotionId(5));
        own.store.set_done(entry("n1", 4, 9, &["n2"]));
        own.store.set_intent(entry("n2", 5, 0, &[]));
        let text = own.to_text();
        assert_eq!(Own::parse(&text, "pg", &node("n1")).unwrap(), own);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let mut own = Own::new("pg", &node("n1"));
        own.store.set_done(entry("n1", 4, 9, &["n2"]));
        let text = own.to_text();
        for (what, text, resource, name) in [
            ("cut off", text[..text.len() / 2].to_owned(), "pg", "n1"),
            ("empty", String::new(), "pg", "n1"),
            ("one digit changed", text.replace("term=4", "term=5"), "pg", "n1"),
            ("another resource", text.clone(), "pg2", "n1"),
            ("another node", text.clone(), "pg", "n2"),
            ("only a sum", "sum 0".to_owned(), "pg", "n1"),
        ] {
            assert!(Own::parse(&text, resource, &node(name)).is_err(), "{what}");
        }
    }

    #[test]
    fn a_higher_done_term_voids_what_is_below_it() {
        let mut store = Store::default();
        store.set_done(entry("n1", 1, 3, &["n2"]));
        store.set_intent(entry("n2", 2, 0, &[]));
        assert!(store.done(&node("n1")).is_some(), "an intent voids nothing");
        store.resolve_done(&node("n2"));
        assert!(store.done(&node("n1")).is_none());
        assert_eq!(store.done(&node("n2")).unwrap().term, 2);
    }

    #[test]
    fn the_own_slot_is_never_taken_from_elsewhere() {
        let mut own = Store::default();
        own.set_done(entry("n1", 1, 3, &["n2"]));
        let mut cib = Store::default();
        cib.set_done(entry("n1", 1, 4, &[]));
        assert_eq!(own.merged(&cib, Some(&node("n1"))), own);
        assert_eq!(own.merged(&cib, Some(&node("n2"))).done(&node("n1")).unwrap().seq, 4);
    }

    #[test]
    fn a_slot_reads_back_as_it_was_written() {
        let slot =
            Slot { done: Some(entry("n1", 1, 3, &["n2"])), intent: Some(entry("n1", 1, 4, &[])) };
        assert_eq!(slot.to_string().parse::<Slot>().unwrap(), slot);
        assert_eq!("".parse::<Slot>().unwrap(), Slot::default());
        assert!("maybe term=1".parse::<Slot>().is_err());
    }

    #[test]
    fn an_acknowledgement_reads_back() {
        let ack = entry("n1", 4, 9, &[]).ack();
        assert_eq!(ack.to_string().parse::<Ack>().unwrap(), ack);
        assert!("1.2".parse::<Ack>().is_err());
    }
}
