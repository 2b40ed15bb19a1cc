//! Root acting as the PostgreSQL user: who that is, with all of its groups, and a guard for short
//! file and socket work under its effective identity. Floor 2.
//!
//! The effective identity belongs to the whole process, not to a thread: pgtwin is single-threaded
//! while it holds the guard, and two guards at once are refused.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::unistd::{
    self, Gid, Uid, getegid, geteuid, getgrouplist, getgroups, setegid, seteuid, setgroups,
};

/// A user of this system, resolved once: its name could mean another one a moment later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its numeric identity.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// All of its groups, the primary one included, as its own login would get them.
    pub groups: Vec<u32>,
}

/// Why this process cannot act as a user. Displays one line; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody has this name.
    #[error("user {user:?} does not exist: create it, or correct the parameter that names it")]
    NoUser {
        /// The name.
        user: String,
    },
    /// The user database gave no answer, so that the user may well exist.
    #[error("cannot look up user {user:?} in the user database: see nsswitch.conf")]
    Lookup {
        /// The name.
        user: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// We are neither root nor that user.
    #[error("cannot act as user {user:?} from uid {caller}: run this as root or as {user:?}")]
    NotRoot {
        /// The name.
        user: String,
        /// Our effective uid.
        caller: u32,
    },
    /// The system refused the change, though we are root.
    #[error("cannot take on the identity of user {user:?}: does this process lack CAP_SETUID?")]
    Refused {
        /// The name.
        user: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The guard is held already; neither another one nor a child may be started under it.
    #[error(
        "this process acts as another user at the moment (a mistake in pgtwin: please report it)"
    )]
    GuardHeld,
}

impl User {
    /// Looks the name up in the system's user database.
    pub fn named(name: &str) -> Result<Self, PrivilegeError> {
        let nobody = || PrivilegeError::NoUser { user: name.to_owned() };
        let lookup = |e: Errno| PrivilegeError::Lookup { user: name.to_owned(), source: e.into() };
        let c_name = CString::new(name).map_err(|_| nobody())?;
        let found = match unistd::User::from_name(name) {
            Ok(found) => found.ok_or_else(nobody)?,
            // What getpwnam_r(3) lists as "not found" besides an empty answer.
            Err(Errno::ENOENT | Errno::ESRCH) => return Err(nobody()),
            Err(e) => return Err(lookup(e)),
        };
        let groups = getgrouplist(&c_name, found.gid).map_err(lookup)?;
        Ok(Self {
            name: name.to_owned(),
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    /// Whether this process already is that user, so that nothing has to be changed.
    pub fn is_caller(&self) -> bool {
        geteuid().as_raw() == self.uid
    }

    /// Whether a switch is needed; an error when it is needed and we are not root.
    pub(super) fn needs_switch(&self) -> Result<bool, PrivilegeError> {
        if self.is_caller() {
            return Ok(false);
        }
        guard_is_free()?;
        if geteuid().is_root() {
            return Ok(true);
        }
        Err(PrivilegeError::NotRoot { user: self.name.clone(), caller: geteuid().as_raw() })
    }
}

/// Runs `work` with the effective identity (uid, gid, groups) of `user`, and comes back, also from
/// a panic. Sockets connected meanwhile carry that identity for peer authentication.
///
/// Nothing is changed when this process is that user already.
pub fn with_user<T>(user: &User, work: impl FnOnce() -> T) -> Result<T, PrivilegeError> {
    if !user.needs_switch()? {
        return Ok(work());
    }
    let guard = AsUser::take_on(user)?;
    let value = work();
    drop(guard);
    Ok(value)
}

static HELD: AtomicBool = AtomicBool::new(false);

/// An error while the guard is held: a child would inherit root as its real identity.
pub(super) fn guard_is_free() -> Result<(), PrivilegeError> {
    if HELD.load(Ordering::SeqCst) { Err(PrivilegeError::GuardHeld) } else { Ok(()) }
}

/// Another user's effective identity; dropping it restores our own.
struct AsUser {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl AsUser {
    fn take_on(user: &User) -> Result<Self, PrivilegeError> {
        let refused =
            |e: Errno| PrivilegeError::Refused { user: user.name.clone(), source: e.into() };
        let groups = getgroups().map_err(refused)?;
        if HELD.swap(true, Ordering::SeqCst) {
            return Err(PrivilegeError::GuardHeld);
        }
        let theirs: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        let guard = Self { uid: geteuid(), gid: getegid(), groups };
        // The uid comes last: without root's, the groups could not be set. Where the first change
        // is refused there is nothing to undo, and undoing it would be refused as well.
        if let Err(e) = setgroups(&theirs) {
            std::mem::forget(guard);
            HELD.store(false, Ordering::SeqCst);
            return Err(refused(e));
        }
        setegid(gid).and_then(|()| seteuid(uid)).map_err(refused)?;
        if (geteuid(), getegid()) != (uid, gid) {
            return Err(refused(Errno::EPERM));
        }
        Ok(guard)
    }

    fn restore(&self) -> bool {
        let done = seteuid(self.uid)
            .and_then(|()| setegid(self.gid))
            .and_then(|()| setgroups(&self.groups));
        done.is_ok() && geteuid() == self.uid && getegid() == self.gid
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        if !self.restore() {
            // Neither root nor the user for certain: whatever came next could go wrong unseen.
            tracing::error!("cannot return to uid {}: giving up at once", self.uid);
            std::process::abort();
        }
        HELD.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_does_not_exist_is_named() {
        for name in ["pgtwin-nobody-has-this-name", "", "a\0b"] {
            let error = User::named(name).unwrap_err();
            assert!(matches!(&error, PrivilegeError::NoUser { user } if user == name), "{error:?}");
        }
    }

    #[test]
    fn root_is_resolved_with_its_own_group() {
        let root = User::named("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
    }

    #[test]
    fn acting_as_oneself_changes_nothing() {
        let me = unistd::User::from_uid(geteuid()).unwrap().unwrap();
        let me = User::named(&me.name).unwrap();
        assert!(me.is_caller());
        assert_eq!(with_user(&me, geteuid).unwrap().as_raw(), me.uid);
    }
}
