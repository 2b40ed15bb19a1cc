//! An engine that hangs has said nothing: what runs is seen and stopped without it, and nothing is started.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use pgtwin::decide::facts::{Process, Sql};
use pgtwin::ocf::params::ContainerRuntime;
use pgtwin::sys::deadline::Deadline;

use crate::box_of::{is_gone, soon, with_each_engine};

/// podman's database of containers, which it locks for as long as it uses it, and without which it does nothing.
const LOCK: &str = "/var/lib/containers/storage/libpod/bolt_state.db";

#[test]
fn an_engine_that_hangs_keeps_no_monitor_and_no_stop_from_the_truth() {
    with_each_engine(|on| {
        // docker's daemon is everybody's: it is not stopped for a test.
        if on.runtime != ContainerRuntime::Podman || !fs::exists(LOCK).unwrap() {
            return;
        }
        let pg = on.started();
        let lock = File::options().read(true).write(true).open(LOCK).unwrap();
        let Ok(held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
            panic!("somebody else holds {LOCK}");
        };
        let fresh = on.instance();
        let instance = fresh.look(&Deadline::after(Duration::from_secs(10)));
        assert!(matches!(instance.process, Process::Running { stopped: false, .. }));
        assert!(matches!(instance.sql, Sql::Primary(_)), "{:?}", instance.sql);
        pg.stop(&soon()).unwrap();
        assert!(is_gone(&fresh));
        let begin = Instant::now();
        let why = on.instance().start(&Deadline::after(Duration::from_secs(30))).unwrap_err();
        assert!(why.contains("podman did not answer"), "{why}");
        assert!(begin.elapsed() < Duration::from_secs(30), "it ended by its own bound");
        assert!(is_gone(&fresh));
        drop(held);
        on.instance().start(&soon()).unwrap();
    });
}
