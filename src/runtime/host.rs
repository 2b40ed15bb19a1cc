//! The machine around the instance, for the doctor: names, logind, corosync.conf, file systems, owners
//! and modes. Floor 2.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::cluster::corosync_conf::Corosync;
use crate::cluster::known::Known;
use crate::decide::doctor::{Ipc, Volume};
use crate::decide::wanted::shell_word;
use crate::sys::chain;
use crate::sys::files::{self, Entry, FileError, Kind, Seen};
use crate::sys::privilege::{User, with_user};

use super::Place;

/// No configuration file is larger.
const MAX_BYTES: u64 = 1024 * 1024;
/// No directory of snippets has more.
const MAX_ENTRIES: usize = 1000;
/// The highest number of a system user, as systemd is built everywhere.
const SYSTEM_UID_MAX: u32 = 999;

/// What the machine calls itself.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether one of these addresses is this machine's: whatever can be listened on.
pub fn is_own(addresses: &[IpAddr]) -> Known<bool> {
    let mut unsure = None;
    for address in addresses {
        match UdpSocket::bind((*address, 0)) {
            Ok(_) => return Known::Known(true),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            // An IPv6 address where there is no IPv6.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => unsure = Some(format!("whether {address} is here is not known: {error}")),
        }
    }
    unsure.map_or(Known::Known(false), Known::Unknown)
}

/// corosync.conf. `root` is `/` but for tests.
pub fn corosync(root: &Path) -> Known<Corosync> {
    let path = root.join("etc/corosync/corosync.conf");
    match files::read_untrusted(&path, MAX_BYTES) {
        Ok(text) => Known::from(Corosync::parse(&text)),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// What logind does when this user logs out. `root` is `/` but for tests.
pub fn ipc(root: &Path, user: &User) -> Known<Ipc> {
    let known = |remove| {
        let system_user = user.uid <= SYSTEM_UID_MAX;
        Known::Known(Ipc { user: user.name.clone(), system_user, remove })
    };
    match files::look_through(&root.join("run/systemd/system")) {
        // Another init: nobody logs out here.
        Seen::Missing => return known(Some(false)),
        Seen::Present(_) => {}
        Seen::Unknown(why) => return Known::Unknown(why),
    }
    let mut remove = None;
    for file in logind_files(root) {
        match files::read_untrusted(&file, MAX_BYTES) {
            Ok(text) => remove = remove_ipc(&text).or(remove),
            // Switched off by a link to /dev/null.
            Err(FileError::Missing { .. } | FileError::WrongKind { .. }) => {}
            Err(error) => return Known::unknown(chain(&error)),
        }
    }
    known(remove)
}

/// The files that logind reads, in the order in which they count: the main one, then snippets by name,
/// of which one in /etc takes the place of one of that name elsewhere.
fn logind_files(root: &Path) -> Vec<PathBuf> {
    let dirs = ["usr/lib/systemd", "run/systemd", "etc/systemd"].map(|dir| root.join(dir));
    let main = dirs.iter().rev().map(|dir| dir.join("logind.conf"));
    let main = main.clone().find(|path| files::look_through(path) != Seen::Missing);
    let mut snippets: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for dir in &dirs {
        let entries = fs::read_dir(dir.join("logind.conf.d")).into_iter().flatten();
        for path in entries.take(MAX_ENTRIES).filter_map(Result::ok).map(|entry| entry.path()) {
            if let Some(name) =
                path.file_name().filter(|_| path.extension() == Some("conf".as_ref()))
            {
                snippets.insert(name.to_owned(), path.clone());
            }
        }
    }
    main.into_iter().chain(snippets.into_values()).collect()
}

/// `RemoveIPC` in the section `[Login]`; the last one counts.
pub fn remove_ipc(text: &str) -> Option<bool> {
    let mut section = "";
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some((name, value)) = line.split_once('=')
            && section == "[Login]"
            && name.trim() == "RemoveIPC"
        {
            found = match value.trim().to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" | "1" | "y" | "t" => Some(true),
                "no" | "false" | "off" | "0" | "n" | "f" => Some(false),
                _ => found,
            };
        }
    }
    found
}

/// The file systems of the data and of the WAL, with what the PostgreSQL user may still write.
pub fn volumes(place: &Place) -> Known<Vec<Volume>> {
    let look = || {
        let mut found = Vec::new();
        for (what, path) in [("data", place.pgdata.clone()), ("WAL", place.pgdata.join("pg_wal"))] {
            let real = fs::canonicalize(&path)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            let stat = statvfs(&real)
                .map_err(|error| io::Error::other(format!("{}: {error}", real.display())))?;
            let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
            // Of what is kept for root alone PostgreSQL gets nothing.
            let kept = stat.blocks_free().saturating_sub(stat.blocks_available());
            found.push(Volume {
                what: what.to_owned(),
                path: real.display().to_string(),
                free: bytes(stat.blocks_available()),
                total: bytes(stat.blocks().saturating_sub(kept)),
            });
        }
        Ok::<_, io::Error>(found)
    };
    match with_user(&place.user, look) {
        Ok(found) => Known::from(found),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// What has an owner or a mode that it should not have, with the command that mends it: the data
/// directory, and what root keeps in `own`.
pub fn wrong_modes(place: &Place, own: &[PathBuf]) -> Known<Vec<(String, String)>> {
    let mut wrong = Vec::new();
    let user = &place.user;
    match files::look_through(&place.pgdata) {
        Seen::Missing => {}
        Seen::Unknown(why) => return Known::Unknown(why),
        Seen::Present(entry) => wrong.extend(wrong_data(&place.pgdata, &entry, user)),
    }
    for path in own {
        match files::look(path) {
            Seen::Missing => {}
            Seen::Unknown(why) => return Known::Unknown(why),
            Seen::Present(entry) => wrong.extend(wrong_own(path, &entry)),
        }
    }
    Known::Known(wrong)
}

fn wrong_data(path: &Path, entry: &Entry, user: &User) -> Option<(String, String)> {
    let (shown, word) = (path.display(), shell_word(&path.display().to_string()));
    if entry.kind != Kind::Directory {
        return Some((
            format!("{shown} is a {}, no directory", entry.kind.name()),
            format!("ls -ld {word}"),
        ));
    }
    if entry.uid != user.uid {
        let name = &user.name;
        return Some((
            format!("{shown} belongs to uid {}, not to {name}", entry.uid),
            format!("chown {name}: {word}"),
        ));
    }
    (entry.mode & 0o027 != 0).then(|| {
        let words = format!(
            "{shown} has the mode {:04o}: PostgreSQL starts with 0700 or 0750 only",
            entry.mode
        );
        (words, format!("chmod 0700 {word}"))
    })
}

fn wrong_own(path: &Path, entry: &Entry) -> Option<(String, String)> {
    let (shown, word) = (path.display(), shell_word(&path.display().to_string()));
    if entry.uid != nix::unistd::geteuid().as_raw() {
        return Some((
            format!("{shown} belongs to uid {}, and is to be root's", entry.uid),
            format!("chown root: {word}"),
        ));
    }
    (entry.mode & 0o022 != 0).then(|| {
        let words = format!("{shown} has the mode {:04o}: others may write there", entry.mode);
        (words, format!("chmod go-w {word}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    use std::os::unix::fs::{PermissionsExt, symlink};

    fn user(uid: u32) -> User {
        let root = User::named("root").unwrap();
        User { name: "pg".into(), uid, ..root }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_last_file_of_logind_that_says_something_counts() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let remove = || ipc(root.path(), &user(1001)).known().unwrap().remove;
        assert_eq!(remove(), Some(false), "no systemd");
        fs::create_dir_all(at("run/systemd/system")).unwrap();
        assert_eq!(remove(), None);
        write(&at("usr/lib/systemd/logind.conf"), "[Login]\nRemoveIPC=no\n");
        assert_eq!(remove(), Some(false));
        write(&at("etc/systemd/logind.conf"), "[Login]\n#RemoveIPC=no\n");
        assert_eq!(remove(), None, "the one in /etc is read instead");
        write(&at("usr/lib/systemd/logind.conf.d/50-x.conf"), "[Login]\nRemoveIPC = yes\n");
        assert_eq!(remove(), Some(true));
        symlink("/dev/null", at("etc/systemd/logind.conf.d")).ok();
        fs::remove_file(at("etc/systemd/logind.conf.d")).unwrap();
        write(&at("etc/systemd/logind.conf.d/50-x.conf"), "[Other]\nRemoveIPC=yes\n");
        assert_eq!(remove(), None, "in another section");
        write(&at("etc/systemd/logind.conf.d/60-x.conf"), "[Login]\nRemoveIPC=off\n");
        write(&at("etc/systemd/logind.conf.d/70-x.conf.bak"), "[Login]\nRemoveIPC=yes\n");
        assert_eq!(remove(), Some(false));
        for (uid, system_user) in [(26, true), (999, true), (1000, false)] {
            assert_eq!(ipc(root.path(), &user(uid)).known().unwrap().system_user, system_user);
        }
    }

    #[test]
    fn an_address_is_this_machines_or_not() {
        assert_eq!(is_own(&["127.0.0.1".parse().unwrap()]), Known::Known(true));
        let not = ["192.0.2.77", "203.0.113.9"].map(|text| text.parse().unwrap());
        assert_eq!(is_own(&not), Known::Known(false));
        assert_eq!(is_own(&[]), Known::Known(false));
    }

    #[test]
    fn a_missing_or_broken_corosync_conf_is_not_known() {
        let root = tempfile::tempdir().unwrap();
        assert!(!corosync(root.path()).is_known());
        let path = root.path().join("etc/corosync/corosync.conf");
        write(&path, "quorum {\n two_node: 1\n");
        assert!(corosync(root.path()).why_unknown().unwrap().contains("line 2"));
        write(&path, "quorum {\n two_node: 1\n}\n");
        assert!(corosync(root.path()).known().unwrap().two_node);
    }

    #[test]
    fn a_mode_or_an_owner_that_is_wrong_comes_with_what_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let me = nix::unistd::geteuid().as_raw();
        let path = dir.path().join("it's here");
        fs::create_dir(&path).unwrap();
        let entry = |mode: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match files::look(&path) {
                Seen::Present(entry) => entry,
                other => panic!("{other:?}"),
            }
        };
        for (mode, fits) in [(0o700, true), (0o750, true), (0o755, false), (0o770, false)] {
            assert_eq!(wrong_data(&path, &entry(mode), &user(me)).is_none(), fits, "{mode:o}");
        }
        let (words, command) = wrong_data(&path, &entry(0o755), &user(me)).unwrap();
        assert!(words.contains("0755"), "{words}");
        assert!(command.starts_with("chmod 0700 \""), "{command}");
        let (_, command) = wrong_data(&path, &entry(0o700), &user(me + 1)).unwrap();
        assert!(command.starts_with("chown pg: "), "{command}");
        assert!(wrong_own(&path, &entry(0o755)).is_none());
        assert!(wrong_own(&path, &entry(0o775)).unwrap().1.starts_with("chmod go-w"));
    }
}
