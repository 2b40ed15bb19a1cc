//! History files of another line in pg_wal, and where a plain restore_command copies from. Floor 2.

use std::path::Path;

use crate::cluster::known::Known;
use crate::decide::foreign_history::{Line, foreign};
use crate::postgres::history::History;
use crate::postgres::lsn::Timeline;
use crate::sys::chain;
use crate::sys::files::{FileError, read_untrusted};

use super::{Place, RuntimeError};

/// So many timelines below and above the server's own are looked for.
const AROUND: u32 = 64;
/// A history file has a line for each promotion.
const LARGEST: u64 = 1 << 20;

/// The history files in a directory that are not of this line: each with the reason. As PostgreSQL does, the
/// next timelines are looked for one after the other, until one is missing: an archive is never listed.
pub fn look(place: &Place, dir: &Path, line: &Line) -> Known<Vec<(String, String)>> {
    let mine = line.history.timeline().0;
    let mut found = Vec::new();
    let known = mine.saturating_sub(AROUND).max(2)..=mine;
    let next = mine.saturating_add(1)..=mine.saturating_add(AROUND);
    for (timeline, is_next) in known.map(|one| (one, false)).chain(next.map(|one| (one, true))) {
        let timeline = Timeline(timeline);
        let path = dir.join(timeline.history_file());
        let text = match place.as_user(|| read_untrusted(&path, LARGEST)) {
            Ok(text) => text,
            Err(RuntimeError::File(FileError::Missing { .. })) if is_next => break,
            Err(RuntimeError::File(FileError::Missing { .. })) => continue,
            Err(error) => return Known::unknown(chain(&error)),
        };
        let why = match History::parse_file(timeline, &text) {
            Ok(history) => foreign(line, &history),
            Err(error) => Some(error.to_string()),
        };
        found.extend(why.map(|why| (path.display().to_string(), why)));
    }
    Known::Known(found)
}
