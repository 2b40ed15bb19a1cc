//! A worker begins, alone, and outlives whoever started it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pgtwin::client::recovery_file::RecoveryFileError;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::recovery::{Kept, WorkerId};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::detach::{self, Liveness};
use pgtwin::sys::exec::Cmd;

use crate::account::is_root;
use crate::rig::{GRACE, LONG, Rig, TWO, eventually, is_alive, lives, started_with, text_in};

#[test]
fn a_worker_outlives_its_starter_and_the_kill_of_the_starters_process_group() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let cmd = rig.helper("rig::helper_that_starts_a_worker", TWO, "");
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
    assert!(matches!(rig.home().take(GRACE, &[0]), Err(RecoveryFileError::AtWork { .. })));
    let order = rig.home().give_order().unwrap();
    let second = rig.launch(&rig.helper("rig::helper_that_is_a_worker", TWO, &order));
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
    rig.launch(&rig.helper("rig::helper_that_is_a_worker", TWO, &order));
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
    let worker = rig.helper("rig::helper_that_is_a_worker", TWO, &order);
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
        let worker = rig.helper("rig::helper_that_is_a_worker", TWO, &order);
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
