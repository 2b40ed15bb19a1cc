//! Proof of whose process a pid is, and signals to proven ones only. Floor 2.
//!
//! A pid in a file is a rumour: the file is writable for the PostgreSQL user, and the kernel gives
//! numbers out again. `prove` pins the process by a pidfd first, then compares what the kernel says
//! of it with what it must be; only the `Proven` that comes out can be signalled.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdFlags, Signal as KernelSignal, pidfd_open, pidfd_send_signal};

use super::{Process, ProcessFacts, all_pids, is_called, is_of, process, without_deleted};
use crate::sys::deadline::Deadline;

/// How far the start in postmaster.pid may be from the kernel's: that one is rounded down, this one
/// is reckoned from a boot time that is rounded as well, and the server writes it a moment later.
const START_TOLERANCE: i64 = 3;

/// What a process must be before it is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Its real and effective user.
    pub uid: u32,
    /// The last part of its program's path: `postgres`.
    pub exe_name: String,
    /// The directory it works in: PGDATA.
    pub cwd: PathBuf,
    /// When it started, in seconds of the epoch (line 3 of postmaster.pid), if that is known. A
    /// clock that was set since makes this differ, while all else still proves the instance.
    pub started: Option<i64>,
}

/// A process that is what it was expected to be. It can't become another one while this lives.
#[derive(Debug)]
pub struct Proven {
    pidfd: OwnedFd,
    facts: ProcessFacts,
}

/// The outcome of a proof.
#[derive(Debug)]
pub enum Identity {
    /// It is the expected process.
    Proven(Proven),
    /// It is another one, for this reason: hands off.
    Other(String),
    /// There is none.
    Gone,
    /// It could not be found out, for this reason: hands off, and it may still be the one.
    Unknown(String),
}

/// Finds out whether `pid` is the expected process.
pub fn prove(pid: i32, expected: &Expectation) -> Identity {
    match pin(pid) {
        Ok(pinned) => match difference(&pinned.facts, expected) {
            Ok(None) => Identity::Proven(pinned),
            Ok(Some(why)) => Identity::Other(why),
            Err(why) => Identity::Unknown(why),
        },
        Err(answer) => answer,
    }
}

/// Finds out whether `pid` is the process that started then, in clock ticks since this boot: a number
/// that is given out again comes with another start.
pub fn prove_start(pid: i32, start_ticks: u64) -> Identity {
    match pin(pid) {
        Ok(pinned) if pinned.facts.start_ticks == start_ticks => Identity::Proven(pinned),
        Ok(pinned) => Identity::Other(format!(
            "pid {pid} started at tick {}, not at {start_ticks}",
            pinned.facts.start_ticks
        )),
        Err(answer) => answer,
    }
}

/// Holds on to the living process of this number, and learns what it is.
pub(super) fn pin(pid: i32) -> Result<Proven, Identity> {
    // Negative numbers mean process groups elsewhere, 1 is init.
    let number = Some(pid).filter(|&pid| pid > 1).and_then(rustix::process::Pid::from_raw);
    let Some(kernel_pid) = number else {
        return Err(Identity::Other(format!("{pid} is not the number of a process of ours")));
    };
    let pidfd = match pidfd_open(kernel_pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Err(Identity::Gone),
        // The number of a thread: not of any process.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => {
            return Err(Identity::Other(format!("{pid} is a thread, not a process")));
        }
        Err(e) => return Err(Identity::Unknown(format!("pidfd_open for pid {pid}: {e}"))),
    };
    let facts = match process(pid) {
        Process::Present(facts) => facts,
        Process::Gone => return Err(Identity::Gone),
        Process::Unknown(why) => return Err(Identity::Unknown(why)),
    };
    // Still alive, after the facts were read: then the pidfd and the facts are of one process.
    match ended_within(&pidfd, Duration::ZERO) {
        Ok(false) if !facts.is_dead() => Ok(Proven { pidfd, facts }),
        Ok(_) => Err(Identity::Gone),
        Err(e) => Err(Identity::Unknown(format!("poll on pid {pid}: {e}"))),
    }
}

/// Whether this answer to a path is certain: there is nothing, a file where a directory should be on
/// the way, a circle of links, or a name longer than any. A disk that fails or a server that is away has not said so.
fn leads_nowhere(e: &io::Error) -> bool {
    [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::ENAMETOOLONG]
        .iter()
        .any(|no| e.raw_os_error() == Some(*no as i32))
}

/// Why these are not the facts of the expected process.
fn difference(facts: &ProcessFacts, expected: &Expectation) -> Result<Option<String>, String> {
    let pid = facts.pid;
    if (facts.uid, facts.euid) != (expected.uid, expected.uid) {
        let (uid, wanted) = (facts.euid, expected.uid);
        return Ok(Some(format!("pid {pid} belongs to uid {uid}, not to uid {wanted}")));
    }
    let exe = facts.exe.as_deref().unwrap_or(Path::new("(none)"));
    if exe.file_name() != Some(expected.exe_name.as_ref()) {
        let (exe, wanted) = (exe.display(), &expected.exe_name);
        return Ok(Some(format!("pid {pid} runs {exe}, not {wanted}")));
    }
    let cwd = facts.cwd.as_deref().unwrap_or(Path::new("(none)"));
    let same_dir = match fs::metadata(&expected.cwd) {
        Ok(meta) if meta.is_dir() => facts.cwd_id == Some((meta.dev(), meta.ino())),
        // The directory is gone under the running server: only its name is left to compare.
        Ok(_) => without_deleted(cwd.to_owned()) == expected.cwd,
        Err(e) if leads_nowhere(&e) => without_deleted(cwd.to_owned()) == expected.cwd,
        Err(e) => return Err(format!("{}: {e}", expected.cwd.display())),
    };
    if !same_dir {
        let (cwd, wanted) = (cwd.display(), expected.cwd.display());
        return Ok(Some(format!("pid {pid} works in {cwd}, not in {wanted}")));
    }
    if let Some(wanted) = expected.started {
        let started = facts.started().map_err(|e| format!("start of pid {pid}: {e}"))?;
        if started.saturating_sub(wanted).saturating_abs() > START_TOLERANCE {
            return Ok(Some(format!("pid {pid} started at {started}, not at {wanted} (epoch)")));
        }
    }
    Ok(None)
}

/// Signals that a PostgreSQL server or a worker of ours understands, and the one that nobody survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGINT to the postmaster: fast shutdown.
    Fast,
    /// SIGQUIT to the postmaster: immediate shutdown.
    Immediate,
    /// SIGUSR1 to the postmaster: look at the signal files (promote, logrotate).
    Look,
    /// SIGTERM: to a child of the postmaster, end this session; to any other process, end.
    Terminate,
    /// SIGCONT: go on after a stop.
    Continue,
    /// SIGKILL.
    Kill,
}

impl Signal {
    fn number(self) -> KernelSignal {
        match self {
            Self::Reload => KernelSignal::HUP,
            Self::Fast => KernelSignal::INT,
            Self::Immediate => KernelSignal::QUIT,
            Self::Look => KernelSignal::USR1,
            Self::Terminate => KernelSignal::TERM,
            Self::Continue => KernelSignal::CONT,
            Self::Kill => KernelSignal::KILL,
        }
    }
}

/// Why a proven process was not reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} the process {pid}")]
pub struct SignalError {
    what: &'static str,
    pid: i32,
    source: io::Error,
}

impl Proven {
    /// What it is.
    pub fn facts(&self) -> &ProcessFacts {
        &self.facts
    }

    /// Sends it a signal. `false` means that it had ended already.
    pub fn signal(&self, signal: Signal) -> Result<bool, SignalError> {
        // A zombie would accept it in silence.
        if self.ended_within(Duration::ZERO)? {
            return Ok(false);
        }
        match pidfd_send_signal(&self.pidfd, signal.number()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(e) => Err(SignalError { what: "signal", pid: self.facts.pid, source: e.into() }),
        }
    }

    /// Waits for its end, no longer than `time`. Whether it has ended.
    pub fn ended_within(&self, time: Duration) -> Result<bool, SignalError> {
        ended_within(&self.pidfd, time).map_err(|source| SignalError {
            what: "wait for",
            pid: self.facts.pid,
            source,
        })
    }
}

fn ended_within(pidfd: &OwnedFd, time: Duration) -> io::Result<bool> {
    let deadline = Deadline::after(time);
    loop {
        let left = deadline.left();
        // Rounded up, so that the last part of a millisecond is not spent in a busy loop.
        let millis = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if deadline.expired() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
}

/// All processes that meet an expectation.
#[derive(Debug, Default)]
pub struct Found {
    /// These do: the postmaster, its children, and what an earlier postmaster left behind.
    pub proven: Vec<Proven>,
    /// These might: the reasons why it could not be found out. None of them is a process that is
    /// known to belong to another user.
    pub unknown: Vec<String>,
}

impl Found {
    /// Whether there is certainly none.
    pub fn is_none(&self) -> bool {
        self.proven.is_empty() && self.unknown.is_empty()
    }

    /// Those whose parent is not among them: the postmaster, or orphans of one that was killed.
    pub fn heads(&self) -> impl Iterator<Item = &Proven> {
        self.proven
            .iter()
            .filter(|one| !self.proven.iter().any(|other| other.facts.pid == one.facts.ppid))
    }
}

/// Looks through all processes for those that meet the expectation.
pub fn find_all(expected: &Expectation) -> Found {
    let mut found = Found::default();
    let pids = match all_pids() {
        Ok(pids) => pids,
        Err(e) => {
            found.unknown.push(format!("list of processes in /proc: {e}"));
            return found;
        }
    };
    for pid in pids {
        match is_of(pid, expected.uid) {
            Ok(true) => match prove(pid, expected) {
                Identity::Proven(proven) => found.proven.push(proven),
                Identity::Other(_) | Identity::Gone => {}
                Identity::Unknown(why) => found.unknown.push(why),
            },
            Ok(false) => {}
            Err(why) => found.unknown.push(why),
        }
    }
    found
}

/// The processes of this program that work in this directory, whoever they belong to: for those who
/// only want to know whether there are any. An error when that cannot be told.
pub fn working_in(dir: &Path, exe_name: &str) -> Result<Vec<i32>, String> {
    let mut found = Vec::new();
    for pid in all_pids().map_err(|e| format!("list of processes in /proc: {e}"))? {
        if !is_called(pid, exe_name)? {
            continue;
        }
        match process(pid) {
            Process::Present(facts) if facts.is_dead() => {}
            Process::Present(facts) => {
                let (uid, cwd) = (facts.euid, dir.to_owned());
                let exe_name = exe_name.to_owned();
                let expected = Expectation { uid, exe_name, cwd, started: None };
                let facts = ProcessFacts { uid, ..facts };
                if difference(&facts, &expected)?.is_none() {
                    found.push(pid);
                }
            }
            Process::Gone => {}
            Process::Unknown(why) => return Err(why),
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_servers_are_never_proven() {
        let expected =
            Expectation { uid: 0, exe_name: "init".into(), cwd: "/".into(), started: None };
        for pid in [i32::MIN, -1, 0, 1] {
            assert!(matches!(prove(pid, &expected), Identity::Other(_)), "{pid}");
        }
        // Beyond the largest number the kernel ever gives out.
        assert!(matches!(prove(i32::MAX, &expected), Identity::Gone));
    }
}
