//! Whose PostgreSQL a data directory holds, where no parameter says so. Floor 2.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::sys::process::{Process, process, working_in};

/// What a data directory says of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It belongs to this user, and so does all that runs there.
    Of(String),
    /// No PostgreSQL runs there, and whose it would be is not known.
    NothingRuns,
    /// PostgreSQL may run there, and as whom cannot be told beyond doubt, for this reason.
    Unknown(String),
}

/// The user of the PostgreSQL in `pgdata`: who owns the directory, and all processes there, as the kernel
/// has them. The path must lead there without a symbolic link: whoever may write to a part of it could
/// otherwise have somebody else's server taken for ours.
pub fn of(pgdata: &Path) -> Owner {
    let pids = match working_in(pgdata, "postgres") {
        Ok(pids) => pids,
        Err(why) => return Owner::Unknown(format!("whether PostgreSQL runs is not known: {why}")),
    };
    match user_of(pgdata, &pids) {
        Ok(user) => Owner::Of(user),
        Err(_) if pids.is_empty() => Owner::NothingRuns,
        Err(why) => Owner::Unknown(format!("PostgreSQL runs, and as whom is not known: {why}")),
    }
}

fn user_of(pgdata: &Path, pids: &[i32]) -> Result<String, String> {
    let place = pgdata.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => format!("{place} does not exist"),
        _ => format!("{place}: {error}"),
    };
    if pgdata.canonicalize().map_err(failed)? != pgdata {
        return Err(format!("{place} is reached by a symbolic link"));
    }
    let uid = pgdata.symlink_metadata().map_err(failed)?.uid();
    for pid in pids {
        match process(*pid) {
            Process::Present(facts) if facts.is_dead() => {}
            Process::Present(facts) if facts.uid == uid && facts.euid == uid => {}
            Process::Present(facts) => {
                return Err(format!(
                    "process {pid} belongs to uid {}, and {place} to uid {uid}",
                    facts.uid
                ));
            }
            Process::Gone => {}
            Process::Unknown(why) => return Err(why),
        }
    }
    match User::from_uid(Uid::from_raw(uid)) {
        _ if uid == 0 => Err(format!("{place} belongs to root")),
        Ok(Some(user)) => Ok(user.name),
        Ok(None) => Err(format!("{place} belongs to uid {uid}, which has no name")),
        Err(error) => Err(format!("{place} belongs to uid {uid}: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_roots_or_reached_by_a_link_or_absent_has_no_user() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let link = real.join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(of(&link), Owner::NothingRuns);
        assert_eq!(of(&real.join("absent")), Owner::NothingRuns);
        let mine = Uid::current();
        let expected = match User::from_uid(mine).unwrap() {
            Some(user) if !mine.is_root() => Owner::Of(user.name),
            Some(_) | None => Owner::NothingRuns,
        };
        assert_eq!(of(&real), expected);
    }
}
