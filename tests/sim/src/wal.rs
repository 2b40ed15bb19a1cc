//! WAL as a list of records. PostgreSQL compares by timeline and position alone; whether two lists are
//! the same is known only here, and is what the invariants look at.

use pgtwin::postgres::history::{History, Relation};
use pgtwin::postgres::lsn::{Lsn, Timeline};

/// One record. Two are the same only if they were written by the same act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A commit, by number.
    Commit(u64),
    /// A timeline begins; the act that began it.
    Begin(u32, u64),
    /// A checkpoint; the act.
    Checkpoint(u64),
}

/// What a disk holds: of the records beyond `flushed` any number may be gone after a loss of power.
#[derive(Clone, Debug, Default)]
pub struct Wal {
    /// The records.
    pub records: Vec<Record>,
    /// How many are on the disk for certain.
    pub flushed: usize,
}

/// The position behind so many records.
pub fn lsn(records: usize) -> Lsn {
    Lsn(0x1000 + records as u64 * 0x10)
}

/// The line of the first so many records.
pub fn line(records: &[Record]) -> History {
    let (mut text, mut timeline) = (String::new(), 1);
    for (index, record) in records.iter().enumerate() {
        if let Record::Begin(next, _) = record {
            text = format!("{text}{timeline}@{},", lsn(index));
            timeline = *next;
        }
    }
    (text + &timeline.to_string()).parse().expect("timelines grow along a line")
}

/// The timeline at the end.
pub fn timeline(records: &[Record]) -> Timeline {
    let last = records.iter().rev().find_map(|record| match record {
        Record::Begin(timeline, _) => Some(*timeline),
        Record::Commit(_) | Record::Checkpoint(_) => None,
    });
    Timeline(last.unwrap_or(1))
}

/// Whether PostgreSQL would let one with `theirs` stream from one with `ours`.
pub fn may_follow(ours: &[Record], theirs: &[Record]) -> bool {
    let (a, b) = ((line(ours), lsn(ours.len())), (line(theirs), lsn(theirs.len())));
    matches!(History::compare((&a.0, a.1), (&b.0, b.1)), Relation::Equal | Relation::AAhead)
}

impl Wal {
    /// Writes a record that may still be lost.
    pub fn write(&mut self, record: Record) -> usize {
        self.records.push(record);
        self.records.len()
    }

    /// What was written is on the disk.
    pub fn flush(&mut self) {
        self.flushed = self.records.len();
    }

    /// What is on the disk for certain.
    pub fn durable(&self) -> &[Record] {
        &self.records[..self.flushed]
    }

    /// Whether the commit is on the disk.
    pub fn has(&self, commit: u64) -> bool {
        self.durable().contains(&Record::Commit(commit))
    }
}
