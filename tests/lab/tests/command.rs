//! The `lab` command as people type it, on clusters of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::run::{Output, Run};
use lab::{Result, docker, host};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const LAB: &str = env!("CARGO_BIN_EXE_lab");

/// A name that no other test has.
fn name(what: &str) -> String {
    format!("t{}-{what}", std::process::id())
}

/// Runs `lab --name NAME …` to its end.
fn lab(name: &str, args: &[&str]) -> Result<Output> {
    let run = Run::new(LAB).args(["--name", name]).args(args);
    let output = run.limit(Duration::from_mins(10)).output()?;
    eprintln!("lab {}: {}\n{}", args.join(" "), output.code, output.all());
    Ok(output)
}

/// The same; it has to succeed. Gives what it printed.
fn printed(name: &str, args: &[&str]) -> Result<String> {
    let output = lab(name, args)?;
    assert_eq!(output.code, 0, "lab {}", args.join(" "));
    Ok(output.text())
}

/// Removes a lab whose test has failed half way.
struct Removed<'a>(&'a str);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = lab::cluster::remove_lab(self.0);
    }
}

/// A command that is at work; killed when its test fails.
struct AtWork(Child);

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// No container, no network and no file is left of this lab.
fn assert_nothing_left(name: &str) -> Result<()> {
    let mut left = docker::containers()?;
    left.extend(docker::networks()?);
    left.retain(|one| one.lab == name);
    assert!(left.is_empty(), "{left:?}");
    assert!(!host::lab_dir(name).exists(), "{} is still there", host::lab_dir(name).display());
    Ok(())
}

/// The value of a row of the demo's report.
fn row<'a>(report: &'a str, title: &str) -> &'a str {
    let found = report.lines().find_map(|line| line.trim().strip_prefix(title));
    found.unwrap_or_else(|| panic!("no row {title:?} in:\n{report}")).trim()
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn the_demo_reports_a_failover_that_lost_nothing_and_cleans_up() -> Result<()> {
    let name = name("demo");
    let _removed = Removed(&name);
    let report = printed(&name, &["demo", "--keep-engine"])?;
    assert_eq!(row(&report, "writes lost"), "0");
    assert_eq!(row(&report, "two writable at once"), "never");
    assert_ne!(row(&report, "primary now"), row(&report, "primary before"), "nobody took over");
    let number = |title| row(&report, title).parse::<u64>().unwrap();
    assert!(number("before the fault") > 0, "{report}");
    assert!(
        number("writes acknowledged") > number("before the fault"),
        "nothing after it: {report}"
    );
    assert_nothing_left(&name)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn the_commands_bring_a_lab_up_show_it_break_it_and_take_it_down() -> Result<()> {
    let name = name("people");
    let _removed = Removed(&name);
    assert_ne!(lab(&name, &["status"])?.code, 0, "there is no such lab yet");
    printed(&name, &["up", "--nodes", "2"])?;
    let status = printed(&name, &["status"])?;
    let primary = row(&status, "primary:").to_owned();
    let standby = if primary == "n1" { "n2" } else { "n1" };
    assert_eq!(row(&status, &format!("{standby}: streaming,")), "quorum", "{status}");

    assert_eq!(printed(&name, &["shell", "n2", "hostname"])?, "n2");
    assert_eq!(lab(&name, &["shell", "n1", "sh", "-c", "exit 7"])?.code, 7);

    assert!(printed(&name, &["fault"])?.contains("kill-postmaster"));
    assert_ne!(lab(&name, &["fault", "earthquake"])?.code, 0);
    printed(&name, &["fault", "move"])?;
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let status = printed(&name, &["status"])?;
        if status.contains(&format!("primary: {standby}")) {
            break;
        }
        assert!(Instant::now() < end, "{standby} does not become the primary:\n{status}");
        thread::sleep(Duration::from_secs(1));
    }

    let logs = printed(&name, &["logs", "n1", "--lines", "500"])?;
    assert!(logs.starts_with("--- n1\n") && logs.contains("pgtwin"), "{logs}");
    assert!(!logs.contains("--- n2\n"), "one node was asked for");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("logs");
    printed(&name, &["logs", "--save", &dir.display().to_string()])?;
    for file in ["n1-syslog", "n2-postgresql.log", "crm_mon"] {
        assert!(std::fs::metadata(dir.join(file)).is_ok_and(|is| is.len() > 0), "{file}");
    }

    printed(&name, &["down", "--keep-engine"])?;
    assert_nothing_left(&name)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn an_interrupted_up_leaves_nothing_behind() -> Result<()> {
    let name = name("interrupted");
    let _removed = Removed(&name);
    // A terminal sends it to all of the group.
    let mut up = Command::new(LAB);
    up.args(["--name", &name, "up"]).stdin(Stdio::null()).process_group(0);
    let mut up = AtWork(up.spawn().unwrap());
    let group = Pid::from_raw(i32::try_from(up.0.id()).unwrap());
    let end = Instant::now() + Duration::from_mins(10);
    while !docker::containers()?.iter().any(|one| one.lab == name) {
        assert!(up.0.try_wait().unwrap().is_none(), "it ended without a container");
        assert!(Instant::now() < end, "it makes no container");
        thread::sleep(Duration::from_millis(50));
    }
    killpg(group, Signal::SIGINT).unwrap();
    assert_eq!(ends_with(&mut up.0, Duration::from_mins(2)), Some(130));
    assert_nothing_left(&name)
}

/// The exit code of a program that ends within a bound.
fn ends_with(child: &mut Child, limit: Duration) -> Option<i32> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < end, "it did not end within {} s", limit.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}
