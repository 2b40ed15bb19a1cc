//! The one place that starts a process: with a clean identity, environment and set of descriptors,
//! a process group of its own, and a certain end. What a command is stands in `command`; `pump`
//! feeds and reads it. Floor 2.

mod command;
mod pump;

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Pid, Uid, chdir, getppid, setgroups, setresgid, setresuid, setsid};

use super::deadline::Deadline;
use super::privilege::{PrivilegeError, User, guard_is_free};
use pump::{Pump, Stop, Watcher};

pub use command::{Cmd, Ended, Exec, ExecError, Output, RunAs};

/// Where programs named without a directory are looked for, whatever `PATH` says.
pub const PROGRAM_DIRS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What a child gets between SIGTERM and SIGKILL when its limit is over.
const GRACE: Duration = Duration::from_millis(200);
/// How long a killed child may take to vanish; one that hangs in the kernel never does.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs commands on this system, as children of this process.
///
/// A child gets: `cmd.env` and no other variable, its directory entered as its own user, umask
/// 077, no descriptor but 0 to 2, default signals, a process group of its own. It is killed when
/// its limit is over, with its group (SIGTERM, then SIGKILL: up to 0.2 s beyond the limit, 1.2 s if
/// it hangs in the kernel and is left behind), and when this process dies, alone. Where a signal ended
/// it, its group is killed too. What it started in the background and left behind at a normal end lives
/// on.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Exec for System {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        cleaned(cmd, run(cmd, None))
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        cleaned(cmd, run(cmd, Some(line)))
    }

    /// All at the same time. Each is watched by a thread that lives until its child is over: a
    /// child dies with the thread that made it.
    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        let lost = |cmd: &Cmd| ExecError::Io {
            program: describe(cmd),
            source: io::Error::other("the thread that watched it ended early"),
        };
        thread::scope(|scope| {
            let watched: Vec<_> = cmds.iter().map(|cmd| scope.spawn(|| self.run(cmd))).collect();
            let join = |(thread, cmd): (thread::ScopedJoinHandle<'_, _>, &Cmd)| {
                thread.join().unwrap_or_else(|_| Err(lost(cmd)))
            };
            watched.into_iter().zip(cmds).map(join).collect()
        })
    }
}

/// What a killed command has left behind is cleaned away, as well as that goes: its own end is what counts.
fn cleaned(cmd: &Cmd, result: Result<Output, ExecError>) -> Result<Output, ExecError> {
    let came_to_its_end = match &result {
        Ok(output) => matches!(output.ended, Ended::Exited(_)),
        Err(ExecError::Io { .. }) => false,
        // It was never started.
        Err(_) => true,
    };
    if let Some(cleaning) = cmd.when_killed.as_ref().filter(|_| !came_to_its_end) {
        let _ = run(cleaning, None);
    }
    result
}

fn run<'a>(cmd: &'a Cmd, watcher: Option<Watcher<'a>>) -> Result<Output, ExecError> {
    let deadline = Deadline::after(cmd.limit);
    let mut command = prepare(cmd, Ties::Child)?;
    let stdin = if cmd.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |source| ExecError::Io { program: describe(cmd), source };
    let mut child = command.spawn().map_err(failed)?;
    let group = Group(group_of(&child));
    let pump = Pump::new(&mut child, &cmd.stdin, watcher).map_err(failed);
    let ended = pump.and_then(|mut pump| {
        let ended = watch(&mut child, &group, &mut pump, &deadline).map_err(failed)?;
        let (stdout, stderr) = pump.into_output();
        Ok(Output { ended, stdout, stderr })
    });
    if ended.is_err() {
        // Whatever went wrong while watching, nothing is left unwatched.
        group.kill(Signal::SIGKILL);
        let _ = child.try_wait();
    }
    ended
}

impl System {
    /// Starts a child that outlives this process, in a session of its own, with its standard
    /// output and error appended to `log` (created 0600, owned by the caller). Its limit, its
    /// `stdin` and its end are not looked after. Returns its pid. It is not started any more once this
    /// process is gone.
    pub fn spawn_detached(&self, cmd: &Cmd, log: &Path) -> Result<u32, ExecError> {
        let failed = |source| ExecError::Io { program: describe(cmd), source };
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
            .open(log)
            .map_err(failed)?;
        let mut command = prepare(cmd, Ties::None)?;
        let errors = log.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        command.spawn().map(|child| child.id()).map_err(failed)
    }
}

/// The process group of a child that has not been reaped, so that its number is still its own.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // ESRCH: all of them are gone already, which is what was wanted.
            let _ = killpg(group, signal);
        }
    }
}

fn group_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().filter(|&pid| pid > 1).map(Pid::from_raw)
}

/// Follows the child to its end, or ends it. It is reaped only after its group was dealt with.
fn watch(
    child: &mut Child,
    group: &Group,
    pump: &mut Pump<'_>,
    deadline: &Deadline,
) -> io::Result<Ended> {
    if pump.until(deadline)? == Stop::Exited {
        if pump.was_killed()? {
            // It could not look after its own children.
            group.kill(Signal::SIGKILL);
        }
        return match child.try_wait()? {
            Some(status) => Ok(ended(status)),
            None => Err(io::Error::other("it ended, but its exit status is not there")),
        };
    }
    group.kill(Signal::SIGTERM);
    pump.until(&Deadline::after(GRACE))?;
    group.kill(Signal::SIGKILL);
    pump.until(&Deadline::after(LAST_WAIT))?;
    child.try_wait()?;
    Ok(Ended::TimedOut)
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signaled(signal),
        // wait(2) knows no third way to be over.
        (None, None) => Ended::Signaled(0),
    }
}

/// Whether the child goes down with us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ties {
    Child,
    None,
}

fn prepare(cmd: &Cmd, ties: Ties) -> Result<Command, ExecError> {
    guard_is_free()
        .map_err(|source| ExecError::Privilege { program: cmd.program.clone(), source })?;
    let program = locate(&cmd.program)?;
    let failed = |source| ExecError::Io { program: describe(cmd), source };
    let switch = match &cmd.run_as {
        RunAs::Caller => None,
        RunAs::User(name) => identity(name, cmd)?,
    };
    let cwd = CString::new(cmd.cwd.as_str())
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidInput, "a NUL in its cwd")))?;
    let us = Pid::from_raw(i32::try_from(process::id()).unwrap_or(i32::MAX));
    let mut command = Command::new(program);
    command.args(&cmd.args).env_clear().envs(cmd.env.iter().map(|(n, v)| (n, v)));
    if ties == Ties::Child {
        command.process_group(0);
    }
    let in_child = move || -> io::Result<()> {
        if ties == Ties::None {
            setsid()?;
        }
        default_signals();
        cloexec_from(3);
        if let Some((uid, gid, groups)) = &switch {
            setgroups(groups)?;
            setresgid(*gid, *gid, *gid)?;
            setresuid(*uid, *uid, *uid)?;
        }
        umask(Mode::from_bits_truncate(0o077));
        chdir(cwd.as_c_str())?;
        if ties == Ties::Child {
            // Only now: a change of identity clears it.
            set_pdeathsig(Signal::SIGKILL)?;
        }
        // Entering the directory may have taken until somebody gave up on us: what comes after us has
        // looked around already, and must not meet a program that begins now.
        if getppid() != us {
            return Err(Errno::ECANCELED.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed, for another thread
    // may have held any lock, the allocator's included, at the fork. The closure makes system calls
    // and nothing else: all it needs was allocated before (`switch` and `cwd` are borrowed, a CStr
    // reaches the kernel without a copy), its errors are plain numbers, and it cannot panic. glibc's
    // setgroups and setres*id are what std itself calls here for `Command::uid`, which cannot be
    // used because it drops the supplementary groups.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(in_child);
    }
    Ok(command)
}

type Identity = (Uid, Gid, Vec<Gid>);

/// What to change to in the child, if anything.
fn identity(name: &str, cmd: &Cmd) -> Result<Option<Identity>, ExecError> {
    let refused = |source| match source {
        PrivilegeError::NoUser { user } => ExecError::NoUser { user },
        source => ExecError::Privilege { program: cmd.program.clone(), source },
    };
    let user = User::named(name).map_err(refused)?;
    if !user.needs_switch().map_err(refused)? {
        return Ok(None);
    }
    let groups = user.groups.into_iter().map(Gid::from_raw).collect();
    Ok(Some((Uid::from_raw(user.uid), Gid::from_raw(user.gid), groups)))
}

/// Signals that our own parent ignored stay ignored through exec. std resets the mask and SIGPIPE.
fn default_signals() {
    // The kernel's 64; those that cannot be changed (KILL, STOP, glibc's own two) stay as they are.
    for signal in 1..=64 {
        // SAFETY: signal(2) with SIG_DFL installs no code of ours, and is async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Our own descriptors are closed at exec anyway; those that our parent left open to us are not.
fn cloexec_from(first: libc::c_uint) {
    // SAFETY: close_range(2) with CLOEXEC only sets a flag, on descriptors of the child alone (a
    // fork has a table of its own), and takes no pointer. A kernel without it says so, and then
    // nothing has changed.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn locate(program: &str) -> Result<PathBuf, ExecError> {
    let path = PathBuf::from(program);
    if path.is_absolute() {
        if is_program(&path) {
            return Ok(path);
        }
        let searched = path.parent().unwrap_or(Path::new("/")).display().to_string();
        return Err(ExecError::NotFound { program: program.to_owned(), searched });
    }
    find_program(program).ok_or_else(|| ExecError::NotFound {
        program: program.to_owned(),
        searched: PROGRAM_DIRS.join(", "),
    })
}

/// The absolute path of a program of the system, if it is installed.
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    PROGRAM_DIRS.iter().map(|dir| PathBuf::from(dir).join(name)).find(|path| is_program(path))
}

/// Whether this is something that exec would take.
fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn describe(cmd: &Cmd) -> String {
    let mut text = cmd.program.clone();
    if let RunAs::User(user) = &cmd.run_as {
        text.push_str(" as ");
        text.push_str(user);
    }
    if cmd.cwd != "/" {
        text.push_str(" in ");
        text.push_str(&cmd.cwd);
    }
    text
}
