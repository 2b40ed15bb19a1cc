//! A node whose data is recovered by processes of this test program.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pgtwin::client::recovery_file::RecoveryHome;
use pgtwin::cluster::recovery::{Marker, Method, Phase, WorkerId};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::detach::{self, Liveness, Tagged};
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::process::{Process, process};
use tempfile::TempDir;

use crate::account::{NAME, home_of, test_user};

pub const LONG: Duration = Duration::from_mins(1);
pub const GRACE: Duration = Duration::from_millis(300);
/// What a worker's command does: it has a child of its own, as pg_basebackup has.
pub const TWO: &str = "sleep 300 & echo $! > grandchild; echo $$ > child; wait";
/// The same, deaf to SIGTERM.
pub const DEAF: &str = "trap '' TERM; sleep 300 & echo $! > grandchild; echo $$ > child; wait";

/// A node's files, and a directory in which a worker's commands tell who they are.
pub struct Rig {
    pub root: TempDir,
    pub told: TempDir,
    pub uids: [u32; 2],
}

impl Rig {
    pub fn new() -> Self {
        let user = test_user();
        Self { root: tempfile::tempdir().unwrap(), told: home_of(&user), uids: [0, user.uid] }
    }

    pub fn home(&self) -> RecoveryHome {
        home_in(self.root.path())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// This test's program as one of its helpers.
    pub fn helper(&self, name: &str, script: &str, order: &str) -> Cmd {
        Cmd::new(std::env::current_exe().unwrap().to_str().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env("PGTWIN_TEST_ROOT", self.root.path().to_str().unwrap())
            .env("PGTWIN_TEST_TOLD", self.told.path().to_str().unwrap())
            .env("PGTWIN_TEST_SCRIPT", script)
            .env("PGTWIN_TEST_ORDER", order)
    }

    pub fn launch(&self, cmd: &Cmd) -> WorkerId {
        let ways = [cmd.clone()];
        let log = self.file("worker.out");
        detach::launch(&ways, Path::new(&cmd.program), &log, &Deadline::after(LONG)).unwrap()
    }

    /// A worker that runs this script, and the numbers of its child and grandchild.
    pub fn worker(&self, script: &str) -> (WorkerId, i32, i32) {
        let order = self.home().give_order().unwrap();
        let id = self.launch(&self.helper("rig::helper_that_is_a_worker", script, &order));
        let (child, grandchild) = self.family();
        (id, child, grandchild)
    }

    pub fn family(&self) -> (i32, i32) {
        (
            number_in(&self.told.path().join("child")),
            number_in(&self.told.path().join("grandchild")),
        )
    }

    pub fn end(&self) {
        let _ended = self.home().end_worker(&self.uids, GRACE, &Deadline::after(LONG)).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.home().end_worker(&self.uids, Duration::ZERO, &Deadline::after(LONG));
    }
}

/// What a worker of these tests writes before it begins.
pub fn marker_of(worker: &WorkerId) -> Marker {
    Marker {
        attempt: 1,
        method: Method::Rebuild,
        phase: Phase::Copying,
        source: "n2".parse().unwrap(),
        system_id: 7,
        begun: 1_700_000_000,
        worker: worker.clone(),
        half_done: true,
        ruin: false,
        asked: false,
        old_copy: None,
        reason: "a test".into(),
    }
}

pub fn home_in(root: &Path) -> RecoveryHome {
    let at = |name: &str| root.join(name).display().to_string();
    RecoveryHome::new(&at("state"), &at("run"), "pg", &"n1".parse().unwrap())
}

pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < LONG, "still not so: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What somebody has written there, once the line is whole.
pub fn text_in(path: &Path) -> String {
    eventually(&format!("a line in {}", path.display()), || {
        fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
    })
}

pub fn number_in(path: &Path) -> i32 {
    text_in(path).trim().parse().unwrap()
}

pub fn lives(pid: i32) -> bool {
    match process(pid) {
        Process::Present(facts) => !facts.is_dead(),
        Process::Gone => false,
        Process::Unknown(why) => panic!("{why}"),
    }
}

/// The processes that were started with this variable.
pub fn started_with(variable: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|one| one == variable.as_bytes())
    };
    pids.filter(has).collect()
}

pub fn is_alive(worker: &WorkerId) -> bool {
    match detach::liveness(worker) {
        Liveness::Alive(_) => true,
        Liveness::Gone => false,
        Liveness::Unknown(why) => panic!("{why}"),
    }
}

pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}

#[test]
#[ignore = "a process of the tests"]
fn helper_that_is_a_worker() {
    let root = PathBuf::from(env("PGTWIN_TEST_ROOT"));
    let home = home_in(&root);
    let at_work = match home.begin(&env("PGTWIN_TEST_ORDER")) {
        Ok(at_work) => at_work,
        Err(error) => {
            fs::write(root.join("refused"), format!("{error}\n")).unwrap();
            return;
        }
    };
    at_work.write_marker(&marker_of(at_work.me())).unwrap();
    let told = env("PGTWIN_TEST_TOLD");
    let script = Cmd::new("sh")
        .args(["-c", &env("PGTWIN_TEST_SCRIPT")])
        .user(NAME)
        .cwd(told)
        .limit(LONG * 5);
    if root.join("untagged").exists() {
        System.run(&script).unwrap();
    } else {
        Tagged::new(&System, at_work.me()).run(&script).unwrap();
    }
}

#[test]
#[ignore = "a process of the tests"]
fn helper_that_starts_a_worker() {
    let root = PathBuf::from(env("PGTWIN_TEST_ROOT"));
    let order = home_in(&root).give_order().unwrap();
    let names = ["ROOT", "TOLD", "SCRIPT"].map(|name| format!("PGTWIN_TEST_{name}"));
    let program = detach::own_program().unwrap();
    let worker = Cmd::new(program.to_str().unwrap())
        .args(["--exact", "rig::helper_that_is_a_worker", "--ignored", "--nocapture"])
        .env("PGTWIN_TEST_ORDER", order);
    let worker = names.iter().fold(worker, |cmd, name| cmd.env(name, env(name)));
    let ways = detach::ways(&worker, &detach::unit_name("pg", 1, 1));
    let log = root.join("worker.out");
    let id = detach::launch(&ways, &program, &log, &Deadline::after(LONG)).unwrap();
    fs::write(root.join("started"), format!("{id}\n")).unwrap();
    // Until Pacemaker has had enough of it.
    thread::sleep(LONG * 5);
}
