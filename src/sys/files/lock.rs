//! A lock between processes that dies with its holder: flock on a file that is never removed.
//! Floor 2.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::{Entry, FileError, Kind, Seen, io_error, look};
use crate::sys::deadline::{Deadline, poll_until};

/// A lock that is held until this is dropped, or until the process is gone.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Takes the exclusive lock on the file at `path`, created (0600) when missing, and waits for it
/// no longer than `wait`. The file belongs in a directory of our own and is never removed.
pub fn lock_file(path: &Path, wait: Duration) -> Result<Lock, FileError> {
    let deadline = Deadline::after(wait);
    let taken = poll_until(&deadline, Duration::from_millis(20), || match try_lock(path) {
        Ok(Some(lock)) => Some(Ok(lock)),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    });
    taken.unwrap_or_else(|| Err(FileError::Locked { path: path.to_owned(), waited: wait }))
}

/// `None` while another process holds it.
fn try_lock(path: &Path) -> Result<Option<Lock>, FileError> {
    let wrong = |found| FileError::WrongKind { path: path.to_owned(), found, wanted: Kind::File };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path);
    let file = opened.map_err(|e| match look(path) {
        Seen::Present(Entry { kind, .. }) if kind != Kind::File => wrong(kind),
        Seen::Present(_) | Seen::Missing | Seen::Unknown(_) => io_error("open", path, e),
    })?;
    let entry = Entry::of(&file.metadata().map_err(|e| io_error("examine", path, e))?);
    if entry.kind != Kind::File {
        return Err(wrong(entry.kind));
    }
    let locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => locked,
        Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => return Ok(None),
        Err((_, e)) => return Err(io_error("lock", path, e.into())),
    };
    // Somebody may have removed the file between our open and our lock; then this is a lock on
    // nothing, and the next attempt opens what is there now.
    let current = std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
    Ok((current.ok() == Some(entry.id)).then_some(Lock { _file: locked }))
}
