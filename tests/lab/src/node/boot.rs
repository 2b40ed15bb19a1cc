//! Boot of a node: what systemd and tmpfiles would have done, then the cluster if it is enabled,
//! then the system log until the power is cut. /run is a tmpfs, so it is empty here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::thread;

use nix::unistd::{Group, User};

use crate::{patroni, podman, service, syslog};

/// Directories that packages expect systemd to make: mode, owner, group.
const DIRECTORIES: [(&str, u32, &str, &str); 8] = [
    ("/run/lab", 0o755, "root", "root"),
    ("/run/lock", 0o1777, "root", "root"),
    ("/run/resource-agents", 0o1755, "root", "root"),
    ("/run/crm", 0o750, "hacluster", "haclient"),
    ("/run/postgresql", 0o2775, "postgres", "postgres"),
    ("/var/log/corosync", 0o755, "root", "root"),
    ("/var/lib/corosync", 0o755, "root", "root"),
    ("/run/pcsd", 0o755, "root", "root"),
];

/// Exists where the cluster is to be started at boot.
pub const ENABLED: &str = "/etc/lab-cluster-enabled";

/// Boots, and then never returns.
pub fn boot() -> Result<(), String> {
    for (path, mode, user, group) in DIRECTORIES {
        fs::create_dir_all(path).map_err(|error| format!("cannot create {path}: {error}"))?;
        own(path, user, group)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| format!("cannot set the mode of {path}: {error}"))?;
    }
    for entry in fs::read_dir("/var/lib/pacemaker/cib").into_iter().flatten().flatten() {
        own(&entry.path().to_string_lossy(), "hacluster", "haclient")?;
    }
    podman::prepare()?;
    let log = syslog::open()?;
    let logger = thread::spawn(move || syslog::serve(&log));
    fs::write("/run/lab/booted", "").map_err(|error| format!("cannot note the boot: {error}"))?;
    if Path::new(ENABLED).exists()
        && let Err(text) = service::start()
    {
        // The node stays up, as a real one would; `docker logs` has the reason.
        eprintln!("lab-node: {text}");
    }
    if Path::new(patroni::ENABLED).exists()
        && let Err(text) = patroni::start()
    {
        eprintln!("lab-node: {text}");
    }
    logger.join().map_err(|_| "the system log has ended".to_owned())
}

fn own(path: &str, user: &str, group: &str) -> Result<(), String> {
    let user = User::from_name(user).ok().flatten().ok_or(format!("no user {user}"))?;
    let group = Group::from_name(group).ok().flatten().ok_or(format!("no group {group}"))?;
    chown(path, Some(user.uid.as_raw()), Some(group.gid.as_raw()))
        .map_err(|error| format!("cannot set the owner of {path}: {error}"))
}
