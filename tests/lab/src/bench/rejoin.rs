//! How long a node takes to come back: by a rewind, by a full copy, and after a switchover.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::figures::Spread;
use crate::bench::outage::primary;
use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::progress::say;

/// The size of the database, in MB.
const SIZE: u32 = 2000;
/// What the lost primary has that nobody else has, in MB.
const DIVERGENCE: u32 = 50;
/// How long anything may take before the benchmark gives up.
const LIMIT: Duration = Duration::from_mins(15);

/// Makes the database, and measures so many rounds of each.
pub fn measure(cluster: &Cluster, rounds: u32) -> Result<String> {
    fill(cluster)?;
    let mut rewinds = Vec::new();
    let mut copies = Vec::new();
    let mut gaps = Vec::new();
    for round in 1..=rounds {
        rewinds.push(rewind(cluster)?);
        copies.push(copy(cluster)?);
        gaps.push(gap(cluster)?);
        let last =
            [&rewinds, &copies, &gaps].map(|all| all.last().map_or(0.0, Duration::as_secs_f64));
        say(format!(
            "round {round}/{rounds}: rewind {:.1} s, copy {:.1} s, gap {:.2} s",
            last[0], last[1], last[2]
        ));
    }
    Ok(report(&rewinds, &copies, &gaps))
}

fn report(rewinds: &[Duration], copies: &[Duration], gaps: &[Duration]) -> String {
    let mut text = format!(
        "a node comes back: {SIZE} MB, {DIVERGENCE} MB of divergence, {} rounds\n",
        rewinds.len()
    );
    let spread = |all: &[Duration]| Spread::of(all.iter().copied());
    let (rewind, copy, gap) = (spread(rewinds), spread(copies), spread(gaps));
    for (name, one) in [
        ("from its start until it streams: pg_rewind", &rewind),
        ("the same by pg_basebackup", &copy),
        ("after a switchover until all stream again", &gap),
    ] {
        let value = one.as_ref().map_or_else(|| "not seen".to_owned(), ToString::to_string);
        let _ = writeln!(text, "  {name:<42}{value}");
    }
    if let (Some(rewind), Some(copy)) = (rewind, copy) {
        let times = copy.median.as_secs_f64() / rewind.median.as_secs_f64();
        let _ = writeln!(text, "    a copy takes {times:.1} times as long, medians");
    }
    text
}

fn fill(cluster: &Cluster) -> Result<()> {
    say(format!("making a database of {SIZE} MB"));
    let primary = primary(cluster)?;
    for table in 0..SIZE / 100 {
        rows(cluster, &primary, &format!("filling_{table}"), 100, "on")?;
    }
    run(cluster, &primary, "on", "CHECKPOINT")?;
    cluster.wait_healthy(LIMIT)
}

/// A table of so many MB.
fn rows(cluster: &Cluster, node: &str, table: &str, megabytes: u32, commit: &str) -> Result<()> {
    let sql = format!(
        "CREATE TABLE {table} AS SELECT g, repeat(md5(g::text), 30) AS filling \
         FROM generate_series(1, {}) g",
        megabytes * 1000
    );
    run(cluster, node, commit, &sql)
}

fn run(cluster: &Cluster, node: &str, commit: &str, sql: &str) -> Result<()> {
    let options = format!("PGOPTIONS=-c synchronous_commit={commit} -c statement_timeout=0");
    let args =
        ["env", &options, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, "postgres"];
    cluster.command_as_postgres(node, &args).limit(LIMIT).check().map(drop)
}

/// The primary writes what nobody gets, loses its power, and comes back.
fn rewind(cluster: &Cluster) -> Result<Duration> {
    let old = primary(cluster)?;
    for standby in cluster.others(&old) {
        cluster.cut_replication(&standby)?;
    }
    rows(cluster, &old, "only_here", DIVERGENCE, "local")?;
    cluster.power_cut(&old)?;
    cluster.heal()?;
    cluster.wait_new_primary(&old, LIMIT)?;
    let begin = Instant::now();
    cluster.power_on(&old)?;
    cluster.wait_healthy(LIMIT)?;
    let took = begin.elapsed();
    require(cluster, &old, "rewind")?;
    Ok(took)
}

/// A standby without data.
fn copy(cluster: &Cluster) -> Result<Duration> {
    let standby = cluster.others(&primary(cluster)?).remove(0);
    // Stopped in order: of a node that is back soon after its power was cut the primary still has the
    // connection, and takes it for streaming.
    cluster.standby(&standby, true)?;
    cluster.wait_until(&format!("PostgreSQL is stopped on {standby}"), LIMIT, || {
        cluster.exec(&standby, &["pgrep", "-x", "postgres"]).is_ok_and(|found| found.code == 1)
    })?;
    cluster.check(&standby, &["rm", "-rf", &cluster.options.pgdata()])?;
    let begin = Instant::now();
    cluster.standby(&standby, false)?;
    cluster.wait_healthy(LIMIT)?;
    let took = begin.elapsed();
    require(cluster, &standby, "rebuild")?;
    Ok(took)
}

/// From the order of a planned move until both others stream from the new primary.
fn gap(cluster: &Cluster) -> Result<Duration> {
    let old = primary(cluster)?;
    thread::sleep(Duration::from_secs(3));
    let begin = Instant::now();
    cluster.move_primary(None)?;
    cluster.wait_new_primary(&old, LIMIT)?;
    cluster.wait_healthy(LIMIT)?;
    let took = begin.elapsed();
    cluster.clear_moves()?;
    Ok(took)
}

/// It came back in the way that is measured.
fn require(cluster: &Cluster, node: &str, method: &str) -> Result<()> {
    let script = "cat $(ls -t /var/log/pgtwin/pgtwin/*.json | head -n 1)";
    let summary = cluster.check(node, &["sh", "-c", script])?.text();
    if summary.contains(&format!("\"{method}\"")) && summary.contains("\"done\"") {
        return Ok(());
    }
    Err(LabError::plain(format!("{node} did not come back by a {method}: {summary}")))
}
