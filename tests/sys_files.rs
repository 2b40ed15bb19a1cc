//! Files, directories and locks on a real file system, with everything a hostile owner can put
//! where a file is expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use pgtwin::sys::files::{
    FileError, Kind, Seen, boot_id, ensure_root_dir, lock_file, look, look_through,
    read_root_owned, read_tail, read_untrusted, read_untrusted_bytes, remove_durably,
    write_durably,
};
use tempfile::TempDir;

const SHORT: Duration = Duration::from_millis(60);

fn is_root() -> bool {
    geteuid().is_root()
}

/// A directory with one of each kind, by name.
fn zoo() -> (TempDir, Vec<(PathBuf, Kind)>) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "text").unwrap();
    symlink(at("file"), at("link")).unwrap();
    symlink("/nowhere/at/all", at("dangling")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    mkfifo(&at("fifo"), Mode::from_bits_truncate(0o644)).unwrap();
    drop(UnixListener::bind(at("socket")).unwrap());
    let strangers = vec![
        (at("link"), Kind::Symlink),
        (at("dangling"), Kind::Symlink),
        (at("dir"), Kind::Directory),
        (at("fifo"), Kind::Special),
        (at("socket"), Kind::Special),
        (PathBuf::from("/dev/zero"), Kind::Special),
    ];
    (dir, strangers)
}

fn kind(path: &Path) -> Kind {
    match look(path) {
        Seen::Present(entry) => entry.kind,
        other => panic!("{other:?}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_there_is_told_by_kind_without_following_links() {
    let (dir, strangers) = zoo();
    assert_eq!(kind(&dir.path().join("file")), Kind::File);
    for (path, expected) in strangers {
        assert_eq!(kind(&path), expected, "{path:?}");
    }
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    let (Seen::Present(a), Seen::Present(b)) = (look(&file), look_through(&link)) else { panic!() };
    assert_eq!(a, b);
    assert_eq!((a.uid, a.size), (geteuid().as_raw(), 4));
}

#[test]
fn nothing_there_is_not_the_same_as_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(look(&dir.path().join("no")), Seen::Missing);
    assert_eq!(look(&dir.path().join("no/such/parent")), Seen::Missing);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("below"), dir.path().join("x".repeat(300))] {
        let Seen::Unknown(why) = look(&path) else { panic!("{path:?}") };
        assert!(why.contains(path.to_str().unwrap()), "{why}");
    }
}

#[test]
fn only_a_regular_file_is_read_and_nothing_else_hangs() {
    let (dir, strangers) = zoo();
    assert_eq!(read_untrusted(&dir.path().join("file"), 100).unwrap(), "text");
    for (path, kind) in strangers {
        let errors = [
            read_untrusted(&path, 100).unwrap_err(),
            read_untrusted_bytes(&path, 100).unwrap_err(),
            read_tail(&path, 100).unwrap_err(),
            read_root_owned(&path, 100).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(&error, FileError::WrongKind { found, .. } if *found == kind),
                "{path:?}: {error:?}"
            );
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
    }
    let missing = read_untrusted(&dir.path().join("no"), 100).unwrap_err();
    assert!(matches!(missing, FileError::Missing { .. }));
}

#[test]
fn a_file_one_byte_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read_untrusted(&path, 5).unwrap(), "12345");
    assert!(matches!(read_untrusted(&path, 4), Err(FileError::TooBig { max: 4, .. })));
    // A giant without blocks: reading it whole would take all memory.
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(read_untrusted(&path, 1 << 20), Err(FileError::TooBig { .. })));
}

#[test]
fn what_is_not_utf8_is_an_error_as_text_and_whole_as_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, b"# caf\xe9\n").unwrap();
    assert!(matches!(read_untrusted(&path, 100), Err(FileError::NotText { .. })));
    assert_eq!(read_untrusted_bytes(&path, 100).unwrap(), b"# caf\xe9\n");
}

#[test]
fn the_tail_of_a_file_begins_with_a_whole_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "one\ntwo\nthree\n").unwrap();
    for (max, expected) in [(100, "one\ntwo\nthree\n"), (9, "three\n"), (3, ""), (0, "")] {
        assert_eq!(read_tail(&path, max).unwrap(), expected, "{max}");
    }
    fs::write(&path, b"one\ncaf\xe9\n").unwrap();
    assert_eq!(read_tail(&path, 6).unwrap(), "caf\u{fffd}\n");
}

#[test]
fn a_file_of_ours_that_others_may_change_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "ours").unwrap();
    for (mode, good) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match read_root_owned(&path, 100) {
            Ok(text) => assert!(good && text == "ours", "{mode:o}"),
            Err(FileError::OthersMayWrite { mode: seen, .. }) => assert!(!good && seen == mode),
            Err(error) => panic!("{error:?}"),
        }
    }
    if is_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(12345), None).unwrap();
        let error = read_root_owned(&path, 100).unwrap_err();
        assert!(matches!(error, FileError::NotOurs { owner: 12345, wanted: 0, .. }), "{error:?}");
    }
}

#[test]
fn a_durable_write_replaces_the_file_with_the_mode_asked_for_and_leaves_nothing_beside() {
    let dir = tempfile::tempdir().unwrap();
    for (text, mode) in [("one", 0o600), ("two", 0o666), ("", 0o640)] {
        write_durably(dir.path(), "ledger", text.as_bytes(), mode).unwrap();
        let path = dir.path().join("ledger");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        assert_eq!(names(dir.path()), ["ledger"]);
    }
}

#[test]
fn a_durable_write_replaces_a_symlink_and_not_what_it_points_to() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, dir.path().join("marker")).unwrap();
    write_durably(dir.path(), "marker", b"new", 0o600).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(kind(&dir.path().join("marker")), Kind::File);
}

#[test]
fn a_durable_write_that_fails_leaves_the_old_state() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("target/full")).unwrap();
    let error = write_durably(dir.path(), "target", b"x", 0o600).unwrap_err();
    assert!(error.to_string().contains("target"), "{error}");
    assert_eq!(names(dir.path()), ["target"]);
    let gone = dir.path().join("gone");
    assert!(matches!(write_durably(&gone, "f", b"x", 0o600), Err(FileError::Missing { .. })));
    for name in ["", ".", "..", "a/b", "/etc/passwd", "a\0b"] {
        assert!(write_durably(dir.path(), name, b"x", 0o600).is_err(), "{name:?}");
        assert!(remove_durably(dir.path(), name).is_err(), "{name:?}");
    }
}

#[test]
fn many_writers_at_once_leave_one_whole_version() {
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for writer in b'a'..=b'd' {
            let dir = dir.path();
            scope.spawn(move || {
                for _ in 0..20 {
                    write_durably(dir, "f", &vec![writer; 50_000], 0o600).unwrap();
                }
            });
        }
    });
    let bytes = fs::read(dir.path().join("f")).unwrap();
    assert_eq!(bytes.len(), 50_000);
    assert!(bytes.iter().all(|b| *b == bytes[0]));
    assert_eq!(names(dir.path()), ["f"]);
}

#[test]
fn a_full_disk_is_an_error_and_the_old_content_stays() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| {
        std::process::Command::new("mount").args(args).arg(dir.path()).status().unwrap().success()
    };
    assert!(mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]), "cannot mount a tmpfs");
    let first = write_durably(dir.path(), "f", b"old", 0o600);
    let second = write_durably(dir.path(), "f", &vec![b'x'; 1 << 20], 0o600);
    let (text, left) = (fs::read_to_string(dir.path().join("f")), names(dir.path()));
    let unmounted = std::process::Command::new("umount").arg(dir.path()).status().unwrap();
    assert!(unmounted.success());
    first.unwrap();
    let error = second.unwrap_err();
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!((text.unwrap().as_str(), left), ("old", vec!["f".to_owned()]));
}

#[test]
fn removing_what_is_not_there_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    remove_durably(dir.path(), "f").unwrap();
    remove_durably(dir.path(), "f").unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_state_directory_is_created_with_its_parents_and_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lib/pgtwin/db");
    ensure_root_dir(&path, 0o700).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    ensure_root_dir(&path, 0o700).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o022, 0);
}

#[test]
fn a_state_directory_that_somebody_else_could_have_prepared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    fs::write(at("file"), "").unwrap();
    for (name, found) in [("link", Kind::Symlink), ("file", Kind::File)] {
        let error = ensure_root_dir(&at(name), 0o700).unwrap_err();
        assert!(
            matches!(&error, FileError::WrongKind { found: f, .. } if *f == found),
            "{error:?}"
        );
    }
    for mode in [0o770, 0o707, 0o1777] {
        fs::set_permissions(at("real"), Permissions::from_mode(mode)).unwrap();
        let error = ensure_root_dir(&at("real"), 0o700).unwrap_err();
        assert!(matches!(error, FileError::OthersMayWrite { .. }), "{error:?}");
    }
    fs::set_permissions(at("real"), Permissions::from_mode(0o777)).unwrap();
    let below = ensure_root_dir(&at("real/below"), 0o700).unwrap_err();
    assert!(matches!(below, FileError::OthersMayWrite { .. }), "{below:?}");
    if is_root() {
        fs::set_permissions(at("real"), Permissions::from_mode(0o700)).unwrap();
        chown(at("real"), Some(12345), None).unwrap();
        for path in [at("real"), at("real/below"), at("real/below/far")] {
            let error = ensure_root_dir(&path, 0o700).unwrap_err();
            assert!(matches!(error, FileError::NotOurs { owner: 12345, .. }), "{error:?}");
        }
        assert_eq!(names(&at("real")), Vec::<String>::new());
    }
    assert!(ensure_root_dir(Path::new("relative/dir"), 0o700).is_err());
}

#[test]
fn a_lock_excludes_until_it_is_dropped_and_the_wait_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = lock_file(&path, SHORT).unwrap();
    let error = lock_file(&path, SHORT).unwrap_err();
    assert!(matches!(&error, FileError::Locked { waited, .. } if *waited == SHORT), "{error:?}");
    assert!(matches!(lock_file(&path, Duration::ZERO), Err(FileError::Locked { .. })));
    drop(held);
    lock_file(&path, Duration::ZERO).unwrap();
    let held = lock_file(&path, SHORT).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock_file(&path, Duration::from_mins(1)).map(drop));
        thread::sleep(SHORT);
        drop(held);
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_lock_whose_file_was_removed_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let _old = lock_file(&path, SHORT).unwrap();
    fs::remove_file(&path).unwrap();
    let _new = lock_file(&path, SHORT).unwrap();
    assert!(matches!(lock_file(&path, SHORT), Err(FileError::Locked { .. })));
}

#[test]
fn a_lock_on_anything_but_a_file_is_refused() {
    let (_dir, strangers) = zoo();
    for (path, kind) in strangers {
        let error = lock_file(&path, SHORT).unwrap_err();
        assert!(
            matches!(&error, FileError::WrongKind { found, .. } if *found == kind),
            "{path:?}: {error:?}"
        );
    }
}

#[test]
fn a_lock_dies_with_its_holder_and_is_not_inherited_by_its_children() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_holds_a_lock", "--ignored", "--nocapture"])
        .env("PGTWIN_TEST_LOCK", &path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let child = lines.find_map(|line| line.unwrap().strip_prefix("holding ").map(str::to_owned));
    let child = child.expect("the helper says when it holds the lock");
    assert!(matches!(lock_file(&path, SHORT), Err(FileError::Locked { .. })));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let free = lock_file(&path, Duration::ZERO);
    std::process::Command::new("kill").arg(child).status().unwrap();
    free.unwrap();
}

#[test]
#[ignore = "a helper process of another test"]
#[allow(clippy::print_stdout, clippy::zombie_processes)]
fn helper_that_holds_a_lock() {
    let Ok(path) = std::env::var("PGTWIN_TEST_LOCK") else { return };
    let _lock = lock_file(Path::new(&path), Duration::from_secs(5)).unwrap();
    let child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    println!("\nholding {}", child.id());
    thread::sleep(Duration::from_mins(5));
}

#[test]
fn this_boot_has_an_identity() {
    let id = boot_id().unwrap();
    assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
    assert_eq!(id, boot_id().unwrap());
}
