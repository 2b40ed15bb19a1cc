#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::cluster::recovery::{Method, Outcome, Phase};
use crate::sys::exec::System;

const NOW: i64 = 1_700_000_000;

fn logs() -> (tempfile::TempDir, RecoveryLogs) {
    let dir = tempfile::tempdir().unwrap();
    let logs = RecoveryLogs::new(dir.path().join("log").to_str().unwrap(), "pg");
    (dir, logs)
}

fn summary(attempt: u32, log: &Path) -> Summary {
    Summary {
        resource: "pg".into(),
        node: "n1".into(),
        attempt,
        method: Method::Rebuild,
        source: "n2".into(),
        system_id: "7301234567890123456".into(),
        begun: NOW,
        ended: NOW + 65,
        outcome: Outcome::Failed,
        phase: Phase::Copying,
        reason: "diverged".into(),
        failure: "no room on /data".into(),
        next_command: "df /data".into(),
        old_copy: None,
        copied_bytes: 4096,
        log: log.display().to_string(),
    }
}

/// The lines of the log, without the time, which each of them must have.
fn lines(log: &RecoveryLog) -> Vec<String> {
    let text = fs::read_to_string(log.path()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let line = |line: &str| {
        let (time, rest) = line.split_at("2026-11-05T11:02:03Z ".len());
        assert!(time.starts_with("20") && time.ends_with("Z ") && &time[10..11] == "T", "{time}");
        rest.to_owned()
    };
    text.lines().map(line).collect()
}

#[test]
fn the_name_of_a_log_tells_time_and_attempt_and_nobody_else_may_read_it() {
    let (_dir, logs) = logs();
    let names: Vec<String> = [(1, NOW), (2, NOW + 60), (2, NOW + 60)]
        .map(|(attempt, now)| {
            let log = logs.begin(attempt, now).unwrap();
            let mode = fs::metadata(log.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o137, 0, "{mode:o}");
            log.path().file_name().unwrap().to_str().unwrap().to_owned()
        })
        .to_vec();
    assert_eq!(
        names,
        [
            "recovery-20231114-221320-attempt-1.log",
            "recovery-20231114-221420-attempt-2.log",
            "recovery-20231114-221421-attempt-2.log",
        ]
    );
}

#[test]
fn what_the_last_worker_printed_is_put_aside() {
    let (_dir, logs) = logs();
    for said in ["first", "second", "third"] {
        let path = logs.output_of("worker").unwrap();
        assert!(!path.exists());
        fs::write(&path, said).unwrap();
    }
    let path = logs.output_of("worker").unwrap();
    assert_eq!(fs::read_to_string(path.with_extension("out.old")).unwrap(), "third");
}

#[test]
fn a_link_in_the_place_of_a_log_is_not_followed() {
    let (dir, logs) = logs();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    logs.ensure().unwrap();
    let place = dir.path().join("log/pg/recovery-20231114-221320-attempt-1.log");
    symlink(&victim, &place).unwrap();
    let log = logs.begin(1, NOW).unwrap();
    log.note("x");
    assert_ne!(log.path(), place);
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn what_a_worker_could_not_say_any_more_is_said_in_its_log() {
    let (dir, logs) = logs();
    assert!(logs.reopen(1).unwrap().is_none());
    let [_, newest, _] = [(1, NOW), (1, NOW + 9), (2, NOW + 10)].map(|(attempt, now)| {
        let log = logs.begin(attempt, now).unwrap();
        log.note("begun");
        log.path().to_owned()
    });
    assert!(logs.reopen(3).unwrap().is_none());
    let again = logs.reopen(1).unwrap().unwrap();
    assert_eq!(again.path(), newest);
    again.note("ended by a stop");
    again.result(&summary(1, again.path())).unwrap();
    let seen = lines(&again);
    assert_eq!(seen[..2], ["begun", "ended by a stop"]);
    assert_eq!(logs.last_summary(), Kept::Read(summary(1, &newest)));
    for place in ["a link", "a pipe"] {
        fs::remove_file(&newest).unwrap();
        match place {
            "a link" => symlink(dir.path().join("x"), &newest).unwrap(),
            _ => nix::unistd::mkfifo(&newest, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        }
        assert!(logs.reopen(1).is_err(), "{place}");
    }
    assert!(!dir.path().join("x").exists());
}

#[test]
fn plan_steps_commands_and_result_are_lines_with_their_time() {
    let (_dir, logs) = logs();
    let log = logs.begin(3, NOW).unwrap();
    log.plan(&["check the source", "copy"]);
    log.step(1, "check the source");
    let exec = Logged::new(&System, &log);
    exec.run(&Cmd::new("printf").arg("one\\n\\na\\rb\\n")).unwrap();
    exec.run(&Cmd::new("/usr/bin/cat").arg("/no such/file")).unwrap();
    exec.run(&Cmd::new("no-such-program-of-anybody")).unwrap_err();
    let answers = exec.run_all(&[Cmd::new("true"), Cmd::new("false")]);
    assert!(answers[0].as_ref().unwrap().ok() && !answers[1].as_ref().unwrap().ok());
    log.note("first\nsecond \u{1b}[2J");
    log.result(&summary(3, log.path())).unwrap();

    let untimed = |line: &String| match line.find(" after ") {
        Some(at) if line.contains(" ended ") => line[..at].to_owned(),
        _ => line.clone(),
    };
    let seen: Vec<String> = lines(&log).iter().map(untimed).collect();
    let failed = seen.iter().position(|line| line.starts_with("no-such-program")).unwrap();
    assert!(seen[failed].contains("was not found in"), "{}", seen[failed]);
    let seen: Vec<&str> =
        seen.iter().enumerate().filter(|(at, _)| *at != failed).map(|(_, s)| s.as_str()).collect();
    assert_eq!(
        seen,
        [
            "plan:",
            "  1. check the source",
            "  2. copy",
            "step 1: check the source",
            r"run printf 'one\n\na\rb\n'",
            "  out| one",
            "  out| a",
            "  out| b",
            "printf ended with code 0",
            "run /usr/bin/cat '/no such/file'",
            "  err| /usr/bin/cat: '/no such/file': No such file or directory",
            "cat ended with code 1",
            "run no-such-program-of-anybody",
            "run true",
            "run false",
            "true ended with code 0",
            "false ended with code 1",
            "first\\nsecond \\u{1b}[2J",
            "result: Failed in phase copying after 65 s, 4096 bytes copied: no room on /data; next: df /data",
        ]
    );
}

#[test]
fn a_flood_of_output_keeps_its_begin_and_its_end() {
    let (_dir, logs) = logs();
    let log = logs.begin(1, NOW).unwrap();
    let stdout: String = (0..100_000).fold(String::new(), |all, n| all + &format!("line {n}\n"));
    let output = Output { ended: Ended::TimedOut, stdout, stderr: "x".repeat(100_000) };
    log.ended(
        &Cmd::new("/usr/bin/yes").user("postgres"),
        &Ok(output),
        Duration::from_millis(1_002),
    );
    let seen = lines(&log);
    assert_eq!(seen.len(), 2 * EITHER_END + 1 + 1 + 1);
    assert_eq!(seen[0], "  out| line 0");
    assert_eq!(seen[EITHER_END - 1], "  out| line 199");
    assert_eq!(seen[EITHER_END], "  out| (99600 lines left out)");
    assert_eq!(seen[EITHER_END + 1], "  out| line 99800");
    assert_eq!(seen[2 * EITHER_END], "  out| line 99999");
    assert!(seen[2 * EITHER_END + 1].ends_with("xxx..."));
    assert_eq!(seen.last().unwrap(), "yes took too long and was killed after 1.002 s");
}

#[test]
fn a_command_is_shown_as_it_would_be_typed() {
    for (cmd, text) in [
        (Cmd::new("pg_rewind").arg("--progress"), "pg_rewind --progress"),
        (Cmd::new("x").user("postgres"), "as postgres: x"),
        (Cmd::new("x").args(["a b", "", "host=n2 port=5432"]), "x 'a b' '' 'host=n2 port=5432'"),
        (Cmd::new("x").args(["it's", "$HOME", "a=b"]), "x 'it'\\''s' '$HOME' a=b"),
    ] {
        assert_eq!(shown(&cmd), text);
    }
}

#[test]
fn the_newest_twenty_attempts_stay_and_always_the_one_being_written() {
    let (dir, logs) = logs();
    for number in 0..30_u32 {
        let log = logs.begin(number, NOW + i64::from(number)).unwrap();
        fs::write(log.path().with_extension("json"), "{}").unwrap();
    }
    let at = dir.path().join("log/pg");
    for name in ["recovery-notes.log", "worker.out", "recovery-20231114-221320-attempt-x.log"] {
        fs::write(at.join(name), "an operator's").unwrap();
    }
    fs::create_dir(at.join("recovery-20000101-000000-attempt-1.log")).unwrap();
    // The clock was set back: this one is the oldest by its name.
    let log = logs.begin(7, 0).unwrap();
    log.note("x");
    assert!(log.path().exists());
    let left: Vec<String> = fs::read_dir(&at)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let ends = |end: &str| left.iter().filter(|name| name.ends_with(end)).count();
    // 19 and the current one; two others that are no attempts' and the directory.
    assert_eq!((ends(".json"), ends(".log")), (19, 20 + 3));
    assert!(left.contains(&"recovery-20231114-221349-attempt-29.json".to_owned()), "{left:?}");
    assert!(!left.iter().any(|name| name.starts_with("recovery-20231114-221330")), "{left:?}");
}

#[test]
fn which_files_are_too_old_is_told_by_their_attempts() {
    let name = |number: u32, end: &str| format!("recovery-20231114-2213{number:02}-attempt-1{end}");
    let names: Vec<String> =
        (10..40).flat_map(|number| [name(number, ".log"), name(number, ".json")]).collect();
    let old = too_old(&names, &name(10, ""));
    // 20 stay: the current one, though it is the oldest, and 21 to 39.
    assert_eq!(old.len(), 2 * 10);
    assert!(
        !old.contains(&name(10, ".log").as_str()) && !old.contains(&name(21, ".json").as_str())
    );
    assert!(old.contains(&name(11, ".log").as_str()) && old.contains(&name(20, ".json").as_str()));
    assert_eq!(too_old(&names[..40], &name(10, "")), Vec::<&str>::new());
    // In one second, the number decides, as a number.
    let of = Attempt::of;
    assert!(
        of("recovery-20231114-221320-attempt-10.log")
            > of("recovery-20231114-221320-attempt-9.json")
    );
    for other in [
        "recovery-20231114-221320-attempt-.log",
        "recovery-20231114-221320-attempt-1.txt",
        "recovery-20231114-221320-attempt-+1.log",
        "recovery-2023114-221320-attempt-1.log",
        "recovery-20231114-221320-try-1.log",
        ".recovery-20231114-221320-attempt-1.json.77.pgtwin-tmp",
        "recovery.log",
    ] {
        assert_eq!(of(other), None, "{other}");
    }
}

#[test]
fn the_last_summary_is_missing_read_or_unreadable() {
    let (dir, logs) = logs();
    assert_eq!(logs.last_summary(), Kept::Missing);
    let first = logs.begin(1, NOW).unwrap();
    assert_eq!(logs.last_summary(), Kept::Missing);
    first.result(&summary(1, first.path())).unwrap();
    let second = logs.begin(2, NOW + 1).unwrap();
    assert_eq!(logs.last_summary(), Kept::Read(summary(1, first.path())));
    second.result(&summary(2, second.path())).unwrap();
    assert_eq!(logs.last_summary(), Kept::Read(summary(2, second.path())));
    let json = second.path().with_extension("json");
    let text = fs::read_to_string(&json).unwrap();
    assert!(
        text.contains("\"outcome\": \"failed\"") && text.contains("\"phase\": \"copying\""),
        "{text}"
    );
    fs::write(&json, "{}").unwrap();
    assert!(matches!(logs.last_summary(), Kept::Unreadable(_)));
    fs::remove_file(&json).unwrap();
    symlink(dir.path(), &json).unwrap();
    assert!(matches!(logs.last_summary(), Kept::Unreadable(_)));
}

/// Watches, and does not know how to wait for the whole output.
struct Watcher;

impl Exec for Watcher {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        panic!("{} is run to its end before anything of it is shown", cmd.program)
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        let tag = cmd.env.iter().find(|(name, _)| name == crate::sys::detach::TAG);
        line(&format!("1/2 kB (50%) of {}", tag.map_or("nobody", |(_, tag)| tag)));
        Ok(Output { ended: Ended::Exited(0), stdout: String::new(), stderr: "done".into() })
    }
}

#[test]
fn a_worker_sees_the_progress_of_its_commands_while_they_run() {
    let (_dir, logs) = logs();
    let log = logs.begin(1, NOW).unwrap();
    let worker = crate::sys::detach::myself().unwrap();
    let tagged = crate::sys::detach::Tagged::new(&Watcher, &worker);
    let logged = Logged::new(&tagged, &log);
    let mut seen = Vec::new();
    let output =
        logged.run_watched(&Cmd::new("pg_basebackup"), &mut |line| seen.push(line.to_owned()));
    assert!(output.unwrap().ok());
    assert_eq!(seen, [format!("1/2 kB (50%) of {worker}")]);
    let written = lines(&log).join("\n");
    assert!(written.contains("pg_basebackup") && written.contains("done"), "{written}");
}
