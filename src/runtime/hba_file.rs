//! pg_hba.conf as a file. It and its directory usually belong to the PostgreSQL user, who may put a
//! link or another file there at any moment: so all work on it is done as that user. Where it is root's,
//! in directories of root's alone, root does it. Anything else is left to people. Floor 2.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::files::{
    Entry, FileError, Seen, led_to_by_root_alone, look, read_untrusted_entry, write_durably_with,
};
use crate::sys::utc::{self, Utc};

use super::{Place, RuntimeError};

/// No honest file is larger.
const LARGEST: u64 = 16 << 20;

/// The file, as it was read.
#[derive(Clone, Debug)]
pub struct HbaFile {
    /// Where it is; no symbolic link.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    entry: Entry,
}

/// Reads it, wherever a link at `named` leads.
pub fn read(place: &Place, named: &Path) -> Result<HbaFile, RuntimeError> {
    place.as_user(|| {
        let path = fs::canonicalize(named).map_err(|source| FileError::Io {
            what: "resolve",
            path: named.to_owned(),
            source,
        })?;
        let (bytes, entry) = read_untrusted_entry(&path, LARGEST)?;
        Ok(HbaFile { path, bytes, entry })
    })
}

impl HbaFile {
    /// Whether it could be replaced, before anything is asked or done.
    pub fn check_writable(&self, place: &Place) -> Result<(), RuntimeError> {
        if self.entry.uid == place.user.uid {
            return Ok(());
        }
        let roots = self.entry.uid == 0 && !place.user.is_caller();
        let refused = |why: String| {
            RuntimeError::Refused(format!(
                "{} is neither {}'s, nor root's in directories of root's alone ({why}): put the \
                 lines in by hand",
                self.path.display(),
                place.user.name
            ))
        };
        if !roots {
            return Err(refused(format!("it belongs to uid {}", self.entry.uid)));
        }
        led_to_by_root_alone(&self.path).map_err(|error| refused(error.to_string()))
    }

    /// Puts these bytes in its place, if it is still what was read: a change in between would be lost.
    /// Owner, group and mode stay. What the file is now.
    pub fn replace(&self, place: &Place, bytes: Vec<u8>) -> Result<Self, RuntimeError> {
        self.check_writable(place)?;
        let now = read(place, &self.path)?;
        if now.bytes != self.bytes || now.path != self.path {
            return Err(RuntimeError::Refused(format!(
                "{} was changed by somebody else meanwhile: nothing was written",
                self.path.display()
            )));
        }
        self.write(place, self.name()?, &bytes)?;
        Ok(Self { bytes, ..self.clone() })
    }

    /// Keeps what was read under another name beside it.
    pub fn back_up(&self, place: &Place) -> Result<PathBuf, RuntimeError> {
        self.check_writable(place)?;
        let stem = format!("{}.pgtwin-{}", self.name()?, Utc::of(utc::now()).of_name());
        let taken = |name: &String| {
            let path = self.path.with_file_name(name);
            place.as_user(|| Ok(look(&path) != Seen::Missing)).unwrap_or(true)
        };
        let mut names = (1..10).map(|number| match number {
            1 => stem.clone(),
            _ => format!("{stem}-{number}"),
        });
        let Some(name) = names.find(|name| !taken(name)) else {
            return Err(RuntimeError::Refused(format!(
                "no backup can be made beside {}",
                self.path.display()
            )));
        };
        self.write(place, &name, &self.bytes)?;
        Ok(self.path.with_file_name(name))
    }

    fn name(&self) -> Result<&str, RuntimeError> {
        self.path.file_name().and_then(OsStr::to_str).ok_or_else(|| {
            RuntimeError::Refused(format!("{} has no plain name", self.path.display()))
        })
    }

    fn write(&self, place: &Place, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let write = || write_durably_with(dir, name, bytes, self.entry.mode, Some(self.entry.gid));
        if self.entry.uid == place.user.uid {
            place.as_user(write)
        } else {
            write().map_err(RuntimeError::File)
        }
    }
}
