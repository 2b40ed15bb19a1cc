//! `pgtwin validate-pghba`, on a primary and on a standby.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use pgtwin::cluster::known::Known;
use pgtwin::decide::facts::StandbyFacts;
use pgtwin::decide::pghba::{Role, Secret};
use pgtwin::sys::exec::{Cmd, Exec, System};

use crate::command::{Node, PEER, host_name};
use crate::place::{await_standby, on_every_version, soon, sql};

#[test]
fn what_is_missing_is_shown_and_gone_once_its_lines_are_added() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let said = node.validate().expect(
            1,
            &[
                "n2 127.0.0.2 ✗ no line ✗ no line",
                "n3 ::1 ✗ no line ✗ no line",
                "Add at the end of",
                "pg_hba.conf, and reload (or: pgtwin fix-pghba):",
                "host replication,postgres repl 127.0.0.2/32 scram-sha-256",
            ],
        );
        assert!(said.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains('/')));
        let json = node.run("validate-pghba", &["--json"]).expect(1, &[]).json();
        assert_eq!((json["version"].as_u64(), json["ok"].as_bool()), (Some(1), Some(false)));
        assert_eq!(json["role"], "primary");
        assert_eq!(json["file"], node.hba().display().to_string());
        let n2 = json["members"].as_array().unwrap().iter().find(|m| m["node"] == "n2").unwrap();
        assert_eq!(
            (&n2["address"], &n2["replication"]["access"]),
            (&"127.0.0.2".into(), &"no".into())
        );
        let add: Vec<&str> =
            json["add"].as_array().unwrap().iter().filter_map(|l| l.as_str()).collect();
        assert_eq!((add.len(), &json["before"]), (3, &serde_json::Value::Null));
        node.write_hba(&(PEER.to_owned() + &add.join("\n") + "\n"));
        let said = node.validate().expect(0, &["Nothing is missing that a failover needs"]);
        assert!(said.stdout.contains("✓ line 3") && !said.stdout.contains("Add"), "{said:?}");
        let json = node.run("validate-pghba", &["--json"]).expect(0, &[]).json();
        assert_eq!(json["members"][1]["pg_rewind"]["method"], "scram-sha-256");
        assert_eq!(node.comes_in("127.0.0.2"), [true, true]);
        assert_eq!(node.comes_in("127.0.0.3"), [false, false]);
    });
}

#[test]
fn the_first_line_that_fits_counts_and_what_postgresql_cannot_read_is_named() {
    on_every_version(|place| {
        let lets_in = "host replication,postgres repl all scram-sha-256\n";
        let reject = "host all,replication +repl 127.0.0.2/32 reject\n";
        let node = Node::new(place, &format!("{PEER}{reject}{lets_in}"));
        node.validate().expect(
            1,
            &[
                "n2 127.0.0.2 ✗ line 3 ✗ line 3",
                "n3 ::1 ✓ line 4",
                "line 3 rejects it",
                "Add before line 3",
            ],
        );
        node.write_hba(&format!("{PEER}{lets_in}{reject}"));
        node.validate().expect(0, &[]);
        // Written, and not loaded: PostgreSQL would refuse to.
        let broken = format!("{PEER}{lets_in}host all all 999.0.0.1/8 md5\n");
        place.write(&node.hba(), &broken, 0o600);
        let json = node.run("validate-pghba", &["--json"]).expect(1, &[]).json();
        assert_eq!(
            (&json["errors"][0]["line"], json["errors"].as_array().unwrap().len()),
            (&4.into(), 1)
        );
        node.validate().expect(1, &["pg_hba.conf, line 4: ", "999.0.0.1"]);
        // What only has no effect is no error.
        node.write_hba(&format!("{PEER}hostssl all all all md5\n{lets_in}"));
        node.validate().expect(0, &["line 3 has no effect: hostssl record cannot match"]);
    });
}

#[test]
fn what_the_role_lacks_is_found_whatever_the_lines_say() {
    on_every_version(|place| {
        let node =
            Node::new(place, &format!("{PEER}host replication,postgres repl all scram-sha-256\n"));
        node.validate().expect(0, &[]);
        let role = |user: &str| match node.pg.hba_facts(user, &BTreeSet::new(), &soon()) {
            Known::Known(facts) => (facts.role, facts.around.groups.known().unwrap()),
            Known::Unknown(why) => panic!("{why}"),
        };
        let well =
            Role::There { login: true, replication: true, secret: Secret::Scram, expired: false };
        assert_eq!(role("repl"), (well, BTreeSet::from(["repl".to_owned()])));
        assert_eq!(role("nobody'"), (Role::Missing, BTreeSet::new()));
        // A superuser replicates without more, and is a member of no group.
        sql(&node.pg, "CREATE ROLE sup SUPERUSER; CREATE ROLE g; GRANT g TO repl");
        let (found, groups) = role("sup");
        assert!(matches!(
            found,
            Role::There { login: false, replication: true, secret: Secret::None, .. }
        ));
        assert_eq!(groups, BTreeSet::from(["sup".to_owned()]));
        assert!(role("repl").1.contains("g"));
        for (statement, words, back) in [
            ("ALTER ROLE repl NOLOGIN", "ALTER ROLE repl LOGIN", "ALTER ROLE repl LOGIN"),
            (
                "ALTER ROLE repl NOREPLICATION",
                "ALTER ROLE repl REPLICATION",
                "ALTER ROLE repl REPLICATION",
            ),
            (
                "ALTER ROLE repl VALID UNTIL '2001-01-01'",
                "has expired",
                "ALTER ROLE repl VALID UNTIL 'infinity'",
            ),
            (
                "ALTER ROLE repl PASSWORD NULL",
                "has no password",
                "ALTER ROLE repl PASSWORD 'right'",
            ),
            (
                "SET password_encryption = 'md5'; ALTER ROLE repl PASSWORD 'right'",
                "stored as md5",
                "SET password_encryption = 'scram-sha-256'; ALTER ROLE repl PASSWORD 'right'",
            ),
            (
                "DROP ROLE repl",
                "the role repl does not exist",
                "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'right'",
            ),
        ] {
            sql(&node.pg, statement);
            let said = node.validate().expect(1, &[words]);
            assert!(!said.stdout.contains("right"), "{said:?}");
            sql(&node.pg, back);
            // 13 stores md5 unless it is told otherwise.
            sql(
                &node.pg,
                "SET password_encryption = 'scram-sha-256'; ALTER ROLE repl PASSWORD 'right'",
            );
            node.validate().expect(0, &[]);
        }
    });
}

#[test]
fn a_standby_tries_both_logins_at_its_primary_and_looks_at_its_own_file() {
    on_every_version(|place| {
        let rules = "host replication,postgres repl 127.0.0.1/32 scram-sha-256\n";
        let node = Node::new(place, &format!("{PEER}{rules}"));
        let (n2, port) = place.basebackup(node.port, "n2");
        let passfile = place.path("passfile");
        place.write(&passfile, "*:*:*:repl:right\n", 0o600);
        let conninfo = format!(
            "host=127.0.0.1 port={} user=repl passfile={} application_name=n2",
            node.port,
            passfile.display()
        );
        n2.set_auto_conf(&[("primary_conninfo", Some(&conninfo))]).unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        let more = vec![
            format!("pgpassfile={}", passfile.display()),
            format!("node_addresses=n9=127.0.0.1 {}=127.0.0.2 n3=::1", host_name()),
            format!("node_list=n9 {} n3", host_name()),
        ];
        let standby = Node { place, pg: n2, name: "n2", port, user: Some("repl"), more };
        let said = standby.validate().expect(
            1,
            &[
                "This node's logins at n9 (127.0.0.1 port",
                "✓ replication it came in ✓ pg_rewind it came in",
                "(standby), once it is the primary as repl",
                "n9 127.0.0.1 ✓ line 3 ✓ line 3",
                "n3 ::1 ✗ no line ✗ no line",
            ],
        );
        assert!(!said.stdout.contains("fix-pghba") && !said.stdout.contains("right"), "{said:?}");
        standby.write_hba(&format!("{PEER}{rules}host all,replication repl all md5\n"));
        let json = standby.run("validate-pghba", &["--json"]).expect(0, &[]).json();
        assert_eq!((&json["role"], &json["primary"]["node"]), (&"standby".into(), &"n9".into()));
        assert_eq!(json["primary"]["pg_rewind"]["access"], "yes");
        // What the primary refuses is told with the line that it lacks.
        node.write_hba(&format!("{PEER}host replication repl 127.0.0.1/32 scram-sha-256\n"));
        standby.validate().expect(
            1,
            &[
                "✗ pg_rewind pg_hba.conf on n9 has no line for postgres",
                "host postgres repl 127.0.0.1/32",
            ],
        );
        node.write_hba(&format!("{PEER}{rules}"));
        place.write(&passfile, "*:*:*:repl:wrong\n", 0o600);
        standby.validate().expect(1, &["n9 refuses the password of repl for replication"]);
        node.pg.stop(&soon()).unwrap();
        standby.validate().expect(1, &["? replication nobody listens at 127.0.0.1"]);
        // What is not allowed on a standby changes nothing.
        let before = standby.read_hba();
        standby.fix().expect(1, &["is a standby: run it there"]);
        assert_eq!(standby.read_hba(), before);
    });
}

#[test]
fn where_tls_is_on_the_lines_ask_for_it() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let file = |end: &str| place.path(&format!("server.{end}")).display().to_string();
        let make = Cmd::new("openssl")
            .args(["req", "-new", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"])
            .args(["-subj", "/CN=n1", "-keyout", &file("key"), "-out", &file("crt")])
            .user(&place.user.name);
        assert!(System.run(&make).unwrap().ok());
        for (name, value) in [("ssl_cert_file", file("crt")), ("ssl_key_file", file("key"))] {
            node.pg.set_auto_conf(&[(name, Some(&value))]).unwrap();
        }
        node.pg.set_auto_conf(&[("ssl", Some("on"))]).unwrap();
        node.pg.reload_and_see(&soon()).unwrap();
        node.validate()
            .expect(1, &["hostssl replication,postgres repl 127.0.0.2/32 scram-sha-256"]);
        node.fix().expect(0, &[]);
        assert!(node.read_hba().contains("hostssl  replication,postgres  repl  ::1/128"));
        assert_eq!(node.comes_in("127.0.0.2"), [true, true]);
    });
}

#[test]
fn a_server_that_does_not_run_is_no_answer() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        node.pg.stop(&soon()).unwrap();
        for word in ["validate-pghba", "fix-pghba"] {
            let said =
                node.run(word, &["--json", "--yes"][..if word == "fix-pghba" { 2 } else { 1 }]);
            let said = said.expect(1, &["cannot be asked: it does not run"]);
            assert_eq!(said.stdout, "", "{word}");
        }
    });
}

#[test]
fn the_action_of_the_agent_has_its_own_codes_and_the_lines_as_its_reason() {
    on_every_version(|place| {
        let node = Node::new(place, PEER);
        let me = host_name();
        let call = |members: &str| {
            let params = [
                ("pgdata", place.path("n1").display().to_string()),
                ("pgport", node.port.to_string()),
                ("pguser", place.user.name.clone()),
                ("pg_bindir", place.bindir.display().to_string()),
                ("repuser", "repl".to_owned()),
                ("node_list", members.to_owned()),
                ("node_addresses", format!("{me}=127.0.0.1 n2=127.0.0.2")),
            ];
            let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
            command.arg("validate-pghba").env_clear().env("PATH", "/usr/bin:/bin");
            command.env("OCF_RESOURCE_INSTANCE", "pgtwin-test-hba").stdin(Stdio::null());
            let known =
                params.iter().filter(|(name, _)| !members.is_empty() || !name.contains("node"));
            for (name, value) in known {
                command.env(format!("OCF_RESKEY_{name}"), value);
            }
            let output = command.output().unwrap();
            let all = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(all).unwrap())
        };
        let both = format!("{me} n2");
        let (code, said) = call(&both);
        assert_eq!(code, Some(190), "{said}");
        let reason = "ocf-exit-reason:pg_hba.conf lacks: host  replication,postgres  repl  ";
        assert!(
            said.contains(reason) && said.contains("n2 (127.0.0.2) for postgres: no line"),
            "{said}"
        );
        node.write_hba(&format!("{PEER}host replication,postgres repl 127.0.0.0/8 md5\n"));
        let (code, said) = call(&both);
        assert!(code == Some(0) && said.contains("lets repl in from every member"), "{said}");
        let (code, said) = call("");
        assert!(code == Some(1) && said.contains("no other member is known"), "{said}");
        node.pg.stop(&soon()).unwrap();
        assert_eq!(call(&both).0, Some(1));
        for dir in ["/run/pgtwin/pgtwin-test-hba", "/var/lib/pgtwin/pgtwin-test-hba"] {
            let _ = std::fs::remove_dir_all(dir);
        }
    });
}
