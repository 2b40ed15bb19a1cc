//! The changes of a swap, one by one: whoever watches may end it before each. Floor 2.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::sys::files::{FileError, sync_dir, write_durably};

use super::super::RuntimeError;
use super::super::own_files::{io_error, put_link_watched};
use super::finish::remove_tree;

/// When it is asked whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a change of a name, a link, a mode or a file. What is asked then is asked as the
    /// PostgreSQL user.
    Change,
    /// So many steps of the plan are done.
    Steps(usize),
}

/// Is asked at every moment, and says whether to go on.
pub type Watch<'a> = dyn FnMut(Moment) -> bool + 'a;

/// Makes the changes.
pub(super) struct Hand<'a> {
    watch: &'a mut Watch<'a>,
    ended: bool,
}

impl<'a> Hand<'a> {
    pub(super) fn new(watch: &'a mut Watch<'a>) -> Self {
        Self { watch, ended: false }
    }

    /// After a step.
    pub(super) fn goes_on_after(&mut self, steps: usize) -> bool {
        (self.watch)(Moment::Steps(steps))
    }

    /// Whether the work is done; not, where the watch has ended it.
    pub(super) fn is_done(&self, result: Result<(), RuntimeError>) -> Result<bool, RuntimeError> {
        if self.ended { Ok(false) } else { result.map(|()| true) }
    }

    fn may(&mut self, path: &Path) -> Result<(), FileError> {
        if (self.watch)(Moment::Change) {
            return Ok(());
        }
        self.ended = true;
        Err(io_error("go on at", path, io::ErrorKind::Interrupted.into()))
    }

    /// A rename that stays. An empty directory may be in the way, and nothing else.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.rename_within(from, to)?;
        sync_dir(to.parent().unwrap_or(to))
    }

    /// One that stays once the directories are synced.
    pub(super) fn rename_within(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.may(to)?;
        fs::rename(from, to).map_err(|e| io_error("rename something to", to, e))
    }

    pub(super) fn make_dir(&mut self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.may(path)?;
        DirBuilder::new()
            .mode(mode)
            .create(path)
            .map_err(|e| io_error("create the directory", path, e))
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), FileError> {
        self.may(path)?;
        fs::remove_dir(path).map_err(|e| io_error("remove", path, e))
    }

    pub(super) fn remove_tree(&mut self, path: &Path) -> Result<(), FileError> {
        self.may(path)?;
        remove_tree(path)
    }

    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.may(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))
            .map_err(|e| io_error("set the mode of", path, e))
    }

    pub(super) fn link(&mut self, at: &Path, to: &Path) -> Result<(), FileError> {
        put_link_watched(at, &to.to_string_lossy(), &mut || self.may(at))
    }

    pub(super) fn write(&mut self, dir: &Path, name: &str, text: &str) -> Result<(), FileError> {
        self.may(dir)?;
        write_durably(dir, name, text.as_bytes(), 0o600)
    }
}
