//! A worker: a process of ours that outlives the action which starts it, is known beyond doubt, and
//! is ended with everything it has started. Floor 2.
//!
//! Two things would take it down too early. Pacemaker kills the process group of an action that
//! takes too long: the worker has a session of its own. systemd may kill what is left in the control
//! group of pacemaker.service when that is stopped or restarted (not while its KillMode is what
//! Pacemaker ships): where systemd runs, the worker gets a scope of its own, in the slice
//! `pgtwin.slice`, where an administrator can bound its use of the disk. When the machine goes down,
//! systemd ends the scope after Pacemaker, which stops what is in it in order: the server that a
//! worker starts is in it too.
//!
//! Its children run in process groups of their own, some as the PostgreSQL user. Those that it waits
//! for die with it (`System::run`), however it ends. What these have started in turn does not: a
//! pg_basebackup has a second process for WAL, a server a restore_command. So the worker runs all its
//! commands through [`Tagged`], and [`end`] looks for what carries the tag of this worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chain;
use super::deadline::{Deadline, poll_until};
use super::exec::{Cmd, Exec, ExecError, Output, System, find_program};
use super::files::{self, FileError, Kind, Seen};
use super::process::{
    Found, Identity, Kin, Process, Proven, Signal, SignalError, find_kin, process, prove_start,
};
use crate::cluster::recovery::WorkerId;

/// The variable that every command of a worker finds in its environment.
pub const TAG: &str = "PGTWIN_WORKER";

const SYSTEMD: &str = "/run/systemd/system";
const SCOPES: &str = "systemd-run";
const SLICE: &str = "pgtwin.slice";
/// Units are stopped in the opposite order: as Pacemaker has it for services that it looks after.
const ORDER: &str = "Before=pacemaker.service pacemaker_remote.service";
const INTERVAL: Duration = Duration::from_millis(10);
/// How long something killed may take to vanish, in any case.
const FOR_THE_KILLED: Duration = Duration::from_millis(500);

/// Why a worker was not started. Displays one line; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// Its program could not be run.
    #[error("the recovery's worker was not started")]
    Exec(#[source] ExecError),
    /// Its program is not where it should be.
    #[error("the recovery's worker was not started: {program} cannot be found")]
    Program {
        /// Its path.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It began and was not seen as itself.
    #[error("the recovery's worker was not started: {0}")]
    Lost(String),
    /// The identity of a process could not be learned.
    #[error("{0}")]
    Identity(String),
}

/// This process.
pub fn myself() -> Result<WorkerId, DetachError> {
    let pid = i32::try_from(std::process::id())
        .map_err(|_| DetachError::Identity("this process has no number".into()))?;
    identity(pid)
}

/// Of this process or a child of it, which may have ended: until it is reaped, its number is its own.
fn identity(pid: i32) -> Result<WorkerId, DetachError> {
    let boot = boot().map_err(DetachError::Identity)?;
    match process(pid) {
        Process::Present(facts) => Ok(WorkerId { boot, pid, start_ticks: facts.start_ticks }),
        Process::Gone => Err(DetachError::Lost(format!("pid {pid} is gone"))),
        Process::Unknown(why) => Err(DetachError::Identity(why)),
    }
}

fn boot() -> Result<String, String> {
    files::boot_id().map_err(|error: FileError| chain(&error))
}

/// The command inside a scope of its own. `systemd-run --scope` makes the scope, enters it and
/// *becomes* the command, so that number and session stay what they are.
pub fn in_scope(worker: &Cmd, unit: &str) -> Cmd {
    let options =
        ["--scope", "--quiet", "--collect", "--no-ask-password", "--description=pgtwin recovery"];
    let mut cmd = worker.clone();
    SCOPES.clone_into(&mut cmd.program);
    cmd.args = options.iter().map(|option| (*option).to_owned()).collect();
    cmd.args.push(format!("--unit={unit}"));
    cmd.args.push(format!("--slice={SLICE}"));
    cmd.args.push(format!("--property={ORDER}"));
    cmd.args.push("--".to_owned());
    cmd.args.push(worker.program.clone());
    cmd.args.extend(worker.args.iter().cloned());
    cmd
}

/// The name of the scope of an attempt of this resource, a new one for each: systemd refuses a name
/// that is still in use.
pub fn unit_name(resource: &str, attempt: u32, now: i64) -> String {
    // What systemd.unit(5) allows, but for the backslash, which escapes, and the @ of templates.
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.".contains(c);
    let resource: String =
        resource.chars().take(100).map(|c| if plain(c) { c } else { '_' }).collect();
    format!("pgtwin-recovery-{resource}-{attempt}-{now}.scope")
}

/// The ways to start this worker here, best first: in a scope where systemd runs, and without one,
/// for a systemd that does not answer must not keep a node from coming back.
pub fn ways(worker: &Cmd, unit: &str) -> Vec<Cmd> {
    let systemd = match files::look(Path::new(SYSTEMD)) {
        Seen::Present(entry) => entry.kind == Kind::Directory,
        Seen::Missing | Seen::Unknown(_) => false,
    };
    let mut ways = Vec::new();
    if systemd && find_program(SCOPES).is_some() {
        ways.push(in_scope(worker, unit));
    }
    ways.push(worker.clone());
    ways
}

/// Starts the worker in the first of these ways that works, each of which ends in `program`, and
/// says who it is. What it prints goes to `log`. When this returns it has begun; it may have ended by
/// then, if there was nothing to do for it. Where another program was to become it, and was not seen to
/// do so before it ended, it is started once more in the next way.
pub fn launch(
    ways: &[Cmd],
    program: &Path,
    log: &Path,
    deadline: &Deadline,
) -> Result<WorkerId, DetachError> {
    let program = fs::canonicalize(program).map_err(|source| DetachError::Program {
        program: program.display().to_string(),
        source,
    })?;
    let mut last = DetachError::Lost("there is no way to start it".to_owned());
    for (tried, way) in ways.iter().enumerate() {
        if tried > 0 {
            tracing::warn!("{}: trying {} instead", chain(&last), way.program);
        }
        // Whoever hangs leaves the next one its share.
        let left = u32::try_from(ways.len() - tried).unwrap_or(1).max(1);
        let until = deadline.within(deadline.left() / left);
        match launch_one(way, &program, log, &until) {
            Ok(id) => return Ok(id),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn launch_one(
    way: &Cmd,
    program: &Path,
    log: &Path,
    until: &Deadline,
) -> Result<WorkerId, DetachError> {
    let pid = System.spawn_detached(way, log).map_err(DetachError::Exec)?;
    let pid = i32::try_from(pid)
        .map_err(|_| DetachError::Identity(format!("{pid} is no number of a process")))?;
    let id = identity(pid)?;
    if fs::canonicalize(&way.program).is_ok_and(|of_way| of_way == program) {
        return Ok(id);
    }
    let became_it = poll_until(until, INTERVAL, || match prove_start(pid, id.start_ticks) {
        Identity::Proven(one) if one.facts().exe.as_deref() == Some(program) => Some(Ok(())),
        Identity::Proven(_) | Identity::Unknown(_) => None,
        Identity::Other(_) | Identity::Gone => Some(Err(DetachError::Lost(format!(
            "{} has ended, see {}",
            way.program,
            log.display()
        )))),
    });
    match became_it {
        Some(Ok(())) => Ok(id),
        Some(Err(error)) => Err(error),
        None => {
            // It must not become one later, beside the next.
            if let Identity::Proven(one) = prove_start(pid, id.start_ticks) {
                let _ = one.signal(Signal::Kill);
            }
            Err(DetachError::Lost(format!("{} did not come to it in time", way.program)))
        }
    }
}

/// Whether a worker still lives.
#[derive(Debug)]
#[must_use]
pub enum Liveness {
    /// It does: this process is it, and cannot become another one while this is held.
    Alive(Proven),
    /// It certainly does not.
    Gone,
    /// It could not be found out, for this reason.
    Unknown(String),
}

/// Finds out whether this worker still lives.
pub fn liveness(worker: &WorkerId) -> Liveness {
    match boot() {
        Ok(boot) if boot == worker.boot => {}
        // Nothing survives the end of its machine.
        Ok(_) => return Liveness::Gone,
        Err(why) => return Liveness::Unknown(why),
    }
    match prove_start(worker.pid, worker.start_ticks) {
        Identity::Proven(proven) => Liveness::Alive(proven),
        Identity::Other(_) | Identity::Gone => Liveness::Gone,
        Identity::Unknown(why) => Liveness::Unknown(why),
    }
}

/// Runs commands for a worker: each carries its tag.
pub struct Tagged<'a> {
    exec: &'a dyn Exec,
    tag: String,
}

impl<'a> Tagged<'a> {
    /// For this worker.
    pub fn new(exec: &'a dyn Exec, worker: &WorkerId) -> Self {
        Self { exec, tag: worker.to_string() }
    }

    fn tagged(&self, cmd: &Cmd) -> Cmd {
        cmd.clone().env(TAG, self.tag.as_str())
    }
}

impl Exec for Tagged<'_> {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.exec.run(&self.tagged(cmd))
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        self.exec.run_watched(&self.tagged(cmd), line)
    }

    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        let cmds: Vec<Cmd> = cmds.iter().map(|cmd| self.tagged(cmd)).collect();
        self.exec.run_all(&cmds)
    }
}

/// What this worker has started and is still there, in its session and with its tag; the worker
/// itself is not among it. `uids` are those that its commands run as.
pub fn offspring(worker: &WorkerId, uids: &[u32]) -> Found {
    match boot() {
        Ok(boot) if boot == worker.boot => {
            find_kin(&Kin { session: worker.pid, uids, tag: (TAG, &worker.to_string()) })
        }
        Ok(_) => Found::default(),
        Err(why) => Found { proven: Vec::new(), unknown: vec![why] },
    }
}

/// Why a worker was not ended. Nothing of it may be taken for gone.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// It is this process.
    #[error("a recovery cannot end itself")]
    Ourselves,
    /// It is not known whether it lives.
    #[error("cannot find out whether the recovery's worker (pid {pid}) still runs: {why}")]
    Unknown {
        /// Its number.
        pid: i32,
        /// Why.
        why: String,
    },
    /// It could not be signalled or watched.
    #[error("cannot end the recovery's worker")]
    Signal(#[source] SignalError),
    /// It is still there.
    #[error("the recovery's worker (pid {pid}) was killed and is still there: a disk that hangs?")]
    StillThere {
        /// Its number.
        pid: i32,
    },
    /// Something that it has started is still there.
    #[error("the recovery's worker is gone, but not all that it has started: {0}")]
    Offspring(String),
}

/// Ends a worker and everything it has started: SIGTERM, after `grace` SIGKILL, each to proven
/// processes only. `Ok`: all of them are gone. A worker that is gone already leaves its offspring to
/// be ended.
pub fn end(
    worker: &WorkerId,
    uids: &[u32],
    grace: Duration,
    deadline: &Deadline,
) -> Result<(), EndError> {
    match liveness(worker) {
        Liveness::Alive(proven) => end_one(&proven, grace, deadline)?,
        Liveness::Gone => {}
        Liveness::Unknown(why) => return Err(EndError::Unknown { pid: worker.pid, why }),
    }
    // Without the worker, no new ones come but from those that are there.
    let mild = Deadline::after(deadline.bounded(grace));
    let until = (*deadline).max(Deadline::after(FOR_THE_KILLED));
    let mut told = Vec::new();
    let mut none_before = false;
    poll_until(&until, INTERVAL, || {
        let found = offspring(worker, uids);
        for one in &found.proven {
            let pid = one.facts().pid;
            if mild.expired() {
                let _ = one.signal(Signal::Kill);
            } else if !told.contains(&pid) {
                told.push(pid);
                let _ = one.signal(Signal::Terminate);
            }
        }
        // Twice: one may begin, below the numbers that were looked at, while the last one ends.
        (std::mem::replace(&mut none_before, found.is_none()) && none_before).then_some(())
    })
    .ok_or_else(|| {
        let found = offspring(worker, uids);
        let mut left: Vec<String> =
            found.proven.iter().map(|one| format!("pid {}", one.facts().pid)).collect();
        left.extend(found.unknown);
        EndError::Offspring(left.join(", "))
    })
}

fn end_one(worker: &Proven, grace: Duration, deadline: &Deadline) -> Result<(), EndError> {
    let pid = worker.facts().pid;
    if u32::try_from(pid) == Ok(std::process::id()) {
        return Err(EndError::Ourselves);
    }
    worker.signal(Signal::Terminate).map_err(EndError::Signal)?;
    if worker.ended_within(deadline.bounded(grace)).map_err(EndError::Signal)? {
        return Ok(());
    }
    worker.signal(Signal::Kill).map_err(EndError::Signal)?;
    if worker.ended_within(deadline.left().max(FOR_THE_KILLED)).map_err(EndError::Signal)? {
        return Ok(());
    }
    Err(EndError::StillThere { pid })
}

/// The program of this process, for a worker of the same one. An upgrade may have replaced it
/// meanwhile; then the new one is meant.
pub fn own_program() -> Result<PathBuf, DetachError> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    match process(pid) {
        Process::Present(facts) => {
            facts.exe.ok_or_else(|| DetachError::Identity("this process has no program".to_owned()))
        }
        Process::Gone => Err(DetachError::Identity("/proc does not know this process".to_owned())),
        Process::Unknown(why) => Err(DetachError::Identity(why)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_same_command_within_systemd_run() {
        let worker = Cmd::new("/usr/sbin/pgtwin")
            .args(["recover", "--resource=pg"])
            .env("OCF_RESOURCE_INSTANCE", "pg")
            .limit(Duration::from_secs(3));
        let scoped = in_scope(&worker, "pgtwin-recovery-pg-2-1700000000.scope");
        let expected = Cmd {
            program: "systemd-run".into(),
            args: [
                "--scope",
                "--quiet",
                "--collect",
                "--no-ask-password",
                "--description=pgtwin recovery",
                "--unit=pgtwin-recovery-pg-2-1700000000.scope",
                "--slice=pgtwin.slice",
                "--property=Before=pacemaker.service pacemaker_remote.service",
                "--",
                "/usr/sbin/pgtwin",
                "recover",
                "--resource=pg",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..worker
        };
        assert_eq!(scoped, expected);
    }

    #[test]
    fn the_name_of_a_scope_is_one_that_systemd_takes() {
        for (resource, name) in [
            ("pg", "pgtwin-recovery-pg-3-17.scope"),
            ("postgres-db_1.x", "pgtwin-recovery-postgres-db_1.x-3-17.scope"),
            ("a b/c@d\\e\u{e9}", "pgtwin-recovery-a_b_c_d_e_-3-17.scope"),
        ] {
            assert_eq!(unit_name(resource, 3, 17), name);
        }
        assert!(unit_name(&"r".repeat(500), u32::MAX, i64::MAX).len() < 256);
    }

    #[test]
    fn without_systemd_there_is_one_way() {
        let worker = Cmd::new("/usr/sbin/pgtwin");
        let ways = ways(&worker, "u.scope");
        let systemd = Path::new(SYSTEMD).is_dir() && find_program(SCOPES).is_some();
        assert_eq!(ways.len(), if systemd { 2 } else { 1 });
        assert_eq!(ways.last(), Some(&worker));
    }

    #[test]
    fn this_process_is_alive_and_one_of_another_boot_or_start_is_not() {
        let me = myself().unwrap();
        assert!(matches!(liveness(&me), Liveness::Alive(_)));
        assert!(matches!(
            end(&me, &[0], Duration::ZERO, &Deadline::after(Duration::ZERO)),
            Err(EndError::Ourselves)
        ));
        let other_boot = WorkerId { boot: "0-0".into(), ..me.clone() };
        assert!(matches!(liveness(&other_boot), Liveness::Gone));
        assert!(offspring(&other_boot, &[0]).is_none());
        for start_ticks in [me.start_ticks - 1, me.start_ticks + 1] {
            assert!(matches!(liveness(&WorkerId { start_ticks, ..me.clone() }), Liveness::Gone));
        }
        assert_eq!(own_program().unwrap(), std::env::current_exe().unwrap());
    }
}
