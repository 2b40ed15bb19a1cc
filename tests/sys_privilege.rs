//! Root acting as an ordinary user with a supplementary group, created here. Each test of the
//! guard runs in a process of its own, because an effective identity belongs to a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod account;
mod program;

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{getegid, geteuid, getgroups, getuid};
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, System};
use pgtwin::sys::files::{read_root_owned, write_durably};
use pgtwin::sys::privilege::{PrivilegeError, User, with_user};

use account::{EXTRA, NAME, home_of, is_root, test_user};

/// Runs one ignored test of this file alone in a process, and wants it to pass.
fn in_own_process(name: &str) {
    test_user();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

#[test]
fn a_child_keeps_the_users_supplementary_groups_and_nothing_of_roots() {
    if !is_root() {
        return;
    }
    let user = test_user();
    let out = System.run(&Cmd::new("cat").arg("/proc/self/status").user(NAME)).unwrap();
    let line = |name: &str| -> Vec<u32> {
        let line = out.stdout.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().map(|n| n.parse().unwrap()).collect()
    };
    assert_eq!(line("Uid:"), [user.uid; 4]);
    assert_eq!(line("Gid:"), [user.gid; 4]);
    let (mut seen, mut expected) = (line("Groups:"), user.groups.clone());
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(seen.len(), 2, "the primary group and {EXTRA}");
    assert!(out.stdout.contains("CapEff:\t0000000000000000"));
}

#[test]
fn a_child_enters_its_directory_as_the_user_and_writes_as_the_user() {
    if !is_root() {
        return;
    }
    let user = test_user();
    let home = home_of(&user);
    let mut cmd = Cmd::new("sh").args(["-c", "pwd; echo x > made"]).user(NAME);
    cmd.cwd = home.path().to_str().unwrap().to_owned();
    let out = System.run(&cmd).unwrap();
    assert_eq!((out.ended, out.stdout.trim()), (Ended::Exited(0), cmd.cwd.as_str()));
    let made = fs::metadata(home.path().join("made")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (user.uid, user.gid, 0o600));
    // A directory of root's alone is closed to the child, though root could have entered it.
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    cmd.cwd = closed.path().to_str().unwrap().to_owned();
    let Err(ExecError::Io { source, program }) = System.run(&cmd) else { panic!("it went in") };
    assert_eq!(source.kind(), ErrorKind::PermissionDenied);
    assert!(program.contains(NAME), "{program}");
}

#[test]
fn a_limit_kills_another_users_children_too() {
    if !is_root() {
        return;
    }
    test_user();
    let script = "trap '' TERM; sleep 300 & echo $!; wait; sleep 300";
    let cmd = Cmd::new("sh").args(["-c", script]).user(NAME).limit(Duration::from_millis(1500));
    let out = System.run(&cmd).unwrap();
    assert_eq!(out.ended, Ended::TimedOut);
    let status = format!("/proc/{}/status", out.stdout.trim());
    let start = Instant::now();
    while fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(start.elapsed() < Duration::from_secs(20), "still alive: {out:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_death_of_the_parent_reaches_a_child_of_another_user() {
    if !is_root() {
        return;
    }
    let home = home_of(&test_user());
    let file = home.path().join("pid");
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_runs_a_long_child_as_the_user", "--ignored"])
        .env("PGTWIN_TEST_FILE", &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let pid = loop {
        match fs::read_to_string(&file) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => assert!(start.elapsed() < Duration::from_secs(20), "no child"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    let status = format!("/proc/{pid}/status");
    assert!(fs::read_to_string(&status).unwrap().contains("sleep"));
    helper.kill().unwrap();
    helper.wait().unwrap();
    while fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(start.elapsed() < Duration::from_secs(40), "the child lives on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "a helper process of another test"]
fn helper_that_runs_a_long_child_as_the_user() {
    let Ok(file) = std::env::var("PGTWIN_TEST_FILE") else { return };
    // The pid is written only when sleep is about to take the shell's place.
    let script = format!("(sleep 0.2; echo $$ >{file}) & exec sleep 300");
    let cmd = Cmd::new("sh").args(["-c", &script]).user(NAME).limit(Duration::from_mins(5));
    System.run(&cmd).unwrap();
}

#[test]
fn under_the_guard_files_and_sockets_are_the_users_and_afterwards_roots_again() {
    if is_root() {
        in_own_process("guard_takes_on_and_restores");
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn guard_takes_on_and_restores() {
    let user = test_user();
    let home = home_of(&user);
    let secret = tempfile::NamedTempFile::new().unwrap();
    let socket = home.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let groups_before = getgroups().unwrap();

    let (stream, denied, groups) = with_user(&user, || {
        assert_eq!((geteuid().as_raw(), getegid().as_raw()), (user.uid, user.gid));
        assert!(getuid().is_root(), "only the effective identity changes");
        write_durably(home.path(), "made", b"x", 0o640).unwrap();
        let stream = UnixStream::connect(&socket).unwrap();
        let denied = read_root_owned(secret.path(), 10).is_err();
        (stream, denied, getgroups().unwrap())
    })
    .unwrap();

    assert_eq!((geteuid().as_raw(), getegid().as_raw()), (0, 0));
    assert_eq!(getgroups().unwrap(), groups_before);
    assert!(denied, "root's file was readable under the guard");
    let mut groups: Vec<u32> = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
    let mut expected = user.groups.clone();
    groups.sort_unstable();
    expected.sort_unstable();
    assert_eq!(groups, expected);
    let made = fs::metadata(home.path().join("made")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (user.uid, user.gid, 0o640));
    let (accepted, _) = listener.accept().unwrap();
    let peer = getsockopt(&accepted, PeerCredentials).unwrap();
    assert_eq!((peer.uid(), peer.gid()), (user.uid, user.gid));
    drop(stream);
    assert_eq!(read_root_owned(secret.path(), 10).unwrap(), "");
}

#[test]
fn the_guard_is_given_back_by_a_panic_and_is_not_nested() {
    if is_root() {
        in_own_process("guard_survives_panics_and_refuses_nesting");
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn guard_survives_panics_and_refuses_nesting() {
    let user = test_user();
    let result = catch_unwind(AssertUnwindSafe(|| {
        with_user(&user, || {
            assert_eq!(geteuid().as_raw(), user.uid);
            panic!("in the middle")
        })
    }));
    assert!(result.is_err());
    assert!(geteuid().is_root() && getegid().as_raw() == 0);
    let other = User::named("nobody").unwrap();
    let nested = with_user(&user, || {
        // A child would have root as its real user, whoever it was meant to run as.
        for cmd in [Cmd::new("true"), Cmd::new("true").user(NAME), Cmd::new("true").user("root")] {
            let error = System.run(&cmd).unwrap_err();
            let ExecError::Privilege { source, .. } = error else { panic!("{error:?}") };
            assert!(matches!(source, PrivilegeError::GuardHeld));
        }
        (with_user(&user, || 1).unwrap(), with_user(&other, || 2).unwrap_err())
    });
    let (same, error) = nested.unwrap();
    assert_eq!(same, 1);
    assert!(matches!(error, PrivilegeError::GuardHeld), "{error:?}");
    assert!(geteuid().is_root());
    assert_eq!(with_user(&user, || geteuid().as_raw()).unwrap(), user.uid);
}

#[test]
fn an_ordinary_user_may_act_as_itself_only() {
    if !is_root() {
        return;
    }
    let user = test_user();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let exe = dir.path().join("test");
    program::place(std::env::current_exe().unwrap(), &exe);
    let cmd = Cmd::new(exe.to_str().unwrap())
        .args(["--exact", "ordinary_user_acts", "--ignored", "--nocapture"])
        .user(&user.name);
    let out = System.run(&cmd).unwrap();
    assert!(out.ok() && out.stdout.contains("1 passed"), "{out:?}");
}

#[test]
#[ignore = "runs as another user in a process of its own"]
fn ordinary_user_acts() {
    let (me, root) = (User::named(NAME).unwrap(), User::named("root").unwrap());
    assert_eq!(geteuid().as_raw(), me.uid, "run by an_ordinary_user_may_act_as_itself_only");
    assert_eq!(with_user(&me, || 1).unwrap(), 1);
    assert!(matches!(with_user(&root, || 1), Err(PrivilegeError::NotRoot { .. })));
    assert!(System.run(&Cmd::new("true").user(NAME)).unwrap().ok());
    let error = System.run(&Cmd::new("true").user("root")).unwrap_err();
    assert!(matches!(error, ExecError::Privilege { .. }), "{error:?}");
    assert!(Path::new("/proc/self").exists());
}
