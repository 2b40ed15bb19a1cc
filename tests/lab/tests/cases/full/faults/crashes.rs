//! Crashes that come again and again, recoveries that take long, and elections in the middle of one.

use std::thread;
use std::time::Duration;

use lab::config::PRIMITIVE;
use lab::{Cluster, Meets, Options, Result};

use super::{is_well_again, limit};
use crate::ledger;
use crate::load::Load;
use crate::look::{logs_since, marks, monitor_records, nobody_is_promoted, wait_reason};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case, fresh};
use crate::takeover::{Primary, the_last_primary_returns};
use crate::two_nodes::{pair, two};

/// So often.
const CRASHES: usize = 8;

/// Kills the process that serves the writer.
fn kill_a_backend(cluster: &Cluster, node: &str) -> Result<()> {
    let ask = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lab_writer' LIMIT 1";
    let kill = format!(
        "pid=$(su postgres -c \"psql -XAtc \\\"{ask}\\\" postgres\"); test -z \"$pid\" || kill -KILL $pid"
    );
    cluster.check(node, &["sh", "-c", &kill]).map(drop)
}

/// The backends of whoever is the primary, one after the other.
fn backends_crash(cluster: &Cluster) -> Result<()> {
    let load = Load::start(cluster)?;
    for number in 0..CRASHES {
        let primary =
            cluster.wait_for("there is a primary", 2 * SOON, || cluster.primary().ok())?;
        load.goes_on()?;
        eprintln!("crash {number} on {primary}");
        // It may have moved since.
        let _ = kill_a_backend(cluster, &primary);
        thread::sleep(Duration::from_secs(1));
    }
    is_well_again(cluster)?;
    load.goes_on()?;
    assert_eq!(cluster.running().len(), cluster.nodes().len(), "nobody is fenced for a backend");
    load.end().map(drop)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_14_backends_that_crash_in_a_loop_end_the_server_each_time_and_service_comes_back() {
    case(&Options::default(), backends_crash);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_14_backends_that_crash_in_a_loop_under_a_server_that_restarts_itself_lose_nothing() {
    let mut options = Options::default();
    options.settings.insert("restart_after_crash".into(), "on".into());
    case(&options, backends_crash);
}

/// Checkpoints come when they are asked for.
fn without_checkpoints(mut options: Options) -> Options {
    options.start = false;
    for (name, value) in [("checkpoint_timeout", "1h"), ("max_wal_size", "8GB")] {
        options.settings.insert(name.into(), value.into());
    }
    options
}

fn with_preload(cluster: &Cluster) -> Result<()> {
    cluster.each_node(|node| cluster.preload(node))?;
    cluster.start_all()?;
    cluster.wait_healthy(SOON)
}

/// So many pages of WAL, and more.
fn write_wal(cluster: &Cluster, primary: &str, pages: u32) -> Result<()> {
    // A row of this size with its header is a little more than a tenth of a page.
    let sql = format!(
        "DROP TABLE IF EXISTS ballast; CREATE TABLE ballast AS SELECT repeat('x', 900) AS words \
         FROM generate_series(1, {})",
        pages * 8
    );
    cluster.psql(primary, &sql).map(drop)
}

/// More than 45 s for 6000 pages, where a start may take 20 s.
const SLOWLY: Meets = Meets::SlowWal(Duration::from_millis(8));
const AT_ONCE: Meets = Meets::SlowWal(Duration::ZERO);

fn short_starts(cluster: &Cluster) -> Result<()> {
    limit(cluster, "start", 20)?;
    limit(cluster, "demote", 20)
}

/// When the postmaster of a node was started, as its file has it.
fn started(cluster: &Cluster, node: &str) -> Option<String> {
    let file = format!("{}/postmaster.pid", cluster.options.pgdata());
    let text = cluster.check(node, &["sed", "-n", "1p;3p", &file]).ok()?.text();
    (!text.is_empty()).then_some(text)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_15_a_standby_that_replays_for_longer_than_a_start_may_take_is_not_started_again() {
    fresh(&without_checkpoints(Options::default()), |cluster| {
        with_preload(cluster)?;
        short_starts(cluster)?;
        crate::repair::make_ready(cluster)?;
        let load = Load::start(cluster)?;
        let primary = cluster.primary()?;
        let node = cluster.others(&primary)[0].clone();
        write_wal(cluster, &primary, 6000)?;
        load.goes_on()?;
        cluster.meets(&node, SLOWLY)?;
        let before = started(cluster, &node);
        cluster.signal_postmaster(&node, "KILL")?;
        let again = cluster.wait_for("it is started again", SOON, || {
            started(cluster, &node).filter(|now| Some(now) != before.as_ref())
        })?;
        cluster.wait_healthy(3 * SOON)?;
        cluster.meets(&node, AT_ONCE)?;
        assert_eq!(started(cluster, &node), Some(again), "it was cut off and started once more");
        assert!(!merged_log(cluster)?.contains("Timed Out"), "Pacemaker had to kill an action");
        load.goes_on()?;
        load.end().map(drop)
    });
}

/// Nobody else can be the primary: recovery in single-user mode is tried first, and cut off.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_15_a_primary_alone_that_replays_for_longer_than_a_start_may_take_comes_back() {
    fresh(&without_checkpoints(two()), |cluster| {
        with_preload(cluster)?;
        short_starts(cluster)?;
        crate::repair::make_ready(cluster)?;
        let load = Load::start(cluster)?;
        let (primary, standby) = pair(cluster)?;
        cluster.standby(&standby, true)?;
        ledger::wait_heirs::<&str>(cluster, &primary, &[])?;
        write_wal(cluster, &primary, 6000)?;
        load.goes_on()?;
        cluster.meets(&primary, SLOWLY)?;
        let marks = marks(cluster)?;
        cluster.signal_postmaster(&primary, "KILL")?;
        cluster.wait_until("the server recovers by itself", SOON, || {
            logs_since(cluster, &marks, &primary)
                .is_ok_and(|log| log.contains("the server recovers by itself"))
        })?;
        let again = cluster.wait_for("it is started", SOON, || started(cluster, &primary))?;
        cluster.wait_until("the primary is back", 3 * SOON, || cluster.is_writable(&primary))?;
        load.goes_on()?;
        cluster.meets(&primary, AT_ONCE)?;
        assert_eq!(started(cluster, &primary), Some(again), "it was cut off and started once more");
        assert!(!merged_log(cluster)?.contains("Timed Out"), "Pacemaker had to kill an action");
        cluster.standby(&standby, false)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary);
        load.end().map(drop)
    });
}

fn merged_log(cluster: &Cluster) -> Result<String> {
    cluster.nodes().iter().map(|node| cluster.logs(node)).collect()
}

/// Whoever was taken out of E meanwhile, or has said how far it is, is not waited for; else it is.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_16_an_election_right_after_the_restart_of_a_standby_that_replays_loses_nothing() {
    fresh(&without_checkpoints(Options::default()), |cluster| {
        with_preload(cluster)?;
        let primary = Primary::under_load(cluster)?;
        let node = &cluster.others(&primary.old)[0];
        have_much_to_replay(cluster, &primary, std::slice::from_ref(node))?;
        let before = started(cluster, node);
        cluster.signal_postmaster(node, "KILL")?;
        cluster.wait_until("it was started again", SOON, || {
            started(cluster, node).is_some_and(|now| Some(now) != before)
        })?;
        cluster.power_cut(&primary.old)?;
        let new = cluster.wait_new_primary(&primary.old, 2 * SOON)?;
        cluster.meets(node, AT_ONCE)?;
        primary.load.goes_on()?;
        cluster.power_on(&primary.old)?;
        primary.comes_back_under(&new)
    });
}

/// Where both were started again nobody knows whether the primary has gone on alone meanwhile: a score is
/// void after a restart, and the primary was lost before it could give others.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_16_where_every_standby_was_just_restarted_the_last_primary_is_waited_for() {
    fresh(&without_checkpoints(Options::default()), |cluster| {
        with_preload(cluster)?;
        let primary = Primary::under_load(cluster)?;
        let others = cluster.others(&primary.old);
        have_much_to_replay(cluster, &primary, &others)?;
        for node in &others {
            cluster.signal_postmaster(node, "KILL")?;
        }
        cluster.power_cut(&primary.old)?;
        for node in &others {
            wait_reason(cluster, node, &[&primary.old])?;
        }
        for node in &others {
            cluster.meets(node, AT_ONCE)?;
        }
        nobody_is_promoted(cluster, 20)?;
        let Primary { old, load, .. } = primary;
        the_last_primary_returns(cluster, &old, load)
    });
}

/// Waits until a standby has said that it is degraded, and the monitor after that has answered too: what is lost with
/// the designated controller before that keeps a promotion waiting for three minutes (docs/architecture.md).
fn its_record_is_whole(cluster: &Cluster, node: &str) -> Result<()> {
    let memory = format!("{PRIMITIVE}_last_failure_0");
    cluster.wait_until(&format!("the monitor of {node} is recorded after its reason"), SOON, || {
        let records = monitor_records(cluster, node).unwrap_or_default();
        let changed = |is_memory: bool| {
            records.iter().find(|one| (one.id == memory) == is_memory).map(|one| one.changed)
        };
        changed(true).is_some_and(|said| changed(false).is_some_and(|then| then > said))
    })
}

/// These standbys have received what they will read slowly, and their replay is paused.
fn have_much_to_replay(cluster: &Cluster, primary: &Primary<'_>, nodes: &[String]) -> Result<()> {
    crate::repair::make_ready(cluster)?;
    for node in nodes {
        cluster.psql(node, "CHECKPOINT")?;
        cluster.psql(node, "SELECT pg_wal_replay_pause()")?;
    }
    for node in nodes {
        its_record_is_whole(cluster, node)?;
    }
    write_wal(cluster, &primary.old, 4000)?;
    primary.load.goes_on()?;
    for node in nodes {
        cluster.meets(node, Meets::SlowWal(Duration::from_millis(6)))?;
    }
    Ok(())
}
