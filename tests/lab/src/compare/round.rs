//! One blow under load: how long writes stand still, what is lost, who writes beside whom, and whether the
//! node that was struck is back in its place without anybody's help.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::clock::date;
use crate::cluster::Cluster;
use crate::compare::blow::Blow;
use crate::compare::record::Measured;
use crate::error::{LabError, Result};
use crate::host;
use crate::progress::say;
use crate::workload::checker::Verdict;
use crate::workload::route::Route;
use crate::workload::watcher::Watcher;
use crate::workload::writer::{Manner, WriteLog, Writer};

/// How long the writer works before the blow.
const BEFORE: Duration = Duration::from_secs(3);
/// How long writes may stand still before it is said that they did not go on: more than the longest time that
/// one of the compared gives an operation, which is 120 s for a demotion in PAF's quick start.
pub const LIMIT: Duration = Duration::from_mins(3);
/// How long a node that was made whole may take to be back before it is said that it did not come by itself.
pub const RETURN: Duration = Duration::from_mins(2);
/// Within this time after the blow whatever is found out is found out: a pause may begin late.
const AT_LEAST: Duration = Duration::from_secs(10);
/// Writes went through for so long, and so many: the service is back.
const STEADY: Duration = Duration::from_secs(3);
const MANY: usize = 20;
/// A longer time without an acknowledgement is a pause.
const PAUSE: Duration = Duration::from_millis(500);

/// Strikes a healthy cluster. It is left as it comes out: well if `back` is there.
pub fn play(cluster: &Cluster, blow: Blow) -> Result<Measured> {
    let old = cluster.primary()?;
    let node = if blow.hits_a_standby() {
        let others = cluster.others(&old);
        others.into_iter().next().ok_or_else(|| LabError::plain("there is no standby"))?
    } else {
        old.clone()
    };
    let (at, load) = (date(SystemTime::now()), host::load());
    let addresses: Vec<String> =
        cluster.nodes().iter().map(|name| cluster.addresses.node(name)).collect();
    let watcher = Watcher::start(cluster, Some(&old));
    let writer = Writer::start_in(Manner {
        route: Route::among(&addresses, "lab_writer"),
        pause: Duration::from_millis(20),
        retry: Duration::from_millis(50),
        keeps_sessions: false,
    });
    writer.wait_more(cluster, MANY, Duration::from_secs(30))?;
    thread::sleep(BEFORE);
    let begin = Instant::now();
    blow.strike(cluster, &node)?;
    // Nothing is asked of the cluster meanwhile: it would cost the machine something.
    let is_over = |log: &WriteLog| begin.elapsed() >= AT_LEAST && is_steady(log, Instant::now());
    while !is_over(&writer.log()) && begin.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(200));
    }
    let log = writer.log();
    let outage = is_over(&log).then(|| millis(log.outage(begin)));
    say(match outage {
        Some(outage) => format!("{blow} on {node}: writes stood still for {outage} ms"),
        None => format!("{blow} on {node}: no writes within {} s", LIMIT.as_secs()),
    });
    let whole = Instant::now();
    blow.make_whole(cluster, &node)?;
    let back = comes_back(cluster).then(|| millis(whole.elapsed()));
    if back.is_none() {
        say(format!("{node} is not back by itself\n{}", cluster.dump()));
    }
    say(back.map_or_else(|| "not back".to_owned(), |time| format!("all is well after {time} ms")));
    thread::sleep(Duration::from_secs(2));
    let log = writer.stop();
    let seen = watcher.stop();
    let new = cluster.primary().ok();
    let verdict = new.as_ref().and_then(|primary| Verdict::on(cluster, primary, &log).ok());
    if let Some(verdict) = &verdict {
        say(verdict.to_string());
    }
    Ok(Measured {
        product: cluster.options.agent,
        blow,
        at,
        load,
        node,
        old,
        new,
        outage,
        acknowledged: log.acknowledgements().len(),
        lost: verdict.map(|one| one.lost.len()),
        dual: seen.dual_samples(),
        back,
        outage_of_return: millis(longest_pause(&log, whole)),
    })
}

/// True as soon as all is well, within the limit. It is not asked too often, for that is work, too.
fn comes_back(cluster: &Cluster) -> bool {
    let end = Instant::now() + RETURN;
    loop {
        if cluster.running().len() == cluster.nodes().len() && cluster.is_healthy() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// The longest time without an acknowledgement, from a moment on.
fn longest_pause(log: &WriteLog, since: Instant) -> Duration {
    let mut last = since;
    let mut longest = Duration::ZERO;
    for at in log.acknowledgements().into_iter().filter(|at| *at > since).chain([log.end]) {
        longest = longest.max(at.saturating_duration_since(last));
        last = at;
    }
    longest
}

/// Writes went through without a pause until now.
fn is_steady(log: &WriteLog, now: Instant) -> bool {
    let since = now.checked_sub(STEADY).unwrap_or(now);
    let times: Vec<Instant> =
        log.acknowledgements().into_iter().filter(|at| *at >= since && *at <= now).collect();
    let bounds = [since].into_iter().chain(times.iter().copied()).chain([now]);
    let later = times.iter().copied().chain([now]);
    times.len() >= MANY
        && bounds.zip(later).all(|(one, next)| next.saturating_duration_since(one) <= PAUSE)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::writer::{Attempt, Outcome};

    #[test]
    fn the_service_is_back_when_writes_go_through_for_a_while() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let log = |times: Vec<u64>| {
            let row =
                |ms: u64| Attempt { id: 1, sent: at(ms), outcome: Outcome::Acknowledged(at(ms)) };
            let attempts = times.into_iter().map(row).collect();
            WriteLog { run: 1, attempts, failed_connections: 0, begin, end: at(9000) }
        };
        let all: Vec<u64> = (6000..9000).step_by(100).collect();
        let pause = |ms: &u64| !(7000..7600).contains(ms);
        for (name, times, steady) in [
            ("without a pause", all.clone(), true),
            ("a pause in between", all.iter().copied().filter(pause).collect(), false),
            ("not for long", all.iter().copied().filter(|ms| *ms > 6600).collect(), false),
            ("none at the end", all.iter().copied().filter(|ms| *ms < 8400).collect(), false),
            ("hardly any", (6000..9000).step_by(400).collect(), false),
            ("none", Vec::new(), false),
        ] {
            assert_eq!(is_steady(&log(times), at(9000)), steady, "{name}");
        }
        let late = log(vec![100, 200, 8500]);
        assert_eq!(
            longest_pause(&late, at(8000)),
            Duration::from_millis(500),
            "not the one before"
        );
    }
}
