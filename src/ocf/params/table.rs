//! The table of parameters: the one place that knows their names, defaults and texts. Floor 0.
//!
//! The texts are read at night by someone who is in a hurry: what it does, when to change it, what
//! to beware of. Unit, default and the effect of a change are added by whoever renders them.

use super::value::{self, Parsed};
use super::{Params, container_opts, start_opts};

/// The type that OCF's meta-data gives a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
}

impl Kind {
    /// OCF's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
        }
    }
}

/// One parameter.
#[derive(Debug)]
pub struct Spec {
    /// Its name, without `OCF_RESKEY_`.
    pub name: &'static str,
    /// Its type in the meta-data.
    pub kind: Kind,
    /// The unit of a number.
    pub unit: Option<&'static str>,
    /// The value that counts when none is given.
    pub default: Option<&'static str>,
    /// Without a default: what happens when none is given.
    pub unset: &'static str,
    /// Resources that share it conflict; the group's name.
    pub unique_group: Option<&'static str>,
    /// Whether a change is taken over by `reload-agent`, without touching the instance.
    pub reloadable: bool,
    /// Why it takes a restart, as the end of that sentence; or, of one that is reloadable, what follows a
    /// change, in sentences.
    pub change: &'static str,
    /// Whether most clusters never need it.
    pub advanced: bool,
    /// Whether its value is kept out of errors.
    pub secret: bool,
    /// One line.
    pub short: &'static str,
    /// The whole story, in paragraphs.
    pub long: &'static str,
    /// Checks a text and puts it into the parameters; on an error they stay as they were.
    pub(super) set: fn(&mut Params, &str) -> Parsed<()>,
}

/// What most rows have in common.
const ROW: Spec = Spec {
    name: "",
    kind: Kind::String,
    unit: None,
    default: None,
    unset: "",
    unique_group: None,
    reloadable: false,
    change: "",
    advanced: false,
    secret: false,
    short: "",
    long: "",
    set: |_, _| Ok(()),
};

/// All parameters, in the order of the meta-data and the documentation.
pub const TABLE: &[Spec] = &[
    Spec {
        name: "pgdata",
        default: Some("/var/lib/pgsql/data"),
        unique_group: Some("pgdata"),
        change: "it is another database",
        short: "Data directory",
        long: "The data directory of the PostgreSQL instance, the same path on every node. It \
               must belong to pguser and to this instance alone: whoever rebuilds a node replaces \
               it as a whole. Where storage_root is set, leave this out: each node then has its data \
               directory there.\n\n\
               Debian and Ubuntu use /var/lib/postgresql/VERSION/CLUSTER, for example \
               /var/lib/postgresql/17/main, and then config_file is needed too.",
        set: |p, text| value::data_directory(text).map(|v| p.pgdata = v),
        ..ROW
    },
    Spec {
        name: "pgdata_mount",
        unset: "what /etc/fstab says of pgdata and of what it leads to counts",
        reloadable: true,
        short: "Mount point that pgdata has to lie on",
        long: "The mount point that pgdata, or a directory above it, is to be, for example \
               /var/lib/pgsql. While nothing is mounted there, PostgreSQL is not started on this node \
               and no copy of the data is made: both would go to the empty directory below the mount.\n\n\
               Set it when the file system is mounted by something else than /etc/fstab, such as a \
               Filesystem resource. What /etc/fstab has for pgdata, pg_wal and the tablespaces is \
               looked at in any case; a line with noauto counts only as long as pgdata is empty.",
        set: |p, text| value::path(text).map(|v| p.pgdata_mount = Some(v)),
        ..ROW
    },
    Spec {
        name: "storage_root",
        unset: "pgdata alone says where the data is",
        unique_group: Some("storage_root"),
        change: "the data directory is another one",
        advanced: true,
        short: "Directory in which each node has its data",
        long: "A directory of root's, for example /srv/postgres, in which each node has a directory of its \
               own, @postgres-NODE, with data, config and archive in it: Btrfs subvolumes where the file \
               system is Btrfs, directories elsewhere. \"pgtwin storage prepare\" makes them, \"pgtwin \
               storage migrate\" moves a database there.\n\n\
               The data directory of a node is then @postgres-NODE/data, as long as pgdata is not given. \
               A pgdata that is given counts, and storage_root only says where the storage is prepared: so \
               both can be set until all data has been moved, and then pgdata is removed. One instance uses \
               one storage_root.",
        set: |p, text| value::storage_root(text).map(|v| p.storage_root = Some(v)),
        ..ROW
    },
    Spec {
        name: "pgport",
        kind: Kind::Integer,
        unit: Some("TCP port"),
        default: Some("5432"),
        change: "the server takes its port when it starts",
        short: "TCP port",
        long: "The port on which PostgreSQL listens on every node, which is also part of its \
               socket's name. It is given to the server at start and wins over postgresql.conf. \
               Change it when a node runs more than one instance.",
        set: |p, text| value::port(text).map(|v| p.pgport = v),
        ..ROW
    },
    Spec {
        name: "pghost",
        unset: "listen_addresses in postgresql.conf decides, as it does in any case",
        reloadable: true,
        short: "Not used: see listen_addresses in postgresql.conf",
        long: "Accepted so that existing configurations work unchanged. What PostgreSQL listens on \
               is listen_addresses in postgresql.conf: a parameter is the same on every node, and \
               one node's address in it would keep the others from starting.\n\n\
               The standbys must be able to reach the primary, and clients must reach it on the \
               virtual address; * is the usual choice. PostgreSQL's own default, localhost, lets \
               neither in.",
        set: |p, text| value::listen_addresses(text).map(|v| p.pghost = Some(v)),
        ..ROW
    },
    Spec {
        name: "pguser",
        default: Some("postgres"),
        change: "the server runs as this user",
        short: "Operating system user of PostgreSQL",
        long: "The operating system user that owns the data directory and runs PostgreSQL. The \
               agent asks the local server as the role of the same name, over the unix socket, so \
               pg_hba.conf must let that role in there, and it must be a superuser. The lines \
               \"local all postgres peer\" and \"local replication postgres peer\" do that; most \
               distributions have them. By the second it asks how far this node's data goes.",
        set: |p, text| value::system_user(text).map(|v| p.pguser = v),
        ..ROW
    },
    Spec {
        name: "rep_mode",
        default: Some("sync"),
        reloadable: true,
        short: "Replication mode: sync or async",
        long: "sync: a commit is acknowledged when a standby has it on disk, and only a standby \
               that has every acknowledged commit is promoted. Nothing acknowledged is lost. When \
               no standby is left, the primary goes on alone, but only after the lost standbys \
               are proven to be out of the game (see fencing and sync_strict).\n\n\
               async: commits don't wait. After a crash the primary's own restart is preferred; a \
               standby takes over if it is at most max_promotion_lag_bytes behind, and the last \
               commits may be lost.\n\n\
               Choose async only where a lost commit costs less than a slow one.",
        set: |p, text| value::rep_mode(text).map(|v| p.rep_mode = v),
        ..ROW
    },
    Spec {
        name: "node_list",
        unset: "the nodes where the clone may run, as Pacemaker says",
        reloadable: true,
        short: "Names of the nodes that hold the data",
        long: "The members: the Pacemaker names (see crm_node -l; not addresses, and not longer \
               host names) of the nodes that hold a copy of the data, with blanks between them. \
               An arbiter that holds no data does not belong here.\n\n\
               Set it when Pacemaker knows nodes that never hold data, or to write down what the \
               cluster is meant to be. Before a name is removed for good, run \"pgtwin forget \
               NODE\".",
        set: |p, text| value::node_list(text).map(|v| p.node_list = Some(v)),
        ..ROW
    },
    Spec {
        name: "vip",
        unset: "no address is shown or checked",
        reloadable: true,
        short: "Virtual IP address of the primary",
        long: "The address that an IPaddr2 resource carries to the primary. \"pgtwin status\" \
               shows where it is, and warns if no resource carries it or if it is not with the \
               primary. It is never used to find the primary, because during a failover it may \
               still be on the wrong node. A prefix length, as in 20.0.0.1/24, is accepted and \
               disregarded.",
        set: |p, text| value::virtual_address(text).map(|v| p.vip = Some(v)),
        ..ROW
    },
    Spec {
        name: "pgpassfile",
        unset: ".pgpass in the home directory of pguser",
        reloadable: true,
        short: "Password file for replication",
        long: "The password file from which a standby logs in at the primary, for the database \
               replication as well as for postgres (pg_rewind needs the latter). It must exist on \
               every node, and should belong to pguser and have mode 0600. Its lines have the form \
               host:port:database:user:password; a colon or a backslash in a field has a backslash \
               before it. validate-all names the lines that are missing.\n\n\
               PostgreSQL passes over a file that pguser cannot read, or that group or others may \
               use. Then pguser gets a private copy below /run/pgtwin; of a file of root's only if \
               nobody but root can have put it there.\n\n\
               Passwords belong in this file and nowhere else: a parameter is readable by anyone \
               who can read the cluster's configuration.",
        set: |p, text| value::path(text).map(|v| p.pgpassfile = Some(v)),
        ..ROW
    },
    Spec {
        name: "repuser",
        unset: "the user of the replication line in pgpassfile, or else replicator",
        reloadable: true,
        short: "Role for replication",
        long: "The PostgreSQL role by which a standby logs in at the primary. It needs LOGIN and \
               REPLICATION, lines in pg_hba.conf for the databases replication and postgres from \
               every member, and, for pg_rewind, the right to execute the functions that \
               PostgreSQL's manual lists there.",
        set: |p, text| value::role(text).map(|v| p.repuser = Some(v)),
        ..ROW
    },
    Spec {
        name: "node_addresses",
        unset: "the node's name, as the resolver knows it",
        reloadable: true,
        short: "By which address the members reach each other",
        long: "Where a member's PostgreSQL is reached by the others: node=address pairs with \
               blanks between them, for example \"n1=10.0.0.1 n2=10.0.0.2\". An address is an IP \
               address or a host name. A node without an entry is reached by its name.\n\n\
               Set it when replication has its own network, or when node names don't resolve to \
               the right addresses on every node.",
        set: |p, text| value::node_addresses(text).map(|v| p.node_addresses = v),
        ..ROW
    },
    Spec {
        name: "pg_bindir",
        unset: "found: the directories of the distributions, by the data's major version",
        reloadable: true,
        change: "The server goes on with the programs by which it was \
                 started; all else is done by those that are here now. A node without them is degraded, \
                 for it could not be promoted",
        short: "Directory of PostgreSQL's programs",
        long: "The directory with postgres, pg_ctl, pg_controldata, pg_rewind, pg_basebackup and \
               psql. Set it when the programs are in an unusual place, or when several packages \
               of one major version are installed.",
        set: |p, text| value::path(text).map(|v| p.pg_bindir = Some(v)),
        ..ROW
    },
    Spec {
        name: "config_file",
        unset: "postgresql.conf in the data directory",
        change: "the server takes it when it starts",
        short: "postgresql.conf outside of the data directory",
        long: "The path of postgresql.conf where it is not in the data directory. Debian and \
               Ubuntu keep it in /etc/postgresql/VERSION/CLUSTER/postgresql.conf. It must exist on \
               every node, with hba_file and ident_file in it where those are elsewhere too.",
        set: |p, text| value::path(text).map(|v| p.config_file = Some(v)),
        ..ROW
    },
    Spec {
        name: "monitor_timeout_promoted",
        kind: Kind::Integer,
        unit: Some("seconds"),
        default: Some("60"),
        reloadable: true,
        short: "Time limit of the primary's monitor",
        long: "The longest time that a monitor of the primary waits for PostgreSQL's answers. The \
               operation's own timeout in Pacemaker counts too: the shorter of both, less a \
               margin, is the limit. A server that does not answer in this time has failed, and \
               another node takes over.\n\n\
               A shorter time finds a hanging primary sooner; too short a time takes a busy one \
               for a hanging one.",
        set: |p, text| value::seconds(text, &(1..=3600)).map(|v| p.monitor_timeout_promoted = v),
        ..ROW
    },
    Spec {
        name: "monitor_timeout_unpromoted",
        kind: Kind::Integer,
        unit: Some("seconds"),
        default: Some("30"),
        reloadable: true,
        short: "Time limit of a standby's monitor",
        long: "The longest time that a monitor of a standby waits for PostgreSQL's answers, \
               limited by the operation's own timeout as well. A standby that does not answer in \
               this time is restarted.",
        set: |p, text| value::seconds(text, &(1..=3600)).map(|v| p.monitor_timeout_unpromoted = v),
        ..ROW
    },
    Spec {
        name: "sync_strict",
        kind: Kind::Boolean,
        default: Some("false"),
        reloadable: true,
        short: "Never commit on the primary alone",
        long: "Only with rep_mode=sync. false: when no standby is left, and it is proven that \
               none can take over behind the primary's back, commits go on with the primary \
               alone. true: commits wait until a standby is back, however long that takes.\n\n\
               Set it to true where every commit must be on two machines at all times, and where \
               an outage is better than a moment with one copy.",
        set: |p, text| value::boolean(text).map(|v| p.sync_strict = v),
        ..ROW
    },
    Spec {
        name: "fencing",
        default: Some("required"),
        reloadable: true,
        short: "What is asked of fencing: required or advised",
        long: "required: a lost node counts as gone only after it was fenced. While fencing is \
               disabled or fails, nobody takes over from a lost primary, and no primary goes on \
               alone; planned moves work.\n\n\
               advised: the owner accepts that a lost node counts as gone without a proof. If it \
               was only cut off, two primaries may have written, and one's commits are lost. The \
               instance shows as degraded for as long as fencing is off.",
        set: |p, text| value::fencing(text).map(|v| p.fencing = v),
        ..ROW
    },
    Spec {
        name: "max_slot_wal_keep_size",
        kind: Kind::Integer,
        unit: Some("MB"),
        unset: "PostgreSQL's setting is left as it is",
        reloadable: true,
        short: "Limit of the WAL kept for a standby",
        long: "How much WAL the primary keeps for a standby that is away; it becomes PostgreSQL's \
               setting of the same name. 0 means no limit. A standby that needs more than is kept \
               has to be rebuilt when it returns.\n\n\
               The setting holds for all slots of the instance, those of logical replication too, \
               and a slot that exceeds it is lost. Without a limit, a standby that stays away \
               fills the disk of the primary. Choose a size that fits on the disk with room to \
               spare and covers the longest maintenance of a standby.",
        set: |p, text| {
            value::number(text, &(0..=2_147_483_647)).map(|v| p.max_slot_wal_keep_size = Some(v))
        },
        ..ROW
    },
    Spec {
        name: "max_promotion_lag_bytes",
        kind: Kind::Integer,
        unit: Some("bytes"),
        default: Some("10485760"),
        reloadable: true,
        short: "Async: how far behind a new primary may be",
        long: "Only with rep_mode=async. A standby is not promoted when it lacks more than this \
               much WAL of what the lost primary was last known to have, or if none of the standbys \
               that are there knows that. 0 asks for everything, -1 for nothing.\n\n\
               It is the most that a failover may lose, as far as that is known. A small value \
               can mean that nobody takes over after a crash under heavy load.",
        set: |p, text| value::lag_bytes(text).map(|v| p.max_promotion_lag_bytes = v),
        ..ROW
    },
    Spec {
        name: "force_promotion",
        kind: Kind::Boolean,
        default: Some("false"),
        reloadable: true,
        advanced: true,
        short: "Async: promote however far behind",
        long: "Only with rep_mode=async: a standby is promoted even if it lacks more than \
               max_promotion_lag_bytes, and commits are lost. In sync mode it has no effect; there \
               \"pgtwin force-promote\" asks for the operator's explicit word.\n\n\
               Leave it at false. It stays in force for every later failover too, until someone \
               remembers it.",
        set: |p, text| value::boolean(text).map(|v| p.force_promotion = v),
        ..ROW
    },
    Spec {
        name: "replication_failure_threshold",
        kind: Kind::Integer,
        unit: Some("monitors in a row"),
        default: Some("5"),
        reloadable: true,
        advanced: true,
        short: "Monitors without replication before something is done",
        long: "How many monitors in a row must find a standby without replication before its \
               state changes to degraded, with the cause and its remedy. With a monitor every 8 \
               seconds, 5 are about 40 seconds. A higher value hides short interruptions, a lower \
               one reports them.\n\n\
               After as many at the same place, a standby whose WAL is gone on the primary is \
               restarted, and its data is brought back. No other cause leads to that.",
        set: |p, text| {
            value::number_u32(text, 1..=10_000).map(|v| p.replication_failure_threshold = v)
        },
        ..ROW
    },
    Spec {
        name: "backup_before_basebackup",
        kind: Kind::Boolean,
        default: Some("true"),
        reloadable: true,
        short: "Keep the old data after a rebuild",
        long: "Whether the old data of a node is kept as PGDATA.backup.TIMESTAMP after a rebuild. The \
               copy is made beside the old data in any case, and that is not touched before it is \
               whole: the disk has to hold both meanwhile. With true the old data stays beside the \
               new, only the newest of them, until it is removed by hand or by the next rebuild; \
               with false it is removed when the new data streams.\n\n\
               Where the data directory, pg_wal or a tablespace is a mount point of its own, the old \
               data is not kept, for it would lie inside and be copied by every standby.",
        set: |p, text| value::boolean(text).map(|v| p.backup_before_basebackup = v),
        ..ROW
    },
    Spec {
        name: "basebackup_timeout",
        kind: Kind::Integer,
        unit: Some("seconds"),
        default: Some("3600"),
        reloadable: true,
        short: "Time limit of a base backup",
        long: "How long one pg_basebackup may take before it is given up and tried again. It runs \
               in the background and is not bound to the timeout of start.\n\n\
               Size of the data divided by what the network and the disks carry, times two, is a \
               sensible value: a terabyte at 200 MB a second takes 5000 seconds, so 10000. A whole \
               attempt, with a rewind, crash recovery and the wait until it streams, may take half \
               an hour longer.",
        set: |p, text| value::seconds(text, &(1..=604_800)).map(|v| p.basebackup_timeout = v),
        ..ROW
    },
    Spec {
        name: "slot_name",
        default: Some("ha_slot"),
        reloadable: true,
        change: "Each standby changes to its new slot once the primary has it; \
                 the new ones take over the WAL that the old ones keep, and the old ones are dropped ten \
                 minutes later. Both fit into max_replication_slots until then. What a reboot in between \
                 leaves behind, \"pgtwin doctor\" names",
        advanced: true,
        short: "Prefix of replication slot names",
        long: "Each standby has its own physical replication slot; this is the beginning of their \
               names, the node's name follows. Change it when the default meets slots of other \
               tools: an idle slot whose name begins so, and that is of no member, is dropped after \
               ten minutes. So is one that is called just so, which other agents use, once each \
               standby has its own. At most 30 lower case letters, digits and underscores.",
        set: |p, text| value::slot_prefix(text).map(|v| p.slot_name = v),
        ..ROW
    },
    Spec {
        name: "application_name",
        unset: "the node's name",
        reloadable: true,
        change: "The standby reconnects, and the primary counts on the new \
                 name with its next monitor: in sync mode commits wait until both have changed, a moment as \
                 a rule, and none is lost",
        advanced: true,
        short: "Name of the standby's connection",
        long: "The name by which the primary knows the standby's connection, at most 63 bytes. \
               Because a parameter is the same on every node, it is accepted in a cluster of two \
               members only. With more, instances that run go on under their nodes' names and are \
               degraded until it is removed; none is started.\n\n\
               Leave it unset, unless something outside of the cluster looks for a certain name \
               in pg_stat_replication.",
        set: |p, text| value::application_name(text).map(|v| p.application_name = Some(v)),
        ..ROW
    },
    Spec {
        name: "socket_dir",
        unset: "unix_socket_directories in postgresql.conf decides",
        change: "the server makes its socket when it starts",
        advanced: true,
        short: "Directory of the unix socket",
        long: "The directory of PostgreSQL's unix socket, by which the agent asks the server. When \
               it is given, the server is started with it as unix_socket_directories. It must \
               exist and be writable for pguser.\n\n\
               Set it when postgresql.conf names a directory that vanishes or that pguser can't \
               write to.",
        set: |p, text| value::socket_directory(text).map(|v| p.socket_dir = Some(v)),
        ..ROW
    },
    Spec {
        name: "start_opts",
        unset: "no further arguments",
        change: "they are the server's arguments",
        advanced: true,
        secret: true,
        short: "More arguments for postgres",
        long: "Arguments that the server gets in addition, for example \"-c \
               shared_buffers=4GB\". Blanks separate them; single or double quotes keep blanks; \
               nothing is expanded, no shell is involved. Settings that pgtwin writes itself or \
               has a parameter for (port, primary_conninfo, synchronous_standby_names and so on) \
               are refused.\n\n\
               What is given here wins over every configuration file. postgresql.conf is the \
               better place for most settings.",
        set: |p, text| start_opts::start_opts(text).map(|v| p.start_opts = v),
        ..ROW
    },
    Spec {
        name: "container_mode",
        kind: Kind::Boolean,
        default: Some("false"),
        reloadable: true,
        change: "The server goes on where it runs; its next start is by the new value",
        advanced: true,
        short: "Run PostgreSQL in a container",
        long: "Whether PostgreSQL runs in a container of podman or docker, on the same data. Everything \
               else is as it is without one: PGDATA, the socket and the port are where they were, and \
               postgres is a process of pguser that the host sees. The image has to be on the node \
               (see container_image) and to hold the major version of the data.\n\n\
               See the page on containers before you change it.",
        set: |p, text| value::boolean(text).map(|v| p.container_mode = v),
        ..ROW
    },
    Spec {
        name: "pg_major_version",
        unset: "the version of container_image counts",
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Major version in the container",
        long: "Only with container_mode=true: the major version of PostgreSQL, for example 17, for \
               which pgtwin container pull chooses an image in container_registry; it has to be that of \
               the data. Where container_image is given too, that counts, and a difference is warned of. \
               \"auto\" is the same as not given.",
        set: |p, text| value::major_version(text).map(|v| p.pg_major_version = v),
        ..ROW
    },
    Spec {
        name: "container_name",
        default: Some("postgres-ha"),
        unique_group: Some("container_name"),
        change: "a container keeps its name",
        advanced: true,
        short: "Name of the container",
        long: "Only with container_mode=true: the container's name on every node. Change it when a \
               node runs more than one instance in containers. A container of this name that pgtwin has \
               not made is never touched: the start is refused.",
        set: |p, text| value::container_name(text).map(|v| p.container_name = v),
        ..ROW
    },
    Spec {
        name: "container_image",
        unset: "the image that pgtwin container pull has chosen for pg_major_version",
        reloadable: true,
        change: "The server goes on; its next start is by the new image",
        advanced: true,
        short: "Image of the container",
        long: "Only with container_mode=true: the image, with its registry and its tag or digest. \
               It wins over pg_major_version. \"auto\" is the same as not given. It is never downloaded by \
               a start: it has to be on every node before. A digest makes sure that all nodes run the \
               same program.",
        set: |p, text| value::container_image(text).map(|v| p.container_image = v),
        ..ROW
    },
    Spec {
        name: "container_runtime",
        default: Some("auto"),
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "podman, docker, or auto",
        long: "Only with container_mode=true: by which program containers are run, podman or docker. auto: \
               podman where it is installed, else docker. Set it where a node has both.",
        set: |p, text| value::container_runtime(text).map(|v| p.container_runtime = v),
        ..ROW
    },
    Spec {
        name: "container_network",
        default: Some("host"),
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Network of the container",
        long: "Only with container_mode=true: the network that the container is in. host: that of the \
               node, so that addresses and ports are as they are without a container. Any other name is one \
               of the engine's networks; then pgport of the node is passed on to the container, and other \
               members and clients come from the engine's address, which pg_hba.conf has to let in.",
        set: |p, text| value::container_network(text).map(|v| p.container_network = v),
        ..ROW
    },
    Spec {
        name: "container_memory",
        unset: "no limit but the node's",
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Limit of memory of the container",
        long: "Only with container_mode=true: how much memory PostgreSQL may use, with a unit of k, m or g, \
               for example 16g. Beyond it the kernel kills one of its processes, and the server recovers \
               as after a crash. shared_buffers and the page cache count, too.",
        set: |p, text| value::container_size(text).map(|v| p.container_memory = Some(v)),
        ..ROW
    },
    Spec {
        name: "container_cpus",
        unset: "no limit but the node's",
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Limit of CPUs of the container",
        long: "Only with container_mode=true: how many CPUs PostgreSQL may use, for example 4 or 1.5. \
               A server that is throttled answers late: leave room for monitors.",
        set: |p, text| value::container_cpus(text).map(|v| p.container_cpus = Some(v)),
        ..ROW
    },
    Spec {
        name: "container_shm_size",
        default: Some("1g"),
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Size of /dev/shm in the container",
        long: "Only with container_mode=true: how large /dev/shm in the container may become, with a unit \
               of k, m or g. Parallel queries share memory there; the 64 MB that the engines give by \
               themselves make such queries fail. Only what is used is taken.",
        set: |p, text| value::container_size(text).map(|v| p.container_shm_size = v),
        ..ROW
    },
    Spec {
        name: "container_options",
        unset: "no further arguments",
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "More arguments for the container",
        long: "Only with container_mode=true: more arguments for podman run or docker run, each written as \
               --name=value, with blanks between them; quotes keep blanks. For example \
               \"--volume=/srv/archive:/srv/archive --ulimit=nofile=65536\". What would undo the \
               container's safety, or is pgtwin's to give, is refused: privileges, capabilities, \
               namespaces of the host, devices, the engine's socket, directories of the system.",
        set: |p, text| container_opts::container_opts(text).map(|v| p.container_options = v),
        ..ROW
    },
    Spec {
        name: "container_selinux_relabel",
        kind: Kind::Boolean,
        default: Some("false"),
        reloadable: true,
        change: "The server goes on; its next start is by the new value",
        advanced: true,
        short: "Relabel the data for SELinux",
        long: "Only with container_mode=true: whether the engine gives the data directory, tablespaces and \
               the other directories of this instance a SELinux label of this container's own (:Z). A \
               PostgreSQL on the host may then not be let in any more, until restorecon. Directories of \
               the system are never relabelled: the start is refused instead.",
        set: |p, text| value::boolean(text).map(|v| p.container_selinux_relabel = v),
        ..ROW
    },
    Spec {
        name: "container_registry",
        unset: "an image is never looked for; container_image has to name it",
        reloadable: true,
        change: "pgtwin container pull makes use of it, and no action of the agent does",
        advanced: true,
        short: "Registry in which an image is looked for",
        long: "Only with container_mode=true and without container_image: the registry, as host or \
               host:port, in which pgtwin container pull looks for the newest image of \
               pg_major_version. There is none by default: whom you take programs from is yours to \
               say.\n\n\
               It may be a registry of your own on which images are tested before they get in. A \
               start never asks it.",
        set: |p, text| value::container_registry(text).map(|v| p.container_registry = Some(v)),
        ..ROW
    },
    Spec {
        name: "container_repository",
        unset: "an image is never looked for; container_image has to name it",
        reloadable: true,
        change: "pgtwin container pull makes use of it, and no action of the agent does",
        advanced: true,
        short: "Repository in which an image is looked for",
        long: "Only with container_mode=true and without container_image: the repository in \
               container_registry, such as library/postgres or db/postgres, whose tags are \
               versions: 17.10 is newer than 17.9; pre-releases are passed over. Where the tags of \
               a version name several distributions (17.9-bookworm, 17.9-alpine), none is chosen by \
               itself: they sort texts differently.",
        set: |p, text| value::container_repository(text).map(|v| p.container_repository = Some(v)),
        ..ROW
    },
];

impl Spec {
    /// Unit, default and effect of a change, in sentences: the end of every long text.
    pub fn facts(&self) -> String {
        let unit = self.unit.map(|unit| format!("Unit: {unit}. ")).unwrap_or_default();
        let default = match self.default {
            Some(value) => format!("Default: {value}."),
            None => format!("Not given: {}.", self.unset),
        };
        let change = match (self.reloadable, self.change) {
            (true, "") => "A change is taken over while PostgreSQL runs.".to_owned(),
            (true, follows) => format!("A change is taken over while PostgreSQL runs. {follows}."),
            (false, why) => format!("A change restarts PostgreSQL on every node: {why}."),
        };
        format!("{unit}{default} {change}")
    }
}
