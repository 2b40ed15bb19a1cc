//! The logs of the nodes: read, shown, and kept.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cluster::Cluster;
use crate::docker::docker;
use crate::error::{LabError, Result, chain};
use crate::progress::say;
use crate::run::tail;

/// Logs that a node may well not have.
const OPTIONAL: [&str; 3] = ["syslog.1", "patroni.log", "etcd.log"];

impl Cluster {
    /// What a person would look at first: the cluster's state and the end of every agent's log.
    pub fn dump(&self) -> String {
        let mut text = self.crm_mon_text().unwrap_or_else(|error| chain(&error));
        for node in self.nodes() {
            let log = self.agent_log(&node).unwrap_or_else(|error| chain(&error));
            let running = if self.is_running(&node) { "" } else { " (off)" };
            let _ = write!(text, "\n--- agent on {node}{running}\n{}", tail(&log, 20));
        }
        text
    }

    /// A node's whole system log: the agent, Pacemaker's notices, the fence agent.
    pub fn logs(&self, node: &str) -> Result<String> {
        self.read_file(node, "/var/log/syslog")
    }

    /// The system logs of all nodes in one text.
    pub fn all_logs(&self) -> String {
        self.nodes().iter().filter_map(|node| self.logs(node).ok()).collect()
    }

    /// What a node's system log says of the agent, by itself and by the daemon that runs it.
    pub fn agent_log(&self, node: &str) -> Result<String> {
        let log = self.logs(node)?;
        let about = |line: &&str| line.contains(" pgtwin") && !line.contains("schedulerd");
        let lines: Vec<&str> = log.lines().filter(about).collect();
        Ok(lines.join("\n"))
    }

    /// Copies every node's logs into a directory of the host.
    pub fn save_logs(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(LabError::io(format!("create {}", dir.display())))?;
        let pg_log = format!("{}/log/postgresql.log", self.options.pgdata());
        let files = [
            ("syslog", "/var/log/syslog"),
            ("syslog.1", "/var/log/syslog.1"),
            ("pacemaker.log", "/var/log/pacemaker/pacemaker.log"),
            ("corosync.log", "/var/log/corosync/corosync.log"),
            ("postgresql.log", pg_log.as_str()),
            ("patroni.log", "/var/log/patroni/patroni.log"),
            ("etcd.log", "/var/log/etcd.log"),
        ];
        for node in self.nodes() {
            for (name, path) in files {
                let text = match self.read_file(&node, path) {
                    Ok(text) => text,
                    // Only a long log has an older part, and each of the others is of some clusters only.
                    Err(_) if OPTIONAL.contains(&name) => continue,
                    Err(error) => chain(&error),
                };
                let file = dir.join(format!("{node}-{name}"));
                fs::write(&file, text)
                    .map_err(LabError::io(format!("write {}", file.display())))?;
            }
            // The agent's own, and those of its recoveries; a node may have none.
            let own = format!("{}:/var/log/pgtwin", self.container(&node));
            let _ = docker(["cp", &own, &dir.join(format!("{node}-pgtwin")).display().to_string()])
                .check();
        }
        let state = self.crm_mon_text().unwrap_or_else(|error| chain(&error));
        fs::write(dir.join("crm_mon"), state).map_err(LabError::io("write crm_mon"))
    }

    /// Where `LAB_LOGS` names a directory, every lab leaves its logs there when it goes.
    pub(crate) fn save_wanted_logs(&self) {
        let Some(dir) = std::env::var_os("LAB_LOGS") else { return };
        if let Err(error) = self.save_logs(&Path::new(&dir).join(&self.options.name)) {
            say(format!("could not save the logs: {}", chain(&error)));
        }
    }
}
