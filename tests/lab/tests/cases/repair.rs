//! Bringing a cluster back to where a case may begin: failures forgotten, rules of moves removed,
//! nodes powered on, a node that has diverged given a new copy. The last is done here by hand
//! because in this slice the agent refuses to start on diverged data, and says why.

use std::time::Duration;

use lab::config::{PRIMITIVE, REPLICATOR};
use lab::{Cluster, Mode, Result};

use crate::ledger;
use crate::look::wait_stopped;
use crate::stage::SOON;

/// Healthy, without failures or rules, and with all standbys in the ledger of the primary.
pub fn make_ready(cluster: &Cluster) -> Result<()> {
    cluster.wait_healthy(SOON)?;
    cluster.clear_moves()?;
    cluster.cleanup()?;
    cluster.settle()?;
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster).map(drop)
}

/// Waits until the ledger of the primary has all others as heirs; gives the primary.
pub fn has_all_heirs(cluster: &Cluster) -> Result<String> {
    let primary = cluster.primary()?;
    if cluster.options.mode == Mode::Sync {
        ledger::wait_heirs(cluster, &primary, &cluster.others(&primary))?;
    }
    Ok(primary)
}

/// How a former primary came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// It follows the new primary.
    Follows,
    /// It had WAL that nobody else has; `start` refused it, and it got a new copy by hand.
    Diverged,
}

/// Waits until a former primary is a standby again. If its data has diverged it must be refused
/// with a reason that names both timelines and LSNs: then it gets a new copy.
pub fn comes_back(cluster: &Cluster, node: &str) -> Result<Back> {
    let what = format!("{node} follows the new primary, or is refused because it has diverged");
    let refused = cluster.wait_for(&what, SOON, || {
        if cluster.is_healthy() {
            return Some(None);
        }
        refusal(cluster, node).map(Some)
    })?;
    let Some(reason) = refused else { return Ok(Back::Follows) };
    eprintln!("{node} is refused: {reason}");
    let lsns =
        reason.split([' ', ',', ';', ':', '@', '(', ')']).filter(|word| is_lsn(word)).count();
    assert!(lsns >= 2 && reason.contains("timeline"), "no timelines and LSNs: {reason}");
    copy_by_hand(cluster, node)?;
    cluster.wait_healthy(SOON)?;
    Ok(Back::Diverged)
}

/// The reason of a failed start that says that the data has diverged.
fn refusal(cluster: &Cluster, node: &str) -> Option<String> {
    let mon = cluster.crm_mon().ok()?;
    mon.failures
        .into_iter()
        .find(|failure| {
            failure.node == node
                && failure.op == format!("{PRIMITIVE}_start_0")
                && failure.reason.contains("diverged")
        })
        .map(|failure| failure.reason)
}

fn is_lsn(word: &str) -> bool {
    let hex = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    word.split_once('/').is_some_and(|(high, low)| hex(high) && hex(low))
}

/// Replaces a node's data by a pg_basebackup of the primary, with the node in standby meanwhile.
pub fn copy_by_hand(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.standby(node, true)?;
    wait_stopped(cluster, node)?;
    basebackup(cluster, node)?;
    cluster.standby(node, false)?;
    cluster.cleanup()
}

/// The copy itself.
pub fn basebackup(cluster: &Cluster, node: &str) -> Result<()> {
    let primary = cluster.primary()?;
    let data = cluster.options.pgdata();
    let (bin, host) = (cluster.options.pg_bindir(), cluster.addresses.node(&primary));
    let script = format!(
        "test ! -e {data}/postmaster.pid || ! kill -0 $(head -n 1 {data}/postmaster.pid)\n\
         rm -rf {data}\n\
         PGPASSFILE=/var/lib/postgresql/.pgpass {bin}/pg_basebackup --no-sync --no-password \
         -c fast -h {host} -U {} -D {data}\n\
         touch {data}/standby.signal\n",
        REPLICATOR.0
    );
    cluster
        .command_as_postgres(node, &["sh", "-es"])
        .stdin(script)
        .limit(Duration::from_mins(2))
        .check()
        .map(drop)
}

/// Powers all nodes on, and waits until the cluster is healthy.
pub fn power_on_all(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes().iter().filter(|node| !cluster.is_running(node)) {
        cluster.power_on(node)?;
    }
    cluster.wait_healthy(SOON)
}
