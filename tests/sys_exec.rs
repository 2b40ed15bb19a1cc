//! `System` against real programs: output, input, limits, groups, identity.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, System, find_program};

fn run(cmd: &Cmd) -> pgtwin::sys::exec::Output {
    System.run(cmd).unwrap()
}

fn sh(script: &str) -> Cmd {
    Cmd::new("sh").args(["-c", script])
}

/// Waits for a state of the world that must come; the bound only keeps a failure from hanging.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "still not so: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn alive(pid: &str) -> bool {
    assert!(!pid.is_empty());
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !matches!(stat.rsplit(") ").next().unwrap().chars().next(), Some('Z' | 'X')),
        Err(_) => false,
    }
}

#[test]
fn output_and_exit_code_come_back() {
    let out = run(&sh("echo one; echo two >&2; exit 7"));
    assert_eq!(
        (out.ended, out.stdout.as_str(), out.stderr.as_str()),
        (Ended::Exited(7), "one\n", "two\n")
    );
    assert!(!out.ok());
    assert!(run(&Cmd::new("true")).ok());
}

#[test]
fn commands_run_together_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("there").display().to_string();
    let waits = sh(&format!("until [ -e {file} ]; do sleep 0.01; done; echo seen"));
    let cmds = [
        waits.limit(Duration::from_secs(20)),
        Cmd::new("no-such-program-of-anybody"),
        sh(&format!("touch {file}; exit 3")),
    ];
    let answers = System.run_all(&cmds);
    assert_eq!(answers[0].as_ref().unwrap().stdout, "seen\n");
    assert!(matches!(answers[1], Err(ExecError::NotFound { .. })), "{:?}", answers[1]);
    assert_eq!(answers[2].as_ref().unwrap().ended, Ended::Exited(3));
}

#[test]
fn a_death_by_signal_is_told_from_an_exit() {
    assert_eq!(run(&sh("kill -SEGV $$")).ended, Ended::Signaled(11));
}

#[test]
fn input_larger_than_a_pipe_comes_back_whole() {
    let mut cmd = Cmd::new("cat");
    cmd.stdin = (0..900_000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let out = run(&cmd);
    assert!(out.ok());
    assert!(out.stdout.as_bytes() == cmd.stdin);
}

#[test]
fn a_child_that_does_not_read_its_input_is_no_error() {
    let mut cmd = Cmd::new("true");
    cmd.stdin = vec![b'x'; 1 << 20];
    assert!(run(&cmd).ok());
}

#[test]
fn a_flood_is_bounded_and_does_not_stop_the_child() {
    let out =
        run(&sh("head -c 20000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero >&2; exit 3"));
    assert_eq!(out.ended, Ended::Exited(3));
    assert_eq!(out.stdout.len(), 16 << 20);
    assert_eq!(out.stderr.len(), 5_000_000);
}

#[test]
fn bytes_that_are_not_text_are_replaced() {
    assert_eq!(run(&Cmd::new("printf").arg("a\\377b")).stdout, "a\u{fffd}b");
}

#[test]
fn a_limit_kills_the_grandchildren_too_even_those_that_ignore_sigterm() {
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & echo $$; trap '' TERM; while :; do sleep 0.1; done";
    let out = run(&sh(script).limit(Duration::from_secs(2)));
    assert_eq!(out.ended, Ended::TimedOut);
    let pids: Vec<&str> = out.stdout.split_whitespace().collect();
    assert_eq!(pids.len(), 2, "{out:?}");
    for pid in pids {
        eventually("killed", || !alive(pid));
    }
}

#[test]
fn a_limit_gives_sigterm_first() {
    let out =
        run(&sh("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
            .limit(Duration::from_millis(1500)));
    assert_eq!((out.ended, out.stdout.as_str()), (Ended::TimedOut, "ready\ncleaned\n"));
}

#[test]
fn a_limit_also_ends_a_flood() {
    let out = run(&Cmd::new("yes").limit(Duration::from_millis(300)));
    assert_eq!(out.ended, Ended::TimedOut);
    assert!(out.stdout.starts_with("y\ny\n"));
}

#[test]
fn a_daemon_left_behind_is_neither_waited_for_nor_killed() {
    let out = run(&sh("sleep 300 & echo $!").limit(Duration::from_mins(2)));
    assert_eq!(out.ended, Ended::Exited(0));
    let pid = out.stdout.trim();
    assert!(alive(pid));
    assert!(run(&Cmd::new("kill").arg(pid)).ok());
}

#[test]
fn a_death_by_signal_takes_its_group_along() {
    let out = run(&sh("sleep 600 >/dev/null 2>&1 & echo $!; kill -KILL $$"));
    assert_eq!(out.ended, Ended::Signaled(9));
    eventually("the sleeper is gone", || !alive(out.stdout.trim()));
}

#[test]
fn a_watcher_sees_each_line_of_standard_error_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    // The child goes on only when its first line was seen.
    let script = "printf 'one\n\nhalf' >&2; until [ -e $0 ]; do sleep 0.01; done; \
                  printf ' more\rtwo\n' >&2; echo no; printf 'last' >&2";
    let cmd = sh(script).arg(go.display().to_string());
    let mut lines = Vec::new();
    let out = System
        .run_watched(&cmd, &mut |line| {
            lines.push(line.to_owned());
            fs::write(&go, "").unwrap();
        })
        .unwrap();
    assert_eq!(lines, ["one", "half more", "two", "last"]);
    assert_eq!((out.ended, out.stdout.as_str()), (Ended::Exited(0), "no\n"));
    assert_eq!(out.stderr, "one\n\nhalf more\rtwo\nlast");
}

#[test]
fn a_child_dies_with_its_parent() {
    // A second process of this test runs a command and is killed.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let mut helper = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_runs_a_long_child", "--ignored"])
        .env("PGTWIN_TEST_FILE", &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("child started", || fs::read_to_string(&file).is_ok_and(|t| t.ends_with('\n')));
    let pid = fs::read_to_string(&file).unwrap();
    assert!(alive(pid.trim()));
    helper.kill().unwrap();
    helper.wait().unwrap();
    eventually("child gone", || !alive(pid.trim()));
}

#[test]
#[ignore = "a helper process of another test"]
fn helper_that_runs_a_long_child() {
    let Ok(file) = std::env::var("PGTWIN_TEST_FILE") else { return };
    let script = format!("echo $$ >{file}; exec sleep 300");
    run(&sh(&script).limit(Duration::from_mins(5)));
}

#[test]
fn nothing_of_our_environment_reaches_the_child() {
    let out = run(&Cmd::new("env").env("LC_ALL", "POSIX"));
    let mut lines: Vec<&str> = out.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["LC_ALL=POSIX", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
}

#[test]
fn the_child_has_a_private_umask_and_only_three_descriptors() {
    let leaked = fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let out = run(&sh("umask; ls /proc/self/fd"));
    // The fourth is the directory that ls reads.
    assert_eq!(out.stdout, "0077\n0\n1\n2\n3\n");
    drop(leaked);
}

#[test]
fn signals_are_at_their_defaults() {
    // What the caller of the tests ignores must not matter: a second process ignores some first.
    let helper = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP INT TERM USR1; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_shows_its_childs_signals", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8(helper.stdout).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let Some(mask) = line.strip_prefix("SigIgn:").or(line.strip_prefix("SigBlk:")) else {
            continue;
        };
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        // 32 and 33 belong to glibc, which lets nobody change them.
        assert_eq!(mask & !(0b11 << 31), 0, "{text}");
        seen += 1;
    }
    assert_eq!(seen, 2, "{text}");
}

#[test]
#[ignore = "a helper process of another test"]
#[allow(clippy::print_stdout)]
fn helper_that_shows_its_childs_signals() {
    let out = run(&Cmd::new("grep").args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    println!("\n{}", out.stdout);
}

#[test]
fn a_child_leads_its_own_group() {
    let out = run(&sh("echo $$; cut -d' ' -f5 /proc/$$/stat"));
    let ids: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_program_that_is_not_there_is_named_with_the_places_searched() {
    for (name, place) in [
        ("pgtwin-no-such-program", "/usr/sbin, /usr/bin"),
        ("/opt/pgtwin-nowhere/psql", "/opt/pgtwin-nowhere"),
        ("./psql", "/usr/bin"),
        ("", "/usr/bin"),
        ("/etc/passwd", "/etc"),
    ] {
        let error = System.run(&Cmd::new(name)).unwrap_err();
        assert!(
            matches!(&error, ExecError::NotFound { program, searched } if program == name && searched.contains(place)),
            "{name}: {error:?}"
        );
    }
    assert_eq!(find_program("../bin/sh"), None);
    assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
}

#[test]
fn a_nul_in_an_argument_or_a_missing_directory_is_an_error_that_names_the_program() {
    assert!(matches!(System.run(&Cmd::new("true").arg("a\0b")), Err(ExecError::Io { .. })));
    let mut cmd = Cmd::new("true");
    cmd.cwd = "/pgtwin-nowhere".into();
    let error = System.run(&cmd).unwrap_err();
    assert_eq!(error.to_string(), "cannot run true in /pgtwin-nowhere");
}

#[test]
fn a_user_that_does_not_exist_is_an_error_of_its_own() {
    let error = System.run(&Cmd::new("true").user("pgtwin-nobody")).unwrap_err();
    assert!(matches!(error, ExecError::NoUser { user } if user == "pgtwin-nobody"));
}

#[test]
fn a_detached_child_has_its_own_session_and_writes_to_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let pid = System
        .spawn_detached(&sh("echo to-out; echo to-err >&2; cut -d' ' -f6 /proc/$$/stat"), &log)
        .unwrap();
    eventually("written", || {
        fs::read_to_string(&log).is_ok_and(|text| text == format!("to-out\nto-err\n{pid}\n"))
    });
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    assert!(System.spawn_detached(&Cmd::new("true"), &link).is_err());
    assert!(Path::new(&log).exists());
}
