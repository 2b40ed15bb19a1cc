//! Pacemaker in the nodes: what it shows, and what an administrator tells it.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::{CLONE, PRIMITIVE};
use crate::crm_mon::CrmMon;
use crate::error::{LabError, Result};
use crate::options::Agent;
use crate::rivals::patroni;

impl Cluster {
    /// The cluster's state as a given node sees it.
    pub fn crm_mon_on(&self, node: &str) -> Result<CrmMon> {
        let command = self.command(node, &["crm_mon", "-1", "-r", "-A", "--output-as=xml"]);
        CrmMon::parse(&command.limit(Duration::from_secs(15)).check()?.text())
    }

    /// The cluster's state as seen by a node that has quorum, else by the first that answers.
    pub fn crm_mon(&self) -> Result<CrmMon> {
        let mut without_quorum = None;
        let mut last = LabError::plain("no node runs");
        for node in self.running() {
            match self.crm_mon_on(&node) {
                Ok(mon) if mon.quorum => return Ok(mon),
                Ok(mon) => without_quorum = without_quorum.or(Some(mon)),
                Err(error) => last = error,
            }
        }
        without_quorum.ok_or(last)
    }

    /// `crm_mon` for people, from the first node that answers; what Patroni has instead, where that runs.
    pub fn crm_mon_text(&self) -> Result<String> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::list(self);
        }
        let mut last = LabError::plain("no node runs");
        for node in self.running() {
            let command = self.command(&node, &["crm_mon", "-1", "-r", "-A", "-f"]);
            match command.limit(Duration::from_secs(15)).check() {
                Ok(output) => return Ok(output.text()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The node that Pacemaker shows as promoted, if it shows exactly one, or Patroni as the leader.
    pub fn promoted(&self) -> Option<String> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::leader(self);
        }
        let mon = self.crm_mon().ok()?;
        match mon.promoted().as_slice() {
            [one] => Some((*one).to_owned()),
            _ => None,
        }
    }

    /// Everything as it should be: all nodes online, one primary with the address, all others
    /// standbys that stream, (sync mode) count for commits, and may be promoted.
    pub fn is_healthy(&self) -> bool {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::is_healthy(self);
        }
        let number = self.nodes().len();
        let Ok(mon) = self.crm_mon() else { return false };
        let promoted = mon.promoted();
        let [primary] = promoted.as_slice() else { return false };
        let all_scored = || self.nodes().iter().all(|node| mon.score(node).is_some_and(|n| n > 0));
        mon.quorum
            && (self.options.agent != Agent::Pgtwin || all_scored())
            && mon.online().len() == number
            && mon.unpromoted().len() == number - 1
            && mon.vip() == promoted
            && (!self.options.agent.runs_postgres() || self.has_standbys(primary, number - 1))
    }

    /// Waits for `is_healthy`. A node that is off will not come by itself: then it fails at once.
    pub fn wait_healthy(&self, limit: Duration) -> Result<()> {
        let what = "all nodes are online, with one primary and its standbys streaming";
        let mut off = None;
        self.wait_until(what, limit, || {
            off = self.nodes().into_iter().find(|node| !self.is_running(node));
            off.is_some() || self.is_healthy()
        })?;
        off.map_or(Ok(()), |node| {
            Err(LabError::plain(format!("{node} is off: fenced?\n{}", self.dump())))
        })
    }

    /// Waits until all nodes are online, with quorum.
    pub fn wait_online(&self, limit: Duration) -> Result<()> {
        self.wait_until("all nodes are online", limit, || {
            self.crm_mon().is_ok_and(|mon| mon.quorum && mon.online().len() == self.nodes().len())
        })
    }

    /// Waits until another node than the given one is promoted and its instance is writable.
    pub fn wait_new_primary(&self, old: &str, limit: Duration) -> Result<String> {
        let what = format!("another node than {old} is the primary");
        self.wait_for(&what, limit, || {
            let new = self.promoted().filter(|node| node != old)?;
            (!self.options.agent.runs_postgres() || self.is_writable(&new)).then_some(new)
        })
    }

    /// Starts Corosync and Pacemaker on a node, or Patroni, and has them started when it boots.
    pub fn start_cluster(&self, node: &str) -> Result<()> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::start(self, node);
        }
        self.check(node, &["/lab/lab-node", "cluster-start"]).map(drop)
    }

    /// Stops Pacemaker, and with it the node's resources, then Corosync, in an orderly way.
    pub fn stop_cluster(&self, node: &str) -> Result<()> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::stop(self, node);
        }
        self.command(node, &["/lab/lab-node", "cluster-stop"])
            .limit(Duration::from_mins(4))
            .check()
            .map(drop)
    }

    /// Stops Pacemaker alone, as an upgrade does; Corosync stays.
    pub fn stop_pacemaker(&self, node: &str) -> Result<()> {
        self.command(node, &["/lab/lab-node", "pacemaker-stop"])
            .limit(Duration::from_mins(4))
            .check()
            .map(drop)
    }

    /// Starts the cluster on all nodes at once.
    pub fn start_all(&self) -> Result<()> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::start_all(self);
        }
        self.each_node(|node| self.start_cluster(node))
    }

    /// Stops the cluster on all nodes at once.
    pub fn stop_all(&self) -> Result<()> {
        self.each_node(|node| self.stop_cluster(node))
    }

    /// Runs a command on a node that has quorum, else on the first whose Pacemaker answers: what is changed in
    /// a part without quorum is lost when the parts meet again.
    pub fn on_any<S: AsRef<str>>(&self, command: &[S]) -> Result<String> {
        let running = self.running();
        let ask = |node: &str, question: &[&str]| {
            self.command(node, question).limit(Duration::from_secs(10)).output()
        };
        let has_quorum = |node: &&String| {
            ask(node, &["crm_node", "-q"]).is_ok_and(|one| one.ok() && one.text() == "1")
        };
        let answers =
            |node: &&String| ask(node, &["crmadmin", "-D"]).is_ok_and(|output| output.ok());
        let node = running
            .iter()
            .find(has_quorum)
            .or_else(|| running.iter().find(answers))
            .ok_or_else(|| LabError::plain("Pacemaker answers on no node"))?;
        Ok(self.check(node, command)?.text())
    }

    /// Asks Pacemaker, or Patroni, to move the primary: away from where it is, or to a node.
    pub fn move_primary(&self, to: Option<&str>) -> Result<()> {
        if !self.options.agent.runs_on_pacemaker() {
            return patroni::switch_over(self, to);
        }
        let mut command = vec!["crm_resource", "--move", "--promoted", "--resource", CLONE];
        command.extend(to.iter().flat_map(|node| ["--node", node]));
        self.on_any(&command).map(drop)
    }

    /// Removes the rules that moves have left.
    pub fn clear_moves(&self) -> Result<()> {
        self.on_any(&["crm_resource", "--clear", "--resource", CLONE]).map(drop)
    }

    /// Puts a node into standby, or takes it out.
    pub fn standby(&self, node: &str, on: bool) -> Result<()> {
        let value = if on { "on" } else { "off" };
        let set = ["crm_attribute", "--node", node, "--name", "standby", "--update", value];
        self.on_any(&set).map(drop)
    }

    /// Puts a node into maintenance, or takes it out.
    pub fn maintain(&self, node: &str, on: bool) -> Result<()> {
        let value = if on { "on" } else { "off" };
        let set = ["crm_attribute", "--node", node, "--name", "maintenance", "--update", value];
        self.on_any(&set).map(drop)
    }

    /// Sets a cluster property.
    pub fn property(&self, name: &str, value: &str) -> Result<()> {
        self.on_any(&["crm_attribute", "--name", name, "--update", value]).map(drop)
    }

    /// Sets a parameter of the pgtwin primitive.
    pub fn parameter(&self, name: &str, value: &str) -> Result<()> {
        let set = ["crm_resource", "--resource", PRIMITIVE, "--set-parameter", name];
        let with_value = ["--parameter-value", value];
        let command: Vec<&str> = set.into_iter().chain(with_value).collect();
        self.on_any(&command).map(drop)
    }

    /// Forgets the failures of the clone, so that Pacemaker tries again.
    pub fn cleanup(&self) -> Result<()> {
        self.on_any(&["crm_resource", "--cleanup", "--resource", CLONE]).map(drop)
    }

    /// Waits until Pacemaker has nothing left to do.
    pub fn settle(&self) -> Result<()> {
        self.on_any(&["crm_resource", "--wait", "--timeout", "50s"]).map(drop)
    }
}
