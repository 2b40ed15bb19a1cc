//! What is broken on purpose: nodes, networks, processes, fencing.

use std::fs;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::disks;
use crate::docker::docker;
use crate::error::{LabError, Result};

/// How the fence agent behaves when it is asked to fence a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceMode {
    /// It kills the node's container.
    Works,
    /// It reports a failure and kills nothing.
    Fails,
    /// It waits first.
    Slow(Duration),
}

impl Cluster {
    /// Cuts a node's power: every process in it is gone at once, and says goodbye to nobody. The
    /// link goes first, because a killed process's connections would be closed politely.
    pub fn power_cut(&self, node: &str) -> Result<()> {
        self.check(node, &["ip", "link", "set", "eth0", "down"])?;
        docker(["kill", "--signal", "KILL", &self.container(node)]).check()?;
        self.wait_off(node, Duration::from_secs(30))
    }

    /// Cuts the power of all nodes at once.
    pub fn power_cut_all(&self) -> Result<()> {
        self.each_node(|node| self.power_cut(node))
    }

    /// Powers a node on: it boots, and starts the cluster if it was in it. If the others are about to fence
    /// it, after that.
    pub fn power_on(&self, node: &str) -> Result<()> {
        self.await_fencing(node, Duration::from_secs(10));
        self.boot(node)
    }

    /// Powers a node on, whatever the others are about to do.
    pub fn boot(&self, node: &str) -> Result<()> {
        docker(["start", &self.container(node)]).check()?;
        self.wait_booted(node)
    }

    /// Freezes a node: nothing in it runs any more, and its kernel goes on to answer for it. Fencing ends that.
    pub fn freeze_node(&self, node: &str) -> Result<()> {
        docker(["pause", &self.container(node)]).check().map(drop)
    }

    /// Has a frozen node go on where it was; one that is not frozen, or off, stays as it is.
    pub fn thaw_node(&self, node: &str) -> Result<()> {
        let container = self.container(node);
        let is_frozen = || {
            docker(["inspect", "--format", "{{.State.Paused}}", &container])
                .check()
                .map(|one| one.text())
        };
        if is_frozen()? != "true" {
            return Ok(());
        }
        let thawed = docker(["unpause", &container]).check();
        // It may have been fenced in between.
        if thawed.is_err() && is_frozen()? == "false" { Ok(()) } else { thawed.map(drop) }
    }

    /// Waits, within a bound, until those that have quorum have missed a node, and fenced it: fencing does not
    /// ask whether it boots again meanwhile.
    fn await_fencing(&self, node: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while self.options.fencing && Instant::now() < end {
            let Ok(mon) = self.crm_mon() else { return };
            let is_over = mon.node(node).is_none_or(|seen| !seen.online && !seen.unclean);
            if is_over || !mon.quorum {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a node is off, by fencing or by hand.
    pub fn wait_off(&self, node: &str, limit: Duration) -> Result<()> {
        self.wait_until(&format!("{node} is off"), limit, || !self.is_running(node))
    }

    /// Drops all packets between two nodes.
    pub fn cut(&self, one: &str, other: &str) -> Result<()> {
        self.drop_from(one, other)?;
        self.drop_from(other, one)
    }

    /// Drops all packets between a node and all others. The host still reaches it.
    pub fn cut_all(&self, node: &str) -> Result<()> {
        // On the node itself, in one go: it must not talk to one and not to another.
        self.drop_with_others(node, drop_rules)
    }

    /// Drops what the others send to a node, or what it sends to them, and nothing of the other direction.
    pub fn cut_one_way(&self, node: &str, inbound: bool) -> Result<()> {
        self.drop_with_others(node, |address| {
            if inbound { drop_input(address) } else { drop_output(address) }
        })
    }

    /// Drops what Corosync on a node exchanges with the others. PostgreSQL is not concerned.
    pub fn cut_corosync(&self, node: &str) -> Result<()> {
        self.drop_with_others(node, |address| {
            format!(
                "-A INPUT -p udp --dport 5405 -s {address} -j DROP\n\
                 -A OUTPUT -p udp --dport 5405 -d {address} -j DROP\n"
            )
        })
    }

    fn drop_with_others(&self, node: &str, rules_for: impl Fn(&str) -> String) -> Result<()> {
        let others = self.others(node);
        let rules: String =
            others.iter().map(|other| rules_for(&self.addresses.node(other))).collect();
        self.restore(node, &format!("*filter\n{rules}COMMIT\n"))
    }

    /// Drops what PostgreSQL on a node exchanges with PostgreSQL on the others: its receiver gets
    /// nothing any more and notices nothing of it. Corosync and Pacemaker are not concerned.
    pub fn cut_replication(&self, node: &str) -> Result<()> {
        self.drop_with_others(node, |address| {
            let rules = |port: &str| {
                format!(
                    "-A INPUT -p tcp --{port} 5432 -s {address} -j DROP\n\
                     -A OUTPUT -p tcp --{port} 5432 -d {address} -j DROP\n"
                )
            };
            rules("sport") + &rules("dport")
        })
    }

    /// Lets all packets through again, on every running node.
    pub fn heal(&self) -> Result<()> {
        for node in self.running() {
            self.check(&node, &["iptables", "-F"])?;
        }
        Ok(())
    }

    fn drop_from(&self, node: &str, other: &str) -> Result<()> {
        let rules = drop_rules(&self.addresses.node(other));
        self.restore(node, &format!("*filter\n{rules}COMMIT\n"))
    }

    fn restore(&self, node: &str, rules: &str) -> Result<()> {
        self.command(node, &["iptables-restore", "--noflush"]).stdin(rules).check().map(drop)
    }

    /// Leaves nothing free beside a node's data, which has a file system of its own, or makes room again.
    pub fn fill_disk(&self, node: &str, full: bool) -> Result<()> {
        let file = format!("{}/{}", self.options.pgdata_parent(), disks::FILLER);
        if !full && self.options.disk.is_some() {
            return disks::make_room(&self.options.name, node);
        }
        if full && self.options.disk.is_none() && self.options.tmpfs.is_empty() {
            return Err(LabError::plain("the nodes have no disks of their own to be filled"));
        }
        let script = if full {
            format!("dd if=/dev/zero of={file} bs=1M 2>&1 | grep -q 'No space left'")
        } else {
            format!("rm -f {file}")
        };
        self.check(node, &["sh", "-c", &script]).map(drop)
    }

    /// Sends a signal to a node's postmaster: `KILL`, `STOP`, `CONT`, …
    pub fn signal_postmaster(&self, node: &str, signal: &str) -> Result<()> {
        let pid = self.postmaster_pid(node)?.to_string();
        self.check(node, &["kill", "-s", signal, &pid]).map(drop)
    }

    /// How fencing behaves from now on, for all nodes or for one target.
    pub fn fence_mode(&self, target: Option<&str>, mode: FenceMode) -> Result<()> {
        let name = target.map_or_else(|| "fencing".to_owned(), |node| format!("fencing-{node}"));
        let path = self.shared_dir().join(name);
        let text = match mode {
            FenceMode::Works => "works".to_owned(),
            FenceMode::Fails => "fails".to_owned(),
            FenceMode::Slow(delay) => format!("slow {}", delay.as_secs()),
        };
        fs::write(&path, text).map_err(LabError::io(format!("write {}", path.display())))
    }
}

fn drop_rules(address: &str) -> String {
    drop_input(address) + &drop_output(address)
}

fn drop_input(address: &str) -> String {
    format!("-A INPUT -s {address} -j DROP\n")
}

fn drop_output(address: &str) -> String {
    format!("-A OUTPUT -d {address} -j DROP\n")
}

/// What `lab fault` can do by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the primary's postmaster.
    KillPostmaster,
    /// Power cut of the primary's node.
    KillNode,
    /// SIGSTOP of the primary's postmaster.
    FreezePostmaster,
    /// The primary's node cut off from the others.
    CutNode,
    /// All packets pass again.
    Heal,
    /// A standby's instance stopped by hand, outside Pacemaker.
    StopStandbyInstance,
    /// A planned move of the primary.
    Move,
    /// The primary's node into standby.
    Standby,
    /// All nodes out of standby, and moves cleared.
    Unstandby,
    /// All nodes that are off powered on, or the one that is named.
    PowerOn,
    /// Fencing fails from now on.
    FencingFails,
    /// Fencing takes 20 s longer from now on.
    FencingSlow,
    /// Fencing works again.
    FencingWorks,
}

impl Fault {
    /// All, with their names and what they do.
    pub const ALL: [(Self, &str, &str); 13] = [
        (Self::KillPostmaster, "kill-postmaster", "kill -9 of the primary's postmaster"),
        (Self::KillNode, "kill-node", "power cut of the primary's node"),
        (Self::FreezePostmaster, "freeze-postmaster", "SIGSTOP of the primary's postmaster"),
        (Self::CutNode, "cut-node", "the primary's node cut off from the other nodes"),
        (Self::Heal, "heal", "all packets pass again"),
        (Self::StopStandbyInstance, "stop-standby-instance", "a standby stopped by hand"),
        (Self::Move, "move", "planned move of the primary"),
        (Self::Standby, "standby", "the primary's node into standby"),
        (Self::Unstandby, "unstandby", "all nodes out of standby, moves cleared"),
        (Self::PowerOn, "power-on", "all nodes that are off powered on, or the one named"),
        (Self::FencingFails, "fencing-fails", "fencing fails from now on"),
        (Self::FencingSlow, "fencing-slow", "fencing takes 20 s longer from now on"),
        (Self::FencingWorks, "fencing-works", "fencing works again"),
    ];

    /// True if another node must be the primary afterwards. A killed postmaster may be started
    /// again where it was.
    pub fn moves_the_primary(self) -> bool {
        use Fault::{CutNode, FreezePostmaster, KillNode, Move, Standby};
        matches!(self, KillNode | FreezePostmaster | CutNode | Move | Standby)
    }

    /// Does it, to the given node or to the one the fault is meant for; says what it did.
    pub fn inject(self, cluster: &Cluster, node: Option<&str>) -> Result<String> {
        let primary = || node.map_or_else(|| cluster.primary(), |name| Ok(name.to_owned()));
        match self {
            Self::KillPostmaster | Self::FreezePostmaster => {
                let (node, signal) =
                    (primary()?, if self == Self::KillPostmaster { "KILL" } else { "STOP" });
                cluster.signal_postmaster(&node, signal)?;
                Ok(format!("sent SIG{signal} to the postmaster of {node}"))
            }
            Self::KillNode => {
                let node = primary()?;
                cluster.power_cut(&node)?;
                Ok(format!("cut the power of {node}"))
            }
            Self::CutNode => {
                let node = primary()?;
                cluster.cut_all(&node)?;
                Ok(format!("cut {node} off from the other nodes"))
            }
            Self::Heal => cluster.heal().map(|()| "all packets pass again".to_owned()),
            Self::StopStandbyInstance => {
                let node = if let Some(name) = node {
                    name.to_owned()
                } else {
                    let list = cluster.standbys()?;
                    list.into_iter().next().ok_or_else(|| LabError::plain("no standby"))?
                };
                cluster.stop_postgres_by_hand(&node, "fast")?;
                Ok(format!("stopped the instance of {node} by hand"))
            }
            Self::Move => {
                cluster.move_primary(node)?;
                Ok("asked Pacemaker to move the primary".to_owned())
            }
            Self::Standby => {
                let node = primary()?;
                cluster.standby(&node, true)?;
                Ok(format!("put {node} into standby"))
            }
            Self::Unstandby => {
                for node in cluster.nodes() {
                    cluster.standby(&node, false)?;
                }
                cluster.clear_moves()?;
                Ok("no node is in standby, moves are cleared".to_owned())
            }
            Self::PowerOn => {
                let is_off = |name: &String| {
                    !cluster.is_running(name) && node.is_none_or(|wanted| name == wanted)
                };
                let off: Vec<String> = cluster.nodes().into_iter().filter(is_off).collect();
                off.iter().try_for_each(|name| cluster.power_on(name))?;
                Ok(format!(
                    "powered on: {}",
                    if off.is_empty() { "none".into() } else { off.join(" ") }
                ))
            }
            Self::FencingFails => fencing(cluster, node, FenceMode::Fails),
            Self::FencingSlow => fencing(cluster, node, FenceMode::Slow(Duration::from_secs(20))),
            Self::FencingWorks => fencing(cluster, node, FenceMode::Works),
        }
    }
}

fn fencing(cluster: &Cluster, node: Option<&str>, mode: FenceMode) -> Result<String> {
    cluster.fence_mode(node, mode)?;
    Ok(format!("fencing of {}: {mode:?}", node.unwrap_or("every node")))
}

impl FromStr for Fault {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, name, _)| *name == text)
            .map(|(fault, ..)| fault)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|(_, name, _)| *name).collect();
                LabError::plain(format!("no fault `{text}`: use {}", names.join(", ")))
            })
    }
}
