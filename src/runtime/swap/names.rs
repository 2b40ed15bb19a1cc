//! The names in a directory that is replaced by its content. Floor 2.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::files::FileError;

use super::super::layout::is_ours;
use super::super::own_files::io_error;

/// The order of the names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// `PG_VERSION`, without which no PostgreSQL starts, before all others.
    Version,
    /// After all others.
    Others,
}

/// The names that begin so, without ours and the file system's own.
pub(super) fn of(dir: &Path, only: &str, first: First) -> Result<Vec<OsString>, FileError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| io_error("list", dir, e))? {
        let name = entry.map_err(|e| io_error("list", dir, e))?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with(only) && !is_ours(&text) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (name == "PG_VERSION") == (first == First::Others));
    Ok(names)
}

/// The name of an old copy that is not whole yet.
pub(super) fn unfinished(old: &Path) -> PathBuf {
    let mut name = old.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".part");
    old.with_file_name(name)
}
