//! What each of the compared costs while nothing happens.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bench::monitor::environment;
use crate::cluster::Cluster;
use crate::config;
use crate::error::{LabError, Result};
use crate::options::Agent;
use crate::progress::say;
use crate::rivals::patroni::LOOP_WAIT;

/// How long a quiet node is looked at. A minute has whatever is done once a minute.
const WINDOW: u32 = 60;
/// So many monitors are run one by one.
const MONITORS: u32 = 21;

/// Monitors that were run one by one, as a node reports them; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    /// From start to end.
    pub time: Vec<u64>,
    /// Processor time of the agent and all that it ran; the server's share is not in it.
    pub processor: Vec<u64>,
    /// Processes and threads that came into being on the node meanwhile.
    pub processes: Vec<u32>,
    /// The exit codes.
    pub codes: Vec<i32>,
}

/// A node in which nothing happened; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// For how long.
    pub time: u64,
    /// Processor time of all its processes.
    pub processor: u64,
    /// Of those of the name that was asked for.
    pub of_named: u64,
    /// Processes and threads that came into being.
    pub processes: u32,
}

/// What a product costs a node: a monitor of its agent or a turn of its daemon's loop, and all in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Whose.
    pub product: Agent,
    /// On the primary; else on a standby.
    pub primary: bool,
    /// Microseconds of processor time of one turn.
    pub processor: u64,
    /// Processes and threads that came into being in one turn.
    pub processes: f64,
    /// The whole node.
    pub quiet: Quiet,
}

/// Measures on the primary, and on a standby, of a healthy cluster without load.
pub fn measure(cluster: &Cluster) -> Result<Vec<Cost>> {
    let primary = cluster.primary()?;
    let standby = cluster.others(&primary).into_iter().next();
    let nodes = [(Some(primary), true), (standby, false)];
    nodes
        .into_iter()
        .filter_map(|(node, promoted)| Some((node?, promoted)))
        .map(|(node, promoted)| on(cluster, &node, promoted))
        .collect()
}

fn on(cluster: &Cluster, node: &str, primary: bool) -> Result<Cost> {
    let product = cluster.options.agent;
    let role = if primary { "primary" } else { "standby" };
    say(format!("{WINDOW} quiet seconds of the {role} {node}"));
    let seconds = WINDOW.to_string();
    let look = ["/lab/lab-node", "quiet", &seconds, "patroni"];
    let limit = Duration::from_secs(u64::from(WINDOW) + 30);
    let quiet: Quiet = parsed(&cluster.command(node, &look).limit(limit).check()?.text())?;
    let (options, addresses) = (&cluster.options, &cluster.addresses);
    let (processor, processes) = match product {
        Agent::Patroni => per_loop(&quiet),
        Agent::Pgtwin => {
            turns(cluster, node, primary, "pgtwin", &config::params(options, addresses))?
        }
        Agent::Paf => turns(cluster, node, primary, "pgsqlms", &config::params_of_paf(options))?,
        Agent::Pgsql | Agent::Stateful => return Err(LabError::plain("this is not compared")),
    };
    Ok(Cost { product, primary, processor, processes, quiet })
}

fn turns(
    cluster: &Cluster,
    node: &str,
    primary: bool,
    agent: &str,
    params: &BTreeMap<String, String>,
) -> Result<(u64, f64)> {
    say(format!("{MONITORS} monitors of {node}"));
    let file = format!("/usr/lib/ocf/resource.d/heartbeat/{agent}");
    let output = cluster
        .command(node, &["/lab/lab-node", "turns", &MONITORS.to_string(), &file])
        .stdin(environment(cluster, node, primary, params))
        .limit(Duration::from_mins(3))
        .check()?;
    let turns: Turns = parsed(&output.text())?;
    let fine = if primary { 8 } else { 0 };
    if turns.codes != [fine] {
        let codes = &turns.codes;
        return Err(LabError::plain(format!(
            "monitors of {node} ended with {codes:?}, not {fine}"
        )));
    }
    Ok((middle(turns.processor), f64::from(middle(turns.processes))))
}

/// The one in the middle: what Pacemaker does meanwhile is in some of them.
fn middle<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn per_loop(quiet: &Quiet) -> (u64, f64) {
    let loops = WINDOW / LOOP_WAIT;
    (quiet.of_named / u64::from(loops), f64::from(quiet.processes) / f64::from(loops))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| LabError::plain(format!("the samples are not readable: {error}: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_the_one_in_the_middle_and_a_loop_its_part_of_a_quiet_minute() {
        assert_eq!(middle(vec![9, 1, 2]), 2);
        assert_eq!(middle(vec![9, 1]), 1);
        assert_eq!(middle::<u64>(Vec::new()), 0);
        let quiet = Quiet { of_named: 600_000, processes: 30, ..Quiet::default() };
        assert_eq!(per_loop(&quiet), (10_000, 0.5));
    }
}
