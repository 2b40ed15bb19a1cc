//! Nodes that find their own way back: nobody lends a hand. More of them in `full`.

use std::thread;
use std::time::Duration;

use lab::{Cluster, Options, Result};

use crate::look::wait_stopped;
use crate::repair::has_all_heirs;
use crate::stage::{SOON, case};
use crate::takeover::Primary;

/// The summaries of a node's recoveries, the newest first.
fn summaries(cluster: &Cluster, node: &str) -> Result<String> {
    let script = "cat $(ls -t /var/log/pgtwin/pgtwin/*.json) /dev/null";
    cluster.check(node, &["sh", "-c", script]).map(|output| output.text())
}

/// The summary of a node's newest recovery, with its times: another one has another.
pub fn last_attempt(cluster: &Cluster, node: &str) -> Result<String> {
    let all = summaries(cluster, node)?;
    Ok(all.split_inclusive("\n}").next().unwrap_or_default().to_owned())
}

/// The last recovery of a node was of this kind, and came to its end.
pub fn assert_recovered(cluster: &Cluster, node: &str, method: &str) -> Result<()> {
    let last = last_attempt(cluster, node)?;
    let said = last.contains(&format!("\"{method}\"")) && last.contains("\"done\"");
    assert!(said, "{node}: {}", summaries(cluster, node)?);
    Ok(())
}

/// WAL that is flushed on the primary only, and acknowledged to nobody.
pub fn alone_with_wal(cluster: &Cluster, primary: &str, segments: u32) -> Result<()> {
    for standby in cluster.others(primary) {
        cluster.cut_replication(&standby)?;
    }
    thread::sleep(Duration::from_secs(1));
    for _ in 0..segments {
        cluster.psql(primary, "SELECT pg_switch_wal()")?;
        cluster.psql(primary, "SET synchronous_commit = local; CREATE TABLE t(); DROP TABLE t")?;
    }
    Ok(())
}

/// Somebody starts a server on the data of a stopped node, without the cluster, and writes. `before` and
/// `started` are done before the start and after it; `stop`: the mode of its stop.
pub fn written_by_hand(
    cluster: &Cluster,
    node: &str,
    before: &str,
    started: &str,
    stop: &str,
) -> Result<()> {
    let (bin, data) = (cluster.options.pg_bindir(), cluster.options.pgdata());
    let script = format!(
        "cd /tmp; {before}; \
         {bin}/pg_ctl -D {data} -w -s -l /tmp/by_hand.log \
             -o \"-c port=5999 -c listen_addresses= -c synchronous_standby_names= \
                  -c primary_conninfo= -c unix_socket_directories=/tmp\" start; \
         {started}; \
         {bin}/psql -q -h /tmp -p 5999 -c 'CREATE TABLE IF NOT EXISTS by_hand()' -c 'CHECKPOINT' \
             -c 'INSERT INTO by_hand DEFAULT VALUES' postgres; \
         {bin}/pg_ctl -D {data} -w -s -m {stop} stop"
    );
    cluster.command_as_postgres(node, &["sh", "-ec", &script]).check().map(drop)
}

/// Parts the data of a stopped node from the primary's: somebody has promoted it by hand, and it crashed.
/// The file `old` lies in that data only.
pub fn part(cluster: &Cluster, node: &str, old: &str) -> Result<()> {
    let data = cluster.options.pgdata();
    let promote = format!("{}/pg_ctl -D {data} -w -s promote", cluster.options.pg_bindir());
    written_by_hand(cluster, node, &format!("touch {data}/{old}"), &promote, "immediate")
}

/// Removes a node's data while Pacemaker keeps away from it.
pub fn wipe(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.standby(node, true)?;
    wait_stopped(cluster, node)?;
    cluster.check(node, &["rm", "-rf", &cluster.options.pgdata()]).map(drop)
}

/// The primary has WAL that nobody else has when its node loses power, and comes back by this method.
pub fn parts_and_comes_back(cluster: &Cluster, primary: Primary<'_>, method: &str) -> Result<()> {
    let old = primary.old.clone();
    alone_with_wal(cluster, &old, 0)?;
    cluster.power_cut(&old)?;
    cluster.heal()?;
    let new = primary.is_taken_over()?;
    cluster.power_on(&old)?;
    primary.comes_back_under(&new)?;
    assert_recovered(cluster, &old, method)
}

/// A standby of this primary loses its data and is built anew; its node.
pub fn wiped_and_built(cluster: &Cluster, primary: &str) -> Result<String> {
    let node = cluster.others(primary)[0].clone();
    wipe(cluster, &node)?;
    cluster.standby(&node, false)?;
    cluster.wait_healthy(SOON)?;
    assert_eq!(has_all_heirs(cluster)?, primary);
    assert_recovered(cluster, &node, "rebuild")?;
    Ok(node)
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn recovery_01_a_primary_with_wal_that_nobody_else_has_is_rewound() {
    case(&Options::default(), |cluster| {
        parts_and_comes_back(cluster, Primary::under_load(cluster)?, "rewind")
    });
}

#[test]
#[ignore = "starts containers: tests/run does"]
fn recovery_05_a_standby_whose_data_was_wiped_is_built_anew() {
    case(&Options::default(), |cluster| {
        let primary = Primary::under_load(cluster)?;
        wiped_and_built(cluster, &primary.old)?;
        primary.load.end().map(drop)
    });
}
