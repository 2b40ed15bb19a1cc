//! The defects of a server and of a machine: what is changed, and what is said then.

use super::super::*;
use super::{hba, n2, remotes, set, set_all};
use crate::decide::report::OldCopy;
use crate::decide::report::runtime::Seen;
use crate::decide::slots::Logical;

/// Name, what is changed, and what is said.
pub(super) type Row = (&'static str, fn(&mut Member, &mut Server), &'static str);

fn versions(member: &mut Member, server: &mut Server, major: u32, minor: u32) {
    server.version = Version { major, minor };
    remotes(member).for_each(|remote| remote.version = Version { major, minor });
}

pub(super) fn volume(member: &mut Member, at: usize, free: u64) {
    if let Known::Known(volumes) = &mut member.host.volumes {
        volumes[at].free = free;
    }
}

pub(super) fn corosync(member: &mut Member) -> &mut Corosync {
    match &mut member.host.corosync {
        Known::Known(corosync) => corosync,
        Known::Unknown(why) => panic!("{why}"),
    }
}

/// Images: which one is here, and what the nodes have told.
fn images(member: &mut Member, here: Known<Option<String>>, told: Known<&[(&str, &str)]>) {
    let id = |digits: &str| format!("sha256:{}", digits.repeat(32));
    let told = told.map(|told| {
        told.iter().map(|(name, digits)| (name.parse().unwrap(), id(digits))).collect()
    });
    let engine = Some("podman 4.3.1".into());
    let now = Seen { contained: Some(true), engine, ..Seen::default() };
    member.images = Some(Images { asked: true, now, here, told });
}

const SAME: &[(&str, &str)] = &[("n1", "0a"), ("n2", "0a"), ("n3", "0a")];

fn lies_here() -> Known<Option<String>> {
    Known::Known(Some(format!("sha256:{}", "0a".repeat(32))))
}

pub(super) const ROWS: &[Row] = &[
    (
        "no image here",
        |m, _| images(m, Known::Known(None), Known::Known(SAME)),
        "FAIL container-local: the image lies not on n1",
    ),
    (
        "an engine that hangs",
        |m, _| images(m, Known::unknown("podman did not answer"), Known::Known(SAME)),
        "UNKNOWN container-local: podman did not answer",
    ),
    (
        "another image",
        |m, _| {
            let told = Known::Known(&[("n1", "0a"), ("n2", "0b"), ("n3", "0a")][..]);
            images(m, lies_here(), told);
        },
        "WARN container-same: 0a0a0a0a0a0a on n1, n3; 0b0b0b0b0b0b on n2",
    ),
    (
        "an image that was pulled since",
        |m, _| {
            images(m, lies_here(), Known::Known(SAME));
            let now = &mut m.images.as_mut().unwrap().now;
            now.image = Some(("r.example/pg:17.5".into(), format!("sha256:{}", "0b".repeat(32))));
        },
        "WARN container-local: image r.example/pg:17.5 (0b0b0b0b0b0b), and its next start is in image 0a0a0a",
    ),
    (
        "a server on its host meanwhile",
        |m, _| {
            images(m, lies_here(), Known::Known(SAME));
            m.images.as_mut().unwrap().now.contained = Some(false);
        },
        "WARN container-local: PostgreSQL of n1 runs on the host, and its next start is in a container",
    ),
    (
        "a server in a container that is to be on its host",
        |m, _| {
            images(m, lies_here(), Known::Known(SAME));
            m.images.as_mut().unwrap().asked = false;
        },
        "WARN container-local: in a container of podman 4.3.1, and its next start is on the host",
    ),
    (
        "an image nobody told of",
        |m, _| images(m, lies_here(), Known::Known(&[("n1", "0a"), ("n2", "0a")][..])),
        "UNKNOWN container-same: n3 has told of no image",
    ),
    ("the sync wait", |m, s| versions(m, s, 17, 4), "FAIL defects: skips the wait for a standby"),
    ("indexes", |m, s| versions(m, s, 14, 3), "FAIL defects: makes indexes CONCURRENTLY"),
    (
        "another minor",
        |_, s| s.version.minor = 5,
        "WARN versions: PostgreSQL is 17.6 on n2 and 17.5 here",
    ),
    (
        "too new",
        |m, s| versions(m, s, 19, 1),
        "WARN versions: pgtwin is made for PostgreSQL 13 to 18",
    ),
    (
        "its end",
        |m, s| versions(m, s, 13, 23),
        "WARN versions: is not corrected any more since 2025-11-13",
    ),
    (
        "wal_level",
        |m, s| set_all(m, s, "wal_level", "minimal"),
        "FAIL wal-level: no standby can stream",
    ),
    (
        "hot_standby",
        |m, s| set_all(m, s, "hot_standby", "off"),
        "FAIL hot-standby: hot_standby is off",
    ),
    (
        "hints",
        |m, s| set_all(m, s, "wal_log_hints", "off"),
        "WARN rewind: pg_rewind cannot be used",
    ),
    ("fsync", |m, s| set_all(m, s, "fsync", "off"), "FAIL durability: fsync is off"),
    ("pages", |m, s| set_all(m, s, "full_page_writes", "off"), "FAIL durability: full_page_writes"),
    (
        "commits",
        |m, s| set_all(m, s, "synchronous_commit", "local"),
        "FAIL synchronous-commit: synchronous_commit is local",
    ),
    (
        "a role's commits",
        |_, s| s.overrides = Known::Known(vec!["synchronous_commit is off for x".into()]),
        "WARN synchronous-commit: synchronous_commit is off for x",
    ),
    (
        "commits not known",
        |_, s| s.overrides = Known::unknown("busy"),
        "UNKNOWN synchronous-commit: is not known: busy",
    ),
    (
        "crashes",
        |m, s| set_all(m, s, "restart_after_crash", "on"),
        "WARN restart-after-crash: behind the cluster's back",
    ),
    (
        "few senders",
        |m, s| set_all(m, s, "max_wal_senders", "3"),
        "WARN wal-senders: none is left for a copy",
    ),
    (
        "no senders",
        |m, s| set_all(m, s, "max_wal_senders", "1"),
        "FAIL wal-senders: there are 2 standbys",
    ),
    ("endless", |_, s| set(s, "wal_sender_timeout", "0"), "WARN sender-timeout: without end"),
    ("long", |_, s| set(s, "wal_sender_timeout", "300000"), "WARN sender-timeout: 300 s"),
    (
        "localhost",
        |m, s| set_all(m, s, "listen_addresses", "localhost"),
        "FAIL listen-addresses: listen_addresses here is 'localhost'",
    ),
    (
        "no archive command",
        |m, s| {
            set_all(m, s, "archive_mode", "on");
            set(s, "archive_command", "");
        },
        "FAIL archiving: nothing archives",
    ),
    (
        "a failing archive",
        |m, s| {
            set_all(m, s, "archive_mode", "always");
            s.archiver_fails = Some("0000000100000000000000AB failed".into());
        },
        "FAIL archiving: WAL is not archived (0000000100000000000000AB failed)",
    ),
    (
        "another line's history in the archive",
        |m, s| {
            set_all(m, s, "restore_command", "cp /srv/archive/%f %p");
            s.histories = Known::Known(Histories {
                archive: Some("/srv/archive".into()),
                foreign: vec![("/srv/archive/00000004.history".into(), "so it is".into())],
            });
        },
        "FAIL history-files: /srv/archive/00000004.history is of another line (so it is): a server",
    ),
    (
        "history files that nobody can read",
        |_, s| s.histories = Known::unknown("it is a pipe"),
        "UNKNOWN history-files: history files could not be looked at: it is a pipe",
    ),
    (
        "names in the file",
        |_, s| set(s, "synchronous_standby_names", "*"),
        "WARN own-settings: synchronous_standby_names is set in /etc/postgresql/17/main/postgresql.conf",
    ),
    (
        "conninfo on the command line",
        |_, s| {
            let value = Value { source: "command line".into(), file: None, ..value("host=x") };
            s.settings.insert("primary_conninfo".into(), value);
        },
        "WARN own-settings: on the command line",
    ),
    (
        "a target",
        |_, s| set(s, "recovery_target_time", "2026-01-01"),
        "FAIL recovery-target: recovery_target_time is '2026-01-01'",
    ),
    (
        "a timeline",
        |_, s| set(s, "recovery_target_timeline", "current"),
        "FAIL recovery-target: a standby does not follow a new primary",
    ),
    (
        "a bad line",
        |_, s| {
            s.bad_lines = vec![BadLine {
                place: "/etc/x.conf line 3".into(),
                name: Some("shared_bufers".into()),
                error: "unrecognized configuration parameter".into(),
                at_start: false,
            }];
        },
        "FAIL configuration-files: /etc/x.conf line 3 (shared_bufers): unrecognized",
    ),
    (
        "a line for the next start",
        |_, s| {
            s.bad_lines = vec![BadLine {
                place: "/etc/x.conf line 3".into(),
                name: Some("max_connections".into()),
                error: "setting could not be applied".into(),
                at_start: true,
            }];
        },
        "WARN configuration-files: /etc/x.conf line 3 (max_connections)",
    ),
    (
        "a restart",
        |_, s| s.settings.get_mut("max_connections").unwrap().pending = true,
        "WARN configuration-files: a restart is waited for by max_connections",
    ),
    ("old", |_, s| s.oldest_xid = 1_200_000_000, "WARN wraparound: is 1200000000 transactions old"),
    (
        "too old",
        |_, s| s.oldest_xid = 2_000_000_000,
        "FAIL wraparound: is 2000000000 transactions old",
    ),
    (
        "a smaller standby",
        |m, _| {
            remotes(m).next().unwrap().settings.insert("max_connections".into(), "50".into());
        },
        "FAIL settings-size: max_connections is 50 on n2 and 100 on n1: n2 cannot be a standby of n1",
    ),
    (
        "a smaller primary",
        |m, _| {
            remotes(m).next().unwrap().settings.insert("max_worker_processes".into(), "16".into());
        },
        "WARN settings-size: n1 cannot be a standby of n2",
    ),
    (
        "another memory",
        |m, _| {
            remotes(m).next().unwrap().settings.insert("shared_buffers".into(), "1".into());
        },
        "WARN settings-equal: shared_buffers is 16384 here and 1 on n2",
    ),
    (
        "a delay",
        |m, _| {
            remotes(m)
                .next()
                .unwrap()
                .settings
                .insert("recovery_min_apply_delay".into(), "3600000".into());
        },
        "WARN delays: n2 replays with a delay",
    ),
    (
        "few slots",
        |m, s| set_all(m, s, "max_replication_slots", "1"),
        "FAIL slots: max_replication_slots is 1",
    ),
    (
        "a slot that is missing",
        |_, s| drop(s.slots.pop()),
        "WARN slots: standbys have no slot here: ha_slot_n3",
    ),
    (
        "a lost slot",
        |_, s| s.slots[0].wal_status = Some("lost".into()),
        "FAIL slots-wal: the slot ha_slot_n2 has lost WAL",
    ),
    (
        "a slot at its limit",
        |_, s| s.slots[0].wal_status = Some("unreserved".into()),
        "WARN slots-wal: is about to lose WAL",
    ),
    ("much WAL", |_, s| s.slots[0].keeps = Some(60 << 30), "WARN slots-wal: keeps 60 GB of WAL"),
    (
        "nobody's slot",
        |_, s| s.slots.push(Slot { name: "old".into(), active: false, ..s.slots[0].clone() }),
        "WARN slots-wal: nobody uses the slot old",
    ),
    (
        "a logical slot",
        |_, s| {
            if let Known::Known(logical) = &mut s.logical {
                logical.slots.push(Logical { name: "sub".into(), failover: Some(false) });
            }
        },
        "WARN logical-slots: a failover loses the logical slots sub",
    ),
    (
        "logical slots not known",
        |_, s| s.logical = Known::unknown("busy"),
        "UNKNOWN logical-slots: busy",
    ),
    (
        "no line",
        |m, _| {
            hba(m).rules =
                rules(&["host {replication} {replicator} 10.0.0.0 255.255.255.0 md5", LOCAL]);
        },
        "FAIL hba: keeps out n2 (10.0.0.12) for postgres: no line; n3 (10.0.0.13) for postgres: no",
    ),
    (
        "a reject",
        |m, _| {
            hba(m).rules = rules(&[
                "host {postgres} {all} 10.0.0.13 255.255.255.255 reject",
                "host {replication,postgres} {replicator} 10.0.0.0 255.255.255.0 md5",
                LOCAL,
            ]);
        },
        "FAIL hba: keeps out n3 (10.0.0.13) for postgres: line 1 rejects it",
    ),
    (
        "the agent's own position",
        |m, _| {
            hba(m).rules = rules(&[
                "host {replication,postgres} {replicator} 10.0.0.0 255.255.255.0 md5",
                "local {all} {all}   peer",
            ]);
        },
        "FAIL hba: keeps out the agent itself (local, postgres) for replication: no line",
    ),
    (
        "a name that leads nowhere",
        |m, _| {
            hba(m).rules =
                rules(&["host {replication,postgres} {replicator} x.example.org  md5", LOCAL]);
        },
        "UNKNOWN hba: n2 (10.0.0.12) for replication: whether line 1 fits is not known",
    ),
    (
        "a broken line",
        |m, _| hba(m).rules = crate::postgres::hba::parse_rows("7\t\t\t\t\t\t\tno method").unwrap(),
        "FAIL hba: line 7 of /etc/postgresql/17/main/pg_hba.conf cannot be read (no method)",
    ),
    (
        "no password",
        |m, _| {
            let secret = pghba::Secret::None;
            hba(m).role =
                pghba::Role::There { login: true, replication: true, secret, expired: false };
        },
        "FAIL hba: replicator has no password",
    ),
    (
        "TLS that is asked for and off",
        |m, _| hba(m).sslmode = "require".into(),
        "FAIL hba: members ask for TLS",
    ),
    ("hba not known", |m, _| m.hba = Known::unknown("busy"), "UNKNOWN hba: busy"),
    (
        "kept out",
        |m, _| n2(m).replication = Login::KeptOut("no pg_hba.conf entry".into()),
        "FAIL logins: n2 does not let this node in for replication: no pg_hba.conf entry",
    ),
    ("no role", |_, s| s.role = None, "FAIL role: there is no role replicator"),
    (
        "no replication",
        |_, s| s.role.as_mut().unwrap().replication = false,
        "FAIL role: may not replicate",
    ),
    ("no login", |_, s| s.role.as_mut().unwrap().login = false, "FAIL role: may not log in"),
    ("expired", |_, s| s.role.as_mut().unwrap().expired = true, "FAIL role: has expired"),
    (
        "few connections",
        |_, s| s.role.as_mut().unwrap().limit = 2,
        "WARN role: may have 2 connections",
    ),
    (
        "no grants",
        |_, s| s.role.as_mut().unwrap().may_rewind = false,
        "WARN role: what pg_rewind does",
    ),
    (
        "a passfile for all",
        |m, _| m.host.passfile = Some("pgpassfile=/x has mode 0644".into()),
        "FAIL passfile: pgpassfile=/x has mode 0644",
    ),
    (
        "an odd line",
        |m, _| m.host.passfile_odd = vec!["line 2 is odd".into()],
        "WARN passfile: line 2 is odd",
    ),
    (
        "one address for two",
        |m, _| n2(m).resolved = Known::Known(vec!["10.0.0.13".parse().unwrap()]),
        "FAIL addresses: n2 and n3 have the same address 10.0.0.13 here",
    ),
    (
        "not this machine's",
        |m, _| m.host.is_own = Known::Known(false),
        "FAIL addresses: n1 is 10.0.0.11 here, and this machine has no such address",
    ),
    (
        "another host",
        |m, _| m.host.hostname = "db-old".into(),
        "WARN hostname: is called db-old, and its node n1",
    ),
    (
        "a full disk",
        |m, _| volume(m, 1, 1 << 30),
        "FAIL disk: 1024 MB are free for the WAL in /wal",
    ),
    ("a disk that fills", |m, _| volume(m, 1, 20 << 30), "WARN disk: 10 % of its file system"),
    ("no room for two", |m, _| volume(m, 0, 39 << 30), "WARN disk-copy: 39 GB are free"),
    (
        "the size is not known",
        |_, s| s.database = Known::unknown("timeout"),
        "UNKNOWN disk-copy: timeout",
    ),
    (
        "an old copy",
        |m, _| {
            m.host.copies = Known::Known(vec![OldCopy {
                dirs: vec!["/data.backup.20261120-120000".into()],
                bytes: Known::Known(40 << 30),
            }]);
        },
        "WARN old-copies: an old copy of the data takes 40 GB",
    ),
    (
        "a clock",
        |m, _| remotes(m).next().unwrap().clock = (-9000, 50),
        "WARN clock: the clock of n2 is 9 s behind this one",
    ),
    (
        "a service",
        |m, _| m.host.at_boot = vec!["the service x starts it: systemctl disable x".into()],
        "FAIL service-at-boot: the service x starts it",
    ),
    (
        "logind",
        |m, _| {
            m.host.ipc = Known::Known(Ipc { user: "pg".into(), system_user: false, remove: None });
        },
        "FAIL remove-ipc: RemoveIPC is not set, and yes by default",
    ),
    (
        "no pg_rewind",
        |m, _| m.host.programs = vec!["/x/pg_rewind is missing".into()],
        "FAIL programs: /x/pg_rewind is missing",
    ),
    (
        "a mode",
        |m, _| {
            m.host.modes =
                Known::Known(vec![("/d has the mode 0755".into(), "chmod 0700 /d".into())]);
        },
        "FAIL permissions: /d has the mode 0755",
    ),
    (
        "two_node with three",
        |m, _| corosync(m).two_node = true,
        "FAIL corosync: and there are 3 nodes",
    ),
    (
        "no votequorum",
        |m, _| corosync(m).provider = None,
        "FAIL corosync: provider: corosync_votequorum",
    ),
    (
        "a node too few",
        |m, _| corosync(m).nodes = 2,
        "WARN corosync: the nodes that corosync.conf lists are 2",
    ),
    (
        "no corosync.conf",
        |m, _| m.host.corosync = Known::unknown("no such file"),
        "UNKNOWN corosync: could not be read",
    ),
    (
        "a large memory",
        |m, s| set_all(m, s, "shared_buffers", "1048576"),
        "WARN timeouts-size: to write all of shared_buffers (8192 MB) at a shutdown can take 273 s",
    ),
];
