//! What the agent does of itself for slots, and warns of, on a real server in a cluster that is seen
//! through captured answers of Pacemaker's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use pgtwin::agent::view::View;
use pgtwin::agent::{Agent, uptime};
use pgtwin::client::ledger_file::Home;
use pgtwin::client::ledger_file::OwnFile;
use pgtwin::client::pacemaker::Pacemaker;
use pgtwin::cluster::cib::Cib;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Own, Store};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::position::Publication;
use pgtwin::cluster::topology::{ClusterStatus, Quorum};
use pgtwin::decide::facts::{DataDir, Instance, Process, Sql, StandbyFacts};
use pgtwin::decide::slots::PATIENCE;
use pgtwin::decide::start::Upstream;
use pgtwin::ocf::env::Env;
use pgtwin::ocf::exit_code::ExitCode;
use pgtwin::ocf::params::{FencingPolicy, Params};
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::System;

use crate::place::{
    Place, await_primary, await_standby, on_every_version, soon, sql, started_primary, value,
};

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// Three nodes, all there, with quorum.
fn view() -> View {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pacemaker/trixie");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    View {
        resource: "db".into(),
        policy: FencingPolicy::Required,
        status: ClusterStatus::parse(&read("healthy.crm_mon.xml")).unwrap(),
        cib: Cib::parse(&read("healthy.cib.xml")).unwrap(),
    }
}

/// The agent of a node whose ledger file is there and speaks of nobody.
fn agent(
    place: &Place,
    dir: &TempDir,
    me: &str,
    pg: Postgres<'static>,
    port: u16,
) -> Agent<'static> {
    let roots = ["state", "run"].map(|name| dir.path().join(name).display().to_string());
    let me = node(me);
    let mut home = Home::new(&roots[0], &roots[1], "db", &me);
    home.take_turn(std::time::Duration::ZERO).unwrap();
    home.write(&Own::new("db", &me)).unwrap();
    let vars = BTreeMap::from([("OCF_RESOURCE_INSTANCE".to_owned(), "db".to_owned())]);
    let addresses = [("n1", "192.0.2.1"), ("n2", "192.0.2.2"), ("n3", "192.0.2.3")];
    Agent {
        params: Params {
            node_list: Some(["n1", "n2", "n3"].map(node).into()),
            node_addresses: addresses.map(|(name, at)| (node(name), at.to_owned())).into(),
            ..place.params(me.as_str(), port)
        },
        env: Env::parse(&vars).unwrap(),
        resource: "db".into(),
        cache: home.cache(),
        me,
        standalone: false,
        deadline: soon(),
        exec: &System,
        pg,
        pacemaker: Pacemaker::new(&System, "db"),
        home,
    }
}

fn slots(agent: &Agent<'_>) -> Vec<String> {
    match agent.pg.look(&soon()).sql {
        Sql::Primary(facts) => facts.slots,
        Sql::Standby(facts) => facts.slots,
        other => panic!("{other:?}"),
    }
}

fn tend(agent: &mut Agent<'_>, view: &View) -> Vec<String> {
    let before = slots(agent);
    agent.tend_slots(view, &before);
    slots(agent)
}

/// What was nobody's has been so for as long as this machine runs.
fn long_ago(agent: &mut Agent<'_>) {
    for since in agent.cache.stray_slots.values_mut() {
        *since = 0;
    }
}

const MEMBERS: [&str; 2] = ["ha_slot_n2", "ha_slot_n3"];

#[test]
fn slots_of_members_are_made_and_those_of_nobody_go_on_a_primary_and_on_a_standby() {
    if uptime() < PATIENCE {
        eprintln!("not made: this machine has not run for long enough");
        return;
    }
    on_every_version(|place| {
        let dir = tempfile::tempdir().unwrap();
        let (n1, port) = started_primary(place, "n1");
        n1.ensure_slots(&["barman", "ha_slot", "ha_slot_n9"].map(str::to_owned)).unwrap();
        let mut n1 = agent(place, &dir, "n1", n1, port);
        let all = ["barman", "ha_slot", "ha_slot_n2", "ha_slot_n3", "ha_slot_n9"];
        assert_eq!(tend(&mut n1, &view()), all);
        assert_eq!(tend(&mut n1, &view()), all, "not at once");
        long_ago(&mut n1);
        let mut no_quorum = view();
        no_quorum.status.quorum = Quorum::Inquorate;
        assert_eq!(tend(&mut n1, &no_quorum), all, "not without quorum");
        assert_eq!(tend(&mut n1, &view()), [&["barman"], &MEMBERS[..]].concat());
        assert!(n1.cache.stray_slots.is_empty());

        // One that somebody streams by stays, whoever it is.
        let (n2, n2_port) = place.basebackup(port, "n2");
        n1.pg.ensure_slots(&["ha_slot_n9".to_owned()]).unwrap();
        n2.set_auto_conf(&[("primary_slot_name", Some("ha_slot_n9"))]).unwrap();
        n2.start(&soon()).unwrap();
        await_standby(&n2, StandbyFacts::streams);
        tend(&mut n1, &view());
        long_ago(&mut n1);
        assert!(tend(&mut n1, &view()).contains(&"ha_slot_n9".to_owned()));

        n2.ensure_slots(&["ha_slot_n2", "ha_slot_n9", "other"].map(str::to_owned)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut n2 = agent(place, &dir, "n2", n2, n2_port);
        tend(&mut n2, &view());
        long_ago(&mut n2);
        assert_eq!(tend(&mut n2, &view()), ["ha_slot_n1", "ha_slot_n3", "other"]);
        // Without its ledger file it does not know who may come back.
        n2.pg.ensure_slots(&["ha_slot_n9".to_owned()]).unwrap();
        tend(&mut n2, &view());
        long_ago(&mut n2);
        std::fs::remove_file(PathBuf::from(dir.path()).join("state/db/ledger")).unwrap();
        assert!(tend(&mut n2, &view()).contains(&"ha_slot_n9".to_owned()));
    });
}

#[test]
fn with_a_new_prefix_slots_keep_the_wal_of_the_old_ones_which_then_go() {
    if uptime() < PATIENCE {
        eprintln!("not made: this machine has not run for long enough");
        return;
    }
    on_every_version(|place| {
        let dir = tempfile::tempdir().unwrap();
        let (n1, port) = started_primary(place, "n1");
        let mut n1 = agent(place, &dir, "n1", n1, port);
        n1.pg.ensure_slots(&["ha_slot_tool".to_owned()]).unwrap();
        tend(&mut n1, &view());
        n1.cache.stray_slots.clear();
        let wal_of = |pg: &Postgres<'_>, slot: &str| {
            let of = format!("FROM pg_replication_slots WHERE slot_name = '{slot}'");
            value(pg, &format!("SELECT restart_lsn {of}"))
        };
        let kept = wal_of(&n1.pg, "ha_slot_n2");
        sql(&n1.pg, "SELECT pg_switch_wal()");
        sql(&n1.pg, "CHECKPOINT");

        "other".clone_into(&mut n1.params.slot_name);
        tend(&mut n1, &view());
        assert_eq!(wal_of(&n1.pg, "other_n2"), kept);
        assert!(n1.cache.stray_slots.is_empty(), "not before all have one of the new name");
        let both = tend(&mut n1, &view());
        assert_eq!(both.len(), 5, "{both:?}");
        long_ago(&mut n1);
        assert_eq!(tend(&mut n1, &view()), ["ha_slot_tool", "other_n2", "other_n3"]);
        tend(&mut n1, &view());
        assert!(n1.cache.stray_slots.is_empty(), "what another tool has made stays");
    });
}

#[test]
fn a_warning_is_there_for_as_long_as_it_holds_and_is_looked_for_now_and_then() {
    on_every_version(|place| {
        let dir = tempfile::tempdir().unwrap();
        let (n1, port) = started_primary(place, "n1");
        let mut n1 = agent(place, &dir, "n1", n1, port);
        let facts = await_primary(&n1.pg);
        let warned = |n1: &Agent<'_>| {
            n1.cache.warnings.values().flatten().cloned().collect::<Vec<_>>().join("\n")
        };
        n1.warn_as_primary(&facts);
        for words in [
            "listen_addresses here is '127.0.0.1'",
            "host  replication  replicator  192.0.2.2/32",
            "host  postgres  replicator  192.0.2.3/32",
            "standbys have no slot here: ha_slot_n2, ha_slot_n3",
        ] {
            assert!(warned(&n1).contains(words), "{words}: {}", warned(&n1));
        }
        n1.pg.ensure_slots(&MEMBERS.map(str::to_owned)).unwrap();
        n1.warn_as_primary(&facts);
        assert!(warned(&n1).contains("no slot here"), "it is not looked for with every monitor");
        n1.cache.warned = 0;
        n1.cache.warned_of.clear();
        n1.warn_as_primary(&facts);
        assert!(!warned(&n1).contains("no slot here"), "{}", warned(&n1));
        assert!(warned(&n1).contains("listen_addresses"), "{}", warned(&n1));

        // A history file of another line in pg_wal.
        let history = Path::new(&n1.params.pgdata).join("pg_wal/00000002.history");
        place.write(&history, "1\t0/2000000\tno recovery target specified\n", 0o600);
        n1.cache.warned = 0;
        n1.warn_as_primary(&facts);
        assert!(warned(&n1).contains("00000002.history is of another line"), "{}", warned(&n1));
        std::fs::remove_file(&history).unwrap();
        n1.cache.warned = 0;
        n1.warn_as_primary(&facts);
        assert!(!warned(&n1).contains("of another line"), "{}", warned(&n1));

        // As a standby it speaks of its primary, and of nothing else any more.
        let (n2, _) = place.basebackup(port, "n2");
        n2.start(&soon()).unwrap();
        let standby = await_standby(&n2, StandbyFacts::streams);
        let silent = Upstream::Silent(node("n3"), "nobody listens there".into());
        n1.warn_as_standby(&silent, &standby);
        let said = warned(&n1);
        for words in ["n3 is not reached at 192.0.2.3 port", "listen_addresses there", "firewall"] {
            assert!(said.contains(words) && !said.contains("n2"), "{words}: {said}");
        }
    });
}

#[test]
fn a_node_whose_data_may_be_on_a_mount_that_is_not_there_does_not_say_that_it_has_none() {
    on_every_version(|place| {
        let dir = tempfile::tempdir().unwrap();
        let mut n1 = agent(place, &dir, "n1", place.instance("n1", 5432), 5432);
        let empty = Instance { data: DataDir::Absent, process: Process::None, sql: Sql::NotAsked };
        let said = n1.publication(&empty, &OwnFile::Missing, &Store::default());
        assert_eq!(said, Known::Known(Publication::NoData));
        n1.params.pgdata_mount = Some(place.path("").display().to_string());
        let said = n1.publication(&empty, &OwnFile::Missing, &Store::default());
        assert!(said.why_unknown().is_some_and(|why| why.contains("not mounted")), "{said:?}");
    });
}

#[test]
fn validate_all_names_the_lines_that_the_passfile_lacks_and_what_the_server_weakens() {
    on_every_version(|place| {
        let dir = tempfile::tempdir().unwrap();
        let (_n1, port) = started_primary(place, "n1");
        let passfile = place.path("passfile");
        place.write(
            &passfile,
            &format!("192.0.2.2:{port}:replication:repl\\:1:x\n*:*:postgres:repl\\:1:pass:word\n"),
            0o600,
        );
        let params =
            Params { pgpassfile: Some(passfile.display().to_string()), ..place.params("n1", port) };
        let instance = Postgres::new(&System, &params, place.path("n1.start.log")).unwrap();
        let mut n1 = agent(place, &dir, "n1", instance, port);
        n1.params.pgpassfile.clone_from(&params.pgpassfile);
        let outcome = n1.validate_all();
        assert_eq!((outcome.code, outcome.reason), (ExitCode::Ok, None));
        let said = outcome.output.join("\n");
        for words in [
            "line 2 of the password file has a password that is cut at a colon",
            &format!(
                "no line for replication on n3: add 192.0.2.3:{port}:replication:repl\\:1:PASSWORD"
            ),
            "max_slot_wal_keep_size is unlimited",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("on n2") && !said.contains("for postgres"), "{said}");
        assert!(!said.contains("pass:word"), "{said}");

        std::fs::remove_file(&passfile).unwrap();
        let outcome = n1.validate_all();
        assert_eq!(outcome.code, ExitCode::Error);
        assert!(outcome.reason.is_some_and(|why| why.contains("is missing: make it, owned by")));
    });
}
