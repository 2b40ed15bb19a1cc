//! What the doctor was told. Floor 1.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::cib::{Cib, CloneOf, Primitive};
use crate::cluster::corosync_conf::Corosync;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::ClusterStatus;
use crate::decide::pghba;
use crate::decide::report::OldCopy;
use crate::decide::report::runtime::Seen;
use crate::decide::slots::LogicalSlots;
use crate::decide::wanted::Shell;
use crate::ocf::params::Params;
use crate::postgres::version::Version;

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The primitive.
    pub resource: String,
    /// Its parameters.
    pub params: Params,
    /// Parameters that could not be taken as they stand, one line each.
    pub problems: Vec<String>,
    /// The nodes that hold the data.
    pub members: BTreeSet<NodeName>,
    /// The configuration.
    pub cib: Cib,
    /// crm_mon's answer.
    pub status: Known<ClusterStatus>,
    /// Seconds since the epoch.
    pub now: i64,
    /// With which shell remedies are written.
    pub shell: Shell,
    /// What was looked at besides.
    pub here: Here,
}

/// The node that looks.
#[derive(Clone, Debug)]
pub enum Here {
    /// Nobody: the configuration is that of a file.
    File,
    /// A node of the cluster without data.
    NoMember(NodeName),
    /// A member, looked at by somebody who may not see much of it.
    NotRoot(NodeName),
    /// A member.
    Member(Box<Member>),
}

/// A member, looked at on itself.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub me: NodeName,
    /// Its PostgreSQL.
    pub server: Known<Server>,
    /// Its pg_hba.conf, and what decides with it.
    pub hba: Known<pghba::Facts>,
    /// The other members, as it reaches them.
    pub peers: BTreeMap<NodeName, Peer>,
    /// The machine.
    pub host: Host,
    /// The images of containers; none: PostgreSQL runs on the host.
    pub images: Option<Images>,
}

/// The images that PostgreSQL runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The parameters ask for a container on this node.
    pub asked: bool,
    /// By what this node's server is run now.
    pub now: Seen,
    /// The number of the one that a start here would use; none: it is not here.
    pub here: Known<Option<String>>,
    /// The numbers of those that the nodes have told of.
    pub told: Known<BTreeMap<NodeName, String>>,
}

/// A setting of PostgreSQL's, as `pg_settings` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// In the unit of the setting.
    pub setting: String,
    /// Where it comes from.
    pub source: String,
    /// The file, where it comes from one.
    pub file: Option<String>,
    /// Another value waits for a restart.
    pub pending: bool,
}

/// The own PostgreSQL.
#[derive(Clone, Debug)]
pub struct Server {
    /// It accepts writes.
    pub primary: bool,
    /// Its version.
    pub version: Version,
    /// Its settings.
    pub settings: BTreeMap<String, Value>,
    /// Roles and databases whose commits wait for no standby, in words.
    pub overrides: Known<Vec<String>>,
    /// The role by which the members log in at each other.
    pub user: String,
    /// That role, if there is one.
    pub role: Option<Role>,
    /// Slots that outlive their session.
    pub slots: Vec<Slot>,
    /// What is to be known of logical slots.
    pub logical: Known<LogicalSlots>,
    /// The physical slots that belong to the other members.
    pub slots_of_members: Vec<String>,
    /// Lines of its configuration files that it cannot use.
    pub bad_lines: Vec<BadLine>,
    /// The archiver's last failure, if nothing was archived since.
    pub archiver_fails: Option<String>,
    /// History files of another line.
    pub histories: Known<Histories>,
    /// The age of the oldest transaction that is not frozen.
    pub oldest_xid: u64,
    /// Bytes of all databases.
    pub database: Known<u64>,
}

/// What the history files tell that PostgreSQL would find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histories {
    /// The directory that restore_command copies from, if its text tells.
    pub archive: Option<String>,
    /// Files of another line, in pg_wal or there, each with the reason.
    pub foreign: Vec<(String, String)>,
}

/// The role for replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// It may do anything.
    pub superuser: bool,
    /// It may replicate.
    pub replication: bool,
    /// It may log in.
    pub login: bool,
    /// Its password has expired.
    pub expired: bool,
    /// How many connections it may have; -1: any number.
    pub limit: i64,
    /// It may do what pg_rewind does.
    pub may_rewind: bool,
}

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// It is a physical one.
    pub physical: bool,
    /// Somebody uses it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`; none: it has kept nothing yet.
    pub wal_status: Option<String>,
    /// Bytes of WAL that it keeps.
    pub keeps: Option<u64>,
}

/// A line of a configuration file that PostgreSQL cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The file and line.
    pub place: String,
    /// The setting, if that much is known.
    pub name: Option<String>,
    /// PostgreSQL's words.
    pub error: String,
    /// It is of a setting that is read at start only: the words may mean no more than that.
    pub at_start: bool,
}

/// An attempt to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login<T> {
    /// It worked.
    In(T),
    /// The other side refused, with these words.
    KeptOut(String),
    /// Nobody could say, for this reason.
    NotTried(String),
}

/// Another member.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is reached.
    pub address: String,
    /// What that means.
    pub resolved: Known<Vec<IpAddr>>,
    /// The login of a walreceiver.
    pub replication: Login<()>,
    /// The login of pg_rewind, and what was asked there.
    pub postgres: Login<Remote>,
    /// The lines of the passfile for it that are missing, as they are to be added.
    pub passfile_lacks: Vec<String>,
}

/// Another member's PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// It accepts writes.
    pub primary: bool,
    /// Its version.
    pub version: Version,
    /// Some of its settings, in the units of `pg_settings`.
    pub settings: BTreeMap<String, String>,
    /// How far its clock is ahead of ours, in milliseconds, and how exactly that is known.
    pub clock: (i64, u64),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// What it calls itself.
    pub hostname: String,
    /// What its own name as a member means.
    pub resolved: Known<Vec<IpAddr>>,
    /// Whether one of those addresses is its own.
    pub is_own: Known<bool>,
    /// corosync.conf.
    pub corosync: Known<Corosync>,
    /// What starts PostgreSQL at boot, one line each.
    pub at_boot: Vec<String>,
    /// What logind does when the PostgreSQL user logs out.
    pub ipc: Known<Ipc>,
    /// What is wrong with the passfile itself; none: nothing, or none is named.
    pub passfile: Option<String>,
    /// Lines of the passfile that cannot mean what they say.
    pub passfile_odd: Vec<String>,
    /// The file systems of the data and the WAL.
    pub volumes: Known<Vec<Volume>>,
    /// Backups of the data directory.
    pub copies: Known<Vec<OldCopy>>,
    /// Programs of PostgreSQL's that are missing, or do not fit, in words.
    pub programs: Vec<String>,
    /// Directories and files with an owner or a mode that they should not have, and what mends each.
    pub modes: Known<Vec<(String, String)>>,
}

/// Whether logind removes shared memory of the PostgreSQL user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipc {
    /// The PostgreSQL user.
    pub user: String,
    /// Whether it is a system user, which logind leaves alone.
    pub system_user: bool,
    /// `RemoveIPC`, where a file sets it.
    pub remove: Option<bool>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What lies there.
    pub what: String,
    /// Where.
    pub path: String,
    /// Bytes that the PostgreSQL user may still write.
    pub free: u64,
    /// Bytes of all of it.
    pub total: u64,
}

impl Facts {
    /// The primitive in the configuration.
    pub(super) fn primitive(&self) -> Option<&Primitive> {
        self.cib.primitive(&self.resource)
    }

    /// The clone around it.
    pub(super) fn clone_of(&self) -> Option<&CloneOf> {
        self.primitive()?.clone.as_ref()
    }

    /// What constraints name: the clone, or else the primitive.
    pub(super) fn target(&self) -> &str {
        self.clone_of().map_or(self.resource.as_str(), |clone| clone.id.as_str())
    }

    /// How many full nodes the cluster has.
    pub(super) fn full_nodes(&self) -> usize {
        self.cib.full_members().count()
    }
}
