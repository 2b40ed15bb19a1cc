//! Old copies of the data that are kept beside it, and how large they are: for people. Floor 2.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::known::Known;
use crate::sys::deadline::Deadline;
use crate::sys::files::{Entry, FileError, Kind, Seen, look};

use super::layout::old_copies;
use super::own_files::io_error;
use super::{Place, RuntimeError};

/// One that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldCopy {
    /// Its directories: that of the data, then those of its WAL and tablespaces that lie elsewhere.
    pub dirs: Vec<PathBuf>,
    /// What they hold, in bytes; unknown where counting them took too long.
    pub bytes: Known<u64>,
}

/// The backups of this place's data, oldest first. They are looked at as the PostgreSQL user; no link
/// is followed but those that lead from a backup to its own other directories.
pub fn kept(place: &Place, deadline: &Deadline) -> Result<Vec<OldCopy>, RuntimeError> {
    place.as_user(|| {
        // A symbolic link at PGDATA stays where it is; its copies are beside what it leads to.
        let data = match fs::canonicalize(&place.pgdata) {
            Ok(data) => data,
            Err(_) => place.pgdata.clone(),
        };
        let (Some(dir), Some(name)) = (data.parent(), data.file_name().and_then(|n| n.to_str()))
        else {
            return Ok(Vec::new());
        };
        let names = match names_in(dir) {
            Ok(names) => names,
            Err(FileError::Missing { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let (mut backups, _) = old_copies(name, names.iter().map(String::as_str));
        backups.sort_unstable();
        Ok(backups.into_iter().map(|backup| measured(&dir.join(backup), deadline)).collect())
    })
}

fn measured(at: &Path, deadline: &Deadline) -> OldCopy {
    let mut dirs = vec![at.to_owned()];
    let suffix = at.to_string_lossy().rfind(".backup.").map(|from| from..);
    let suffix = suffix.and_then(|range| at.to_str()?.get(range)).unwrap_or("/").to_owned();
    let mut links = vec![at.join("pg_wal")];
    if let Ok(entries) = fs::read_dir(at.join("pg_tblspc")) {
        links.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    for to in links.iter().filter_map(|link| fs::read_link(link).ok()) {
        // The swap has set them to the copies of this stamp; whatever else they lead to is not of it.
        let own = to.is_absolute() && to.to_str().is_some_and(|to| to.ends_with(&suffix));
        if own && is_directory(&to) && !dirs.contains(&to) {
            dirs.push(to);
        }
    }
    let mut bytes = Known::Known(0u64);
    for dir in &dirs {
        bytes = match (bytes, size(dir, deadline)) {
            (Known::Known(sum), Known::Known(more)) => Known::Known(sum.saturating_add(more)),
            (Known::Unknown(why), _) | (_, Known::Unknown(why)) => Known::Unknown(why),
        };
    }
    OldCopy { dirs, bytes }
}

/// What a directory takes on the disk.
pub(super) fn size(dir: &Path, deadline: &Deadline) -> Known<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0u64;
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) => return Known::unknown(format!("{}: {e}", dir.display())),
        };
        for entry in entries {
            if deadline.expired() {
                return Known::unknown("it takes long to count");
            }
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(e) => return Known::unknown(format!("{}: {e}", dir.display())),
            };
            match fs::symlink_metadata(&path) {
                Ok(meta) => {
                    sum = sum.saturating_add(meta.blocks().saturating_mul(512));
                    if meta.is_dir() {
                        todo.push(path);
                    }
                }
                Err(e) => return Known::unknown(format!("{}: {e}", path.display())),
            }
        }
    }
    Known::Known(sum)
}

fn is_directory(path: &Path) -> bool {
    matches!(look(path), Seen::Present(Entry { kind: Kind::Directory, .. }))
}

fn names_in(dir: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(FileError::Missing { path: dir.to_owned() });
        }
        Err(e) => return Err(io_error("list", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| io_error("list", dir, e))?.file_name();
        names.extend(name.to_str().map(str::to_owned));
    }
    Ok(names)
}
