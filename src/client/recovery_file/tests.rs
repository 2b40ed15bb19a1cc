#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::cluster::recovery::{Method, Phase};

struct Rig {
    dir: tempfile::TempDir,
    home: RecoveryHome,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = ["state", "run"].map(|name| dir.path().join(name).display().to_string());
        let home = RecoveryHome::new(&roots[0], &roots[1], "pg", &"n1".parse().unwrap());
        Self { dir, home }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state/pg").join(name)
    }

    fn run(&self, name: &str) -> PathBuf {
        self.dir.path().join("run/pg").join(name)
    }
}

fn marker(worker: &WorkerId) -> Marker {
    Marker {
        attempt: 1,
        method: Method::Rewind,
        phase: Phase::Rewinding,
        source: "n2".parse().unwrap(),
        system_id: 7,
        begun: 1_700_000_000,
        worker: worker.clone(),
        half_done: true,
        ruin: false,
        asked: false,
        old_copy: None,
        reason: "diverged".into(),
    }
}

#[test]
fn what_was_never_written_is_missing() {
    let rig = Rig::new();
    assert_eq!(rig.home.marker(), Kept::Missing);
    assert_eq!(rig.home.attempts(), Kept::Missing);
    assert_eq!(rig.home.progress(), Kept::Missing);
    assert_eq!(rig.home.worker(), Kept::Missing);
    rig.home.take_order_back().unwrap();
    let deadline = Deadline::after(Duration::ZERO);
    let _ended = rig.home.end_worker(&[0], Duration::ZERO, &deadline).unwrap();
    assert_eq!(fs::read_dir(rig.dir.path()).unwrap().count(), 0, "looking makes nothing");
}

#[test]
fn what_was_written_reads_back_and_goes_again() {
    let rig = Rig::new();
    let at_work = rig.home.take(Duration::ZERO, &[0]).unwrap();
    let marker = marker(at_work.me());
    let attempts = Attempts::default().failed_again(5, "no route", "ping n2");
    let progress = Progress::of(Phase::Copying, 5, Some(10), 7);
    at_work.write_marker(&marker).unwrap();
    at_work.write_marker(&marker.at(Phase::Starting, false)).unwrap();
    at_work.write_attempts(&attempts).unwrap();
    at_work.show_progress(&progress);
    assert_eq!(rig.home.marker(), Kept::Read(marker.at(Phase::Starting, false)));
    assert_eq!(rig.home.attempts(), Kept::Read(attempts));
    assert_eq!(rig.home.progress(), Kept::Read(progress));
    assert_eq!(rig.home.worker(), Kept::Read(at_work.me().clone()));
    for (path, mode) in [
        (rig.state("recovery"), 0o640),
        (rig.state("attempts"), 0o640),
        (rig.state(""), 0o750),
        (rig.run(""), 0o750),
    ] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{path:?}");
    }
    at_work.remove_marker().unwrap();
    at_work.write_attempts(&Attempts::default()).unwrap();
    drop(at_work);
    assert_eq!(rig.home.marker(), Kept::Missing);
    assert_eq!(rig.home.attempts(), Kept::Missing);
    assert_eq!(rig.home.progress(), Kept::Missing);
    assert_eq!(rig.home.worker(), Kept::Missing);
}

#[test]
fn a_marker_that_would_not_read_back_is_not_written() {
    let rig = Rig::new();
    let at_work = rig.home.take(Duration::ZERO, &[0]).unwrap();
    let good = marker(at_work.me());
    at_work.write_marker(&good).unwrap();
    for bad in [
        Marker { old_copy: Some("relative".into()), ..good.clone() },
        Marker { attempt: 0, ..good.clone() },
        Marker { begun: -1, ..good.clone() },
    ] {
        let refused = at_work.write_marker(&bad);
        assert!(matches!(refused, Err(RecoveryFileError::Format(_))), "{bad:?}");
    }
    assert_eq!(rig.home.marker(), Kept::Read(good));
}

#[test]
fn a_marker_that_cannot_be_read_is_an_answer_of_its_own() {
    let rig = Rig::new();
    let path = rig.state("recovery");
    let text = {
        let at_work = rig.home.take(Duration::ZERO, &[0]).unwrap();
        at_work.write_marker(&marker(at_work.me())).unwrap();
        fs::read_to_string(&path).unwrap()
    };
    let unreadable = |why: &str| match rig.home.marker() {
        Kept::Unreadable(reason) => {
            assert!(reason.contains(path.to_str().unwrap()), "{reason}");
            assert!(!rig.home.marker().data_is_whole(), "{why}");
        }
        other => panic!("{why}: {other:?}"),
    };
    let half = &text[..text.len() / 2];
    for bad in ["", half, "half-done no\n", &text.replace("half-done yes", "half-done no")] {
        fs::write(&path, bad).unwrap();
        unreadable(bad);
    }
    fs::write(&path, b"\xff\xfe").unwrap();
    unreadable("no text");
    fs::write(&path, &text).unwrap();
    assert!(matches!(rig.home.marker(), Kept::Read(_)));
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    unreadable("others may write");
    fs::rename(&path, rig.state("elsewhere")).unwrap();
    symlink(rig.state("elsewhere"), &path).unwrap();
    unreadable("a link");
    fs::remove_file(&path).unwrap();
    symlink(rig.state("nowhere"), &path).unwrap();
    unreadable("a link to nothing");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    unreadable("a directory");
    // Of another resource, or another node.
    let roots = ["state", "run"].map(|name| rig.dir.path().join(name).display().to_string());
    fs::remove_dir(&path).unwrap();
    fs::rename(rig.state("elsewhere"), &path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let other = RecoveryHome::new(&roots[0], &roots[1], "pg", &"n2".parse().unwrap());
    assert!(matches!(other.marker(), Kept::Unreadable(_)));
}

#[test]
fn a_second_worker_does_not_get_the_lock() {
    let rig = Rig::new();
    let order = rig.home.give_order().unwrap();
    let first = rig.home.begin(&order).unwrap();
    assert!(matches!(rig.home.begin(&order), Err(RecoveryFileError::AtWork { .. })));
    let moment = Duration::from_millis(1);
    assert!(matches!(rig.home.take(moment, &[0]), Err(RecoveryFileError::AtWork { .. })));
    assert_eq!(rig.home.worker(), Kept::Read(first.me().clone()), "the first is still known");
    drop(first);
    drop(rig.home.begin(&order).unwrap());
}

#[test]
fn a_worker_without_its_order_does_nothing() {
    let rig = Rig::new();
    let no_order =
        |order: &str| matches!(rig.home.begin(order), Err(RecoveryFileError::NoOrder { .. }));
    assert!(no_order("") && no_order("x"));
    let first = rig.home.give_order().unwrap();
    let second = rig.home.give_order().unwrap();
    assert_ne!(first, second);
    assert!(no_order(&first) && no_order("") && no_order(&format!("{second} ")));
    drop(rig.home.begin(&second).unwrap());
    rig.home.take_order_back().unwrap();
    assert!(no_order(&second));
    let third = rig.home.give_order().unwrap();
    fs::set_permissions(rig.run("recovery.order"), Permissions::from_mode(0o666)).unwrap();
    assert!(no_order(&third));
}

#[test]
fn who_is_at_work_is_somebody_nobody_or_not_known() {
    let rig = Rig::new();
    assert_eq!(rig.home.at_work(), Known::Known(None));
    let at_work = rig.home.take(Duration::ZERO, &[0]).unwrap();
    let me = at_work.me().clone();
    assert_eq!(rig.home.at_work(), Known::Known(Some(me.clone())));
    let gone = WorkerId { start_ticks: me.start_ticks + 1, ..me.clone() };
    let path = rig.run("recovery.worker");
    fs::write(&path, format!("{gone}\n")).unwrap();
    assert_eq!(rig.home.at_work(), Known::Known(None));
    fs::write(&path, "rubbish\n").unwrap();
    assert!(!rig.home.at_work().is_known());
    at_work.write_marker(&marker(&me)).unwrap();
    drop(at_work);
    assert_eq!(rig.home.at_work(), Known::Known(None), "it has given the lock back");
    // Somebody has emptied /run: the marker alone knows.
    fs::remove_dir_all(rig.dir.path().join("run")).unwrap();
    assert_eq!(rig.home.at_work(), Known::Known(Some(me)));
    fs::write(rig.state("recovery"), "rubbish\n").unwrap();
    assert!(!rig.home.at_work().is_known());
}

#[test]
fn a_stop_holds_off_whoever_comes_late() {
    let rig = Rig::new();
    let order = rig.home.give_order().unwrap();
    drop(rig.home.begin(&order).unwrap());
    let deadline = Deadline::after(Duration::from_secs(30));
    let ended = rig.home.end_worker(&[0], Duration::ZERO, &deadline).unwrap();
    assert!(matches!(rig.home.begin(&order), Err(RecoveryFileError::AtWork { .. })));
    drop(ended);
    assert!(matches!(rig.home.begin(&order), Err(RecoveryFileError::NoOrder { .. })));
}

#[test]
fn a_holder_that_has_not_said_who_it_is_is_not_taken_for_gone() {
    let rig = Rig::new();
    let at_work = rig.home.take(Duration::ZERO, &[0]).unwrap();
    fs::remove_file(rig.run("recovery.worker")).unwrap();
    let deadline = Deadline::after(Duration::from_millis(50));
    let refused = rig.home.end_worker(&[0], Duration::ZERO, &deadline).unwrap_err();
    assert!(matches!(refused, RecoveryFileError::Anonymous { .. }), "{refused}");
    fs::write(rig.run("recovery.worker"), "not a worker\n").unwrap();
    let refused = rig.home.end_worker(&[0], Duration::ZERO, &deadline).unwrap_err();
    assert!(refused.to_string().contains("malformed"), "{refused}");
    drop(at_work);
}
