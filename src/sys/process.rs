//! What the kernel says of a process, from /proc. Whether it is the one we mean is settled in
//! `identity`. Floor 2.

mod identity;
mod kin;

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use super::chain;
use super::files::read_untrusted_bytes;

pub use identity::{
    Expectation, Found, Identity, Proven, Signal, SignalError, find_all, prove, prove_start,
    working_in,
};
pub use kin::{Kin, Strays, find_kin, find_strays};

/// What the kernel says of a process. `exe` and `cwd` are read as the links they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Its number.
    pub pid: i32,
    /// Its number in its own PID namespace: what it calls itself. Another one than `pid` in a container.
    pub inner_pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// The session that it is in: the number of the process that made it, which may be gone.
    pub session: i32,
    /// `R`, `S`, `D`, `T` (stopped), `Z` (dead, not reaped) and so on, as in proc(5).
    pub state: char,
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Its program; none for a zombie. Without the " (deleted)" that an upgrade leaves behind.
    pub exe: Option<PathBuf>,
    /// Its working directory, as text; none for a zombie.
    pub cwd: Option<PathBuf>,
    /// Device and inode of its working directory.
    pub cwd_id: Option<(u64, u64)>,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

impl ProcessFacts {
    /// Whether it lives in another PID namespace than this process: in a container, as a rule.
    pub fn is_contained(&self) -> bool {
        self.inner_pid != self.pid
    }

    /// Whether it has ended and only waits to be reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// When it started, in seconds of the epoch by the clock as it is set now.
    pub fn started(&self) -> io::Result<i64> {
        // What /proc/stat gives as btime; but for that the kernel adds up the interrupts of all CPUs.
        let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
        let boot = (now - clock_gettime(ClockId::CLOCK_BOOTTIME)?).tv_sec();
        let per_second = sysconf(SysconfVar::CLK_TCK)?
            .and_then(|ticks| u64::try_from(ticks).ok())
            .filter(|&ticks| ticks > 0)
            .unwrap_or(100);
        let since_boot = i64::try_from(self.start_ticks / per_second).unwrap_or(i64::MAX);
        Ok(boot.saturating_add(since_boot))
    }
}

/// The answer to "what is this pid?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// This.
    Present(ProcessFacts),
    /// Nothing has this number.
    Gone,
    /// The kernel did not tell, for this reason.
    Unknown(String),
}

/// What the kernel says of a pid.
pub fn process(pid: i32) -> Process {
    match facts(pid) {
        Ok(facts) => Process::Present(facts),
        Err(e) if is_gone(&e) => Process::Gone,
        Err(e) => Process::Unknown(format!("/proc/{pid}: {e}")),
    }
}

fn is_gone(e: &io::Error) -> bool {
    e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(Errno::ESRCH as i32)
}

fn facts(pid: i32) -> io::Result<ProcessFacts> {
    // All is read through one directory that stays this process's, also when the pid is reused.
    let dir = open(
        Path::new(&format!("/proc/{pid}")),
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let bad = |what| io::Error::new(ErrorKind::InvalidData, what);
    let Stat { state, ppid, session, start_ticks } =
        parse_stat(&read(&dir, "stat")?).ok_or_else(|| bad("unreadable stat"))?;
    let status = read(&dir, "status")?;
    let (uid, euid) = parse_uids(&status).ok_or_else(|| bad("unreadable status"))?;
    let inner_pid = parse_inner_pid(&status).unwrap_or(pid);
    // cmdline is left alone: reading it waits for the process's memory map, and hangs with it.
    let exe = link(&dir, "exe")?.map(without_deleted);
    let cwd = link(&dir, "cwd")?;
    let cwd_id = match fstatat(&dir, "cwd", AtFlags::empty()) {
        Ok(stat) => Some((stat.st_dev, stat.st_ino)),
        Err(Errno::ENOENT | Errno::ESRCH) => None,
        Err(e) => return Err(e.into()),
    };
    Ok(ProcessFacts {
        pid,
        inner_pid,
        ppid,
        session,
        state,
        uid,
        euid,
        exe,
        cwd,
        cwd_id,
        start_ticks,
    })
}

fn read(dir: &OwnedFd, name: &str) -> io::Result<String> {
    let fd = openat(dir, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::with_capacity(4096);
    fs::File::from(fd).take(1 << 16).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn link(dir: &OwnedFd, name: &str) -> io::Result<Option<PathBuf>> {
    match readlinkat(dir, name) {
        Ok(target) => Ok(Some(PathBuf::from(target))),
        // A zombie or a kernel thread; a process that is gone altogether is found by the caller.
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn without_deleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(rest) => PathBuf::from(std::ffi::OsStr::from_bytes(rest)),
        None => path,
    }
}

/// What is used of proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// One letter.
    pub state: char,
    /// Its parent.
    pub ppid: i32,
    /// Its session.
    pub session: i32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

/// Fields 3, 4, 6 and 22. The name in parentheses may contain anything, so the fields are counted
/// from its last parenthesis.
pub fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, ppid, session, start_ticks })
}

/// Of a process that may be anybody's: this file is open to everybody and waits for nothing. `None`
/// when the process is gone.
fn stat(pid: i32) -> Result<Option<Stat>, String> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match read_untrusted_bytes(&path, 1 << 16) {
        Ok(bytes) => parse_stat(&String::from_utf8_lossy(&bytes))
            .map(Some)
            .ok_or_else(|| format!("{}: not understood", path.display())),
        Err(_) if process(pid) == Process::Gone => Ok(None),
        Err(e) => Err(chain(&e)),
    }
}

/// The real and the effective user, of proc_pid_status(5).
pub fn parse_uids(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line.split_ascii_whitespace();
    Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
}

/// The last number of the line NSpid: a number for each namespace, ours first. A kernel without namespaces
/// has no such line.
fn parse_inner_pid(text: &str) -> Option<i32> {
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

fn all_pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Whether the process is that user's: one read, so that looking through all of them is cheap.
fn is_of(pid: i32, uid: u32) -> Result<bool, String> {
    match status(pid)? {
        None => Ok(false),
        Some(text) => match parse_uids(&text) {
            Some((real, effective)) => Ok(real == uid && effective == uid),
            None => Err(format!("/proc/{pid}/status: no line Uid")),
        },
    }
}

/// Whether the process was started from a program of that name (its first 15 bytes). Everybody may
/// read this of every process, which is not so for `exe` and `cwd`.
fn is_called(pid: i32, name: &str) -> Result<bool, String> {
    let named = |text: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix("Name:"));
        found.map(str::trim) == name.get(..name.len().min(15))
    };
    Ok(status(pid)?.is_some_and(|text| named(&text)))
}

/// `None` when the process is gone.
fn status(pid: i32) -> Result<Option<String>, String> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    match read_untrusted_bytes(&path, 1 << 16) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(_) if process(pid) == Process::Gone => Ok(None),
        Err(e) => Err(chain(&e)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let tail = "S 7 3 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let stat = Stat { state: 'S', ppid: 7, session: 5, start_ticks: 4711 };
        for name in ["postgres", "a b", "a) R 1 (b", ") ) )", ""] {
            assert_eq!(parse_stat(&format!("12 ({name}) {tail}")), Some(stat), "{name}");
        }
        for text in
            ["", "12", "12 (x)", "12 (x) S", "12 (x) S 7 3", "12 (x) S seven 3", "12 (x) S 7 3 5"]
        {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }

    #[test]
    fn both_users_are_read_from_status() {
        assert_eq!(parse_uids("Name:\tx\nUid:\t26\t0\t26\t26\n"), Some((26, 0)));
        for text in ["", "Uid:", "Uid:\t26", "Uid:\t-1\t0", "Gid:\t1\t2\t3\t4"] {
            assert_eq!(parse_uids(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_process_calls_itself_is_the_last_of_its_numbers() {
        for (text, inner) in [
            ("Name:\tx\nNSpid:\t4711\nNSsid:\t1\n", Some(4711)),
            ("NSpid:\t4711\t7\n", Some(7)),
            ("NSpid:\t4711\t30\t2\n", Some(2)),
            ("NSpid:\n", None),
            ("Pid:\t1\n", None),
        ] {
            assert_eq!(parse_inner_pid(text), inner, "{text}");
        }
    }

    #[test]
    fn the_mark_of_a_replaced_program_is_taken_off_once() {
        for (link, path) in [
            ("/usr/bin/postgres", "/usr/bin/postgres"),
            ("/usr/bin/postgres (deleted)", "/usr/bin/postgres"),
            ("/x (deleted) (deleted)", "/x (deleted)"),
        ] {
            assert_eq!(without_deleted(PathBuf::from(link)), PathBuf::from(path));
        }
    }

    #[test]
    fn this_process_knows_itself() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let Process::Present(facts) = process(pid) else { panic!() };
        assert_eq!(facts.exe, Some(std::env::current_exe().unwrap()));
        assert_eq!(facts.cwd, Some(std::env::current_dir().unwrap()));
        assert_eq!(facts.uid, nix::unistd::getuid().as_raw());
        assert!(!facts.is_dead());
        assert!(facts.started().unwrap() > 1_600_000_000);
    }
}
