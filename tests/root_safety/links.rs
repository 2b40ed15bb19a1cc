//! Links, pipes and giants in what belongs to the postgres user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use pgtwin::cluster::known::Known;
use pgtwin::ocf::params::Params;
use pgtwin::postgres::lsn::Timeline;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::System;

use crate::account::{NAME, test_user};
use crate::rig;
use crate::rig::call::{Call, value};
use crate::rig::{succeeds, without_root};

const SECRET: &str = "mickey-mouse-loves-minnie";

/// What the agent reads or writes in PGDATA.
const IN_PGDATA: [&str; 10] = [
    "PG_VERSION",
    "postmaster.pid",
    "postgresql.auto.conf",
    "postgresql.conf",
    "standby.signal",
    "recovery.signal",
    "promote",
    "backup_label",
    "global/pg_control",
    "pg_wal",
];

/// A directory of root's with a secret that looks like each of those files a little.
fn of_root() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, format!("{SECRET} = '{SECRET}'\n*:*:replication:{SECRET}:x\n")).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    (dir, secret)
}

fn facts(path: &Path) -> (u64, u32, u32, i64, i64, u64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.ino(), meta.mode(), meta.uid(), meta.mtime(), meta.ctime_nsec(), meta.size())
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

#[test]
fn a_link_to_a_file_of_roots_shows_and_changes_nothing_of_it() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-links");
    let (dir, secret) = of_root();
    let before = facts(&secret);
    let pristine = on.home.path().join("pristine");
    fs::rename(on.pgdata(), &pristine).unwrap();
    let passfile = on.home.path().join("passfile");
    let targets = [secret.clone(), dir.path().join("new")];
    for name in IN_PGDATA {
        for target in &targets {
            remove(&on.pgdata());
            succeeds(Command::new("cp").arg("-a").args([&pristine, &on.pgdata()]));
            for link in [on.pgdata().join(name), passfile.clone()] {
                remove(&link);
                symlink(target, &link).unwrap();
                lchown(&link, Some(test_user().uid), Some(test_user().gid)).unwrap();
            }
            let what = format!("{name} to {}", target.display());
            let env = [
                ("OCF_RESKEY_pgpassfile", Some(passfile.as_os_str())),
                ("OCF_RESKEY_CRM_meta_timeout", value("8000")),
                ("HA_debug", value("1")),
            ];
            let calls = [Call::ValidateAll, Call::Promoted, Call::Start, Call::Promote, Call::Stop];
            for call in calls {
                let answer = on.call(call, &env);
                let said = format!("{}{}", answer.stdout, answer.stderr);
                assert!(!said.contains(SECRET), "{what}, {call:?}: {said}");
                if call == Call::Stop {
                    assert_eq!(answer.code, 0, "{what}: {said}");
                }
            }
            assert_eq!(on.processes(), [""; 0], "{what}");
            assert_eq!(facts(&secret), before, "{what}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{what}: made something");
        }
    }
}

type Make<'a> = (&'a str, &'a dyn Fn());

#[test]
fn a_history_file_is_read_as_its_owner_or_not_at_all() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-histories");
    let (_dir, secret) = of_root();
    let file = on.pgdata().join("pg_wal/00000002.history");
    let params = Params {
        pgdata: on.pgdata().display().to_string(),
        pguser: NAME.to_owned(),
        ..Params::default()
    };
    let pg = Postgres::new(&System, &params, on.home.path().join("log")).unwrap();
    let rows: [Make<'_>; 5] = [
        ("a symbolic link", &|| symlink(&secret, &file).unwrap()),
        ("a special file", &|| mkfifo(&file, Mode::S_IRWXU).unwrap()),
        ("is a directory", &|| fs::create_dir(&file).unwrap()),
        ("larger than", &|| fs::File::create(&file).unwrap().set_len(1 << 34).unwrap()),
        ("not UTF-8", &|| fs::write(&file, b"1\t0/1\t\xff\n").unwrap()),
    ];
    for (says, make) in rows {
        remove(&file);
        make();
        lchown(&file, Some(test_user().uid), Some(test_user().gid)).unwrap();
        let Known::Unknown(why) = pg.history_of(Timeline(2)) else { panic!("{says}") };
        assert!(why.contains(says) && !why.contains(SECRET), "{why}");
    }
}
