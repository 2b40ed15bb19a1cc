//! What a member's data is worth, and what it publishes of itself for an election. Floor 0.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::ledger::{Own, PromotionId, Slot, Store};
use crate::postgres::history::{History, Relation};
use crate::postgres::lsn::{Lsn, Timeline};

/// Whether a position is all that the disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// It is.
    Exact,
    /// A standby that still replays WAL which it had already flushed: the disk may hold more.
    AtLeast,
}

/// How far a node's data goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The database system's identifier.
    pub system_id: u64,
    /// Its timeline, with its ancestors.
    pub line: History,
    /// The end of its WAL, in bytes.
    pub lsn: Lsn,
    /// Whether that is all.
    pub exactness: Exactness,
}

impl Position {
    /// Its timeline.
    pub fn timeline(&self) -> Timeline {
        self.line.timeline()
    }

    /// How another position lies to this one, by ancestry.
    pub fn relation_to(&self, other: &Self) -> Relation {
        History::compare((&self.line, self.lsn), (&other.line, other.lsn))
    }

    /// The part of it that counts in an election, by the own file (`never-written`): a timeline that nobody has
    /// written to holds no commit, and must not make this node one that has more, or has parted.
    #[must_use]
    pub fn counted(self, own: &Own) -> Self {
        let Some(after) = own.counts_up_to(self.timeline(), self.lsn) else { return self };
        match self.line.ancestor(after) {
            Some((line, end)) => Self { line, lsn: self.lsn.min(end), ..self },
            None => self,
        }
    }

    /// `3/0/5000148`: timeline and position, for people.
    pub fn short(&self) -> String {
        format!("timeline {} at {}", self.timeline(), self.lsn)
    }
}

/// What a member says about itself in an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// It has a database.
    Data(Box<Member>),
    /// It was looked at, and there is no database on it (and no mount is missing).
    NoData,
}

/// A member with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// How far its data goes.
    pub position: Position,
    /// The last promotion that its data is known to contain.
    pub followed: Option<PromotionId>,
    /// The last position that its primary was known to have reached.
    pub primary_reached: Option<Lsn>,
    /// The timeline that its data ends on, where that is one that nobody has written to and its position does not
    /// count it (`never-written`).
    pub never_written: Option<Timeline>,
    /// Its ledger file, with its own intent resolved.
    pub store: Store,
}

/// A text is not a publication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a published position is malformed: {what} in {text:?}")]
pub struct NotAPublication {
    what: &'static str,
    text: String,
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Data(member) = self else {
            return f.write_str("none");
        };
        let Position { system_id, line, lsn, exactness } = &member.position;
        let exact = match exactness {
            Exactness::Exact => "exact",
            Exactness::AtLeast => "at-least",
        };
        write!(f, "{exact} system={system_id} line={line} lsn={lsn}")?;
        if let Some(id) = member.followed {
            write!(f, " followed={id}")?;
        }
        if let Some(lsn) = member.primary_reached {
            write!(f, " primary={lsn}")?;
        }
        if let Some(timeline) = member.never_written {
            write!(f, " never-written={timeline}")?;
        }
        for (_, slot) in member.store.slots() {
            write!(f, " | {slot}")?;
        }
        Ok(())
    }
}

impl FromStr for Publication {
    type Err = NotAPublication;

    fn from_str(text: &str) -> Result<Self, NotAPublication> {
        let bad = |what| NotAPublication { what, text: text.chars().take(120).collect() };
        if text == "none" {
            return Ok(Self::NoData);
        }
        let mut sections = text.split('|').map(str::trim);
        let mut words = sections.next().unwrap_or_default().split_ascii_whitespace();
        let exactness = match words.next() {
            Some("exact") => Exactness::Exact,
            Some("at-least") => Exactness::AtLeast,
            _ => return Err(bad("it says neither exact nor at-least")),
        };
        let (mut system_id, mut line, mut lsn) = (None, None, None);
        let (mut followed, mut primary_reached, mut never_written) = (None, None, None);
        let mut seen = BTreeSet::new();
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                return Err(bad("a field has no value"));
            };
            if !seen.insert(key) {
                return Err(bad("a field stands twice"));
            }
            match key {
                "system" => system_id = value.parse().ok(),
                "line" => line = value.parse().ok(),
                "lsn" => lsn = value.parse().ok(),
                "followed" => {
                    followed = Some(value.parse().map_err(|_| bad("followed is malformed"))?);
                }
                "primary" => {
                    primary_reached = Some(value.parse().map_err(|_| bad("primary is malformed"))?);
                }
                "never-written" => {
                    let timeline = value.parse().map_err(|_| bad("never-written is malformed"))?;
                    never_written = Some(timeline);
                }
                _ => return Err(bad("a field is unknown")),
            }
        }
        let mut store = Store::default();
        for section in sections {
            let slot: Slot = section.parse().map_err(|_| bad("a ledger entry is malformed"))?;
            let primary = slot.done.as_ref().or(slot.intent.as_ref()).map(|e| e.primary.clone());
            if let Some(primary) = primary {
                store.replace_slot(&primary, slot);
            }
        }
        match (system_id, line, lsn) {
            (Some(system_id), Some(line), Some(lsn)) => Ok(Self::Data(Box::new(Member {
                position: Position { system_id, line, lsn, exactness },
                followed,
                primary_reached,
                never_written,
                store,
            }))),
            _ => Err(bad("system, line or lsn is missing or malformed")),
        }
    }
}

/// The end of the WAL of a primary that was shut down in an orderly way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// The promotion under which it wrote.
    pub id: PromotionId,
    /// The timeline it wrote.
    pub timeline: Timeline,
    /// The end of its shutdown checkpoint's record.
    pub end: Lsn,
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.id, self.timeline, self.end)
    }
}

impl FromStr for Shutdown {
    type Err = NotAPublication;

    fn from_str(text: &str) -> Result<Self, NotAPublication> {
        let bad = || NotAPublication {
            what: "a shutdown has three parts",
            text: text.chars().take(120).collect(),
        };
        let mut words = text.split_ascii_whitespace();
        let (Some(id), Some(timeline), Some(end), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        Ok(Self {
            id: id.parse().map_err(|_| bad())?,
            timeline: timeline.parse().map_err(|_| bad())?,
            end: end.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::known::Known;
    use crate::cluster::ledger::{Beyond, Entry, Mode, NeverWritten};

    fn publication() -> Publication {
        let mut store = Store::default();
        for (primary, term) in [("n1", 3), ("n2", 3)] {
            store.set_done(Entry {
                system_id: 7,
                term,
                seq: 1,
                id: PromotionId(term),
                primary: primary.parse().unwrap(),
                timeline: Timeline(2),
                mode: Mode::Sync,
                heirs: ["n3".parse().unwrap()].into(),
                history: Vec::new(),
                adopted: None,
            });
        }
        Publication::Data(Box::new(Member {
            position: Position {
                system_id: 7,
                line: "1@0/3000148,2".parse().unwrap(),
                lsn: Lsn(0x500_0000),
                exactness: Exactness::Exact,
            },
            followed: Some(PromotionId(9)),
            primary_reached: Some(Lsn(0x500_0100)),
            never_written: Some(Timeline(3)),
            store,
        }))
    }

    #[test]
    fn a_publication_reads_back() {
        assert_eq!(publication().to_string().parse::<Publication>().unwrap(), publication());
        assert_eq!("none".parse::<Publication>().unwrap(), Publication::NoData);
    }

    #[test]
    fn what_was_never_written_to_is_not_counted() {
        let (me, timeline) = ("n3".parse().unwrap(), Timeline(2));
        let mut own = Own::new("pg", &me);
        let Publication::Data(member) = publication() else { unreachable!("it is data") };
        own.store = member.store.clone();
        own.followed = Some(PromotionId(3));
        let of = |line: &str, lsn| Position {
            line: line.parse().unwrap(),
            lsn: Lsn(lsn),
            ..member.position.clone()
        };
        let whole = of("1@0/300,2@0/500,3", 0x520);
        assert_eq!(whole.clone().counted(&own), whole, "nothing is known of it");
        let mut intent = own.store.newest_done().unwrap().clone();
        intent.primary = me;
        intent.heirs.clear();
        intent.history = intent.history_with_self();
        own.intends(intent);
        let end = Lsn(0x520);
        let found = NeverWritten { after: timeline, last: Timeline(3), end };
        own.came_to_nothing(&Known::Known(Beyond::NeverWritten(found)));
        assert_eq!(whole.clone().counted(&own), of("1@0/300,2", 0x500));
        let more = of("1@0/300,2@0/500,3", 0x521);
        assert_eq!(more.clone().counted(&own), more, "more than was looked at");
        let other = of("1@0/300,3", 0x520);
        assert_eq!(other.clone().counted(&own), other, "it does not come from there");
    }

    #[test]
    fn malformed_publications_are_errors() {
        let good = publication().to_string();
        for (what, text) in [
            ("empty", String::new()),
            ("no exactness", good.replace("exact ", "")),
            ("another exactness", good.replace("exact ", "perhaps ")),
            ("no line", good.replace("line=", "lines=")),
            ("a bad line", good.replace("1@0/3000148,2", "2,1@0/1")),
            ("a bad position", good.replace("lsn=0/5000000", "lsn=5000000")),
            ("a bad entry", good.replace("term=3", "term=x")),
            ("a bad timeline", good.replace("never-written=3", "never-written=x")),
            ("a field twice", good.replace(" lsn=", " lsn=0/1 lsn=")),
        ] {
            assert!(text.parse::<Publication>().is_err(), "{what}: {text}");
        }
    }

    #[test]
    fn a_shutdown_reads_back() {
        let shutdown = Shutdown { id: PromotionId(9), timeline: Timeline(2), end: Lsn(0x500_0000) };
        assert_eq!(shutdown.to_string().parse::<Shutdown>().unwrap(), shutdown);
        let good = shutdown.to_string();
        for text in ["1 2".to_owned(), good.replace(" 2 ", " 0 "), good.replace(" 2 ", " +2 ")] {
            assert_ne!(text, good);
            assert!(text.parse::<Shutdown>().is_err(), "{text}");
        }
    }
}
