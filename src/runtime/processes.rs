//! The processes of the instance, found, proven and signalled on this host, wherever they were started.
//! Floor 2.
//!
//! A container's are processes of this host as well: same user, same program, and their working directory is
//! PGDATA by device and inode. What differs is how they count themselves: the number in postmaster.pid, and
//! those that SQL shows, are of their own namespace. So a number that comes from the server is compared with
//! what a process calls itself, and never taken for one of this host.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::decide::facts::Process;
use crate::sys::files::{read_root_owned, write_volatile};
use crate::sys::freezer;
use crate::sys::process::{
    self, Expectation, Identity, ProcessFacts, Proven, Signal, find_all, prove,
};

use super::startup_process::Activity;
use super::{Place, RuntimeError, Shutdown};

/// The processes of the instance at one place.
pub struct Processes {
    place: Place,
    /// A child of ours, to be reaped: as a zombie it would keep the next one from starting.
    child: Cell<Option<Pid>>,
    /// Where the data directory of the running server is now, if it was renamed under it.
    moved: RefCell<Option<PathBuf>>,
    /// A file of ours that says where the postmaster was found last, so that not all processes have to be
    /// looked through. It is believed no more than postmaster.pid.
    hint: Option<PathBuf>,
}

/// What was found of the instance's processes.
enum Located {
    None,
    Postmaster(Proven),
    Orphans(Vec<Proven>),
    Unknown(String),
}

impl Processes {
    /// Those of this place. Nothing is looked at yet.
    pub fn new(place: Place, hint: Option<PathBuf>) -> Self {
        Self { place, child: Cell::new(None), moved: RefCell::new(None), hint }
    }

    /// Where the instance is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Remembers a child of this process, to be reaped.
    pub fn adopt(&self, child: i32) {
        self.child.set(Some(Pid::from_raw(child)));
    }

    /// Why these are not processes of such a runtime as the parameters ask for; none: they are, or there are
    /// none.
    pub fn run_otherwise(&self, contained: bool) -> Option<String> {
        let Located::Postmaster(postmaster) = self.locate() else { return None };
        let facts = postmaster.facts();
        match (facts.is_contained(), contained) {
            (true, false) => Some(format!(
                "PostgreSQL runs in a container (pid {} on this host), and container_mode=false",
                facts.pid
            )),
            (false, true) => Some(format!(
                "PostgreSQL runs on the host (pid {}), and container_mode=true",
                facts.pid
            )),
            (true, true) | (false, false) => None,
        }
    }

    /// Whether the postmaster is in a container; none: none is found.
    pub fn are_contained(&self) -> Option<bool> {
        match self.locate() {
            Located::Postmaster(postmaster) => Some(postmaster.facts().is_contained()),
            Located::None | Located::Orphans(_) | Located::Unknown(_) => None,
        }
    }

    /// Whether the postmaster that wrote postmaster.pid is the one that runs.
    pub fn has_claimed(&self) -> bool {
        let (Located::Postmaster(postmaster), Some(claim)) = (self.locate(), self.place.claim())
        else {
            return false;
        };
        i64::from(postmaster.facts().inner_pid) == i64::from(claim.pid)
    }

    fn hinted(&self) -> Option<i32> {
        read_root_owned(self.hint.as_ref()?, 32).ok()?.trim().parse().ok()
    }

    fn note(&self, pid: i32) {
        let path = self.hint.as_deref();
        let Some((dir, name)) = path.and_then(|path| Some((path.parent()?, path.file_name()?)))
        else {
            return;
        };
        let name = name.to_string_lossy();
        // Without it, the next look is a little slower.
        let _ = write_volatile(dir, &name, format!("{pid}\n").as_bytes(), 0o600);
    }

    /// Reaps a child of ours that has ended.
    pub fn reap(&self) {
        if let Some(child) = self.child.get()
            && !matches!(waitpid(child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
        {
            self.child.set(None);
        }
    }

    fn proven_children(&self, pids: &[i32]) -> Vec<Proven> {
        let Located::Postmaster(postmaster) = self.locate() else { return Vec::new() };
        let ours = find_all(&self.expectation(None)).proven;
        let children = ours.into_iter().filter(|one| {
            one.facts().ppid == postmaster.facts().pid && pids.contains(&one.facts().inner_pid)
        });
        children.collect()
    }

    /// Where a server works that was started on our PGDATA and is no longer there: the lock file of
    /// its socket names the directory, and the kernel says where the process works now. The claim has
    /// to be that user's own file (in /tmp anybody could make one that leads to another instance),
    /// and it leads only to processes of that user and program.
    fn moved_to(&self) -> Option<PathBuf> {
        let place = &self.place;
        place.socket_claims().into_iter().find_map(|(_, claim)| {
            let named = i32::try_from(claim.pid).ok()?;
            let pid = self.hinted().unwrap_or(named);
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
                Identity::Proven(proven) => (proven.facts().inner_pid == named).then_some(cwd),
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
        if let (Some(claim), Some(named)) = (&claim, claimed) {
            let expected = self.expectation(Some(claim.start_time));
            for pid in [Some(named), self.hinted()].into_iter().flatten() {
                if let Identity::Proven(proven) = prove(pid, &expected)
                    && proven.facts().inner_pid == named
                {
                    return Located::Postmaster(proven);
                }
            }
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
            Some(one.facts().inner_pid) == claimed || parents.contains(&one.facts().pid)
        });
        match postmaster {
            Some(index) => {
                let postmaster = found.proven.swap_remove(index);
                if postmaster.facts().is_contained() {
                    self.note(postmaster.facts().pid);
                }
                Located::Postmaster(postmaster)
            }
            None if found.proven.is_empty() => Located::Unknown(found.unknown.join("; ")),
            None => Located::Orphans(found.proven),
        }
    }

    /// The processes, as decisions know them.
    pub fn process(&self) -> Process {
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

    /// See [`super::Runtime::signal`].
    pub fn signal(&self, how: Shutdown) -> Result<(), RuntimeError> {
        match (self.locate(), how) {
            (Located::None, _) => Ok(()),
            (Located::Unknown(why), _) => Err(RuntimeError::Refused(format!(
                "no process was signalled, for it is not known which belong to {}: {why}",
                self.place.pgdata_text()
            ))),
            (Located::Postmaster(postmaster), Shutdown::Fast | Shutdown::Immediate) => {
                thawed(&postmaster)?;
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
                    thawed(orphan)?;
                    sent(orphan, Signal::Immediate)?;
                    sent(orphan, Signal::Continue)?;
                }
                Ok(())
            }
            (Located::Postmaster(_) | Located::Orphans(_), Shutdown::Kill) => {
                // The postmaster first, so that it cannot start others.
                let found = find_all(&self.expectation(None));
                let heads: Vec<&Proven> = found.heads().collect();
                let all = heads.into_iter().chain(&found.proven);
                // Each of them, whatever becomes of the others.
                let sent: Vec<_> = all.map(|one| sent(one, Signal::Kill)).collect();
                // Killed first: what thaws is dead.
                let thawed: Vec<_> = found.proven.iter().map(thawed).collect();
                sent.into_iter().chain(thawed).collect()
            }
        }
    }

    /// See [`super::Runtime::reload`].
    pub fn reload(&self) -> Result<(), RuntimeError> {
        match self.locate() {
            Located::Postmaster(postmaster) => sent(&postmaster, Signal::Reload),
            Located::None | Located::Orphans(_) => Ok(()),
            Located::Unknown(why) => Err(RuntimeError::Refused(why)),
        }
    }

    /// Tells the postmaster to look at its signal files. That nobody is there is an error.
    pub fn wake(&self) -> Result<(), RuntimeError> {
        match self.locate() {
            Located::Postmaster(postmaster) => sent(&postmaster, Signal::Look),
            Located::None | Located::Orphans(_) => {
                Err(RuntimeError::Refused("PostgreSQL does not run".to_owned()))
            }
            Located::Unknown(why) => Err(RuntimeError::Refused(why)),
        }
    }

    /// See [`super::Runtime::terminate`].
    pub fn terminate(&self, children: &[i32]) -> Result<(), RuntimeError> {
        for child in self.proven_children(children) {
            sent(&child, Signal::Terminate)?;
        }
        Ok(())
    }

    /// See [`super::Runtime::children_among`].
    pub fn children_among(&self, pids: &[i32]) -> Vec<i32> {
        self.proven_children(pids).iter().map(|child| child.facts().inner_pid).collect()
    }

    /// See [`super::Runtime::startup_activity`].
    pub fn startup_activity(&self) -> Option<Activity> {
        let Located::Postmaster(postmaster) = self.locate() else { return None };
        let ours = find_all(&self.expectation(None));
        let children = ours.proven.iter().filter(|p| p.facts().ppid == postmaster.facts().pid);
        children.map(|child| child.facts().pid).find_map(Activity::of_startup)
    }
}

/// Whether a process takes no signal but KILL and CONT.
fn is_stopped(proven: &Proven) -> bool {
    let facts = proven.facts();
    matches!(facts.state, 'T' | 't') || facts.is_contained() && freezer::is_frozen(facts.pid)
}

/// What is frozen takes no signal.
fn thawed(proven: &Proven) -> Result<(), RuntimeError> {
    let facts = proven.facts();
    if !facts.is_contained() || !freezer::is_frozen(facts.pid) {
        return Ok(());
    }
    freezer::thaw(facts.pid).map_err(|error| RuntimeError::Failed {
        what: "thaw the container of the server",
        why: error.to_string(),
    })
}

fn sent(proven: &Proven, signal: Signal) -> Result<(), RuntimeError> {
    proven.signal(signal).map(|_| ()).map_err(|error| RuntimeError::Failed {
        what: "signal the server",
        why: crate::sys::chain(&error),
    })
}
