//! Btrfs subvolumes, by the program btrfs: what is one, and a new one. Floor 2.
//!
//! Whoever owns the directory around it may make one, rename it as any directory, and remove it once it is
//! empty (since Linux 4.18): so all of it is done as the PostgreSQL user. Only where a rename would replace
//! an empty directory, an empty subvolume is in the way.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use tracing::warn;

use crate::cluster::storage::is_data_of_storage;
use crate::decide::storage::{Form, form_of_copy};
use crate::sys::chain;
use crate::sys::exec::{Cmd, Exec};
use crate::sys::files::FileError;

use super::layout::{Layout, Part, What};
use super::own_files::io_error;
use super::{Place, RuntimeError, succeeded, text};

/// The program.
pub(super) const PROGRAM: &str = "btrfs";
/// The inode of every subvolume's root.
const ROOT: u64 = 256;
/// A subvolume is made at once; a snapshot waits for what is being written.
const LIMIT: Duration = Duration::from_mins(2);

/// What a directory is.
pub fn form(dir: &Path) -> Result<Form, FileError> {
    let meta = fs::symlink_metadata(dir).map_err(|e| io_error("examine", dir, e))?;
    let is_one = meta.is_dir() && meta.ino() == ROOT && on_btrfs(dir)?;
    Ok(if is_one { Form::Subvolume } else { Form::Directory })
}

/// Whether a directory is on Btrfs.
pub fn on_btrfs(dir: &Path) -> Result<bool, FileError> {
    let found = statfs(dir).map_err(|e| io_error("examine the file system of", dir, e.into()))?;
    Ok(found.filesystem_type() == BTRFS_SUPER_MAGIC)
}

/// Whether an empty one is in the way of a rename.
pub(super) fn is_in_the_way(dir: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => Ok(form(dir)? == Form::Subvolume),
        Ok(_) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io_error("examine", dir, e)),
    }
}

/// Makes a new one, of the user and private.
pub fn create(exec: &dyn Exec, user: &str, at: &Path) -> Result<(), RuntimeError> {
    run(exec, "make a subvolume", &create_cmd(user, at))
}

/// Makes a snapshot that can be written to.
pub fn snapshot(exec: &dyn Exec, user: &str, from: &Path, to: &Path) -> Result<(), RuntimeError> {
    run(exec, "make a snapshot", &snapshot_cmd(user, from, to))
}

fn create_cmd(user: &str, at: &Path) -> Cmd {
    Cmd::new(PROGRAM).args(["subvolume", "create"]).arg(text(at)).user(user).limit(LIMIT)
}

fn snapshot_cmd(user: &str, from: &Path, to: &Path) -> Cmd {
    let cmd = Cmd::new(PROGRAM).args(["subvolume", "snapshot"]);
    cmd.args([text(from), text(to)]).user(user).limit(LIMIT)
}

fn run(exec: &dyn Exec, what: &'static str, cmd: &Cmd) -> Result<(), RuntimeError> {
    let output = exec.run(cmd).map_err(|source| RuntimeError::Exec { what, source })?;
    succeeded(what, &output)
}

/// Whether files in it are written in place (attribute C of chattr), which a subvolume takes from nobody.
/// Where that cannot be read there is no such thing.
pub(super) fn writes_in_place(dir: &Path) -> bool {
    let flags = fs::File::open(dir).ok().and_then(|open| ioctl_getflags(&open).ok());
    flags.is_some_and(|flags| flags.contains(IFlags::NOCOW))
}

/// Sets it on a new, empty directory.
pub(super) fn write_in_place(dir: &Path) -> Result<(), FileError> {
    let failed = |e: rustix::io::Errno| io_error("set the attributes of", dir, e.into());
    let open = fs::File::open(dir).map_err(|e| io_error("open", dir, e))?;
    let flags = ioctl_getflags(&open).map_err(failed)?;
    ioctl_setflags(&open, flags | IFlags::NOCOW).map_err(failed)
}

/// Makes what is beside a part and takes its place what the part is: a subvolume, written in place or not.
/// A copy that is only a directory is better than none, so what goes wrong is logged.
pub(super) fn make_for_copy(place: &Place, exec: &dyn Exec, layout: &Layout) {
    for part in layout.parts.iter().filter(|part| part.has_new() && !part.inside) {
        match place.as_user(|| wanted(part)) {
            Ok((Form::Directory, _)) => {}
            Ok((Form::Subvolume, in_place)) => {
                let new = part.new_dir();
                let made = create(exec, &place.user.name, &new).and_then(|()| {
                    if in_place { place.as_user(|| write_in_place(&new)) } else { Ok(()) }
                });
                if let Err(error) = made {
                    warn!(
                        "{} becomes no subvolume as before: {}",
                        part.at.display(),
                        chain(&error)
                    );
                }
            }
            Err(error) => warn!("{}", chain(&error)),
        }
    }
}

/// What the copy of a part is to be.
fn wanted(part: &Part) -> Result<(Form, bool), FileError> {
    let is_storage = part.what == What::Data && part.at.to_str().is_some_and(is_data_of_storage);
    let (old, on_btrfs) = if part.mode.is_some() {
        (Some(form(&part.at)?), true)
    } else {
        (None, part.at.parent().map_or(Ok(false), on_btrfs)?)
    };
    let form = form_of_copy(old, on_btrfs, is_storage);
    let in_place = form == Form::Subvolume && old.is_some() && writes_in_place(&part.at);
    Ok((form, in_place))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::RunAs;

    #[test]
    fn the_program_is_run_as_the_user_and_with_whole_paths() {
        let cmd = create_cmd("pg", Path::new("/srv/a b"));
        assert_eq!((cmd.program.as_str(), &cmd.run_as), ("btrfs", &RunAs::User("pg".into())));
        assert_eq!(cmd.args, ["subvolume", "create", "/srv/a b"]);
        let cmd = snapshot_cmd("pg", Path::new("/a"), Path::new("/b"));
        assert_eq!(cmd.args, ["subvolume", "snapshot", "/a", "/b"]);
    }

    #[test]
    fn a_directory_elsewhere_is_no_subvolume() {
        assert_eq!(form(Path::new("/proc")).unwrap(), Form::Directory);
        assert!(!is_in_the_way(Path::new("/nowhere/at/all")).unwrap());
        assert!(form(Path::new("/nowhere")).is_err());
    }
}
