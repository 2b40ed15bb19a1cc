//! What podman needs of a boot: the node's own control groups, which the engine mounts so that they cannot be
//! changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Lets podman make control groups, where there is a podman.
pub fn prepare() -> Result<(), String> {
    if !Path::new("/usr/bin/podman").exists() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")
        .map_err(|error| format!("cannot read /proc/self/mounts: {error}"))?;
    control_groups(&mounts).into_iter().try_for_each(writable)
}

/// Where control groups of either version are mounted.
fn control_groups(mounts: &str) -> Vec<&str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind) = (fields.next()?, fields.next()?);
            kind.starts_with("cgroup").then_some(place)
        })
        .collect()
}

/// The mount alone: the control groups are the host's, too.
fn writable(place: &str) -> Result<(), String> {
    let output = Command::new("mount")
        .args(["-o", "remount,bind,rw", place])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start mount: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("cannot make {place} writable: {}", said.trim()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_groups_are_found_among_mounts() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/pids cgroup ro,pids 0 0\n\
                      cgroup /sys/fs/cgroup/unified cgroup2 ro 0 0\n";
        let found = super::control_groups(mounts);
        assert_eq!(found, ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"]);
    }
}
