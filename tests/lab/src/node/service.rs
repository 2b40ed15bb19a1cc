//! Corosync and Pacemaker as services: start, orderly stop.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::boot::ENABLED;

/// Starts both where they do not run, and has them started at the next boot.
pub fn start() -> Result<(), String> {
    fs::write(ENABLED, "").map_err(|error| format!("cannot write {ENABLED}: {error}"))?;
    if pid_of("corosync").is_none() {
        // Without real-time scheduling it gives its process group a nice value of -20; Pacemaker,
        // started next, inherits that, and Pacemaker gives its agents 0 again. On a machine of
        // two processors that carries a whole cluster this is as well.
        quiet("corosync", &[])?;
        wait("corosync answers", 20, || {
            Command::new("corosync-cfgtool")
                .arg("-s")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })?;
    }
    if pid_of("pacemakerd").is_none() {
        // A session of its own, and no terminal: it outlives the command that started it.
        Command::new("setsid")
            .args(["--fork", "pacemakerd"])
            .env("PCMK_logfacility", "daemon")
            .env("PCMK_logfile", "/var/log/pacemaker/pacemaker.log")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("cannot start pacemakerd: {error}"))?;
        wait("pacemakerd runs", 10, || pid_of("pacemakerd").is_some())?;
    }
    Ok(())
}

/// Stops both, and does not have them started at the next boot.
pub fn stop() -> Result<(), String> {
    let _ = fs::remove_file(ENABLED);
    stop_pacemaker()?;
    end("corosync", 30)
}

/// Stops Pacemaker, which stops the node's resources first.
pub fn stop_pacemaker() -> Result<(), String> {
    end("pacemakerd", 200)
}

/// Ends a process in an orderly way, and waits for that.
pub fn end(name: &str, seconds: u64) -> Result<(), String> {
    let Some(pid) = pid_of(name) else { return Ok(()) };
    kill(pid, Signal::SIGTERM).map_err(|errno| format!("cannot stop {name}: {errno}"))?;
    wait(&format!("{name} has ended"), seconds, || pid_of(name) != Some(pid))
}

fn quiet(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let log = fs::read_to_string("/var/log/corosync/corosync.log").unwrap_or_default();
    let reason: Vec<&str> = log.lines().filter(|line| line.contains(" error ")).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} does not start: {said}{}", reason.join("; ")))
}

/// Waits until a condition holds.
pub fn wait(what: &str, seconds: u64, holds: impl Fn() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        if Instant::now() >= deadline {
            return Err(format!("waited {seconds} s in vain until {what}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The process of a name that is not a zombie.
pub fn pid_of(name: &str) -> Option<Pid> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat =
            fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let (_, comm) = before.split_once('(')?;
        (comm == name && !after.trim_start().starts_with('Z')).then(|| Pid::from_raw(pid))
    })
}
