//! Where the parts of a data directory lie, where their replacements are made, and where the old ones
//! go: found out, and refused where it cannot be done safely, before anything is touched. Floor 2.
//!
//! A *part* is a directory that is replaced: the data itself (a symbolic link at PGDATA is resolved and
//! stays), `pg_wal` where it is a link, and each tablespace. A part is replaced *beside*, by renames in
//! its parent directory, or *inside*, by renames of its content, where it is a mount point or its
//! parent is not ours to write to. An old copy that lies inside would be copied by every pg_basebackup
//! and pg_rewind from this node, so it is never kept longer than until the new data streams, whatever
//! was asked for.

mod noted;
mod survey;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

pub use noted::{Noted, NotedPart, links, note, real_data};
pub use survey::survey;
pub use text::LayoutError;

use super::Place;
use crate::sys::privilege::with_user;

/// A tablespace of the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tablespace {
    /// Its number, by which it is linked in `pg_tblspc`.
    pub oid: u32,
    /// Its directory on the source, as `pg_tablespace_location` gives it.
    pub location: PathBuf,
}

impl Tablespace {
    /// One of the source's; none: it lies in the data, and is copied with it.
    pub fn of(space: &crate::decide::source::Tablespace) -> Option<Self> {
        let location = PathBuf::from(&space.location);
        space.is_elsewhere().then_some(Self { oid: space.oid, location })
    }
}

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// PGDATA.
    Data,
    /// `pg_wal`, which PGDATA links to.
    Wal,
    /// A tablespace of the source, and where the source has it. Only what is of this version of
    /// PostgreSQL in that directory is ours.
    Tablespace(Tablespace),
    /// A tablespace that the old data has and the source has not: the number.
    Dropped(u32),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("the data"),
            Self::Wal => f.write_str("pg_wal"),
            Self::Tablespace(Tablespace { oid, .. }) => write!(f, "tablespace {oid}"),
            Self::Dropped(oid) => write!(f, "tablespace {oid}, which the primary has not,"),
        }
    }
}

/// A directory that is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub what: What,
    /// Its real path.
    pub at: PathBuf,
    /// By renames of its content.
    pub inside: bool,
    /// There is something to be moved aside.
    pub has_old: bool,
    /// Its mode, which stays; none where it is not there yet.
    pub mode: Option<u32>,
    /// The text of the link in PGDATA that leads to it; empty for the data.
    pub link: PathBuf,
}

/// What is known of data that is not there any more, and of where its parts lay.
#[derive(Clone, Copy, Debug)]
pub enum Remembered<'a> {
    /// Nothing.
    Nothing,
    /// The plan of the swap that was cut off.
    Plan(&'a Layout),
    /// What was noted while it was in use.
    Noted(&'a Noted),
}

/// All parts, and what becomes of the old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `YYYYMMDD-HHMMSS`: tells old copies apart.
    pub stamp: String,
    /// The old data is kept as a backup when the new one streams. Not, whatever was asked for, where
    /// it is itself a copy that has never streamed: then the backup that was made before it is worth
    /// more, and stays. Nor where the data itself is lost: what it has left elsewhere is worth nothing.
    pub keep: bool,
    /// The major version of the source.
    pub major: u32,
    /// The data, then the others.
    pub parts: Vec<Part>,
}

/// Where the parts of a database are reached: PGDATA, and as far as there is data, the WAL and the
/// tablespaces.
pub fn leads_to(place: &Place, data: bool) -> Vec<PathBuf> {
    let mut paths = vec![place.pgdata.clone()];
    if data {
        paths.push(place.pgdata.join("pg_wal"));
        let spaces = with_user(&place.user, || std::fs::read_dir(place.pgdata.join("pg_tblspc")));
        let spaces = spaces.ok().and_then(Result::ok).into_iter().flatten();
        paths.extend(spaces.filter_map(Result::ok).map(|entry| entry.path()));
    }
    paths
}

/// What a replacement is called.
pub(super) const NEW: &str = ".pgtwin-new";
/// A file in a copy that was made to its end, with the stamp of its layout, and a word behind it once
/// the copy has streamed. It stays in the data, and tells the new data from the old.
pub(super) const COPY: &str = "pgtwin.copy";
/// That word.
pub(super) const STREAMED: &str = " streamed\n";
/// What an old copy is called that goes, and the beginning of its stamp.
const OLD: &str = ".pgtwin-old.";
/// What an old copy is called that stays.
const BACKUP: &str = ".backup.";

impl Part {
    /// Where its replacement is made.
    pub fn new_dir(&self) -> PathBuf {
        if self.inside { self.at.join(NEW) } else { beside(&self.at, NEW) }
    }

    /// Whether the copy makes a new one of it.
    pub fn has_new(&self) -> bool {
        !matches!(self.what, What::Dropped(_))
    }

    /// The path of the link to it, below PGDATA; none for the data itself.
    pub fn link_name(&self) -> Option<PathBuf> {
        match &self.what {
            What::Data => None,
            What::Wal => Some("pg_wal".into()),
            What::Tablespace(Tablespace { oid, .. }) | What::Dropped(oid) => {
                Some(Path::new("pg_tblspc").join(oid.to_string()))
            }
        }
    }
}

impl Layout {
    /// The data itself.
    pub fn data(&self) -> Option<&Part> {
        self.parts.first().filter(|part| part.what == What::Data)
    }

    /// Another part.
    fn part_of(&self, what: &What) -> Option<&Part> {
        self.parts.iter().find(|part| part.what == *what)
    }

    /// Whether the old data will really be kept.
    pub fn keeps(&self) -> bool {
        self.keep && self.why_not_kept().is_none()
    }

    /// Why the old data cannot be kept, though that was asked for; for the log.
    pub fn why_not_kept(&self) -> Option<String> {
        let part = self.parts.iter().find(|part| part.inside).filter(|_| self.keep)?;
        Some(format!(
            "the old data is removed when the new one streams: {} is a mount point, or not alone in a \
             directory of its own, and a copy inside it would be copied by every standby",
            part.at.display()
        ))
    }

    /// Where the old content of a part goes.
    pub fn old_dir(&self, part: &Part) -> PathBuf {
        let name = if self.keeps() { BACKUP } else { OLD };
        let name = format!("{name}{}", self.stamp);
        if part.inside { part.at.join(name) } else { beside(&part.at, &name) }
    }

    /// The beginning of the names in a tablespace that are of this version; empty for another part,
    /// where all are.
    pub fn only(&self, part: &Part) -> String {
        match part.what {
            What::Data | What::Wal => String::new(),
            What::Tablespace(_) | What::Dropped(_) => format!("PG_{}_", self.major),
        }
    }
}

/// Where a replacement of what is at a path may lie.
pub(super) fn new_dirs(at: &Path) -> [PathBuf; 2] {
    [beside(at, NEW), at.join(NEW)]
}

/// The path with its last name made longer.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether this is `YYYYMMDD-HHMMSS`.
pub(super) fn is_stamp(text: &str) -> bool {
    text.len() == 15
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// What an old copy of `name` is called, from all the names beside it: backups, and those that go.
pub(super) fn old_copies<'a>(
    name: &str,
    names: impl Iterator<Item = &'a str>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut backups, mut leftovers) = (Vec::new(), Vec::new());
    for found in names {
        let Some(rest) = found.strip_prefix(name) else { continue };
        if rest.strip_prefix(BACKUP).is_some_and(is_stamp) {
            backups.push(found);
        } else if rest.strip_prefix(OLD).is_some_and(|s| is_stamp(s.trim_end_matches(".part"))) {
            leftovers.push(found);
        }
    }
    (backups, leftovers)
}

/// The stamp in the text of [`COPY`], and whether that copy has streamed.
pub(super) fn read_copy(text: &str) -> (&str, bool) {
    match text.strip_suffix(STREAMED) {
        Some(stamp) => (stamp, true),
        None => (text, false),
    }
}

/// Whether a name is one that only a part being replaced has: a stray in any copy of it.
pub(super) fn is_stray(name: &str) -> bool {
    name == NEW || name.starts_with(OLD)
}

/// Whether a name in a part is one of ours, or the file system's own.
pub(super) fn is_ours(name: &str) -> bool {
    name == "lost+found" || is_stray(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;

    pub(in crate::runtime) fn part(what: What, at: &str, inside: bool) -> Part {
        let link = if what == What::Data { "" } else { at };
        Part { what, at: at.into(), inside, has_old: true, mode: Some(0o700), link: link.into() }
    }

    pub(in crate::runtime) fn layout(keep: bool, parts: Vec<Part>) -> Layout {
        Layout { stamp: "20261125-120000".into(), keep, major: 15, parts }
    }

    #[test]
    fn an_old_copy_is_kept_only_where_no_part_of_it_lies_inside() {
        let data = part(What::Data, "/srv/pg", false);
        for (keep, wal_inside, expected) in
            [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
        {
            let layout = layout(keep, vec![data.clone(), part(What::Wal, "/wal", wal_inside)]);
            assert_eq!(layout.keeps(), expected, "{keep} {wal_inside}");
            assert_eq!(layout.why_not_kept().is_some(), keep && wal_inside);
            let old = if expected {
                "/srv/pg.backup.20261125-120000"
            } else {
                "/srv/pg.pgtwin-old.20261125-120000"
            };
            assert_eq!(layout.old_dir(&data), Path::new(old));
            assert_eq!(data.new_dir(), Path::new("/srv/pg.pgtwin-new"));
        }
        let mount = part(What::Data, "/srv/pg", true);
        assert_eq!(mount.new_dir(), Path::new("/srv/pg/.pgtwin-new"));
    }

    #[test]
    fn only_our_own_old_copies_are_recognised() {
        let names = [
            "data",
            "data.backup.20261125-120000",
            "data.backup.2026-11-25",
            "data.backup.20261125-12000x",
            "data.backup.20261125-120000.tar",
            "data.backup",
            "data2.backup.20261125-120000",
            "data.pgtwin-old.20261125-120000",
            "data.pgtwin-old.20261125-120000.part",
            "data.pgtwin-old.x",
            "data.pgtwin-new",
        ];
        let (backups, leftovers) = old_copies("data", names.into_iter());
        assert_eq!(backups, ["data.backup.20261125-120000"]);
        assert_eq!(
            leftovers,
            ["data.pgtwin-old.20261125-120000", "data.pgtwin-old.20261125-120000.part"]
        );
        let (_, inside) =
            old_copies("", [".pgtwin-old.20261125-120000", ".pgtwin-new"].into_iter());
        assert_eq!(inside, [".pgtwin-old.20261125-120000"]);
    }
}
