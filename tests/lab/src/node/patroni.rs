//! Patroni and etcd as services: start, orderly stop.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use lab::rivals::patroni::{CONFIG, ETCD, LOGS};
use nix::unistd::User;

use crate::service::{end, pid_of, wait};

/// Exists where both are to be started at boot.
pub const ENABLED: &str = "/etc/lab-patroni-enabled";

/// Starts etcd where it does not run. It answers once it has a majority, which is not waited for.
pub fn start_etcd() -> Result<(), String> {
    if pid_of("etcd").is_some() {
        return Ok(());
    }
    launch(&["etcd", "--config-file", ETCD])?;
    wait("etcd runs", 10, || pid_of("etcd").is_some())
}

/// Starts both where they do not run, and has them started at the next boot.
pub fn start() -> Result<(), String> {
    fs::write(ENABLED, "").map_err(|error| format!("cannot write {ENABLED}: {error}"))?;
    start_etcd()?;
    if pid_of("patroni").is_some() {
        return Ok(());
    }
    let as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
    launch(&[&as_postgres[..], &["patroni", CONFIG]].concat())?;
    wait("patroni runs", 10, || pid_of("patroni").is_some())
}

/// Stops both, and does not have them started at the next boot.
pub fn stop() -> Result<(), String> {
    let _ = fs::remove_file(ENABLED);
    end("patroni", 200)?;
    end("etcd", 30)
}

/// In a session of its own: it outlives the command that started it.
fn launch(command: &[&str]) -> Result<(), String> {
    let said = said()?;
    let said_too = said.try_clone().map_err(|error| error.to_string())?;
    Command::new("setsid")
        .arg("--fork")
        .args(command)
        .env("HOME", "/var/lib/postgresql")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(said)
        .stderr(said_too)
        .status()
        .map(drop)
        .map_err(|error| format!("cannot start {}: {error}", command.join(" ")))
}

/// What they say before they have logs of their own.
fn said() -> Result<File, String> {
    let path = Path::new(LOGS).join("output");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let user = User::from_name("postgres").ok().flatten().ok_or("no user postgres")?;
    let file = file.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .map_err(|error| format!("cannot give {} away: {error}", path.display()))?;
    Ok(file)
}
