//! What undoes a fault. Each of these is about all nodes, and may be done again and again: so it is known
//! before the fault what has to be undone, and what could not be done at once is owed.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::disks;
use crate::error::{LabError, Result};
use crate::faults::FenceMode;
use crate::preload::Meets;
use crate::torture::act::{Act, Blow, Order, Trouble};
use crate::torture::plan::Shape;

/// One thing to be undone, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undo {
    /// Fencing works.
    Fencing,
    /// Frozen disks go on: nothing that waits for one can be killed.
    FrozenDisks,
    /// Frozen nodes go on.
    Thaw,
    /// Clocks are right.
    Clocks,
    /// All packets pass.
    Packets,
    /// What was stopped goes on.
    Continue,
    /// There is room on all disks.
    FullDisks,
    /// Broken disks are repaired.
    BrokenDisks,
    /// Rules of moves are removed.
    Moves,
    /// No maintenance.
    Maintenance,
    /// No node in standby or in maintenance.
    Nodes,
    /// `pgtwin resume`.
    Resume,
}

impl Undo {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Fencing,
        Self::FrozenDisks,
        Self::Thaw,
        Self::Clocks,
        Self::Packets,
        Self::Continue,
        Self::FullDisks,
        Self::BrokenDisks,
        Self::Moves,
        Self::Maintenance,
        Self::Nodes,
        Self::Resume,
    ];

    /// True if it changes the configuration, or asks the cluster for something: what is changed in a part of the
    /// cluster that is about to lose its quorum, and does not know yet, is lost when the parts meet again.
    pub fn is_of_configuration(self) -> bool {
        match self {
            Self::Moves | Self::Maintenance | Self::Nodes | Self::Resume => true,
            Self::Fencing
            | Self::FrozenDisks
            | Self::Thaw
            | Self::Clocks
            | Self::Packets
            | Self::Continue
            | Self::FullDisks
            | Self::BrokenDisks => false,
        }
    }

    /// Whether nodes of this shape can have what it undoes.
    pub fn fits(self, shape: Shape) -> bool {
        match self {
            Self::FrozenDisks | Self::FullDisks | Self::BrokenDisks => shape.disks,
            Self::Clocks => shape.clocks,
            Self::Fencing
            | Self::Thaw
            | Self::Packets
            | Self::Continue
            | Self::Moves
            | Self::Maintenance
            | Self::Nodes
            | Self::Resume => true,
        }
    }

    /// What undoes an act. Nodes that are off and daemons that have died are looked after in any case.
    pub fn of(act: &Act) -> Vec<Self> {
        match act {
            Act::Strike(_, Blow::Pause, _)
            | Act::StrikeDaemon(_, Blow::Pause, _)
            | Act::Cancel { stopped: true, .. } => vec![Self::Continue],
            Act::PauseNode(_) => vec![Self::Thaw],
            Act::Cut(..) => vec![Self::Packets],
            Act::Disk(Trouble::Full, _) => vec![Self::FullDisks],
            Act::Disk(Trouble::Frozen, _) => vec![Self::FrozenDisks],
            Act::Disk(Trouble::ReadOnly, _) => vec![Self::BrokenDisks],
            Act::Clock(..) => vec![Self::Clocks],
            Act::Moves(_) => vec![Self::Moves],
            Act::Orders(list, _) => {
                let mut undo: Vec<Self> = list.iter().filter_map(|(_, order)| of(*order)).collect();
                undo.sort_unstable();
                undo.dedup();
                undo
            }
            Act::Strike(_, Blow::Kill, _)
            | Act::KillAgents(..)
            | Act::StrikeDaemon(_, Blow::Kill, _)
            | Act::KillNode(..)
            | Act::KillAllNodes
            | Act::Connections(_)
            | Act::Cancel { stopped: false, .. }
            | Act::Rebuild(_) => Vec::new(),
        }
    }

    /// Does it.
    pub fn apply(self, cluster: &Cluster) -> Result<()> {
        match self {
            Self::Fencing => cluster.fence_mode(None, FenceMode::Works),
            Self::FrozenDisks => disks::thaw_all(&cluster.options.name),
            Self::Thaw => cluster.nodes().iter().try_for_each(|node| cluster.thaw_node(node)),
            // Also of those that are off: they boot with it.
            Self::Clocks => {
                cluster.nodes().iter().try_for_each(|node| cluster.meets(node, Meets::Clock(0)))
            }
            Self::Packets => cluster.heal(),
            Self::Continue => on_running(cluster, |node| {
                for who in [["-x", "postgres"], ["-f", "corosync|pacemaker"]] {
                    let done = cluster.exec(node, &["pkill", "-CONT", who[0], who[1]])?;
                    // 1: there is none.
                    if done.code > 1 {
                        return Err(LabError::plain(done.all()));
                    }
                }
                Ok(())
            }),
            Self::FullDisks => {
                cluster.nodes().iter().try_for_each(|node| cluster.fill_disk(node, false))
            }
            Self::BrokenDisks => cluster.nodes().iter().try_for_each(|node| repair(cluster, node)),
            Self::Moves => cluster.clear_moves(),
            Self::Maintenance => cluster.property("maintenance-mode", "false"),
            Self::Nodes => cluster.nodes().iter().try_for_each(|node| {
                cluster.standby(node, false)?;
                cluster.maintain(node, false)
            }),
            Self::Resume => cluster.on_any(&["pgtwin", "resume", "--yes"]).map(drop),
        }
    }
}

fn of(order: Order) -> Option<Undo> {
    match order {
        Order::Standby | Order::NodeMaintenance => Some(Undo::Nodes),
        Order::MaintenanceOn => Some(Undo::Maintenance),
        Order::Pause => Some(Undo::Resume),
        Order::Switchover => Some(Undo::Moves),
        Order::Online | Order::Cleanup | Order::Refresh | Order::MaintenanceOff | Order::Resume => {
            None
        }
    }
}

/// What a person does about a disk that takes no more writes: the machine is switched off, the disk checked, and
/// the machine switched on. One that is off already stays off.
fn repair(cluster: &Cluster, node: &str) -> Result<()> {
    let lab = &cluster.options.name;
    if disks::takes_writes(lab, node) {
        return Ok(());
    }
    let ran = cluster.is_running(node);
    if ran {
        cluster.power_cut(node)?;
    }
    disks::repair(lab, node)?;
    if ran { cluster.power_on(node) } else { Ok(()) }
}

/// Does something on every node that runs. One that has just lost its power does not count.
fn on_running(cluster: &Cluster, work: impl Fn(&str) -> Result<()>) -> Result<()> {
    for node in cluster.running() {
        if let Err(error) = work(&node)
            && cluster.is_running(&node)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Starts what somebody has killed: there is no systemd in a container that would.
pub fn start_daemons(cluster: &Cluster) -> Result<()> {
    on_running(cluster, |node| {
        cluster
            .command(node, &["/lab/lab-node", "cluster-start"])
            .limit(Duration::from_secs(40))
            .check()
            .map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::torture::act::{Cut, Daemon, Process, Role, Target};
    use crate::torture::kind::Kind;

    #[test]
    fn what_a_fault_leaves_behind_is_known_before_it() {
        let target = Target { role: Role::Primary, pick: 0 };
        let orders = |list: &[Order]| {
            Act::Orders(list.iter().map(|one| (Duration::ZERO, *one)).collect(), 0)
        };
        for (act, expected) in [
            (Act::Strike(Process::Postmaster, Blow::Pause, target), vec![Undo::Continue]),
            (Act::Strike(Process::Postmaster, Blow::Kill, target), vec![]),
            (Act::StrikeDaemon(Daemon::Corosync, Blow::Kill, target), vec![]),
            (Act::StrikeDaemon(Daemon::Corosync, Blow::Pause, target), vec![Undo::Continue]),
            (Act::PauseNode(target), vec![Undo::Thaw]),
            (Act::Cut(Cut::In, target), vec![Undo::Packets]),
            (Act::Cut(Cut::Corosync, target), vec![Undo::Packets]),
            (Act::Disk(Trouble::Full, target), vec![Undo::FullDisks]),
            (Act::Disk(Trouble::Frozen, target), vec![Undo::FrozenDisks]),
            (Act::Disk(Trouble::ReadOnly, target), vec![Undo::BrokenDisks]),
            (Act::Clock(target, -45), vec![Undo::Clocks]),
            (Act::Moves(vec![(0, false)]), vec![Undo::Moves]),
            (Act::Cancel { end: true, stopped: true }, vec![Undo::Continue]),
            (Act::Cancel { end: true, stopped: false }, vec![]),
            (
                orders(&[Order::Pause, Order::Standby, Order::NodeMaintenance, Order::Refresh]),
                vec![Undo::Nodes, Undo::Resume],
            ),
            (
                orders(&[Order::MaintenanceOn, Order::Switchover]),
                vec![Undo::Moves, Undo::Maintenance],
            ),
            (orders(&[Order::Online, Order::Cleanup, Order::Resume]), vec![]),
        ] {
            assert_eq!(Undo::of(&act), expected, "{act}");
        }
    }

    /// A kind that is added later must not be forgotten: these leave something behind whatever is drawn.
    #[test]
    fn each_kind_that_lasts_is_undone() {
        for row in Kind::ALL {
            let mut chance = Chance::new(1);
            let act = Act::draw(row.kind, Duration::from_secs(10), &mut chance);
            let lasts = [
                Kind::PausePostmaster,
                Kind::PauseInstance,
                Kind::PauseStream,
                Kind::PauseDaemon,
                Kind::PauseNode,
                Kind::Isolate,
                Kind::OneWay,
                Kind::CutPair,
                Kind::CutReplication,
                Kind::CutCorosync,
                Kind::FullDisk,
                Kind::FrozenDisk,
                Kind::ReadOnlyDisk,
                Kind::Clock,
                Kind::Moves,
            ];
            if lasts.contains(&row.kind) {
                assert!(!Undo::of(&act).is_empty(), "{act}");
            }
        }
    }
}
