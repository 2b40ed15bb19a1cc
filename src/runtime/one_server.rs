//! One data directory, one postmaster. Floor 2.
//!
//! PostgreSQL sees to that itself by postmaster.pid and its shared memory, and neither is seen from another
//! namespace: a server in a container takes the host's for gone, and the other way round. So whoever starts
//! one holds a lock outside of PGDATA, and looks at all processes of this host, whatever namespace they are in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

use crate::postgres::postmaster_pid::PostmasterPid;
use crate::sys::files::{Lock, Seen, ensure_root_dir, lock_file, look_through, remove_durably};
use crate::sys::process::working_in;

use super::{Place, RuntimeError};

/// Where the locks are: gone at boot, as all servers are.
const DIR: &str = "/run/pgtwin/locks";
/// Another start on the same data ends within this time, or it is not waited for.
const WAIT: Duration = Duration::from_secs(5);

/// Whose processes a server counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// It sees those of this host.
    OfThisHost,
    /// It sees those of a namespace that it gets with its start.
    OfTheirOwn,
}

/// Takes the right to start a server on this data; it is given back when the lock is dropped. An error: another
/// start is under way, or a server runs, by whatever it was started.
pub fn claim(place: &Place, numbers: Numbers) -> Result<Option<Lock>, RuntimeError> {
    let lock = match lock_path(&place.pgdata)? {
        Some(path) => Some(lock_file(&path, WAIT).map_err(RuntimeError::File)?),
        None => None,
    };
    // Read before the processes are looked at: who wrote it works there by then, if it is alive.
    let (claim, sockets) = (place.claim(), place.socket_claims());
    match working_in(&place.pgdata, "postgres") {
        Ok(pids) if pids.is_empty() => {
            if lock.is_some() {
                if let Some(claim) = claim {
                    discard_stale(place, &place.pgdata, "postmaster.pid", &claim, numbers)?;
                }
                for (dir, claim) in sockets {
                    discard_stale(place, &dir, &place.socket_lock(), &claim, numbers)?;
                }
            }
            Ok(lock)
        }
        Ok(pids) => Err(RuntimeError::Refused(format!(
            "cannot start PostgreSQL: processes of another one work in {}, here or in a container: {pids:?}",
            place.pgdata.display()
        ))),
        Err(why) => Err(RuntimeError::Refused(format!(
            "cannot start PostgreSQL: whether another one works in {} is not known: {why}",
            place.pgdata.display()
        ))),
    }
}

/// A crash leaves postmaster.pid behind, and the lock of the socket. Where the number in one of them is a living
/// process of the same user by now, PostgreSQL takes that for a postmaster, and does not start. It is known here
/// that nobody who wrote them works on this data; nor could another server, started by hand meanwhile, have put
/// its own in their place, for the same reason.
///
/// In a container numbers begin anew: which of them will live there, its collector of the log for one, nobody knows.
fn discard_stale(
    place: &Place,
    dir: &Path,
    name: &str,
    claim: &PostmasterPid,
    numbers: Numbers,
) -> Result<(), RuntimeError> {
    let pid = i32::try_from(claim.pid).ok().filter(|pid| *pid > 0);
    let may_live = match numbers {
        Numbers::OfThisHost => pid.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_ok()),
        Numbers::OfTheirOwn => true,
    };
    if may_live {
        place.as_user(|| remove_durably(dir, name))?;
    }
    Ok(())
}

/// By device and inode: one directory has many names. Only root has a place for it; whoever is not root starts
/// no containers.
fn lock_path(pgdata: &Path) -> Result<Option<PathBuf>, RuntimeError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let (device, inode) = match look_through(pgdata) {
        Seen::Present(entry) => entry.id,
        // Then it does not start either.
        Seen::Missing => return Ok(None),
        Seen::Unknown(why) => return Err(RuntimeError::Refused(why)),
    };
    let dir = Path::new(DIR);
    ensure_root_dir(dir, 0o755).map_err(RuntimeError::File)?;
    Ok(Some(dir.join(format!("{device}-{inode}"))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_lock_by_whatever_name_it_is_called() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("data"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(lock_path(&real).unwrap().unwrap(), lock_path(&link).unwrap().unwrap());
        assert_eq!(lock_path(&dir.path().join("nothing")).unwrap(), None);
    }
}
