//! A move that is cut off goes on, wherever that was: before each of its changes, in the middle of files,
//! and by kill -9 of the program. There are never two databases that could be started.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pgtwin::cluster::known::Known;
use pgtwin::cluster::migration::{Method, Stage};
use pgtwin::ocf::params::Params;
use pgtwin::runtime::storage::migrate::{Move, Outcome, Step, record};
use pgtwin::sys::exec::System;

use crate::disk::{Disk, make, rows, run};
use crate::place::{Place, on_every_version, sql};

/// Which of the two can be started: the old, the new.
fn startable(params: &Params, data: &Path) -> (bool, bool) {
    let control = |dir: &Path| dir.join("global/pg_control").exists();
    (control(Path::new(&params.pgdata)), control(data))
}

fn move_of<'a>(
    storage: &'a pgtwin::cluster::storage::Storage,
    place: &'a pgtwin::runtime::Place,
) -> Move<'a> {
    Move { storage, place, spec: None, exec: &System }
}

/// Moves it from the record, and ends before the step of this number; all steps there were.
fn moved(
    disk: &Disk,
    params: &Params,
    method: Method,
    system: u64,
    end: usize,
) -> (Outcome, usize) {
    let place = pgtwin::runtime::Place::of(params, disk.at("log")).unwrap();
    let storage = disk.storage();
    let moving = move_of(&storage, &place);
    let mut now = match record(&storage) {
        Known::Known(Some(record)) => record,
        Known::Known(None) => moving.begin(method, system, 1).unwrap(),
        Known::Unknown(why) => panic!("{why}"),
    };
    let mut steps = 0;
    let mut watch = |step: Step| {
        // Every hundredth file is enough of them.
        let counts = match step {
            Step::Change => true,
            Step::Copying(done, _) | Step::Comparing(done, _) => done % 100 == 0,
        };
        steps += usize::from(counts);
        !counts || steps <= end
    };
    let outcome = moving.carry_out(&mut now, &mut watch).unwrap();
    (outcome, steps)
}

fn undone(disk: &Disk, params: &Params) {
    let (code, told) = disk.json(&["migrate", "--undo", "--yes"], params);
    assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
    assert_eq!(startable(params, &disk.data()), (true, false));
    assert!(disk.data().read_dir().unwrap().next().is_none());
    assert_eq!(record(&disk.storage()), Known::Known(None));
}

fn cut_everywhere(place: &Place, disk: &Disk, at: &Path, method: Method) {
    let params = disk.database(place, at, 1000);
    let system = crate::place::control(
        &pgtwin::runtime::instance::Postgres::new(&System, &params, place.path("log")).unwrap(),
    )
    .system_id;
    disk.prepared(&params);
    let (outcome, all) = moved(disk, &params, method, system, usize::MAX);
    assert_eq!(outcome, Outcome::Moved);
    assert_eq!(startable(&params, &disk.data()), (false, true));
    undone(disk, &params);
    let mut seen = Vec::new();
    // A few of the files, and every change, which come first and last.
    let cuts: Vec<usize> =
        (0..all).filter(|cut| *cut < 4 || cut + 8 > all || cut % (all / 12 + 1) == 0).collect();
    eprintln!("{method:?}: {all} steps, cut at {cuts:?}");
    for end in cuts {
        let (outcome, _) = moved(disk, &params, method, system, end);
        assert_eq!(outcome, Outcome::Ended, "{end}");
        let startable = startable(&params, &disk.data());
        assert_ne!(startable, (true, true), "cut at {end}");
        if let Known::Known(Some(record)) = record(&disk.storage()) {
            if record.stage == Stage::Making {
                assert_eq!(startable, (true, false), "cut at {end}");
            }
            seen.push(record.stage);
        }
        if end % 2 == 0 {
            assert_eq!(moved(disk, &params, method, system, usize::MAX).0, Outcome::Moved, "{end}");
            undone(disk, &params);
        } else if record(&disk.storage()) != Known::Known(None) {
            undone(disk, &params);
        }
    }
    assert!(seen.contains(&Stage::Making) && seen.contains(&Stage::Switching), "{seen:?}");
    assert_eq!(moved(disk, &params, method, system, usize::MAX).0, Outcome::Moved);
    assert_eq!(rows(place, &disk.moved(&params)), "1000");
}

#[test]
fn a_copy_that_is_cut_off_anywhere_goes_on_or_is_taken_back() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        cut_everywhere(place, &disk, &place.path("old"), Method::Copy);
    });
}

#[test]
fn so_does_a_snapshot_and_what_shares_its_blocks() {
    on_every_version(|place| {
        for (method, subvolume) in [(Method::Snapshot, true), (Method::Reflink, false)] {
            let disk = Disk::new("btrfs");
            make(place, &disk.at("m/old"), subvolume);
            cut_everywhere(place, &disk, &disk.at("m/old"), method);
        }
    });
}

#[test]
fn a_killed_program_goes_on_where_it_was() {
    on_every_version(|place| {
        for (kind, beside) in [("ext4", true), ("btrfs", false)] {
            let disk = Disk::new(kind);
            let at = if beside { place.path("old") } else { disk.at("m/old") };
            if !beside {
                make(place, &at, false);
            }
            let params = disk.database(place, &at, 200_000);
            disk.prepared(&params);
            let mut killed = 0;
            // Each time a little later, until it has come to its end before.
            let mut wait = Duration::from_millis(10);
            loop {
                wait = wait * 3 / 2;
                let mut child = disk
                    .pgtwin(&["migrate", "--yes", "--json"], &params)
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .unwrap();
                thread::sleep(wait);
                if let Some(status) = child.try_wait().unwrap() {
                    assert!(status.success(), "{status}");
                    break;
                }
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                assert_ne!(startable(&params, &disk.data()), (true, true));
            }
            eprintln!("{kind}: killed {killed} times");
            assert!(killed > 0);
            let (_, told) = disk.json(&["status"], &params);
            assert_eq!(told["migration"]["stage"], "moved", "{told}");
            assert_eq!(startable(&params, &disk.data()), (false, true));
            assert_eq!(rows(place, &disk.moved(&params)), "200000");
        }
    });
}

#[test]
fn data_that_was_used_in_between_is_copied_anew() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        let at: PathBuf = place.path("old");
        let params = disk.database(place, &at, 100);
        disk.prepared(&params);
        let pg =
            pgtwin::runtime::instance::Postgres::new(&System, &params, place.path("log")).unwrap();
        let system = crate::place::control(&pg).system_id;
        // All is copied, and the old is still the data.
        let mut steps = 1;
        let stage = |disk: &Disk| match record(&disk.storage()) {
            Known::Known(Some(record)) => Some(record.stage),
            _ => None,
        };
        while stage(&disk) != Some(Stage::Switching) {
            assert_eq!(moved(&disk, &params, Method::Copy, system, steps).0, Outcome::Ended);
            steps += 1;
        }
        assert_eq!(startable(&params, &disk.data()), (true, false));
        run(place, &params, |pg| sql(pg, "INSERT INTO public.t SELECT 1"));
        let (code, told) = disk.json(&["migrate", "--yes"], &params);
        assert!(code == Some(1) && told.to_string().contains("has run in"), "{told}");
        assert_eq!(startable(&params, &disk.data()), (true, false));
        let (code, told) = disk.json(&["migrate", "--yes"], &params);
        assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
        assert_eq!(rows(place, &disk.moved(&params)), "101");
    });
}

#[test]
fn content_that_a_power_cut_has_taken_is_found_and_copied_once_more() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        let params = disk.database(place, &place.path("old"), 100);
        disk.prepared(&params);
        let pg =
            pgtwin::runtime::instance::Postgres::new(&System, &params, place.path("log")).unwrap();
        let system = crate::place::control(&pg).system_id;
        let new = PathBuf::from(format!("{}.pgtwin-migrating", disk.data().display()));
        let version = new.join("PG_VERSION");
        let mut steps = 1;
        while !version.exists() {
            assert_eq!(moved(&disk, &params, Method::Copy, system, steps).0, Outcome::Ended);
            steps += 1;
        }
        // The right size and time, and other bytes.
        let time = fs::metadata(&version).unwrap().modified().unwrap();
        let size = usize::try_from(fs::metadata(&version).unwrap().len()).unwrap();
        fs::write(&version, vec![0; size]).unwrap();
        fs::File::options().write(true).open(&version).unwrap().set_modified(time).unwrap();
        assert_eq!(disk.json(&["migrate", "--yes"], &params).0, Some(0));
        assert_eq!(rows(place, &disk.moved(&params)), "100");
    });
}
