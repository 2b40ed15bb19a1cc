//! Bringing a cluster back to where a case may begin: failures forgotten, rules of moves removed,
//! nodes powered on. Nodes come back by themselves.

use lab::{Cluster, Mode, Result};

use crate::ledger;
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

/// Powers all nodes on, and waits until the cluster is healthy.
pub fn power_on_all(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes().iter().filter(|node| !cluster.is_running(node)) {
        cluster.power_on(node)?;
    }
    cluster.wait_healthy(SOON)
}
