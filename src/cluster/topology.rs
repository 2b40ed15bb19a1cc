//! The cluster as Pacemaker sees it at this moment: what `crm_mon --output-as=xml` says. Floor 0.
//!
//! Written for Pacemaker 2.1.5, 3.0.0 and 3.0.1 (schema: `crm_mon-*.rng` of Pacemaker's API
//! schemas). `crm_mon` works its answer out of the local copy of the CIB, so it is what *this* node
//! believes: within corosync's token timeout a node that is cut off still sees everybody online.

mod read;

use std::collections::BTreeMap;

use super::node::NodeName;
use super::xml::XmlError;

/// Why the output of `crm_mon` is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Not an XML document.
    #[error("crm_mon printed no whole XML document: {0}")]
    Xml(XmlError),
    /// `crm_mon` reported a failure of its own.
    #[error("crm_mon reports error {code}: {message}")]
    Reported {
        /// Pacemaker's exit code.
        code: String,
        /// Its words.
        message: String,
    },
    /// A part is missing that every version prints.
    #[error("crm_mon printed no {what} (is this Pacemaker newer than 3.0?)")]
    Missing {
        /// The part.
        what: String,
    },
    /// A value is not what it should be.
    #[error("crm_mon printed {what} as {value:?}")]
    BadValue {
        /// The part.
        what: String,
        /// Its value.
        value: String,
    },
}

/// Whether this partition has quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// It has.
    Quorate,
    /// It has not.
    Inquorate,
    /// There is no designated controller yet, so nobody can say.
    NoController,
}

/// What kind of node it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A full cluster node.
    Member,
    /// A Pacemaker Remote node, a guest node or a bundle's container: not supported by pgtwin.
    Remote,
    /// Something this version does not know, in Pacemaker's words.
    Other(String),
}

impl NodeKind {
    /// Reads the value of a node's `type`.
    pub fn from_text(text: &str) -> Self {
        match text {
            "member" | "normal" | "ping_member" => Self::Member,
            "remote" => Self::Remote,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One node in `crm_mon`'s list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name.
    pub name: NodeName,
    /// Pacemaker's id of it (with corosync: its `nodeid`).
    pub id: String,
    /// Full node or not.
    pub kind: NodeKind,
    /// In the membership, as far as this node knows.
    pub online: bool,
    /// Its state is not known for certain: it may be running anything until it has been fenced.
    pub unclean: bool,
    /// Between membership and controller: corosync sees it, its controller has not joined (or has
    /// left: a node whose Pacemaker was stopped and whose corosync still runs is online *and*
    /// pending).
    pub pending: bool,
    /// Put on standby by an operator.
    pub standby: bool,
    /// Put on standby by `on-fail=standby`.
    pub standby_onfail: bool,
    /// Itself in maintenance mode (the cluster's own is an option: `ClusterOptions`).
    pub maintenance: bool,
    /// It has asked to shut down.
    pub shutdown: bool,
    /// `green`, `yellow` or `red`.
    pub health: Option<String>,
    /// Its feature set; absent while it is offline.
    pub feature_set: Option<String>,
    /// The designated controller.
    pub is_dc: bool,
}

/// What a node's state allows us to conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Online, its controller has joined, and nothing is wrong with it.
    OnlineMember,
    /// Offline, and Pacemaker says that it is clean: it left in an orderly way or was fenced.
    /// With `startup-fencing=false` or without fencing it says so without knowing:
    /// ask `FencingFacts::offline_means_down` first.
    OfflineClean,
    /// Offline and not fenced (yet): it may be running anything.
    OfflineUnclean,
    /// Corosync sees it and its controller has not joined, or has left.
    Pending,
    /// Online and unclean (it is about to be fenced), not in the list, or not a full node.
    Unknown,
}

impl NodeStatus {
    /// What can be concluded about it.
    #[must_use]
    pub fn state(&self) -> NodeState {
        if self.kind != NodeKind::Member {
            return NodeState::Unknown;
        }
        match (self.online, self.unclean, self.pending) {
            (true, false, false) => NodeState::OnlineMember,
            (false, false, false) => NodeState::OfflineClean,
            (false, true, _) => NodeState::OfflineUnclean,
            (true | false, false, true) => NodeState::Pending,
            (true, true, _) => NodeState::Unknown,
        }
    }
}

/// The role of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does not run.
    Stopped,
    /// Runs; of a resource that knows no roles.
    Started,
    /// Runs as a standby (older name: Slave).
    Unpromoted,
    /// Runs as the primary (older name: Master).
    Promoted,
    /// Something else, in Pacemaker's words.
    Other(String),
}

impl Role {
    /// Reads Pacemaker's word for a role, old or new.
    pub fn from_text(text: &str) -> Self {
        match text {
            "Stopped" => Self::Stopped,
            "Started" => Self::Started,
            "Unpromoted" | "Slave" => Self::Unpromoted,
            "Promoted" | "Master" => Self::Promoted,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One instance of a primitive resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The primitive's id, without an instance number.
    pub resource: String,
    /// The clone that holds it, if any.
    pub clone: Option<String>,
    /// `ocf:heartbeat:pgtwin`, `stonith:…`.
    pub agent: String,
    /// Its present role.
    pub role: Role,
    /// The role the configuration asks for, where it does.
    pub target_role: Option<String>,
    /// Whether it runs anywhere.
    pub active: bool,
    /// It has failed.
    pub failed: bool,
    /// Pacemaker will not touch it until somebody helps.
    pub blocked: bool,
    /// Pacemaker manages it.
    pub managed: bool,
    /// It is in maintenance mode; 2.1.5 does not say.
    pub maintenance: Option<bool>,
    /// Its configuration is gone.
    pub orphaned: bool,
    /// What is being done to it now (`Starting`, `Promoting`, `Monitoring`, …).
    pub pending: Option<String>,
    /// The nodes it runs on; several after a mishap.
    pub nodes: Vec<NodeName>,
}

/// How an attempt to fence ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceOutcome {
    /// The target is down, or was.
    Success,
    /// It could not be fenced.
    Failed,
    /// Under way.
    Pending,
    /// Something else, in Pacemaker's words.
    Other(String),
}

/// One line of the fencing history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceEvent {
    /// The node that was to be fenced.
    pub target: NodeName,
    /// `reboot`, `off`, …
    pub action: String,
    /// How it ended.
    pub outcome: FenceOutcome,
    /// When, in the words of the version: `2026-11-20 12:02:06Z`, 3.0 with a fraction.
    pub completed: Option<String>,
    /// The node that did it.
    pub delegate: Option<String>,
    /// Who asked.
    pub client: Option<String>,
    /// Why it failed.
    pub exit_reason: Option<String>,
}

/// An operation that failed and has not been cleaned up, as `crm_mon` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAction {
    /// The primitive's id, without an instance number.
    pub resource: String,
    /// `monitor`, `start`, …
    pub operation: String,
    /// The node it was run on.
    pub node: NodeName,
    /// The agent's exit code.
    pub exit_code: Option<i32>,
    /// How it ended, in Pacemaker's words: `error`, `Timed Out`.
    pub words: String,
    /// The reason that the agent gave; empty if it gave none.
    pub reason: String,
    /// When, in the words of the version.
    pub when: Option<String>,
}

/// A location constraint that forbids a node, as `crm_mon` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The constraint's id.
    pub id: String,
    /// The resource it names.
    pub resource: String,
    /// The node.
    pub node: String,
    /// Only the promoted role is forbidden there.
    pub promoted_only: bool,
}

/// The cluster options that `crm_mon` shows, as the scheduler reads them (defaults included).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// `stonith-enabled`, newer name `fencing-enabled`.
    pub fencing_enabled: bool,
    /// The whole cluster is in maintenance mode.
    pub maintenance_mode: bool,
    /// What a partition without quorum does.
    pub no_quorum_policy: String,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The designated controller.
    pub dc: Option<NodeName>,
    /// The version of Pacemaker that the controller runs.
    pub dc_version: Option<String>,
    /// Whether this partition has quorum.
    pub quorum: Quorum,
    /// The cluster options.
    pub options: ClusterOptions,
    /// All nodes.
    pub nodes: Vec<NodeStatus>,
    /// All instances of primitives, those in clones and groups included.
    pub instances: Vec<Instance>,
    /// Ids of bundles, which pgtwin does not support.
    pub bundles: Vec<String>,
    /// Node attributes that are in the CIB, of nodes that are online; permanent and transient ones
    /// are not told apart. Private attributes are not among them.
    pub attributes: BTreeMap<NodeName, BTreeMap<String, String>>,
    /// The fencing history.
    pub fencing: FenceHistory,
    /// Location constraints that forbid a node.
    pub bans: Vec<Ban>,
    /// Operations that failed and have not been cleaned up.
    pub failures: Vec<FailedAction>,
}

/// The fencing history, or that it could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceHistory {
    /// The most recent event of each flavour, newest first. Empty: nothing was fenced since the
    /// fencers of all present nodes were started (the history lives in their memory only).
    Events(Vec<FenceEvent>),
    /// The fencer did not answer; with `crm_mon`'s code.
    Unavailable(String),
}

impl ClusterStatus {
    /// Reads what `crm_mon --one-shot --output-as=xml --inactive --fence-history=2` printed.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        read::status(text)
    }

    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| &node.name == name)
    }

    /// What can be concluded about the node of this name; a node that isn't listed is unknown.
    pub fn node_state(&self, name: &NodeName) -> NodeState {
        self.node(name).map_or(NodeState::Unknown, NodeStatus::state)
    }

    /// The nodes that may hold an instance when `node_list` isn't given: all full cluster nodes.
    /// Location constraints don't count, for they come and go (`crm_resource --ban` is one).
    pub fn full_members(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|node| node.kind == NodeKind::Member).map(|node| &node.name)
    }

    /// The instances of this primitive.
    pub fn instances_of<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |instance| instance.resource == resource)
    }

    /// The nodes on which this primitive is promoted; more than one after a mishap.
    pub fn promoted_on<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = &'a NodeName> {
        self.instances_of(resource)
            .filter(|instance| instance.role == Role::Promoted)
            .flat_map(|instance| instance.nodes.iter())
    }

    /// The operations of this primitive that failed and have not been cleaned up.
    pub fn failures_of<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = &'a FailedAction> {
        self.failures.iter().filter(move |failure| failure.resource == resource)
    }

    /// The successful fencing events of a node, newest first.
    pub fn fenced<'a>(&'a self, name: &'a NodeName) -> impl Iterator<Item = &'a FenceEvent> {
        let events: &[FenceEvent] = match &self.fencing {
            FenceHistory::Events(events) => events,
            FenceHistory::Unavailable(_) => &[],
        };
        events.iter().filter(move |e| &e.target == name && e.outcome == FenceOutcome::Success)
    }
}
