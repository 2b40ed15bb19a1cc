//! Entries and acknowledgements as text, in the file and in the CIB, and back. Floor 0.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::entry::{Ack, Entry, GIVEN_UP, HISTORY, Mode, Past, PromotionId, Void};
use super::store::Slot;
use crate::cluster::node::NodeName;
use crate::postgres::lsn::Timeline;

/// The highest term and sequence number that is believed.
const HIGHEST: u64 = 1 << 62;

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
        Ok(Self { id: id.parse()?, term: counter(term, text)?, seq: counter(seq, text)? })
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
            f.write_str("-")?;
        }
        for (i, past) in self.history.iter().enumerate() {
            write!(f, "{}{}@{}", if i == 0 { "" } else { "," }, past.id, past.timeline)?;
        }
        match self.adopted.as_deref() {
            None => Ok(()),
            Some([]) => f.write_str(" adopted=-"),
            Some(systems) => {
                let systems: Vec<String> = systems.iter().map(u64::to_string).collect();
                write!(f, " adopted={}", systems.join(","))
            }
        }
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
                    Ok(Past { id: id.parse()?, timeline: self::timeline(timeline, text)? })
                })
                .collect::<Result<_, LedgerError>>()?,
        };
        // Older versions write none, and pass over it.
        let adopted = match fields.get("adopted").copied() {
            None => None,
            Some("-") => Some(Vec::new()),
            Some(list) => {
                let systems = list.split(',').take(GIVEN_UP).map(|system| number(system, text));
                Some(systems.collect::<Result<_, LedgerError>>()?)
            }
        };
        let entry = Self {
            system_id: number(get("system")?, text)?,
            term: counter(get("term")?, text)?,
            seq: counter(get("seq")?, text)?,
            id: get("id")?.parse()?,
            primary: get("primary")?.parse().map_err(|_| bad("the primary is no node", text))?,
            timeline: timeline(get("timeline")?, text)?,
            mode,
            heirs: parse_names(get("heirs")?)?,
            history,
            adopted,
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
        if !self.void.is_empty() {
            write!(f, "{}void {}", if rest { "; " } else { "" }, Voids(&self.void))?;
        }
        Ok(())
    }
}

/// As in `00000000000003f2@4,…`: promotions with their terms.
pub(super) struct Voids<'v>(pub(super) &'v [Void]);

impl fmt::Display for Voids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, void) in self.0.iter().enumerate() {
            write!(f, "{}{}@{}", if i == 0 { "" } else { "," }, void.id, void.term)?;
        }
        Ok(())
    }
}

/// Reads them.
pub(super) fn parse_voids(text: &str) -> Result<Vec<Void>, LedgerError> {
    let read = |one: &str| {
        let what = "a promotion that came to nothing is malformed";
        let (id, term) = one.split_once('@').ok_or_else(|| bad(what, text))?;
        Ok(Void { id: id.parse()?, term: counter(term, text)? })
    };
    text.split(',').map(read).collect()
}

impl FromStr for Slot {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let mut slot = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once(' ') {
                Some(("done", entry)) => slot.done = Some(entry.parse()?),
                Some(("intent", entry)) => slot.intent = Some(entry.parse()?),
                Some(("void", voids)) => slot.void = parse_voids(voids)?,
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
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.ok_or_else(|| bad("a number is malformed", text))
}

/// A term or a sequence number. They grow by one at a time: a huge one is damage, and the next
/// after it must be a number too.
fn counter(value: &str, text: &str) -> Result<u64, LedgerError> {
    match number(value, text)? {
        count if count <= HIGHEST => Ok(count),
        _ => Err(bad("a term or sequence number is too large", text)),
    }
}

fn timeline(value: &str, text: &str) -> Result<Timeline, LedgerError> {
    value.parse().map_err(|_| bad("a timeline is malformed", text))
}
