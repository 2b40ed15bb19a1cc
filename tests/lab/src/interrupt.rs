//! Ctrl-C, or SIGTERM, while something is built or shown: what there is of it is removed, then the command
//! ends.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::error::chain;
use lab::progress::set_quiet;
use lab::{cluster, docker, host, image};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getpgrp};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RETURNED: AtomicBool = AtomicBool::new(false);

/// True once a signal has come: what fails from then on, fails because of it.
pub fn is_under_way() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The command has ended, and has taken its temporary files with it.
pub fn has_returned() {
    RETURNED.store(true, Ordering::Relaxed);
}

/// From now on a signal removes `lab`, if there is one, and ends the process; without `keep_engine` also a
/// dockerd that a lab had started and that no lab needs any more.
pub fn clean_up(lab: Option<String>, keep_engine: bool) {
    thread::spawn(move || {
        if !await_signal() {
            return;
        }
        INTERRUPTED.store(true, Ordering::Relaxed);
        set_quiet(true);
        let what = lab.as_ref().map_or_else(String::new, |name| format!(", removing {name}"));
        eprintln!("lab: interrupted{what}");
        await_return();
        // Twice: the first may have overtaken a container that was just being made.
        for _ in 0..2 {
            if let Some(Err(error)) = lab.as_ref().map(|name| cluster::remove_lab(name)) {
                eprintln!("lab: {}", chain(&error));
            }
            let mine = docker::this_process();
            let _ = docker::remove(|one| one.owner == mine);
        }
        if !keep_engine && let Err(error) = host::stop_engine() {
            eprintln!("lab: {}", chain(&error));
        }
        std::process::exit(130);
    });
}

/// False where signals cannot be waited for.
fn await_signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    runtime.block_on(async {
        let kinds = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(mut interrupt), Ok(mut terminate)) = kinds else { return false };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        true
    })
}

/// Lets the command end by itself and remove its temporary files, within a bound: as a rule it does once the
/// programs have ended that it waits for. The build of an image gets more time: debootstrap takes away what it
/// has mounted when it is told to end.
fn await_return() {
    let (soon, late) = (Duration::from_secs(2), Duration::from_secs(30));
    let begun = Instant::now();
    while !RETURNED.load(Ordering::Relaxed)
        && begun.elapsed() < if image::is_building() { late } else { soon }
    {
        for child in children() {
            // It may have ended meanwhile.
            let _ = kill(child, Signal::SIGTERM);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The programs that this one waits for. The engine, which has a session of its own, is none of them.
fn children() -> Vec<Pid> {
    let me = std::process::id().to_string();
    let is_mine = |stat: &str| {
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(1) == Some(me.as_str())
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| is_mine(&s)))
        .filter(|pid| getpgid(Some(*pid)) == Ok(getpgrp()))
        .collect()
}
