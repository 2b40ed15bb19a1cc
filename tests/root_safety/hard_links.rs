//! Files of the postgres user's that are hard links to root's, as they can be where the system does not forbid
//! it, and files that change into links and back while they are edited.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::account::test_user;
use crate::rig;
use crate::rig::call::{Call, value};
use crate::rig::{Rig, succeeds, without_root};

const SECRET: &str = "mickey-mouse-loves-minnie";

/// What the agent writes or has written there, and what it reads of the user's.
const NAMES: [&str; 7] = [
    "postgresql.auto.conf",
    "postgresql.conf",
    "standby.signal",
    "postmaster.pid",
    "pgtwin.copy",
    "pg_hba.conf",
    "pg_wal/00000002.history",
];

/// A file of root's beside PGDATA, on the same file system, for its user to link to.
fn canary(on: &Rig, name: &str) -> PathBuf {
    let dir = on.home.path().join("of-root");
    let _ = fs::create_dir(&dir);
    chown(&dir, Some(0), Some(0)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.join(name.replace('/', "-"));
    fs::write(&path, format!("{SECRET} = '{SECRET}'\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// All that says whether it was touched: the number of its links aside, which the link itself changes.
fn facts(path: &Path) -> (u64, u32, u32, u32, i64, String) {
    let meta = fs::symlink_metadata(path).unwrap();
    let text = fs::read_to_string(path).unwrap();
    (meta.ino(), meta.mode(), meta.uid(), meta.gid(), meta.mtime(), text)
}

#[test]
fn a_hard_link_to_a_file_of_roots_shows_and_changes_nothing_of_it() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-hard-links");
    let pristine = on.home.path().join("pristine");
    fs::rename(on.pgdata(), &pristine).unwrap();
    for name in NAMES {
        let _ = fs::remove_dir_all(on.pgdata());
        succeeds(Command::new("cp").arg("-a").args([&pristine, &on.pgdata()]));
        let canary = canary(&on, name);
        let passfile = on.home.path().join("passfile");
        for link in [on.pgdata().join(name), passfile.clone()] {
            let _ = fs::remove_file(&link);
            fs::hard_link(&canary, &link).unwrap();
        }
        let before = facts(&canary);
        let env = [
            ("OCF_RESKEY_pgpassfile", Some(passfile.as_os_str())),
            ("OCF_RESKEY_CRM_meta_timeout", value("10000")),
            ("HA_debug", value("1")),
        ];
        for call in [
            Call::ValidateAll,
            Call::Start,
            Call::Promote,
            Call::Promoted,
            Call::ValidatePghba,
            Call::Demote,
            Call::Stop,
        ] {
            let answer = on.call(call, &env);
            let said = format!("{}{}", answer.stdout, answer.stderr);
            assert!(!said.contains(SECRET), "{name}, {call:?}: {said}");
            if call == Call::Stop {
                assert_eq!(answer.code, 0, "{name}: {said}");
            }
        }
        assert_eq!(facts(&canary), before, "{name}");
        assert_eq!(on.processes(), [""; 0], "{name}");
    }
}

/// What a file is instead, and how it is made so.
type Kind<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn files_of_the_users_that_are_pipes_directories_or_giants_hang_nothing_and_fill_no_memory() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-zoo");
    let pristine = on.home.path().join("pristine");
    fs::rename(on.pgdata(), &pristine).unwrap();
    let passfile = on.home.path().join("passfile");
    let (user, group) = (Some(test_user().uid), Some(test_user().gid));
    let kinds: [Kind<'_>; 3] = [
        ("a pipe", &|path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
        ("a giant", &|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ];
    for (kind, make) in kinds {
        for name in
            ["pgtwin.copy", "pg_hba.conf", "standby.signal", "backup_label", "tablespace_map"]
        {
            for path in [on.pgdata(), passfile.clone()] {
                let _ = fs::remove_dir_all(&path);
                let _ = fs::remove_file(&path);
            }
            succeeds(Command::new("cp").arg("-a").args([&pristine, &on.pgdata()]));
            for path in [on.pgdata().join(name), passfile.clone()] {
                let _ = fs::remove_file(&path);
                make(&path);
                lchown(&path, user, group).unwrap();
            }
            let env = [
                ("OCF_RESKEY_pgpassfile", Some(passfile.as_os_str())),
                ("OCF_RESKEY_CRM_meta_timeout", value("6000")),
            ];
            // A call that goes on for longer fails the test.
            for call in
                [Call::ValidateAll, Call::Start, Call::Promoted, Call::ValidatePghba, Call::Stop]
            {
                let answer = on.call(call, &env);
                assert!(
                    call != Call::Stop || answer.code == 0,
                    "{name}, {kind}: {}",
                    answer.stderr
                );
            }
            assert_eq!(on.processes(), [""; 0], "{name}, {kind}");
        }
    }
}

#[test]
fn settings_that_turn_into_links_and_back_while_they_are_edited_lead_root_nowhere() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-swapped");
    let canary = canary(&on, "canary");
    let (user, group) = (Some(test_user().uid), Some(test_user().gid));
    let (conf, other) = (on.pgdata().join("postgresql.auto.conf"), on.pgdata().join("other"));
    let signal = on.pgdata().join("standby.signal");
    let honest = fs::read_to_string(&conf).unwrap();
    let before = facts(&canary);
    let listed = || fs::read_dir(canary.parent().unwrap()).unwrap().count();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                for path in [&conf, &signal] {
                    let _ = fs::remove_file(&other);
                    symlink(&canary, &other).unwrap();
                    // Another test of this process may act as that user just now: then it is the user's.
                    let _ = lchown(&other, user, group);
                    fs::rename(&other, path).unwrap();
                    if fs::hard_link(&canary, &other).is_ok() {
                        fs::rename(&other, path).unwrap();
                    }
                    fs::write(&other, &honest).unwrap();
                    let _ = chown(&other, user, group);
                    fs::rename(&other, path).unwrap();
                }
            }
        });
        for _ in 0..12 {
            for call in [Call::Start, Call::Promote, Call::Demote, Call::Stop] {
                let answer = on.call(call, &[("OCF_RESKEY_CRM_meta_timeout", value("15000"))]);
                let said = format!("{}{}", answer.stdout, answer.stderr);
                assert!(!said.contains(SECRET), "{call:?}: {said}");
                assert!(call != Call::Stop || answer.code == 0, "{said}");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(facts(&canary), before);
    assert_eq!(listed(), 1);
}
