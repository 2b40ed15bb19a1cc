//! Databases are moved, by every way there is, and their old data is removed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgtwin::decide::facts::{DataDir, Process};
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::System;

use crate::disk::{Disk, is_subvolume, make, rows, run};
use crate::place::{Place, on_every_version, soon, sql};
use crate::world::names;

/// Moves it, and all that must hold before and after.
fn move_it(place: &Place, disk: &Disk, at: &Path, way: &str) {
    let params = disk.database(place, at, 20_000);
    disk.prepared(&params);
    let (code, told) = disk.json(&["migrate", "--dry-run"], &params);
    assert_eq!((code, &told["outcome"]), (Some(0), &"possible".into()), "{told}");
    assert!(told["steps"][0].as_str().unwrap().contains(way), "{told}");
    assert!(disk.data().read_dir().unwrap().next().is_none());
    let (code, told) = disk.json(&["migrate", "--yes"], &params);
    assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
    assert_eq!(is_subvolume(&disk.data()), disk.kind == "btrfs");
    // The old cannot be started any more, and says why.
    let old = Postgres::new(&System, &params, place.path("old.log")).unwrap();
    match old.data_dir() {
        DataDir::Unusable(why) => assert!(why.contains("pg_control.old"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(old.start(&soon()).is_err());
    let moved = disk.moved(&params);
    assert_eq!(rows(place, &moved), "20000");
    let (code, told) = disk.json(&["migrate", "--yes"], &params);
    assert_eq!((code, &told["outcome"]), (Some(0), &"nothing".into()), "{told}");
    let (code, told) = disk.json(&["migrate", "--undo", "--yes"], &params);
    assert!(code == Some(1) && told.to_string().contains("has run in"), "{told}");
    let (code, told) = disk.json(&["status"], &moved);
    assert_eq!((code, &told["migration"]["stage"]), (Some(1), &"moved".into()), "{told}");
    // As long as the parameters name the old place, nothing is removed.
    let (code, told) = disk.json(&["migrate", "--confirm", "--yes"], &params);
    assert!(code == Some(1) && told.to_string().contains("remove pgdata"), "{told}");
    assert!(at.join("PG_VERSION").exists());
    let (code, told) = disk.json(&["migrate", "--confirm", "--yes"], &moved);
    assert_eq!((code, &told["outcome"]), (Some(0), &"done".into()), "{told}");
    assert!(!at.join("base").exists());
    assert_eq!(rows(place, &moved), "20000");
    let (code, told) = disk.json(&["status"], &moved);
    assert_eq!((code, &told["migration"]), (Some(0), &().into()), "{told}");
    assert_eq!(names(Path::new(&disk.storage().node_dir())), ["archive", "config", "data"]);
}

#[test]
fn a_subvolume_is_moved_by_a_snapshot() {
    on_every_version(|place| {
        let disk = Disk::new("btrfs");
        let at = disk.at("m/old");
        make(place, &at, true);
        move_it(place, &disk, &at, "a snapshot of the subvolume");
    });
}

#[test]
fn a_directory_on_the_same_btrfs_shares_its_blocks() {
    on_every_version(|place| {
        let disk = Disk::new("btrfs");
        make(place, &disk.at("m/old"), false);
        move_it(place, &disk, &disk.at("m/old"), "share their blocks");
    });
}

#[test]
fn data_of_another_file_system_is_copied() {
    on_every_version(|place| {
        for kind in ["ext4", "btrfs"] {
            let disk = Disk::new(kind);
            let at = place.path(&format!("old-{kind}"));
            move_it(place, &disk, &at, "a copy of all files");
            assert!(!at.exists());
        }
    });
}

#[test]
fn tablespaces_and_wal_that_lie_elsewhere_stay_where_they_are() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        let at = place.path("old");
        let params = disk.database(place, &at, 10);
        make(place, &place.path("space"), false);
        let space = place.path("space");
        run(place, &params, |pg| {
            sql(pg, &format!("CREATE TABLESPACE s LOCATION '{}'", space.display()));
            sql(pg, "CREATE TABLE public.u TABLESPACE s AS SELECT 1 AS i");
        });
        fs::rename(at.join("pg_wal"), place.path("wal")).unwrap();
        symlink(place.path("wal"), at.join("pg_wal")).unwrap();
        disk.prepared(&params);
        assert_eq!(disk.json(&["migrate", "--yes"], &params).0, Some(0));
        let moved = disk.moved(&params);
        assert_eq!(fs::read_link(disk.data().join("pg_wal")).unwrap(), place.path("wal"));
        let count = |pg: &Postgres<'_>| crate::place::value(pg, "SELECT i::text FROM public.u");
        assert_eq!(run(place, &moved, count), "1");
        assert_eq!(disk.json(&["migrate", "--confirm", "--yes"], &moved).0, Some(0));
        assert!(!at.exists());
        assert_eq!(run(place, &moved, count), "1");
    });
}

#[test]
fn what_runs_or_crashed_or_could_not_be_kept_is_not_moved() {
    on_every_version(|place| {
        let disk = Disk::new("ext4");
        let at = place.path("old");
        let params = disk.database(place, &at, 10);
        let refused = |words: &str| {
            let (code, told) = disk.json(&["migrate", "--yes"], &params);
            assert_eq!(code, Some(1), "{words}: {told}");
            assert!(told["reasons"].to_string().contains(words), "{words}: {told}");
            assert!(!Path::new(&format!("{}.migration", disk.storage().node_dir())).exists());
        };
        refused("pgtwin storage prepare");
        disk.prepared(&params);
        let pg = Postgres::new(&System, &params, place.path("log")).unwrap();
        pg.start(&soon()).unwrap();
        crate::place::await_primary(&pg);
        refused("it runs, pid");
        let pid = crate::place::pid(&pg);
        pg.runtime().signal(pgtwin::runtime::Shutdown::Kill).unwrap();
        // A look reaps what was a child of this process.
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let gone = || (pg.runtime().process() == Process::None && !proc.exists()).then_some(());
        poll_until(&soon(), Duration::from_millis(20), gone).unwrap();
        refused("not shut down in order");
        run(place, &params, |_| ());
        let odd = at.join("odd");
        symlink("../elsewhere", &odd).unwrap();
        refused("make it an absolute one");
        fs::remove_file(&odd).unwrap();
        fs::write(&odd, "root's").unwrap();
        refused("belongs to uid 0");
        fs::remove_file(&odd).unwrap();
        nix::unistd::mkfifo(&odd, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused("a socket, a FIFO or a device");
        fs::remove_file(&odd).unwrap();
        make(place, &disk.data().join("foreign"), false);
        refused("it is no database");
        fs::remove_dir(disk.data().join("foreign")).unwrap();
        let out = disk.pgtwin(&["migrate"], &params).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stderr).contains("add --yes"), "{out:?}");
        assert_eq!(disk.json(&["migrate", "--yes"], &params).0, Some(0));
    });
}
