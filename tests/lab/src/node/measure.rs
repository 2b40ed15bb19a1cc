//! What a monitor costs on this node, next to the bare cost of a connection and a question:
//! measured in turns, so that both meet the same load. The environment of the monitor comes on
//! standard input, one `NAME=VALUE` a line; the samples go to standard output as JSON.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::bench::monitor::{Samples, Taken};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{Uid, User, seteuid};
use tokio_postgres::{Config, NoTls};

const AGENT: &str = "/usr/sbin/pgtwin";
const SOCKETS: &str = "/var/run/postgresql";
/// The number that the newest process of this node's namespace got.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// Between two samples: what the last one has left behind (a backend that ends) is over.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes so many samples of each kind.
pub fn measure(rounds: Option<&String>) -> Result<(), String> {
    let rounds = rounds.and_then(|text| text.parse::<usize>().ok()).ok_or("how many rounds?")?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("no input: {error}"))?;
    let env = pairs(&text);
    let mut samples = Samples::default();
    for _ in 0..rounds {
        samples.bare.push(Taken::of(bare()?));
        std::thread::sleep(PAUSE);
        let before = last_pid()?;
        let (time, code) = run(AGENT, "monitor", &env)?;
        samples.processes.push(last_pid()?.saturating_sub(before));
        samples.monitor.push(Taken::of(time));
        if let Some(code) = code.filter(|code| !samples.codes.contains(code)) {
            samples.codes.push(code);
        }
        std::thread::sleep(PAUSE);
        samples.start.push(Taken::of(run(AGENT, "--version", &env)?.0));
        std::thread::sleep(PAUSE);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    samples.peak_kib = u64::try_from(usage.max_rss()).unwrap_or(0);
    let json = serde_json::to_string(&samples).map_err(|error| error.to_string())?;
    println!("{json}");
    Ok(())
}

/// `NAME=VALUE` lines.
pub fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

/// An agent, from its start to its end.
pub fn run(
    agent: &str,
    action: &str,
    env: &[(&str, &str)],
) -> Result<(Duration, Option<i32>), String> {
    let begin = Instant::now();
    let status = Command::new(agent)
        .arg(action)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run {agent}: {error}"))?;
    Ok((begin.elapsed(), status.code()))
}

/// A connection over the socket as the user postgres, one question, and goodbye.
fn bare() -> Result<Duration, String> {
    let user = User::from_name("postgres").ok().flatten().ok_or("no user postgres")?;
    let begin = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    seteuid(user.uid).map_err(|error| error.to_string())?;
    let asked = runtime.block_on(async {
        let mut config = Config::new();
        config.host(SOCKETS).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(connection);
        let rows = client.simple_query("SELECT pg_is_in_recovery()").await;
        drop(client);
        let _ = driver.await;
        rows
    });
    let time = begin.elapsed();
    seteuid(Uid::from_raw(0)).map_err(|error| error.to_string())?;
    asked.map(|_| time).map_err(|error| lab::error::chain(&error))
}

/// The number of the newest process.
pub fn last_pid() -> Result<u32, String> {
    let text = fs::read_to_string(LAST_PID).map_err(|error| format!("{LAST_PID}: {error}"))?;
    text.trim().parse().map_err(|error| format!("{LAST_PID}: {error}"))
}
