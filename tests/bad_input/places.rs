//! PGDATA, what stands in it, and PostgreSQL's programs, each broken in one way, on a database that
//! does not run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::account::test_user;
use crate::rig::call::{Call, changed, value};
use crate::rig::{Rig, succeeds, without_root};
use crate::{Codes, expect, rig};

pub const TIMEOUT: &str = "OCF_RESKEY_CRM_meta_timeout";

/// The database as initdb made it, put back for each row.
struct Pristine<'a> {
    on: &'a Rig,
    copy: PathBuf,
}

impl<'a> Pristine<'a> {
    fn of(on: &'a Rig) -> Self {
        let copy = on.home.path().join("pristine");
        fs::rename(on.pgdata(), &copy).unwrap();
        Self { on, copy }
    }

    fn put_back(&self) -> PathBuf {
        let data = self.on.pgdata();
        remove(&data);
        succeeds(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&self.copy).arg(&data));
        data
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// A file of the tests' user.
pub fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    remove(path);
    fs::write(path, bytes).unwrap();
    own(path);
}

pub fn own(path: &Path) {
    let user = test_user();
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).unwrap();
}

fn pipe(path: &Path) {
    remove(path);
    mkfifo(path, Mode::S_IRWXU).unwrap();
    own(path);
}

fn link(to: impl AsRef<Path>, path: &Path) {
    remove(path);
    symlink(to, path).unwrap();
    own(path);
}

fn giant(path: &Path) {
    put(path, "");
    fs::File::options().write(true).open(path).unwrap().set_len(1 << 34).unwrap();
}

fn directory(path: &Path) {
    remove(path);
    fs::create_dir(path).unwrap();
    own(path);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

type Break = fn(&Path);

#[test]
fn a_data_directory_that_cannot_serve_is_refused_by_code_and_reason_and_left_alone() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-pgdata");
    let pristine = Pristine::of(&on);
    // What is done to PGDATA; the code of start and validate-all; what start says.
    let rows: &[(&str, Break, i32, &str)] = &[
        ("missing", |d| remove(d), 1, "does not exist: mount it"),
        ("a dangling link", |d| link("/nonexistent/x", d), 1, "does not exist: mount it"),
        ("empty", |d| directory(d), 1, "is empty: mount it"),
        ("a link to itself", |d| link(d, d), 1, "symbolic links"),
        ("a file", |d| put(d, ""), 4, "not a directory"),
        ("a pipe", |d| pipe(d), 4, "not a directory"),
        ("open to all", |d| mode(d, 0o755), 4, "chmod 0700"),
        ("open to its group", |d| mode(d, 0o770), 4, "chmod 0700"),
        ("closed to its owner", |d| mode(d, 0o000), 4, "check the modes"),
        ("root's", |d| chown(d, Some(0), Some(0)).unwrap(), 4, "chown -R"),
        (
            "something else",
            |d| {
                directory(d);
                put(&d.join("a\nb"), "");
            },
            4,
            "no PG_VERSION",
        ),
        ("without a version", |d| remove(&d.join("PG_VERSION")), 4, "no PG_VERSION"),
        ("of a wrong version", |d| put(&d.join("PG_VERSION"), "fifteen\n"), 4, "PG_VERSION"),
        ("of a binary version", |d| put(&d.join("PG_VERSION"), b"\xff\0"), 1, "not UTF-8"),
        ("of a giant version", |d| giant(&d.join("PG_VERSION")), 1, "larger than"),
        ("of a version in a pipe", |d| pipe(&d.join("PG_VERSION")), 4, "special file"),
        ("of another version", |d| put(&d.join("PG_VERSION"), "12\n"), 2, "is of 12"),
        ("of a future version", |d| put(&d.join("PG_VERSION"), "77\n"), 2, "is of 77"),
        ("without global", |d| remove(&d.join("global")), 4, "No such file"),
        ("without pg_control", |d| remove(&d.join("global/pg_control")), 4, "No such file"),
        ("with an empty pg_control", |d| put(&d.join("global/pg_control"), ""), 1, "read 0 of"),
        (
            "with a garbage pg_control",
            |d| put(&d.join("global/pg_control"), [0x5a; 8192]),
            4,
            "checksum",
        ),
        ("with a secret pg_control", |d| link("/etc/shadow", &d.join("global/pg_control")), 1, ""),
        ("with a pg_control that is no file", |d| directory(&d.join("global/pg_control")), 1, ""),
        ("with a pg_control of pipes", |d| pipe(&d.join("global/pg_control")), 1, "did not end"),
    ];
    for (what, break_it, code, says) in rows {
        break_it(&pristine.put_back());
        let codes = Codes { start: *code, validate: *code, ..Codes::STOPPED };
        let env = [(TIMEOUT, value("8000"))];
        let said = expect(&on, what, &Call::ALL, &env, codes).unwrap();
        assert!(said.contains(says), "{what}: {said}");
        assert!(!said.contains("root:"), "{what}: {said}");
    }
}

#[test]
fn a_database_below_a_mount_that_is_not_there_is_neither_started_nor_written_to() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-mount");
    let point = on.home.path().to_str().unwrap();
    let env = [("OCF_RESKEY_pgdata_mount", value(point)), (TIMEOUT, value("20000"))];
    let words = format!("is not mounted (pgdata_mount={point}): mount it");
    let said = expect(&on, "clean", &Call::ALL, &env, Codes::STOPPED).unwrap();
    assert!(said.contains(&words), "{said}");

    // A crashed primary would be recovered in single-user mode, which writes to it.
    on.expect("start", 0);
    let mut crash = on.as_user("pg_ctl");
    succeeds(crash.args(["stop", "--mode=immediate", "--pgdata"]).arg(on.pgdata()));
    let before = on.snapshot();
    let answer = on.call(Call::Start, &env);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(answer.stderr.contains(&words), "{}", answer.stderr);
    assert_eq!(changed(&before, &on.snapshot()), [""; 0]);

    let mount =
        |program: &str, args: &[&str]| succeeds(Command::new(program).args(args).arg(point));
    mount("mount", &["--bind", point]);
    let started = on.call(Call::Start, &env);
    let stopped = on.call(Call::Stop, &env);
    mount("umount", &["--lazy"]);
    assert_eq!((started.code, stopped.code), (0, 0), "{}{}", started.stderr, stopped.stderr);
}

#[test]
fn settings_that_cannot_be_read_are_refused_before_anything_is_written() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-settings");
    let pristine = Pristine::of(&on);
    let rows: &[(&str, Break, &str)] = &[
        ("a pipe", |d| pipe(&d.join("postgresql.auto.conf")), "is a special file"),
        ("a directory", |d| directory(&d.join("postgresql.auto.conf")), "is a directory"),
        ("a giant", |d| giant(&d.join("postgresql.auto.conf")), "larger than"),
        ("a link", |d| link("/etc/shadow", &d.join("postgresql.auto.conf")), "a symbolic link"),
        ("binary", |d| put(&d.join("postgresql.auto.conf"), b"a = '\xff'\n"), "not UTF-8"),
        ("rubbish", |d| put(&d.join("postgresql.auto.conf"), "a = 'x'\n=\n"), "line 2 of"),
        ("a signal in a loop", |d| link("standby.signal", &d.join("standby.signal")), "symbolic"),
    ];
    for (what, break_it, says) in rows {
        break_it(&pristine.put_back());
        let calls = [Call::Start, Call::Stop, Call::Probe, Call::Promoted, Call::ReloadAgent];
        let before = on.snapshot();
        for call in calls {
            let answer = on.call(call, &[]);
            assert_eq!(answer.code, Codes::STOPPED.of(call), "{what} {call:?}: {}", answer.stderr);
            if call == Call::Start {
                assert!(answer.stderr.contains(says), "{what}: {}", answer.stderr);
                assert!(!answer.stderr.contains("root:"), "{what}: {}", answer.stderr);
            }
        }
        let changes = changed(&before, &on.snapshot());
        // The settings come before the signal file.
        let expected: &[&str] =
            if *what == "a signal in a loop" { &["postgresql.auto.conf"] } else { &[] };
        assert_eq!(changes, expected, "{what}");
        assert_eq!(on.processes(), [""; 0], "{what}");
    }
}

#[test]
fn a_server_that_never_gets_past_its_configuration_is_not_left_behind() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-pipes");
    let pristine = Pristine::of(&on);
    for name in ["postgresql.conf", "postmaster.pid"] {
        let data = pristine.put_back();
        pipe(&data.join(name));
        let answer = on.call(Call::Start, &[(TIMEOUT, value("6000"))]);
        assert_eq!(answer.code, 1, "{name}: {}", answer.stderr);
        assert!(answer.stderr.contains("was killed"), "{name}: {}", answer.stderr);
        assert_eq!(servers(&on), [0; 0], "{name}");
        assert_eq!(on.call(Call::Probe, &[]).code, 7, "{name}");
        assert_eq!(on.call(Call::Stop, &[]).code, 0, "{name}");
    }
    pristine.put_back();
}

/// Processes that were started for this PGDATA, wherever they work.
fn servers(on: &Rig) -> Vec<i32> {
    let data = on.pgdata().display().to_string();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split('\0');
        (words.next()?.ends_with("/postgres") && words.any(|word| word == data)).then_some(pid)
    });
    pids.collect()
}

#[test]
fn programs_that_are_absent_or_of_another_version_are_named_and_never_run_as_root() {
    if without_root() {
        return;
    }
    let on = rig("pgtwin-test-programs");
    let dir = on.home.path().join("bin");
    fs::create_dir(&dir).unwrap();
    own(&dir);
    let ran_as = on.home.path().join("ran-as");
    let script =
        |does: &str| format!("#!/bin/sh\n/usr/bin/id -u >> '{}'\n{does}\n", ran_as.display());
    let rows = [
        ("absent", None, 5, "correct pg_bindir"),
        ("older", Some(script("echo 'postgres (PostgreSQL) 12.1'")), 2, "holds PostgreSQL 12"),
        ("rubbish", Some(script("echo '\u{1b}[2J; rm -rf /'")), 1, "cannot be found out"),
        ("silent", Some(script("exec sleep 60")), 1, "cannot be found out"),
        ("endless", Some(script("exec yes")), 1, "cannot be found out"),
        ("failing", Some(script("kill -9 $$")), 1, "cannot be found out"),
    ];
    for (what, program, code, says) in rows {
        remove(&dir.join("postgres"));
        if let Some(program) = program {
            put(&dir.join("postgres"), program);
            mode(&dir.join("postgres"), 0o755);
        }
        // It is there from the first row on, so that it is no change.
        put(&ran_as, "");
        let env = [("OCF_RESKEY_pg_bindir", Some(dir.as_os_str())), (TIMEOUT, value("8000"))];
        let mut before = on.snapshot();
        let answers = on.calls(&Call::ALL, &env);
        let codes = Codes { start: code, validate: code, ..Codes::STOPPED };
        for (&call, answer) in &answers {
            assert_eq!(answer.code, codes.of(call), "{what} {call:?}: {}", answer.stderr);
        }
        let said = &answers[&Call::Start].stderr;
        assert!(said.contains(says) && said.contains("bin"), "{what}: {said}");
        let mut after = on.snapshot();
        before.remove(&ran_as);
        after.remove(&ran_as);
        assert_eq!(changed(&before, &after), [""; 0], "{what}");
        let uid = test_user().uid.to_string();
        let ran = fs::read_to_string(&ran_as).unwrap();
        assert!(ran.lines().all(|line| line == uid), "{what}: ran as {ran}");
        assert_eq!(ran.is_empty(), what == "absent", "{what}");
    }
}
