//! `pgtwin doctor` on real servers: defects planted one by one, each named.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgtwin::agent::examine;
use pgtwin::cluster::cib::Cib;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::node::NodeName;
use pgtwin::decide::doctor::{self, Facts, Here, Login, Member, Shell, Verdict};
use pgtwin::ocf::params::Params;
use pgtwin::runtime::Shutdown;
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::System;

use crate::place::{
    Place, await_primary, await_process, await_standby, on_every_version, soon, sql,
    started_primary, value,
};

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn members() -> BTreeSet<NodeName> {
    ["n1", "n2"].map(node).into()
}

/// The parameters of a resource whose members have these addresses.
fn params(place: &Place, name: &str, port: u16, addresses: [&str; 2]) -> Params {
    let addresses = [("n1", addresses[0]), ("n2", addresses[1])];
    Params {
        node_list: Some(members().into_iter().collect()),
        node_addresses: addresses.map(|(name, at)| (node(name), at.to_owned())).into(),
        repuser: Some("replicator".into()),
        pgpassfile: Some(place.path("passfile").display().to_string()),
        ..place.params(name, port)
    }
}

fn look(place: &Place, params: &Params, me: &str) -> Member {
    let pg = Postgres::new(&System, params, place.path("doctor.log")).unwrap();
    let own: [PathBuf; 0] = [];
    examine::member(&pg, params, &node(me), &members(), &own)
}

/// What is not well, as `VERDICT check: words`, one a line.
fn said(params: &Params, member: Member) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quick-start/crmsh.cib.xml");
    let facts = Facts {
        resource: "db".into(),
        params: params.clone(),
        problems: Vec::new(),
        members: members(),
        cib: Cib::parse(&fs::read_to_string(path).unwrap()).unwrap(),
        status: Known::unknown("there is no cluster here"),
        now: 1_795_670_000,
        shell: Shell::Crmsh,
        here: Here::Member(Box::new(member)),
    };
    let findings = doctor::examine(&facts, &[]).findings;
    let bad = findings.iter().filter(|finding| finding.verdict > Verdict::Ok);
    let line =
        |one: &doctor::Finding| format!("{} {}: {}", one.verdict.name(), one.check, one.words);
    bad.map(line).collect::<Vec<_>>().join("\n")
}

fn has(said: &str, expected: &str) {
    let (head, words) = expected.split_once(": ").unwrap();
    let found =
        said.lines().any(|line| line.starts_with(&format!("{head}: ")) && line.contains(words));
    assert!(found, "no {expected:?} in\n{said}");
}

fn has_not(said: &str, check: &str) {
    assert!(!said.contains(&format!(" {check}: ")), "{check}:\n{said}");
}

fn passfile(place: &Place, text: &str, mode: u32) {
    place.write(&place.path("passfile"), text, mode);
}

fn stop(pg: &Postgres<'_>) {
    pg.runtime().signal(Shutdown::Fast).unwrap();
    await_process(pg, |process| *process == pgtwin::decide::facts::Process::None);
}

fn restart(pg: &Postgres<'_>) {
    stop(pg);
    pg.start(&soon()).unwrap();
    await_primary(pg);
}

/// Reloads, and waits until a session sees this.
fn reload(pg: &Postgres<'_>, name: &str, value: &str) {
    pg.reload().unwrap();
    pg.await_setting(name, value, &soon()).unwrap();
}

const FAR: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

#[test]
fn what_a_running_server_has_wrong_is_named_and_not_any_more_when_it_is_mended() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        passfile(place, "*:*:*:replicator:x\n", 0o600);
        let params = params(place, "n1", port, FAR);
        let look = || said(&params, look(place, &params, "n1"));
        let first = look();
        for expected in [
            "FAIL durability: fsync is off",
            "FAIL listen-addresses: listen_addresses here is '127.0.0.1'",
            "FAIL role: there is no role replicator",
            "FAIL hba: keeps out n2 (192.0.2.2) for replication: no line; n2 (192.0.2.2) for",
            "UNKNOWN logins: n2 could not be asked at 192.0.2.2",
            "UNKNOWN settings-size: what n2 has is not known",
            "WARN slots: standbys have no slot here: ha_slot_n2",
            "FAIL addresses: n1 is 192.0.2.1 here, and this machine has no such address",
        ] {
            has(&first, expected);
        }
        for check in [
            "rewind",
            "wal-level",
            "configuration-files",
            "own-settings",
            "permissions",
            "passfile",
            "programs",
            "old-copies",
            "synchronous-commit",
            "slots-wal",
            "versions",
        ] {
            has_not(&first, check);
        }

        // The role, step by step.
        sql(&n1, "CREATE ROLE replicator NOLOGIN VALID UNTIL '2020-01-01' CONNECTION LIMIT 1");
        let role = look();
        for words in [
            "may not log in",
            "may not replicate",
            "has expired",
            "may have 1 connections",
            "what pg_rewind does",
        ] {
            assert!(role.contains(words), "{words}: {role}");
        }
        sql(
            &n1,
            "SET password_encryption = 'scram-sha-256'; \
             ALTER ROLE replicator LOGIN REPLICATION PASSWORD 'x' VALID UNTIL 'infinity' \
             CONNECTION LIMIT -1",
        );
        for grant in pgtwin::postgres::copy_tools::REWIND_GRANTS {
            sql(&n1, &format!("GRANT {grant} TO replicator"));
        }

        // Settings that a reload brings.
        for statement in [
            "ALTER SYSTEM SET synchronous_commit = 'local'",
            "ALTER SYSTEM SET restart_after_crash = on",
            "ALTER SYSTEM SET wal_sender_timeout = 0",
            "ALTER SYSTEM SET max_connections = 50",
        ] {
            sql(&n1, statement);
        }
        sql(&n1, "CREATE ROLE app; ALTER ROLE app SET synchronous_commit = off");
        sql(&n1, "SELECT pg_create_physical_replication_slot('old', true)");
        let hba = place.path("n1").join("pg_hba.conf");
        place.append(&hba, "host replication,postgres replicator 192.0.2.0/24 scram-sha-256\n");
        let conf = place.path("n1").join("postgresql.conf");
        let before = fs::read_to_string(&conf).unwrap();
        place.append(&conf, "primary_conninfo = 'host=elsewhere'\n");
        reload(&n1, "wal_sender_timeout", "0");
        let second = look();
        for expected in [
            "FAIL synchronous-commit: synchronous_commit is local",
            "WARN synchronous-commit: synchronous_commit is off for role app",
            "WARN restart-after-crash: behind the cluster's back",
            "WARN sender-timeout: wal_sender_timeout is 0",
            "WARN configuration-files: a restart is waited for by max_connections",
            "WARN slots-wal: nobody uses the slot old",
            "WARN own-settings: primary_conninfo is set in",
        ] {
            has(&second, expected);
        }
        has_not(&second, "role");
        has_not(&second, "hba");

        // A line that the next start fails over, and one in pg_hba.conf.
        place.append(&conf, "nonsense_setting = 3\n");
        place.append(&hba, "host all all 10.0.0.0/99 md5\n");
        let broken = look();
        has(&broken, "FAIL configuration-files: (nonsense_setting)");
        has(&broken, "FAIL hba: pg_hba.conf cannot be read");

        // All of it mended, as the remedies say.
        place.write(&conf, &before.replace("fsync = off", "fsync = on"), 0o600);
        let lines = fs::read_to_string(&hba).unwrap().replace("host all all 10.0.0.0/99 md5\n", "");
        place.write(&hba, &lines, 0o600);
        sql(&n1, "ALTER SYSTEM RESET ALL");
        sql(&n1, "DROP ROLE app");
        sql(&n1, "SELECT pg_drop_replication_slot('old')");
        sql(&n1, "SELECT pg_create_physical_replication_slot('ha_slot_n2')");
        reload(&n1, "fsync", "on");
        let last = look();
        for check in [
            "durability",
            "role",
            "hba",
            "synchronous-commit",
            "restart-after-crash",
            "sender-timeout",
            "configuration-files",
            "slots",
            "slots-wal",
            "own-settings",
        ] {
            has_not(&last, check);
        }
    });
}

#[test]
fn what_a_start_brings_is_named() {
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let params = params(place, "n1", port, FAR);
        for statement in [
            "ALTER SYSTEM SET archive_mode = on",
            "ALTER SYSTEM SET archive_command = ''",
            "ALTER SYSTEM SET wal_level = logical",
            "ALTER SYSTEM SET max_replication_slots = 1",
            "ALTER SYSTEM SET recovery_target_time = '2020-01-01'",
        ] {
            sql(&n1, statement);
        }
        restart(&n1);
        sql(&n1, "SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
        let first = said(&params, look(place, &params, "n1"));
        for expected in [
            "FAIL archiving: nothing archives",
            "FAIL recovery-target: recovery_target_time is '2020-01-01",
            "FAIL slots: max_replication_slots is 1",
            "WARN logical-slots: a failover loses the logical slots sub",
        ] {
            has(&first, expected);
        }
        sql(&n1, "ALTER SYSTEM SET archive_command = '/bin/false'");
        reload(&n1, "archive_command", "/bin/false");
        sql(&n1, "CREATE TABLE public.t (); SELECT pg_switch_wal()");
        poll_until(&soon(), Duration::from_millis(50), || {
            (value(&n1, "SELECT failed_count FROM pg_stat_archiver") != "0").then_some(())
        })
        .unwrap();
        has(&said(&params, look(place, &params, "n1")), "FAIL archiving: WAL is not archived");

        sql(&n1, "SELECT pg_drop_replication_slot('sub')");
        for statement in [
            "ALTER SYSTEM RESET ALL",
            "ALTER SYSTEM SET archive_mode = off",
            "ALTER SYSTEM SET wal_level = minimal",
            "ALTER SYSTEM SET max_wal_senders = 0",
            "ALTER SYSTEM SET hot_standby = off",
        ] {
            sql(&n1, statement);
        }
        restart(&n1);
        let second = said(&params, look(place, &params, "n1"));
        for expected in [
            "FAIL wal-level: wal_level is minimal",
            "FAIL wal-senders: max_wal_senders is 0",
            "FAIL hot-standby: hot_standby is off",
        ] {
            has(&second, expected);
        }
        for check in ["archiving", "recovery-target", "logical-slots"] {
            has_not(&second, check);
        }

        // Not asked: nothing that it would have to say is well.
        stop(&n1);
        let third = said(&params, look(place, &params, "n1"));
        for check in ["wal-level", "hba", "role", "slots", "durability"] {
            has(&third, &format!("UNKNOWN {check}: PostgreSQL on n1 was not asked"));
        }
    });
}

#[test]
fn what_is_wrong_with_the_files_of_a_node_is_named() {
    if crate::engine::not_in_a_container("programs are in the image") {
        return;
    }
    on_every_version(|place| {
        let (n1, port) = started_primary(place, "n1");
        let params = params(place, "n1", port, FAR);
        let say = |params: &Params| said(params, look(place, params, "n1"));
        has(&say(&params), "FAIL passfile: is missing");
        passfile(place, "*:*:*:replicator:x\n", 0o644);
        has(&say(&params), "FAIL passfile: has mode 0644");
        passfile(place, "*:*:*:replicator:pass:word\n192.0.2.9:*:*:other:x\n", 0o600);
        let odd = say(&params);
        has(&odd, "WARN passfile: has a password that is cut at a colon");
        assert!(!odd.contains("pass:word"), "{odd}");
        passfile(place, "192.0.2.9:*:*:other:x\n", 0o600);
        has(&say(&params), "WARN passfile: has not all lines for n2");

        let data = place.path("n1");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let backup = place.path("n1.backup.20261120-120000");
        fs::create_dir(&backup).unwrap();
        fs::write(backup.join("PG_VERSION"), "15\n").unwrap();
        chown(&backup, Some(place.user.uid), Some(place.user.gid)).unwrap();
        let files = say(&params);
        has(&files, "FAIL permissions: has the mode 0755");
        has(&files, "WARN old-copies: an old copy of the data takes");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(&backup).unwrap();
        let mended = say(&params);
        has_not(&mended, "permissions");
        has_not(&mended, "old-copies");

        // A directory of programs without one of them.
        let bindir = place.path("bin");
        fs::create_dir(&bindir).unwrap();
        for entry in fs::read_dir(&place.bindir).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("pg_rewind") {
                symlink(&path, bindir.join(path.file_name().unwrap())).unwrap();
            }
        }
        let few = Params { pg_bindir: Some(bindir.display().to_string()), ..params.clone() };
        has(&say(&few), "FAIL programs: pg_rewind is missing");
        has_not(&mended, "programs");
        stop(&n1);
    });
}

/// n1 and its standby n2, which share a port on two addresses of this machine.
fn pair(place: &Place) -> (Postgres<'static>, Postgres<'static>, u16) {
    let (n1, port) = started_primary(place, "n1");
    sql(&n1, "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'x'");
    let hba = place.path("n1").join("pg_hba.conf");
    let lines = "host replication,postgres replicator 127.0.0.0/8 scram-sha-256\n";
    let old = fs::read_to_string(&hba).unwrap();
    place.write(&hba, &(lines.to_owned() + &old), 0o600);
    n1.reload().unwrap();
    let (_, _) = place.basebackup(port, "n2");
    let socket = place.path("socket");
    fs::create_dir(&socket).unwrap();
    chown(&socket, Some(place.user.uid), Some(place.user.gid)).unwrap();
    place.append(
        &place.path("n2").join("postgresql.conf"),
        &format!(
            "listen_addresses = '127.0.0.2'\nunix_socket_directories = '{}'\n\
             recovery_min_apply_delay = '5min'\nmax_connections = 120\n\
             max_slot_wal_keep_size = '1GB'\n",
            socket.display()
        ),
    );
    let n2 = place.instance("n2", port);
    n2.start(&soon()).unwrap();
    (n1, n2, port)
}

#[test]
fn the_others_are_asked_both_ways_for_what_has_to_be_equal() {
    const NEAR: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
    if crate::engine::not_in_a_container("two servers would share a socket") {
        return;
    }
    on_every_version(|place| {
        let (_n1, n2, port) = pair(place);
        await_standby(&n2, |_| true);
        let params = params(place, "n1", port, NEAR);
        passfile(place, "*:*:*:replicator:wrong\n", 0o600);
        let kept_out = said(&params, look(place, &params, "n1"));
        has(&kept_out, "FAIL logins: n2 does not let this node in for replication: ");
        has(&kept_out, "FAIL logins: n2 does not let this node in for postgres: ");
        has(&kept_out, "UNKNOWN delays: what n2 has is not known");

        passfile(place, "*:*:*:replicator:x\n", 0o600);
        let member = look(place, &params, "n1");
        let n2_peer = &member.peers[&node("n2")];
        assert_eq!(n2_peer.replication, Login::In(()));
        let Login::In(remote) = &n2_peer.postgres else { panic!("{n2_peer:?}") };
        assert!(!remote.primary);
        assert_eq!(remote.version.major, place.major);
        let (ahead, within) = remote.clock;
        assert!(
            ahead.unsigned_abs() <= within + 1000,
            "one machine has one clock: {ahead} {within}"
        );
        let all = said(&params, member);
        for check in ["logins", "clock", "versions", "passfile"] {
            has_not(&all, check);
        }
        for expected in [
            "WARN delays: n2 replays with a delay",
            "WARN settings-size: max_connections is 100 on n1 and 120 on n2: n1 cannot be a standby",
            "WARN settings-equal: max_slot_wal_keep_size is -1 here and 1024 on n2",
        ] {
            has(&all, expected);
        }
        // Its address leads to this machine.
        has(&all, "FAIL addresses: n2 is 127.0.0.2 here, which is this machine itself");
        stop(&n2);
        has(&said(&params, look(place, &params, "n1")), "UNKNOWN logins: nobody listens there");
    });
}
