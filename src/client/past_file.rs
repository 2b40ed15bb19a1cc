//! What this node remembers of itself, a line an event: a record for people, which nothing depends on.
//! Floor 2.
//!
//! It is appended to without a sync, so that nobody waits for it, and cut when it has grown. A line that a
//! power cut has spoiled is passed over.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::fcntl::OFlag;

use crate::cluster::past::Event;
use crate::cluster::recovery::Kept;
use crate::sys::chain;
use crate::sys::files::{self, FileError, Seen};

const FILE: &str = "history";
/// So many events stay when it is cut.
const KEPT: usize = 200;
/// It is cut when it is longer, in bytes.
const LONG: u64 = 128 * 1024;
/// The longest one that is read.
const READ: u64 = 4 * LONG;

/// The record of a resource on this node: as a rule `/var/lib/pgtwin/RSC/history`.
#[derive(Clone, Debug)]
pub struct PastFile {
    dir: PathBuf,
}

impl PastFile {
    /// `root` is as a rule `/var/lib/pgtwin`.
    pub fn new(root: &str, resource: &str) -> Self {
        Self { dir: PathBuf::from(root).join(resource) }
    }

    /// Adds an event.
    pub fn add(&self, event: &Event) -> Result<(), FileError> {
        if let Some(root) = self.dir.parent() {
            files::ensure_root_dir(root, 0o755)?;
        }
        files::ensure_root_dir(&self.dir, 0o750)?;
        let path = self.dir.join(FILE);
        let io = |what| {
            let path = path.clone();
            move |source| FileError::Io { what, path, source }
        };
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(flags.bits())
            .open(&path)
            .map_err(io("open"))?;
        // One write, so that a line is there whole or not at all.
        file.write_all(format!("{event}\n").as_bytes()).map_err(io("write"))?;
        let long = file.metadata().map_err(io("examine"))?.len() > LONG;
        if long { self.cut() } else { Ok(()) }
    }

    /// Who adds an event at the same moment may lose it.
    fn cut(&self) -> Result<(), FileError> {
        let text = files::read_root_owned(&self.dir.join(FILE), READ)?;
        let lines: Vec<&str> = text.lines().collect();
        let newest = lines.get(lines.len().saturating_sub(KEPT)..).unwrap_or_default();
        let text = newest.join("\n") + "\n";
        files::write_volatile(&self.dir, FILE, text.as_bytes(), 0o640)
    }

    /// All events, oldest first.
    pub fn read(&self) -> Kept<Vec<Event>> {
        let path = self.dir.join(FILE);
        match files::look(&path) {
            Seen::Missing => return Kept::Missing,
            Seen::Present(_) => {}
            Seen::Unknown(why) => return Kept::Unreadable(why),
        }
        match files::read_root_owned(&path, READ) {
            Ok(text) => Kept::Read(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) => Kept::Unreadable(chain(&error)),
        }
    }

    /// Changes with each event; none: there is no record, or it cannot be seen.
    pub fn stamp(&self) -> Option<String> {
        let meta = std::fs::symlink_metadata(self.dir.join(FILE)).ok()?;
        Some(format!("{}.{}.{}", meta.mtime(), meta.mtime_nsec(), meta.len()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cluster::past::Kind;

    fn file(dir: &tempfile::TempDir) -> PastFile {
        PastFile::new(&dir.path().display().to_string(), "db")
    }

    fn event(n: i64) -> Event {
        Event::new(1_764_138_600 + n, Kind::Sync, &format!("without n2 from now on {n}"))
    }

    #[test]
    fn events_are_read_in_their_order_and_a_spoiled_line_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let past = file(&dir);
        assert_eq!((past.read(), past.stamp()), (Kept::Missing, None));
        past.add(&event(1)).unwrap();
        let first = past.stamp();
        past.add(&event(2)).unwrap();
        assert!(first.is_some() && past.stamp() != first);
        let path = dir.path().join("db/history");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}17641386\0\0\0\n\n")).unwrap();
        past.add(&event(3)).unwrap();
        assert_eq!(past.read(), Kept::Read(vec![event(1), event(2), event(3)]));
    }

    #[test]
    fn a_record_that_has_grown_keeps_its_newest_events() {
        let dir = tempfile::tempdir().unwrap();
        let past = file(&dir);
        past.add(&event(0)).unwrap();
        let path = dir.path().join("db/history");
        let grown = (1..3500).map(|n| event(n).to_string()).collect::<Vec<_>>().join("\n") + "\n";
        assert!(grown.len() as u64 > LONG);
        std::fs::write(&path, grown).unwrap();
        past.add(&event(3500)).unwrap();
        let Kept::Read(events) = past.read() else { panic!() };
        assert_eq!((events.len(), &events[0]), (KEPT, &event(3301)));
        assert_eq!(events.last(), Some(&event(3500)));
    }

    #[test]
    fn what_is_not_ours_is_not_written_to_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let past = file(&dir);
        past.add(&event(1)).unwrap();
        let path = dir.path().join("db/history");
        let other = dir.path().join("other");
        std::fs::rename(&path, &other).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let before = std::fs::read_to_string(&other).unwrap();
        assert!(past.add(&event(2)).is_err());
        assert!(matches!(past.read(), Kept::Unreadable(_)));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), before);
    }
}
