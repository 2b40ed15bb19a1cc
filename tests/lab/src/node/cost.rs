//! What high availability costs this node while nothing happens: one monitor after the other, and all that
//! runs here for a while. The samples go to standard output as JSON.

use std::fs;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use lab::compare::cost::{Quiet, Turns};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use crate::measure::{last_pid, pairs, run};

/// The processor time of all processes of this container, with its unit in nanoseconds: cgroups of the first
/// version, and of the second.
const USAGE: [(&str, u64); 2] =
    [("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1), ("/sys/fs/cgroup/cpu.stat", 1000)];
/// Between two monitors: what the last one has left behind (a backend that ends) is over.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs an agent's monitor so many times; its environment comes on standard input, one `NAME=VALUE` a line.
pub fn turns(rounds: Option<&String>, agent: Option<&String>) -> Result<(), String> {
    let rounds = number(rounds).ok_or("how many rounds?")?;
    let agent = agent.ok_or("which agent?")?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("no input: {error}"))?;
    let env = pairs(&text);
    let mut turns = Turns::default();
    for _ in 0..rounds {
        let (before, used) = (last_pid()?, of_children()?);
        let (time, code) = run(agent, "monitor", &env)?;
        turns.processes.push(last_pid()?.saturating_sub(before));
        turns.processor.push(micros(of_children()?.saturating_sub(used)));
        turns.time.push(micros(time));
        if let Some(code) = code.filter(|code| !turns.codes.contains(code)) {
            turns.codes.push(code);
        }
        thread::sleep(PAUSE);
    }
    print(&turns)
}

/// Looks at all of this node, and at the processes of a name, for so many seconds.
pub fn quiet(seconds: Option<&String>, name: Option<&String>) -> Result<(), String> {
    let seconds = number(seconds).ok_or("how many seconds?")?;
    let name = name.map_or("", String::as_str);
    let begin = Instant::now();
    let (all, named, newest) = (of_all()?, of_named(name)?, last_pid()?);
    thread::sleep(Duration::from_secs(seconds));
    let processes = last_pid()?.saturating_sub(newest);
    print(&Quiet {
        time: micros(begin.elapsed()),
        processor: micros(of_all()?.saturating_sub(all)),
        of_named: micros(of_named(name)?.saturating_sub(named)),
        processes,
    })
}

fn number(text: Option<&String>) -> Option<u64> {
    text?.parse().ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn print(samples: &impl serde::Serialize) -> Result<(), String> {
    let json = serde_json::to_string(samples).map_err(|error| error.to_string())?;
    println!("{json}");
    Ok(())
}

/// Of all children that have ended, and theirs.
fn of_children() -> Result<Duration, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

/// Of all processes of this container, also of those that have ended.
fn of_all() -> Result<Duration, String> {
    for (file, unit) in USAGE {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let value = text.lines().next().unwrap_or_default().trim_start_matches("usage_usec ");
        let value: u64 = value.parse().map_err(|error| format!("{file}: {value}: {error}"))?;
        return Ok(Duration::from_nanos(value.saturating_mul(unit)));
    }
    Err(format!("no processor time of this container: {USAGE:?}"))
}

/// Of the processes of this name, and of their children that have ended.
fn of_named(name: &str) -> Result<Duration, String> {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let mut sum = 0;
    for entry in fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?.flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        if before.split_once('(').is_some_and(|(_, comm)| comm == name) {
            // Fields 14 to 17 of proc_pid_stat(5): utime, stime, cutime, cstime.
            let fields = after.split_whitespace().skip(11).take(4);
            sum += fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(Duration::from_millis(sum * 1000 / u64::try_from(ticks).unwrap_or(100)))
}
