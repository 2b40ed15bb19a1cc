//! What all of the compared suffer: the blows, and how the machine, the network or the process is whole again
//! afterwards. Only what a person would do to hardware is undone here, nothing that the product is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::error::{LabError, Result};

/// A blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Blow {
    /// SIGKILL of the primary's postmaster.
    KillPostmaster,
    /// A power cut of the primary's node.
    KillNode,
    /// A planned move of the primary.
    Move,
    /// SIGSTOP of the primary's postmaster alone.
    FreezePostmaster,
    /// SIGSTOP of all processes of the primary's instance.
    FreezeInstance,
    /// The primary's node cut off from the others.
    CutNode,
    /// A power cut of a standby's node.
    LoseStandby,
}

impl Blow {
    /// All, with the name on the command line and the words of the table.
    pub const ALL: [(Self, &str, &str); 7] = [
        (Self::Move, "move", "planned move"),
        (Self::KillPostmaster, "kill-postmaster", "postmaster killed"),
        (Self::KillNode, "kill-node", "primary's node killed"),
        (Self::FreezePostmaster, "freeze-postmaster", "postmaster frozen"),
        (Self::FreezeInstance, "freeze-instance", "whole primary frozen"),
        (Self::CutNode, "cut-node", "primary's node cut off"),
        (Self::LoseStandby, "lose-standby", "a standby's node killed"),
    ];

    fn row(self) -> Option<&'static (Self, &'static str, &'static str)> {
        Self::ALL.iter().find(|(one, ..)| *one == self)
    }

    /// Its words in the table.
    pub fn words(self) -> &'static str {
        self.row().map_or("", |(_, _, words)| words)
    }

    /// True if it hits a standby, and not the primary.
    pub fn hits_a_standby(self) -> bool {
        self == Self::LoseStandby
    }

    /// Strikes a node.
    pub fn strike(self, cluster: &Cluster, node: &str) -> Result<()> {
        match self {
            Self::KillPostmaster => cluster.signal_postmaster(node, "KILL"),
            Self::KillNode | Self::LoseStandby => cluster.power_cut(node),
            Self::Move => cluster.move_primary(None),
            Self::FreezePostmaster => cluster.signal_postmaster(node, "STOP"),
            Self::FreezeInstance => signal_instance(cluster, node, "STOP"),
            Self::CutNode => cluster.cut_all(node),
        }
    }

    /// The node is whole again: it has power, a network, and processes that run. It was perhaps fenced.
    pub fn make_whole(self, cluster: &Cluster, node: &str) -> Result<()> {
        if !cluster.is_running(node) {
            return cluster.power_on(node);
        }
        match self {
            Self::KillNode | Self::LoseStandby => cluster.power_on(node),
            Self::Move if cluster.options.agent.runs_on_pacemaker() => cluster.clear_moves(),
            Self::KillPostmaster | Self::Move => Ok(()),
            Self::FreezePostmaster | Self::FreezeInstance => signal_instance(cluster, node, "CONT"),
            Self::CutNode => cluster.heal(),
        }
    }
}

/// A signal to all processes of a node's instance; there may be none any more.
fn signal_instance(cluster: &Cluster, node: &str, signal: &str) -> Result<()> {
    let option = format!("-{signal}");
    let sent = cluster.exec(node, &["pkill", &option, "-u", "postgres", "-x", "postgres"])?;
    // pkill(1): 1 is that no process matched.
    if sent.code <= 1 { Ok(()) } else { Err(LabError::plain(format!("pkill: {}", sent.all()))) }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().map_or("", |(_, name, _)| name))
    }
}

impl FromStr for Blow {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(_, name, _)| *name == text);
        found.map(|(blow, ..)| blow).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name, _)| *name).collect();
            LabError::plain(format!("no fault `{text}`: use {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blow_is_read_by_the_name_that_it_shows() {
        for (blow, name, words) in Blow::ALL {
            assert_eq!(blow.to_string(), name);
            assert!(name.parse::<Blow>().is_ok_and(|read| read == blow), "{name}");
            assert_eq!(blow.words(), words);
        }
        assert!("kill".parse::<Blow>().is_err());
    }
}
