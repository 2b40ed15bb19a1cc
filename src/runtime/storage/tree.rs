//! All that is in a directory, as the PostgreSQL user sees it; no link is followed. Floor 2.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::decide::storage::moving::{Entry, What, not_kept};
use crate::sys::files::FileError;
use crate::sys::mounts::Mounts;

use super::super::layout::is_ours;
use super::super::own_files::io_error;

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file: its size.
    File(u64),
    /// A symbolic link: its text.
    Link(PathBuf),
    /// Something else.
    Special,
}

/// Something in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path below the directory; empty for the directory itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// When its content changed: seconds and nanoseconds.
    pub changed: (i64, i64),
    uid: u32,
    dev: u64,
}

impl Item {
    fn of(path: PathBuf, full: &Path, meta: &Metadata) -> Result<Self, FileError> {
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_file() {
            Kind::File(meta.size())
        } else if meta.is_symlink() {
            Kind::Link(fs::read_link(full).map_err(|e| io_error("read the link", full, e))?)
        } else {
            Kind::Special
        };
        let (mode, changed) = (meta.mode() & 0o7777, (meta.mtime(), meta.mtime_nsec()));
        Ok(Self { path, kind, mode, changed, uid: meta.uid(), dev: meta.dev() })
    }

    /// Bytes of a file.
    pub fn bytes(&self) -> u64 {
        match self.kind {
            Kind::File(size) => size,
            Kind::Directory | Kind::Link(_) | Kind::Special => 0,
        }
    }

    /// Whether the other is what a copy of this one is. When a directory or a link was changed means
    /// nothing.
    pub fn is_like(&self, other: &Self) -> bool {
        let when = match self.kind {
            Kind::File(_) => self.changed == other.changed,
            Kind::Directory | Kind::Link(_) | Kind::Special => true,
        };
        let mode = matches!(self.kind, Kind::Link(_)) || self.mode == other.mode;
        self.path == other.path && self.kind == other.kind && mode && when
    }
}

/// All of it, sorted by path, so that a directory comes before what is in it; the directory itself first.
/// What pgtwin or the file system has at the top of one is left out.
pub fn of(root: &Path) -> Result<Vec<Item>, FileError> {
    let look = |full: &Path| fs::symlink_metadata(full).map_err(|e| io_error("examine", full, e));
    let mut items = vec![Item::of(PathBuf::new(), root, &look(root)?)?];
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        let full = root.join(&dir);
        for entry in fs::read_dir(&full).map_err(|e| io_error("list", &full, e))? {
            let name = entry.map_err(|e| io_error("list", &full, e))?.file_name();
            if dir.as_os_str().is_empty() && is_ours(&name.to_string_lossy()) {
                continue;
            }
            let (path, full) = (dir.join(&name), full.join(&name));
            let item = Item::of(path, &full, &look(&full)?)?;
            if item.kind == Kind::Directory {
                todo.push(item.path.clone());
            }
            items.push(item);
        }
    }
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(items)
}

/// Bytes of all files.
pub fn bytes(items: &[Item]) -> u64 {
    items.iter().fold(0, |sum, item| sum.saturating_add(item.bytes()))
}

/// What a copy would not keep of these, in words.
pub fn odd(items: &[Item], root: &Path, uid: u32, mounts: &Mounts) -> Vec<String> {
    let own = items.first().map_or(0, |item| item.dev);
    let from = root.to_string_lossy();
    let mut words = Vec::new();
    for item in items.iter().skip(1) {
        let path = item.path.to_string_lossy();
        let link;
        let what = match &item.kind {
            Kind::Special => What::Special,
            Kind::Link(to) => {
                link = to.to_string_lossy();
                What::Link(&link)
            }
            _ if item.dev != own => What::Apart,
            Kind::Directory if mounts.is_point(&root.join(&item.path)) => What::Apart,
            Kind::Directory | Kind::File(_) => What::Plain,
        };
        let entry = Entry { path: &path, what, uid: item.uid };
        words.extend(not_kept(&entry, &from, uid));
    }
    words
}
