//! Carries an act out. Some are over at once, others go on until the end that is given.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::clock::{clock, time_of_day};
use crate::cluster::Cluster;
use crate::config::CLONE;
use crate::disks;
use crate::error::{LabError, Result};
use crate::preload::Meets;
use crate::torture::act::{Act, Blow, Cut, Daemon, Order, Process, Role, Target, Trouble};
use crate::workload::session::Crowd;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// In words.
    pub words: String,
    /// Nodes whose power was cut.
    pub killed: Vec<String>,
}

impl Done {
    fn said(words: impl Into<String>) -> Self {
        Self { words: words.into(), killed: Vec::new() }
    }
}

/// Name of the sessions that `Act::Cancel` cancels.
pub const CANCELLED: &str = "lab_cancelled";

/// Does it; what lasts ends at `end`, but for what has to be undone.
pub fn inject(cluster: &Cluster, act: &Act, end: Instant) -> Result<Done> {
    match act {
        Act::Strike(process, blow, target) => {
            let node = find(cluster, *target)?;
            strike(cluster, &node, *process, *blow)?;
            Ok(Done::said(format!("{blow:?} {process:?} on {node}")))
        }
        Act::KillAgents(target, after) => {
            let node = find(cluster, *target)?;
            kill_agents(cluster, &node, after, end)
        }
        Act::StrikeDaemon(daemon, blow, target) => {
            let node = find(cluster, *target)?;
            strike_daemon(cluster, &node, *daemon, *blow)?;
            Ok(Done::said(format!("{blow:?} {} on {node}", daemon.program())))
        }
        Act::PauseNode(target) => {
            let node = find(cluster, *target)?;
            cluster.freeze_node(&node)?;
            Ok(Done::said(format!("froze {node}")))
        }
        Act::KillNode(target, at_once) => {
            let node = find(cluster, *target)?;
            cluster.power_cut(&node)?;
            if *at_once {
                cluster.boot(&node)?;
            }
            let words = if *at_once { ", and booted at once" } else { "" };
            Ok(Done { words: format!("cut the power of {node}{words}"), killed: vec![node] })
        }
        Act::KillAllNodes => {
            let running = cluster.running();
            cluster.each_node(|node| {
                if running.iter().any(|one| one == node) { cluster.power_cut(node) } else { Ok(()) }
            })?;
            Ok(Done { words: "cut the power of all nodes".to_owned(), killed: cluster.nodes() })
        }
        Act::Cut(what, target) => cut(cluster, *what, *target),
        Act::Disk(trouble, target) => {
            let node = find(cluster, *target)?;
            let (done, words) = match trouble {
                Trouble::Full => (cluster.fill_disk(&node, true), "filled"),
                Trouble::Frozen => (disks::freeze(&cluster.options.name, &node, true), "froze"),
                Trouble::ReadOnly => (disks::fail(&cluster.options.name, &node), "broke"),
            };
            done?;
            Ok(Done::said(format!("{words} the disk of {node}")))
        }
        Act::Clock(target, by) => {
            let node = find(cluster, *target)?;
            cluster.meets(&node, Meets::Clock(*by))?;
            Ok(Done::said(format!("set the clock of {node} by {by:+} s")))
        }
        Act::Moves(list) => Ok(moves(cluster, list, end)),
        Act::Connections(superuser) => connections(cluster, *superuser, end),
        Act::Cancel { end: ends, stopped } => cancel(cluster, *ends, *stopped, end),
        Act::Orders(list, pick) => Ok(orders(cluster, list, *pick)),
        Act::Rebuild(target) => {
            let node = find(cluster, *target)?;
            let command = cluster.command(&node, &["pgtwin", "rebuild", &node, "--yes"]);
            let output = command.limit(Duration::from_mins(2)).output()?;
            Ok(Done::said(format!("pgtwin rebuild {node}: exit code {}", output.code)))
        }
    }
}

/// The time of day: what goes on for a while says when it did what.
fn now() -> String {
    clock(time_of_day(SystemTime::now()))
}

fn find(cluster: &Cluster, target: Target) -> Result<String> {
    let primary = if target.role == Role::Any { None } else { cluster.primary().ok() };
    target
        .resolve(&cluster.running(), primary.as_deref())
        .ok_or_else(|| LabError::plain(format!("there is no node to be hit: {target}")))
}

fn pkill(cluster: &Cluster, node: &str, args: &[&str]) -> Result<()> {
    let command: Vec<&str> = ["pkill"].iter().chain(args).copied().collect();
    let output = cluster.exec(node, &command)?;
    match output.code {
        0 => Ok(()),
        1 => Err(LabError::plain(format!("no such process on {node}: {}", args.join(" ")))),
        _ => Err(LabError::plain(output.all())),
    }
}

/// PostgreSQL's processes are known by their titles.
fn title(process: Process) -> &'static str {
    match process {
        Process::Postmaster | Process::Instance => "^",
        Process::Client => "^postgres: lab ",
        Process::Checkpointer => "^postgres: checkpointer",
        Process::Startup => "^postgres: startup",
        Process::Receiver => "^postgres: walreceiver",
        Process::Sender => "^postgres: walsender",
    }
}

fn signal(blow: Blow) -> &'static str {
    match blow {
        Blow::Kill => "-KILL",
        Blow::Pause => "-STOP",
    }
}

fn strike(cluster: &Cluster, node: &str, process: Process, blow: Blow) -> Result<()> {
    let option = signal(blow);
    let pattern = title(process);
    match process {
        Process::Postmaster => cluster.signal_postmaster(node, option.trim_start_matches('-')),
        Process::Instance => pkill(cluster, node, &[option, "-u", "postgres", "-x", "postgres"]),
        // One is enough, and the newest is the writer's.
        Process::Client => pkill(cluster, node, &[option, "-n", "-u", "postgres", "-f", pattern]),
        Process::Checkpointer | Process::Startup | Process::Receiver | Process::Sender => {
            pkill(cluster, node, &[option, "-u", "postgres", "-f", pattern])
        }
    }
}

/// What the scripts tell the time by, in seconds: the kernel's uptime, for the node's clock may be one of the faults.
const UP: &str = r#"
up() {
    read -r now rest </proc/uptime
    echo "${now%.*}"
}
"#;

/// Waits for an agent or a worker of its own, lets it work for a while, and kills it if it still does; else
/// waits for the next. The brackets keep the pattern from finding this script itself.
const KILL_AGENTS: &str = r#"
end=$(($(up) + $1))
shift
pattern='[r]esource.d/heartbeat/pgtwin |[p]gtwin recover |[p]gtwin ordered'
for pause; do
    while :; do
        [ "$(up)" -lt "$end" ] || exit 0
        if pgrep -f "$pattern" >/dev/null; then
            sleep "$pause"
            what=$(pgrep -a -f "$pattern" | head -n 1 | cut -d ' ' -f 2-)
            if pkill -KILL -f "$pattern"; then
                echo "$(date -u +%T.%3N) ${what##*/}"
                break
            fi
        fi
        sleep 0.05
    done
done
"#;

fn kill_agents(cluster: &Cluster, node: &str, after: &[Duration], end: Instant) -> Result<Done> {
    let left = end.saturating_duration_since(Instant::now());
    let mut command =
        vec!["sh".to_owned(), "-c".to_owned(), format!("{UP}{KILL_AGENTS}"), "sh".to_owned()];
    command.push(left.as_secs().to_string());
    command.extend(after.iter().map(|pause| format!("{:.3}", pause.as_secs_f64())));
    let output = cluster.command(node, &command).limit(left + Duration::from_secs(20)).output()?;
    let text = output.text();
    let killed: Vec<&str> = text.lines().collect();
    let what = if killed.is_empty() { "nothing".to_owned() } else { killed.join(", ") };
    Ok(Done::said(format!("killed on {node}, at work: {what}")))
}

fn strike_daemon(cluster: &Cluster, node: &str, daemon: Daemon, blow: Blow) -> Result<()> {
    let program = daemon.program();
    match daemon {
        Daemon::Corosync | Daemon::Pacemakerd => {
            pkill(cluster, node, &[signal(blow), "-x", program])
        }
        // Their names are longer than the kernel keeps.
        _ => pkill(cluster, node, &[signal(blow), "-f", &format!("/{program}")]),
    }
}

fn cut(cluster: &Cluster, what: Cut, target: Target) -> Result<Done> {
    let node = find(cluster, target)?;
    let words = match what {
        Cut::All => {
            cluster.cut_all(&node)?;
            format!("cut {node} off from the others")
        }
        Cut::In => {
            cluster.cut_one_way(&node, true)?;
            format!("{node} hears nobody")
        }
        Cut::Out => {
            cluster.cut_one_way(&node, false)?;
            format!("nobody hears {node}")
        }
        Cut::Pair => {
            let others = cluster.others(&node);
            let other = others.get(target.pick % others.len().max(1));
            let other = other.ok_or_else(|| LabError::plain("there is no other node"))?;
            cluster.cut(&node, other)?;
            format!("cut {node} and {other} off from each other")
        }
        Cut::Replication => {
            cluster.cut_replication(&node)?;
            format!("cut PostgreSQL of {node} off from the others")
        }
        Cut::Corosync => {
            cluster.cut_corosync(&node)?;
            format!("cut Corosync of {node} off from the others")
        }
    };
    Ok(Done::said(words))
}

/// What is refused, or does not come to its end, is no matter: it is a storm.
fn moves(cluster: &Cluster, list: &[(usize, bool)], end: Instant) -> Done {
    let nodes = cluster.nodes();
    let mut words = Vec::new();
    for (pick, by_switchover) in list {
        let (Some(to), true) = (nodes.get(pick % nodes.len().max(1)), Instant::now() < end) else {
            break;
        };
        let now = now();
        if *by_switchover {
            words.push(format!("{now} {}", switchover(cluster, Some(to))));
        } else {
            let moved = cluster.move_primary(Some(to)).is_ok();
            thread::sleep(
                Duration::from_secs(3).min(end.saturating_duration_since(Instant::now())),
            );
            let _ = cluster.clear_moves();
            words.push(format!("{now} {to} {}", if moved { "ordered" } else { "refused" }));
        }
    }
    Done::said(format!("moves: {}", words.join(", ")))
}

fn switchover(cluster: &Cluster, to: Option<&str>) -> String {
    let mut command = vec!["pgtwin", "switchover", "--yes", "--timeout", "20"];
    command.extend(to.iter().flat_map(|node| ["--to", node]));
    // From the node that is to be the primary, or any: a command works on each.
    let on = to.filter(|node| cluster.is_running(node)).map(str::to_owned);
    let Some(on) = on.or_else(|| cluster.running().into_iter().next()) else {
        return "no node to order it on".to_owned();
    };
    let output = cluster.command(&on, &command).limit(Duration::from_secs(90)).output();
    let code = output.map_or_else(|_| "no end".to_owned(), |one| format!("exit code {}", one.code));
    format!("{}: {code}", to.unwrap_or("the best"))
}

/// A superuser's clients, more than there are connections; they try again and again.
const CROWD: &str = r#"
end=$(($(up) + LEFT))
for client in $(seq 110); do
    (while left=$((end - $(up))) && test "$left" -gt 0; do
        psql -X -q -c "SELECT pg_sleep($left)" postgres
        sleep 2
    done) >/dev/null 2>&1 &
done
wait
"#;

fn connections(cluster: &Cluster, superuser: bool, end: Instant) -> Result<Done> {
    let node = find(cluster, Target { role: Role::Primary, pick: 0 })?;
    let left = end.saturating_duration_since(Instant::now());
    if superuser {
        let script = format!("LEFT={}{UP}{CROWD}", left.as_secs());
        let shell = cluster.command_as_postgres(&node, &["sh", "-s"]);
        shell.stdin(script).limit(left + Duration::from_secs(30)).output()?;
        return Ok(Done::said(format!("a superuser's clients took every connection of {node}")));
    }
    let crowd = Crowd::start(&cluster.addresses.node(&node));
    thread::sleep(left);
    let refused = crowd.refused();
    Ok(Done::said(format!("clients took the connections of {node}; refused {refused} times")))
}

fn cancel(cluster: &Cluster, ends: bool, stopped: bool, end: Instant) -> Result<Done> {
    let node = find(cluster, Target { role: Role::Primary, pick: 0 })?;
    if stopped {
        for standby in cluster.running().iter().filter(|one| **one != node) {
            // Where none runs, none confirms.
            let _ = strike(cluster, standby, Process::Receiver, Blow::Pause);
        }
    }
    let function = if ends { "pg_terminate_backend" } else { "pg_cancel_backend" };
    let left = end.saturating_duration_since(Instant::now());
    let script = format!(
        "SELECT count({function}(pid)) FROM pg_catalog.pg_stat_activity \
         WHERE application_name = '{CANCELLED}' AND state = 'active' \\watch 0.05\n"
    );
    let seconds = format!("{:.1}", left.as_secs_f64().max(0.1));
    let watch =
        ["timeout", "-s", "INT", "-k", "2", &seconds, "psql", "-X", "-A", "-t", "-q", "postgres"];
    let command = cluster.command_as_postgres(&node, &watch);
    let output = command.stdin(script).limit(left + Duration::from_secs(20)).output()?;
    let hits: u64 = output.text().lines().filter_map(|line| line.trim().parse::<u64>().ok()).sum();
    Ok(Done::said(format!("{function} on {node}, {hits} times")))
}

fn orders(cluster: &Cluster, list: &[(Duration, Order)], pick: usize) -> Done {
    let begin = Instant::now();
    let mut words = Vec::new();
    for (number, (after, order)) in list.iter().enumerate() {
        thread::sleep(after.saturating_sub(begin.elapsed()));
        let nodes = cluster.nodes();
        let node = nodes.get((pick + number) % nodes.len().max(1)).cloned().unwrap_or_default();
        let now = now();
        let done = obey(cluster, *order, &node);
        words.push(format!("{now} {order:?} {}", if done.is_ok() { "done" } else { "failed" }));
    }
    Done::said(format!("orders: {}", words.join(", ")))
}

fn obey(cluster: &Cluster, order: Order, node: &str) -> Result<()> {
    match order {
        Order::Standby => cluster.standby(node, true),
        Order::Online => cluster.nodes().iter().try_for_each(|node| cluster.standby(node, false)),
        Order::Cleanup => cluster.cleanup(),
        Order::Refresh => {
            cluster.on_any(&["crm_resource", "--refresh", "--resource", CLONE]).map(drop)
        }
        Order::MaintenanceOn => cluster.property("maintenance-mode", "true"),
        Order::MaintenanceOff => cluster.property("maintenance-mode", "false"),
        Order::NodeMaintenance => cluster.maintain(node, true),
        Order::Pause => cluster.on_any(&["pgtwin", "pause", "--yes"]).map(drop),
        Order::Resume => cluster.on_any(&["pgtwin", "resume", "--yes"]).map(drop),
        Order::Switchover => {
            switchover(cluster, None);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_the_agents_does_not_find_the_script_that_has_it() {
        // What pgrep -f would see of it, and of what it is meant for.
        for literal in ["resource.d/heartbeat/pgtwin ", "pgtwin recover ", "pgtwin ordered"] {
            assert!(!KILL_AGENTS.contains(literal), "{literal}");
        }
        assert!(KILL_AGENTS.contains("[r]esource.d/heartbeat/pgtwin "));
    }

    #[test]
    fn no_process_is_known_by_an_empty_title_but_those_that_are_found_otherwise() {
        for process in [
            Process::Client,
            Process::Checkpointer,
            Process::Startup,
            Process::Receiver,
            Process::Sender,
        ] {
            assert!(title(process).starts_with("^postgres: "), "{process:?}");
        }
    }
}
