//! Writes that survive a power cut whole or not at all, and the directories they go to. Floor 2.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::{Entry, FileError, Kind, Seen, io_error, look};
use crate::sys::privilege::User;

/// Replaces `dir/name` by `bytes`, with exactly this mode, owned by the effective user: written
/// beside it, synced, renamed over it, and the directory synced. When this returns `Ok`, it stays;
/// when it fails, the old content is still there.
pub fn write_durably(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    write_durably_with(dir, name, bytes, mode, None)
}

/// The same, of this group, which has to be one that the effective user may give.
pub fn write_durably_with(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    mode: u32,
    group: Option<u32>,
) -> Result<(), FileError> {
    let target = member(dir, name)?;
    let (temp_path, mut temp) = create_beside(dir, name)?;
    let written = temp
        .write_all(bytes)
        .and_then(|()| group.map_or(Ok(()), |group| fchown(&temp, None, Some(group))))
        // The mode is set here and not at the open, where the umask would take from it.
        .and_then(|()| temp.set_permissions(fs::Permissions::from_mode(mode & 0o7777)))
        .and_then(|()| temp.sync_all())
        .map_err(|e| io_error("write", &target, e))
        .and_then(|()| {
            fs::rename(&temp_path, &target)
                .map_err(|e| io_error("put a new version of", &target, e))
        });
    if let Err(error) = written {
        // Best effort: the failure itself is what the caller has to hear of.
        let _ = fs::remove_file(&temp_path);
        return Err(error);
    }
    sync_dir(dir)
}

/// Replaces `dir/name` by `bytes` at once and whole, without a sync: for what may be lost.
pub fn write_volatile(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let target = member(dir, name)?;
    let (temp_path, mut temp) = create_beside(dir, name)?;
    let written = temp
        .write_all(bytes)
        .and_then(|()| temp.set_permissions(fs::Permissions::from_mode(mode & 0o7777)))
        .and_then(|()| fs::rename(&temp_path, &target))
        .map_err(|e| io_error("write", &target, e));
    if written.is_err() {
        let _ = fs::remove_file(&temp_path);
    }
    written
}

/// The same for a user's private file in a directory of ours: nobody else can read it at any moment.
pub fn write_private(dir: &Path, name: &str, bytes: &[u8], user: &User) -> Result<(), FileError> {
    let target = member(dir, name)?;
    let (temp_path, mut temp) = create_beside(dir, name)?;
    let written = temp
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| temp.write_all(bytes))
        .and_then(|()| fchown(&temp, Some(user.uid), Some(user.gid)))
        .and_then(|()| fs::rename(&temp_path, &target))
        .map_err(|e| io_error("write", &target, e));
    if written.is_err() {
        let _ = fs::remove_file(&temp_path);
    }
    written
}

/// Removes `dir/name`, if it is there, so that it stays removed after a power cut.
pub fn remove_durably(dir: &Path, name: &str) -> Result<(), FileError> {
    let target = member(dir, name)?;
    match fs::remove_file(&target) {
        Ok(()) => sync_dir(dir),
        // A removal before a crash may not have reached the disk: sync in this case too.
        Err(e) if e.kind() == io::ErrorKind::NotFound => sync_dir(dir),
        Err(e) => Err(io_error("remove", &target, e)),
    }
}

/// `dir/name`, if `name` is a plain name.
fn member(dir: &Path, name: &str) -> Result<PathBuf, FileError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name");
        return Err(FileError::Io { what: "use the name", path: PathBuf::from(name), source });
    }
    Ok(dir.join(name))
}

fn create_beside(dir: &Path, name: &str) -> Result<(PathBuf, File), FileError> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let mut last = None;
    for _ in 0..16 {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".{name}.{}-{nanos:x}-{count:x}.pgtwin-tmp", process::id()));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
            .open(&path);
        match opened {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = Some(e),
            Err(e) => return Err(io_error("create a file in", dir, e)),
        }
    }
    let source = last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
    Err(FileError::Io { what: "create a file in", path: dir.to_owned(), source })
}

/// Puts the names in a directory on the disk: of what was made or removed there before.
pub fn sync_dir(dir: &Path) -> Result<(), FileError> {
    open_dir(dir, OFlag::empty())?.sync_all().map_err(|e| io_error("sync the directory", dir, e))
}

fn open_dir(dir: &Path, more: OFlag) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | more).bits())
        .open(dir)
        .map_err(|e| io_error("open the directory", dir, e))
}

/// Makes sure that `path` is a directory of the effective user (root, under Pacemaker) in which
/// nobody else may write, with this mode. Creates what is missing, parents included (0755).
/// Refuses a symbolic link, somebody else's directory, one that others may write to, and a parent
/// in which somebody else could replace it.
pub fn ensure_root_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    if !path.is_absolute() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path");
        return Err(FileError::Io { what: "use the directory", path: path.to_owned(), source });
    }
    if let Some(parent) = path.parent() {
        match look(parent) {
            Seen::Missing => ensure_root_dir(parent, 0o755)?,
            Seen::Present(_) | Seen::Unknown(_) => check_parents(parent)?,
        }
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(io_error("create the directory", path, e)),
    }
    let wrong =
        |found| FileError::WrongKind { path: path.to_owned(), found, wanted: Kind::Directory };
    let dir = match open_dir(path, OFlag::O_NOFOLLOW) {
        Ok(dir) => dir,
        Err(error) => {
            return Err(match look(path) {
                Seen::Present(Entry { kind, .. }) if kind != Kind::Directory => wrong(kind),
                Seen::Present(_) | Seen::Missing | Seen::Unknown(_) => error,
            });
        }
    };
    let found = Entry::of(&dir.metadata().map_err(|e| io_error("examine", path, e))?);
    let wanted = geteuid().as_raw();
    if found.uid != wanted {
        return Err(FileError::NotOurs { path: path.to_owned(), owner: found.uid, wanted });
    }
    if found.mode & 0o022 != 0 {
        return Err(FileError::OthersMayWrite { path: path.to_owned(), mode: found.mode });
    }
    if found.mode != mode & 0o7777 {
        dir.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
            .map_err(|e| io_error("set the mode of", path, e))?;
    }
    Ok(())
}

/// Every directory above must be root's or ours, and no world-writable one may lack the sticky bit.
/// Group-writable ones are left to the distribution: `/var/log` is one on some.
fn check_parents(parent: &Path) -> Result<(), FileError> {
    let real = fs::canonicalize(parent).map_err(|e| io_error("resolve", parent, e))?;
    let us = geteuid().as_raw();
    for dir in real.ancestors() {
        let meta = fs::metadata(dir).map_err(|e| io_error("examine", dir, e))?;
        let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
        if owner != 0 && owner != us {
            return Err(FileError::NotOurs { path: dir.to_owned(), owner, wanted: us });
        }
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(FileError::OthersMayWrite { path: dir.to_owned(), mode });
        }
    }
    Ok(())
}
