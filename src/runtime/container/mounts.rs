//! What of the host is in the instance's containers, each at its own path. Floor 2.
//!
//! The postgres user chooses where links of its data directory lead, and root has them mounted. So only what that
//! user reaches itself is taken, as a directory of its own, and nothing of the system's.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, chown};

use crate::client::engine::Bind;
use crate::sys::files::{Entry, Kind, Seen, ensure_root_dir, look, look_through, write_volatile};
use crate::sys::privilege::with_user;

use super::super::{Place, RuntimeError, layout, text};
use super::{Spec, key, permit};

/// Directories of the system: none of these is relabelled, and no link of the data leads there.
const SYSTEM: [&str; 24] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/lib",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/log",
];
/// Nothing below these, either.
const SYSTEM_BELOW: [&str; 6] = ["/boot", "/dev", "/proc", "/sys", "/usr", "/root"];

fn is_systems(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| Path::new(dir) == path)
        || SYSTEM_BELOW.iter().any(|dir| path.starts_with(dir))
}

fn refused(what: &Path, why: &str) -> RuntimeError {
    RuntimeError::Refused(format!("cannot give {} to the container: {why}", what.display()))
}

/// All that belongs to the instance, and new directories of it, which are made if need be.
pub(super) fn of_instance(
    place: &Place,
    spec: &Spec,
    socket_dir: &Path,
    new: &[PathBuf],
) -> Result<Vec<Bind>, RuntimeError> {
    let mut binds: Vec<Bind> = Vec::new();
    let mut add = |bind: Bind| {
        if !binds.iter().any(|known| known.path == bind.path) {
            binds.push(bind);
        }
    };
    for dir in data_dirs(place)? {
        if is_systems(&dir) {
            return Err(refused(&dir, "it is a directory of the system's"));
        }
        add(Bind { relabel: spec.relabel, ..Bind::of(text(&dir)) });
    }
    for dir in new {
        make_as_user(place, dir)?;
        add(Bind { relabel: spec.relabel, ..Bind::of(text(dir)) });
    }
    if matches!(look_through(socket_dir), Seen::Present(Entry { kind: Kind::Directory, .. })) {
        add(Bind::of(text(socket_dir)));
    }
    if let Some(dir) = place.config_file.as_deref().and_then(Path::parent)
        && !dir.starts_with(&place.pgdata)
    {
        if is_systems(dir) {
            return Err(refused(
                dir,
                "config_file lies in a directory of the system's: put it into one of its own",
            ));
        }
        add(Bind::of(text(dir)).read_only());
    }
    for file in passfiles(place, spec) {
        add(Bind::of(text(&file)).read_only());
    }
    for (file, inside) in accounts(place)? {
        add(Bind { inside: Some(inside.to_owned()), ..Bind::of(text(&file)).read_only() });
    }
    binds = beside_those_of_options(binds, &spec.options)?;
    // What lies in another comes after it.
    binds.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(binds)
}

/// Without those that the operator mounts in the same way: docker refuses a second one. Another thing in the
/// place of one of ours is refused.
fn beside_those_of_options(
    binds: Vec<Bind>,
    options: &[String],
) -> Result<Vec<Bind>, RuntimeError> {
    let mut kept = Vec::new();
    for bind in binds {
        let inside = bind.inside.as_ref().unwrap_or(&bind.path);
        let volumes = options.iter().filter_map(|option| option.strip_prefix("--volume="));
        let mut parts = volumes.map(|volume| volume.splitn(3, ':'));
        let other = parts.find_map(|mut parts| {
            let (source, target) = (parts.next()?, parts.next()?);
            (target == inside).then(|| source.to_owned())
        });
        match other {
            None => kept.push(bind),
            Some(source) if source == bind.path => {}
            Some(source) => {
                let why =
                    format!("container_options has {source} in its place: remove that volume");
                return Err(refused(Path::new(&bind.path), &why));
            }
        }
    }
    Ok(kept)
}

/// PGDATA by its own name and by that of where it leads, and where its links lead: as far as they are there,
/// and that user's.
fn data_dirs(place: &Place) -> Result<Vec<PathBuf>, RuntimeError> {
    let mut dirs = Vec::new();
    for path in layout::leads_to(place, true) {
        let at_home = path == place.pgdata;
        let seen = with_user(&place.user, || {
            let is_link = matches!(look(&path), Seen::Present(Entry { kind: Kind::Symlink, .. }));
            (is_link, look_through(&path), fs::canonicalize(&path).ok())
        })
        .map_err(RuntimeError::Privilege)?;
        let (is_link, Seen::Present(entry), Some(real)) = seen else { continue };
        if entry.kind != Kind::Directory || entry.uid != place.user.uid {
            continue;
        }
        if at_home {
            dirs.push(path.clone());
        }
        // pg_wal and tablespaces that are no links are in PGDATA.
        if is_link || at_home && real != path {
            if let Ok(named) = fs::read_link(&path)
                && named.is_absolute()
                && !at_home
            {
                dirs.push(named);
            }
            dirs.push(real);
        }
    }
    dirs.sort();
    dirs.dedup();
    Ok(dirs)
}

/// Makes an empty directory as that user, if it is not there.
fn make_as_user(place: &Place, dir: &Path) -> Result<(), RuntimeError> {
    let made = with_user(&place.user, || DirBuilder::new().mode(0o700).create(dir));
    match made.map_err(RuntimeError::Privilege)? {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(refused(dir, &format!("it cannot be made: {e}"))),
    }
}

/// The socket's directory has to be there before the container is. /run is empty after a boot, and without
/// PostgreSQL's packages nobody makes it.
pub(super) fn make_socket_dir(place: &Place, dir: &Path) -> Result<(), RuntimeError> {
    match look_through(dir) {
        Seen::Present(Entry { kind: Kind::Directory, .. }) => return Ok(()),
        Seen::Present(_) => return Err(refused(dir, "it is no directory")),
        Seen::Unknown(why) => return Err(refused(dir, &why)),
        Seen::Missing => {}
    }
    if !dir.starts_with("/run") && !dir.starts_with("/var/run") {
        return Err(refused(
            dir,
            "the directory of the socket is missing: make it, owned by pguser",
        ));
    }
    ensure_root_dir(dir, 0o755).map_err(RuntimeError::File)?;
    let (uid, gid) = (Uid::from_raw(place.user.uid), Gid::from_raw(place.user.gid));
    chown(dir, Some(uid), Some(gid))
        .map_err(|e| refused(dir, &format!("it cannot be given to {}: {e}", place.user.name)))
}

/// The passfile of the parameter, our copy of it, and the user's own: those that there are. The files themselves
/// are mounted, not what holds them: one that is replaced is the new one after the next start.
fn passfiles(place: &Place, spec: &Spec) -> Vec<PathBuf> {
    let copy = permit::run_root().join(format!("{}.passfile", key(place)));
    let home = nix::unistd::User::from_name(&place.user.name).ok().flatten();
    let own = home.map(|user| user.dir.join(".pgpass"));
    let named = [spec.passfile.clone(), Some(copy), own].into_iter().flatten();
    let is_there = |path: &PathBuf| {
        matches!(look_through(path), Seen::Present(Entry { kind: Kind::File, .. }))
    };
    named
        .filter(|path| path.is_absolute())
        .filter(is_there)
        .filter(|path| !path.starts_with(&place.pgdata))
        .collect()
}

/// Who is who: the host's users, for the server tells a peer's name by its number. The image's own users are
/// of no use, for nothing runs as them.
fn accounts(place: &Place) -> Result<Vec<(PathBuf, &'static str)>, RuntimeError> {
    let dir = permit::run_root().join("accounts").join(key(place));
    ensure_root_dir(&dir, 0o755).map_err(RuntimeError::File)?;
    let mut files = Vec::new();
    for (name, inside) in [("passwd", "/etc/passwd"), ("group", "/etc/group")] {
        let mut content = fs::read_to_string(inside).unwrap_or_default();
        let user = &place.user;
        let line = match name {
            "passwd" => format!("{0}:x:{1}:{2}::/:/bin/false\n", user.name, user.uid, user.gid),
            _ => format!("{0}:x:{1}:\n", user.name, user.gid),
        };
        let known =
            content.lines().any(|known| known.split(':').next() == Some(user.name.as_str()));
        if !known {
            if !content.is_empty() && !content.ends_with('\n') {
                content.push('\n');
            }
            content.push_str(&line);
        }
        let path = dir.join(name);
        let is_same = fs::metadata(&path).is_ok_and(|meta| meta.uid() == 0)
            && fs::read_to_string(&path).is_ok_and(|text| text == content);
        if !is_same {
            write_volatile(&dir, name, content.as_bytes(), 0o644).map_err(RuntimeError::File)?;
        }
        files.push((path, inside));
    }
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_an_option_mounts_is_not_mounted_twice_and_not_replaced() {
        let binds = || vec![Bind::of("/data"), Bind::of("/sock")];
        let with = |option: &str| beside_those_of_options(binds(), &[option.to_owned()]);
        assert_eq!(with("--volume=/sock:/sock:ro").unwrap(), [Bind::of("/data")]);
        assert_eq!(with("--volume=/srv:/srv").unwrap(), binds());
        assert_eq!(with("--tz=/sock:/sock").unwrap(), binds());
        let why = with("--volume=/other:/data").unwrap_err().to_string();
        assert!(why.contains("/data") && why.contains("/other"), "{why}");
    }

    #[test]
    fn nothing_of_the_systems_goes_into_a_container() {
        for path in ["/", "/etc", "/usr/lib/x", "/var/lib", "/root/x", "/dev/shm", "/proc/1"] {
            assert!(is_systems(Path::new(path)), "{path}");
        }
        for path in
            ["/var/lib/pgsql", "/srv/pg", "/data", "/home/pg/data", "/etc/postgresql/15/main"]
        {
            assert!(!is_systems(Path::new(path)), "{path}");
        }
    }
}
