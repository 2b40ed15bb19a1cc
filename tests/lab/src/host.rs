//! The machine the lab runs on: the tools it needs, the container engine, and the directory
//! where a lab keeps what it must remember.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker;
use crate::error::{LabError, Result};
use crate::progress::{say, step};
use crate::run::Run;

/// What is run, and the Debian package that has it.
const TOOLS: [(&str, &str); 2] =
    [("/usr/sbin/dockerd", "docker.io"), ("/usr/sbin/debootstrap", "debootstrap")];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Directory of all labs on this machine.
pub fn state_dir() -> PathBuf {
    std::env::temp_dir().join("pgtwin-lab")
}

/// Directory of one lab: its options, and what its nodes share with it.
pub fn lab_dir(name: &str) -> PathBuf {
    state_dir().join(name)
}

/// The three load averages of the machine.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A lock between processes, held until dropped.
pub fn lock(name: &str) -> Result<Flock<File>> {
    let path = state_dir().join(format!("{name}.lock"));
    fs::create_dir_all(state_dir()).map_err(LabError::io("create the lab's directory"))?;
    let file = File::create(&path).map_err(LabError::io(format!("create {}", path.display())))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| LabError::plain(format!("cannot lock {}: {errno}", path.display())))
}

/// Makes the tools and the engine available; says what it installs or starts.
pub fn prepare() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::plain("the lab needs root: it builds images and starts containers"));
    }
    let _lock = lock("host")?;
    if engine_answers() {
        return Ok(());
    }
    if which("dockerd").is_none() {
        install(&["docker.io"])?;
    }
    start_engine()
}

/// Makes what an image is built with available.
pub fn prepare_build() -> Result<()> {
    let mut missing: Vec<&str> = Vec::new();
    for (program, package) in TOOLS {
        let name = program.rsplit('/').next().unwrap_or(program);
        if package != "docker.io" && which(name).is_none() {
            missing.push(package);
        }
    }
    if !Path::new(KEYRING).exists() {
        missing.push("debian-archive-keyring");
    }
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    step(&format!("installing {names}"), || {
        let apt = |args: &[&str]| {
            Run::new("apt-get")
                .args(args)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .limit(Duration::from_mins(10))
        };
        apt(&["update", "-q"]).check()?;
        let fixed = ["install", "-q", "-y", "--no-install-recommends"];
        let args: Vec<&str> = fixed.into_iter().chain(packages.iter().copied()).collect();
        apt(&args).check().map(drop)
    })
}

fn engine_answers() -> bool {
    Run::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .limit(Duration::from_secs(10))
        .output()
        .is_ok_and(|output| output.ok())
}

fn pid_file() -> PathBuf {
    state_dir().join("dockerd.pid")
}

fn start_engine() -> Result<()> {
    say("nobody runs dockerd: starting it");
    let path = state_dir().join("dockerd.log");
    let log = File::create(&path).map_err(LabError::io(format!("create {}", path.display())))?;
    let log_too = log.try_clone().map_err(LabError::io("duplicate a file"))?;
    // A session of its own: Ctrl-C on the lab must not kill the engine under the containers.
    let mut child = Command::new("setsid")
        .arg(which("dockerd").unwrap_or_else(|| "dockerd".into()))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(LabError::io("start dockerd"))?;
    let pid = child.id();
    // Somebody must reap it when it is stopped by this process.
    thread::spawn(move || child.wait());
    let deadline = Instant::now() + Duration::from_secs(40);
    while !engine_answers() {
        if Instant::now() >= deadline {
            let text = fs::read_to_string(&path).unwrap_or_default();
            return Err(LabError::plain(format!(
                "dockerd does not answer; the end of {}:\n{}",
                path.display(),
                crate::run::tail(&text, 10)
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
    fs::write(pid_file(), pid.to_string()).map_err(LabError::io("note dockerd's pid"))
}

/// Stops the engine if a lab started it and no lab is left. True if it was stopped.
pub fn stop_engine() -> Result<bool> {
    let _lock = lock("host")?;
    let Ok(text) = fs::read_to_string(pid_file()) else { return Ok(false) };
    let ours = |pid: i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "dockerd")
    };
    let Some(pid) = text.trim().parse::<i32>().ok().filter(|pid| ours(*pid)) else {
        let _ = fs::remove_file(pid_file());
        return Ok(false);
    };
    if !docker::containers()?.is_empty() {
        return Ok(false);
    }
    say("stopping the dockerd that the lab had started");
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .map_err(|errno| LabError::plain(format!("cannot stop dockerd ({pid}): {errno}")))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while ours(pid) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    let _ = fs::remove_file(pid_file());
    Ok(true)
}
