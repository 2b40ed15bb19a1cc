//! Files as root meets them: what is there, and reading it without following, hanging or filling
//! the memory. Writing is in `durable`, locks are in `lock`. Floor 2.

mod durable;
mod lock;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

pub use durable::{
    ensure_root_dir, remove_durably, sync_dir, write_durably, write_durably_with, write_private,
    write_volatile,
};
pub use lock::{Lock, lock_file};

/// What a path names. A symbolic link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device.
    Special,
}

impl Kind {
    fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else {
            Self::Special
        }
    }

    /// The kind in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "regular file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Special => "special file",
        }
    }
}

/// What is known of something that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Permission bits (07777).
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Device and inode: equal for two paths exactly if they name the same thing.
    pub id: (u64, u64),
}

impl Entry {
    fn of(meta: &Metadata) -> Self {
        Self {
            kind: Kind::of(meta),
            uid: meta.uid(),
            gid: meta.gid(),
            mode: meta.mode() & 0o7777,
            size: meta.size(),
            id: (meta.dev(), meta.ino()),
        }
    }
}

/// The answer to "what is at this path?". A system that does not answer has not said "nothing".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Certainly nothing is there.
    Missing,
    /// This is there.
    Present(Entry),
    /// The system gave no answer, for this reason.
    Unknown(String),
}

/// Looks at a path, without following a symbolic link at its end.
pub fn look(path: &Path) -> Seen {
    seen(path, fs::symlink_metadata(path))
}

/// Looks at what a path leads to, through symbolic links.
pub fn look_through(path: &Path) -> Seen {
    seen(path, fs::metadata(path))
}

fn seen(path: &Path, answer: io::Result<Metadata>) -> Seen {
    match answer {
        Ok(meta) => Seen::Present(Entry::of(&meta)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Seen::Missing,
        Err(e) => Seen::Unknown(format!("{}: {e}", path.display())),
    }
}

/// Why a file was not read, written or locked. Displays one line; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("{} is missing", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is a {}, not a {}: look at it and remove it", path.display(), found.name(), wanted.name())]
    WrongKind {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: Kind,
        /// What was expected.
        wanted: Kind,
    },
    /// It is larger than any honest one.
    #[error("{} is larger than {max} bytes: look at it and remove it", path.display())]
    TooBig {
        /// Where.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// Somebody else owns it.
    #[error("{} belongs to uid {owner}, not to uid {wanted}: find out why, then chown it", path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Others may write to it.
    #[error("{} has mode {mode:04o}, others may write to it: find out why, then chmod go-w", path.display())]
    OthersMayWrite {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not UTF-8.
    #[error("{} is not UTF-8 text: look at it and correct it", path.display())]
    NotText {
        /// Where.
        path: PathBuf,
    },
    /// A lock is held by another process.
    #[error("{} was still locked by another pgtwin after {waited:?}: see fuser {}", path.display(), path.display())]
    Locked {
        /// Where.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// The system refused.
    #[error("cannot {what} {}{}", path.display(), hint(source))]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ", check the owner and mode of it and its directories",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ", make room on its file system"
        }
        io::ErrorKind::ReadOnlyFilesystem => ", its file system is read-only: check the disk",
        _ => "",
    }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> FileError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path },
        _ => FileError::Io { what, path, source },
    }
}

/// Reads a file of our own: a regular file owned by the user we are (root, under Pacemaker), in
/// which nobody else may write, of at most `max` bytes of UTF-8.
pub fn read_root_owned(path: &Path, max: u64) -> Result<String, FileError> {
    let (file, entry) = open_regular(path)?;
    let wanted = geteuid().as_raw();
    if entry.uid != wanted {
        return Err(FileError::NotOurs { path: path.to_owned(), owner: entry.uid, wanted });
    }
    if entry.mode & 0o022 != 0 {
        return Err(FileError::OthersMayWrite { path: path.to_owned(), mode: entry.mode });
    }
    text(path, read_bounded(path, file, max)?)
}

/// Reads a file of root's that only root can have put there: every directory that leads to it is one
/// of root's in which nobody else may write, and no symbolic link is on the way.
pub fn read_by_root_alone(path: &Path, max: u64) -> Result<String, FileError> {
    led_to_by_root_alone(path)?;
    read_root_owned(path, max)
}

/// Whether nobody but root can put anything in the place of a path: an error names who else can.
pub fn led_to_by_root_alone(path: &Path) -> Result<(), FileError> {
    for dir in path.ancestors().skip(1) {
        let entry = match look(dir) {
            Seen::Present(entry) => entry,
            Seen::Missing => return Err(FileError::Missing { path: dir.to_owned() }),
            Seen::Unknown(why) => return Err(io_error("examine", dir, io::Error::other(why))),
        };
        if entry.kind != Kind::Directory {
            let (path, found) = (dir.to_owned(), entry.kind);
            return Err(FileError::WrongKind { path, found, wanted: Kind::Directory });
        }
        if entry.uid != 0 {
            return Err(FileError::NotOurs { path: dir.to_owned(), owner: entry.uid, wanted: 0 });
        }
        if entry.mode & 0o022 != 0 {
            return Err(FileError::OthersMayWrite { path: dir.to_owned(), mode: entry.mode });
        }
    }
    Ok(())
}

/// Reads a file that somebody else controls: a regular file, of at most `max` bytes of UTF-8.
/// Nothing at that path can make this hang, and no symbolic link at its end is followed.
pub fn read_untrusted(path: &Path, max: u64) -> Result<String, FileError> {
    text(path, read_untrusted_bytes(path, max)?)
}

/// Like `read_untrusted`, for what need not be UTF-8.
pub fn read_untrusted_bytes(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    read_untrusted_entry(path, max).map(|(bytes, _)| bytes)
}

/// The same, and what is known of the very file that was read.
pub fn read_untrusted_entry(path: &Path, max: u64) -> Result<(Vec<u8>, Entry), FileError> {
    let (file, entry) = open_regular(path)?;
    Ok((read_bounded(path, file, max)?, entry))
}

/// The first `len` bytes of a file that somebody else controls, or as many as there are, with the same care.
pub fn read_head(path: &Path, len: usize) -> Result<Vec<u8>, FileError> {
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::with_capacity(len);
    file.take(len as u64).read_to_end(&mut bytes).map_err(|e| io_error("read", path, e))?;
    Ok(bytes)
}

/// The whole lines among the last `max` bytes of a file that somebody else controls, with the same
/// care; what is not UTF-8 in it is replaced.
pub fn read_tail(path: &Path, max: u64) -> Result<String, FileError> {
    let (mut file, entry) = open_regular(path)?;
    let from = entry.size.saturating_sub(max);
    file.seek(SeekFrom::Start(from)).map_err(|e| io_error("read", path, e))?;
    let mut bytes = Vec::with_capacity(4096);
    // It may grow meanwhile.
    file.take(max).read_to_end(&mut bytes).map_err(|e| io_error("read", path, e))?;
    if from > 0 {
        let begin = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..begin);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open_regular(path: &Path) -> Result<(File, Entry), FileError> {
    let wrong = |found| FileError::WrongKind { path: path.to_owned(), found, wanted: Kind::File };
    // A FIFO without a writer would block an open without O_NONBLOCK.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(e) => {
            return Err(match look(path) {
                // The open fails differently for a link (ELOOP), a socket (ENXIO) and so on.
                Seen::Present(Entry { kind, .. }) if kind != Kind::File => wrong(kind),
                Seen::Present(_) | Seen::Missing | Seen::Unknown(_) => io_error("open", path, e),
            });
        }
    };
    let entry = Entry::of(&file.metadata().map_err(|e| io_error("examine", path, e))?);
    if entry.kind == Kind::File { Ok((file, entry)) } else { Err(wrong(entry.kind)) }
}

fn read_bounded(path: &Path, file: File, max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::with_capacity(4096);
    // The size in the inode may be 0 (in /proc) or grow meanwhile: what counts is what is read.
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| io_error("read", path, e))?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooBig { path: path.to_owned(), max });
    }
    Ok(bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::NotText { path: path.to_owned() })
}

/// The identity of this boot of the machine (a UUID): what was written under another one is past.
pub fn boot_id() -> Result<String, FileError> {
    read_untrusted(Path::new("/proc/sys/kernel/random/boot_id"), 64).map(|id| id.trim().to_owned())
}
