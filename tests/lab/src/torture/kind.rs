//! The kinds of faults: their names, how often each is drawn, and for how long it lasts. The names are those
//! of the command line and of the report.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{LabError, Result};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL of a postmaster.
    KillPostmaster,
    /// SIGSTOP of a postmaster, then SIGCONT.
    PausePostmaster,
    /// SIGSTOP of all processes of an instance, then SIGCONT.
    PauseInstance,
    /// SIGKILL of a process that serves a client, or of one of the server's own.
    KillBackend,
    /// SIGKILL of a walreceiver or walsender.
    KillStream,
    /// SIGSTOP of a walreceiver or walsender, then SIGCONT.
    PauseStream,
    /// The agent's processes killed in the middle of what they do.
    KillAgents,
    /// Corosync killed.
    KillCorosync,
    /// One of Pacemaker's daemons killed.
    KillDaemon,
    /// SIGSTOP of Corosync or one of Pacemaker's daemons, then SIGCONT.
    PauseDaemon,
    /// A node loses power, and gets it back later or at once.
    KillNode,
    /// A whole node frozen, then thawed.
    PauseNode,
    /// All nodes lose power at once.
    KillAllNodes,
    /// A node cut off from the others.
    Isolate,
    /// A node that hears the others and is not heard, or the other way round.
    OneWay,
    /// Two of more nodes cut off from each other.
    CutPair,
    /// PostgreSQL's port cut, and nothing else.
    CutReplication,
    /// Corosync's port cut, and nothing else.
    CutCorosync,
    /// No room is left on a node's disk.
    FullDisk,
    /// A node's disk answers nobody, then goes on.
    FrozenDisk,
    /// A node's disk reports an error, and its file system takes no more writes until it is repaired.
    ReadOnlyDisk,
    /// A node's clock is set, and set right again.
    Clock,
    /// One planned move after the other.
    Moves,
    /// Clients that take every connection.
    Connections,
    /// Sessions cancelled or ended while they commit.
    Cancel,
    /// Commands of a careless operator.
    Orders,
    /// A standby's data built anew.
    Rebuild,
}

/// What is known of a kind before anything is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// It is drawn so often, compared with the others.
    pub weight: u64,
    /// The least and the most seconds that it lasts.
    pub hold: (u64, u64),
    /// What it is, for people.
    pub words: &'static str,
}

const fn row(
    kind: Kind,
    name: &'static str,
    weight: u64,
    hold: (u64, u64),
    words: &'static str,
) -> Row {
    Row { kind, name, weight, hold, words }
}

impl Kind {
    /// All of them.
    pub const ALL: [Row; 27] = [
        row(Self::KillPostmaster, "kill-postmaster", 6, (0, 4), "a postmaster killed"),
        row(
            Self::PausePostmaster,
            "pause-postmaster",
            3,
            (2, 25),
            "a postmaster stopped, then continued",
        ),
        row(
            Self::PauseInstance,
            "pause-instance",
            3,
            (2, 25),
            "a whole instance stopped, then continued",
        ),
        row(
            Self::KillBackend,
            "kill-backend",
            4,
            (0, 4),
            "a client's process or one of the server's own killed",
        ),
        row(Self::KillStream, "kill-stream", 4, (0, 4), "a walreceiver or a walsender killed"),
        row(
            Self::PauseStream,
            "pause-stream",
            3,
            (4, 25),
            "a walreceiver or a walsender stopped, then continued",
        ),
        row(
            Self::KillAgents,
            "kill-agents",
            8,
            (8, 25),
            "the agent killed in the middle of what it does",
        ),
        row(Self::KillCorosync, "kill-corosync", 3, (0, 15), "corosync killed"),
        row(Self::KillDaemon, "kill-daemon", 8, (0, 15), "one of Pacemaker's daemons killed"),
        row(
            Self::PauseDaemon,
            "pause-daemon",
            4,
            (2, 25),
            "Corosync or one of Pacemaker's daemons stopped, continued",
        ),
        row(Self::KillNode, "kill-node", 8, (0, 40), "a node loses its power, and gets it back"),
        row(Self::PauseNode, "pause-node", 5, (1, 40), "a whole node frozen, then thawed"),
        row(
            Self::KillAllNodes,
            "kill-all-nodes",
            1,
            (1, 10),
            "all nodes lose their power, and get it back",
        ),
        row(Self::Isolate, "isolate", 5, (3, 30), "a node cut off from the others"),
        row(
            Self::OneWay,
            "one-way",
            4,
            (3, 30),
            "a node that hears the others and is not heard, or reversed",
        ),
        row(Self::CutPair, "cut-pair", 3, (3, 30), "two of more nodes cut off from each other"),
        row(
            Self::CutReplication,
            "cut-replication",
            5,
            (3, 30),
            "PostgreSQL's port cut, and nothing else",
        ),
        row(Self::CutCorosync, "cut-corosync", 3, (1, 30), "Corosync's port cut, and nothing else"),
        row(
            Self::FullDisk,
            "full-disk",
            3,
            (5, 30),
            "no room left beside a node's data (with --disk)",
        ),
        row(Self::FrozenDisk, "frozen-disk", 3, (2, 20), "a node's disk freezes (with --disk)"),
        row(
            Self::ReadOnlyDisk,
            "read-only-disk",
            3,
            (5, 30),
            "a node's disk fails, and is read-only (with --disk)",
        ),
        row(Self::Clock, "clock", 4, (5, 30), "a node's clock is set, and set right again"),
        row(Self::Moves, "moves", 5, (5, 40), "one planned move after the other"),
        row(Self::Connections, "connections", 3, (5, 20), "clients that take every connection"),
        row(Self::Cancel, "cancel", 4, (4, 12), "sessions cancelled or ended while they commit"),
        row(Self::Orders, "orders", 5, (8, 30), "commands of a careless operator"),
        row(Self::Rebuild, "rebuild", 2, (5, 20), "pgtwin rebuild of a standby"),
    ];

    /// True if it takes a node that has a disk of its own.
    pub fn is_of_disk(self) -> bool {
        matches!(self, Self::FullDisk | Self::FrozenDisk | Self::ReadOnlyDisk)
    }

    /// What is known of it.
    pub fn row(self) -> Row {
        let known = Self::ALL.iter().find(|row| row.kind == self).copied();
        known.unwrap_or_else(|| row(self, "unknown", 0, (0, 0), ""))
    }

    /// So many of these nodes may be gone because of it, for the vote and for the data: killed, or fenced by
    /// the others. An agent that is killed while it stops, and a daemon that does not come back in time, have
    /// their node fenced.
    pub fn reach(self, nodes: usize) -> usize {
        match self {
            Self::KillAllNodes => nodes,
            Self::KillAgents
            | Self::KillCorosync
            | Self::KillDaemon
            | Self::PauseDaemon
            | Self::KillNode
            | Self::PauseNode
            | Self::Isolate
            | Self::OneWay
            | Self::CutPair
            | Self::CutCorosync
            | Self::FullDisk
            | Self::FrozenDisk
            | Self::ReadOnlyDisk => 1,
            Self::KillPostmaster
            | Self::PausePostmaster
            | Self::PauseInstance
            | Self::KillBackend
            | Self::KillStream
            | Self::PauseStream
            | Self::CutReplication
            | Self::Clock
            | Self::Moves
            | Self::Connections
            | Self::Cancel
            | Self::Orders
            | Self::Rebuild => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.row().name)
    }
}

impl FromStr for Kind {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().find(|row| row.name == text).map(|row| row.kind).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|row| row.name).collect();
            LabError::plain(format!("no kind of fault `{text}`: use {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_one_row_and_a_name_of_its_own_that_is_read_back() {
        let kinds: BTreeSet<Kind> = Kind::ALL.iter().map(|row| row.kind).collect();
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|row| row.name).collect();
        assert_eq!((kinds.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        for row in Kind::ALL {
            assert_eq!(row.name.parse::<Kind>().ok(), Some(row.kind));
            assert_eq!(row.kind.row().name, row.name);
            assert!(row.weight > 0 && row.hold.0 <= row.hold.1, "{}", row.name);
            assert!(row.name.len() <= 18 && row.words.len() <= 60, "{}", row.name);
            assert!([0, 1, 4].contains(&row.kind.reach(4)), "{}", row.name);
        }
        assert_eq!(Kind::KillAllNodes.reach(4), 4);
        let docs = include_str!("../../../../docs/torture.md");
        for row in Kind::ALL {
            assert!(docs.contains(&format!("`{}`", row.name)), "{} is not in the docs", row.name);
        }
        let refused = "kill-everything".parse::<Kind>().map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.contains("kill-postmaster")), "names what there is");
    }
}
