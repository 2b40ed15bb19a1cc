//! Starting a postmaster, waiting for it, and promoting it later. Floor 2.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::postgres::postmaster_pid::PostmasterStatus;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::{Cmd, System};
use crate::sys::files::Lock;

use super::data_dir::SignalFile;
use super::{Launched, Runtime, RuntimeError, last_words, start_log};

const INTERVAL: Duration = Duration::from_millis(20);
/// How long one that was killed may take to be gone.
const TO_VANISH: Duration = Duration::from_secs(2);

/// Starts the postmaster, or the command that starts its container, in a session of its own.
pub(super) fn spawn(
    cmd: &Cmd,
    log: &Path,
    contained: bool,
    lock: Option<Lock>,
) -> Result<Launched, RuntimeError> {
    // Where it cannot be put aside it grows on, which is no reason not to start.
    let _ = start_log::bound(log, start_log::LARGEST);
    let log_from = std::fs::metadata(log).map_or(0, |meta| meta.len());
    let pid = System
        .spawn_detached(cmd, log)
        .map_err(|source| RuntimeError::Exec { what: "start PostgreSQL", source })?;
    let pid = i32::try_from(pid).unwrap_or(i32::MAX);
    Ok(Launched { pid, contained, log: log.to_owned(), log_from, lock })
}

/// Waits until the postmaster holds its lock file, so that it is found from now on. An error when
/// it dies before: its words are in it. Whether it takes sessions is another question.
///
/// One that is not that far in time is killed: nobody would find it any more (it enters its data
/// directory only after it has read its configuration, which may be a pipe), and it would come up
/// some day behind the cluster's back.
pub fn wait_running(
    runtime: &dyn Runtime,
    launched: &Launched,
    deadline: &Deadline,
) -> Result<(), RuntimeError> {
    let failed = |how: String| RuntimeError::Failed {
        what: "start PostgreSQL",
        why: format!("{} ({how}; see {})", words_since(launched), launched.log.display()),
    };
    let outcome = poll_until(deadline, INTERVAL, || {
        if let Some(how) = has_died(launched.pid) {
            return Some(Err(failed(how)));
        }
        let claim = runtime.place().claim()?;
        // Its status is written when the lock file is complete and its settings are accepted.
        // In a container it is not our child, and counts itself otherwise.
        let is_its = if launched.contained {
            runtime.processes().has_claimed()
        } else {
            i64::from(claim.pid) == i64::from(launched.pid)
        };
        (is_its && claim.status != PostmasterStatus::NotYet).then_some(Ok(()))
    });
    outcome.unwrap_or_else(|| {
        let words = failed("it has not opened its data directory in time, and was killed".into());
        // A child of ours that has not been reaped: the number is still its own.
        if has_died(launched.pid).is_none() {
            let _ = kill(Pid::from_raw(launched.pid), Signal::SIGKILL);
            let _ = poll_until(&Deadline::after(TO_VANISH), INTERVAL, || has_died(launched.pid));
        }
        runtime.abandon();
        Err(words)
    })
}

/// How our child ended, if it has.
fn has_died(pid: i32) -> Option<String> {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(format!("exit {code}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("killed by {signal}")),
        // Somebody has reaped it: it was a child of ours.
        Err(Errno::ECHILD) => Some("it ended".to_owned()),
        Ok(_) | Err(_) => None,
    }
}

/// What the postmaster has said since its start.
fn words_since(launched: &Launched) -> String {
    let mut bytes = Vec::new();
    let read = File::open(&launched.log).and_then(|mut file| {
        file.seek(SeekFrom::Start(launched.log_from))?;
        file.take(1 << 16).read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => last_words(&String::from_utf8_lossy(&bytes)),
        Err(e) => format!("its log cannot be read: {e}"),
    }
}

/// Tells a standby to become a primary and returns at once. Needs no SQL.
///
/// By the signal file and the signal to the proven postmaster, which is what `pg_ctl promote` does; but that
/// one believes the number in postmaster.pid, which may be of another namespace.
pub fn promote(runtime: &dyn Runtime) -> Result<(), RuntimeError> {
    let place = runtime.place();
    if !SignalFile::Standby.is_there(place)? && !SignalFile::Recovery.is_there(place)? {
        return Err(RuntimeError::Refused(format!(
            "cannot promote the standby: the server in {} is not in standby mode",
            place.pgdata.display()
        )));
    }
    SignalFile::Promote.create(place)?;
    let woken = runtime.processes().wake();
    if woken.is_err() {
        SignalFile::Promote.remove(place)?;
    }
    woken
}
