//! The identity of processes, shown on a real PostgreSQL server of an ordinary user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod account;
mod program;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use account::{NAME, home_of, is_root, test_user};
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::privilege::User;
use pgtwin::sys::process::{
    Expectation, Found, Identity, Process, Proven, Signal, find_all, process, prove, working_in,
};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);

/// A running server in a temporary directory.
struct Server {
    user: User,
    home: TempDir,
}

impl Server {
    fn start() -> Self {
        let user = test_user();
        let server = Self { home: home_of(&user), user };
        let data = server.data();
        let data = data.to_str().unwrap();
        let sockets = server.home.path().to_str().unwrap();
        Self::pg(&["initdb", "-D", data, "-A", "trust", "--no-sync", "-U", "postgres"]);
        let options = format!("-c listen_addresses='' -c unix_socket_directories={sockets}");
        let log = format!("{sockets}/log");
        Self::pg(&["pg_ctl", "start", "-w", "-D", data, "-l", &log, "-o", &options]);
        server
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn pg(words: &[&str]) {
        let bin = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL from Debian is installed")
            .map(|entry| entry.unwrap().path().join("bin").join(words[0]))
            .find(|path| path.exists())
            .expect("PostgreSQL's programs are installed");
        let cmd = Cmd::new(bin.to_str().unwrap()).args(words[1..].iter().copied()).user(NAME);
        let out = System.run(&cmd.limit(Duration::from_mins(2))).unwrap();
        assert!(out.ok(), "{words:?}: {out:?}");
    }

    /// Lines 1 and 3 of postmaster.pid.
    fn pid_and_start(&self) -> (i32, i64) {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        (lines[0].parse().unwrap(), lines[2].parse().unwrap())
    }

    fn expectation(&self) -> Expectation {
        Expectation {
            uid: self.user.uid,
            exe_name: "postgres".into(),
            cwd: self.data(),
            started: None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for proven in find_all(&self.expectation()).proven {
            let _ = proven.signal(Signal::Kill);
        }
    }
}

fn proven(identity: Identity) -> Proven {
    match identity {
        Identity::Proven(proven) => proven,
        other => panic!("{other:?}"),
    }
}

fn other(identity: Identity) -> String {
    match identity {
        Identity::Other(why) => why,
        other => panic!("{other:?}"),
    }
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

fn stop(pid: i32) {
    assert!(Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap().success());
    eventually("stopped", || match process(pid) {
        Process::Present(facts) => (facts.state == 'T').then_some(()),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_postmaster_is_proven_by_user_program_directory_and_start() {
    if !is_root() {
        return;
    }
    let server = Server::start();
    let (pid, started) = server.pid_and_start();
    let expected = Expectation { started: Some(started), ..server.expectation() };
    let postmaster = proven(prove(pid, &expected));
    assert_eq!(postmaster.facts().pid, pid);
    assert_eq!(postmaster.facts().uid, server.user.uid);

    // Through another name of the same directory it is the same server.
    let link = server.home.path().join("link");
    symlink(server.data(), &link).unwrap();
    proven(prove(pid, &Expectation { cwd: link, ..expected.clone() }));

    // A directory that leads nowhere is nobody's: that is no doubt about whose this server is.
    let circle = server.home.path().join("circle");
    symlink(&circle, &circle).unwrap();
    let below_a_file = server.data().join("PG_VERSION").join("data");
    for (wrong, word) in [
        (Expectation { cwd: circle, ..expected.clone() }, "works in"),
        (Expectation { cwd: below_a_file, ..expected.clone() }, "works in"),
        (Expectation { uid: 0, ..expected.clone() }, "uid"),
        (Expectation { exe_name: "postmaster".into(), ..expected.clone() }, "runs"),
        (Expectation { cwd: server.home.path().into(), ..expected.clone() }, "works in"),
        (Expectation { cwd: server.home.path().join("no"), ..expected.clone() }, "works in"),
        (Expectation { started: Some(started - 60), ..expected.clone() }, "started"),
        (Expectation { started: Some(started + 60), ..expected.clone() }, "started"),
        (Expectation { started: Some(i64::MIN), ..expected.clone() }, "started"),
    ] {
        let why = other(prove(pid, &wrong));
        assert!(why.contains(word) && why.contains(&pid.to_string()), "{wrong:?}: {why}");
    }
    // A server's pid file that names somebody else's process gets nobody killed.
    let us = i32::try_from(std::process::id()).unwrap();
    other(prove(us, &expected));
}

#[test]
fn all_processes_of_an_instance_are_found_and_its_neighbours_are_not() {
    if !is_root() {
        return;
    }
    let (server, neighbour) = (Server::start(), Server::start());
    // The same user in the same directory, but not PostgreSQL.
    let mut sleeper = Cmd::new("sleep").arg("300").user(NAME);
    sleeper.cwd = server.data().to_str().unwrap().into();
    let log = server.home.path().join("sleeper");
    let sleeper = i32::try_from(System.spawn_detached(&sleeper, &log).unwrap()).unwrap();

    let found = find_all(&server.expectation());
    assert_eq!(found.unknown, Vec::<String>::new());
    let pids: Vec<i32> = found.proven.iter().map(|one| one.facts().pid).collect();
    let (postmaster, _) = server.pid_and_start();
    assert!(pids.contains(&postmaster) && pids.len() >= 4, "{pids:?}");
    assert!(!pids.contains(&sleeper) && !pids.contains(&neighbour.pid_and_start().0));
    let heads: Vec<i32> = found.heads().map(|one| one.facts().pid).collect();
    assert_eq!(heads, [postmaster]);
    // Without knowing whose they are.
    let seen = working_in(&server.data(), "postgres").unwrap();
    assert!(seen.contains(&postmaster) && !seen.contains(&sleeper), "{seen:?}");
    assert!(!seen.contains(&neighbour.pid_and_start().0));
    assert_eq!(working_in(server.home.path(), "postgres"), Ok(vec![]));
    assert!(Command::new("kill").arg(sleeper.to_string()).status().unwrap().success());
}

#[test]
fn a_fast_shutdown_is_waited_for_by_its_process_not_by_its_number() {
    if !is_root() {
        return;
    }
    let server = Server::start();
    let postmaster = proven(prove(server.pid_and_start().0, &server.expectation()));
    assert!(!postmaster.ended_within(Duration::ZERO).unwrap());
    assert!(!postmaster.ended_within(Duration::from_millis(30)).unwrap());
    assert!(postmaster.signal(Signal::Fast).unwrap());
    assert!(postmaster.ended_within(LONG).unwrap());
    assert!(!postmaster.signal(Signal::Kill).unwrap(), "there is nothing left to signal");
    eventually("all gone", || find_all(&server.expectation()).is_none().then_some(()));
    assert!(matches!(prove(postmaster.facts().pid, &server.expectation()), Identity::Gone));
}

#[test]
fn an_orphan_of_a_killed_postmaster_is_found_and_killed() {
    if !is_root() {
        return;
    }
    let server = Server::start();
    let found = find_all(&server.expectation());
    let (postmaster, _) = server.pid_and_start();
    let child = found.proven.iter().find(|one| one.facts().ppid == postmaster).unwrap();
    let child = child.facts().pid;
    stop(child);
    let heads: Vec<&Proven> = found.heads().collect();
    assert!(heads[0].signal(Signal::Kill).unwrap());
    let orphans: Found = eventually("only the orphan is left", || {
        let found = find_all(&server.expectation());
        (found.proven.len() == 1).then_some(found)
    });
    let orphan = orphans.heads().next().unwrap();
    assert_eq!(orphan.facts().pid, child);
    assert!(orphan.signal(Signal::Kill).unwrap());
    assert!(orphan.ended_within(LONG).unwrap());
}

#[test]
fn a_hung_server_whose_directory_was_removed_is_still_proven() {
    if !is_root() {
        return;
    }
    let server = Server::start();
    let (pid, _) = server.pid_and_start();
    stop(pid);
    fs::remove_dir_all(server.data()).unwrap();
    let postmaster = proven(prove(pid, &server.expectation()));
    // Somebody makes a new directory of that name: it is not the one that the server works in.
    fs::create_dir(server.data()).unwrap();
    assert!(other(prove(pid, &server.expectation())).contains("(deleted)"));
    assert!(postmaster.signal(Signal::Kill).unwrap());
    assert!(postmaster.ended_within(LONG).unwrap());
}

#[test]
fn a_program_that_was_replaced_by_an_upgrade_is_still_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("postgres");
    program::place("/bin/sleep", &program);
    let mut child = Command::new(&program).arg("300").current_dir(dir.path()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    fs::remove_file(&program).unwrap();
    let expected = Expectation {
        uid: nix::unistd::getuid().as_raw(),
        exe_name: "postgres".into(),
        cwd: dir.path().into(),
        started: None,
    };
    let seen = proven(prove(pid, &expected));
    assert_eq!(seen.facts().exe.as_deref(), Some(Path::new(&program)));
    // Dead but not reaped: its number is taken, but nothing runs.
    child.kill().unwrap();
    assert!(seen.ended_within(LONG).unwrap());
    assert!(matches!(process(pid), Process::Present(facts) if facts.is_dead()));
    assert!(matches!(prove(pid, &expected), Identity::Gone));
    child.wait().unwrap();
    assert_eq!(process(pid), Process::Gone);
}

#[test]
fn a_thread_is_not_a_process() {
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ = ended.recv();
        });
        let tid = told.recv().unwrap();
        let expected = Expectation {
            uid: nix::unistd::getuid().as_raw(),
            exe_name: "postgres".into(),
            cwd: "/".into(),
            started: None,
        };
        assert!(other(prove(tid, &expected)).contains("thread"));
        drop(end);
    });
}

#[test]
fn somebody_elses_process_with_a_strange_name_hides_nothing() {
    use std::os::unix::ffi::OsStrExt;
    // The kernel cuts a name after 15 bytes, in the middle of a character if need be.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(std::ffi::OsStr::from_bytes(b"sleep\xff\xc3"));
    program::place("/bin/sleep", &program);
    let mut sleeper = Command::new(&program).arg("300").spawn().unwrap();
    let pid = i32::try_from(sleeper.id()).unwrap();
    let expected = Expectation {
        uid: nix::unistd::geteuid().as_raw(),
        exe_name: "postgres".into(),
        cwd: dir.path().into(),
        started: None,
    };
    let found = find_all(&expected);
    let seen = working_in(dir.path(), "postgres");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(!found.unknown.iter().any(|why| why.contains(&pid.to_string())), "{:?}", found.unknown);
    assert_eq!(seen, Ok(vec![]));
}
