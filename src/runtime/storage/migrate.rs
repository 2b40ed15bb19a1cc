//! Data moves into the storage: the new data is made beside its place, verified, and then `switch` puts the
//! old one out of use and the new one in its place. Floor 2.
//!
//! The record is root's, beside the node's directory, and on the disk before anything that it speaks of.
//! Whatever is cut off is gone on with; the old data is only read, until the new is whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cluster::known::Known;
use crate::cluster::migration::{Method, Record, Stage};
use crate::cluster::storage::Storage;
use crate::decide::storage::Form;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;
use crate::sys::files::{FileError, Seen, look, read_root_owned, remove_durably, write_durably};

use super::super::own_files::io_error;
use super::super::swap::{remove_strays, remove_tree};
use super::super::{Place, Runtime, RuntimeError, Spec, data_dir, nothing_runs, subvolume, way};
use super::copy::{self, Made};
use super::{make_as_user, tree};

/// What the new data is called until it is in its place.
const MIGRATING: &str = ".pgtwin-migrating";
/// A record is short.
const LARGEST: u64 = 8192;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of so many are copied.
    Copying(u64, u64),
    /// So many bytes of so many are compared.
    Comparing(u64, u64),
    /// A name or a record is about to be changed.
    Change,
}

/// Is told of each step before it is done, and says whether to go on.
pub type Watch<'a> = dyn FnMut(Step) -> bool + 'a;

/// A move.
pub struct Move<'a> {
    /// To where.
    pub storage: &'a Storage,
    /// From where: its `pgdata` is a real path.
    pub place: &'a Place,
    /// The container whose programs read the data; none: those of the host.
    pub spec: Option<&'a Spec>,
    /// Starts programs.
    pub exec: &'a dyn Exec,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The data is in its new place.
    Moved,
    /// The watch has ended it.
    Ended,
}

impl Move<'_> {
    /// The new data, until it is in its place.
    pub fn temporary(&self) -> PathBuf {
        PathBuf::from(format!("{}{MIGRATING}", self.storage.data()))
    }

    /// Its place.
    pub fn target(&self) -> PathBuf {
        PathBuf::from(self.storage.data())
    }

    /// The old data's instance.
    pub(super) fn old(&self) -> Box<dyn Runtime + '_> {
        self.at(self.place.pgdata.clone())
    }

    /// The instance of another directory.
    pub(super) fn at(&self, pgdata: PathBuf) -> Box<dyn Runtime + '_> {
        way(self.exec, Place { pgdata, ..self.place.clone() }, self.spec.cloned())
    }

    /// A record of a move that begins now.
    pub fn begin(&self, method: Method, system_id: u64, now: i64) -> Result<Record, RuntimeError> {
        let from = &self.place.pgdata;
        let meta = self
            .place
            .as_user(|| fs::symlink_metadata(from).map_err(|e| io_error("examine", from, e)))?;
        let text = from.to_str().filter(|text| !text.contains('\n')).ok_or_else(|| {
            RuntimeError::Refused(format!("{} is no path of plain text", from.display()))
        })?;
        let (stage, inode, from) = (Stage::Making, meta.ino(), text.to_owned());
        Ok(Record { stage, method, system_id, begun: now, inode, from })
    }

    /// Moves the data: what is left of it, by the record.
    pub fn carry_out(
        &self,
        record: &mut Record,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome, RuntimeError> {
        if record.stage == Stage::Making {
            if !watch(Step::Change) {
                return Ok(Outcome::Ended);
            }
            write(self.storage, record)?;
            if !self.make(record, watch)? || !watch(Step::Change) {
                return Ok(Outcome::Ended);
            }
            record.stage = Stage::Switching;
            write(self.storage, record)?;
        }
        self.switch(record, watch)
    }

    /// Makes the new data beside its place, whole and on the disk. Not, where the watch has ended it.
    fn make(&self, record: &Record, watch: &mut Watch<'_>) -> Result<bool, RuntimeError> {
        nothing_runs(self.old().as_ref(), "move the data")?;
        let (from, to) = (&self.place.pgdata, self.temporary());
        let items = self.place.as_user(|| tree::of(from))?;
        let made = match record.method {
            Method::Snapshot => {
                // One that is there may be of an older state.
                self.place.as_user(|| remove_tree(&to))?;
                if !watch(Step::Change) {
                    return Ok(false);
                }
                subvolume::snapshot(self.exec, &self.place.user.name, from, &to)?;
                self.place.as_user(|| {
                    remove_strays(&to)?;
                    copy::sync(&to)
                })?;
                Made::Shared
            }
            Method::Reflink | Method::Copy => {
                self.make_directory(from, &to)?;
                self.copy(&items, record.method, watch)?
            }
        };
        if made == Made::Ended {
            return Ok(false);
        }
        self.verify(&items, made, watch)
    }

    fn make_directory(&self, from: &Path, to: &Path) -> Result<(), RuntimeError> {
        match look(to) {
            Seen::Missing => {}
            Seen::Present(_) => return Ok(()),
            Seen::Unknown(why) => return Err(RuntimeError::Refused(why)),
        }
        let target = self.target();
        let (form, in_place) = self.place.as_user(|| {
            let parent = to.parent().unwrap_or(to);
            let on_btrfs = subvolume::on_btrfs(parent)?;
            let of_target = look(&target) != Seen::Missing && subvolume::writes_in_place(&target);
            let in_place = on_btrfs && (of_target || subvolume::writes_in_place(from));
            Ok((if on_btrfs { Form::Subvolume } else { Form::Directory }, in_place))
        })?;
        make_as_user(&self.place.user, self.exec, to, form)?;
        if in_place {
            self.place.as_user(|| subvolume::write_in_place(to))?;
        }
        Ok(())
    }

    fn copy(
        &self,
        items: &[tree::Item],
        method: Method,
        watch: &mut Watch<'_>,
    ) -> Result<Made, RuntimeError> {
        let (from, to) = (&self.place.pgdata, self.temporary());
        let total = tree::bytes(items);
        let mut watch = |done| watch(Step::Copying(done, total));
        self.place.as_user(|| copy::copy((from, &to), items, method, &mut watch))
    }

    /// Proves that the new data is what the old is: names, sizes, times, and what was written also by its
    /// content. What differs is copied once more, for what was copied before a power cut may not be whole.
    fn verify(
        &self,
        items: &[tree::Item],
        made: Made,
        watch: &mut Watch<'_>,
    ) -> Result<bool, RuntimeError> {
        let (from, to) = (&self.place.pgdata, self.temporary());
        let total = tree::bytes(items);
        let contents = (made == Made::Written).then_some(from.as_path());
        for last in [false, true] {
            let mut compare = |done| watch(Step::Comparing(done, total));
            let differ =
                self.place.as_user(|| copy::differences(items, &to, contents, &mut compare))?;
            let Some(differ) = differ else { return Ok(false) };
            let Some(first) = differ.first() else { break };
            if last || contents.is_none() {
                return Err(RuntimeError::Refused(format!(
                    "the new data is not what the old is: {} differs{}. Was PostgreSQL started? The old data \
                     is as it was",
                    first.display(),
                    match differ.len() {
                        1 => String::new(),
                        count => format!(", and {} more", count - 1),
                    }
                )));
            }
            self.place.as_user(|| {
                for path in &differ {
                    // What is no file, or is not there, is dealt with by the copy.
                    let _ = fs::remove_file(to.join(path));
                }
                Ok(())
            })?;
            if self.copy(items, Method::Copy, watch)? == Made::Ended {
                return Ok(false);
            }
        }
        let now = self.place.as_user(|| tree::of(from))?;
        if now != items {
            return Err(RuntimeError::Refused(
                "the old data has changed meanwhile: was PostgreSQL started? Stop it and try again"
                    .to_owned(),
            ));
        }
        let soon = Deadline::after(std::time::Duration::from_mins(1));
        let control =
            |at: Box<dyn Runtime + '_>| data_dir::control_data(at.as_ref(), self.exec, &soon);
        if control(self.old())? != control(self.at(to))? {
            return Err(RuntimeError::Refused(
                "pg_controldata does not say the same of the new data as of the old".to_owned(),
            ));
        }
        Ok(true)
    }
}

/// The name of the record, in the root.
fn record_name(storage: &Storage) -> String {
    format!("{}.migration", storage.name())
}

/// The record of a move, if there is one.
pub fn record(storage: &Storage) -> Known<Option<Record>> {
    let path = Path::new(storage.root()).join(record_name(storage));
    match read_root_owned(&path, LARGEST) {
        Ok(text) => match text.parse() {
            Ok(record) => Known::Known(Some(record)),
            Err(error) => Known::unknown(format!("{}: {error}", path.display())),
        },
        Err(FileError::Missing { .. }) => Known::Known(None),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// Writes it, durably.
pub(super) fn write(storage: &Storage, record: &Record) -> Result<(), RuntimeError> {
    let (root, text) = (Path::new(storage.root()), record.to_string());
    write_durably(root, &record_name(storage), text.as_bytes(), 0o600).map_err(RuntimeError::File)
}

/// Removes it.
pub(super) fn forget(storage: &Storage) -> Result<(), RuntimeError> {
    remove_durably(Path::new(storage.root()), &record_name(storage)).map_err(RuntimeError::File)
}
