//! What a fault does, drawn whole before anything is done: a value, to be printed, compared and carried out.
//! Whom it hits is said by role and number, for who is the primary then is not known yet.

use std::fmt;
use std::time::Duration;

use crate::chance::Chance;
use crate::torture::kind::Kind;

/// The role of the node that is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever is the primary then; if nobody is, any node.
    Primary,
    /// One of the others.
    Standby,
    /// Any.
    Any,
}

/// Which node is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its role.
    pub role: Role,
    /// Which of those of this role.
    pub pick: usize,
}

impl Target {
    /// The node, of those that run. None where there is none of this role.
    pub fn resolve(self, running: &[String], primary: Option<&str>) -> Option<String> {
        let of = |list: Vec<&String>| list.get(self.pick % list.len().max(1)).copied().cloned();
        let is_primary = |node: &&String| primary == Some(node.as_str());
        match (self.role, primary) {
            (Role::Primary, Some(_)) => running.iter().find(is_primary).cloned(),
            (Role::Standby, Some(_)) => {
                of(running.iter().filter(|node| !is_primary(node)).collect())
            }
            (Role::Primary | Role::Standby, None) | (Role::Any, _) => of(running.iter().collect()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Primary => f.write_str("the primary"),
            Role::Standby => f.write_str("a standby"),
            Role::Any => f.write_str("a node"),
        }
    }
}

/// Processes of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The postmaster.
    Postmaster,
    /// All of them.
    Instance,
    /// One that serves a client of the lab.
    Client,
    /// The checkpointer.
    Checkpointer,
    /// The startup process, which replays WAL.
    Startup,
    /// The walreceiver.
    Receiver,
    /// The walsenders.
    Sender,
}

/// Kill or stop for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT at the end.
    Pause,
}

/// A daemon of Pacemaker or Corosync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// Corosync itself.
    Corosync,
    /// The one that starts the others again.
    Pacemakerd,
    /// The configuration.
    Based,
    /// Node attributes.
    Attrd,
    /// Runs the agent.
    Execd,
    /// Carries transitions out.
    Controld,
    /// Fencing.
    Fenced,
    /// Plans transitions.
    Schedulerd,
}

impl Daemon {
    const OF_PACEMAKER: [Self; 7] = [
        Self::Pacemakerd,
        Self::Based,
        Self::Attrd,
        Self::Execd,
        Self::Controld,
        Self::Fenced,
        Self::Schedulerd,
    ];

    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Corosync => "corosync",
            Self::Pacemakerd => "pacemakerd",
            Self::Based => "pacemaker-based",
            Self::Attrd => "pacemaker-attrd",
            Self::Execd => "pacemaker-execd",
            Self::Controld => "pacemaker-controld",
            Self::Fenced => "pacemaker-fenced",
            Self::Schedulerd => "pacemaker-schedulerd",
        }
    }
}

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything between a node and the others, both ways.
    All,
    /// What the others send.
    In,
    /// What it sends.
    Out,
    /// Everything between it and one other.
    Pair,
    /// PostgreSQL's port.
    Replication,
    /// Corosync's port.
    Corosync,
}

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No room is left.
    Full,
    /// Whoever writes waits.
    Frozen,
    /// It has reported an error, and its file system takes no more writes.
    ReadOnly,
}

/// What an operator types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Puts a node into standby.
    Standby,
    /// Takes all nodes out of it.
    Online,
    /// Forgets failures.
    Cleanup,
    /// Has Pacemaker look anew.
    Refresh,
    /// The cluster into maintenance.
    MaintenanceOn,
    /// Out of it.
    MaintenanceOff,
    /// A node into maintenance.
    NodeMaintenance,
    /// `pgtwin pause`.
    Pause,
    /// `pgtwin resume`.
    Resume,
    /// `pgtwin switchover`.
    Switchover,
}

impl Order {
    const ALL: [Self; 10] = [
        Self::Standby,
        Self::Online,
        Self::Cleanup,
        Self::Refresh,
        Self::MaintenanceOn,
        Self::MaintenanceOff,
        Self::NodeMaintenance,
        Self::Pause,
        Self::Resume,
        Self::Switchover,
    ];
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A signal to processes of PostgreSQL.
    Strike(Process, Blow, Target),
    /// The agent's processes of a node killed, each so long after one was seen.
    KillAgents(Target, Vec<Duration>),
    /// A signal to a daemon.
    StrikeDaemon(Daemon, Blow, Target),
    /// A node loses its power; `true`: it boots again at once.
    KillNode(Target, bool),
    /// A whole node frozen.
    PauseNode(Target),
    /// All nodes lose their power.
    KillAllNodes,
    /// Packets dropped.
    Cut(Cut, Target),
    /// Something is wrong with a node's disk.
    Disk(Trouble, Target),
    /// A node's clock is so many seconds ahead, or behind.
    Clock(Target, i64),
    /// Moves to the nodes of these numbers, one after the other; `true`: by `pgtwin switchover`.
    Moves(Vec<(usize, bool)>),
    /// Every connection taken; `true`: also the superuser's.
    Connections(bool),
    /// Sessions of one writer cancelled, or (`true`) ended; with `stopped` no standby confirms meanwhile.
    Cancel {
        /// Sessions are ended instead of their statements.
        end: bool,
        /// All walreceivers are stopped meanwhile.
        stopped: bool,
    },
    /// Orders, each after so long, on the node of this number.
    Orders(Vec<(Duration, Order)>, usize),
    /// `pgtwin rebuild`.
    Rebuild(Target),
}

/// The most by which a clock is set, in seconds.
const HOUR: i64 = 3600;

impl Act {
    /// True if nothing else may come with it. All nodes off leave nothing to be hit. A failure that Pacemaker
    /// records while its clock is an hour ahead is forgotten an hour after `failure-timeout`: until then the node
    /// is banned for what a fault beside this one did to it, and only an operator's cleanup helps.
    pub fn stands_alone(&self) -> bool {
        matches!(self, Self::KillAllNodes | Self::Clock(_, HOUR))
    }

    /// One of a kind, by chance.
    pub fn draw(kind: Kind, hold: Duration, chance: &mut Chance) -> Self {
        let seconds = hold.as_secs();
        match kind {
            Kind::KillPostmaster => {
                Self::Strike(Process::Postmaster, Blow::Kill, mostly_primary(chance))
            }
            Kind::PausePostmaster => {
                Self::Strike(Process::Postmaster, Blow::Pause, mostly_primary(chance))
            }
            Kind::PauseInstance => {
                Self::Strike(Process::Instance, Blow::Pause, mostly_primary(chance))
            }
            Kind::KillBackend => {
                let (process, target) = match chance.below(4) {
                    0 => (Process::Checkpointer, mostly_primary(chance)),
                    1 => (Process::Startup, standby(chance)),
                    _ => (Process::Client, primary()),
                };
                Self::Strike(process, Blow::Kill, target)
            }
            Kind::KillStream => stream(Blow::Kill, chance),
            Kind::PauseStream => stream(Blow::Pause, chance),
            Kind::KillAgents => {
                let number = chance.within(1, 3);
                let after = (0..number).map(|_| Duration::from_millis(chance.below(900))).collect();
                Self::KillAgents(any(chance), after)
            }
            Kind::KillCorosync => {
                Self::StrikeDaemon(Daemon::Corosync, Blow::Kill, mostly_primary(chance))
            }
            Kind::KillDaemon => Self::StrikeDaemon(of_pacemaker(chance), Blow::Kill, any(chance)),
            Kind::PauseDaemon => {
                let daemon =
                    if chance.once_in(3) { Daemon::Corosync } else { of_pacemaker(chance) };
                Self::StrikeDaemon(daemon, Blow::Pause, any(chance))
            }
            Kind::PauseNode => Self::PauseNode(mostly_primary(chance)),
            Kind::KillNode => Self::KillNode(mostly_primary(chance), chance.once_in(4)),
            Kind::KillAllNodes => Self::KillAllNodes,
            Kind::Isolate => Self::Cut(Cut::All, mostly_primary(chance)),
            Kind::OneWay => {
                let cut = if chance.once_in(2) { Cut::In } else { Cut::Out };
                Self::Cut(cut, mostly_primary(chance))
            }
            Kind::CutPair => Self::Cut(Cut::Pair, mostly_primary(chance)),
            Kind::CutReplication => Self::Cut(Cut::Replication, any(chance)),
            Kind::CutCorosync => Self::Cut(Cut::Corosync, mostly_primary(chance)),
            Kind::FullDisk => Self::Disk(Trouble::Full, mostly_primary(chance)),
            Kind::FrozenDisk => Self::Disk(Trouble::Frozen, mostly_primary(chance)),
            Kind::ReadOnlyDisk => Self::Disk(Trouble::ReadOnly, mostly_primary(chance)),
            Kind::Clock => {
                let by = *chance.one_of(&[2, 45, HOUR]).unwrap_or(&HOUR);
                Self::Clock(mostly_primary(chance), if chance.once_in(2) { by } else { -by })
            }
            Kind::Moves => {
                let number = chance.within(1, seconds / 8 + 1);
                Self::Moves((0..number).map(|_| (pick(chance), !chance.once_in(3))).collect())
            }
            Kind::Connections => Self::Connections(chance.once_in(2)),
            Kind::Cancel => Self::Cancel { end: chance.once_in(3), stopped: chance.once_in(2) },
            Kind::Orders => orders(seconds, chance),
            Kind::Rebuild => Self::Rebuild(standby(chance)),
        }
    }
}

fn pick(chance: &mut Chance) -> usize {
    usize::try_from(chance.below(60)).unwrap_or(0)
}

fn primary() -> Target {
    Target { role: Role::Primary, pick: 0 }
}

fn standby(chance: &mut Chance) -> Target {
    Target { role: Role::Standby, pick: pick(chance) }
}

fn any(chance: &mut Chance) -> Target {
    Target { role: Role::Any, pick: pick(chance) }
}

/// Two times in three: that is where it hurts.
fn mostly_primary(chance: &mut Chance) -> Target {
    if chance.once_in(3) { standby(chance) } else { Target { pick: pick(chance), ..primary() } }
}

fn of_pacemaker(chance: &mut Chance) -> Daemon {
    chance.one_of(&Daemon::OF_PACEMAKER).copied().unwrap_or(Daemon::Controld)
}

fn stream(blow: Blow, chance: &mut Chance) -> Act {
    if chance.once_in(2) {
        Act::Strike(Process::Receiver, blow, standby(chance))
    } else {
        Act::Strike(Process::Sender, blow, primary())
    }
}

/// Each at a moment of its own, in the order of time.
fn orders(seconds: u64, chance: &mut Chance) -> Act {
    let number = chance.within(2, 6);
    let mut list: Vec<(Duration, Order)> = (0..number)
        .filter_map(|_| {
            let after = Duration::from_millis(chance.below(seconds.max(1) * 1000));
            Some((after, *chance.one_of(&Order::ALL)?))
        })
        .collect();
    list.sort_by_key(|(after, _)| *after);
    Act::Orders(list, pick(chance))
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Duration| format!("{} ms", time.as_millis());
        match self {
            Self::Strike(process, blow, target) => write!(f, "{blow:?} {process:?} of {target}"),
            Self::KillAgents(target, after) => {
                let after: Vec<String> = after.iter().map(ms).collect();
                write!(f, "kill the agent on {target}, at work for {}", after.join(", "))
            }
            Self::StrikeDaemon(daemon, blow, target) => {
                write!(f, "{blow:?} {} of {target}", daemon.program())
            }
            Self::PauseNode(target) => write!(f, "freeze {target}"),
            Self::KillNode(target, true) => write!(f, "cut the power of {target}, boot at once"),
            Self::KillNode(target, false) => write!(f, "cut the power of {target}"),
            Self::KillAllNodes => f.write_str("cut the power of all nodes"),
            Self::Cut(cut, target) => write!(f, "cut {cut:?} at {target}"),
            Self::Disk(Trouble::Full, target) => write!(f, "fill the disk of {target}"),
            Self::Disk(Trouble::Frozen, target) => write!(f, "freeze the disk of {target}"),
            Self::Disk(Trouble::ReadOnly, target) => write!(f, "break the disk of {target}"),
            Self::Clock(target, by) => write!(f, "set the clock of {target} by {by:+} s"),
            Self::Moves(list) => {
                let tool =
                    |(_, by): &(usize, bool)| if *by { "switchover" } else { "crm_resource" };
                write!(f, "move by {}", list.iter().map(tool).collect::<Vec<_>>().join(", "))
            }
            Self::Connections(true) => f.write_str("take every connection as a superuser"),
            Self::Connections(false) => f.write_str("take every connection"),
            Self::Cancel { end, stopped } => {
                let what = if *end { "end sessions" } else { "cancel statements" };
                let how = if *stopped { ", receivers stopped" } else { "" };
                write!(f, "{what} while they commit{how}")
            }
            Self::Orders(list, _) => {
                let list: Vec<String> = list
                    .iter()
                    .map(|(after, order)| format!("{order:?} after {}", ms(after)))
                    .collect();
                f.write_str(&list.join(", "))
            }
            Self::Rebuild(target) => write!(f, "rebuild {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_among_the_nodes_that_run() {
        let nodes = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (role, pick, running, primary, expected) in [
            (Role::Primary, 5, ["n1", "n2", "n3"].as_slice(), Some("n2"), Some("n2")),
            (Role::Primary, 5, &["n1", "n2", "n3"], None, Some("n3")),
            (Role::Primary, 0, &["n1", "n3"], Some("n2"), None),
            (Role::Standby, 0, &["n1", "n2", "n3"], Some("n1"), Some("n2")),
            (Role::Standby, 1, &["n1", "n2", "n3"], Some("n1"), Some("n3")),
            (Role::Standby, 2, &["n1", "n2", "n3"], Some("n1"), Some("n2")),
            (Role::Standby, 2, &["n1"], Some("n1"), None),
            (Role::Standby, 0, &["n2"], None, Some("n2")),
            (Role::Any, 4, &["n1", "n2", "n3"], Some("n1"), Some("n2")),
            (Role::Any, 4, &[], None, None),
        ] {
            let found = Target { role, pick }.resolve(&nodes(running), primary);
            assert_eq!(found.as_deref(), expected, "{role:?} {pick} {running:?} {primary:?}");
        }
    }

    #[test]
    fn orders_come_in_the_order_of_time_and_within_it() {
        let mut chance = Chance::new(3);
        for _ in 0..200 {
            let Act::Orders(list, _) = orders(10, &mut chance) else { return };
            assert!(list.is_sorted_by_key(|(after, _)| *after));
            assert!(list.iter().all(|(after, _)| *after < Duration::from_secs(10)));
            assert!((2..=6).contains(&list.len()));
        }
    }
}
