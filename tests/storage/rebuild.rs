//! A rebuilt node's data is a subvolume where it was one, and so are its backups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgtwin::ocf::params::Params;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::room;
use pgtwin::runtime::swap::{finish, put_back, swap};
use pgtwin::sys::exec::System;

use crate::disk::{Disk, is_subvolume, succeeds};
use crate::place::{free_port, on_every_version, soon, sql};
use crate::world::{copied, make_slot, names, primary, streams_from, survey};

fn stamp(number: u32) -> String {
    format!("20261126-12000{number}")
}

fn in_place(at: &Path) -> bool {
    let out = succeeds(Command::new("lsattr").arg("-d").arg(at));
    let text = String::from_utf8(out.stdout).unwrap();
    text.split(' ').next().unwrap().contains('C')
}

#[test]
fn a_subvolume_stays_one_and_an_empty_one_gives_way() {
    on_every_version(|place| {
        let disk = Disk::new("btrfs");
        let (n1, _, source) = primary(place, "n1");
        make_slot(&n1);
        sql(&n1, "CREATE TABLE public.t AS SELECT 1 AS i");
        let params = Params {
            pgport: free_port(),
            pguser: place.user.name.clone(),
            pg_bindir: Some(place.bindir.display().to_string()),
            ..Params::default()
        };
        disk.prepared(&params);
        let params = disk.moved(&params);
        let data = disk.data();
        succeeds(Command::new("chattr").arg("+C").arg(&data));
        let pg = Postgres::new(&System, &params, place.path("n2.log")).unwrap();
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", data.display()));
        for round in 0..3 {
            let stamp = stamp(round);
            let layout = survey(place, &pg, &[], true, &stamp).unwrap();
            copied(&pg, &source, &layout, None);
            assert!(is_subvolume(&beside(".pgtwin-new")));
            assert!(in_place(&beside(".pgtwin-new")), "the attribute is kept");
            // Cut off before each change, and taken back or finished.
            for end in 0..4 {
                let mut changes = 0;
                let mut watch = |moment: pgtwin::runtime::swap::Moment| {
                    changes += usize::from(moment == pgtwin::runtime::swap::Moment::Change);
                    changes <= end
                };
                if swap(pg.runtime(), &layout, &mut watch).unwrap() {
                    break;
                }
                if end == 1 && round == 1 {
                    assert!(put_back(pg.runtime(), &layout, &mut |_| true).unwrap());
                    assert!(is_subvolume(&data));
                }
            }
            assert!(swap(pg.runtime(), &layout, &mut |_| true).unwrap());
            assert!(is_subvolume(&data) && in_place(&data), "round {round}");
            streams_from(&pg, &source);
            assert!(finish(pg.place(), &layout, &mut |_| true).unwrap());
            let old = beside(&format!(".backup.{stamp}"));
            // The first had nothing to keep.
            assert_eq!(old.exists(), round > 0);
            if round > 0 {
                assert!(is_subvolume(&old));
            }
            let kept = names(data.parent().unwrap());
            let expected = if round == 0 { 3 } else { 4 };
            assert_eq!(kept.len(), expected, "only the newest backup: {kept:?}");
            pg.stop(&soon()).unwrap();
        }
    });
}

#[test]
fn data_that_is_lost_comes_back_as_a_subvolume_and_a_directory_stays_a_directory() {
    on_every_version(|place| {
        let disk = Disk::new("btrfs");
        let (n1, _, source) = primary(place, "n1");
        make_slot(&n1);
        let params = Params {
            pgport: free_port(),
            pguser: place.user.name.clone(),
            pg_bindir: Some(place.bindir.display().to_string()),
            ..Params::default()
        };
        disk.prepared(&params);
        let params = disk.moved(&params);
        let pg = Postgres::new(&System, &params, place.path("n2.log")).unwrap();
        fs::remove_dir(disk.data()).unwrap();
        let layout = survey(place, &pg, &[], true, &stamp(0)).unwrap();
        copied(&pg, &source, &layout, None);
        assert!(swap(pg.runtime(), &layout, &mut |_| true).unwrap());
        assert!(is_subvolume(&disk.data()));
        // A directory, with whose number no room of another file system is meant.
        succeeds(Command::new("rm").arg("-r").arg(disk.data()));
        crate::disk::make(place, &disk.data(), false);
        let layout = survey(place, &pg, &[], true, &stamp(1)).unwrap();
        copied(&pg, &source, &layout, None);
        let left = format!("{}.pgtwin-new", disk.data().display());
        assert!(!is_subvolume(left.as_ref()));
        let volumes = room::volumes(pg.place(), &[], None, &soon()).known().unwrap();
        assert!(volumes[0].left_over > 1 << 20, "{volumes:?}");
        assert_eq!(volumes[0].device, volumes[1].device);
        assert!(swap(pg.runtime(), &layout, &mut |_| true).unwrap());
        assert!(!is_subvolume(&disk.data()));
    });
}

#[test]
fn subvolumes_of_one_file_system_share_its_room() {
    on_every_version(|place| {
        let disk = Disk::new("btrfs");
        crate::disk::make(place, &disk.at("m/one"), true);
        let params = disk.database(place, &disk.at("m/one"), 10);
        crate::disk::make(place, &disk.at("m/wal"), true);
        let copy = |from: &Path, to: &Path| {
            succeeds(Command::new("cp").arg("-a").arg("-T").arg(from).arg(to));
        };
        copy(&disk.at("m/one/pg_wal"), &disk.at("m/wal"));
        fs::remove_dir_all(disk.at("m/one/pg_wal")).unwrap();
        std::os::unix::fs::symlink(disk.at("m/wal"), disk.at("m/one/pg_wal")).unwrap();
        // A copy that was cut off, in a subvolume of its own.
        crate::disk::make(place, &disk.at("m/one.pgtwin-new"), true);
        fs::write(disk.at("m/one.pgtwin-new/1"), vec![1; 70_000]).unwrap();
        let pg = Postgres::new(&System, &params, place.path("log")).unwrap();
        let volumes = room::volumes(pg.place(), &[], None, &soon()).known().unwrap();
        assert_eq!(volumes[0].device, volumes[1].device, "{volumes:?}");
        assert_eq!(volumes[0].left_over, 70_000);
    });
}
