//! Named cases of faults, beyond those that have a number: docs/fault-cases.md lists them all.

mod attributes;
mod clocks;
mod crashes;
mod disks;
mod fencing;
mod heir_lost;
mod killed_agents;
mod links;
mod moves;
mod names;
mod third_vote;

use std::time::{Duration, Instant};

use lab::{Cluster, Result};

use crate::repair::has_all_heirs;
use crate::stage::SOON;

/// Powers on whoever is off, again and again, until the cluster is well; gives the primary.
fn is_well_again(cluster: &Cluster) -> Result<String> {
    let end = Instant::now() + 2 * SOON;
    while !cluster.is_healthy() && Instant::now() < end {
        let running = cluster.running();
        for node in cluster.nodes().iter().filter(|node| !running.contains(node)) {
            // It may have been fenced once more.
            let _ = cluster.power_on(node);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    cluster.wait_healthy(SOON)?;
    has_all_heirs(cluster)
}

/// Gives an operation of the primitive another timeout, in seconds.
fn limit(cluster: &Cluster, operation: &str, seconds: u32) -> Result<()> {
    let op = format!(
        "<op id=\"{0}-{operation}\" name=\"{operation}\" interval=\"0s\" timeout=\"{seconds}s\"/>",
        lab::config::PRIMITIVE
    );
    cluster.on_any(&["cibadmin", "--replace", "--xml-text", &op])?;
    cluster.settle()
}
