//! Patroni in the lab: one daemon and one member of etcd on each node, no Pacemaker. Settings of time are the
//! least that Patroni takes; all else is as its documents advise where nothing may be lost.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use crate::cluster::Cluster;
use crate::config::{Addresses, REPLICATOR};
use crate::error::{LabError, Result};
use crate::options::{Mode, Options};
use crate::tree::Tree;

/// Seconds that a leader's key outlives its leader.
pub const TTL: u32 = 20;
/// Seconds between two looks of a daemon at its server and the store.
pub const LOOP_WAIT: u32 = 1;
/// Seconds for which a silent store or server is asked again.
pub const RETRY_TIMEOUT: u32 = 3;

/// Patroni's configuration in the nodes.
pub const CONFIG: &str = "/etc/patroni/lab.yml";
/// etcd's.
pub const ETCD: &str = "/etc/etcd/lab.yml";
/// Where both leave what they say before they have logs of their own, and Patroni its log.
pub const LOGS: &str = "/var/log/patroni";

/// A row of `patronictl list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// The node.
    #[serde(rename = "Member")]
    pub name: String,
    /// Leader, Quorum Standby, Sync Standby, Replica.
    #[serde(rename = "Role")]
    pub role: String,
    /// running, streaming, starting, stopped, …
    #[serde(rename = "State", default)]
    pub state: String,
}

/// Writes the configuration of both daemons on all nodes.
pub fn prepare(cluster: &Cluster) -> Result<()> {
    cluster.each_node(|node| {
        let tree = Tree::new()?;
        let (options, addresses) = (&cluster.options, &cluster.addresses);
        tree.file(CONFIG, 0o644, &config(options, addresses, node))?;
        tree.file(ETCD, 0o644, &etcd(options, addresses, node))?;
        tree.copy_to(&cluster.container(node))?;
        let install = ["install", "-d", "-o", "postgres", "-g", "postgres", LOGS];
        cluster.check(node, &install).map(drop)
    })
}

/// Starts all of it for the first time: the store, the first node's daemon, which finds the data and takes the
/// lead, then the others.
pub fn start_all(cluster: &Cluster) -> Result<()> {
    cluster.each_node(|node| cluster.check(node, &["/lab/lab-node", "etcd-start"]).map(drop))?;
    let nodes = cluster.nodes();
    let Some((first, rest)) = nodes.split_first() else { return Ok(()) };
    start(cluster, first)?;
    cluster.wait_until("Patroni has a leader", Duration::from_mins(1), || {
        leader(cluster).is_some_and(|node| cluster.is_writable(&node))
    })?;
    rest.iter().try_for_each(|node| start(cluster, node))
}

/// Starts both daemons of a node, and has them started when it boots.
pub fn start(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.check(node, &["/lab/lab-node", "patroni-start"]).map(drop)
}

/// Stops both, PostgreSQL with them.
pub fn stop(cluster: &Cluster, node: &str) -> Result<()> {
    let stop = cluster.command(node, &["/lab/lab-node", "patroni-stop"]);
    stop.limit(Duration::from_mins(4)).check().map(drop)
}

/// What the store says of the members, by the first node that answers.
pub fn members(cluster: &Cluster) -> Result<Vec<Member>> {
    let text = control(cluster, &["list", "--format", "json"])?;
    serde_json::from_str(&text)
        .map_err(|error| LabError::plain(format!("patronictl list gave `{text}`: {error}")))
}

/// The same for people.
pub fn list(cluster: &Cluster) -> Result<String> {
    control(cluster, &["list"])
}

/// The node that the store names as the leader, and that runs.
pub fn leader(cluster: &Cluster) -> Option<String> {
    leader_of(&members(cluster).ok()?)
}

fn leader_of(members: &[Member]) -> Option<String> {
    let one = members.iter().find(|one| one.role == "Leader" && one.state == "running")?;
    Some(one.name.clone())
}

/// A planned move, away from where the primary is or to a node.
pub fn switch_over(cluster: &Cluster, to: Option<&str>) -> Result<()> {
    let mut args = vec!["switchover", "--force"];
    args.extend(to.iter().flat_map(|node| ["--candidate", node]));
    control(cluster, &args).map(drop)
}

/// One leader, and all others stream and (sync mode) may replace it.
pub fn is_healthy(cluster: &Cluster) -> bool {
    let Ok(members) = members(cluster) else { return false };
    let number = cluster.nodes().len();
    let Some(leader) = leader_of(&members) else { return false };
    are_well(&members, cluster.options.mode, number)
        && cluster.is_writable(&leader)
        && cluster.has_standbys(&leader, number - 1)
}

fn are_well(members: &[Member], mode: Mode, number: usize) -> bool {
    let follows = |one: &&Member| {
        one.state == "streaming"
            && match mode {
                Mode::Sync => ["Quorum Standby", "Sync Standby"].contains(&one.role.as_str()),
                Mode::Async => one.role == "Replica",
            }
    };
    members.len() == number && members.iter().filter(follows).count() == number - 1
}

/// `patronictl` on the first node where it succeeds.
fn control(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let command: Vec<&str> =
        ["patronictl", "-c", CONFIG].into_iter().chain(args.iter().copied()).collect();
    let mut last = LabError::plain("no node runs");
    for node in cluster.running() {
        match cluster.command(&node, &command).limit(Duration::from_secs(30)).check() {
            Ok(output) => return Ok(output.text()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Patroni's configuration of a node. It finds data and a postgresql.conf, and takes both over.
fn config(options: &Options, addresses: &Addresses, node: &str) -> String {
    let own = addresses.node(node);
    let mut stores = String::new();
    for name in options.node_names() {
        let _ = writeln!(stores, "    - {}:2379", addresses.node(&name));
    }
    let synchronous = match options.mode {
        Mode::Sync => "quorum",
        Mode::Async => "off",
    };
    let (user, password) = REPLICATOR;
    let (scope, data, bin) = (&options.name, options.pgdata(), options.pg_bindir());
    format!(
        "scope: {scope}
name: {node}
restapi:
  listen: {own}:8008
  connect_address: {own}:8008
etcd3:
  hosts:
{stores}log:
  dir: {LOGS}
bootstrap:
  dcs:
    ttl: {TTL}
    loop_wait: {LOOP_WAIT}
    retry_timeout: {RETRY_TIMEOUT}
    synchronous_mode: '{synchronous}'
    postgresql:
      use_pg_rewind: true
postgresql:
  listen: {own}:5432
  connect_address: {own}:5432
  data_dir: {data}
  bin_dir: {bin}
  pgpass: /var/lib/postgresql/.pgpass-of-patroni
  use_unix_socket: true
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  authentication:
    superuser:
      username: postgres
    replication:
      username: {user}
      password: {password}
    rewind:
      username: {user}
      password: {password}
  parameters:
    unix_socket_directories: /var/run/postgresql
watchdog:
  mode: 'off'
"
    )
}

/// etcd's configuration of a node: its intervals are its defaults.
fn etcd(options: &Options, addresses: &Addresses, node: &str) -> String {
    let own = addresses.node(node);
    let peers: Vec<String> = options
        .node_names()
        .iter()
        .map(|name| format!("{name}=http://{}:2380", addresses.node(name)))
        .collect();
    format!(
        "name: {node}
data-dir: /var/lib/etcd/lab
listen-peer-urls: http://{own}:2380
initial-advertise-peer-urls: http://{own}:2380
listen-client-urls: http://{own}:2379,http://127.0.0.1:2379
advertise-client-urls: http://{own}:2379
initial-cluster: {}
initial-cluster-state: new
initial-cluster-token: {}
log-outputs: [/var/log/etcd.log]
",
        peers.join(","),
        options.name
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses { prefix: "10.213.7".to_owned(), names: Options::default().node_names() }
    }

    #[test]
    fn times_keep_the_rule_that_patroni_would_else_enforce_by_itself() {
        // docs/dynamic_configuration: the least of each, and loop_wait + 2 * retry_timeout <= ttl.
        assert_eq!((TTL, LOOP_WAIT, RETRY_TIMEOUT), (20, 1, 3));
        const { assert!(LOOP_WAIT + 2 * RETRY_TIMEOUT <= TTL) };
    }

    #[test]
    fn any_standby_confirms_and_the_superuser_needs_no_password() {
        let text = config(&Options::default(), &addresses(), "n3");
        assert!(text.contains("synchronous_mode: 'quorum'"), "{text}");
        assert!(text.contains("    - 10.213.7.11:2379\n    - 10.213.7.12:2379\n"), "{text}");
        assert!(text.contains("username: postgres\n    replication:"), "{text}");
        let text = config(&Options { mode: Mode::Async, ..Options::default() }, &addresses(), "n3");
        assert!(text.contains("synchronous_mode: 'off'"), "{text}");
    }

    #[test]
    fn the_members_of_the_store_are_the_nodes() {
        let text = etcd(&Options { nodes: 2, ..Options::default() }, &addresses(), "n2");
        let expected = "initial-cluster: n1=http://10.213.7.11:2380,n2=http://10.213.7.12:2380\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn all_is_well_where_every_other_member_streams_and_counts() {
        let row = |name: &str, role: &str, state: &str| {
            format!(
                r#"{{"Cluster":"lab","Member":"{name}","Role":"{role}","State":"{state}","TL":1}}"#
            )
        };
        let of = |rows: &[String]| -> Vec<Member> {
            serde_json::from_str(&format!("[{}]", rows.join(","))).unwrap()
        };
        let leader = row("n1", "Leader", "running");
        let quorum = row("n2", "Quorum Standby", "streaming");
        let replica = row("n2", "Replica", "streaming");
        let stopped = row("n2", "Quorum Standby", "stopped");
        for (name, standby, mode, well) in [
            ("a quorum standby", &quorum, Mode::Sync, true),
            ("one that does not count", &replica, Mode::Sync, false),
            ("that is nothing in async mode", &replica, Mode::Async, true),
            ("one that does not stream", &stopped, Mode::Sync, false),
        ] {
            let members = of(&[leader.clone(), standby.clone()]);
            assert_eq!(are_well(&members, mode, 2), well, "{name}");
            assert_eq!(leader_of(&members).as_deref(), Some("n1"), "{name}");
        }
        assert!(!are_well(&of(&[leader]), Mode::Sync, 2), "one is missing");
        assert_eq!(leader_of(&of(&[row("n1", "Leader", "stopped")])), None);
    }
}
