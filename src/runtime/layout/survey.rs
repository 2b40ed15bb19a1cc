//! The look at the disk that a layout comes from. Floor 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use crate::sys::files::{Entry, FileError, Kind, Seen, look, look_through, read_untrusted};
use crate::sys::mounts::mount_points;
use crate::sys::privilege::with_user;

use super::super::{Place, RuntimeError};
use super::{
    COPY, Layout, Noted, NotedPart, Part, Remembered, Tablespace, What, is_ours, is_stamp,
    read_copy,
};

/// Finds out where everything lies and goes. Nothing is touched, and whatever would fail later is
/// refused, with the remedy. `tablespaces` and `major` are the source's. `known` is of the data that was here
/// last, a copy of the source's database: where there is none any more, no link says where its parts belong,
/// and that what is left there is its own.
pub fn survey(
    place: &Place,
    tablespaces: &[Tablespace],
    major: u32,
    keep: bool,
    stamp: &str,
    known: Remembered<'_>,
) -> Result<Layout, RuntimeError> {
    if !is_stamp(stamp) {
        return Err(refused(format!("{stamp:?} is not of the form YYYYMMDD-HHMMSS")));
    }
    let mounts = mount_points().map_err(RuntimeError::File)?;
    let survey = Survey { place, mounts, major, known };
    with_user(&place.user, || survey.all(tablespaces, keep, stamp))
        .map_err(RuntimeError::Privilege)?
}

struct Survey<'a> {
    place: &'a Place,
    mounts: Vec<PathBuf>,
    major: u32,
    known: Remembered<'a>,
}

pub(super) fn refused(why: String) -> RuntimeError {
    RuntimeError::Refused(why)
}

pub(super) fn file_error(what: &'static str, path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::File(FileError::Io { what, path: path.to_owned(), source })
}

/// What may be in a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    /// All of it is the part.
    Whole,
    /// Only what is of this version of PostgreSQL: others may be there too.
    Version,
}

impl Survey<'_> {
    fn all(
        &self,
        tablespaces: &[Tablespace],
        keep: bool,
        stamp: &str,
    ) -> Result<Layout, RuntimeError> {
        let pgdata = &self.place.pgdata;
        let data = self.part(What::Data, pgdata, PathBuf::new(), Alone::Whole)?;
        if let Some(mount) = self.mounts.iter().find(|m| m.starts_with(&data.at) && **m != data.at)
        {
            return Err(refused(format!(
                "{} is mounted inside the data directory {}: it could not be moved with it. Mount it \
                 elsewhere and make a symbolic link to it",
                mount.display(),
                data.at.display()
            )));
        }
        let (data_at, lost) = (data.at.clone(), !data.has_old);
        let (known, noted) = match self.known {
            Remembered::Plan(plan) => (Some(plan), None),
            Remembered::Noted(noted) => (None, Some(noted)),
            Remembered::Nothing => (None, None),
        };
        let known =
            known.filter(|known| lost && known.data().is_some_and(|there| there.at == data_at));
        let noted = noted.filter(|noted| lost && noted.data == data_at);
        let mut parts = vec![data];
        if let Some(link) = link_text(&data_at.join("pg_wal"))? {
            let at = data_at.join(&link);
            parts.push(self.part(What::Wal, &self.there(&at, "pg_wal")?, link, Alone::Whole)?);
        } else if let Some(wal) = known.and_then(|known| known.part_of(&What::Wal)) {
            parts.push(self.part(What::Wal, &wal.at, wal.link.clone(), Alone::Whole)?);
        } else if let Some(noted) = noted {
            parts.extend(self.noted_wal(noted)?);
        }
        let own = own_tablespaces(&data_at)?;
        // One made by allow_in_place_tablespaces lies in PGDATA, and is copied with it.
        for space in tablespaces.iter().filter(|space| space.location.is_absolute()) {
            let what = What::Tablespace(space.clone());
            if let Some(part) = known.and_then(|known| known.part_of(&what)) {
                parts.push(self.part(what, &part.at, part.link.clone(), Alone::Version)?);
                continue;
            }
            if let Some(part) =
                noted.and_then(|noted| self.noted_tablespace(noted, what).transpose())
            {
                parts.push(part?);
                continue;
            }
            let link = own.iter().find(|(oid, _)| *oid == space.oid).map(|(_, link)| link.clone());
            parts.push(self.tablespace(space, &data_at, link)?);
        }
        for (oid, link) in own {
            if !tablespaces.iter().any(|space| space.oid == oid) {
                let at = data_at.join("pg_tblspc").join(&link);
                // One that the source has dropped need not be there any more.
                if let Seen::Present(Entry { kind: Kind::Directory, .. }) = look_through(&at) {
                    parts.push(self.part(What::Dropped(oid), &at, link, Alone::Version)?);
                }
            }
        }
        if let Some(noted) = noted {
            parts.extend(self.noted_and_dropped(noted, tablespaces));
        }
        for (index, part) in parts.iter().enumerate() {
            let nested =
                |other: &Part| part.at.starts_with(&other.at) || other.at.starts_with(&part.at);
            if let Some(other) = parts.iter().skip(index + 1).find(|other| nested(other)) {
                return Err(refused(format!(
                    "{} and {} lie in one another, which cannot be replaced safely: put them apart",
                    part.at.display(),
                    other.at.display()
                )));
            }
        }
        let streamed = match read_untrusted(&data_at.join(COPY), 64) {
            Ok(text) => read_copy(&text).1,
            Err(FileError::Missing { .. }) => true,
            Err(error) => return Err(RuntimeError::File(error)),
        };
        let keep = keep && streamed && !lost;
        let layout = Layout { stamp: stamp.to_owned(), keep, major: self.major, parts };
        if layout.to_text().is_none() {
            return Err(refused(format!(
                "a path of the data at {} is no text, or holds a line break",
                pgdata.display()
            )));
        }
        for path in layout.parts.iter().map(|part| layout.old_dir(part)) {
            if look(&path) != Seen::Missing {
                return Err(refused(format!("{} is there already", path.display())));
            }
        }
        Ok(layout)
    }

    fn tablespace(
        &self,
        space: &Tablespace,
        data_at: &Path,
        link: Option<PathBuf>,
    ) -> Result<Part, RuntimeError> {
        let what = What::Tablespace(space.clone());
        if let Some(link) = link {
            let at = data_at.join("pg_tblspc").join(&link);
            let name = format!("tablespace {}", space.oid);
            return self.part(what, &self.there(&at, &name)?, link, Alone::Version);
        }
        let part = self.part(what, &space.location, space.location.clone(), Alone::Version)?;
        if part.has_old {
            return Err(refused(format!(
                "tablespace {}: {} holds another database's files here (PG_{}_…): look whose they are, and move \
                 or remove them",
                space.oid,
                space.location.display(),
                self.major
            )));
        }
        Ok(part)
    }

    /// Where the WAL of the lost data lay, if that was elsewhere.
    fn noted_wal(&self, noted: &Noted) -> Result<Option<Part>, RuntimeError> {
        let Some(wal) = noted.wal() else { return Ok(None) };
        let path = noted.data.join(&wal.link);
        let part = self.part(What::Wal, &path, wal.link.clone(), Alone::Whole)?;
        Self::left_by_lost_data(noted, wal, part).map(Some)
    }

    /// Where a tablespace of the lost data lay.
    fn noted_tablespace(&self, noted: &Noted, what: What) -> Result<Option<Part>, RuntimeError> {
        let (What::Tablespace(Tablespace { oid, .. }) | What::Dropped(oid)) = &what else {
            return Ok(None);
        };
        let Some(space) = noted.tablespace(*oid) else { return Ok(None) };
        let path = noted.data.join("pg_tblspc").join(&space.link);
        let part = self.part(what, &path, space.link.clone(), Alone::Version)?;
        Self::left_by_lost_data(noted, space, part).map(Some)
    }

    /// Tablespaces of the lost data that the source has dropped since: what is left there goes, too.
    fn noted_and_dropped(&self, noted: &Noted, tablespaces: &[Tablespace]) -> Vec<Part> {
        let mut parts = Vec::new();
        for part in &noted.parts {
            let Some(oid) = part.oid else { continue };
            let there = matches!(
                look_through(&part.at),
                Seen::Present(Entry { kind: Kind::Directory, .. })
            );
            if there && !tablespaces.iter().any(|space| space.oid == oid) {
                // Nothing is to go there: what is not surely its own is left alone.
                let part = self.noted_tablespace(noted, What::Dropped(oid)).ok().flatten();
                parts.extend(part.filter(|part| part.has_old));
            }
        }
        parts
    }

    /// A part in which there may be something: only what the lost data has left there is replaced.
    fn left_by_lost_data(noted: &Noted, of: &NotedPart, part: Part) -> Result<Part, RuntimeError> {
        let stranger = if part.has_old { noted.stranger_in(of, &part.at)? } else { None };
        stranger.map_or(Ok(part), |why| Err(refused(why)))
    }

    /// A part at this path, which may be a link.
    fn part(
        &self,
        what: What,
        path: &Path,
        link: PathBuf,
        alone: Alone,
    ) -> Result<Part, RuntimeError> {
        let user = &self.place.user;
        let entry = match look_through(path) {
            Seen::Present(entry) => entry,
            Seen::Unknown(why) => return Err(refused(why)),
            Seen::Missing => return self.absent(what, path, link),
        };
        let shown = path.display();
        if entry.kind != Kind::Directory {
            return Err(refused(format!("{shown} is a {}, not a directory", entry.kind.name())));
        }
        if entry.uid != user.uid {
            return Err(refused(format!(
                "{shown} belongs to uid {}, not to {}: chown it",
                entry.uid, user.name
            )));
        }
        let at = fs::canonicalize(path).map_err(|e| file_error("resolve", path, e))?;
        if !may_change(&at) {
            return Err(refused(format!(
                "{shown} cannot be written to by {}: check its mode, and whether its file system is \
                 mounted read-only",
                user.name
            )));
        }
        let prefix = format!("PG_{}_", self.major);
        let (mut has_old, mut strangers) = (false, false);
        for entry in fs::read_dir(&at).map_err(|e| file_error("list", &at, e))? {
            let name = entry.map_err(|e| file_error("list", &at, e))?.file_name();
            let name = name.to_string_lossy();
            let counts = alone == Alone::Whole || name.starts_with(&prefix);
            has_old |= counts && !is_ours(&name);
            // An empty directory gives way to a rename, and this one would not be empty.
            strangers |= !counts || is_ours(&name);
        }
        let inside = strangers || self.mounts.contains(&at) || !at.parent().is_some_and(may_change);
        let mode = Some(if what == What::Data { fit(entry.mode) } else { entry.mode });
        Ok(Part { what, at, inside, has_old, mode, link })
    }

    /// A part that is not there yet.
    fn absent(&self, what: What, path: &Path, link: PathBuf) -> Result<Part, RuntimeError> {
        let shown = path.display();
        if look(path) != Seen::Missing {
            return Err(refused(format!(
                "{shown} is a symbolic link to nothing: mount what it leads to, or remove it"
            )));
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refused(format!("{shown} is no path of a directory")));
        };
        let user = &self.place.user.name;
        let parent = fs::canonicalize(parent).map_err(|_| {
            refused(format!(
                "{} does not exist: mount it, or make it and give it to {user}",
                parent.display()
            ))
        })?;
        if !may_change(&parent) {
            return Err(refused(format!(
                "{shown} does not exist and {user} cannot make it in {}: make it and give it to {user} \
                 (install -d -m 700 -o {user} {shown})",
                parent.display()
            )));
        }
        let at = parent.join(name);
        Ok(Part { what, at, inside: false, has_old: false, mode: None, link })
    }

    /// Where a link leads, if it leads anywhere: what is not mounted is not taken for missing.
    fn there(&self, path: &Path, name: &str) -> Result<PathBuf, RuntimeError> {
        match look_through(path) {
            Seen::Present(_) => Ok(path.to_owned()),
            Seen::Unknown(why) => Err(refused(why)),
            Seen::Missing => Err(refused(format!(
                "{name} of {} is a link to {}, which is not there: mount it, or make it and give it to {}",
                self.place.pgdata.display(),
                path.display(),
                self.place.user.name
            ))),
        }
    }
}

/// The links in `pg_tblspc` of the old data.
pub(super) fn own_tablespaces(data: &Path) -> Result<Vec<(u32, PathBuf)>, RuntimeError> {
    let dir = data.join("pg_tblspc");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(file_error("list", &dir, e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| file_error("list", &dir, e))?.path();
        let oid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let (Some(oid), Some(link)) = (oid, link_text(&path)?) {
            found.push((oid, link));
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a link; none where there is something else, or nothing.
pub(super) fn link_text(path: &Path) -> Result<Option<PathBuf>, RuntimeError> {
    match look(path) {
        Seen::Present(Entry { kind: Kind::Symlink, .. }) => {
            fs::read_link(path).map(Some).map_err(|e| file_error("read the link", path, e))
        }
        Seen::Present(_) | Seen::Missing => Ok(None),
        Seen::Unknown(why) => Err(refused(why)),
    }
}

/// Whether names in a directory can be changed by who we are.
fn may_change(dir: &Path) -> bool {
    eaccess(dir, AccessFlags::W_OK | AccessFlags::X_OK | AccessFlags::R_OK).is_ok()
}

/// The mode of the data. An empty directory, or a new file system, may have one that PostgreSQL refuses.
fn fit(mode: u32) -> u32 {
    if mode & 0o027 == 0 { mode } else { 0o700 }
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn data_gets_a_mode_that_postgresql_takes() {
        for (mode, fitted) in
            [(0o700, 0o700), (0o750, 0o750), (0o755, 0o700), (0o770, 0o700), (0o1777, 0o700)]
        {
            assert_eq!(fit(mode), fitted, "{mode:o}");
        }
    }
}
