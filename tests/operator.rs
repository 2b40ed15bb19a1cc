//! The operator's command: as a program, and over documents that real clusters of all supported
//! versions of Pacemaker printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use pgtwin::cluster::cib::Cib;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Mode, Store};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::topology::ClusterStatus;
use pgtwin::decide::report::{Facts, OwnLedger, Recovery, Report, Server, report};
use pgtwin::ocf::params::FencingPolicy;
use pgtwin::postgres::lsn::{Lsn, Timeline};

const RELEASES: &[&str] = &["bookworm", "trixie", "forky"];

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_pgtwin")).args(args).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_single_word_that_is_unknown_is_an_action_that_is_not_implemented() {
    for word in ["frobnicate", "migrate_to", "", "stat"] {
        assert_eq!(run(&[word, "n1"]), run(&[word]), "{word}: whatever follows it");
        let (code, stdout, stderr) = run(&[word]);
        assert_eq!(code, Some(3), "{word}: {stderr}");
        assert_eq!(stdout, "", "{word}");
        let flat = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let people = "Commands for people: status, explain, switchover, rebuild, history, pause, resume, \
                      validate-pghba, fix-pghba, doctor, setup, bootstrap, storage, forget, force-promote, \
                      adopt, container; see pgtwin --help.";
        assert!(flat.contains(people), "{word}: {stderr}");
        assert!(stderr.lines().all(|line| line.chars().count() <= 80), "{word}: {stderr}");
        assert_eq!(stderr.contains("Is it pgtwin status?"), word == "stat", "{word}: {stderr}");
    }
}

#[test]
fn actions_work_as_before_whatever_follows_them() {
    for args in [&["meta-data"][..], &["meta-data", "--help"]] {
        let (code, stdout, _) = run(args);
        assert_eq!(code, Some(0));
        assert!(stdout.contains("<resource-agent"), "{stdout}");
    }
    let (code, stdout, _) = run(&["usage"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("start|stop|promote"), "{stdout}");
    // Without an environment of Pacemaker's.
    assert_eq!(run(&["monitor"]).0, Some(2));
}

#[test]
fn help_and_version_are_no_mistakes_and_the_rest_exits_with_two() {
    let (code, stdout, _) = run(&["--version"]);
    assert_eq!((code, stdout), (Some(0), format!("pgtwin {}\n", env!("CARGO_PKG_VERSION"))));
    for args in
        [&["--help"][..], &["help"], &["help", "forget"], &["status", "--help"], &["forget", "-h"]]
    {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(stdout.starts_with(|c: char| c.is_uppercase()), "{stdout}");
        assert!(stdout.ends_with('\n'), "{stdout:?}");
    }
    for args in [
        &[][..],
        &["--frobnicate"],
        &["status", "n1"],
        &["forget"],
        &["rebuild"],
        &["force-promote", "n1"],
        &["adopt"],
        &["adopt", "n1"],
        &["adopt", "--dry-run"],
        &["validate-pghba", "n1"],
        &["validate-pghba", "--param", "pgport"],
        &["validate-pghba", "--param", "pgprot=5432"],
        &["fix-pghba", "--yes", "--dry-run"],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(
            stderr.contains("--help") || stderr.contains("Usage: pgtwin"),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn one_word_is_a_command_of_people_and_an_action_of_the_agent() {
    let call = |args: &[&str], vars: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
        let Output { status, stdout, stderr } =
            command.args(args).env_clear().envs(vars.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout) + &text(stderr))
    };
    for (args, vars, code, words) in [
        (&["validate-pghba"][..], &[][..], 1, "Pacemaker could not be asked"),
        (&["validate-pghba"], &[("OCF_RESKEY_pgport", "5433")], 1, "there is no cluster to ask"),
        (
            &["validate-pghba", "--help"],
            &[("OCF_ROOT", "/usr/lib/ocf")],
            0,
            "Usage: pgtwin validate",
        ),
        (&["validate-pghba"], &[("OCF_ROOT", "/usr/lib/ocf")], 2, "OCF_RESOURCE_INSTANCE"),
        (&["validate-pghba"], &[("OCF_RESKEY_CRM_meta_timeout", "1000")], 2, "ocf-exit-reason:"),
        (
            &["validate-pghba"],
            &[("OCF_RESOURCE_INSTANCE", "db"), ("OCF_RESKEY_pgport", "x")],
            6,
            "ocf-exit-reason:",
        ),
        (&["fix-pghba", "--json"], &[], 2, "--json needs --yes or --dry-run"),
        (&["rebuild", "n1", "--json"], &[], 2, "--json asks nobody"),
        (&["pause", "--json"], &[], 2, "--json asks nobody"),
        // Whether anybody would be asked is not known before.
        (&["resume", "--json"], &[], 1, "Pacemaker could not be asked"),
        (&["forget", "n1", "--json"], &[], 2, "--json asks nobody"),
    ] {
        let (found, said) = call(args, vars);
        assert_eq!(found, Some(code), "{args:?} {vars:?}: {said}");
        assert!(said.contains(words), "{args:?} {vars:?}: {said}");
    }
}

/// The code with which it ends when nobody reads one of its streams any more.
fn into_nowhere(args: &[&str], stderr: bool) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
    command.args(args).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    if stderr {
        command.stderr(writer)
    } else {
        command.stdout(writer)
    };
    command.status().unwrap().code()
}

#[test]
fn a_reader_that_has_gone_away_ends_nothing_halfway() {
    for (args, stderr, code) in [
        (&["usage"][..], false, 0),
        (&["--help"], false, 0),
        (&["--version"], false, 0),
        // Half of it is not the meta-data.
        (&["meta-data"], false, 1),
        (&["frobnicate"], true, 3),
        (&["monitor"], true, 2),
        (&["status"], true, 1),
        (&["forget", "n1"], true, 1),
        (&["forget"], true, 2),
    ] {
        assert_eq!(into_nowhere(args, stderr), Some(code), "{args:?}");
    }
}

#[test]
fn the_workers_command_takes_no_names_that_lead_elsewhere() {
    for (resource, node) in [("../etc", "n1"), ("", "n1"), ("db", ""), ("db", "a b")] {
        let args = ["recover", "--resource", resource, "--node", node, "--order", "x"];
        let (code, stdout, stderr) = run(&args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        let named = if node == "n1" { "--resource <" } else { "--node <" };
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
}

#[test]
fn without_pacemaker_the_commands_say_so_and_exit_with_one() {
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["explain"],
        &["explain", "--if", "n1-dies"],
        &["switchover"],
        &["switchover", "--json", "--yes"],
        &["rebuild", "n1", "--yes"],
        &["rebuild", "n1", "--dry-run", "--json"],
        &["history", "--json"],
        &["pause", "--yes"],
        &["resume", "--yes"],
        &["resume", "--yes", "--json"],
        &["forget", "n1"],
        &["forget", "n1", "--yes", "--json"],
        &["force-promote", "n1", "--accept-data-loss"],
        &["ordered", "--resource=db", "--node=n1", "--order=0000000000000001", "--by=root"],
        &["adopt", "n1", "--accept-data-loss"],
        &["adopt", "n1", "--dry-run", "--json"],
        &["validate-pghba"],
        &["validate-pghba", "--json"],
        &["fix-pghba", "--yes"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{args:?}: {stderr}");
        assert!(stderr.contains("Pacemaker could not be asked"), "{args:?}: {stderr}");
        // `ordered` is for no person: what it says is a line of the log.
        let fits = stderr.lines().all(|line| line.chars().count() <= 80);
        assert!(fits || args.first() == Some(&"ordered"), "{args:?}: {stderr}");
    }
}

fn read(release: &str, file: &str) -> String {
    let path = format!("{}/tests/fixtures/pacemaker/{release}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What status would say in a captured cluster, if all of its PostgreSQL were well.
fn in_case(release: &str, case: &str) -> Report {
    let status = ClusterStatus::parse(&read(release, &format!("{case}.crm_mon.xml"))).unwrap();
    let cib = Cib::parse(&read(release, &format!("{case}.cib.xml"))).unwrap();
    let node = |name: &str| -> NodeName { name.parse().unwrap() };
    let promoted = |name: &NodeName| status.promoted_on("db").any(|other| other == name);
    let members = ["n1", "n2", "n3"].map(node);
    let server = |name: &NodeName| {
        if !status.node(name).unwrap().online {
            Server::Absent("it is not reached".into())
        } else if promoted(name) {
            Server::Primary(Timeline(1), Lsn(0x500_0000))
        } else {
            Server::Standby(Timeline(1), Lsn(0x500_0000))
        }
    };
    report(&Facts {
        resource: "db".into(),
        me: node("n1"),
        mode: Mode::Sync,
        policy: FencingPolicy::Required,
        vip: None,
        ledger: Known::Known(Store::default()),
        own: OwnLedger::Missing,
        servers: members.iter().map(|name| (name.clone(), server(name))).collect(),
        systems: BTreeMap::new(),
        delays: BTreeMap::new(),
        local: None,
        names: Known::Known(String::new()),
        standby_names: BTreeMap::new(),
        noted: Vec::new(),
        recovery: Recovery::none(0),
        progress: BTreeMap::new(),
        runtimes: pgtwin::decide::report::runtime::Runtimes::default(),
        configuration: Vec::new(),
        problems: Vec::new(),
        members: members.into(),
        status: status.clone(),
        cib,
    })
}

#[test]
fn every_release_of_pacemaker_leads_to_the_same_words() {
    let rows: &[(&str, &[&str])] = &[
        ("healthy", &[]),
        ("standby", &["n2 was put on standby: nothing runs there"]),
        ("maintenance", &["the cluster is in maintenance mode"]),
        ("pacemaker-stopped", &["n3 is joining or leaving the cluster"]),
        ("offline-clean", &["n3 is offline"]),
        ("fenced", &["n3 is offline"]),
        ("unclean", &["n3 is lost and has not been fenced"]),
        (
            "no-quorum",
            &[
                "this partition has no quorum",
                "there is no primary",
                "n2 is lost and has not been fenced",
                "n3 is lost and has not been fenced",
            ],
        ),
        ("no-fencing-lost", &["fencing cannot prove that a lost node is down", "n3 is offline"]),
        ("pacemaker-crashed", &["n3 is unclean: Pacemaker is about to fence it"]),
        ("failed", &["stop on n2 failed"]),
    ];
    for release in RELEASES {
        for (case, expected) in rows {
            let report = in_case(release, case);
            for words in *expected {
                let found = report.warnings.iter().any(|warning| warning.contains(words));
                assert!(found, "{release} {case}: no {words:?} in\n{report}");
            }
            assert_eq!(
                report.needs_attention(),
                !expected.is_empty(),
                "{release} {case}:\n{report}"
            );
            for line in report.to_string().lines() {
                assert!(line.chars().count() <= 80, "{release} {case}: {line}");
            }
        }
    }
}

#[test]
fn a_failed_action_is_read_with_its_resource_node_and_code() {
    for release in RELEASES {
        let text = read(release, "failed.crm_mon.xml");
        let status = ClusterStatus::parse(&text).unwrap();
        let all: Vec<_> = status.failures_of("db").collect();
        let [failure] = all.as_slice() else { panic!("{release}: {all:?}") };
        assert_eq!(failure.operation, "stop", "{release}");
        assert_eq!(failure.node.as_str(), "n2", "{release}");
        assert_eq!(failure.exit_code, Some(1), "{release}");
        assert!(failure.words.to_lowercase().contains("error"), "{release}: {failure:?}");
        // What people are shown never makes the rest unreadable.
        let broken = text.replace("op_key=\"db_stop_0\"", "op_key=\"rubbish\"");
        assert_eq!(ClusterStatus::parse(&broken).unwrap().failures, [], "{release}");
    }
}
