//! What a cluster in a box looks like: the choices of a test or of the command line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// A Debian release, and with it the versions of Pacemaker and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// Pacemaker 2.1.5, PostgreSQL 15.
    Bookworm,
    /// Pacemaker 3.0.0, PostgreSQL 17.
    Trixie,
    /// Pacemaker 3.0.1, PostgreSQL 18.
    Forky,
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Forky];

    /// The code name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Forky => "forky",
        }
    }

    /// The major version of PostgreSQL it carries.
    pub fn postgres(self) -> u32 {
        match self {
            Self::Bookworm => 15,
            Self::Trixie => 17,
            Self::Forky => 18,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Release {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|release| release.name() == text).ok_or_else(|| {
            LabError::plain(format!("no release `{text}`: use bookworm, trixie or forky"))
        })
    }
}

/// Synchronous or asynchronous replication: the parameter `rep_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Every commit waits for a standby.
    Sync,
    /// No commit waits.
    Async,
}

impl Mode {
    /// The parameter's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

impl FromStr for Mode {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        match text {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            other => Err(LabError::plain(format!("no mode `{other}`: use sync or async"))),
        }
    }
}

/// What keeps PostgreSQL available: an agent that the promotable clone runs, or Patroni.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Agent {
    /// `ocf:heartbeat:pgtwin`.
    Pgtwin,
    /// `ocf:heartbeat:pgsql`, which Debian ships: tries the lab with an agent that is not ours,
    /// and is a yardstick.
    Pgsql,
    /// `ocf:pacemaker:Stateful`: no PostgreSQL, for tests of the box itself.
    Stateful,
    /// `ocf:heartbeat:pgsqlms`, which is PAF: to be compared with.
    Paf,
    /// No Pacemaker at all: Patroni, with etcd on the same nodes; to be compared with.
    Patroni,
}

impl Agent {
    /// True if the clone runs PostgreSQL.
    pub fn runs_postgres(self) -> bool {
        match self {
            Self::Pgtwin | Self::Pgsql | Self::Paf | Self::Patroni => true,
            Self::Stateful => false,
        }
    }

    /// True if Pacemaker runs it.
    pub fn runs_on_pacemaker(self) -> bool {
        match self {
            Self::Pgtwin | Self::Pgsql | Self::Stateful | Self::Paf => true,
            Self::Patroni => false,
        }
    }

    /// True if its programs are in the image of the comparison only.
    pub fn is_rival(self) -> bool {
        match self {
            Self::Paf | Self::Patroni => true,
            Self::Pgtwin | Self::Pgsql | Self::Stateful => false,
        }
    }
}

/// Where PostgreSQL runs in the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum Runtime {
    /// On the node, which is the host.
    #[default]
    Host,
    /// In a container of podman, on every node.
    Podman,
    /// On n1 itself, and on all others in a container of podman.
    Mixed,
}

impl Runtime {
    /// True if the nodes have podman, and an image of PostgreSQL for it.
    pub fn has_podman(self) -> bool {
        match self {
            Self::Host => false,
            Self::Podman | Self::Mixed => true,
        }
    }

    /// By what every bound is multiplied: each program that runs in a container waits for the engine first.
    pub fn patience(self) -> u32 {
        match self {
            Self::Host => 1,
            Self::Podman | Self::Mixed => 2,
        }
    }
}

/// What `Cluster::up` builds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// Name of the cluster: part of every container's and network's name.
    pub name: String,
    /// Number of nodes, 2 to 5.
    pub nodes: u32,
    /// Debian release of the nodes.
    pub release: Release,
    /// Replication mode.
    pub mode: Mode,
    /// Agent of the clone.
    pub agent: Agent,
    /// Where PostgreSQL runs.
    #[serde(default)]
    pub runtime: Runtime,
    /// The pgtwin binary to install; built when not given.
    pub agent_binary: Option<PathBuf>,
    /// The `lab-node` binary to install; built when not given.
    pub node_binary: Option<PathBuf>,
    /// More parameters of the pgtwin primitive, or other values of those the lab sets. An empty
    /// value removes the parameter.
    pub params: BTreeMap<String, String>,
    /// More cluster properties, or other values of those the lab sets.
    pub properties: BTreeMap<String, String>,
    /// More lines of postgresql.conf.
    pub settings: BTreeMap<String, String>,
    /// File systems of their own that each node gets, empty at each boot, as `docker --tmpfs` takes them.
    pub tmpfs: Vec<String>,
    /// A directory /archive that all nodes share, for WAL. It lies on the host, and outlives a node's power.
    #[serde(default)]
    pub archive: bool,
    /// The data has a file system of this many MB, in the memory of the host, which outlives power cuts.
    #[serde(default)]
    pub disk: Option<u32>,
    /// That file system is ext4 on a device, which can be frozen, and can fail.
    #[serde(default)]
    pub device: bool,
    /// Their programs have `preload.c` loaded into them: their clocks can be set.
    #[serde(default)]
    pub preload: bool,
    /// Names of the nodes, in their order; none: n1, n2, …
    #[serde(default)]
    pub names: Vec<String>,
    /// The nodes stream from each other by IPv6; Corosync and the VIP stay with IPv4.
    #[serde(default)]
    pub ipv6: bool,
    /// Corosync, Pacemaker, fencing and the programs, and no more: no data, no resource, no address. What
    /// the quick start begins with.
    #[serde(default)]
    pub bare: bool,
    /// The nodes have the image of the comparison, with the programs of the others, whatever they run.
    #[serde(default)]
    pub rivals: bool,
    /// `stonith-enabled`.
    pub fencing: bool,
    /// What fencing does to a node: stays off until `power_on`, or is started again.
    pub fence_reboots: bool,
    /// Two nodes only: votequorum's `wait_for_all`.
    pub wait_for_all: bool,
    /// Start the cluster and wait until it is healthy. Otherwise the nodes are up with their
    /// data, and Corosync and Pacemaker are not started.
    pub start: bool,
    /// Leave it running when the value is dropped.
    pub keep: bool,
}

impl Default for Options {
    /// Three nodes of trixie in sync mode, with a name of their own.
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("t{}-{number}", std::process::id()),
            nodes: 3,
            release: Release::Trixie,
            mode: Mode::Sync,
            agent: Agent::Pgtwin,
            runtime: Runtime::Host,
            agent_binary: None,
            node_binary: None,
            params: BTreeMap::new(),
            properties: BTreeMap::new(),
            settings: BTreeMap::new(),
            tmpfs: Vec::new(),
            archive: false,
            disk: None,
            device: false,
            preload: false,
            names: Vec::new(),
            ipv6: false,
            bare: false,
            rivals: false,
            fencing: true,
            fence_reboots: false,
            wait_for_all: true,
            start: true,
            keep: false,
        }
    }
}

impl Options {
    /// The nodes' names.
    pub fn node_names(&self) -> Vec<String> {
        let given = |number: u32| self.names.get(usize::try_from(number).ok()? - 1).cloned();
        (1..=self.nodes).map(|number| given(number).unwrap_or(format!("n{number}"))).collect()
    }

    /// PostgreSQL's data directory in the nodes.
    pub fn pgdata(&self) -> String {
        format!("{}/main", self.pgdata_parent())
    }

    /// The directory in which the data directory is, and its copies: the mount point where the data has a
    /// file system of its own.
    pub fn pgdata_parent(&self) -> String {
        format!("/var/lib/postgresql/{}", self.release.postgres())
    }

    /// The directory of PostgreSQL's programs in the nodes.
    pub fn pg_bindir(&self) -> String {
        format!("/usr/lib/postgresql/{}/bin", self.release.postgres())
    }

    /// Refuses what the lab cannot build.
    pub fn check(&self) -> Result<(), LabError> {
        if !(2..=5).contains(&self.nodes) {
            return Err(LabError::plain(format!("{} nodes: the lab has 2 to 5", self.nodes)));
        }
        if self.disk.is_some_and(|megabytes| megabytes < 1024) {
            return Err(LabError::plain(format!(
                "disks of {} MB: a node's WAL and a copy of its data need 1024 or more",
                self.disk.unwrap_or_default()
            )));
        }
        if self.runtime.has_podman() && (self.agent != Agent::Pgtwin || self.rivals) {
            return Err(LabError::plain(format!(
                "runtime {:?}: only pgtwin runs PostgreSQL in containers",
                self.runtime
            )));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(LabError::plain(format!(
                "name `{}`: use lower-case letters, digits and hyphens",
                self.name
            )));
        }
        Ok(())
    }
}
