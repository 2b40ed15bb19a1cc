//! How long writes stand still, as the writer sees it through the cluster's address.

use std::fmt::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::figures::Spread;
use crate::clock::{clock, stamp, system_time, time_of_day};
use crate::cluster::Cluster;
use crate::config::PRIMITIVE;
use crate::error::{LabError, Result};
use crate::faults::Fault;
use crate::progress::say;
use crate::workload::checker::Verdict;
use crate::workload::writer::{WriteLog, Writer};

/// How long the writer works before the fault.
const BEFORE: Duration = Duration::from_secs(2);
/// A shorter pause between two acknowledgements is none: a machine at work makes such pauses.
const PAUSE: Duration = Duration::from_millis(300);
/// So many acknowledgements after a pause, and the service is back.
const BACK: usize = 30;
/// How long an outage may take before the benchmark gives up.
const LIMIT: Duration = Duration::from_mins(2);

/// One outage.
#[derive(Debug, Clone, Copy)]
struct Outage {
    whole: Duration,
    /// From the last acknowledged write to the failed monitor.
    found: Option<Duration>,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s", self.whole.as_secs_f64())?;
        self.found.map_or(Ok(()), |found| write!(f, ", found after {:.2} s", found.as_secs_f64()))
    }
}

/// So many rounds of one fault.
pub fn measure(cluster: &Cluster, fault: Fault, rounds: u32) -> Result<String> {
    let mut outages = Vec::new();
    let mut moved = 0;
    for round in 1..=rounds {
        cluster.wait_healthy(LIMIT)?;
        // Everything that goes on for a moment after that, and another phase of the monitors.
        thread::sleep(Duration::from_secs(3) + Duration::from_millis(700) * round);
        let old = primary(cluster)?;
        let outage = one(cluster, fault, &old)?;
        let new = primary(cluster)?;
        say(format!("{fault:?} {round}/{rounds}: {old} -> {new}, {outage}"));
        moved += u32::from(new != old);
        outages.push(outage);
        repair(cluster, fault, &old)?;
    }
    Ok(report(fault, &outages, moved))
}

/// Whoever it is: a machine at work may leave a question without an answer.
pub fn primary(cluster: &Cluster) -> Result<String> {
    cluster.wait_for("there is one primary", LIMIT, || cluster.primary().ok())
}

fn repair(cluster: &Cluster, fault: Fault, old: &str) -> Result<()> {
    match fault {
        Fault::Move => cluster.clear_moves(),
        Fault::KillNode => cluster.power_on(old),
        _ => cluster.cleanup(),
    }
}

fn one(cluster: &Cluster, fault: Fault, old: &str) -> Result<Outage> {
    let writer = Writer::start(cluster);
    thread::sleep(BEFORE);
    let at = Instant::now();
    fault.inject(cluster, None)?;
    let done = Instant::now();
    // Nothing is asked of the cluster meanwhile: it would cost the machine something.
    while !is_back(&writer.log(), done) {
        if at.elapsed() > LIMIT {
            return Err(LabError::plain(format!("no writes {LIMIT:?} after {fault:?} on {old}")));
        }
        thread::sleep(Duration::from_millis(200));
    }
    let log = writer.stop();
    primary(cluster)?;
    let verdict = Verdict::of(cluster, &log)?;
    if !verdict.is_clean() {
        return Err(LabError::plain(format!("writes were lost in {fault:?}: {verdict}")));
    }
    let whole = log.outage(at);
    let begin = log.gaps(PAUSE).into_iter().find(|(_, length)| *length == whole);
    let begin = begin.map_or(at, |(since, _)| log.begin + since);
    say(format!("no writes from {} to {}", clock(of_day(begin)), clock(of_day(begin + whole))));
    let found = match fault {
        Fault::KillPostmaster => found(&cluster.logs(old)?, of_day(begin)),
        _ => None,
    };
    Ok(Outage { whole, found })
}

/// A pause has ended after the fault, and writes went on.
fn is_back(log: &WriteLog, fault: Instant) -> bool {
    let times = log.acknowledgements();
    let pause = times.windows(2).rposition(|pair| match pair {
        [one, two] => *two > fault && two.duration_since(*one) > PAUSE,
        _ => false,
    });
    pause.is_some_and(|at| times.len() - at > BACK)
}

/// The time of day of a moment that is not long ago: a node's log has no other.
fn of_day(at: Instant) -> Duration {
    time_of_day(system_time(at))
}

/// How long after `since` a monitor of the primary was reported as failed.
fn found(log: &str, since: Duration) -> Option<Duration> {
    let about = format!("Result of monitor operation for {PRIMITIVE}");
    let fine = |line: &&str| [": OK ", ": Promoted "].iter().any(|end| line.ends_with(end));
    let lines = log.lines().filter(|line| line.contains(&about) && !fine(line));
    let times = lines.filter_map(|line| stamp(line.get(..12)?));
    times.filter_map(|at| at.checked_sub(since)).min()
}

fn report(fault: Fault, outages: &[Outage], moved: u32) -> String {
    let what = Fault::ALL.iter().find(|(one, ..)| *one == fault).map_or("", |(_, _, what)| what);
    let mut text = format!("{what}: {} rounds, another primary in {moved}\n", outages.len());
    let mut row = |name: &str, spread: Option<Spread>| {
        let value = spread.map_or_else(|| "not seen".to_owned(), |spread| spread.to_string());
        let _ = writeln!(text, "  {name:<42}{value}");
    };
    row("writes stood still", Spread::of(outages.iter().map(|one| one.whole)));
    if fault == Fault::KillPostmaster {
        row(
            "  until a monitor had found it",
            Spread::of(outages.iter().filter_map(|one| one.found)),
        );
        let rest = outages.iter().filter_map(|one| one.whole.checked_sub(one.found?));
        row("  from there to the first write", Spread::of(rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_monitor_is_the_first_one_after_the_fault() {
        let log = "10:00:01.000 x: Result of monitor operation for pgtwin on n1: Failed (a) \n\
                   10:00:05.250 x: Result of monitor operation for pgtwin on n1: Promoted \n\
                   10:00:06.500 x: Result of monitor operation for pgtwin on n1: Failed (b) \n";
        let after = |time| stamp(time).and_then(|since| found(log, since));
        assert_eq!(after("10:00:04.000"), Some(Duration::from_millis(2500)));
        assert_eq!(after("10:00:07.000"), None);
    }
}
