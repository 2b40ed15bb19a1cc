//! File systems of a size of their own for the nodes' data. They are in this machine's memory, mounted here
//! and lent to the containers, so that they outlive a power cut of a node, which `--tmpfs` does not.

use std::fs;
use std::path::{Path, PathBuf};

use crate::docker;
use crate::error::{LabError, Result};
use crate::host;
use crate::run::Run;

/// Where a node's disk is on the host.
pub fn path(lab: &str, node: &str) -> PathBuf {
    host::lab_dir(lab).join("disks").join(node)
}

/// Makes a node's disk. Its container exists already: a disk without one is a leftover.
pub fn make(lab: &str, node: &str, megabytes: u32) -> Result<()> {
    let options = format!("size={megabytes}m,mode=755");
    Run::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "pgtwin-lab"])
        .args([path(lab, node)])
        .check()
        .map(drop)
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
            Run::new("umount").args(["--lazy"]).args([disk]).check()?;
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
