//! Nobody else is taken for the worker, or for what it has started.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pgtwin::cluster::recovery::WorkerId;
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::detach;
use pgtwin::sys::exec::{Cmd, System};

use crate::account::is_root;
use crate::rig::{GRACE, LONG, Rig, TWO, is_alive, lives, send};

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
        .args(["--exact", "proof::helper_that_is_alone_with_its_numbers", "--ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{out:?}");
}
