//! A copy of all that is in a directory, which goes on where it was cut off, and its proof. As the
//! PostgreSQL user. Floor 2.
//!
//! A file counts as copied when its size, permissions and time are those of the old one; the time is set
//! last. What of that the disk has after a power cut is no matter: all that was copied is compared with the
//! old, byte by byte, before anything relies on it.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::fs::{ioctl_ficlone, syncfs};
use rustix::io::Errno;

use crate::cluster::migration::Method;
use crate::sys::files::{FileError, Seen, look};

use super::super::own_files::io_error;
use super::super::swap::remove_tree;
use super::tree::{self, Item, Kind};

/// Is told how many bytes are done before each item, and says whether to go on.
pub type Watch<'a> = dyn FnMut(u64) -> bool + 'a;

/// How the copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// All files share their blocks with the old ones, or were there already.
    Shared,
    /// Some bytes were written.
    Written,
    /// The watch has ended it.
    Ended,
}

/// Copies these items from one directory to another, which exists; whatever else is in that is removed.
pub fn copy(
    (from, to): (&Path, &Path),
    items: &[Item],
    method: Method,
    watch: &mut Watch<'_>,
) -> Result<Made, FileError> {
    let mut made = if method == Method::Copy { Made::Written } else { Made::Shared };
    let mut there = tree::of(to)?;
    // Backwards, so that a directory is empty when its turn comes.
    for stray in
        there.iter().rev().filter(|one| find(items, one).is_none_or(|item| kinds_differ(item, one)))
    {
        remove(&to.join(&stray.path), stray)?;
    }
    there.retain(|one| find(items, one).is_some_and(|item| !kinds_differ(item, one)));
    let mut done = 0u64;
    for item in items {
        if !watch(done) {
            return Ok(Made::Ended);
        }
        let (old, new) = (from.join(&item.path), to.join(&item.path));
        let present = find(&there, item);
        match &item.kind {
            Kind::Directory if present.is_none() => DirBuilder::new()
                .mode(0o700)
                .create(&new)
                .map_err(|e| io_error("create the directory", &new, e))?,
            Kind::Link(text) => {
                if let Some(wrong) = present.filter(|one| one.kind != item.kind) {
                    remove(&new, wrong)?;
                }
                if look(&new) == Seen::Missing {
                    symlink(text, &new).map_err(|e| io_error("make the link", &new, e))?;
                }
            }
            Kind::File(size) => {
                if !present.is_some_and(|one| item.is_like(one)) {
                    made = made.and(copy_file((&old, &new), item, method)?);
                }
                done = done.saturating_add(*size);
            }
            Kind::Directory | Kind::Special => {}
        }
    }
    for item in items.iter().rev().filter(|item| item.kind == Kind::Directory) {
        let new = to.join(&item.path);
        fs::set_permissions(&new, Permissions::from_mode(item.mode))
            .map_err(|e| io_error("set the mode of", &new, e))?;
    }
    sync(to)?;
    Ok(if watch(done) { made } else { Made::Ended })
}

impl Made {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ended, _) | (_, Self::Ended) => Self::Ended,
            (Self::Written, _) | (_, Self::Written) => Self::Written,
            (Self::Shared, Self::Shared) => Self::Shared,
        }
    }
}

/// Puts all of a directory's file system on the disk.
pub fn sync(dir: &Path) -> Result<(), FileError> {
    let open = File::open(dir).map_err(|e| io_error("open", dir, e))?;
    syncfs(&open).map_err(|e| io_error("sync", dir, e.into()))
}

fn find<'a>(items: &'a [Item], like: &Item) -> Option<&'a Item> {
    let at = items.binary_search_by(|item| item.path.cmp(&like.path)).ok()?;
    items.get(at)
}

fn kinds_differ(one: &Item, other: &Item) -> bool {
    std::mem::discriminant(&one.kind) != std::mem::discriminant(&other.kind)
}

fn remove(path: &Path, item: &Item) -> Result<(), FileError> {
    if item.kind == Kind::Directory {
        return remove_tree(path);
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn copy_file((old, new): (&Path, &Path), item: &Item, method: Method) -> Result<Made, FileError> {
    let failed = |what| move |e| io_error(what, new, e);
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
    let mut source = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(old)
        .map_err(|e| io_error("open", old, e))?;
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(new)
        .map_err(failed("open"))?;
    let mut made = Made::Shared;
    let shared = match method {
        Method::Copy => Err(Errno::OPNOTSUPP),
        Method::Reflink | Method::Snapshot => ioctl_ficlone(&target, &source),
    };
    match shared {
        Ok(()) => {}
        // The file system has no such thing, or does not share these two.
        Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {
            made = Made::Written;
            io::copy(&mut source, &mut target).map_err(failed("write"))?;
        }
        Err(error) => return Err(io_error("write", new, error.into())),
    }
    target.set_permissions(Permissions::from_mode(item.mode)).map_err(failed("set the mode of"))?;
    let times = source.metadata().and_then(|meta| meta.modified());
    let times = FileTimes::new().set_modified(times.map_err(|e| io_error("examine", old, e))?);
    target.set_times(times).map_err(failed("set the time of"))?;
    Ok(made)
}

/// What differs between these items and what is in a directory: paths, a few of them. Where `contents` is
/// given, files are compared with those of that directory, byte by byte; `watch` as for a copy, and where it
/// says no, this is none.
pub fn differences(
    items: &[Item],
    to: &Path,
    contents: Option<&Path>,
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<PathBuf>>, FileError> {
    const MOST: usize = 1000;
    let there = tree::of(to)?;
    let mut differ: Vec<PathBuf> = there
        .iter()
        .filter(|one| find(items, one).is_none())
        .chain(items.iter().filter(|item| !find(&there, item).is_some_and(|one| item.is_like(one))))
        .map(|item| item.path.clone())
        .collect();
    let mut done = 0u64;
    let files = items.iter().filter(|item| matches!(item.kind, Kind::File(_)));
    for item in files.filter(|_| contents.is_some()) {
        if !watch(done) {
            return Ok(None);
        }
        done = done.saturating_add(item.bytes());
        let Some(from) = contents else { break };
        if !differ.contains(&item.path) && !are_equal(&from.join(&item.path), &to.join(&item.path))?
        {
            differ.push(item.path.clone());
        }
        if differ.len() > MOST {
            break;
        }
    }
    Ok(Some(differ))
}

fn are_equal(one: &Path, other: &Path) -> Result<bool, FileError> {
    const CHUNK: usize = 1 << 18;
    let open = |path: &Path| {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        opened.map_err(|e| io_error("open", path, e))
    };
    let (mut first, mut second) = (open(one)?, open(other)?);
    let (mut mine, mut theirs) = (vec![0u8; CHUNK], vec![0u8; CHUNK]);
    loop {
        let read = fill(&mut first, &mut mine).map_err(|e| io_error("read", one, e))?;
        let also = fill(&mut second, &mut theirs).map_err(|e| io_error("read", other, e))?;
        if read != also || mine.get(..read) != theirs.get(..also) {
            return Ok(false);
        }
        if read < CHUNK {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file at its end.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
