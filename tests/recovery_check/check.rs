//! The check, with one obstacle at a time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use pgtwin::decide::recovery_check::Kind;
use pgtwin::decide::source::Login;
use pgtwin::sys::exec::{Cmd, Exec, System};

use crate::pair::{GRANT, Pair, SLOT, Small};
use crate::place::{
    await_primary, await_standby, on_every_version, on_host, signal, soon, sql, value,
};

/// The line of pg_hba.conf in a remedy.
fn line_of(remedy: &str) -> &str {
    remedy.split_once("reload: ").expect(remedy).1
}

#[test]
fn a_line_that_is_missing_in_pg_hba_is_named_and_mends_it() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        pair.await_finding(&[]);
        // A role with the least rights is asked for nothing that it may not do.
        let log = fs::read_to_string(place.path("n1.start.log")).unwrap();
        assert!(!log.contains("ERROR:  "), "{log}");
        let file = place.path("n1").join("pg_hba.conf");
        for login in [Login::Replication, Login::Postgres] {
            pair.hba_without(login.database());
            pair.mended(Kind::NotLetIn(login), |remedy| {
                let expected =
                    format!("host  {}  replicator  127.0.0.1/32  scram-sha-256", login.database());
                assert_eq!(line_of(remedy), expected);
                place.append(&file, &format!("{expected}\n"));
                pair.n1.reload().unwrap();
            });
            let refused = fs::read_to_string(&file).unwrap();
            let reject = format!("host {} all all reject\n{refused}", login.database());
            pair.hba(&reject);
            pair.mended(Kind::NotLetIn(login), |remedy| {
                pair.hba(&format!("{}\n{reject}", line_of(remedy)));
            });
        }
        // Where the server asks for no password, no passfile is needed.
        fs::remove_file(pair.passfile()).unwrap();
        pair.await_finding(&[Kind::NotLetIn(Login::Replication), Kind::NotLetIn(Login::Postgres)]);
        pair.hba("local all all peer\nhost replication,postgres all 127.0.0.1/32 trust\n");
        pair.await_finding(&[]);
    });
}

#[test]
fn a_password_that_is_refused_or_missing_is_explained_by_the_passfile() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        let both = [Kind::NotLetIn(Login::Replication), Kind::NotLetIn(Login::Postgres)];
        let file = pair.passfile();
        let text = fs::read_to_string(&file).unwrap();
        let says = |words: &str| {
            let found = pair.await_finding(&both);
            assert!(found[0].to_string().contains(words), "{words}: {}", found[0]);
        };
        pair.password("wrong");
        says(&format!("correct line 1 of {}", file.display()));
        pair.password("right");
        pair.await_finding(&[]);
        // One line, for one of the two logins.
        let (replication, postgres) = text.split_once('\n').unwrap();
        place.write(&file, replication, 0o600);
        pair.mended(Kind::NotLetIn(Login::Postgres), |remedy| {
            let wanted = remedy.strip_prefix("add: ").expect(remedy);
            assert_eq!(wanted.replace("PASSWORD", "right"), postgres.trim_end());
            place.write(&file, &text, 0o600);
        });
        for mode in [0o640, 0o604] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            says(&format!(
                "mode {mode:04o}, so libpq passes over it: chmod 0600 {}",
                file.display()
            ));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        pair.await_finding(&[]);
        if geteuid().is_root() {
            chown(&file, Some(0), Some(0)).unwrap();
            says(&format!("chown {} {}", place.user.name, file.display()));
            chown(&file, Some(place.user.uid), Some(place.user.gid)).unwrap();
            pair.await_finding(&[]);
        }
        // libpq follows a link, and opens nothing that is no file.
        let real = place.path("real");
        fs::rename(&file, &real).unwrap();
        says("is missing: make it, mode 0600");
        std::os::unix::fs::symlink(&real, &file).unwrap();
        pair.await_finding(&[]);
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        says("cannot be read by");
    });
}

#[test]
fn a_role_that_lacks_something_gets_it_by_the_statement_in_the_remedy() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        let both = [Kind::NotLetIn(Login::Replication), Kind::NotLetIn(Login::Postgres)];
        let mend = |remedy: &str| pair.type_on_n1(remedy);
        sql(&pair.n1, "ALTER ROLE replicator NOREPLICATION");
        pair.mended(Kind::NotLetIn(Login::Replication), mend);
        sql(&pair.n1, "ALTER ROLE replicator NOLOGIN");
        let found = pair.await_finding(&both);
        pair.type_on_n1(&found[0].advice.remedy);
        pair.await_finding(&[]);
        sql(&pair.n1, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
        pair.mended(Kind::NotLetIn(Login::Postgres), mend);
        sql(&pair.n1, &GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM "));
        pair.mended(Kind::NotExecutable, |remedy| {
            assert!(remedy.ends_with(GRANT), "{remedy}");
            sql(&pair.n1, GRANT);
        });
        sql(&pair.n1, "REVOKE EXECUTE ON FUNCTION pg_stat_file(text,boolean) FROM replicator");
        pair.mended(Kind::NotExecutable, |remedy| {
            let (_, grant) = remedy.split_once("postgres: ").unwrap();
            assert!(!grant.contains("pg_ls_dir"), "{grant}");
            sql(&pair.n1, grant);
        });
        // A superuser may do all of it.
        sql(&pair.n1, &GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM "));
        sql(&pair.n1, "ALTER ROLE replicator SUPERUSER");
        pair.await_finding(&[]);
        sql(&pair.n1, "ALTER ROLE replicator NOSUPERUSER");
        sql(&pair.n1, GRANT);
        // A database that nobody else may connect to has a size that the role may not know.
        sql(&pair.n1, "CREATE DATABASE closed");
        sql(&pair.n1, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
        let found = pair.await_finding(&[Kind::NotFoundOut]);
        let (_, grant) = found[0].advice.remedy.rsplit_once("on n1: ").unwrap();
        sql(&pair.n1, grant);
        pair.await_finding(&[]);
        // A server that asks for no password says that the role is not there.
        pair.hba("local all all peer\nhost replication,postgres all 127.0.0.1/32 trust\n");
        sql(&pair.n1, "REVOKE CONNECT ON DATABASE postgres FROM replicator");
        sql(&pair.n1, &GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM "));
        sql(&pair.n1, "DROP ROLE replicator");
        let found = pair.await_finding(&both);
        let (_, create) = found[0].advice.remedy.split_once("on n1: ").unwrap();
        sql(&pair.n1, create.split_once(", then").unwrap().0);
        sql(&pair.n1, "GRANT CONNECT ON DATABASE postgres, closed TO replicator");
        pair.await_finding(&[Kind::NotExecutable]);
    });
}

#[test]
fn a_slot_is_there_or_can_be_made_or_is_lost_or_taken() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        // Somebody streams by it: here n2 itself.
        pair.n2.start(&soon()).unwrap();
        await_standby(&pair.n2, pgtwin::decide::facts::StandbyFacts::streams);
        let found = pair.await_finding(&[Kind::SlotTaken]);
        assert!(found[0].advice.remedy.contains("wal_sender_timeout"), "{}", found[0]);
        pair.n2.stop(&soon()).unwrap();
        pair.await_finding(&[]);
        pair.set_on_n1("wal_keep_size", "0");
        pair.set_on_n1("max_slot_wal_keep_size", "1MB");
        sql(&pair.n1, "SELECT pg_create_physical_replication_slot('advanced', true)");
        pair.move_on();
        let found = pair.await_finding(&[Kind::SlotLost]);
        assert!(found[0].to_string().contains(SLOT), "{}", found[0]);
        let check = pair.check();
        assert!(check.against_rewind().is_some() && check.against_rebuild().is_none());
        sql(&pair.n1, &format!("SELECT pg_drop_replication_slot('{SLOT}')"));
        pair.await_finding(&[]);
        sql(&pair.n1, "SELECT pg_drop_replication_slot('advanced')");
        for number in 0..10 {
            sql(&pair.n1, &format!("SELECT pg_create_physical_replication_slot('s{number}')"));
        }
        pair.mended(Kind::NoSlotLeft, |remedy| {
            assert!(remedy.contains("max_replication_slots there (it is 10)"), "{remedy}");
            sql(&pair.n1, "SELECT pg_drop_replication_slot('s0')");
        });
        sql(&pair.n1, &format!("SELECT pg_create_physical_replication_slot('{SLOT}', true)"));
        pair.await_finding(&[]);
    });
}

#[test]
fn full_page_writes_walsenders_and_the_address_are_looked_at() {
    on_every_version(|place| {
        let mut pair = Pair::new(place);
        pair.set_on_n1("full_page_writes", "off");
        pair.mended(Kind::NoFullPages, |remedy| {
            let (_, statements) = remedy.split_once("on n1: ").unwrap();
            for statement in statements.split("; ") {
                sql(&pair.n1, statement);
            }
        });
        pair.n1.stop(&soon()).unwrap();
        let found = pair.await_finding(&[Kind::Silent]);
        assert!(found[0].to_string().contains("nobody listens at 127.0.0.1"), "{}", found[0]);
        pair.n1.set_auto_conf(&[("max_wal_senders", Some("1"))]).unwrap();
        pair.n1.start(&soon()).unwrap();
        await_primary(&pair.n1);
        let found = pair.await_finding(&[Kind::NoWalsenderLeft]);
        assert!(found[0].to_string().contains("max_wal_senders"), "{}", found[0]);
        assert!(pair.check().against_rewind().is_none());
        pair.peer.host = "no-such-node".into();
        let found = pair.await_finding(&[Kind::Silent]);
        assert!(found[0].to_string().contains("no-such-node"), "{}", found[0]);
    });
}

#[test]
fn a_source_is_the_primary_and_on_its_new_timeline_on_disk() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        // n3 is what n2 would be recovered from.
        let (n3, port) = place.basebackup(pair.peer.port, "n3");
        let hba = fs::read_to_string(place.path("n1").join("pg_hba.conf")).unwrap();
        place.write(&place.path("n3").join("pg_hba.conf"), &hba, 0o600);
        n3.start(&soon()).unwrap();
        await_standby(&n3, pgtwin::decide::facts::StandbyFacts::streams);
        let passfile = fs::read_to_string(pair.passfile()).unwrap();
        let more = passfile.replace(&format!(":{}:", pair.peer.port), &format!(":{port}:"));
        place.write(&pair.passfile(), &(passfile + &more), 0o600);
        let pair = Pair { peer: pgtwin::client::peer::Peer { port, ..pair.peer }, ..pair };
        pair.await_finding(&[Kind::InRecovery]);
        let checkpointer = "SELECT pid::text FROM pg_stat_activity \
             WHERE backend_type = 'checkpointer'";
        let checkpointer = on_host(&n3, value(&n3, checkpointer).parse().unwrap());
        signal(checkpointer, Signal::SIGSTOP);
        n3.promote().unwrap();
        await_primary(&n3);
        let found = pair.await_finding(&[Kind::CheckpointPending]);
        let check = pair.check();
        assert!(check.against_rewind().is_some() && check.against_rebuild().is_none());
        signal(checkpointer, Signal::SIGCONT);
        let (_, statement) = found[0].advice.remedy.split_once("on n1: ").unwrap();
        sql(&n3, statement);
        pair.await_finding(&[]);
    });
}

#[test]
fn the_logins_encrypt_as_primary_conninfo_says_and_go_to_an_ipv6_address() {
    on_every_version(|place| {
        let mut pair = Pair::new(place);
        for name in ["server", "other"] {
            let file = |end: &str| place.path(&format!("{name}.{end}")).display().to_string();
            let make = Cmd::new("openssl")
                .args(["req", "-new", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"])
                .args(["-subj", "/CN=n1", "-addext", "subjectAltName=IP:::1"])
                .args(["-keyout".into(), file("key"), "-out".into(), file("crt")])
                .user(&place.user.name);
            let output = System.run(&make).unwrap();
            assert!(output.ok(), "{output:?}");
            fs::set_permissions(file("key"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let file = |name: &str| place.path(name).display().to_string();
        pair.n1.stop(&soon()).unwrap();
        let settings = [
            ("listen_addresses", "127.0.0.1, ::1".to_owned()),
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", file("server.crt")),
            ("ssl_key_file", file("server.key")),
        ];
        for (name, value) in &settings {
            pair.n1.set_auto_conf(&[(name, Some(value))]).unwrap();
        }
        pair.n1.start(&soon()).unwrap();
        await_primary(&pair.n1);
        pair.hba("local all all peer\nhostssl replication,postgres all ::1/128 scram-sha-256\n");
        pair.peer.host = "::1".into();
        let line = |database| format!("\\:\\:1:{}:{database}:replicator:right\n", pair.peer.port);
        place.write(&pair.passfile(), &(line("replication") + &line("postgres")), 0o600);
        let encrypted = |pair: &mut Pair<'_>, mode: &str, root: &str| {
            let old = pair.n2.auto_conf_value("primary_conninfo").unwrap();
            let (kept, _) = old.split_once(" sslmode=").unwrap_or((&old, ""));
            let new = format!("{kept} sslmode={mode} sslrootcert={}", file(root));
            pair.n2.set_auto_conf(&[("primary_conninfo", Some(&new))]).unwrap();
            pair.peer.like = pair.n2.login_like();
        };
        let both = [Kind::NotLetIn(Login::Replication), Kind::NotLetIn(Login::Postgres)];
        encrypted(&mut pair, "verify-full", "server.crt");
        pair.await_finding(&[]);
        encrypted(&mut pair, "verify-full", "other.crt");
        let found = pair.await_finding(&both);
        assert!(found[0].to_string().contains("TLS with n1 fails"), "{}", found[0]);
        encrypted(&mut pair, "disable", "server.crt");
        let found = pair.await_finding(&both);
        let expected = "host  replication  replicator  ::1/128  scram-sha-256";
        assert_eq!(line_of(&found[0].advice.remedy), expected);
    });
}

#[test]
fn a_file_system_that_is_too_small_is_found_before_anything_is_copied() {
    if !geteuid().is_root() {
        eprintln!("not root: no file system can be mounted");
        return;
    }
    on_every_version(|place| {
        let pair = Pair::new(place);
        // Nothing but the size of this file system's data and one tablespace counts here.
        for (name, value) in [("max_wal_size", "64MB"), ("wal_keep_size", "0")] {
            pair.set_on_n1(name, value);
        }
        let spaces = place.path("spaces");
        let target = place.path("target");
        for dir in [&spaces, &target] {
            fs::create_dir(dir).unwrap();
            chown(dir, Some(place.user.uid), Some(place.user.gid)).unwrap();
        }
        let options = format!("size=100m,uid={},gid={}", place.user.uid, place.user.gid);
        let small = Small::mount(&target, &options);
        let empty = place.instance("target", pair.peer.port);
        let pair = Pair { n2: empty, ..pair };
        let found = pair.await_finding(&[Kind::NoData, Kind::TooFull, Kind::TooFull]);
        let full = found.iter().find(|found| found.to_string().contains("a rebuild needs"));
        assert!(full.unwrap().to_string().contains(&target.display().to_string()), "{found:?}");
        assert!(pair.check().against_rebuild().is_some());
        small.resize("2g");
        pair.await_finding(&[Kind::NoData]);
        // A tablespace lies on the other file system, and its size is not the role's to know. Both are on one
        // machine here: the primary's own files are in the way.
        sql(&pair.n1, &format!("CREATE TABLESPACE other LOCATION '{}'", spaces.display()));
        pair.await_finding(&[Kind::NoData, Kind::Place]);
        sql(&pair.n1, "GRANT pg_monitor TO replicator");
        pair.await_finding(&[Kind::NoData, Kind::Place]);
    });
}
