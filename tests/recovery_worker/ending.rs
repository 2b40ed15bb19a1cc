//! A worker is ended with everything it has started.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::recovery::WorkerId;
use pgtwin::sys::detach;
use pgtwin::sys::exec::{Cmd, Exec, System};
use pgtwin::sys::process::{Expectation, Signal as ServerSignal, find_all};

use crate::account::{NAME, is_root};
use crate::rig::{DEAF, LONG, Rig, TWO, eventually, is_alive, lives, send};

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
    for lost in ["nothing", "run", "state"] {
        let rig = Rig::new();
        let (id, child, grandchild) = rig.worker(TWO);
        send(id.pid, Signal::SIGKILL);
        eventually("worker and child are gone", || (!is_alive(&id) && !lives(child)).then_some(()));
        assert_eq!(rig.home().at_work(), Known::Known(None));
        assert!(lives(grandchild), "only what it waited for goes with it");
        let left = eventually("it is known whose each is", || {
            Some(detach::offspring(&id, &rig.uids)).filter(|left| left.unknown.is_empty())
        });
        let pids: Vec<i32> = left.proven.iter().map(|one| one.facts().pid).collect();
        assert_eq!(pids, [grandchild]);
        // The same, asked for somebody else's processes, or for those of an earlier boot.
        assert!(detach::offspring(&id, &[0]).is_none());
        let other_boot = WorkerId { boot: "0-0".into(), ..id.clone() };
        assert!(detach::offspring(&other_boot, &rig.uids).is_none());
        // Either of the two places where it has said who it is will do.
        if lost != "nothing" {
            fs::remove_dir_all(rig.file(lost)).unwrap();
        }
        rig.end();
        assert!(!lives(grandchild), "lost: {lost}");
    }
}

#[test]
fn whoever_comes_next_ends_what_a_killed_worker_has_left() {
    if !is_root() {
        return;
    }
    for next_is_a_worker in [false, true] {
        let rig = Rig::new();
        let (id, child, grandchild) = rig.worker(TWO);
        send(id.pid, Signal::SIGKILL);
        eventually("worker and child are gone", || (!is_alive(&id) && !lives(child)).then_some(()));
        assert!(lives(grandchild));
        let home = rig.home();
        if next_is_a_worker {
            let order = home.give_order().unwrap();
            let at_work = home.begin(&order).unwrap();
            assert!(lives(grandchild), "it does not know yet as whom commands run");
            at_work.end_those_before(&rig.uids).unwrap();
        } else {
            drop(home.take(LONG, &rig.uids).unwrap());
        }
        assert!(!lives(grandchild), "next is a worker: {next_is_a_worker}");
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
fn what_carries_no_tag_is_left_alone() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    fs::write(rig.file("untagged"), "").unwrap();
    let (id, child, grandchild) = rig.worker(TWO);
    rig.end();
    assert!(!is_alive(&id));
    eventually("the kernel has killed its child", || (!lives(child)).then_some(()));
    assert!(lives(grandchild));
    send(grandchild, Signal::SIGKILL);
}

/// A server of the test's user, ended with this.
struct Server {
    bin: PathBuf,
    data: PathBuf,
    uid: u32,
}

impl Server {
    fn start(rig: &Rig) -> Self {
        let bin = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL from Debian is installed")
            .map(|entry| entry.unwrap().path().join("bin"))
            .find(|bin| bin.join("pg_basebackup").exists())
            .expect("PostgreSQL's programs are installed");
        let server = Self { bin, data: rig.told.path().join("data"), uid: rig.uids[1] };
        let data = server.data.to_str().unwrap();
        let sockets = rig.told.path().to_str().unwrap();
        server.run("initdb", &["-D", data, "-A", "trust", "--no-sync", "-U", "postgres"]);
        let options = format!("-c listen_addresses='' -c unix_socket_directories={sockets}");
        let log = format!("{sockets}/log");
        server.run("pg_ctl", &["start", "-w", "-D", data, "-l", &log, "-o", &options]);
        server
    }

    fn run(&self, program: &str, args: &[&str]) {
        let program = self.bin.join(program).display().to_string();
        let cmd = Cmd::new(program).args(args.iter().copied()).user(NAME).limit(LONG * 3);
        let out = System.run(&cmd).unwrap();
        assert!(out.ok(), "{args:?}: {out:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let (uid, cwd) = (self.uid, self.data.clone());
        let ours = Expectation { uid, exe_name: "postgres".into(), cwd, started: None };
        for proven in find_all(&ours).proven {
            let _ = proven.signal(ServerSignal::Kill);
        }
    }
}

#[test]
fn pg_basebackup_goes_with_its_worker_and_so_does_its_process_for_wal() {
    if !is_root() {
        return;
    }
    for killed in [false, true] {
        let rig = Rig::new();
        let server = Server::start(&rig);
        let copy = server.bin.join("pg_basebackup").display().to_string();
        let script = format!(
            "exec {copy} -h \"$PWD\" -U postgres -D new -X stream --checkpoint=fast --max-rate=32"
        );
        let order = rig.home().give_order().unwrap();
        let id = rig.launch(&rig.helper("rig::helper_that_is_a_worker", &script, &order));
        let both = eventually("it copies, and receives WAL", || {
            let found = detach::offspring(&id, &rig.uids);
            let pids: Vec<i32> = found.proven.iter().map(|one| one.facts().pid).collect();
            (pids.len() == 2).then_some(pids)
        });
        if killed {
            send(id.pid, Signal::SIGKILL);
            eventually("it is gone", || (!is_alive(&id)).then_some(()));
        }
        rig.end();
        assert!(!is_alive(&id));
        for pid in both {
            assert!(!lives(pid), "{pid}, killed: {killed}");
        }
        assert!(rig.told.path().join("new").exists(), "it had begun");
    }
}
