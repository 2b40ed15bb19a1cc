//! What a container of ours needs to start, and what was started and left behind. Floor 2.
//!
//! An engine that hangs carries out later what it was told: the process that told it is gone, and nobody counts
//! on a container any more. So each container has a directory of ours mounted, its permit, which is removed
//! with the right to start: without the source of a mount no engine starts anything.
//!
//! A program in a container is no child of ours, and outlives us. It carries in its environment who has started
//! it, and is found and ended by that when that process is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::engine::Bind;
use crate::sys::chain;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::files::ensure_root_dir;
use crate::sys::process::{
    Found, Identity, Process, Signal, Strays, find_strays, process, prove_start,
};

use super::super::{Place, RuntimeError};

/// The variable that names who has started a program.
pub(super) const TAG: &str = "PGTWIN_STARTED_BY";
/// Where the permit is inside.
const INSIDE: &str = "/run/pgtwin-permit";
const INTERVAL: Duration = Duration::from_millis(20);
/// What is killed is waited for so long in any case.
const FOR_THE_KILLED: Duration = Duration::from_millis(500);

/// Where what may be gone at boot is.
pub(super) fn run_root() -> PathBuf {
    PathBuf::from("/run/pgtwin")
}

fn dir(key: &str) -> PathBuf {
    run_root().join("permits").join(key)
}

/// This process, beyond doubt: its number and its start.
fn me() -> Result<String, RuntimeError> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    match process(pid) {
        Process::Present(facts) => Ok(format!("{pid}-{}", facts.start_ticks)),
        Process::Gone => Err(RuntimeError::Refused("/proc does not know this process".to_owned())),
        Process::Unknown(why) => Err(RuntimeError::Refused(why)),
    }
}

/// Lets this process start containers.
pub(super) fn grant(key: &str) -> Result<Bind, RuntimeError> {
    let path = dir(key).join(me()?);
    ensure_root_dir(&path, 0o755).map_err(RuntimeError::File)?;
    let inside = Some(INSIDE.to_owned());
    Ok(Bind { inside, ..Bind::of(path.display().to_string()).read_only() })
}

/// Takes the permit of this process back.
pub(super) fn close_own(key: &str) {
    if let Ok(me) = me() {
        let _ = fs::remove_dir(dir(key).join(me));
    }
}

/// What programs of this process carry.
pub(super) fn tag(key: &str) -> Result<String, RuntimeError> {
    Ok(format!("{key}/{}", me()?))
}

/// Whether the process of this name is certainly gone.
fn is_gone(name: &str) -> bool {
    let Some((pid, ticks)) = name.split_once('-') else { return true };
    let (Ok(pid), Ok(ticks)) = (pid.parse(), ticks.parse()) else { return true };
    match prove_start(pid, ticks) {
        Identity::Gone | Identity::Other(_) => true,
        Identity::Proven(_) | Identity::Unknown(_) => false,
    }
}

/// Takes the permits of processes back that are gone, and ends what these have started and left behind. `Ok`:
/// nothing of it is there, and nothing of it comes up any more. Without containers it costs a look at a
/// directory, and no engine is asked.
pub fn withdraw(place: &Place, deadline: &Deadline) -> Result<(), String> {
    let dir = dir(&super::key(place));
    let names = match fs::read_dir(&dir) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.file_name()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(format!("{}: {e}", dir.display())),
    };
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let gone: Vec<&String> = names.iter().filter(|name| is_gone(name)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    // Renamed first: nothing starts by it from now on, and who comes after us still finds it.
    for name in &gone {
        close(&dir, name)?;
    }
    end_strays(place, &is_gone, deadline)?;
    for name in gone {
        let _ = fs::remove_dir(dir.join(closed(name)));
    }
    Ok(())
}

/// Ends all that this process has started in containers, and keeps what an engine has not begun yet from
/// beginning. `Ok`: none is there.
pub(super) fn end_own(place: &Place, deadline: &Deadline) -> Result<(), String> {
    close_own(&super::key(place));
    let me = me().map_err(|error| error.to_string())?;
    end_strays(place, &|name| name == me, deadline)
}

fn end_strays(
    place: &Place,
    wanted: &dyn Fn(&str) -> bool,
    deadline: &Deadline,
) -> Result<(), String> {
    let until = (*deadline).max(Deadline::after(FOR_THE_KILLED));
    let mut none_before = false;
    let ended = poll_until(&until, INTERVAL, || {
        let found = strays(place, wanted);
        for one in &found.proven {
            let _ = one.signal(Signal::Kill);
        }
        (std::mem::replace(&mut none_before, found.is_none()) && none_before).then_some(())
    });
    if ended.is_some() {
        return Ok(());
    }
    let found = strays(place, wanted);
    let pids = found.proven.iter().map(|one| format!("pid {}", one.facts().pid));
    let left: Vec<String> = pids.chain(found.unknown.iter().cloned()).collect();
    Err(format!(
        "programs in containers that were started before are still there: {}",
        left.join(", ")
    ))
}

fn closed(name: &str) -> String {
    format!("{}.closed", name.trim_end_matches(".closed"))
}

fn close(dir: &Path, name: &str) -> Result<(), String> {
    if name.ends_with(".closed") {
        return Ok(());
    }
    match fs::rename(dir.join(name), dir.join(closed(name))) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(format!("cannot take back the permit {name}: {}", chain(&e))),
    }
}

fn strays(place: &Place, wanted: &dyn Fn(&str) -> bool) -> Found {
    let begins = format!("{}/", super::key(place));
    let strays = Strays { uid: place.user.uid, name: TAG, begins: &begins };
    find_strays(&strays, wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_is_certainly_gone_loses_its_permit() {
        let me = me().unwrap();
        assert!(!is_gone(&me));
        let (pid, ticks) = me.split_once('-').unwrap();
        let other = ticks.parse::<u64>().unwrap() + 1;
        assert!(is_gone(&format!("{pid}-{other}")), "the number was given out again");
        assert!(is_gone(&format!("{me}.closed")), "what was closed stays so");
        assert!(is_gone("rubbish") && is_gone(""));
    }
}
