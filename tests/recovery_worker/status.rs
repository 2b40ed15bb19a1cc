//! What `pgtwin status` finds of a node's recoveries, on real files and with a real worker.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use pgtwin::agent::survey::own_recovery;
use pgtwin::client::recovery_log::RecoveryLogs;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::recovery::{Attempts, Kept, Phase, Progress};
use pgtwin::decide::report::{OldCopy, Recovery};
use pgtwin::runtime::Place;
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::privilege::User;

use crate::account::test_user;
use crate::rig::{LONG, Rig, TWO, marker_of};

const NOW: i64 = 1_700_000_000;

fn place(pgdata: &Path) -> Place {
    Place {
        pgdata: pgdata.into(),
        // To look as another user is a matter of the whole process, and other tests run beside this one.
        user: User::named("root").unwrap(),
        port: 5432,
        socket_dir: None,
        config_file: None,
        start_opts: Vec::new(),
        bindir: None,
        start_log: "/x".into(),
    }
}

fn seen(rig: &Rig, pgdata: &Path) -> Recovery {
    let logs = RecoveryLogs::new(rig.file("log").to_str().unwrap(), "pg");
    own_recovery(&rig.home(), &logs, Some(&place(pgdata)), NOW, &Deadline::after(LONG))
}

#[test]
fn on_a_node_that_was_never_recovered_nothing_is_found_and_nothing_made() {
    let rig = Rig::new();
    let found = seen(&rig, &rig.told.path().join("data"));
    assert_eq!(found.marker, Kept::Missing);
    assert_eq!(found.at_work, Known::Known(false));
    assert_eq!(
        (found.attempts, found.last, found.log),
        (Kept::Missing, Kept::Missing, Kept::Missing)
    );
    assert_eq!((found.progress, found.waits), (Kept::Missing, Kept::Missing));
    assert_eq!(found.copies, Known::Known(Vec::new()));
    assert_eq!(fs::read_dir(rig.root.path()).unwrap().count(), 0);
}

#[test]
fn a_worker_that_lives_is_seen_at_work_and_one_that_was_ended_is_not() {
    let rig = Rig::new();
    let (worker, ..) = rig.worker(TWO);
    let found = seen(&rig, rig.told.path());
    assert_eq!(found.at_work, Known::Known(true));
    rig.end();
    let home = rig.home();
    let right = home.take(LONG, &[0]).unwrap();
    right.write_marker(&marker_of(&worker)).unwrap();
    right.write_attempts(&Attempts::default().failed_again(NOW, "killed", "less log")).unwrap();
    right.show_progress(&Progress::of(Phase::Copying, 1, Some(2), NOW));
    drop(right);
    home.say_waits("no line for n1");
    let logs = RecoveryLogs::new(rig.file("log").to_str().unwrap(), "pg");
    let log = logs.begin(1, NOW).unwrap();
    let found = seen(&rig, rig.told.path());
    assert_eq!(found.at_work, Known::Known(false));
    assert!(matches!(found.marker, Kept::Read(marker) if marker.worker == worker));
    assert!(matches!(found.attempts, Kept::Read(attempts) if attempts.reason == "killed"));
    assert_eq!(found.waits, Kept::Read("no line for n1".into()));
    assert_eq!(found.progress, Kept::Missing, "it is of somebody at work");
    assert_eq!(found.log, Kept::Read(log.path().display().to_string()));
    assert_eq!(found.again, format!("rm {}", rig.file("state/pg/attempts").display()));
}

#[test]
fn files_that_cannot_be_understood_are_not_taken_for_missing() {
    let rig = Rig::new();
    let home = rig.home();
    drop(home.take(LONG, &[0]).unwrap());
    fs::create_dir_all(rig.file("state/pg")).unwrap();
    fs::create_dir_all(rig.file("log/pg")).unwrap();
    for name in [
        "state/pg/recovery",
        "state/pg/attempts",
        "run/pg/recovery.json",
        "log/pg/recovery-20231114-221320-attempt-1.json",
    ] {
        fs::write(rig.file(name), "rubbish\n").unwrap();
    }
    // What is not root's is nobody's word.
    fs::write(rig.file("run/pg/recovery.waits"), "all is well\n").unwrap();
    chown(rig.file("run/pg/recovery.waits"), Some(test_user().uid), None).unwrap();
    let found = seen(&rig, rig.told.path());
    assert!(matches!(found.marker, Kept::Unreadable(_)), "{:?}", found.marker);
    assert!(matches!(found.attempts, Kept::Unreadable(_)), "{:?}", found.attempts);
    assert!(matches!(found.progress, Kept::Unreadable(_)), "{:?}", found.progress);
    assert!(matches!(found.last, Kept::Unreadable(_)), "{:?}", found.last);
    assert!(matches!(found.waits, Kept::Unreadable(_)), "{:?}", found.waits);
}

#[test]
fn old_copies_are_found_beside_the_data_with_all_that_belongs_to_them() {
    let rig = Rig::new();
    let dir = rig.told.path();
    let own = |name: &str| {
        let path = dir.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let fill = |path: &Path| fs::write(path.join("file"), vec![1; 1 << 20]).unwrap();
    let (old, new) = ("20261126-031500", "20261126-041500");
    for name in ["real", "real.backup.x", "real2.backup.20261126-031500"] {
        own(name);
    }
    let first = own(&format!("real.backup.{old}"));
    let second = own(&format!("real.backup.{new}"));
    let wal = own(&format!("wal.backup.{new}"));
    let foreign = own("somebodys");
    fs::create_dir(second.join("pg_tblspc")).unwrap();
    for path in [&first, &second, &wal, &foreign] {
        fill(path);
    }
    symlink(&wal, second.join("pg_wal")).unwrap();
    symlink(&foreign, second.join("pg_tblspc/1")).unwrap();
    symlink(&foreign, second.join("elsewhere")).unwrap();
    // PGDATA itself may be a link.
    symlink(dir.join("real"), dir.join("data")).unwrap();
    let Known::Known(copies) = seen(&rig, &dir.join("data")).copies else {
        panic!("not looked at")
    };
    let size = |copy: &OldCopy| match &copy.bytes {
        Known::Known(bytes) => bytes >> 20,
        Known::Unknown(why) => panic!("{why}"),
    };
    let text = |path: &Path| path.display().to_string();
    let dirs: Vec<_> = copies.iter().map(|copy| copy.dirs.clone()).collect();
    assert_eq!(dirs, [vec![text(&first)], vec![text(&second), text(&wal)]]);
    assert_eq!(copies.iter().map(size).collect::<Vec<_>>(), [1, 2]);
    let no_time = Deadline::after(std::time::Duration::ZERO);
    let logs = RecoveryLogs::new(rig.file("log").to_str().unwrap(), "pg");
    let hasty = own_recovery(&rig.home(), &logs, Some(&place(&dir.join("data"))), NOW, &no_time);
    let Known::Known(copies) = hasty.copies else { panic!("they are named all the same") };
    assert!(copies.iter().all(|copy| matches!(copy.bytes, Known::Unknown(_))), "{copies:?}");
}
