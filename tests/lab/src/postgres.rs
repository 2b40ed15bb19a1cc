//! PostgreSQL in the nodes: questions and commands through psql, and starting an instance by
//! hand where a test wants the cluster to find one running.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::REPLICATOR;
use crate::error::{LabError, Result};
use crate::options::{Agent, Mode};

impl Cluster {
    /// Runs SQL on a node as the superuser; gives the rows, columns separated by `|`.
    pub fn psql(&self, node: &str, sql: &str) -> Result<String> {
        let args = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, "postgres"];
        let command = self.command_as_postgres(node, &args).limit(Duration::from_secs(30));
        Ok(command.check()?.text())
    }

    /// True if this node's instance answers and is not in recovery.
    pub fn is_writable(&self, node: &str) -> bool {
        let sql = "SELECT NOT pg_is_in_recovery()";
        let args = ["env", "PGCONNECT_TIMEOUT=3", "psql", "-X", "-A", "-t", "-c", sql, "postgres"];
        // psql gives a server that does not answer 3 s; the rest is for a machine that is busy.
        self.command_as_postgres(node, &args)
            .limit(Duration::from_secs(20))
            .output()
            .is_ok_and(|output| output.ok() && output.text() == "t")
    }

    /// The one node whose instance is not in recovery, asked from PostgreSQL itself.
    pub fn primary(&self) -> Result<String> {
        let mut found = self.writable();
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => Err(LabError::plain("no node is writable")),
            (Some(last), false) => {
                Err(LabError::plain(format!("more than one is writable: {found:?} and {last}")))
            }
        }
    }

    /// All nodes whose instances are not in recovery; all are asked at once.
    pub fn writable(&self) -> Vec<String> {
        let running = self.running();
        thread::scope(|scope| {
            let ask = |node: String| scope.spawn(move || self.is_writable(&node).then_some(node));
            let asked: Vec<_> = running.into_iter().map(ask).collect();
            asked.into_iter().filter_map(|one| one.join().ok().flatten()).collect()
        })
    }

    /// The nodes that are not the primary.
    pub fn standbys(&self) -> Result<Vec<String>> {
        Ok(self.others(&self.primary()?))
    }

    /// The standbys that stream from this node: name → (state, `sync_state`).
    pub fn streaming_from(&self, node: &str) -> Result<BTreeMap<String, (String, String)>> {
        let sql = "SELECT application_name, state, sync_state FROM pg_stat_replication";
        let rows = self.psql(node, sql)?;
        Ok(rows
            .lines()
            .filter_map(|row| {
                let mut fields = row.split('|').map(str::to_owned);
                Some((fields.next()?, (fields.next()?, fields.next()?)))
            })
            .collect())
    }

    /// True if so many standbys stream from this node and, in sync mode, count for commits: all
    /// of them, or at least one with the distribution's agent, which makes only one synchronous.
    pub fn has_standbys(&self, node: &str, number: usize) -> bool {
        let Ok(standbys) = self.streaming_from(node) else { return false };
        let streaming = standbys.values().filter(|(state, _)| state == "streaming");
        let synchronous = streaming.clone().filter(|(_, sync)| sync != "async").count();
        let needed = match (self.options.mode, self.options.agent) {
            (Mode::Async, _) => 0,
            (Mode::Sync, Agent::Pgsql) => 1,
            (Mode::Sync, Agent::Pgtwin | Agent::Stateful | Agent::Paf | Agent::Patroni) => number,
        };
        streaming.count() == number && synchronous >= needed
    }

    /// Starts a node's instance by hand, as an administrator without Pacemaker would: as the
    /// primary, or as a standby of the given node.
    pub fn start_postgres_by_hand(&self, node: &str, follow: Option<&str>) -> Result<()> {
        let data = self.options.pgdata();
        let script = match follow {
            None => format!("rm -f {data}/standby.signal"),
            Some(primary) => format!(
                "touch {data}/standby.signal\n\
                 echo \"primary_conninfo = 'host={} user={} application_name={node} \
                 passfile=/var/lib/postgresql/.pgpass'\" >> {data}/postgresql.auto.conf",
                self.addresses.node(primary),
                REPLICATOR.0
            ),
        };
        let start =
            format!("{}/pg_ctl -s -w -D {data} -l /dev/null start", self.options.pg_bindir());
        self.command_as_postgres(node, &["sh", "-es"])
            .stdin(format!("{script}\n{start}\n"))
            .check()
            .map(drop)
    }

    /// Stops a node's instance by hand.
    pub fn stop_postgres_by_hand(&self, node: &str, mode: &str) -> Result<()> {
        if self.options.runtime.has_podman() {
            return self.stop_postmaster(node, mode);
        }
        let ctl = format!("{}/pg_ctl", self.options.pg_bindir());
        let data = self.options.pgdata();
        self.command_as_postgres(node, &[&ctl, "-s", "-w", "-D", &data, "-m", mode, "stop"])
            .check()
            .map(drop)
    }

    /// The same by its signal: in a container the server has another number than the one that it writes down.
    fn stop_postmaster(&self, node: &str, mode: &str) -> Result<()> {
        let signal = match mode {
            "smart" => "TERM",
            "fast" => "INT",
            "immediate" => "QUIT",
            other => return Err(LabError::plain(format!("no mode `{other}` of a stop"))),
        };
        let pid = self.postmaster_pid(node)?.to_string();
        self.check(node, &["kill", "-s", signal, &pid])?;
        self.wait_until("it has stopped", Duration::from_mins(1), || {
            self.exec(node, &["test", "-e", &format!("/proc/{pid}")]).is_ok_and(|one| !one.ok())
        })
    }

    /// Process id, in the node, of its postmaster: by the first line of postmaster.pid, or, where that may be
    /// the number in a container, of the oldest process of PostgreSQL.
    pub fn postmaster_pid(&self, node: &str) -> Result<u32> {
        let file = format!("{}/postmaster.pid", self.options.pgdata());
        let command: &[&str] = if self.options.runtime.has_podman() {
            &["pgrep", "-o", "-u", "postgres", "-x", "postgres"]
        } else {
            &["head", "-n", "1", &file]
        };
        let text = self.check(node, command)?.text();
        text.parse().map_err(|_| LabError::plain(format!("{command:?} on {node} gives `{text}`")))
    }
}
