//! PostgreSQL as an ordinary process of this host. Floor 2.
//!
//! `postgres` is started directly, not by `pg_ctl start`: that one builds a line for a shell out of
//! the parameters, and hides the postmaster's end from whoever waits for its start.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::{Path, PathBuf};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, Pid};

use crate::decide::facts::Process;
use crate::postgres::postmaster_pid::PostmasterPid;
use crate::postgres::version::major_of_pg_version;
use crate::sys::exec::{Cmd, Exec, System};
use crate::sys::files::read_root_owned;
use crate::sys::process::{
    self, Expectation, Identity, ProcessFacts, Proven, Signal, find_all, prove,
};

use super::startup_process::Activity;
use super::{BinariesError, Launched, Place, Runtime, RuntimeError, Shutdown, binaries, text};

/// The first words of an instance that keeps its log elsewhere are few; more than this is put aside
/// at the next start, where nobody rotates it.
const LARGEST_START_LOG: u64 = 16 << 20;

/// Where PostgreSQL and its distributions put the socket.
const SOCKET_DIRS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// An instance that runs on the host.
pub struct Bare<'a> {
    exec: &'a dyn Exec,
    place: Place,
    bindir: OnceCell<Result<PathBuf, BinariesError>>,
    /// A child of ours, to be reaped: as a zombie it would keep the next one from starting.
    child: Cell<Option<Pid>>,
    /// Where the data directory of the running server is now, if it was renamed under it.
    moved: RefCell<Option<PathBuf>>,
}

/// What was found of the instance's processes.
enum Located {
    None,
    Postmaster(Proven),
    Orphans(Vec<Proven>),
    Unknown(String),
}

impl<'a> Bare<'a> {
    /// The instance at this place. Nothing is looked at yet.
    pub fn new(exec: &'a dyn Exec, place: Place) -> Self {
        Self {
            exec,
            place,
            bindir: OnceCell::new(),
            child: Cell::new(None),
            moved: RefCell::new(None),
        }
    }

    fn bindir(&self) -> Result<&PathBuf, BinariesError> {
        let found = self.bindir.get_or_init(|| {
            let major = self.place.read("PG_VERSION", 64).ok();
            let major = major.and_then(|text| major_of_pg_version(&text).ok());
            binaries::find(self.exec, &self.place.user.name, self.place.bindir.as_deref(), major)
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The command that is the postmaster.
    pub fn postmaster(&self) -> Result<Cmd, BinariesError> {
        let place = &self.place;
        let mut cmd = self.command("postgres")?.args(self.config_args());
        cmd = cmd.args(["-p".to_owned(), place.port.to_string()]);
        if let Some(dir) = &place.socket_dir {
            cmd = cmd.args(["-c".to_owned(), format!("unix_socket_directories={}", text(dir))]);
        }
        cmd = cmd.args(place.start_opts.iter().cloned());
        if let Ok(Some(user)) = unistd::User::from_name(&place.user.name) {
            // What its own login would have, for libpq in the walreceiver and archive commands.
            cmd = cmd
                .env("HOME", user.dir.display().to_string())
                .env("USER", &place.user.name)
                .env("LOGNAME", &place.user.name);
        }
        Ok(cmd)
    }

    /// Where its data and its configuration are. A `data_directory` in a configuration file
    /// elsewhere would win over `-D`, and start another instance.
    pub(crate) fn config_args(&self) -> Vec<String> {
        config_args(&self.place)
    }

    fn reap(&self) {
        if let Some(child) = self.child.get()
            && !matches!(waitpid(child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
        {
            self.child.set(None);
        }
    }

    fn proven_children(&self, pids: &[i32]) -> Vec<Proven> {
        let Located::Postmaster(postmaster) = self.locate() else { return Vec::new() };
        let expected = self.expectation(None);
        let children = pids.iter().filter_map(|&pid| match prove(pid, &expected) {
            Identity::Proven(proven) => Some(proven),
            Identity::Other(_) | Identity::Gone | Identity::Unknown(_) => None,
        });
        children.filter(|child| child.facts().ppid == postmaster.facts().pid).collect()
    }

    /// Where a server works that was started on our PGDATA and is no longer there: the lock file of
    /// its socket names the directory, and the kernel says where the process works now. The claim has
    /// to be that user's own file (in /tmp anybody could make one that leads to another instance),
    /// and it leads only to processes of that user and program.
    fn moved_to(&self) -> Option<PathBuf> {
        let place = &self.place;
        let dirs: Vec<PathBuf> = match &place.socket_dir {
            Some(dir) => vec![dir.clone()],
            None => SOCKET_DIRS.iter().map(PathBuf::from).collect(),
        };
        let name = format!(".s.PGSQL.{}.lock", place.port);
        dirs.iter().find_map(|dir| {
            let path = dir.join(&name);
            // Its own: not root's, for at this moment that user is who we are.
            let text = place.as_user(|| read_root_owned(&path, 1 << 16)).ok()?;
            let claim = PostmasterPid::parse(&text).ok()?;
            if Path::new(&claim.data_dir) != place.pgdata {
                return None;
            }
            let pid = i32::try_from(claim.pid).ok()?;
            let process::Process::Present(ProcessFacts { cwd: Some(cwd), .. }) =
                process::process(pid)
            else {
                return None;
            };
            // The number may be another's by now: its start has to be the one that was noted.
            let expected = Expectation {
                uid: place.user.uid,
                exe_name: "postgres".to_owned(),
                cwd: cwd.clone(),
                started: Some(claim.start_time),
            };
            match prove(pid, &expected) {
                Identity::Proven(_) => Some(cwd),
                Identity::Other(_) | Identity::Gone | Identity::Unknown(_) => None,
            }
        })
    }

    fn expectation(&self, started: Option<i64>) -> Expectation {
        Expectation {
            uid: self.place.user.uid,
            exe_name: "postgres".to_owned(),
            cwd: self.moved.borrow().clone().unwrap_or_else(|| self.place.pgdata.clone()),
            started,
        }
    }

    /// The postmaster by its pid file, if that is proven; else by looking at all processes.
    fn locate(&self) -> Located {
        self.reap();
        let claim = self.place.claim().filter(|claim| !claim.single_user);
        let claimed = claim.as_ref().and_then(|claim| i32::try_from(claim.pid).ok());
        if let (Some(claim), Some(pid)) = (&claim, claimed)
            && let Identity::Proven(proven) = prove(pid, &self.expectation(Some(claim.start_time)))
        {
            return Located::Postmaster(proven);
        }
        // No file, a stale one, or one of a time before the clock was set.
        let mut found = find_all(&self.expectation(None));
        if found.is_none() {
            let Some(dir) = Some(&self.place.pgdata)
                .filter(|pgdata| !pgdata.join("PG_VERSION").exists())
                .and_then(|_| self.moved_to())
            else {
                return Located::None;
            };
            // PGDATA was renamed under a running server: its processes are still there.
            self.moved.replace(Some(dir));
            found = find_all(&self.expectation(None));
            if found.is_none() {
                return Located::None;
            }
        }
        let parents: Vec<i32> = found.proven.iter().map(|one| one.facts().ppid).collect();
        let postmaster = found.proven.iter().position(|one| {
            let pid = one.facts().pid;
            Some(pid) == claimed || parents.contains(&pid)
        });
        match postmaster {
            Some(index) => Located::Postmaster(found.proven.swap_remove(index)),
            None if found.proven.is_empty() => Located::Unknown(found.unknown.join("; ")),
            None => Located::Orphans(found.proven),
        }
    }
}

pub(crate) fn config_args(place: &Place) -> Vec<String> {
    let pgdata = place.pgdata_text();
    let mut args = vec!["-D".to_owned(), pgdata.clone()];
    if let Some(file) = &place.config_file {
        args.extend(["-c".to_owned(), format!("config_file={}", text(file))]);
        args.extend(["-c".to_owned(), format!("data_directory={pgdata}")]);
    }
    args
}

/// Whether a process takes no signal but KILL and CONT.
fn is_stopped(proven: &Proven) -> bool {
    matches!(proven.facts().state, 'T' | 't')
}

impl Runtime for Bare<'_> {
    fn place(&self) -> &Place {
        &self.place
    }

    fn command(&self, program: &str) -> Result<Cmd, BinariesError> {
        let path = self.bindir()?.join(program);
        Ok(Cmd::new(text(&path)).user(&self.place.user.name))
    }

    fn process(&self) -> Process {
        match self.locate() {
            Located::None => Process::None,
            Located::Postmaster(proven) => {
                Process::Running { pid: proven.facts().pid, stopped: is_stopped(&proven) }
            }
            Located::Orphans(orphans) => {
                Process::Orphans(orphans.iter().map(|one| one.facts().pid).collect())
            }
            Located::Unknown(why) => Process::Unknown(why),
        }
    }

    fn launch(&self) -> Result<Launched, RuntimeError> {
        self.reap();
        let cmd = self.postmaster()?;
        let log = self.place.start_log.clone();
        let mut log_from = std::fs::metadata(&log).map_or(0, |meta| meta.len());
        if log_from > LARGEST_START_LOG {
            let mut old = log.clone().into_os_string();
            old.push(".old");
            // Where it cannot be put aside it grows on, which is no reason not to start.
            if std::fs::rename(&log, old).is_ok() {
                log_from = 0;
            }
        }
        let pid = System
            .spawn_detached(&cmd, &log)
            .map_err(|source| RuntimeError::Exec { what: "start PostgreSQL", source })?;
        let pid = i32::try_from(pid).unwrap_or(i32::MAX);
        self.child.set(Some(Pid::from_raw(pid)));
        Ok(Launched { pid, log, log_from })
    }

    fn signal(&self, how: Shutdown) -> Result<(), RuntimeError> {
        match (self.locate(), how) {
            (Located::None, _) => Ok(()),
            (Located::Unknown(why), _) => Err(RuntimeError::Refused(format!(
                "no process was signalled, for it is not known which belong to {}: {why}",
                self.place.pgdata_text()
            ))),
            (Located::Postmaster(postmaster), Shutdown::Fast | Shutdown::Immediate) => {
                let signal = if how == Shutdown::Fast { Signal::Fast } else { Signal::Immediate };
                sent(&postmaster, signal)?;
                // One that was stopped takes it when it goes on; so do its children.
                for one in find_all(&self.expectation(None)).proven.iter().filter(|p| is_stopped(p))
                {
                    sent(one, Signal::Continue)?;
                }
                Ok(())
            }
            // They have no postmaster that could tell them: each leaves at once by itself.
            (Located::Orphans(orphans), Shutdown::Fast | Shutdown::Immediate) => {
                for orphan in &orphans {
                    sent(orphan, Signal::Immediate)?;
                    sent(orphan, Signal::Continue)?;
                }
                Ok(())
            }
            (Located::Postmaster(_) | Located::Orphans(_), Shutdown::Kill) => {
                // The postmaster first, so that it cannot start others.
                let found = find_all(&self.expectation(None));
                let heads: Vec<&Proven> = found.heads().collect();
                for one in heads.into_iter().chain(&found.proven) {
                    sent(one, Signal::Kill)?;
                }
                Ok(())
            }
        }
    }

    fn reload(&self) -> Result<(), RuntimeError> {
        match self.locate() {
            Located::Postmaster(postmaster) => sent(&postmaster, Signal::Reload),
            Located::None | Located::Orphans(_) => Ok(()),
            Located::Unknown(why) => Err(RuntimeError::Refused(why)),
        }
    }

    fn terminate(&self, children: &[i32]) -> Result<(), RuntimeError> {
        for child in self.proven_children(children) {
            sent(&child, Signal::Terminate)?;
        }
        Ok(())
    }

    fn children_among(&self, pids: &[i32]) -> Vec<i32> {
        self.proven_children(pids).iter().map(|child| child.facts().pid).collect()
    }

    fn startup_activity(&self) -> Option<Activity> {
        let Located::Postmaster(postmaster) = self.locate() else { return None };
        let ours = find_all(&self.expectation(None));
        let children = ours.proven.iter().filter(|p| p.facts().ppid == postmaster.facts().pid);
        children.map(|child| child.facts().pid).find_map(Activity::of_startup)
    }
}

fn sent(proven: &Proven, signal: Signal) -> Result<(), RuntimeError> {
    proven.signal(signal).map(|_| ()).map_err(|error| RuntimeError::Failed {
        what: "signal the server",
        why: crate::sys::chain(&error),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::RunAs;
    use crate::sys::privilege::User;

    fn place() -> Place {
        Place {
            pgdata: "/srv/my data".into(),
            user: User { name: "root".into(), uid: 0, gid: 0, groups: vec![0] },
            port: 5433,
            socket_dir: None,
            config_file: None,
            start_opts: Vec::new(),
            bindir: None,
            start_log: "/var/log/pgtwin/x.log".into(),
        }
    }

    fn bare(place: Place) -> Bare<'static> {
        let bare = Bare::new(&System, place);
        bare.bindir.set(Ok("/usr/lib/postgresql/15/bin".into())).unwrap();
        bare
    }

    #[test]
    fn the_postmaster_is_started_with_what_the_parameters_say_and_no_shell() {
        let cmd = bare(place()).postmaster().unwrap();
        assert_eq!(cmd.program, "/usr/lib/postgresql/15/bin/postgres");
        assert_eq!(cmd.args, ["-D", "/srv/my data", "-p", "5433"]);
        assert_eq!(cmd.run_as, RunAs::User("root".into()));
        assert!(cmd.env.contains(&("HOME".into(), "/root".into())));
        assert!(cmd.env.contains(&("USER".into(), "root".into())));

        let cmd = bare(Place {
            socket_dir: Some("/run/pg".into()),
            config_file: Some("/etc/postgresql/15/main/postgresql.conf".into()),
            start_opts: vec!["-c".into(), "work_mem=8MB".into()],
            ..place()
        });
        assert_eq!(
            cmd.postmaster().unwrap().args,
            [
                "-D",
                "/srv/my data",
                "-c",
                "config_file=/etc/postgresql/15/main/postgresql.conf",
                "-c",
                "data_directory=/srv/my data",
                "-p",
                "5433",
                "-c",
                "unix_socket_directories=/run/pg",
                "-c",
                "work_mem=8MB",
            ]
        );
    }

    #[test]
    fn without_programs_every_command_says_so() {
        let bare = Bare::new(&System, Place { bindir: Some("/nowhere".into()), ..place() });
        let error = bare.command("pg_ctl").unwrap_err();
        assert_eq!(error, BinariesError::NotInBindir { dir: "/nowhere".into() });
        assert!(matches!(bare.launch(), Err(RuntimeError::Binaries(_))));
    }
}
