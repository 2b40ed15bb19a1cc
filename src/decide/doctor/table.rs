//! The table of checks: the one place that knows their names and why they matter. Floor 1.
//!
//! The texts are read by someone who wonders whether a finding matters: what goes wrong, and when.

use super::{
    Area, Check, Look, access, address, clone, fencing, host, images, names, operations, placement,
    quorum, settings, slots, standbys, timelines, versions,
};

/// A check of the cluster.
const fn cluster(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    look: fn(&super::Facts) -> Vec<super::Said>,
) -> Check {
    Check { id, area: Area::Cluster, title, why, look: Look::Cluster(look) }
}

/// A check of what the cluster remembers.
const fn state(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    look: fn(&super::Facts) -> Vec<super::Said>,
) -> Check {
    Check { id, area: Area::Cluster, title, why, look: Look::State(look) }
}

/// A check of PostgreSQL on this node.
const fn server(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    look: fn(&super::Facts, &super::Member, &super::Server) -> Vec<super::Said>,
) -> Check {
    Check { id, area: Area::Server, title, why, look: Look::Server(look) }
}

/// A check of a member that needs no PostgreSQL there.
const fn member(
    id: &'static str,
    area: Area,
    title: &'static str,
    why: &'static str,
    look: fn(&super::Facts, &super::Member) -> Vec<super::Said>,
) -> Check {
    Check { id, area, title, why, look: Look::Member(look) }
}

/// All checks, in the order in which they are made and shown.
pub const TABLE: &[Check] = &[
    cluster(
        "fencing-enabled",
        "Fencing is enabled",
        "A node that is lost may be cut off and still accept writes. Only fencing proves that it does \
         not. Without it nobody takes over after a crash of a node, or, with fencing=advised, two \
         nodes may write at once.",
        fencing::enabled,
    ),
    cluster(
        "fencing-devices",
        "Each member has a fence device that runs",
        "Fencing that is enabled and has no device for the node in question fails, and the cluster \
         waits for it without end.",
        fencing::covers,
    ),
    state(
        "fencing-tested",
        "Each member was fenced lately, and it worked",
        "Power switches get other passwords, cables get moved, firmware changes. Fencing that was \
         never tried is found broken in the night in which it is needed. Pacemaker's memory is that of \
         the running fencers, so it forgets when all nodes were down.",
        fencing::tested,
    ),
    cluster(
        "fencing-startup",
        "Nodes that were never seen are fenced",
        "With startup-fencing=false a node that boots alone takes the others to be down, whatever \
         they do.",
        fencing::startup,
    ),
    cluster(
        "fencing-delay",
        "Two nodes do not shoot each other at the same moment",
        "When two nodes lose sight of each other, both shoot. Without a delay for one of them both go \
         down. priority-fencing-delay lets the node without the primary wait.",
        fencing::delay,
    ),
    cluster(
        "quorum-policy",
        "A part of the cluster without quorum stops",
        "With no-quorum-policy=ignore both parts of a divided cluster go on. Two nodes do not need it: \
         two_node in corosync.conf gives each of them quorum, and fencing decides.",
        quorum::policy,
    ),
    member(
        "corosync",
        Area::Node,
        "corosync.conf counts votes as the number of nodes wants it",
        "Two nodes need two_node: 1 (or a quorum device), or the loss of one stops the other. Three \
         must not have it, or one alone goes on. Without wait_for_all a node that boots alone fences \
         the other one.",
        quorum::corosync,
    ),
    cluster(
        "maintenance",
        "Nothing keeps Pacemaker from acting",
        "Maintenance mode, once forgotten, looks like a healthy cluster until the first failure, to \
         which nobody answers.",
        quorum::maintenance,
    ),
    cluster(
        "clone",
        "The resource is a promotable clone on full nodes",
        "pgtwin needs an instance on each member, of which Pacemaker promotes one. Bundles and remote \
         nodes are not supported.",
        clone::kind,
    ),
    cluster(
        "clone-notify",
        "The clone has notify=true",
        "Elections are held in notifications. Without them no standby ever takes over.",
        clone::notify,
    ),
    cluster(
        "clone-options",
        "The clone's other options are as they should be",
        "There is one primary, and one instance a node. With interleave=false what depends on one \
         standby waits for all of them.",
        clone::options,
    ),
    cluster(
        "monitors",
        "Both roles have a recurring monitor of its own interval",
        "What is not monitored is not seen to fail. Pacemaker tells two monitors apart by their \
         interval alone: of two with the same it runs one.",
        operations::monitors,
    ),
    state(
        "watched",
        "Each instance is monitored",
        "Pacemaker forgets to start a monitor again after maintenance, or after a promotion that it has \
         broken off, while a failure of it is remembered. Nobody sees that instance fail, the primary's \
         death neither, and a standby without a monitor never takes over.",
        operations::watched,
    ),
    cluster(
        "timeouts",
        "The operations may take as long as they may need",
        "An operation that is cut short counts as failed. A stop that is cut short gets the node \
         fenced. Without a timeout of its own an operation has 20 seconds.",
        operations::timeouts,
    ),
    server(
        "timeouts-size",
        "The timeouts go together with the size of the database",
        "A copy of a large database takes hours, and a shutdown has to write all of shared_buffers. \
         What is cut short begins anew, or ends in a crash recovery. The figures assume 30 MB a \
         second.",
        operations::for_size,
    ),
    cluster(
        "failures",
        "Failures are forgotten after a while",
        "With a migration-threshold and without a failure-timeout, a node that had a few failures in \
         its life is banned for good, which shows when the other one fails.",
        clone::failures,
    ),
    cluster(
        "moves",
        "No earlier move has left a constraint behind",
        "crm_resource --move and --ban leave a constraint of infinite strength. It keeps a node from \
         taking over long after the move is forgotten.",
        placement::left_behind,
    ),
    cluster(
        "locations",
        "Location constraints leave somebody to take over",
        "A constraint that keeps all standbys from being promoted makes of a cluster a single server. \
         Rules, patterns and sets are not judged.",
        placement::excluded,
    ),
    cluster(
        "preferences",
        "Nothing pulls the primary back to a node",
        "A strong preference moves the primary back as soon as its node returns from a failure: a \
         second outage, and a third when the node is not well yet.",
        placement::preferred,
    ),
    cluster(
        "stickiness",
        "Resources stay where they are",
        "Without stickiness what is placed with the primary can move when a node returns, although \
         nothing failed.",
        placement::sticky,
    ),
    cluster(
        "address",
        "A resource carries the clients' address",
        "Clients that are told one address find nobody after a failover unless a resource moves it.",
        address::carried,
    ),
    cluster(
        "address-place",
        "The address is placed with the promoted instance",
        "An address that is not tied to the primary, or only to any instance, leads clients to a \
         standby, where writes fail.",
        address::colocated,
    ),
    cluster(
        "address-order",
        "The address comes after the promotion, and goes after the demotion",
        "An address that comes earlier sends clients to a standby for a moment; applications that do \
         not try again fail. One that goes earlier takes from PostgreSQL the way to tell its clients that \
         their sessions end: they wait for an answer until a limit of their own, if they have one. An order after the demotion \
         that is mandatory holds the address where it is when the demotion came in an earlier transition: \
         the cluster cannot be stopped there.",
        address::ordered,
    ),
    cluster(
        "parameters",
        "The parameters are sound",
        "A parameter that is refused keeps PostgreSQL from starting, on every node at once.",
        names::parameters,
    ),
    cluster(
        "members",
        "The members are nodes of the cluster",
        "A name in node_list that Pacemaker does not know (another case, with a domain) is a member \
         that is never seen: elections wait for it.",
        names::members,
    ),
    cluster(
        "pacemaker",
        "Pacemaker is new enough, and the same on all nodes",
        "Older versions were not tested with pgtwin. A cluster of mixed versions works until a node \
         leaves, which may not be let in again.",
        versions::pacemaker,
    ),
    server(
        "defects",
        "PostgreSQL has no known defect that loses data",
        "PostgreSQL older than 13.21, 14.18, 15.13, 16.9 and 17.5 skips the wait for a standby just \
         after its start. 14.0 to 14.3 make indexes that miss rows.",
        versions::defective,
    ),
    server(
        "versions",
        "PostgreSQL is supported, and the same on all members",
        "A major version that has reached its end gets no corrections. Members of different minor \
         versions work for the time of an update.",
        versions::supported,
    ),
    server(
        "wal-level",
        "wal_level is replica or logical",
        "With less no standby can stream, and PostgreSQL does not start with senders.",
        settings::wal_level,
    ),
    server(
        "hot-standby",
        "hot_standby is on",
        "A standby that takes no queries cannot be asked how far it is, so it is never promoted.",
        settings::hot_standby,
    ),
    server(
        "rewind",
        "pg_rewind can be used",
        "With wal_log_hints or data checksums an old primary comes back in seconds; without, by a copy \
         of everything, during which nobody else can take over.",
        settings::rewind,
    ),
    server(
        "durability",
        "fsync and full_page_writes are on",
        "Without them a crash of the machine loses commits, or spoils data on all members.",
        settings::durable,
    ),
    server(
        "synchronous-commit",
        "Every commit waits for a standby",
        "With off, local or remote_write, for the server, a role or a database, a commit is \
         acknowledged before a standby has it on disk: a failover loses it.",
        settings::commits,
    ),
    server(
        "restart-after-crash",
        "restart_after_crash is off",
        "A server that restarts itself after a crash does so without asking the cluster, and a \
         failover that has begun meets it half way.",
        settings::crashes,
    ),
    server(
        "wal-senders",
        "max_wal_senders is enough",
        "Each standby takes one sender, and a copy of one takes two more. When none is left, a node \
         cannot come back.",
        settings::senders,
    ),
    server(
        "sender-timeout",
        "wal_sender_timeout is set, and not long",
        "A fast shutdown waits for every standby. One that vanished is waited for until this timeout: \
         that is the outage of a planned move.",
        settings::sender_timeout,
    ),
    server(
        "listen-addresses",
        "PostgreSQL listens where the others come",
        "PostgreSQL's default, localhost, lets no standby in, nor clients on the moving address.",
        names::listens,
    ),
    server(
        "archiving",
        "Archiving works, where it is on",
        "WAL that cannot be archived is kept until the disk is full, and then the server stops.",
        settings::archive,
    ),
    server(
        "history-files",
        "No history file of another line lies where PostgreSQL looks",
        "PostgreSQL takes the newest history file in pg_wal, and where restore_command finds one, for the \
         way to go. One of a branch that lost, or of another cluster, keeps a standby from starting, \
         or feeds it foreign WAL.",
        timelines::history_files,
    ),
    server(
        "own-settings",
        "What pgtwin sets is set nowhere else",
        "synchronous_standby_names in postgresql.conf comes back when pgtwin removes its own: commits \
         then wait for somebody who never comes.",
        settings::own_settings,
    ),
    server(
        "recovery-target",
        "No recovery target is set",
        "A target that is left over from a restore stops a standby there: it falls behind, and has \
         less than it received.",
        settings::recovery_target,
    ),
    server(
        "configuration-files",
        "The configuration files are in force",
        "A line that PostgreSQL cannot read does no harm until the next start, which fails. A value \
         that waits for a restart comes with the next failover, when nobody expects it.",
        settings::files,
    ),
    server(
        "wraparound",
        "Transaction numbers do not run out",
        "At about 2.1 billion transactions without a freeze PostgreSQL refuses all writes, on all \
         members alike.",
        settings::wraparound,
    ),
    server(
        "settings-size",
        "Each member can be a standby of every other",
        "A standby whose max_connections, max_worker_processes, max_wal_senders, \
         max_prepared_transactions or max_locks_per_transaction is smaller than the primary's does not \
         start, or stops replaying.",
        standbys::large_enough,
    ),
    server(
        "settings-equal",
        "The members have the same settings",
        "After a failover the other node's settings count: an archive that is off there, or another \
         size of memory, is noticed at the worst time.",
        standbys::equal,
    ),
    server(
        "delays",
        "No standby replays with a delay",
        "A standby with recovery_min_apply_delay never takes over. With two nodes that means that \
         nobody does.",
        standbys::delayed,
    ),
    server(
        "slots",
        "There is a slot for each member, and room for it",
        "Without a slot the primary removes WAL that an absent standby still needs, and it has to be \
         built anew.",
        slots::count,
    ),
    server(
        "slots-wal",
        "No slot keeps more WAL than the disk can bear",
        "A slot that nobody uses keeps WAL until the disk is full and the primary stops, unless \
         max_slot_wal_keep_size sets a limit; then the slot is lost at that limit.",
        slots::retained,
    ),
    server(
        "logical-slots",
        "A failover loses no logical slot",
        "Physical replication does not carry logical slots: subscribers start anew after a failover, \
         or get ahead of the new primary.",
        slots::logical,
    ),
    server(
        "hba",
        "pg_hba.conf here lets every other member in, and the agent",
        "This node may be the primary tomorrow. What its pg_hba.conf lacks shows when the others come \
         to follow it, and cannot. The database postgres is what pg_rewind needs. The agent asks its \
         own server by the socket, and for its position by `local replication`.",
        access::hba,
    ),
    member(
        "logins",
        Area::Server,
        "Every other member lets this one in",
        "The two logins that a standby needs, replication and pg_rewind's, are tried at every other \
         member: pg_hba.conf there and the passfile here at once.",
        access::logins,
    ),
    server(
        "role",
        "The role for replication may do what it has to",
        "A password that has expired, or a role that may not replicate, shows at the next \
         reconnection: existing connections go on.",
        access::role,
    ),
    member(
        "passfile",
        Area::Node,
        "The passfile is as libpq wants it",
        "libpq passes over a passfile that others may read, without a word, and the login fails.",
        access::passfile,
    ),
    member(
        "addresses",
        Area::Node,
        "Each member has an address of its own",
        "A name that leads to this machine itself (127.0.1.1 in /etc/hosts), to the moving address, or \
         to another member, makes a node follow itself, or nobody.",
        names::addresses,
    ),
    member(
        "hostname",
        Area::Node,
        "The machine and its node have one name",
        "Parameters, commands and logs name nodes as Pacemaker does. A machine that is called \
         otherwise gets the wrong node stopped one day.",
        names::hostname,
    ),
    member(
        "disk",
        Area::Node,
        "There is room on the disks of data and WAL",
        "PostgreSQL stops when it cannot write WAL. Below 15 % is a warning, below 5 % is grave.",
        host::disk,
    ),
    server(
        "disk-copy",
        "There is room for a copy of the database",
        "A node is rebuilt beside its old data. Without room for both it cannot be.",
        host::room_for_copy,
    ),
    member(
        "old-copies",
        Area::Node,
        "No old copy of the data lies about",
        "What a rebuild keeps of the old data takes the room that the next one needs.",
        host::copies,
    ),
    server(
        "clock",
        "The clocks agree",
        "pgtwin decides nothing by the time of day. People do, when they read the logs of two nodes.",
        |facts, member, _| host::clock(facts, member),
    ),
    member(
        "service-at-boot",
        Area::Node,
        "Nothing but Pacemaker starts PostgreSQL at boot",
        "The distribution's own service starts an old primary writable at boot, beside the new one.",
        host::at_boot,
    ),
    member(
        "remove-ipc",
        Area::Node,
        "logind leaves the server's shared memory alone",
        "With RemoveIPC=yes, logind removes the shared memory of a user who logs out and is no system \
         user: the server crashes whenever somebody worked as that user.",
        host::remove_ipc,
    ),
    member(
        "programs",
        Area::Node,
        "PostgreSQL's programs are there, and fit the data",
        "pg_rewind and pg_basebackup are in packages that a running server does not need, and are \
         missed when a node is to come back.",
        host::programs,
    ),
    cluster(
        "container-image",
        "The container's image is named so that it stays the same",
        "A tag is what a registry makes of it: two nodes that pulled it on different days run different \
         programs, with other collations maybe, behind one name.",
        images::name,
    ),
    member(
        "container-local",
        Area::Node,
        "The container's image lies on this node",
        "A start never downloads an image. Where it is missing, PostgreSQL does not come back after a \
         crash, and this node cannot take over after a stop.",
        images::here,
    ),
    member(
        "container-same",
        Area::Node,
        "All nodes have the same image",
        "A failover would change the version of PostgreSQL, or the C library by which texts are sorted.",
        images::same,
    ),
    member(
        "permissions",
        Area::Node,
        "Directories have the right owners and modes",
        "PostgreSQL does not start on a data directory that others may read. What root keeps must not \
         be writable for anybody else.",
        host::modes,
    ),
];
