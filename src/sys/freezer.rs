//! Frozen processes: a paused container's take no signal before they thaw. Floor 2.
//!
//! Who froze them need not answer: root thaws them by the control group itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::files::read_untrusted;

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// No such file is larger.
const LARGEST: u64 = 1 << 16;

/// What freezes the control group of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Switch {
    path: PathBuf,
    frozen: &'static str,
    thawed: &'static str,
}

/// Whether this process is frozen. What cannot be read is no sign of it.
pub fn is_frozen(pid: i32) -> bool {
    switches(pid).iter().any(Switch::is_on)
}

/// Thaws the control group of this process, and those above it that are frozen.
pub fn thaw(pid: i32) -> io::Result<()> {
    let frozen = switches(pid).into_iter().filter(Switch::is_on);
    frozen.into_iter().try_for_each(|switch| {
        OpenOptions::new().write(true).open(&switch.path)?.write_all(switch.thawed.as_bytes())
    })
}

impl Switch {
    fn is_on(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == self.frozen)
    }
}

fn switches(pid: i32) -> Vec<Switch> {
    let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let text = read_untrusted(&path, LARGEST).unwrap_or_default();
    candidates(&text)
}

/// Those of the group and of its parents, uppermost first: below a frozen one nothing thaws.
fn candidates(text: &str) -> Vec<Switch> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let group = Path::new(group.trim_start_matches('/'));
        if group.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            continue;
        }
        let mut groups: Vec<&Path> =
            group.ancestors().filter(|dir| *dir != Path::new("")).collect();
        groups.reverse();
        if controllers.split(',').any(|name| name == "freezer") {
            found.extend(groups.iter().map(|group| Switch {
                path: Path::new(ROOT).join("freezer").join(group).join("freezer.state"),
                frozen: "FROZEN",
                thawed: "THAWED",
            }));
        }
        if controllers.is_empty() {
            for root in [ROOT.to_owned(), format!("{ROOT}/unified")] {
                found.extend(groups.iter().map(|group| Switch {
                    path: Path::new(&root).join(group).join("cgroup.freeze"),
                    frozen: "1",
                    thawed: "0",
                }));
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        candidates(text).iter().map(|switch| switch.path.display().to_string()).collect()
    }

    #[test]
    fn both_kinds_of_control_groups_have_a_switch() {
        assert_eq!(
            paths("9:name=systemd:/docker/ab\n6:freezer:/docker/ab\n4:memory:/docker/ab\n"),
            [
                "/sys/fs/cgroup/freezer/docker/freezer.state",
                "/sys/fs/cgroup/freezer/docker/ab/freezer.state",
            ]
        );
        assert_eq!(
            paths("0::/machine.slice/libpod-ab.scope\n"),
            [
                "/sys/fs/cgroup/machine.slice/cgroup.freeze",
                "/sys/fs/cgroup/machine.slice/libpod-ab.scope/cgroup.freeze",
                "/sys/fs/cgroup/unified/machine.slice/cgroup.freeze",
                "/sys/fs/cgroup/unified/machine.slice/libpod-ab.scope/cgroup.freeze",
            ]
        );
    }

    #[test]
    fn nothing_leads_out_of_the_control_groups() {
        for text in ["", "0::/", "0::/../../etc", "rubbish", "1:freezer", "0::/a/../b"] {
            assert_eq!(paths(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn this_process_is_not_frozen() {
        assert!(!is_frozen(i32::try_from(std::process::id()).unwrap()));
    }
}
