//! The demonstration: a cluster, a writer at work, the primary killed, and a report.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::faults::Fault;
use crate::options::Options;
use crate::progress::say;
use crate::workload::checker::Verdict;
use crate::workload::watcher::Watcher;
use crate::workload::writer::Writer;

/// How long the writer works before the fault, and after the recovery.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(3);
/// How long a failover may take before it counts as failed.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs it; gives the report. An error if something was lost or two nodes were writable.
pub fn demo(options: Options, fault: Fault) -> Result<String> {
    let cluster = Cluster::up(options)?;
    let report = failover(&cluster, fault);
    if report.is_err() {
        say(cluster.dump());
    }
    cluster.down()?;
    report
}

/// The part between `up` and `down`.
pub fn failover(cluster: &Cluster, fault: Fault) -> Result<String> {
    let old = cluster.primary()?;
    say(format!("the primary is {old}; a writer commits rows through {}", cluster.addresses.vip()));
    let writer = Writer::start(cluster);
    let watcher = Watcher::start(cluster, Some(&old));
    thread::sleep(BEFORE);
    let before = writer.acknowledged();
    if before == 0 {
        return Err(LabError::plain("the writer got nothing through in a healthy cluster"));
    }
    let at = Instant::now();
    say(fault.inject(cluster, None)?);
    if fault.moves_the_primary() {
        let new = cluster.wait_new_primary(&old, LIMIT)?;
        say(format!("{new} is the primary"));
    }
    writer.wait_more(cluster, 20, LIMIT)?;
    say("writes go on");
    thread::sleep(AFTER);
    let log = writer.stop();
    let seen = watcher.stop();
    let verdict = Verdict::of(cluster, &log)?;
    let primaries = seen.primaries();
    let two = seen.two_primaries().len();
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<28}{value}");
    };
    row("the fault", format!("{fault:?} on {old}"));
    row("primary before", old.clone());
    row("primary now", verdict.node.clone());
    row("outage", format!("{:.2} s", log.outage(at).as_secs_f64()));
    row("writes acknowledged", verdict.acknowledged.to_string());
    row("  before the fault", before.to_string());
    row("writes lost", verdict.lost.len().to_string());
    row("writes there twice", verdict.duplicated.len().to_string());
    let unknown = verdict.unknown_there + verdict.unknown_absent;
    row("without an answer", format!("{unknown} ({} of them there)", verdict.unknown_there));
    row("instances that took writes", primaries.len().to_string());
    row("two writable at once", if two == 0 { "never".to_owned() } else { format!("{two} times") });
    if verdict.is_clean() && two == 0 {
        return Ok(text);
    }
    Err(LabError::plain(format!("writes were lost, or two instances took them:\n{text}{verdict}")))
}
