//! The end of the old data, when the new one streams. Floor 2.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::sys::deadline::Deadline;
use crate::sys::files::{Entry, FileError, Kind, Seen, look, sync_dir};

use super::super::layout::{COPY, Layout, Part, STREAMED, is_stray, old_copies};
use super::super::own_files::io_error;
use super::super::{Place, RuntimeError};
use super::hand::{Hand, Watch};
use super::is_done;

/// Removes old copies of the data, of its WAL and of its tablespaces: where the layout keeps one, all
/// backups but the newest; where it does not, what was moved aside, and earlier backups stay. To be
/// called when the new data streams, and never before. Can be repeated.
///
/// Only names that pgtwin itself has given are removed, as the PostgreSQL user, and no link is followed.
/// `watch` is asked before each change; where it says no, this ends. Whether all is done.
pub fn finish<'a>(
    place: &Place,
    layout: &Layout,
    watch: &'a mut Watch<'a>,
) -> Result<bool, RuntimeError> {
    if !is_done(place, layout)? {
        return Err(RuntimeError::Refused(format!(
            "the old data is not removed: the new data is not at {} yet",
            place.pgdata.display()
        )));
    }
    let Some(data) = layout.data() else { return Ok(true) };
    let mut hand = Hand::new(watch);
    let result = place.as_user(|| {
        // From here on this data is worth a backup.
        hand.write(&data.at, COPY, &format!("{}{STREAMED}", layout.stamp))?;
        // Where there was no data, this layout has made no backup, and an earlier one is the newest.
        let newest = match directory(data).filter(|_| layout.keeps()) {
            Some((dir, name)) => {
                let names = names_in(dir)?;
                let (backups, _) = old_copies(&name, names.iter().map(String::as_str));
                backups.into_iter().filter_map(stamp_of).max().map(str::to_owned)
            }
            None => None,
        };
        for part in &layout.parts {
            if let Some((dir, name)) = directory(part).filter(|_| !part.inside) {
                remove_copies(dir, &name, newest.as_deref(), &mut hand)?;
            }
            // Also where an earlier layout put them.
            if let Seen::Present(Entry { kind: Kind::Directory, .. }) = look(&part.at) {
                remove_copies(&part.at, "", None, &mut hand)?;
            }
        }
        Ok(())
    });
    hand.is_done(result)
}

/// Where the old copies beside a part are, and what their names begin with.
fn directory(part: &Part) -> Option<(&Path, String)> {
    Some((part.at.parent()?, part.at.file_name()?.to_str()?.to_owned()))
}

fn stamp_of(backup: &str) -> Option<&str> {
    backup.rsplit('.').next()
}

fn names_in(dir: &Path) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| io_error("list", dir, e))? {
        let found = entry.map_err(|e| io_error("list", dir, e))?.file_name();
        names.extend(found.to_str().map(str::to_owned));
    }
    Ok(names)
}

/// Removes what was moved aside, and, where one is to be kept, the backups but that.
fn remove_copies(
    dir: &Path,
    name: &str,
    kept: Option<&str>,
    hand: &mut Hand<'_>,
) -> Result<(), FileError> {
    let names = names_in(dir)?;
    let (backups, leftovers) = old_copies(name, names.iter().map(String::as_str));
    for backup in backups {
        let (Some(stamp), Some(kept)) = (stamp_of(backup), kept) else { continue };
        if stamp == kept {
            continue;
        }
        // Half removed it would look like a backup: it loses that name first.
        let doomed = dir.join(format!("{name}.pgtwin-old.{stamp}"));
        hand.rename(&dir.join(backup), &doomed)?;
        hand.remove_tree(&doomed)?;
    }
    for leftover in leftovers {
        hand.remove_tree(&dir.join(leftover))?;
    }
    sync_dir(dir)
}

/// Removes what a copy has brought along of a part that was being replaced at its source.
pub(in crate::runtime) fn remove_strays(dir: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).map_err(|e| io_error("list", dir, e))? {
        let path = entry.map_err(|e| io_error("list", dir, e))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_stray) {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Removes a directory with all that is in it; that it is not there is no error. What a tool that was
/// killed had started may still write there for a moment.
pub(in crate::runtime) fn remove_tree(path: &Path) -> Result<(), FileError> {
    let end = Deadline::after(Duration::from_secs(5));
    loop {
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => match look(path) {
                Seen::Missing => return Ok(()),
                Seen::Present(_) | Seen::Unknown(_) if end.expired() => {
                    return Err(io_error("remove", path, e));
                }
                Seen::Present(_) | Seen::Unknown(_) => {}
            },
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty && !end.expired() => {}
            Err(e) => return Err(io_error("remove", path, e)),
        }
        end.sleep(Duration::from_millis(50));
    }
}
