//! Room on the file systems that a data directory is spread over. Floor 2.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::cluster::known::Known;
use crate::decide::recovery_check::room::{Part, Volume};
use crate::decide::source::Tablespace;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::mounts::Mounts;
use crate::sys::privilege::with_user;

use super::Place;
use super::layout::{Noted, new_dirs};

/// Directories in directories, in a data directory: no honest one goes deeper.
const DEEPEST: u32 = 8;

/// Where each part that the source has lies here, or will, and how much room is there. `noted`: where the
/// parts lay of data that is lost. Looked at as the PostgreSQL user, for whom a file system may keep no
/// reserve.
pub fn volumes(
    place: &Place,
    tablespaces: &[Tablespace],
    noted: Option<&Noted>,
    deadline: &Deadline,
) -> Known<Vec<Volume>> {
    let mounts = match Mounts::read() {
        Ok(mounts) => mounts,
        Err(error) => return Known::unknown(chain(&error)),
    };
    let look = || {
        let data = real(&place.pgdata)?;
        let lost = fs::symlink_metadata(data.join("PG_VERSION"))
            .is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        let noted = noted.filter(|noted| lost && noted.data == data);
        let wal = match noted.and_then(Noted::wal) {
            Some(wal) => real(&data.join(&wal.link))?,
            None => real(&data.join("pg_wal"))?,
        };
        let mut volumes = vec![
            volume(
                Part::Data,
                &data,
                &[data.join("base"), data.join("global")],
                (&mounts, deadline),
            )?,
            volume(Part::Wal, &wal, std::slice::from_ref(&wal), (&mounts, deadline))?,
        ];
        for tablespace in tablespaces.iter().filter(|one| one.is_elsewhere()) {
            let link = data.join("pg_tblspc").join(tablespace.oid.to_string());
            // Where it is here; where it is not yet, where the source has it.
            let path = match fs::canonicalize(&link) {
                Ok(path) => path,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    match noted.and_then(|noted| noted.tablespace(tablespace.oid)) {
                        Some(space) => real(&data.join("pg_tblspc").join(&space.link))?,
                        None => real(Path::new(&tablespace.location))?,
                    }
                }
                Err(e) => return Err(named(&link, &e)),
            };
            let part = Part::Tablespace(tablespace.oid);
            volumes.push(volume(part, &path, std::slice::from_ref(&path), (&mounts, deadline))?);
        }
        Ok(volumes)
    };
    match with_user(&place.user, look) {
        Ok(found) => Known::from(found),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// Bytes that the PostgreSQL user may still write to pg_wal.
pub fn for_wal(place: &Place) -> Known<u64> {
    let look = || real(&place.pgdata.join("pg_wal")).and_then(|path| free(&path));
    match with_user(&place.user, look) {
        Ok(found) => Known::from(found),
        Err(error) => Known::unknown(chain(&error)),
    }
}

fn volume(
    part: Part,
    path: &Path,
    holding: &[PathBuf],
    (mounts, deadline): (&Mounts, &Deadline),
) -> io::Result<Volume> {
    let ground = existing(path)?;
    let device = device(&ground, mounts)?;
    let mut holds = Known::Known(0);
    for dir in holding {
        holds = holds.and_then(|sum: u64| {
            Known::from(size(dir, deadline, DEEPEST).map(|bytes| sum.saturating_add(bytes)))
        });
    }
    // What could not be measured counts as none.
    let left_over = left_over(path, device, mounts, deadline).unwrap_or_default();
    Ok(Volume {
        part,
        path: path.display().to_string(),
        device,
        free: free(&ground)?,
        left_over,
        holds,
    })
}

/// What a copy takes that was cut off, or has not come to its place.
fn left_over(path: &Path, on: u64, mounts: &Mounts, deadline: &Deadline) -> io::Result<u64> {
    let mut sum = 0u64;
    for dir in new_dirs(path) {
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir()) && device(&dir, mounts)? == on
        {
            sum = sum.saturating_add(size(&dir, deadline, DEEPEST)?);
        }
    }
    Ok(sum)
}

/// The number of the file system that a directory is on. Each subvolume of Btrfs has one of its own, and
/// the room of all is the same.
fn device(dir: &Path, mounts: &Mounts) -> io::Result<u64> {
    let real = fs::canonicalize(dir).map_err(|e| named(dir, &e))?;
    let own = fs::metadata(&real).map_err(|e| named(dir, &e))?.dev();
    let mounted = mounts.holding(&real).filter(|mounted| mounted.kind == "btrfs");
    Ok(mounted.map_or(own, |mounted| mounted.device))
}

fn free(path: &Path) -> io::Result<u64> {
    let ground = existing(path)?;
    let stat = statvfs(&ground).map_err(|e| named(&ground, &e.into()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// A path with its symbolic links followed as far as it exists: a link that leads nowhere yet is
/// where the data will lie.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => Ok(path.parent().unwrap_or(Path::new("/")).join(target)),
            Err(_) => Ok(path.to_owned()),
        },
        Err(e) => Err(named(path, &e)),
    }
}

/// The nearest directory above that exists.
fn existing(path: &Path) -> io::Result<PathBuf> {
    for ancestor in path.ancestors() {
        match fs::metadata(ancestor) {
            Ok(_) => return Ok(ancestor.to_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(named(ancestor, &e)),
        }
    }
    Err(named(path, &io::ErrorKind::NotFound.into()))
}

/// Bytes on disk below a directory; no symbolic link is followed, and what is gone meanwhile counts
/// nothing.
fn size(dir: &Path, deadline: &Deadline, depth: u32) -> io::Result<u64> {
    if deadline.expired() {
        return Err(io::Error::other(format!("{} could not be measured in time", dir.display())));
    }
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if gone(&e) => return Ok(0),
        Err(e) => return Err(named(dir, &e)),
    };
    let mut sum: u64 = 0;
    for entry in entries {
        let path = entry.map_err(|e| named(dir, &e))?.path();
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if gone(&e) => continue,
            Err(e) => return Err(named(&path, &e)),
        };
        let bytes = if meta.is_dir() && depth > 0 {
            size(&path, deadline, depth - 1)?
        } else {
            on_disk(&meta)
        };
        sum = sum.saturating_add(bytes);
    }
    Ok(sum)
}

fn on_disk(meta: &Metadata) -> u64 {
    if meta.is_file() { meta.blocks().saturating_mul(512).min(meta.len()) } else { 0 }
}

fn named(path: &Path, source: &io::Error) -> io::Error {
    io::Error::new(source.kind(), format!("{}: {source}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_mins(1))
    }

    #[test]
    fn what_is_not_there_yet_lies_on_the_file_system_above() {
        let dir = tempfile::tempdir().unwrap();
        let here = fs::canonicalize(dir.path()).unwrap();
        let mounts = Mounts::read().unwrap();
        let device = device(&here, &mounts).unwrap();
        let path = here.join("not/yet/there");
        let found =
            volume(Part::Data, &path, std::slice::from_ref(&path), (&mounts, &soon())).unwrap();
        assert_eq!((found.device, found.holds), (device, Known::Known(0)));
        assert!(found.free > 0);
        // A link to a place that is still to be made, as pg_wal's may be.
        symlink(&path, here.join("link")).unwrap();
        assert_eq!(real(&here.join("link")).unwrap(), path);
    }

    #[test]
    fn what_a_copy_that_was_cut_off_has_left_is_room_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let here = fs::canonicalize(dir.path()).unwrap();
        let mounts = Mounts::read().unwrap();
        let device = device(&here, &mounts).unwrap();
        let left = |device| left_over(&here.join("data"), device, &mounts, &soon()).unwrap();
        assert_eq!(left(device), 0);
        for (at, bytes) in [("data.pgtwin-new/base/5/1", 5000), ("data/.pgtwin-new/1", 7000)] {
            fs::create_dir_all(here.join(at).parent().unwrap()).unwrap();
            fs::write(here.join(at), vec![1; bytes]).unwrap();
        }
        fs::write(here.join("data/other"), [1; 900]).unwrap();
        assert_eq!(left(device), 12_000);
        assert_eq!(left(device + 1), 0, "it is not on this file system");
        fs::remove_dir_all(here.join("data.pgtwin-new")).unwrap();
        symlink(here.join("data"), here.join("data.pgtwin-new")).unwrap();
        assert_eq!(left(device), 7000, "a link is nobody's copy");
    }

    #[test]
    fn what_a_directory_holds_is_measured_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        fs::create_dir_all(here.join("data/5")).unwrap();
        fs::write(here.join("data/one"), [1; 5000]).unwrap();
        fs::write(here.join("data/5/two"), [1; 7000]).unwrap();
        fs::write(here.join("elsewhere"), vec![1; 90_000]).unwrap();
        symlink(here.join("elsewhere"), here.join("data/link")).unwrap();
        symlink(here.join("data"), here.join("data/loop")).unwrap();
        assert_eq!(size(&here.join("data"), &soon(), DEEPEST).unwrap(), 12_000);
        assert_eq!(size(&here.join("nothing"), &soon(), DEEPEST).unwrap(), 0);
        let late = Deadline::after(Duration::ZERO);
        assert!(size(&here.join("data"), &late, DEEPEST).unwrap_err().to_string().contains("time"));
    }
}
