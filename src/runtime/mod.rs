//! How PostgreSQL is run: on the host (`bare`), or in a container (`container`). Floor 2.
//!
//! `Runtime` is the border between the two. What is the same for both (looking, stopping within a
//! deadline, settings, WAL) is written once on top of it, a file a subject.

pub mod archive;
pub mod at_boot;
pub mod bare;
pub mod binaries;
pub mod container;
pub mod create;
pub mod data_dir;
pub mod hba_file;
pub mod host;
pub mod image;
pub mod instance;
pub mod layout;
pub mod look;
pub mod old_copies;
pub mod one_server;
pub mod own_files;
pub mod owner;
pub mod passfile;
pub mod processes;
pub mod rebuild;
pub mod recover;
pub mod rewind;
pub mod room;
pub mod server_log;
pub mod settings;
pub mod shutdown;
pub mod start;
pub mod start_log;
pub mod startup_process;
pub mod stop;
pub mod storage;
pub mod subvolume;
pub mod swap;
pub mod wal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::decide::facts::Process;
use crate::ocf::params::Params;
use crate::postgres::postmaster_pid::PostmasterPid;
use crate::sys::exec::{Cmd, Ended, Exec, ExecError, Output};
use crate::sys::files::{FileError, Lock, read_root_owned, read_untrusted};
use crate::sys::privilege::{PrivilegeError, User, with_user};

pub use binaries::BinariesError;
pub use container::Spec;
use processes::Processes;
use startup_process::Activity;

/// Where PostgreSQL and its distributions put the socket.
const SOCKET_DIRS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Where the instance is and whose, with what it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The data directory.
    pub pgdata: PathBuf,
    /// Whom it belongs to and who runs it.
    pub user: User,
    /// Its port.
    pub port: u16,
    /// The directory of its socket; none: as its configuration says.
    pub socket_dir: Option<PathBuf>,
    /// postgresql.conf, where it is not in the data directory.
    pub config_file: Option<PathBuf>,
    /// More arguments for `postgres`.
    pub start_opts: Vec<String>,
    /// Where its programs are; none: found.
    pub bindir: Option<PathBuf>,
    /// Its standard error goes here, to a directory of ours: what it prints before its own log begins,
    /// or all of its log where it keeps none.
    pub start_log: PathBuf,
}

impl Place {
    /// The place that the parameters name. Fails when its user does not exist.
    ///
    /// `pghost` is not looked at: one node's address in parameters that all nodes share would keep
    /// the others from starting, and what PostgreSQL listens on is its configuration's business.
    pub fn of(params: &Params, start_log: PathBuf) -> Result<Self, PrivilegeError> {
        Ok(Self {
            pgdata: PathBuf::from(&params.pgdata),
            user: User::named(&params.pguser)?,
            port: params.pgport,
            socket_dir: params.socket_dir.as_ref().map(PathBuf::from),
            config_file: params.config_file.as_ref().map(PathBuf::from),
            start_opts: params.start_opts.clone(),
            bindir: params.pg_bindir.as_ref().map(PathBuf::from),
            start_log,
        })
    }

    /// What the running instance has written into `postmaster.pid`: a claim, not a proof. None
    /// when there is no such file, or nothing in it that is understood.
    pub fn claim(&self) -> Option<PostmasterPid> {
        let text = self.read("postmaster.pid", 1 << 16).ok()?;
        PostmasterPid::parse(&text).ok()
    }

    /// What the lock files of its sockets say, each with its directory, where they name this data directory:
    /// claims too, but each is its user's own file (in /tmp anybody could make one that leads elsewhere).
    pub(crate) fn socket_claims(&self) -> Vec<(PathBuf, PostmasterPid)> {
        let dirs: Vec<PathBuf> = match &self.socket_dir {
            Some(dir) => vec![dir.clone()],
            None => SOCKET_DIRS.iter().map(PathBuf::from).collect(),
        };
        let name = self.socket_lock();
        let claimed = |dir: PathBuf| {
            let path = dir.join(&name);
            // Its own: not root's, for at this moment that user is who we are.
            let text = self.as_user(|| read_root_owned(&path, 1 << 16)).ok()?;
            let claim = PostmasterPid::parse(&text).ok()?;
            (Path::new(&claim.data_dir) == self.pgdata).then_some((dir, claim))
        };
        dirs.into_iter().filter_map(claimed).collect()
    }

    /// The name of the lock file of its socket.
    pub(crate) fn socket_lock(&self) -> String {
        format!(".s.PGSQL.{}.lock", self.port)
    }

    /// A file below the data directory, read as its user.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<String, RuntimeError> {
        let path = self.pgdata.join(name);
        self.as_user(|| read_untrusted(&path, max))
    }

    /// File work as the user, with one kind of error.
    pub fn as_user<T>(
        &self,
        work: impl FnOnce() -> Result<T, FileError>,
    ) -> Result<T, RuntimeError> {
        with_user(&self.user, work).map_err(RuntimeError::Privilege)?.map_err(RuntimeError::File)
    }

    pub(crate) fn pgdata_text(&self) -> String {
        self.pgdata.display().to_string()
    }
}

/// How urgently an instance is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Sessions are cut off, a shutdown checkpoint is written, standbys receive it.
    Fast,
    /// At once; crash recovery follows.
    Immediate,
    /// SIGKILL for every process of the instance.
    Kill,
}

/// A way to run PostgreSQL. What its processes are, and how they are told something, is the same for all: they
/// are processes of this host.
pub trait Runtime {
    /// The processes of the instance, to be found and signalled.
    fn processes(&self) -> &Processes;

    /// Whether it starts PostgreSQL in a container. One that runs may have been started otherwise.
    fn is_contained(&self) -> bool;

    /// One of PostgreSQL's own programs, as the PostgreSQL user, where the instance lives.
    fn command(&self, program: &str) -> Result<Cmd, BinariesError>;

    /// The same, for a program that makes these directories, which are none of the instance's yet.
    fn command_on(&self, program: &str, _new: &[PathBuf]) -> Result<Cmd, RuntimeError> {
        self.command(program).map_err(RuntimeError::Binaries)
    }

    /// Starts the postmaster; it lives on when this process ends.
    fn launch(&self) -> Result<Launched, RuntimeError>;

    /// Sees to it that nothing comes up any more of a launch that was given up.
    fn abandon(&self) {}

    /// Sees to it that no program that this process has started goes on, nor begins yet: one in a container is no
    /// child of ours, and may outlive the command that ran it. `Ok`: none is there.
    fn settle(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Removes what is left of a server that is gone, as far as that can be done within this time.
    fn clean_up(&self, _limit: Duration) {}

    /// Removes what programs have left whose process is gone, where the runtime has such things.
    fn sweep(&self, _limit: Duration) {}

    /// Where the instance is.
    fn place(&self) -> &Place {
        self.processes().place()
    }

    /// The processes of the instance.
    fn process(&self) -> Process {
        self.processes().process()
    }

    /// Asks the postmaster, or the orphans of one that is gone, to end. Nothing is waited for; that
    /// nobody is there is no error.
    fn signal(&self, how: Shutdown) -> Result<(), RuntimeError> {
        self.processes().signal(how)
    }

    /// Tells the postmaster to read its configuration again; it needs no session for that. That
    /// nobody is there is no error.
    fn reload(&self) -> Result<(), RuntimeError> {
        self.processes().reload()
    }

    /// Ends these children of the postmaster, if that is what they are; by the numbers that SQL shows.
    fn terminate(&self, children: &[i32]) -> Result<(), RuntimeError> {
        self.processes().terminate(children)
    }

    /// Which of these are still children of the postmaster.
    fn children_among(&self, pids: &[i32]) -> Vec<i32> {
        self.processes().children_among(pids)
    }

    /// What the startup process has done so far, if there is one.
    fn startup_activity(&self) -> Option<Activity> {
        self.processes().startup_activity()
    }
}

/// The way to run PostgreSQL at a place: in a container as `spec` says, or on the host.
pub fn way<'a>(exec: &'a dyn Exec, place: Place, spec: Option<Spec>) -> Box<dyn Runtime + 'a> {
    match spec {
        Some(spec) => Box::new(container::Container::new(exec, place, spec)),
        None => Box::new(bare::Bare::new(exec, place)),
    }
}

/// A postmaster that was started a moment ago.
#[derive(Debug)]
pub struct Launched {
    /// A child of ours: the postmaster, or the engine's command that lives as long as its container.
    pub pid: i32,
    /// It is such a command.
    pub contained: bool,
    /// Where its first words go.
    pub log: PathBuf,
    /// Length of that file before the start.
    pub log_from: u64,
    /// Keeps any other start on this data out until this one is seen, or given up.
    pub lock: Option<Lock>,
}

/// Why something could not be done to the instance. Displays one line; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Its programs are not there.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A program could not be run.
    #[error("cannot {what}")]
    Exec {
        /// What was attempted.
        what: &'static str,
        /// Why not.
        source: ExecError,
    },
    /// A program failed.
    #[error("cannot {what}: {why}")]
    Failed {
        /// What was attempted.
        what: &'static str,
        /// Its words, on one line.
        why: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(FileError),
    /// We cannot act as the PostgreSQL user.
    #[error(transparent)]
    Privilege(PrivilegeError),
    /// Something must be so before, and is not.
    #[error("{0}")]
    Refused(String),
    /// The deadline came first.
    #[error("{what} did not end in time: {why}")]
    TooLate {
        /// What was waited for.
        what: &'static str,
        /// What stands.
        why: String,
    },
}

/// Refuses what must not be done to the data of a server that runs, or may.
pub(crate) fn nothing_runs(runtime: &dyn Runtime, what: &str) -> Result<(), RuntimeError> {
    match runtime.process() {
        Process::None => Ok(()),
        process => Err(RuntimeError::Refused(format!("cannot {what}: {process}"))),
    }
}

/// Success, or the program's words.
pub(crate) fn succeeded(what: &'static str, output: &Output) -> Result<(), RuntimeError> {
    if output.ok() {
        return Ok(());
    }
    let words = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let words = last_words(words);
    Err(match output.ended {
        Ended::TimedOut => RuntimeError::TooLate { what, why: words },
        Ended::Exited(code) => RuntimeError::Failed { what, why: format!("{words} (exit {code})") },
        Ended::Signaled(signal) => {
            RuntimeError::Failed { what, why: format!("{words} (killed by signal {signal})") }
        }
    })
}

/// What matters of a log or of standard error, on one line: the last FATAL, PANIC or error with
/// what was said just before and after it, else the last lines.
pub(crate) fn last_words(text: &str) -> String {
    const GRAVE: [&str; 5] = ["PANIC:  ", "FATAL:  ", "ERROR:  ", "error: ", "fatal: "];
    const OTHER: [&str; 5] = ["LOG:  ", "WARNING:  ", "HINT:  ", "DETAIL:  ", "NOTICE:  "];
    const USUAL: [&str; 3] =
        ["LOG:  database system", "LOG:  starting PostgreSQL", "LOG:  listening on"];
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let grave = lines.iter().rposition(|line| GRAVE.iter().any(|word| line.contains(word)));
    let from = grave.unwrap_or(lines.len()).saturating_sub(if grave.is_some() { 3 } else { 2 });
    let until = grave.map_or(lines.len(), |at| at + 3);
    let usual = |line: &str| USUAL.iter().any(|words| line.contains(words));
    let kept = lines.iter().take(until).skip(from).filter(|line| !usual(line));
    let said: Vec<&str> = kept
        .map(|line| {
            // Without the prefix of the log: a time, a process.
            let labels = GRAVE.iter().chain(&OTHER);
            let at = labels.filter_map(|label| line.find(label)).min().unwrap_or(0);
            let line = line.get(at..).unwrap_or(line);
            line.strip_prefix("LOG:  ").or(line.strip_prefix("error: ")).unwrap_or(line)
        })
        .collect();
    let line: String = said.join("; ").replace(":  ", ": ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(500).collect();
    if line.is_empty() { "it said nothing".to_owned() } else { line }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_cause_and_not_what_came_of_it() {
        for (text, expected) in [
            ("", "it said nothing"),
            (
                "2026-11-20 12:40:24.933 UTC [216] LOG:  starting PostgreSQL 15\n\
                 2026-11-20 12:40:24.933 UTC [216] LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n\
                 2026-11-20 12:40:24.933 UTC [216] HINT:  Is another postmaster already running on port 5432?\n\
                 2026-11-20 12:40:24.933 UTC [216] FATAL:  could not create any TCP/IP sockets\n\
                 2026-11-20 12:40:24.934 UTC [216] LOG:  database system is shut down\n",
                "could not bind IPv4 address \"127.0.0.1\": Address already in use; \
                 HINT: Is another postmaster already running on port 5432?; \
                 FATAL: could not create any TCP/IP sockets",
            ),
            ("pg_ctl: error: directory \"x\" does not exist\n", "directory \"x\" does not exist"),
            ("one\ntwo\nthree\n", "two; three"),
        ] {
            assert_eq!(last_words(text), expected);
        }
    }
}
