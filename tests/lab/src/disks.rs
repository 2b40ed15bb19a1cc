//! File systems of a size of their own for the nodes' data: in this machine's memory, or on a device that is a
//! file. They are mounted here and lent to the containers, so that they outlive a power cut of a node, which
//! `--tmpfs` does not.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::docker;
use crate::error::{LabError, Result};
use crate::host;
use crate::run::Run;

/// What fills a disk, beside the data.
pub const FILLER: &str = "filler";

/// Where a node's disk is on the host.
pub fn path(lab: &str, node: &str) -> PathBuf {
    host::lab_dir(lab).join("disks").join(node)
}

/// Makes a node's disk. Its container exists already: a disk without one is a leftover.
pub fn make(lab: &str, node: &str, megabytes: u32, device: bool) -> Result<()> {
    if device {
        let file = File::create(image(lab, node)).map_err(LabError::io("create a disk"))?;
        file.set_len(u64::from(megabytes) << 20).map_err(LabError::io("size a disk"))?;
        Run::new("mkfs.ext4").args(["-q", "-F"]).args([image(lab, node)]).check()?;
        return attach(lab, node);
    }
    let options = format!("size={megabytes}m,mode=755");
    Run::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "pgtwin-lab"])
        .args([path(lab, node)])
        .check()
        .map(drop)
}

/// The file that is a node's device.
fn image(lab: &str, node: &str) -> PathBuf {
    host::lab_dir(lab).join("disks").join(format!("{node}.device"))
}

fn attach(lab: &str, node: &str) -> Result<()> {
    Run::new("mount").args(["-o", "loop"]).args([image(lab, node), path(lab, node)]).check()?;
    Ok(())
}

/// Freezes the file system of a node's device: whoever writes to it waits, whatever signal comes. Or thaws it.
pub fn freeze(lab: &str, node: &str, frozen: bool) -> Result<()> {
    let option = if frozen { "--freeze" } else { "--unfreeze" };
    Run::new("fsfreeze").args([option]).args([path(lab, node)]).check().map(drop)
}

/// Nothing that waits for a frozen disk can be killed.
pub fn thaw_all(lab: &str) -> Result<()> {
    for (_, disk) in mounted()?.iter().filter(|(owner, _)| owner == lab) {
        // Most are not frozen, or cannot be.
        let _ = Run::new("fsfreeze").args(["--unfreeze"]).args([disk]).output();
    }
    Ok(())
}

/// The device of a node reports an error, upon which its file system becomes read-only, as ext4 does by default
/// in Debian.
pub fn fail(lab: &str, node: &str) -> Result<()> {
    Run::new("mount").args(["-o", "remount,abort"]).args([path(lab, node)]).check().map(drop)
}

/// Whether the file system of a node's device, which is not frozen, takes writes; or would, if there were room.
pub fn takes_writes(lab: &str, node: &str) -> bool {
    let probe = path(lab, node).join("lab-probe");
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(b"x")?;
        file.sync_all()
    });
    match written.and_then(|()| fs::remove_file(&probe)) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::StorageFull,
    }
}

/// Removes the file that has filled a node's disk, if there is one, whether the node runs or not.
pub fn make_room(lab: &str, node: &str) -> Result<()> {
    match fs::remove_file(path(lab, node).join(FILLER)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(LabError::io(format!("make room on the disk of {node}"))(error))
        }
        _ => Ok(()),
    }
}

/// Has the device of a node that is off checked and mounted again.
pub fn repair(lab: &str, node: &str) -> Result<()> {
    Run::new("umount").args([path(lab, node)]).check()?;
    let checked = Run::new("e2fsck").args(["-f", "-y"]).args([image(lab, node)]).output()?;
    // 1: it was repaired.
    if checked.code > 1 {
        return Err(LabError::plain(format!("e2fsck of {node}: {}", checked.all())));
    }
    attach(lab, node)
}

/// Removes the disks of a lab.
pub fn remove(lab: &str) -> Result<()> {
    remove_where(&mounted()?, |owner| owner == lab)
}

/// Removes the disks of labs that have no containers any more: their process was killed.
pub fn remove_stale() -> Result<()> {
    // In this order: another process may be making a lab, and its containers are older than their disks.
    let mounted = mounted()?;
    let labs: Vec<String> = docker::containers()?.into_iter().map(|one| one.lab).collect();
    remove_where(&mounted, |owner| !labs.iter().any(|lab| lab == owner))
}

fn mounted() -> Result<Vec<(String, PathBuf)>> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").map_err(LabError::io("read /proc/self/mounts"))?;
    Ok(disks(&mounts, &host::state_dir()))
}

fn remove_where(mounted: &[(String, PathBuf)], chosen: impl Fn(&str) -> bool) -> Result<()> {
    for (lab, disk) in mounted {
        if chosen(lab) {
            // Lazily: whoever still looks at it must not keep a lab from being removed.
            let done = Run::new("umount").args(["--lazy"]).args([disk]).output()?;
            // Another process may have removed it meanwhile.
            if !done.ok() && self::mounted()?.iter().any(|(_, other)| other == disk) {
                return Err(LabError::plain(format!("umount {}: {}", disk.display(), done.all())));
            }
        }
    }
    Ok(())
}

/// The lab and the place of each disk among the mounts.
fn disks(mounts: &str, state_dir: &Path) -> Vec<(String, PathBuf)> {
    mounts
        .lines()
        .filter_map(|line| {
            let place = PathBuf::from(line.split(' ').nth(1)?.replace("\\040", " "));
            let mut parts = place.strip_prefix(state_dir).ok()?.iter();
            let lab = parts.next()?.to_str()?.to_owned();
            let is_disk = parts.next()? == "disks" && parts.next().is_some();
            is_disk.then_some((lab, place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_other_mounts() {
        let mounts = "tmpfs /tmp tmpfs rw 0 0\n\
                      pgtwin-lab /tmp/pgtwin-lab/t1/disks/n2 tmpfs rw,size=1024k 0 0\n\
                      pgtwin-lab /tmp/pgtwin-lab/a/disks/n1 tmpfs rw 0 0\n\
                      other /tmp/pgtwin-lab/a/shared tmpfs rw 0 0\n\
                      other /tmp/pgtwin-lab-x/a/disks/n1 tmpfs rw 0 0\n\
                      rubbish\n";
        let found = disks(mounts, Path::new("/tmp/pgtwin-lab"));
        let expected = [
            ("t1".to_owned(), PathBuf::from("/tmp/pgtwin-lab/t1/disks/n2")),
            ("a".to_owned(), PathBuf::from("/tmp/pgtwin-lab/a/disks/n1")),
        ];
        assert_eq!(found, expected);
    }
}
