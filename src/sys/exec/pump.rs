//! A child's three pipes, served together so that none of them can block the child or us, and the
//! watch for its end. Floor 2.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

use crate::sys::deadline::Deadline;

/// What is kept of each output; the rest is read and dropped, so that the child goes on. A CIB of many
/// resources on many nodes has some megabytes.
pub(super) const KEPT: usize = 16 << 20;
/// How often a child's end is looked for where the kernel cannot report it through a pidfd.
const TICK: Duration = Duration::from_millis(10);

/// Why serving the pipes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The child is over (not yet reaped), and what it had written is read.
    Exited,
    /// Time is up.
    Deadline,
}

/// Whom the lines of standard error are shown to.
pub(super) type Watcher<'a> = &'a mut dyn FnMut(&str);

/// The pipes of one child.
pub(super) struct Pump<'a> {
    watcher: Option<Watcher<'a>>,
    /// How much of standard error it has seen.
    shown: usize,
    child: Pid,
    pidfd: Option<OwnedFd>,
    stdin: Option<ChildStdin>,
    input: &'a [u8],
    stdout: Source<ChildStdout>,
    stderr: Source<ChildStderr>,
}

impl<'a> Pump<'a> {
    /// Takes the pipes of a child that was just started.
    pub(super) fn new(
        child: &mut Child,
        input: &'a [u8],
        watcher: Option<Watcher<'a>>,
    ) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if let Some(fd) = &stdin {
            set_nonblocking(fd)?;
        }
        Ok(Self {
            watcher,
            shown: 0,
            child: Pid::from_raw(pid),
            pidfd: rustix::process::Pid::from_raw(pid)
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            stdin,
            input,
            stdout: Source::new(stdout)?,
            stderr: Source::new(stderr)?,
        })
    }

    /// Serves the pipes until the child is over or the deadline is.
    pub(super) fn until(&mut self, deadline: &Deadline) -> io::Result<Stop> {
        loop {
            if self.is_over()? {
                self.finish();
                return Ok(Stop::Exited);
            }
            if deadline.expired() {
                return Ok(Stop::Deadline);
            }
            self.wait(deadline)?;
            self.feed();
            self.stdout.take_once();
            self.stderr.take_once();
            self.show(false);
        }
    }

    /// Shows what has come of standard error, up to the end of a line, or all of it at the end.
    fn show(&mut self, all: bool) {
        let Some(watcher) = &mut self.watcher else { return };
        let fresh = self.stderr.kept.get(self.shown..).unwrap_or_default();
        let ends = fresh.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
        let until = if all { fresh.len() } else { ends.map_or(0, |at| at + 1) };
        let text = String::from_utf8_lossy(fresh.get(..until).unwrap_or_default());
        text.split(['\n', '\r']).filter(|line| !line.is_empty()).for_each(watcher);
        self.shown += until;
    }

    /// Sleeps until something can be done.
    fn wait(&self, deadline: &Deadline) -> io::Result<()> {
        let wanted = [
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::POLLOUT),
            (self.stdout.fd(), PollFlags::POLLIN),
            (self.stderr.fd(), PollFlags::POLLIN),
            (self.pidfd.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
        ];
        let mut fds: Vec<PollFd<'_>> = wanted
            .into_iter()
            .filter_map(|(fd, flags)| fd.map(|fd| PollFd::new(fd, flags)))
            .collect();
        let mut time = deadline.left();
        if self.pidfd.is_none() {
            time = time.min(TICK);
        }
        // Rounded up: a poll of 0 ms until the deadline would be a busy loop.
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX - 1).saturating_add(1);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether the child has ended. It is not reaped: until it is, its process group keeps its
    /// number, and can be killed for certain.
    fn is_over(&self) -> io::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.child), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether the child, over and not reaped, was ended by a signal.
    pub(super) fn was_killed(&self) -> io::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(matches!(waitid(Id::Pid(self.child), flags)?, WaitStatus::Signaled(..)))
    }

    fn feed(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        match pipe.write(self.input) {
            Ok(count) => {
                self.input = self.input.get(count..).unwrap_or_default();
                if self.input.is_empty() {
                    self.stdin = None;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // It closed its end: what it does not want to know is its own affair.
            Err(_) => self.stdin = None,
        }
    }

    /// Reads what the child had written before its end. A descendant that still holds the pipe is
    /// not waited for, nor listened to beyond what we keep.
    fn finish(&mut self) {
        self.stdin = None;
        for _ in 0..=(KEPT / CHUNK) {
            let more = (self.stdout.take_once(), self.stderr.take_once());
            if more == (false, false) {
                break;
            }
        }
        self.show(true);
    }

    /// Standard output and standard error, as text.
    pub(super) fn into_output(self) -> (String, String) {
        (self.stdout.into_text(), self.stderr.into_text())
    }
}

const CHUNK: usize = 1 << 14;

/// One output of the child.
struct Source<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
}

impl<R: Read + AsFd> Source<R> {
    fn new(pipe: Option<R>) -> io::Result<Self> {
        if let Some(fd) = &pipe {
            set_nonblocking(fd)?;
        }
        Ok(Self { pipe, kept: Vec::new() })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes one chunk, if there is one. Returns whether there may be more at once.
    fn take_once(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut chunk = [0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let room = KEPT.saturating_sub(self.kept.len()).min(count);
                self.kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
                return true;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.pipe = None,
        }
        false
    }

    fn into_text(self) -> String {
        String::from_utf8(self.kept)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
