//! The parameters of the resource: typed, with their defaults, and checked. Floor 0.
//!
//! Everything comes from one table (`table.rs`): the parsing here, the meta-data XML and
//! `docs/parameters.md`. Raw texts (from `OCF_RESKEY_*` or the CIB) go in, `Params` comes out, or
//! every reason why not.

mod container_opts;
mod docs;
mod error;
mod start_opts;
mod table;
mod value;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

pub use docs::markdown;
pub use error::{ParamError, ParamErrors};
pub use table::{Kind, Spec, TABLE};

use crate::cluster::node::NodeName;
use crate::cluster::storage::Storage;
use error::Problem;

/// What Pacemaker puts before a parameter's name.
pub const ENV_PREFIX: &str = "OCF_RESKEY_";

/// The longest value that is looked at, in bytes.
const LONGEST: usize = 4096;

/// Whether a commit waits for a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepMode {
    /// It waits until one standby has it on disk.
    Sync,
    /// It does not.
    Async,
}

/// Which container engine is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerRuntime {
    /// podman where it is installed, else docker.
    Auto,
    /// podman.
    Podman,
    /// docker.
    Docker,
}

/// What is asked of fencing before a lost node counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencingPolicy {
    /// It must be configured, enabled and have succeeded.
    Required,
    /// The owner accepts a takeover without it.
    Advised,
}

/// The resource's parameters, resolved. A path is absolute and has no trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The data directory; where the storage has it, only once [`Params::settle`] was told the node.
    pub pgdata: String,
    /// Whether pgdata is the owner's word: then it counts, whatever storage_root is.
    pub pgdata_given: bool,
    /// The directory in which each node has its storage.
    pub storage_root: Option<String>,
    /// The mount point that the data directory is to lie on.
    pub pgdata_mount: Option<String>,
    /// Accepted and not used: what PostgreSQL listens on is set in postgresql.conf.
    pub pghost: Option<String>,
    /// The TCP port, also part of the socket's name.
    pub pgport: u16,
    /// The operating system user that owns PostgreSQL, and its role for local SQL.
    pub pguser: String,
    /// The name given for replication connections; ask `application_name_for` for the one to use.
    pub application_name: Option<String>,
    /// The prefix of slot names.
    pub slot_name: String,
    /// The GUC of this name, in MB; `Some(0)` is no limit (-1), `None` leaves it alone.
    pub max_slot_wal_keep_size: Option<u64>,
    /// The upper bound of the SQL part of a monitor of the primary.
    pub monitor_timeout_promoted: Duration,
    /// The upper bound of the SQL part of a monitor of a standby.
    pub monitor_timeout_unpromoted: Duration,
    /// Sync or async.
    pub rep_mode: RepMode,
    /// The members; `None`: the nodes where the clone may run.
    pub node_list: Option<Vec<NodeName>>,
    /// Whether the old data directory is kept while a rebuild runs.
    pub backup_before_basebackup: bool,
    /// The upper bound of one base backup.
    pub basebackup_timeout: Duration,
    /// The password file; `None`: `.pgpass` in pguser's home.
    pub pgpassfile: Option<String>,
    /// The role of replication connections; `None`: the one in pgpassfile, else `replicator`.
    pub repuser: Option<String>,
    /// How many monitors in a row see no replication before it is reported.
    pub replication_failure_threshold: u32,
    /// The address that clients use; `pgtwin status` shows and checks it.
    pub vip: Option<IpAddr>,
    /// Where PostgreSQL's programs are; `None`: found.
    pub pg_bindir: Option<String>,
    /// Whether PostgreSQL is started in a container.
    pub container_mode: bool,
    /// The major version of the container's PostgreSQL.
    pub pg_major_version: Option<u32>,
    /// The container's name.
    pub container_name: String,
    /// The container's image.
    pub container_image: Option<String>,
    /// By which engine.
    pub container_runtime: ContainerRuntime,
    /// `host`, or the name of a network of the engine's.
    pub container_network: String,
    /// A limit of memory, as the engines read it.
    pub container_memory: Option<String>,
    /// A limit of CPUs, as the engines read it.
    pub container_cpus: Option<String>,
    /// The size of /dev/shm, as the engines read it.
    pub container_shm_size: String,
    /// More arguments, each `--name=value`, found harmless.
    pub container_options: Vec<String>,
    /// Whether the instance's directories get a SELinux label of the container's own.
    pub container_selinux_relabel: bool,
    /// The registry in which an image is looked for.
    pub container_registry: Option<String>,
    /// The repository there.
    pub container_repository: Option<String>,
    /// Async: how far behind the primary a standby may be promoted; `u64::MAX` is no limit.
    pub max_promotion_lag_bytes: u64,
    /// Async: whether max_promotion_lag_bytes is disregarded.
    pub force_promotion: bool,
    /// `unix_socket_directories` at start; `None`: as postgresql.conf says.
    pub socket_dir: Option<String>,
    /// postgresql.conf, where it is not in the data directory.
    pub config_file: Option<String>,
    /// More arguments for `postgres`, one per element, to be passed without a shell.
    pub start_opts: Vec<String>,
    /// By which host name or address a member reaches another.
    pub node_addresses: BTreeMap<NodeName, String>,
    /// Whether a sync primary refuses commits rather than go on alone.
    pub sync_strict: bool,
    /// What is asked of fencing.
    pub fencing: FencingPolicy,
}

/// What a set of raw parameters resolves to, the broken ones replaced by their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The parameters. Those that `errors` names hold their default.
    pub params: Params,
    /// What was refused.
    pub errors: Vec<ParamError>,
}

impl Resolved {
    /// Whether this parameter was given and refused, so that its default means nothing.
    pub fn refused(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.name() == name)
    }

    /// Whether it is not known where the data is.
    pub fn place_is_refused(&self) -> bool {
        self.refused("pgdata") || self.refused("storage_root") && !self.params.pgdata_given
    }
}

impl Params {
    /// The parameters in an environment of `OCF_RESKEY_NAME=value`. Other names, such as those of
    /// `CRM_meta_*`, are not looked at; a value that is empty or blank counts as not given.
    pub fn parse(env: &BTreeMap<String, String>) -> Result<Self, ParamErrors> {
        let resolved = Self::resolve(env);
        if resolved.errors.is_empty() {
            Ok(resolved.params)
        } else {
            Err(ParamErrors(resolved.errors))
        }
    }

    /// The same for an action that configuration must not make fail: stop, and a probe.
    pub fn resolve(env: &BTreeMap<String, String>) -> Resolved {
        Self::resolve_with(|name| env.get(&format!("{ENV_PREFIX}{name}")).map(String::as_str))
    }

    /// The same from bare names, as in the CIB's instance attributes.
    pub fn resolve_attributes(attributes: &BTreeMap<String, String>) -> Resolved {
        Self::resolve_with(|name| attributes.get(name).map(String::as_str))
    }

    fn resolve_with<'a>(raw: impl Fn(&str) -> Option<&'a str>) -> Resolved {
        let mut params = Self::unset();
        let mut errors = Vec::new();
        for spec in TABLE {
            let mut refuse = |value: &str, problem| {
                errors.push(ParamError::new(spec.name, value, spec.secret, problem));
            };
            if let Some(default) = spec.default
                && let Err(problem) = (spec.set)(&mut params, default)
            {
                refuse(default, problem);
            }
            let given = raw(spec.name).map(trimmed).filter(|value| !value.is_empty());
            if let Some(value) = given {
                match plain(value).and_then(|()| (spec.set)(&mut params, value)) {
                    Ok(()) if spec.name == "pgdata" => params.pgdata_given = true,
                    Ok(()) => {}
                    Err(problem) => refuse(value, problem),
                }
            }
        }
        params.check_together(&mut errors);
        Resolved { params, errors }
    }

    /// What no single row can see.
    fn check_together(&mut self, errors: &mut Vec<ParamError>) {
        let mut refuse = |name, value: &str, problem| {
            errors.push(ParamError::new(name, value, false, problem));
        };
        let data = self.storage_root.as_deref().filter(|_| !self.pgdata_given);
        if let Some(mount) = &self.pgdata_mount
            && !Path::new(data.unwrap_or(&self.pgdata)).starts_with(mount)
        {
            let problem = Problem::new(
                "pgdata, or storage_root in its place, does not lie on it",
                "give the mount point that it, or a directory above it, is to be",
            );
            refuse("pgdata_mount", mount, problem);
            self.pgdata_mount = None;
        }
        let Some(members) = &self.node_list else { return };
        if let Some(name) = &self.application_name
            && members.len() > 2
        {
            refuse("application_name", name, one_name_for_many());
            self.application_name = None;
        }
        if let Some(stranger) = self.node_addresses.keys().find(|node| !members.contains(node)) {
            let problem = Problem::new(
                "this node is not in node_list",
                "add it to node_list, or correct or remove its entry in node_addresses",
            );
            refuse("node_addresses", stranger.as_str(), problem);
        }
    }

    /// Takes the data directory that this node has in the storage, unless pgdata is given.
    pub fn settle(&mut self, node: &NodeName) -> Result<(), ParamError> {
        if self.pgdata_given {
            return Ok(());
        }
        if let Some(storage) = self.storage(node) {
            self.pgdata = storage?.data();
        }
        Ok(())
    }

    /// This node's storage, if there is a storage.
    pub fn storage(&self, node: &NodeName) -> Option<Result<Storage, ParamError>> {
        let root = self.storage_root.as_deref()?;
        Some(Storage::of(root, node).ok_or_else(|| {
            let problem = Problem::new(
                format!("the name of the node {} cannot be one of a directory", node.as_str()),
                "set pgdata, and no storage_root",
            );
            ParamError::new("storage_root", root, false, problem)
        }))
    }

    /// Whether the data is where the storage has it.
    pub fn is_in_storage(&self, node: &NodeName) -> bool {
        matches!(self.storage(node), Some(Ok(storage)) if storage.data() == self.pgdata)
    }

    /// What an owner should know who has set pgdata as well as storage_root; none: one of them alone is set,
    /// or they say the same of this node.
    pub fn two_places(&self, node: &NodeName) -> Option<String> {
        let root = self.storage_root.as_deref().filter(|_| self.pgdata_given)?;
        (!self.is_in_storage(node)).then(|| {
            format!(
                "pgdata={} counts, and storage_root={root} does not: move the data (pgtwin storage migrate), \
                 then remove pgdata",
                self.pgdata
            )
        })
    }

    /// The name by which the standby on `node` is known to PostgreSQL, in a cluster of so many
    /// members: application_name, else the node's own name. One name for several standbys is passed over,
    /// everywhere alike, so that what runs goes on; `one_name_for_many` refuses it.
    pub fn application_name_for(
        &self,
        node: &NodeName,
        members: usize,
    ) -> Result<String, ParamError> {
        let given = self.application_name.as_deref().filter(|_| members <= 2);
        let name = given.unwrap_or(node.as_str());
        value::application_name(name)
            .map_err(|problem| ParamError::new("application_name", name, false, problem))
    }

    /// Refuses application_name in a cluster of so many members. node_list is looked at with the other
    /// parameters; without it Pacemaker knows the members.
    pub fn one_name_for_many(&self, members: usize) -> Option<ParamError> {
        let name = self.application_name.as_deref().filter(|_| members > 2)?;
        Some(ParamError::new("application_name", name, false, one_name_for_many()))
    }

    /// Nothing set; the table's defaults are put on top of this.
    fn unset() -> Self {
        Self {
            pgdata: String::new(),
            pgdata_given: false,
            storage_root: None,
            pgdata_mount: None,
            pghost: None,
            pgport: 0,
            pguser: String::new(),
            application_name: None,
            slot_name: String::new(),
            max_slot_wal_keep_size: None,
            monitor_timeout_promoted: Duration::ZERO,
            monitor_timeout_unpromoted: Duration::ZERO,
            rep_mode: RepMode::Sync,
            node_list: None,
            backup_before_basebackup: true,
            basebackup_timeout: Duration::ZERO,
            pgpassfile: None,
            repuser: None,
            replication_failure_threshold: 0,
            vip: None,
            pg_bindir: None,
            container_mode: false,
            pg_major_version: None,
            container_name: String::new(),
            container_image: None,
            container_runtime: ContainerRuntime::Auto,
            container_network: String::new(),
            container_memory: None,
            container_cpus: None,
            container_shm_size: String::new(),
            container_options: Vec::new(),
            container_selinux_relabel: false,
            container_registry: None,
            container_repository: None,
            max_promotion_lag_bytes: 0,
            force_promotion: false,
            socket_dir: None,
            config_file: None,
            start_opts: Vec::new(),
            node_addresses: BTreeMap::new(),
            sync_strict: false,
            fencing: FencingPolicy::Required,
        }
    }
}

impl Default for Params {
    /// Every parameter as the table's default says.
    fn default() -> Self {
        Self::resolve_with(|_| None).params
    }
}

fn trimmed(value: &str) -> &str {
    value.trim_matches(|c: char| c == ' ' || c == '\t')
}

/// What no parameter may contain.
fn plain(value: &str) -> Result<(), Problem> {
    if value.len() > LONGEST {
        return Err(Problem::new("it is longer than 4096 bytes", "give a shorter value"));
    }
    if value.chars().any(char::is_control) {
        return Err(Problem::new(
            "it contains a control character, such as a line break",
            "write it on one line of printable characters",
        ));
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Problem::new("it is not UTF-8 text", "write it in printable characters"));
    }
    Ok(())
}

fn one_name_for_many() -> Problem {
    Problem::new(
        "it is the same on every node, so more than one standby would have the same name",
        "remove application_name; each standby then has its node's name",
    )
}

#[cfg(test)]
mod tests;
