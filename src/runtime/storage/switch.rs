//! The switch from the old data to the new, its way back, and the end of the old. Floor 2.
//!
//! At no time are there two databases that could be started: the old one loses its control file (it is
//! renamed, as pg_upgrade --link does it) before the new one comes to its place. That nothing has run in
//! between is known from the control file itself, which each start writes to.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cluster::known::Known;
use crate::cluster::migration::{Record, Stage};
use crate::cluster::storage::Area;
use crate::decide::facts::DataDir;
use crate::decide::storage::{Form, moving::After};
use crate::sys::chain;
use crate::sys::files::{FileError, Seen, look, read_untrusted_bytes, sync_dir};
use crate::sys::privilege::with_user;

use super::super::own_files::io_error;
use super::super::swap::remove_tree;
use super::super::{RuntimeError, nothing_runs, subvolume};
use super::make_as_user;
use super::migrate::{Move, Outcome, Step, Watch, forget, write};

/// The control file, below PGDATA.
const CONTROL: &str = "global/pg_control";
/// What it is called in data that is out of use.
pub const OUT_OF_USE: &str = "global/pg_control.old";
/// It has a fixed size.
const LARGEST: u64 = 1 << 16;

fn exists(path: &Path) -> Result<bool, FileError> {
    match look(path) {
        Seen::Present(_) => Ok(true),
        Seen::Missing => Ok(false),
        Seen::Unknown(why) => Err(io_error("look at", path, io::Error::other(why))),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|e| io_error("rename something to", to, e))?;
    sync_dir(to.parent().unwrap_or(to))
}

fn control(path: &Path) -> Result<Vec<u8>, FileError> {
    read_untrusted_bytes(path, LARGEST)
}

/// The system identifier, which a control file begins with.
fn system_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?))
}

/// The old control file goes back where it was.
fn put_back(from: &Path) -> Result<(), FileError> {
    let (control, aside) = (from.join(CONTROL), from.join(OUT_OF_USE));
    if exists(&control)? || !exists(&aside)? {
        return Ok(());
    }
    rename(&aside, &control)
}

/// Makes room for a directory that comes by a rename.
fn give_way(target: &Path) -> Result<(), FileError> {
    if exists(target)? {
        // One that is not empty is not removed.
        fs::remove_dir(target).map_err(|e| io_error("put something in the place of", target, e))?;
    }
    Ok(())
}

impl Move<'_> {
    /// The old data is put out of use, the new comes to its place.
    pub(super) fn switch(
        &self,
        record: &mut Record,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome, RuntimeError> {
        let (from, new, target) = (&self.place.pgdata, self.temporary(), self.target());
        let has_new = self.place.as_user(|| exists(&new))?;
        if has_new {
            if !watch(Step::Change) {
                return Ok(Outcome::Ended);
            }
            self.place.as_user(|| {
                let control = from.join(CONTROL);
                if exists(&control)? { rename(&control, &from.join(OUT_OF_USE)) } else { Ok(()) }
            })?;
            if let Err(why) = self.is_the_same(&new) {
                self.place.as_user(|| put_back(from))?;
                record.stage = Stage::Making;
                write(self.storage, record)?;
                return Err(why);
            }
            if !watch(Step::Change) {
                return Ok(Outcome::Ended);
            }
            self.place.as_user(|| give_way(&target))?;
            if !watch(Step::Change) {
                return Ok(Outcome::Ended);
            }
            self.place.as_user(|| rename(&new, &target))?;
        } else if !self.place.as_user(|| exists(&target.join(CONTROL)))? {
            return Err(RuntimeError::Refused(format!(
                "the new data is neither in {} nor in {}: mount the storage, or take the move back (--undo)",
                target.display(),
                new.display()
            )));
        }
        if !watch(Step::Change) {
            return Ok(Outcome::Ended);
        }
        record.stage = Stage::Moved;
        write(self.storage, record)?;
        Ok(Outcome::Moved)
    }

    /// Whether nothing has run in the old data since the new was made, and nothing runs now.
    fn is_the_same(&self, new: &Path) -> Result<(), RuntimeError> {
        nothing_runs(self.old().as_ref(), "move the data")?;
        let from = &self.place.pgdata;
        let same = self
            .place
            .as_user(|| Ok(control(&from.join(OUT_OF_USE))? == control(&new.join(CONTROL))?))?;
        if same {
            return Ok(());
        }
        Err(RuntimeError::Refused(format!(
            "PostgreSQL has run in {} since the new data was made: stop it and try again",
            from.display()
        )))
    }

    /// Takes a move back: the old data is the data again. Where the new is in its place already, only if
    /// nothing has run in it.
    pub fn undo(&self, record: &Record) -> Result<(), RuntimeError> {
        let (from, new, target) = (&self.place.pgdata, self.temporary(), self.target());
        nothing_runs(self.old().as_ref(), "take the move back")?;
        if record.stage == Stage::Removing {
            return Err(RuntimeError::Refused(format!(
                "the old data in {} is half removed: the new is all that is left",
                from.display()
            )));
        }
        let has_new = self.place.as_user(|| exists(&new))?;
        let in_place = self.place.as_user(|| exists(&target.join(CONTROL)))?;
        let arrived = record.stage == Stage::Moved || record.stage == Stage::Switching && !has_new;
        if arrived && in_place && !has_new {
            let there = self.at(target.clone());
            nothing_runs(there.as_ref(), "take the move back")?;
            // It is out of its place before the old is compared: what has not run before does not any more.
            self.place.as_user(|| rename(&target, &new))?;
            let same = self
                .place
                .as_user(|| Ok(control(&from.join(OUT_OF_USE))? == control(&new.join(CONTROL))?));
            let unused = matches!(same, Ok(true))
                && nothing_runs(there.as_ref(), "take the move back").is_ok();
            if !unused {
                self.place.as_user(|| rename(&new, &target))?;
                same?;
                return Err(RuntimeError::Refused(format!(
                    "PostgreSQL has run in {} since: the old data lacks what was written there",
                    target.display()
                )));
            }
        }
        self.place.as_user(|| {
            put_back(from)?;
            if exists(&from.join(CONTROL))? {
                return Ok(());
            }
            Err(FileError::Missing { path: from.join(CONTROL) })
        })?;
        self.place.as_user(|| remove_tree(&new))?;
        if !self.place.as_user(|| exists(&target))? {
            let parent = target.parent().unwrap_or(&target).to_owned();
            let on_btrfs = self.place.as_user(|| subvolume::on_btrfs(&parent))?;
            let form = if on_btrfs { Form::Subvolume } else { Form::Directory };
            make_as_user(&self.place.user, self.exec, &target, form)?;
        }
        forget(self.storage)
    }

    /// What is seen of the old data, for whoever decides about its end.
    pub fn after(&self, record: Known<Option<Record>>, in_use: &str, data: DataDir) -> After {
        let from = &self.place.pgdata;
        let inode = with_user(&self.place.user, || match fs::symlink_metadata(from) {
            Ok(meta) => Known::Known(Some(meta.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Known::Known(None),
            Err(e) => Known::unknown(format!("{}: {e}", from.display())),
        });
        let old_system = self.place.as_user(|| match control(&from.join(OUT_OF_USE)) {
            Ok(bytes) => Ok(system_of(&bytes)),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        });
        let old_is_in_use = self.place.as_user(|| exists(&from.join(CONTROL)));
        let words = |error: &RuntimeError| chain(error);
        After {
            record,
            to: self.storage.area(Area::Data),
            in_use: in_use.to_owned(),
            data,
            process: self.old().process(),
            inode: inode.unwrap_or_else(|error| Known::unknown(chain(&error))),
            old_system: Known::from(old_system.map_err(|error| words(&error))),
            old_is_in_use: Known::from(old_is_in_use.map_err(|error| words(&error))),
        }
    }

    /// Removes the old data, which was judged a moment ago; what its links lead to stays. Whether its directory is gone as well: it stays
    /// where it is a mount point, or in a directory that is not the user's.
    pub fn remove_old(&self, record: &Record) -> Result<bool, RuntimeError> {
        nothing_runs(self.old().as_ref(), "remove the old data")?;
        let removing = Record { stage: Stage::Removing, ..record.clone() };
        write(self.storage, &removing)?;
        let from: &PathBuf = &self.place.pgdata;
        let gone = self.place.as_user(|| match remove_tree(from) {
            Ok(()) => Ok(true),
            Err(error) => {
                let empty = fs::read_dir(from).is_ok_and(|mut names| names.next().is_none());
                if empty { Ok(false) } else { Err(error) }
            }
        })?;
        forget(self.storage)?;
        Ok(gone)
    }
}
