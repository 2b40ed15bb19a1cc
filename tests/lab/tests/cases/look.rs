//! What cases look at: instances, logs since a moment, reasons, and what must stay as it is.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use lab::config::PRIMITIVE;
use lab::error::chain;
use lab::{Cluster, LabError, Result};

use crate::ledger;
use crate::stage::SOON;

/// When each running node's postmaster was started: a restart of an instance changes it.
pub fn instances(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let ask = |node: String| {
        let started = cluster.psql(&node, "SELECT pg_postmaster_start_time()")?;
        Ok((node, started))
    };
    cluster.running().into_iter().map(ask).collect()
}

/// The postmaster of the primary was killed: an heir has taken over, or the primary is back in place
/// because it had WAL that no heir had. Gives the primary.
pub fn after_a_killed_postmaster(
    cluster: &Cluster,
    old: &str,
    before: &ledger::Entry,
    marks: &BTreeMap<String, usize>,
) -> Result<String> {
    let new = cluster.wait_for("there is a primary by another promotion", SOON, || {
        let now = cluster.promoted()?;
        let own = ledger::own(cluster, &now).ok()?;
        (own.id != before.id && cluster.is_writable(&now)).then_some(now)
    })?;
    if new == old {
        // An heir says that the old primary has more, or the old primary that it has more than an
        // heir, whoever is notified later.
        let theirs = format!("{old} has more");
        let ours = "this node has more than";
        let said = cluster.nodes().iter().any(|node| {
            logs_since(cluster, marks, node)
                .is_ok_and(|log| log.contains(&theirs) || (node == old && log.contains(ours)))
        });
        assert!(said, "{old} is the primary again, and nobody said that it has more");
        assert_eq!(ledger::own(cluster, old)?.term, before.term, "in place, in the same term");
    } else {
        assert_taken_over(cluster, before, &new)?;
    }
    // One that restarts in place keeps its heirs, who have the right to be promoted only when they have
    // confirmed it anew: until then the loss of its node too promotes nobody.
    cluster.wait_healthy(SOON)?;
    Ok(new)
}

/// The primary has moved from `old` to an heir of the entry, in the next term, and says so in its
/// own file and in the CIB.
pub fn assert_taken_over(cluster: &Cluster, before: &ledger::Entry, new: &str) -> Result<()> {
    assert!(before.heirs.contains(new), "{new} was no heir: {before:?}");
    let after = cluster.wait_for("the new primary's entry is in the CIB", SOON, || {
        let own = ledger::own(cluster, new).ok()?;
        ledger::in_cib(cluster, new).is_ok_and(|copy| copy == own).then_some(own)
    })?;
    assert_eq!(after.term, before.term + 1, "{before:?} {after:?}");
    assert_ne!(after.id, before.id);
    Ok(())
}

/// How long each node's log is now.
pub fn marks(cluster: &Cluster) -> Result<BTreeMap<String, usize>> {
    let length = |node: String| cluster.logs(&node).map(|log| (node, log.len()));
    cluster.nodes().into_iter().map(length).collect()
}

/// A node's log since the marks were taken.
pub fn logs_since(
    cluster: &Cluster,
    marks: &BTreeMap<String, usize>,
    node: &str,
) -> Result<String> {
    let log = cluster.logs(node)?;
    let from = marks.get(node).copied().unwrap_or(0);
    Ok(log.get(from..).unwrap_or(&log).to_owned())
}

/// What crm_mon shows about a node: reasons of results, and the state attribute. One a line.
pub fn reasons(cluster: &Cluster, node: &str) -> String {
    let failures = cluster.crm_mon().map(|mon| mon.failures).unwrap_or_default();
    let of_node = failures.into_iter().filter(|failure| failure.node == node);
    let mut lines: Vec<String> = of_node.map(|failure| failure.reason).collect();
    let state = format!("pgtwin-{PRIMITIVE}-state");
    let ask = ["attrd_updater", "--query", "--name", &state, "--node", node];
    lines.extend(cluster.on_any(&ask));
    lines.join("\n")
}

/// What Pacemaker has on record of a monitor that recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorRecord {
    /// `RESOURCE_monitor_INTERVAL`, or `RESOURCE_last_failure_0` for the memory of a failure.
    pub id: String,
    /// When it ended with another result than before: seconds since 1970, by its node's clock.
    pub changed: i64,
}

/// What the CIB's status has of a node's monitors that recur.
pub fn monitor_records(cluster: &Cluster, node: &str) -> Result<Vec<MonitorRecord>> {
    let xpath = format!(
        "//node_state[@uname='{node}']//lrm_resource[@id='{PRIMITIVE}']\
         /lrm_rsc_op[@operation='monitor' and @interval!='0']"
    );
    // Where nothing matches, cibadmin fails.
    let query = ["cibadmin", "--query", "--xpath", &xpath];
    let asked = cluster.running().into_iter().next();
    let asked = asked.ok_or_else(|| LabError::plain("no node is running"))?;
    let text = cluster.command(&asked, &query).output()?.text();
    let of = |record: &str, name: &str| {
        let value = record.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(value.to_owned())
    };
    let records = text.split("<lrm_rsc_op").skip(1).filter_map(|record| {
        let changed = of(record, "last-rc-change")?.parse().ok()?;
        Some(MonitorRecord { id: of(record, "id")?, changed })
    });
    Ok(records.collect())
}

/// A text without its line breaks, which fall anywhere.
pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `pgtwin status` shows on a node, flat. It exits with 1 where it warns of anything.
pub fn status(cluster: &Cluster, node: &str) -> Result<String> {
    Ok(flat(&cluster.exec(node, &["pgtwin", "status"])?.text()))
}

/// Waits until crm_mon says something about a node with all of these words; gives it.
pub fn wait_reason(cluster: &Cluster, node: &str, words: &[&str]) -> Result<String> {
    wait_reason_of_any(cluster, &[node.to_owned()], words)
}

/// The same about any of these nodes.
pub fn wait_reason_of_any(cluster: &Cluster, nodes: &[String], words: &[&str]) -> Result<String> {
    let what = format!("crm_mon says about {nodes:?} something with the words {words:?}");
    let said = || nodes.iter().map(|node| (node, reasons(cluster, node)));
    let found = cluster.wait_for(&what, SOON, || {
        said().find_map(|(node, reasons)| {
            let mut lines = reasons.lines();
            let reason = lines.find(|line| words.iter().all(|word| line.contains(word)))?;
            eprintln!("{node}: {reason}");
            Some(reason.to_owned())
        })
    });
    found.map_err(|error| {
        let said: Vec<_> = said().collect();
        LabError::plain(format!("{}\nthey say: {said:?}", chain(&error)))
    })
}

/// Fails if a condition ceases to hold within some seconds.
pub fn stays(seconds: u64, what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        if !holds() {
            return Err(LabError::plain(format!("it did not stay so: {what}")));
        }
        thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

/// For some seconds no node is writable. (`crm_mon` shows a node as promoted, and failed, after a
/// promotion that the agent has refused: PostgreSQL itself is asked.)
pub fn nobody_is_promoted(cluster: &Cluster, seconds: u64) -> Result<()> {
    stays(seconds, "no node is writable", || {
        cluster.running().iter().all(|node| !cluster.is_writable(node))
    })
}

/// Waits until Pacemaker on this node answers, with quorum or without.
pub fn wait_pacemaker(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.wait_until(&format!("Pacemaker of {node} answers"), SOON, || {
        cluster.crm_mon_on(node).is_ok_and(|mon| mon.node(node).is_some_and(|one| one.online))
    })
}

/// Waits until Pacemaker runs no instance on a node.
pub fn wait_stopped(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.wait_until(&format!("nothing runs on {node}"), SOON, || {
        cluster.crm_mon().is_ok_and(|mon| {
            !mon.resources.iter().any(|one| {
                one.id.starts_with(PRIMITIVE)
                    && one.role != "Stopped"
                    && one.node.as_deref() == Some(node)
            })
        })
    })
}

/// Process ids of everything of PostgreSQL that lives in a node.
pub fn postgres_processes(cluster: &Cluster, node: &str) -> Result<Vec<String>> {
    let output = cluster.exec(node, &["pgrep", "-u", "postgres", "-x", "postgres"])?;
    if output.code > 1 {
        return Err(LabError::plain(format!("pgrep on {node}: {}", output.all())));
    }
    Ok(output.text().lines().map(str::to_owned).collect())
}

/// No failed action, but for results that only say that something is degraded.
pub fn assert_no_failures(cluster: &Cluster) -> Result<()> {
    let mon = cluster.crm_mon()?;
    let failed: Vec<String> = mon
        .failures
        .iter()
        .filter(|failure| !failure.status.contains("might fail soon"))
        .map(|failure| {
            format!("{} on {}: {} ({})", failure.op, failure.node, failure.reason, failure.status)
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    Ok(())
}
