//! Waiting for a postmaster that was just started, and promoting it later. Floor 2.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::decide::facts::Process;
use crate::postgres::postmaster_pid::PostmasterStatus;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::exec::Exec;

use super::{Launched, Runtime, RuntimeError, last_words, succeeded};

const INTERVAL: Duration = Duration::from_millis(20);

/// How far a postmaster has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It takes sessions (a standby: it is consistent).
    Ready,
    /// It lives, and takes no sessions yet: it recovers, or waits for WAL.
    NotYet,
}

/// Waits until the postmaster takes sessions, or has died, or the deadline is over. Its pid file
/// is watched; a connection for each attempt would fill its log.
pub fn wait_ready(
    runtime: &dyn Runtime,
    launched: &Launched,
    deadline: &Deadline,
) -> Result<Readiness, RuntimeError> {
    let outcome = poll_until(deadline, INTERVAL, || {
        if let Some(how) = has_died(launched.pid) {
            return Some(Err(RuntimeError::Failed {
                what: "start PostgreSQL",
                why: format!("{} ({how}; see {})", words_since(launched), launched.log.display()),
            }));
        }
        let claim = runtime.place().claim()?;
        let ours = i64::from(claim.pid) == i64::from(launched.pid);
        (ours && claim.status == PostmasterStatus::Ready).then_some(Ok(Readiness::Ready))
    });
    match outcome {
        Some(result) => result,
        None => match runtime.process() {
            Process::Running { .. } => Ok(Readiness::NotYet),
            other => Err(RuntimeError::Failed {
                what: "start PostgreSQL",
                why: format!(
                    "{} ({other:?}; see {})",
                    words_since(launched),
                    launched.log.display()
                ),
            }),
        },
    }
}

/// How our child ended, if it has. A process that is no child of ours is looked after by others.
fn has_died(pid: i32) -> Option<String> {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(format!("exit {code}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("killed by {signal}")),
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
pub fn promote(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    deadline: &Deadline,
) -> Result<(), RuntimeError> {
    let what = "promote the standby";
    let cmd = runtime
        .command("pg_ctl")?
        .args(["promote", "-W", "-s", "-D", &runtime.place().pgdata_text()])
        .limit(deadline.bounded(Duration::from_secs(20)));
    let output = exec.run(&cmd).map_err(|source| RuntimeError::Exec { what, source })?;
    succeeded(what, &output)
}
