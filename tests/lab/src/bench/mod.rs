//! The benchmark: what a quiet monitor costs, and how long writes stand still. It prints figures
//! and judges none of them: they depend on the machine and on what else it does.

pub mod figures;
pub mod monitor;
pub mod outage;
pub mod rejoin;

use std::fmt::Write as _;
use std::fs;

use crate::binaries::{self, Program};
use crate::cluster::Cluster;
use crate::error::{LabError, Result};
use crate::faults::Fault;
use crate::host;
use crate::options::{Agent, Options};
use crate::progress::say;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many rounds of each fault.
    pub rounds: u32,
    /// So many monitors of each role.
    pub monitors: u32,
    /// The primary's node is killed too.
    pub node_loss: bool,
    /// Only how long nodes take to come back: this takes long, and a database of its own.
    pub rejoin: bool,
}

/// Runs it on a cluster of its own; gives the report.
pub fn bench(mut options: Options, plan: Plan) -> Result<String> {
    if options.agent != Agent::Pgtwin {
        // Debian's agent leaves a lock behind that a person has to remove after each move.
        return Err(LabError::plain("the benchmark measures pgtwin: leave out --agent"));
    }
    if options.agent_binary.is_none() {
        options.agent_binary = Some(binaries::build(Program::Release)?);
    }
    // Every node sees the load of the whole machine, and Pacemaker then does one thing at a time in
    // the whole cluster: that would measure what else this machine does.
    options.properties.entry("load-threshold".to_owned()).or_insert_with(|| "100000%".to_owned());
    let agent = options.agent_binary.clone();
    let head =
        format!("{} nodes of {}, {} mode", options.nodes, options.release, options.mode.name());
    let cluster = Cluster::up(options)?;
    let measured = measured(&cluster, plan);
    if measured.is_err() {
        say(cluster.dump());
    }
    cluster.down()?;
    let mut report = format!("{head}; load of this machine now: {}\n", host::load());
    if let Some(agent) = agent {
        let size = fs::metadata(&agent).map_err(LabError::io("look at the agent"))?.len();
        let _ = writeln!(report, "binary: {} KiB", size / 1024);
    }
    Ok(report + &measured?)
}

fn measured(cluster: &Cluster, plan: Plan) -> Result<String> {
    if plan.rejoin {
        return rejoin::measure(cluster, plan.rounds);
    }
    let mut report = String::new();
    let primary = outage::primary(cluster)?;
    let standby = cluster.others(&primary).into_iter().next();
    for (node, promoted) in [(Some(primary), true), (standby, false)] {
        let Some(node) = node else { continue };
        report += &monitor::measure(cluster, &node, promoted, plan.monitors)?;
    }
    let faults = [Fault::Move, Fault::KillPostmaster, Fault::KillNode];
    for fault in faults.into_iter().filter(|fault| plan.node_loss || *fault != Fault::KillNode) {
        report += &outage::measure(cluster, fault, plan.rounds)?;
    }
    Ok(report)
}
