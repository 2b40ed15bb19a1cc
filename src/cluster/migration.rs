//! The record of data that is being moved into the storage: what it says, and its text. Floor 0.

use std::fmt;

const HEAD: &str = "pgtwin migration 1";

/// How the data gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A snapshot of the subvolume that it is.
    Snapshot,
    /// Files that share their blocks with the old ones until they are written to.
    Reflink,
    /// A copy of every file.
    Copy,
}

impl Method {
    /// Its name, in the record and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Reflink => "reflink",
            Self::Copy => "copy",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Snapshot, Self::Reflink, Self::Copy].into_iter().find(|one| one.name() == name)
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The new data is being made, and the old is the data.
    Making,
    /// The new data is whole. The old is about to be put out of use, or is; then the new comes to its place.
    Switching,
    /// The new data is in its place. The old is left, out of use.
    Moved,
    /// The old data is being removed.
    Removing,
}

impl Stage {
    /// Its name in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Switching => "switching",
            Self::Moved => "moved",
            Self::Removing => "removing",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let all = [Self::Making, Self::Switching, Self::Moved, Self::Removing];
        all.into_iter().find(|one| one.name() == name)
    }
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How far it is.
    pub stage: Stage,
    /// How it is done.
    pub method: Method,
    /// The database system.
    pub system_id: u64,
    /// When it was begun, in seconds of the epoch.
    pub begun: i64,
    /// The inode of the old data directory.
    pub inode: u64,
    /// The real path of the old data directory: text without a line break.
    pub from: String,
}

/// Why a text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no record of a migration, or of another version of pgtwin")]
pub struct NoRecord;

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, method, system_id, begun, inode, from } = self;
        writeln!(f, "{HEAD}\n{} {}", stage.name(), method.name())?;
        writeln!(f, "{system_id} {begun} {inode}\n{from}\nend")
    }
}

impl std::str::FromStr for Record {
    type Err = NoRecord;

    fn from_str(text: &str) -> Result<Self, NoRecord> {
        read(text).ok_or(NoRecord)
    }
}

fn read(text: &str) -> Option<Record> {
    let lines: Vec<&str> = text.strip_suffix("\nend\n")?.split('\n').collect();
    let [HEAD, how, numbers, from] = lines.as_slice() else { return None };
    let (stage, method) = how.split_once(' ')?;
    let numbers: Vec<&str> = numbers.split(' ').collect();
    let [system_id, begun, inode] = numbers.as_slice() else { return None };
    from.starts_with('/').then_some(())?;
    Some(Record {
        stage: Stage::of(stage)?,
        method: Method::of(method)?,
        system_id: system_id.parse().ok()?,
        begun: begun.parse().ok()?,
        inode: inode.parse().ok()?,
        from: (*from).to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_nothing_else_is() {
        for stage in [Stage::Making, Stage::Switching, Stage::Moved, Stage::Removing] {
            for method in [Method::Snapshot, Method::Reflink, Method::Copy] {
                let from = "/var/lib/pg sql/data".to_owned();
                let record =
                    Record { stage, method, system_id: u64::MAX, begun: -1, inode: 256, from };
                let text = record.to_string();
                assert_eq!(text.parse(), Ok(record));
                for end in 0..text.len() {
                    assert_eq!(text.get(..end).unwrap().parse::<Record>(), Err(NoRecord), "{end}");
                }
            }
        }
        for other in ["", "end\n", "pgtwin migration 2\nmoved copy\n1 2 3\n/x\nend\n"] {
            assert_eq!(other.parse::<Record>(), Err(NoRecord));
        }
        let relative = "pgtwin migration 1\nmoved copy\n1 2 3\nx\nend\n";
        assert_eq!(relative.parse::<Record>(), Err(NoRecord));
    }
}
