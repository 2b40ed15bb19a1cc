//! A cluster in which all is well, on configurations that real clusters of all supported versions of
//! Pacemaker had, and what is said when one thing is wrong.

mod cluster;
mod member;

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Histories, Ipc, Peer, Remote, Role, Slot, Value, Volume};
use super::*;
use crate::cluster::cib::Cib;
use crate::cluster::corosync_conf::Corosync;
use crate::cluster::topology::{ClusterStatus, FenceEvent, FenceHistory, FenceOutcome};
use crate::decide::slots::LogicalSlots;
use crate::decide::{pghba, reach};
use crate::ocf::params::Params;
use crate::postgres::hba;
use crate::postgres::version::Version;

/// 2026-11-26.
const NOW: i64 = 1_795_670_000;
const RELEASES: [&str; 3] = ["bookworm", "trixie", "forky"];

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn fixture(path: &str) -> String {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The part of a document from one text to another, both included.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let begin = text.find(from).unwrap_or_else(|| panic!("no {from}"));
    let end = text[begin..].find(to).unwrap_or_else(|| panic!("no {to}")) + begin + to.len();
    &text[begin..end]
}

/// The configuration of a captured cluster of this release, with the resources that the quick start
/// makes.
fn healthy_cib(release: &str) -> String {
    let cluster = fixture(&format!("pacemaker/{release}/healthy.cib.xml"));
    let made = fixture("quick-start/crmsh.cib.xml");
    let resources = part(&made, "<clone id=\"db-clone\">", "</resources>");
    let old = part(&cluster, "<clone id=\"db-clone\">", "</resources>");
    let rest = part(&made, "<constraints>", "</rsc_defaults>");
    let cib = cluster.replace(old, resources).replace("<constraints/>", rest);
    assert_ne!(cib, cluster);
    cib
}

/// Pacemaker's answer in that cluster, after each node was fenced a month ago.
fn status(release: &str) -> ClusterStatus {
    let text = fixture(&format!("pacemaker/{release}/healthy.crm_mon.xml"));
    let mut status = ClusterStatus::parse(&text).unwrap();
    let event = |name: &str| FenceEvent {
        target: node(name),
        action: "reboot".into(),
        outcome: FenceOutcome::Success,
        completed: Some("2026-10-26 09:00:00.123456Z".into()),
        delegate: None,
        client: None,
        exit_reason: None,
    };
    status.fencing = FenceHistory::Events(["n1", "n2", "n3"].map(event).into());
    status
}

/// With two nodes: n3 is taken out everywhere, and the survivor may shoot first.
fn of_two(cib: &str) -> String {
    let option = "<nvpair id=\"delay\" name=\"priority-fencing-delay\" value=\"15s\"/>";
    let first = "<cluster_property_set id=\"cib-bootstrap-options\">";
    cib.replace("<node id=\"3\" uname=\"n3\"/>", "")
        .replace("value=\"n1 n2 n3\" id=\"db-", "value=\"n1 n2\" id=\"db-")
        .replace(first, &format!("{first}{option}"))
}

fn facts_of(cib: &str, release: &str) -> Facts {
    let cib = Cib::parse(cib).unwrap_or_else(|error| panic!("{error}: {cib}"));
    let parameters = cib.primitive("db").map(|db| db.parameters.clone()).unwrap_or_default();
    let text = |(name, setting): (String, Setting)| match setting {
        Setting::Set(value) => Some((name, value)),
        Setting::Conditional => None,
    };
    let parameters: BTreeMap<String, String> = parameters.into_iter().filter_map(text).collect();
    let resolved = Params::resolve_attributes(&parameters);
    let members: BTreeSet<NodeName> = match &resolved.params.node_list {
        Some(list) => list.iter().cloned().collect(),
        None => cib.full_members().cloned().collect(),
    };
    let here = Here::Member(Box::new(well(&members)));
    Facts {
        resource: "db".into(),
        problems: resolved.errors.iter().map(ToString::to_string).collect(),
        params: resolved.params,
        members,
        cib,
        status: Known::Known(status(release)),
        now: NOW,
        shell: Shell::Pcs,
        here,
    }
}

pub(super) fn healthy() -> Facts {
    facts_of(&healthy_cib("trixie"), "trixie")
}

fn value(setting: &str) -> Value {
    Value {
        setting: setting.into(),
        source: "configuration file".into(),
        file: Some("/etc/postgresql/17/main/postgresql.conf".into()),
        pending: false,
    }
}

const SETTINGS: &[(&str, &str)] = &[
    ("wal_level", "replica"),
    ("hot_standby", "on"),
    ("wal_log_hints", "on"),
    ("data_checksums", "off"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("restart_after_crash", "off"),
    ("max_connections", "100"),
    ("max_worker_processes", "8"),
    ("max_wal_senders", "10"),
    ("max_prepared_transactions", "0"),
    ("max_locks_per_transaction", "64"),
    ("max_replication_slots", "10"),
    ("max_slot_wal_keep_size", "-1"),
    ("wal_sender_timeout", "10000"),
    ("listen_addresses", "*"),
    ("archive_mode", "off"),
    ("archive_command", "(disabled)"),
    ("shared_buffers", "16384"),
    ("recovery_target", ""),
    ("recovery_target_timeline", "latest"),
    ("recovery_min_apply_delay", "0"),
];

fn rules(lines: &[&str]) -> Vec<hba::Rule> {
    let text: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(index, row)| format!("{}\t{}\t", index + 1, row.replace(' ', "\t")))
        .collect();
    hba::parse_rows(&text.join("\n")).unwrap()
}

/// The agent's own way in.
const LOCAL: &str = "local {replication,all} {all}   peer";

/// pg_hba.conf of n1, with a line for all members.
fn hba_of(members: Vec<reach::Member>) -> pghba::Facts {
    let secret = pghba::Secret::Scram;
    let file = "/etc/postgresql/17/main/pg_hba.conf".to_owned();
    pghba::Facts {
        me: node("n1"),
        primary: true,
        user: "replicator".into(),
        about: pghba::About { major: 17, ssl: false, hba_file: file, changed: false },
        role: pghba::Role::There { login: true, replication: true, secret, expired: false },
        rules: rules(&[
            "host {replication,postgres} {replicator} 10.0.0.0 255.255.255.0 md5",
            LOCAL,
        ]),
        agent: pghba::OwnAgent {
            user: "postgres".into(),
            around: hba::Surroundings::unknown("not asked"),
        },
        around: hba::Surroundings {
            major: Known::Known(17),
            groups: Known::Known(BTreeSet::from(["replicator".to_owned()])),
            interfaces: Known::Known(Vec::new()),
            host_names: BTreeMap::new(),
            matches: BTreeMap::new(),
        },
        sslmode: "prefer".into(),
        members,
    }
}

/// n1, the primary, with all that it should have.
fn well(members: &BTreeSet<NodeName>) -> Member {
    let others: Vec<&NodeName> = members.iter().filter(|name| name.as_str() != "n1").collect();
    let address = |name: &NodeName| format!("10.0.0.1{}", &name.as_str()[1..2]).parse().unwrap();
    let version = Version { major: 17, minor: 6 };
    let slot = |name: &&NodeName| Slot {
        name: format!("ha_slot_{name}"),
        physical: true,
        active: true,
        wal_status: Some("reserved".into()),
        keeps: Some(16 << 20),
    };
    let slots: Vec<Slot> = others.iter().map(slot).collect();
    let mut settings: BTreeMap<String, Value> =
        SETTINGS.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
    let auto = Some("/var/lib/postgresql/17/main/postgresql.auto.conf".to_owned());
    let names = Value { file: auto, ..value("ANY 1 (\"n2\")") };
    settings.insert("synchronous_standby_names".into(), names);
    let peer = |name: &NodeName| Peer {
        address: format!("{name} port 5432"),
        resolved: Known::Known(vec![address(name)]),
        replication: Login::In(()),
        postgres: Login::In(Remote {
            primary: false,
            version,
            settings: SETTINGS
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            clock: (40, 60),
        }),
        passfile_lacks: Vec::new(),
    };
    let of_hba = |name: &NodeName| reach::Member {
        node: name.clone(),
        address: name.to_string(),
        resolved: Known::Known(vec![address(name)]),
    };
    Member {
        me: node("n1"),
        hba: Known::Known(hba_of(members.iter().map(of_hba).collect())),
        server: Known::Known(Server {
            primary: true,
            version,
            settings,
            overrides: Known::Known(Vec::new()),
            user: "replicator".into(),
            role: Some(Role {
                superuser: false,
                replication: true,
                login: true,
                expired: false,
                limit: -1,
                may_rewind: true,
            }),
            slots_of_members: slots.iter().map(|slot| slot.name.clone()).collect(),
            slots,
            logical: Known::Known(LogicalSlots { slots: Vec::new(), waits_for: String::new() }),
            bad_lines: Vec::new(),
            archiver_fails: None,
            histories: Known::Known(Histories::default()),
            oldest_xid: 150_000_000,
            database: Known::Known(40 << 30),
        }),
        peers: others.iter().map(|name| ((*name).clone(), peer(name))).collect(),
        images: None,
        host: Host {
            hostname: "n1".into(),
            resolved: Known::Known(vec![address(&node("n1"))]),
            is_own: Known::Known(true),
            corosync: Known::Known(Corosync {
                provider: Some("corosync_votequorum".into()),
                two_node: members.len() == 2,
                nodes: members.len(),
                ..Corosync::default()
            }),
            at_boot: Vec::new(),
            ipc: Known::Known(Ipc { user: "postgres".into(), system_user: true, remove: None }),
            passfile: None,
            passfile_odd: Vec::new(),
            volumes: Known::Known(
                [("data", "/var/lib/postgresql/17/main"), ("WAL", "/wal")]
                    .map(|(what, path)| Volume {
                        what: what.into(),
                        path: path.into(),
                        free: 100 << 30,
                        total: 200 << 30,
                    })
                    .into(),
            ),
            copies: Known::Known(Vec::new()),
            programs: Vec::new(),
            modes: Known::Known(Vec::new()),
        },
    }
}

/// What is not well, as `VERDICT check: words`.
fn said(facts: &Facts) -> Vec<String> {
    let report = examine(facts, &[]);
    let bad = report.findings.iter().filter(|finding| finding.verdict > Verdict::Ok);
    bad.map(|one| format!("{} {}: {}", one.verdict.name(), one.check, one.words)).collect()
}

/// What is not as expected: the one check that says something is this one, and it says this.
/// `expected` is as `FAIL fencing-enabled: words`; `also`: checks that say something too.
fn unlike(facts: &Facts, expected: &str, also: &[&str]) -> Option<String> {
    let said = said(facts);
    let (head, words) = expected.split_once(": ").unwrap();
    let check = head.split(' ').nth(1).unwrap();
    let is_it = |line: &&String| line.starts_with(&format!("{head}: ")) && line.contains(words);
    if !said.iter().any(|line| is_it(&line)) {
        return Some(format!("no {expected:?} in {said:#?}"));
    }
    let is_of = |line: &str, check: &str| line.contains(&format!(" {check}: "));
    let mut others = said
        .iter()
        .filter(|line| !is_of(line, check) && !also.iter().any(|check| is_of(line, check)));
    if let Some(other) = others.next() {
        return Some(format!("besides: {other}"));
    }
    let all = examine(facts, &[]).findings;
    let silent = all.iter().find(|one| {
        let told = !one.remedy.words.is_empty() || !one.remedy.commands.is_empty();
        one.check == check && one.verdict > Verdict::Unknown && !told
    });
    silent.map(|finding| format!("no remedy: {finding:?}"))
}

fn only(name: &str, facts: &Facts, expected: &str) {
    assert_eq!(unlike(facts, expected, &[]), None, "{name}");
}

#[test]
fn a_cluster_in_which_all_is_well_is_well_on_every_release() {
    for release in RELEASES {
        let cib = healthy_cib(release);
        for (nodes, cib) in [("three", cib.clone()), ("two", of_two(&cib))] {
            let facts = facts_of(&cib, release);
            assert_eq!(said(&facts), [""; 0], "{release}, {nodes} nodes");
            let report = examine(&facts, &[]);
            assert_eq!(report.count(Verdict::Ok), TABLE.len(), "{release}, {nodes} nodes");
            assert_eq!(report.verdict(), Verdict::Ok);
        }
    }
}

#[test]
fn what_the_quick_start_configures_is_well_for_crmsh_and_pcs() {
    for tool in ["crmsh", "pcs"] {
        let facts = facts_of(&fixture(&format!("quick-start/{tool}.cib.xml")), "bookworm");
        assert_eq!(said(&facts), [""; 0], "{tool}");
    }
}

#[test]
fn the_table_is_in_order() {
    let mut ids = BTreeSet::new();
    for check in TABLE {
        let id = check.id;
        assert!(ids.insert(id), "{id} is there twice");
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
        assert!(check.title.len() < 70 && !check.title.ends_with('.'), "{id}: {}", check.title);
        assert!(check.why.len() > 40 && check.why.ends_with('.'), "{id}: {}", check.why);
        assert!(check_named(id).is_some());
    }
    assert!(check_named("nothing").is_none());
}

#[test]
fn what_is_not_here_is_left_out_and_said_and_what_is_skipped_does_not_count() {
    let facts = Facts { here: Here::NoMember(node("arbiter")), ..healthy() };
    let report = examine(&facts, &[]);
    assert_eq!(report.verdict(), Verdict::Ok);
    let area = |id: &str| check_named(id).unwrap().area;
    assert!(report.left_out.iter().all(|id| area(id) != Area::Cluster));
    assert!(report.left_out.contains(&"hba") && report.left_out.contains(&"disk"));
    let text = report.text(Style::default());
    assert!(text.contains("Run pgtwin doctor on n1, n2, n3 as well"), "{text}");

    let report = examine(&Facts { here: Here::NotRoot(node("n1")), ..healthy() }, &[]);
    assert_eq!((report.verdict(), report.left_out.len()), (Verdict::Unknown, 0));
    // What all of them say is said once.
    assert_eq!(report.text(Style::default()).matches("Run it as root.").count(), 1);

    let report = examine(&Facts { here: Here::File, ..facts.clone() }, &[]);
    assert!(report.left_out.contains(&"fencing-tested"));
    assert_eq!((report.verdict(), report.node), (Verdict::Ok, None));

    let cib =
        healthy_cib("trixie").replace("name=\"notify\" value=\"true\"", "name=\"x\" value=\"\"");
    let facts = facts_of(&cib, "trixie");
    let report = examine(&facts, &["clone-notify".to_owned()]);
    assert_eq!((report.verdict(), report.count(Verdict::Ok)), (Verdict::Ok, TABLE.len() - 1));
    assert!(report.text(Style::default()).contains("Skipped: clone-notify"));
}

#[test]
fn the_text_keeps_to_its_width_and_to_the_terminal_it_is_for() {
    let mut facts = facts_of(
        &healthy_cib("trixie")
            .replace("\"stonith-enabled\" value=\"true\"", "\"stonith-enabled\" value=\"false\""),
        "trixie",
    );
    facts.problems = vec!["a parameter with \u{1b}[31m red".into()];
    if let Here::Member(member) = &mut facts.here {
        member.server = Known::unknown("it does not run");
    }
    let report = examine(&facts, &[]);
    for (all, why) in [(false, false), (true, false), (false, true)] {
        let text = report.text(Style { all, why, colour: false });
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
        }
        assert_eq!(text.contains("OK       address:"), all, "{text}");
        assert_eq!(text.contains("Why: A node that is lost may"), why, "{text}");
    }
    let text = report.text(Style { colour: true, ..Style::default() });
    assert!(text.contains("\u{1b}[1;31mFAIL\u{1b}[0m     fencing-enabled: "), "{text}");
    // What several checks say alike is said once, wherever its lines end.
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(flat.matches("was not asked: it does not run").count(), 1, "{text}");
    assert!(
        text.contains("UNKNOWN\u{1b}[0m  timeouts-size, defects, versions, wal-level,"),
        "{text}"
    );
}
