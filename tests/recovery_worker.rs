//! The worker of a recovery, as real processes: it outlives whoever starts it, is known beyond doubt,
//! is ended with everything it has started, and is alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod account;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use account::{NAME, home_of, is_root, test_user};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pgtwin::client::recovery_file::{RecoveryFileError, RecoveryHome};
use pgtwin::cluster::known::Known;
use pgtwin::cluster::recovery::{Kept, Marker, Method, Phase, WorkerId};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::detach::{self, Liveness, Tagged};
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::process::{Process, process};
use tempfile::TempDir;

const LONG: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_millis(300);
/// What a worker's command does: it has a child of its own, as pg_basebackup has.
const TWO: &str = "sleep 300 & echo $! > grandchild; echo $$ > child; wait";
/// The same, deaf to SIGTERM.
const DEAF: &str = "trap '' TERM; sleep 300 & echo $! > grandchild; echo $$ > child; wait";

/// A node's files, and a directory in which a worker's commands tell who they are.
struct Rig {
    root: TempDir,
    told: TempDir,
    uids: [u32; 2],
}

impl Rig {
    fn new() -> Self {
        let user = test_user();
        Self { root: tempfile::tempdir().unwrap(), told: home_of(&user), uids: [0, user.uid] }
    }

    fn home(&self) -> RecoveryHome {
        home_in(self.root.path())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// This test's program as one of its helpers.
    fn helper(&self, name: &str, script: &str, order: &str) -> Cmd {
        Cmd::new(std::env::current_exe().unwrap().to_str().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env("PGTWIN_TEST_ROOT", self.root.path().to_str().unwrap())
            .env("PGTWIN_TEST_TOLD", self.told.path().to_str().unwrap())
            .env("PGTWIN_TEST_SCRIPT", script)
            .env("PGTWIN_TEST_ORDER", order)
    }

    fn launch(&self, cmd: &Cmd) -> WorkerId {
        let ways = [cmd.clone()];
        let log = self.file("worker.out");
        detach::launch(&ways, Path::new(&cmd.program), &log, &Deadline::after(LONG)).unwrap()
    }

    /// A worker that runs this script, and the numbers of its child and grandchild.
    fn worker(&self, script: &str) -> (WorkerId, i32, i32) {
        let order = self.home().give_order().unwrap();
        let id = self.launch(&self.helper("helper_that_is_a_worker", script, &order));
        let (child, grandchild) = self.family();
        (id, child, grandchild)
    }

    fn family(&self) -> (i32, i32) {
        (
            number_in(&self.told.path().join("child")),
            number_in(&self.told.path().join("grandchild")),
        )
    }

    fn end(&self) {
        let _ended = self.home().end_worker(&self.uids, GRACE, &Deadline::after(LONG)).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.home().end_worker(&self.uids, Duration::ZERO, &Deadline::after(LONG));
    }
}

fn home_in(root: &Path) -> RecoveryHome {
    let at = |name: &str| root.join(name).display().to_string();
    RecoveryHome::new(&at("state"), &at("run"), "pg", &"n1".parse().unwrap())
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
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
fn text_in(path: &Path) -> String {
    eventually(&format!("a line in {}", path.display()), || {
        fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
    })
}

fn number_in(path: &Path) -> i32 {
    text_in(path).trim().parse().unwrap()
}

fn lives(pid: i32) -> bool {
    match process(pid) {
        Process::Present(facts) => !facts.is_dead(),
        Process::Gone => false,
        Process::Unknown(why) => panic!("{why}"),
    }
}

/// The processes that were started with this variable.
fn started_with(variable: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|one| one == variable.as_bytes())
    };
    pids.filter(has).collect()
}

fn is_alive(worker: &WorkerId) -> bool {
    match detach::liveness(worker) {
        Liveness::Alive(_) => true,
        Liveness::Gone => false,
        Liveness::Unknown(why) => panic!("{why}"),
    }
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn env(name: &str) -> String {
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
    let marker = Marker {
        attempt: 1,
        method: Method::Rebuild,
        phase: Phase::Copying,
        source: "n2".parse().unwrap(),
        system_id: 7,
        begun: 1_700_000_000,
        worker: at_work.me().clone(),
        half_done: true,
        old_copy: None,
        reason: "a test".into(),
    };
    at_work.write_marker(&marker).unwrap();
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
        .args(["--exact", "helper_that_is_a_worker", "--ignored", "--nocapture"])
        .env("PGTWIN_TEST_ORDER", order);
    let worker = names.iter().fold(worker, |cmd, name| cmd.env(name, env(name)));
    let ways = detach::ways(&worker, &detach::unit_name("pg", 1, 1));
    let log = root.join("worker.out");
    let id = detach::launch(&ways, &program, &log, &Deadline::after(LONG)).unwrap();
    fs::write(root.join("started"), format!("{id}\n")).unwrap();
    // Until Pacemaker has had enough of it.
    thread::sleep(LONG * 5);
}

#[test]
fn a_worker_outlives_its_starter_and_the_kill_of_the_starters_process_group() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let cmd = rig.helper("helper_that_starts_a_worker", TWO, "");
    let mut starter = Command::new(&cmd.program)
        .args(&cmd.args)
        .env_clear()
        .envs(cmd.env.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id: WorkerId = text_in(&rig.file("started")).trim().parse().unwrap();
    let (child, grandchild) = rig.family();
    let group = Pid::from_raw(i32::try_from(starter.id()).unwrap());
    killpg(group, Signal::SIGKILL).unwrap();
    starter.wait().unwrap();

    let Liveness::Alive(worker) = detach::liveness(&id) else { panic!("it went with its starter") };
    assert_eq!(worker.facts().session, id.pid, "it has a session of its own");
    assert_ne!(worker.facts().ppid, group.as_raw());
    assert!(lives(child) && lives(grandchild));
    let Kept::Read(marker) = rig.home().marker() else { panic!("no marker") };
    assert_eq!(marker.worker, id);
    assert_eq!(rig.home().at_work(), Known::Known(Some(id.clone())));

    rig.end();
    assert!(!is_alive(&id) && !lives(child) && !lives(grandchild));
    // What it had begun is still remembered.
    assert_eq!(rig.home().marker(), Kept::Read(marker));
    assert_eq!(rig.home().worker(), Kept::Missing);
}

#[test]
fn a_worker_that_is_deaf_or_stopped_is_ended_with_its_children_all_the_same() {
    if !is_root() {
        return;
    }
    for stopped in [false, true] {
        let rig = Rig::new();
        let (id, child, grandchild) = rig.worker(DEAF);
        if stopped {
            for pid in [id.pid, child, grandchild] {
                send(pid, Signal::SIGSTOP);
            }
        }
        rig.end();
        assert!(!is_alive(&id) && !lives(child) && !lives(grandchild), "stopped: {stopped}");
    }
}

#[test]
fn what_a_killed_worker_leaves_behind_is_found_and_ended() {
    if !is_root() {
        return;
    }
    for run_is_lost in [false, true] {
        let rig = Rig::new();
        let (id, child, grandchild) = rig.worker(TWO);
        send(id.pid, Signal::SIGKILL);
        eventually("worker and child are gone", || (!is_alive(&id) && !lives(child)).then_some(()));
        assert_eq!(rig.home().at_work(), Known::Known(None));
        assert!(lives(grandchild), "only what it waited for goes with it");
        let left = detach::offspring(&id, &rig.uids);
        let pids: Vec<i32> = left.proven.iter().map(|one| one.facts().pid).collect();
        assert_eq!((pids, left.unknown), (vec![grandchild], vec![]));
        // The same, asked for somebody else's processes, or for those of an earlier boot.
        assert!(detach::offspring(&id, &[0]).is_none());
        let other_boot = WorkerId { boot: "0-0".into(), ..id.clone() };
        assert!(detach::offspring(&other_boot, &rig.uids).is_none());
        if run_is_lost {
            fs::remove_dir_all(rig.file("run")).unwrap();
        }
        rig.end();
        assert!(!lives(grandchild), "run is lost: {run_is_lost}");
    }
}

#[test]
fn a_worker_whose_run_directory_was_emptied_is_known_by_its_marker() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let (id, child, grandchild) = rig.worker(TWO);
    fs::remove_dir_all(rig.file("run")).unwrap();
    assert!(is_alive(&id));
    rig.end();
    assert!(!is_alive(&id) && !lives(child) && !lives(grandchild));
}

#[test]
fn a_strangers_process_and_session_are_not_taken_for_the_workers() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    // Somebody else's, with the worker's number and in a session of that number.
    let script = format!("cd {}; {TWO}", rig.told.path().display());
    let stranger = rig.launch(&Cmd::new("/bin/sh").args(["-c", &script]));
    let (_, grandchild) = rig.family();
    for start_ticks in [stranger.start_ticks - 1, 1] {
        let worker = WorkerId { start_ticks, ..stranger.clone() };
        assert!(!is_alive(&worker));
        assert!(detach::offspring(&worker, &rig.uids).is_none());
        detach::end(&worker, &rig.uids, Duration::ZERO, &Deadline::after(LONG)).unwrap();
        assert!(is_alive(&stranger) && lives(grandchild));
    }
    // Nor is one that has the tag and is in another session.
    let worker = WorkerId { start_ticks: 1, ..stranger.clone() };
    let elsewhere = Cmd::new("sleep").arg("300").env(detach::TAG, worker.to_string());
    let log = rig.file("elsewhere.out");
    let elsewhere = i32::try_from(System.spawn_detached(&elsewhere, &log).unwrap()).unwrap();
    detach::end(&worker, &rig.uids, Duration::ZERO, &Deadline::after(LONG)).unwrap();
    let all_live = is_alive(&stranger) && lives(grandchild) && lives(elsewhere);
    for pid in [stranger.pid, grandchild, elsewhere] {
        send(pid, Signal::SIGKILL);
    }
    assert!(all_live);
}

#[test]
#[ignore = "a process of the tests"]
fn helper_that_is_alone_with_its_numbers() {
    let rig = Rig::new();
    let sleeper = Cmd::new("/bin/sleep").arg("300");
    let end = |id: &WorkerId| {
        send(id.pid, Signal::SIGKILL);
        nix::sys::wait::waitpid(Pid::from_raw(id.pid), None).unwrap();
    };
    let first = rig.launch(&sleeper);
    end(&first);
    assert!(!is_alive(&first));
    let second = loop {
        // The kernel gives out the number after the last one.
        fs::write("/proc/sys/kernel/ns_last_pid", (first.pid - 1).to_string()).unwrap();
        let second = rig.launch(&sleeper);
        assert_eq!(second.pid, first.pid);
        if second.start_ticks != first.start_ticks {
            break second;
        }
        end(&second);
    };
    assert!(!is_alive(&first) && is_alive(&second));
    detach::end(&first, &rig.uids, GRACE, &Deadline::after(LONG)).unwrap();
    assert!(is_alive(&second));
    detach::end(&second, &rig.uids, GRACE, &Deadline::after(LONG)).unwrap();
    assert!(!is_alive(&second));
}

#[test]
fn a_number_that_the_kernel_gives_out_again_is_not_taken_for_the_worker() {
    if !is_root() {
        return;
    }
    // Among process numbers of its own, it can be told which one comes next.
    let out = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_is_alone_with_its_numbers", "--ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{out:?}");
}

#[test]
fn what_carries_no_tag_is_left_alone() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    fs::write(rig.file("untagged"), "").unwrap();
    let (id, child, grandchild) = rig.worker(TWO);
    rig.end();
    assert!(!is_alive(&id) && !lives(child));
    assert!(lives(grandchild));
    send(grandchild, Signal::SIGKILL);
}

#[test]
fn an_unreadable_marker_is_an_answer_of_its_own_and_hides_no_worker() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let (id, child, grandchild) = rig.worker(TWO);
    assert!(matches!(rig.home().marker(), Kept::Read(_)));
    let path = rig.file("state/pg/recovery");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let marker = rig.home().marker();
    assert!(matches!(&marker, Kept::Unreadable(why) if why.contains("checksum")), "{marker:?}");
    assert!(!marker.data_is_whole());
    rig.end();
    assert!(!is_alive(&id) && !lives(child) && !lives(grandchild));
    assert_eq!(rig.home().marker(), marker);
}

#[test]
fn a_second_worker_does_not_get_the_lock_and_the_first_goes_on() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let (id, child, grandchild) = rig.worker(TWO);
    assert!(matches!(rig.home().take(GRACE), Err(RecoveryFileError::AtWork { .. })));
    let order = rig.home().give_order().unwrap();
    let second = rig.launch(&rig.helper("helper_that_is_a_worker", TWO, &order));
    assert!(text_in(&rig.file("refused")).contains("at work already"));
    eventually("the second ends", || (!is_alive(&second)).then_some(()));
    assert!(is_alive(&id) && lives(child) && lives(grandchild));
    assert_eq!(rig.home().worker(), Kept::Read(id));
}

#[test]
fn a_worker_that_begins_after_its_order_was_taken_back_does_nothing() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let order = rig.home().give_order().unwrap();
    rig.end();
    rig.launch(&rig.helper("helper_that_is_a_worker", TWO, &order));
    assert!(text_in(&rig.file("refused")).contains("order"));
    assert_eq!(rig.home().marker(), Kept::Missing);
    assert!(!rig.told.path().join("child").exists());
}

#[test]
fn a_worker_is_known_though_another_program_became_it() {
    if !is_root() {
        return;
    }
    // As systemd-run --scope does: it prepares, and becomes the worker.
    let rig = Rig::new();
    let order = rig.home().give_order().unwrap();
    let worker = rig.helper("helper_that_is_a_worker", TWO, &order);
    let mut way = worker.clone();
    way.program = "/bin/sh".into();
    way.args = vec!["-c".into(), "sleep 0.1; exec \"$0\" \"$@\"".into(), worker.program.clone()];
    way.args.extend(worker.args.iter().cloned());
    let program = Path::new(&worker.program);
    let log = rig.file("worker.out");
    let id = detach::launch(&[way], program, &log, &Deadline::after(LONG)).unwrap();
    let Liveness::Alive(seen) = detach::liveness(&id) else { panic!("it is gone") };
    assert_eq!(seen.facts().exe.as_deref(), Some(program));
    let (child, grandchild) = rig.family();
    assert_eq!(rig.home().worker(), Kept::Read(id.clone()));
    rig.end();
    assert!(!is_alive(&id) && !lives(child) && !lives(grandchild));
}

#[test]
fn a_way_to_start_it_that_fails_or_hangs_is_followed_by_the_next() {
    if !is_root() {
        return;
    }
    for (first, hangs) in [
        (Cmd::new("false"), false),
        (Cmd::new("no-such-program-of-anybody"), false),
        (Cmd::new("sleep").arg("300"), true),
    ] {
        let rig = Rig::new();
        // It would become a second worker, if it were left.
        let mark = rig.root.path().to_str().unwrap().to_owned();
        let first = first.env("PGTWIN_TEST_FIRST", &mark);
        let mark = format!("PGTWIN_TEST_FIRST={mark}");
        let order = rig.home().give_order().unwrap();
        let worker = rig.helper("helper_that_is_a_worker", TWO, &order);
        let program = Path::new(&worker.program);
        let log = rig.file("worker.out");
        let deadline = Deadline::after(Duration::from_secs(4));
        let id =
            detach::launch(&[first.clone(), worker.clone()], program, &log, &deadline).unwrap();
        let (child, _) = rig.family();
        assert!(is_alive(&id) && lives(child));
        eventually("the first is gone", || started_with(&mark).is_empty().then_some(()));
        let until = Deadline::after(if hangs { GRACE } else { LONG });
        let only = detach::launch(&[first], program, &log, &until).unwrap_err();
        assert!(only.to_string().contains("was not started"), "{only}");
        eventually("it is gone again", || started_with(&mark).is_empty().then_some(()));
        assert_eq!(hangs, only.to_string().contains("in time"), "{only}");
        rig.end();
        assert!(!is_alive(&id) && !lives(child));
    }
}
