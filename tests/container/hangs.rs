//! An engine that hangs or is down has said nothing: what runs is seen and stopped without it, and nothing is
//! started.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use pgtwin::decide::facts::{Process, Sql};
use pgtwin::ocf::params::ContainerRuntime;
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::{Cmd, Exec, ExecError, Output, System};

use crate::box_of::{Box, is_gone, soon, with_each_engine};

/// podman's database of containers, which it locks for as long as it uses it, and without which it does nothing.
const LOCK: &str = "/var/lib/containers/storage/libpod/bolt_state.db";

/// The real programs, which look for their engine somewhere else: a daemon that everybody uses is not stopped
/// for a test.
struct Elsewhere(Option<(&'static str, String)>);

impl Exec for Elsewhere {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        match &self.0 {
            Some((name, value)) => System.run(&cmd.clone().env(*name, value)),
            None => System.run(cmd),
        }
    }
}

/// What keeps an engine from answering, as long as it is held.
enum Held {
    Lock(#[allow(dead_code)] Flock<File>),
    Socket(#[allow(dead_code)] UnixListener, PathBuf),
}

/// docker connects to a socket that nobody listens at; podman waits for a lock.
fn hold(on: &Box, dir: &Path) -> Option<Held> {
    match on.runtime {
        ContainerRuntime::Podman => {
            if !fs::exists(LOCK).unwrap() {
                eprintln!("not made: this podman keeps its containers elsewhere than in {LOCK}");
                return None;
            }
            let lock = File::options().read(true).write(true).open(LOCK).unwrap();
            let Ok(held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
                panic!("somebody else holds {LOCK}");
            };
            Some(Held::Lock(held))
        }
        ContainerRuntime::Docker | ContainerRuntime::Auto => {
            let path = dir.join("engine.sock");
            Some(Held::Socket(UnixListener::bind(&path).unwrap(), path))
        }
    }
}

/// Without the engine, what runs is seen and stopped; and nothing is started, for this reason.
fn only_starts_fail(on: &Box, exec: &dyn Exec, words: &str) {
    let by = || on.by(exec, &on.params);
    let instance = by().look(&Deadline::after(Duration::from_secs(10)));
    assert!(matches!(instance.process, Process::Running { stopped: false, .. }));
    assert!(matches!(instance.sql, Sql::Primary(_)), "{:?}", instance.sql);
    let pg = by();
    pg.stop(&soon()).unwrap();
    assert!(is_gone(&pg));
    // What is left of the container stays, for nobody knows of it.
    pg.runtime().clean_up(Duration::from_secs(20));
    let why = by().start(&Deadline::after(Duration::from_secs(30))).unwrap_err();
    assert!(why.contains(words), "{why}");
    assert!(is_gone(&pg));
}

#[test]
fn an_engine_that_hangs_keeps_no_monitor_and_no_stop_from_the_truth() {
    with_each_engine(|on| {
        on.started();
        let dir = tempfile::tempdir().unwrap();
        let Some(held) = hold(on, dir.path()) else { return };
        let exec = match &held {
            Held::Lock(_) => Elsewhere(None),
            Held::Socket(_, path) => {
                Elsewhere(Some(("DOCKER_HOST", format!("unix://{}", path.display()))))
            }
        };
        only_starts_fail(on, &exec, "did not answer within 5s");
        drop(held);
        on.instance().start(&soon()).unwrap();
    });
}

#[test]
fn so_does_an_engine_that_is_down() {
    with_each_engine(|on| {
        on.started();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nothing.sock");
        let (exec, words) = match on.runtime {
            // A storage that it cannot use: it has no daemon that could be down.
            ContainerRuntime::Podman => {
                fs::write(dir.path().join("storage.conf"), "no such line").unwrap();
                let path = dir.path().join("storage.conf").display().to_string();
                (Elsewhere(Some(("CONTAINERS_STORAGE_CONF", path))), "podman gave no answer")
            }
            ContainerRuntime::Docker | ContainerRuntime::Auto => {
                let path = format!("unix://{}", path.display());
                (Elsewhere(Some(("DOCKER_HOST", path))), "docker gave no answer")
            }
        };
        only_starts_fail(on, &exec, words);
        on.instance().start(&soon()).unwrap();
    });
}
