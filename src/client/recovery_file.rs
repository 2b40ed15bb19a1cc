//! The files of a recovery: marker and attempts on the disk, and under /run the progress, the lock
//! and the identity of the worker, and the order that it was started by. Floor 2.
//!
//! One process at a time changes the data of a node: whoever holds the lock ([`AtWork`]). A worker
//! is started by an order, which it must find again once it has the lock: so a worker that was slow
//! to begin does nothing once a stop has taken the order back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::recovery::{Attempts, Kept, Marker, NotUnderstood, Progress, WorkerId};
use crate::sys::chain;
use crate::sys::deadline::{Deadline, poll_until};
use crate::sys::detach::{self, DetachError, EndError, Liveness};
use crate::sys::files::{self, FileError, Lock, Seen};
use crate::sys::log::one_line;

const MARKER: &str = "recovery";
const ATTEMPTS: &str = "attempts";
const PROGRESS: &str = "recovery.json";
const LOCK: &str = "recovery.lock";
const WORKER: &str = "recovery.worker";
const ORDER: &str = "recovery.order";
const WAITS: &str = "recovery.waits";
const MAX_BYTES: u64 = 64 * 1024;
const WAITS_BYTES: usize = 4000;
const INTERVAL: Duration = Duration::from_millis(20);
/// How long what a killed worker has left may take to end by itself, once it was told to.
const FOR_THE_LEFT: Duration = Duration::from_secs(1);

/// Where a member keeps what it knows of its recoveries.
#[derive(Clone, Debug)]
pub struct RecoveryHome {
    resource: String,
    node: NodeName,
    state: PathBuf,
    run: PathBuf,
}

/// Why a file of a recovery was not written, or its worker not ended.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryFileError {
    /// Another process holds the lock.
    #[error("a recovery of {resource} is at work already")]
    AtWork {
        /// The resource.
        resource: String,
    },
    /// The order was taken back, or another one was given since.
    #[error("the order to recover {resource} does not hold any more")]
    NoOrder {
        /// The resource.
        resource: String,
    },
    /// The lock is held by a process that has not said who it is.
    #[error("a recovery of {resource} is at work, and it is not known by which process: {why}")]
    Anonymous {
        /// The resource.
        resource: String,
        /// Why not.
        why: String,
    },
    /// The file system refused.
    #[error("a file of the recovery was not read or written")]
    File(#[source] FileError),
    /// It would not read back.
    #[error("a file of the recovery would not read back")]
    Format(#[source] NotUnderstood),
    /// This process does not know itself.
    #[error("a recovery cannot say by whom it is done")]
    Identity(#[source] DetachError),
    /// The worker was not ended.
    #[error(transparent)]
    End(EndError),
}

impl RecoveryHome {
    /// The directories of this resource on this node. `state` and `run` are the roots, as a rule
    /// `/var/lib/pgtwin` and `/run/pgtwin`.
    pub fn new(state: &str, run: &str, resource: &str, node: &NodeName) -> Self {
        Self {
            resource: resource.to_owned(),
            node: node.clone(),
            state: PathBuf::from(state).join(resource),
            run: PathBuf::from(run).join(resource),
        }
    }

    /// Reads the marker of a recovery that has not ended in order.
    pub fn marker(&self) -> Kept<Marker> {
        read(&self.state.join(MARKER), |text| Marker::parse(text, &self.resource, &self.node))
    }

    /// Reads how often recoveries failed.
    pub fn attempts(&self) -> Kept<Attempts> {
        read(&self.state.join(ATTEMPTS), |text| Attempts::parse(text, &self.resource, &self.node))
    }

    /// What a person types to have it tried again, after attempts that were given up.
    pub fn again(&self) -> String {
        format!("rm {}", self.state.join(ATTEMPTS).display())
    }

    /// Reads how far the worker is.
    pub fn progress(&self) -> Kept<Progress> {
        read(&self.run.join(PROGRESS), |text| serde_json::from_str(text))
    }

    /// Reads what is waited for.
    pub fn waits(&self) -> Kept<String> {
        read(&self.run.join(WAITS), |text| Ok::<_, NotUnderstood>(text.trim_end().to_owned()))
    }

    /// Keeps what is waited for, for people. Failing to is no error.
    pub fn say_waits(&self, why: &str) {
        let text = format!("{}\n", one_line(why, WAITS_BYTES));
        if self.waits() == Kept::Read(text.trim_end().to_owned()) {
            return;
        }
        let written = self.ensure_run().and_then(|()| {
            files::write_volatile(&self.run, WAITS, text.as_bytes(), 0o640)
                .map_err(RecoveryFileError::File)
        });
        if let Err(error) = written {
            tracing::debug!("{}", chain(&error));
        }
    }

    /// Reads who holds the lock, or held it when it was killed.
    pub fn worker(&self) -> Kept<WorkerId> {
        read(&self.run.join(WORKER), |text| text.trim_end().parse::<WorkerId>())
    }

    /// Who is at work now; none: certainly nobody. One that begins at this very moment may not be
    /// seen yet. Nothing is locked for this: it keeps no worker from beginning.
    pub fn at_work(&self) -> Known<Option<WorkerId>> {
        // Whoever has the lock has said who it is. Without a lock file there was nobody in this boot,
        // or the directory was emptied, and the marker knows.
        let last = match files::look(&self.run.join(LOCK)) {
            Seen::Missing => match self.marker() {
                Kept::Read(marker) => Kept::Read(marker.worker),
                Kept::Missing => Kept::Missing,
                Kept::Unreadable(why) => Kept::Unreadable(why),
            },
            Seen::Present(_) => self.worker(),
            Seen::Unknown(why) => Kept::Unreadable(why),
        };
        match last {
            Kept::Read(worker) => match detach::liveness(&worker) {
                Liveness::Alive(_) => Known::Known(Some(worker)),
                Liveness::Gone => Known::Known(None),
                Liveness::Unknown(why) => Known::Unknown(why),
            },
            Kept::Missing => Known::Known(None),
            Kept::Unreadable(why) => Known::Unknown(why),
        }
    }

    /// Gives the order for a worker, in place of any before, and returns its text, for the worker's
    /// command line.
    pub fn give_order(&self) -> Result<String, RecoveryFileError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        self.ensure_run()?;
        let me = detach::myself().map_err(RecoveryFileError::Identity)?;
        let order = format!("{me}.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        files::write_volatile(&self.run, ORDER, order.as_bytes(), 0o600)
            .map_err(RecoveryFileError::File)?;
        Ok(order)
    }

    /// Takes the order back, if one was given.
    pub fn take_order_back(&self) -> Result<(), RecoveryFileError> {
        match files::look(&self.run) {
            Seen::Missing => Ok(()),
            Seen::Present(_) | Seen::Unknown(_) => {
                files::remove_durably(&self.run, ORDER).map_err(RecoveryFileError::File)
            }
        }
    }

    /// Begins the work of a worker: it has the lock, the order still holds, and from now on it is
    /// known who it is. Before it changes anything it has to end what others have left
    /// ([`AtWork::end_those_before`]).
    pub fn begin(&self, order: &str) -> Result<AtWork<'_>, RecoveryFileError> {
        let at_work = self.take_as_it_is(Duration::ZERO)?;
        match read(&self.run.join(ORDER), |text| Ok::<_, NotUnderstood>(text.to_owned())) {
            Kept::Read(given) if given == order => Ok(at_work),
            // One that cannot be read does not hold either.
            Kept::Read(_) | Kept::Missing | Kept::Unreadable(_) => {
                Err(RecoveryFileError::NoOrder { resource: self.resource.clone() })
            }
        }
    }

    /// Waits for the right to change the files of recoveries, which nobody has while a worker is at
    /// work: for whoever sets something right without an order. What a worker that was killed has left
    /// running is ended; `uids` are those of root and of the PostgreSQL user.
    pub fn take(&self, wait: Duration, uids: &[u32]) -> Result<AtWork<'_>, RecoveryFileError> {
        let at_work = self.take_as_it_is(wait)?;
        at_work.end_those_before(uids)?;
        Ok(at_work)
    }

    fn take_as_it_is(&self, wait: Duration) -> Result<AtWork<'_>, RecoveryFileError> {
        self.ensure_run()?;
        let lock = self.lock(wait)?;
        let me = detach::myself().map_err(RecoveryFileError::Identity)?;
        // The marker may know of one that /run has forgotten.
        let marked = match self.marker() {
            Kept::Read(marker) => Some(marker.worker),
            Kept::Missing | Kept::Unreadable(_) => None,
        };
        let last = match self.worker() {
            Kept::Read(worker) => Some(worker),
            Kept::Missing | Kept::Unreadable(_) => None,
        };
        let before = [last, marked].into_iter().flatten().filter(|one| *one != me).collect();
        files::write_volatile(&self.run, WORKER, format!("{me}\n").as_bytes(), 0o640)
            .map_err(RecoveryFileError::File)?;
        Ok(AtWork { home: self, me, before, _lock: lock })
    }

    /// Ends the worker, if there is one, with everything it has started, and takes the order for one
    /// back. `Ok`: nothing of it is left, and nothing comes after it while the answer is held.
    ///
    /// `uids` are those of root and of the PostgreSQL user; `grace` is what the worker gets between
    /// SIGTERM and SIGKILL.
    pub fn end_worker(
        &self,
        uids: &[u32],
        grace: Duration,
        deadline: &Deadline,
    ) -> Result<Ended, RecoveryFileError> {
        self.take_order_back()?;
        let last = self.worker();
        let lock = if files::look(&self.run.join(LOCK)) == Seen::Missing {
            // There was no worker in this boot, or somebody has emptied the directory under it.
            None
        } else {
            Some(self.end_holder(uids, grace, deadline)?)
        };
        // One that was killed before may have left something behind.
        if let Kept::Read(last) = last
            && (lock.is_none() || matches!(detach::liveness(&last), Liveness::Gone))
        {
            detach::end(&last, uids, grace, deadline).map_err(RecoveryFileError::End)?;
        }
        // The marker may know of one that /run has forgotten.
        if let Kept::Read(marker) = self.marker() {
            detach::end(&marker.worker, uids, grace, deadline).map_err(RecoveryFileError::End)?;
        }
        if lock.is_some() {
            self.forget();
        }
        Ok(Ended { _lock: lock })
    }

    /// Removes what only holds while somebody is at work. Failing to is no error: the process that is
    /// named there is gone, or has no lock.
    fn forget(&self) {
        for name in [WORKER, PROGRESS, WAITS] {
            if let Err(error) = files::remove_durably(&self.run, name) {
                tracing::debug!("{}", chain(&error));
            }
        }
    }

    /// Gets the lock from whoever holds it.
    fn end_holder(
        &self,
        uids: &[u32],
        grace: Duration,
        deadline: &Deadline,
    ) -> Result<Lock, RecoveryFileError> {
        let mut why = String::new();
        let taken = poll_until(deadline, INTERVAL, || match self.lock(Duration::ZERO) {
            Ok(lock) => Some(Ok(lock)),
            Err(RecoveryFileError::AtWork { .. }) => {
                // Its name comes a moment after the lock: until then it is that of one that was killed,
                // and the lock is asked for again.
                match self.worker() {
                    Kept::Read(worker) => {
                        why = format!("it was last {worker}, which is gone");
                        match detach::end(&worker, uids, grace, deadline) {
                            Ok(()) => None,
                            Err(error) => Some(Err(RecoveryFileError::End(error))),
                        }
                    }
                    Kept::Missing => {
                        "it has not said so".clone_into(&mut why);
                        None
                    }
                    Kept::Unreadable(reason) => {
                        why = reason;
                        None
                    }
                }
            }
            Err(error) => Some(Err(error)),
        });
        taken.unwrap_or_else(|| {
            Err(RecoveryFileError::Anonymous { resource: self.resource.clone(), why })
        })
    }

    fn lock(&self, wait: Duration) -> Result<Lock, RecoveryFileError> {
        files::lock_file(&self.run.join(LOCK), wait).map_err(|error| match error {
            FileError::Locked { .. } => {
                RecoveryFileError::AtWork { resource: self.resource.clone() }
            }
            other => RecoveryFileError::File(other),
        })
    }

    fn ensure_run(&self) -> Result<(), RecoveryFileError> {
        ensure(&self.run).map_err(RecoveryFileError::File)
    }
}

/// The right to change a node's data and what is remembered of it, for as long as this lives.
#[derive(Debug)]
#[must_use]
pub struct AtWork<'a> {
    home: &'a RecoveryHome,
    me: WorkerId,
    before: Vec<WorkerId>,
    _lock: Lock,
}

impl AtWork<'_> {
    /// Ends what workers before this one have left running: one that was killed leaves what its commands
    /// have started, as the second process of a pg_basebackup, which still writes and still holds the
    /// slot. `Ok`: nothing of them is there any more.
    pub fn end_those_before(&self, uids: &[u32]) -> Result<(), RecoveryFileError> {
        for worker in &self.before {
            match detach::liveness(worker) {
                // It had the lock, and gave it back in order.
                Liveness::Alive(_) => {}
                Liveness::Gone | Liveness::Unknown(_) => {
                    detach::end(worker, uids, FOR_THE_LEFT, &Deadline::after(FOR_THE_LEFT * 2))
                        .map_err(RecoveryFileError::End)?;
                }
            }
        }
        Ok(())
    }

    /// This process, for the marker and for the tag of its commands.
    pub fn me(&self) -> &WorkerId {
        &self.me
    }

    /// Writes the marker: when this returns, it is on the disk.
    pub fn write_marker(&self, marker: &Marker) -> Result<(), RecoveryFileError> {
        let (resource, node) = (&self.home.resource, &self.home.node);
        let text = marker.to_text(resource, node);
        Marker::parse(&text, resource, node).map_err(RecoveryFileError::Format)?;
        self.write(MARKER, &text)
    }

    /// Removes the marker: the recovery has ended in order, and the data is whole.
    pub fn remove_marker(&self) -> Result<(), RecoveryFileError> {
        self.remove(MARKER)
    }

    /// Writes how often recoveries failed; none is no file.
    pub fn write_attempts(&self, attempts: &Attempts) -> Result<(), RecoveryFileError> {
        if attempts.failed == 0 {
            return self.remove(ATTEMPTS);
        }
        let (resource, node) = (&self.home.resource, &self.home.node);
        let text = attempts.to_text(resource, node);
        Attempts::parse(&text, resource, node).map_err(RecoveryFileError::Format)?;
        self.write(ATTEMPTS, &text)
    }

    /// Shows how far the work is. Failing to is no error.
    pub fn show_progress(&self, progress: &Progress) {
        let Ok(text) = serde_json::to_string(progress) else { return };
        if let Err(error) = files::write_volatile(&self.home.run, PROGRESS, text.as_bytes(), 0o640)
        {
            tracing::debug!("{}", chain(&error));
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), RecoveryFileError> {
        let dir = &self.home.state;
        let written = ensure(dir).and_then(|()| {
            if files::look(&dir.join(name)) == Seen::Missing {
                // A file is as safe as the directories that lead to it, which may be new.
                for above in dir.ancestors().skip(1).take(2) {
                    files::sync_dir(above)?;
                }
            }
            files::write_durably(dir, name, text.as_bytes(), 0o640)
        });
        written.map_err(RecoveryFileError::File)
    }

    fn remove(&self, name: &str) -> Result<(), RecoveryFileError> {
        match files::look(&self.home.state) {
            Seen::Missing => Ok(()),
            Seen::Present(_) | Seen::Unknown(_) => {
                files::remove_durably(&self.home.state, name).map_err(RecoveryFileError::File)
            }
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        // Before the lock is given back: nobody may be taken for its holder who is none.
        self.home.forget();
    }
}

/// No worker is at work, and none can begin while this is held.
#[derive(Debug)]
#[must_use]
pub struct Ended {
    _lock: Option<Lock>,
}

/// Makes sure of a directory of ours, and of the one that it lies in.
fn ensure(dir: &Path) -> Result<(), FileError> {
    if let Some(root) = dir.parent() {
        files::ensure_root_dir(root, 0o755)?;
    }
    files::ensure_root_dir(dir, 0o750)
}

fn read<T, E: std::fmt::Display>(path: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> Kept<T> {
    match files::look(path) {
        Seen::Missing => return Kept::Missing,
        Seen::Present(_) => {}
        Seen::Unknown(why) => return Kept::Unreadable(why),
    }
    let text = match files::read_root_owned(path, MAX_BYTES) {
        Ok(text) => text,
        Err(error) => return Kept::Unreadable(chain(&error)),
    };
    match parse(&text) {
        Ok(value) => Kept::Read(value),
        Err(error) => Kept::Unreadable(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
#[path = "recovery_file/tests.rs"]
mod tests;
