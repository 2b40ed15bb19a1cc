//! WAL, as short as the bounds let it be.

use std::fmt;

/// Records that one WAL can hold.
pub const RECORDS: u8 = 8;

/// WAL: records of one byte, oldest first. A promotion is 0x80, its timeline in three bits, and its
/// number; a commit is its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Wal {
    /// The records, the oldest in the lowest byte.
    pub bytes: u64,
    /// How many.
    pub len: u8,
}

/// A record of the WAL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// The promotion to a timeline, and which one.
    Promotion(u8, u8),
    /// A commit.
    Commit(u8),
}

impl Wal {
    /// The byte at `at`.
    pub fn byte(self, at: u8) -> u8 {
        self.bytes.to_le_bytes()[usize::from(at)]
    }

    /// The record at `at`.
    pub fn record(self, at: u8) -> Record {
        match self.byte(at) {
            byte if byte & 0x80 != 0 => Record::Promotion(byte >> 4 & 7, byte & 15),
            byte => Record::Commit(byte),
        }
    }

    /// All records.
    pub fn records(self) -> impl DoubleEndedIterator<Item = Record> {
        (0..self.len).map(move |at| self.record(at))
    }

    /// Appends a byte; a WAL that is full stays as it is, and the caller has seen to that.
    pub fn append(&mut self, byte: u8) {
        debug_assert!(self.len < RECORDS, "the bounds let a WAL grow too long");
        self.bytes |= u64::from(byte) << (8 * self.len);
        self.len += 1;
    }

    /// Appends a promotion.
    pub fn promote(&mut self, timeline: u8, id: u8) {
        self.append(0x80 | (timeline & 7) << 4 | id);
    }

    /// Whether the other one begins with this one.
    pub fn begins(self, other: Self) -> bool {
        let mask = if self.len >= RECORDS { u64::MAX } else { (1 << (8 * self.len)) - 1 };
        self.len <= other.len && other.bytes & mask == self.bytes
    }

    /// The same as far as anybody can tell: positions, and timelines by number and switch point.
    pub fn seems_to_begin(self, other: Self) -> bool {
        self.len <= other.len
            && (0..self.len).all(|at| match (self.record(at), other.record(at)) {
                (Record::Promotion(a, _), Record::Promotion(b, _)) => a == b,
                (Record::Commit(_), Record::Commit(_)) => true,
                _ => false,
            })
    }

    /// The last promotion: where it is, its timeline, and which it is.
    pub fn last_promotion(self) -> Option<(u8, u8, u8)> {
        (0..self.len).rev().find_map(|at| match self.record(at) {
            Record::Promotion(timeline, id) => Some((at, timeline, id)),
            Record::Commit(_) => None,
        })
    }

    /// The timeline on which it ends.
    pub fn timeline(self) -> u8 {
        self.last_promotion().map_or(0, |(_, timeline, _)| timeline)
    }

    /// Whether it contains this promotion.
    pub fn has_promotion(self, id: u8) -> bool {
        self.records().any(|record| matches!(record, Record::Promotion(_, it) if it == id))
    }

    /// Whether it contains this commit.
    pub fn has_commit(self, number: u8) -> bool {
        self.records().any(|record| record == Record::Commit(number))
    }
}

impl fmt::Display for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, record) in self.records().enumerate() {
            let space = if at == 0 { "" } else { " " };
            match record {
                Record::Promotion(timeline, id) => write!(f, "{space}T{timeline}u{id}")?,
                Record::Commit(number) => write!(f, "{space}c{number}")?,
            }
        }
        Ok(())
    }
}
