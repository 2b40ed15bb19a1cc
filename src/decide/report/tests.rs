#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod configuration;
mod json;
mod recovery;
mod runtime;
mod warnings;

use std::collections::BTreeMap;

use super::text::moment;
use super::{Cell, Facts, OwnLedger, Recovery, Server, WIDTH, bytes, report, wrapped};
use crate::cluster::cib::{
    ByNode, Cib, CloneOf, NodeStateEntry, Operation, Primitive, Run, Setting, Settings,
};
use crate::cluster::known::Known;
use crate::cluster::ledger::Mode;
use crate::cluster::topology::{
    ClusterOptions, ClusterStatus, FailedAction, FenceEvent, FenceHistory, FenceOutcome, Instance,
    NodeKind, NodeStatus, Quorum, Role,
};
use crate::decide::facts::{PrimaryFacts, Walsender};
use crate::decide::support::{SYSTEM, entry, intending, node, nodes, store};
use crate::ocf::params::FencingPolicy;
use crate::postgres::lsn::{Lsn, Timeline};

fn node_status(name: &str, (online, unclean, pending): (bool, bool, bool)) -> NodeStatus {
    NodeStatus {
        name: node(name),
        id: "1".into(),
        kind: NodeKind::Member,
        online,
        unclean,
        pending,
        standby: false,
        standby_onfail: false,
        maintenance: false,
        shutdown: false,
        health: None,
        feature_set: None,
        is_dc: false,
    }
}

pub(crate) fn instance(name: &str, role: Role) -> Instance {
    Instance {
        resource: "db".into(),
        clone: Some("db-clone".into()),
        agent: "ocf:heartbeat:pgtwin".into(),
        active: role != Role::Stopped,
        role,
        target_role: None,
        failed: false,
        blocked: false,
        managed: true,
        maintenance: Some(false),
        orphaned: false,
        pending: None,
        nodes: vec![node(name)],
    }
}

fn primitive(id: &str, class: &str, agent: &str) -> Primitive {
    Primitive {
        id: id.into(),
        class: class.into(),
        provider: (class == "ocf").then(|| "heartbeat".into()),
        agent: agent.into(),
        parameters: Settings::new(),
        by_node: ByNode::default(),
        meta: Settings::new(),
        operations: Vec::new(),
        clone: None,
        group: None,
        bundle: None,
    }
}

/// The resource, in a clone as it should be.
fn database() -> Primitive {
    let monitor = |interval: &str, role: &str| Operation {
        name: "monitor".into(),
        interval: Some(interval.into()),
        timeout: None,
        role: Some(role.into()),
        on_fail: None,
        disabled: false,
    };
    Primitive {
        operations: vec![monitor("3s", "Promoted"), monitor("8s", "Unpromoted")],
        clone: Some(CloneOf {
            id: "db-clone".into(),
            meta: Settings::from([("notify".into(), Setting::Set("true".into()))]),
            promotable: true,
        }),
        ..primitive("db", "ocf", "pgtwin")
    }
}

fn address() -> Primitive {
    let ip = Setting::Set("192.0.2.100".into());
    let parameters = Settings::from([("ip".into(), ip)]);
    Primitive { parameters, ..primitive("vip", "ocf", "IPaddr2") }
}

pub(crate) fn transient(name: &str, state: &str, score: Option<i32>) -> NodeStateEntry {
    let mut transient = Settings::new();
    transient.insert("pgtwin-db-state".into(), Setting::Set(state.into()));
    if let Some(score) = score {
        transient.insert("master-db".into(), Setting::Set(score.to_string()));
    }
    NodeStateEntry {
        name: node(name),
        in_ccm: Some("true".into()),
        crmd: Some("online".into()),
        join: Some("member".into()),
        expected: Some("member".into()),
        transient,
        runs: Vec::new(),
    }
}

/// What the primary `n1` says of itself, with standbys that stream so many bytes behind.
pub(crate) fn local(standbys: &[(&str, u64)], names: &str) -> PrimaryFacts {
    let insert = Lsn(0x500_0148);
    let walsender = |(name, behind): &(&str, u64)| Walsender {
        name: (*name).into(),
        state: "streaming".into(),
        flush: Some(Lsn(insert.0 - behind)),
        replay: None,
        priority: 1,
        sync_state: "quorum".into(),
        silent_for: None,
        pid: 7,
    };
    PrimaryFacts {
        names: names.into(),
        insert,
        redo: insert,
        timeline: Timeline(3),
        started: 1,
        walsenders: standbys.iter().map(walsender).collect(),
        version: 170_005,
        weaknesses: Vec::new(),
        system_id: SYSTEM,
        slots: Vec::new(),
    }
}

/// In seconds of the epoch.
const NOW: i64 = 1_700_000_000;
pub(crate) const AT: Lsn = Lsn(0x500_0148);
const VOTES: &str = "ANY 1 (\"n2\",\"n3\")";

/// Three nodes, n1 the primary of term 3, all well, seen from n1.
pub(crate) fn healthy() -> Facts {
    let ledger = store(&[entry(3, 7, 0x8f3a_12bc_0000_0001, "n1", "n2 n3")]);
    Facts {
        resource: "db".into(),
        me: node("n1"),
        members: nodes("n1 n2 n3"),
        mode: Mode::Sync,
        policy: FencingPolicy::Required,
        vip: Some("192.0.2.100".into()),
        status: ClusterStatus {
            dc: Some(node("n1")),
            dc_version: None,
            quorum: Quorum::Quorate,
            options: ClusterOptions {
                fencing_enabled: true,
                maintenance_mode: false,
                no_quorum_policy: "stop".into(),
            },
            nodes: ["n1", "n2", "n3"].map(|n| node_status(n, (true, false, false))).to_vec(),
            instances: vec![
                instance("n1", Role::Promoted),
                instance("n2", Role::Unpromoted),
                instance("n3", Role::Unpromoted),
                Instance { resource: "vip".into(), clone: None, ..instance("n1", Role::Started) },
            ],
            bundles: Vec::new(),
            attributes: BTreeMap::new(),
            fencing: FenceHistory::Events(Vec::new()),
            bans: Vec::new(),
            failures: Vec::new(),
        },
        cib: Cib {
            version: (0, 1, 0),
            have_quorum: Some(true),
            dc_uuid: None,
            options: Settings::new(),
            own_sets: BTreeMap::new(),
            nodes: Vec::new(),
            primitives: vec![primitive("fencing", "stonith", "fence_lab"), database(), address()],
            locations: Vec::new(),
            colocations: Vec::new(),
            orders: Vec::new(),
            resource_defaults: Settings::new(),
            operation_defaults: Settings::new(),
            node_states: vec![
                transient("n1", "primary", Some(20_000)),
                transient("n2", "streaming", Some(10_000)),
                transient("n3", "streaming", Some(10_000)),
            ],
        },
        own: OwnLedger::Read(ledger.clone()),
        ledger: Known::Known(ledger),
        servers: BTreeMap::from([
            (node("n1"), Server::Primary(Timeline(3), AT)),
            (node("n2"), Server::Standby(Timeline(3), AT)),
            (node("n3"), Server::Standby(Timeline(3), AT)),
        ]),
        systems: ["n1", "n2", "n3"].map(|n| (node(n), SYSTEM)).into(),
        delays: [(node("n2"), Known::Known(0)), (node("n3"), Known::Known(412))].into(),
        local: Some(local(&[("n2", 0), ("n3", 16_384)], VOTES)),
        names: Known::Known(VOTES.into()),
        standby_names: ["n1", "n2", "n3"].map(|n| (node(n), n.parse().unwrap())).into(),
        noted: Vec::new(),
        recovery: Recovery::none(NOW),
        progress: BTreeMap::new(),
        runtimes: super::runtime::Runtimes::default(),
        configuration: Vec::new(),
        problems: Vec::new(),
    }
}

/// The same without what an instance elsewhere says only to its own node, seen from n2.
pub(crate) fn from_a_standby() -> Facts {
    Facts { me: node("n2"), local: None, ..healthy() }
}

pub(crate) fn set_node(facts: &mut Facts, name: &str, state: (bool, bool, bool)) {
    let at = facts.status.nodes.iter().position(|status| status.name == node(name)).unwrap();
    facts.status.nodes[at] = node_status(name, state);
    if !state.0 {
        facts.status.instances.retain(|instance| !instance.nodes.contains(&node(name)));
        facts.cib.node_states.retain(|state| state.name != node(name));
        let lost = "it is not reached: 192.0.2.1: connection timed out";
        facts.servers.insert(node(name), Server::Absent(lost.into()));
    }
}

pub(crate) const LOST: (bool, bool, bool) = (false, true, false);
pub(crate) const OFF: (bool, bool, bool) = (false, false, false);

#[track_caller]
fn shows(facts: &Facts, expected: &str) {
    let report = report(facts);
    let text = report.to_string();
    assert!(text == expected, "shown:\n{text}\nexpected:\n{expected}");
    assert_eq!(report.needs_attention(), text.contains("\nWarnings:"));
    fits(&text);
}

#[track_caller]
pub(crate) fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[track_caller]
fn warns(facts: &Facts, expected: &str) {
    let report = report(facts);
    fits(&report.to_string());
    let words = report.warnings.join("\n");
    assert!(words.contains(expected), "{words:?} does not contain {expected:?}");
}

#[test]
fn a_healthy_cluster_has_a_table_and_no_warning() {
    let expected = "\
db: synchronous replication, 3 members, as seen from n1

NODE  ROLE     STATE      TL  LSN            LAG  DELAY  SYNC  SCORE  HEIR
n1    primary  writable    3  0/5000148        -      -  -     20000  -
n2    standby  streaming   3  0/5000148      0 B    0 s  yes   10000  yes
n3    standby  streaming   3  0/5000148  16384 B  0.4 s  yes   10000  yes

Ledger       writes need n2 or n3; n2 or n3 may take over; last promotion: n1
             (term 3, promotion 8f3a12bc, entry 7).
Quorum       yes: 3 of 3 nodes are online
Fencing      works (fencing)
Maintenance  no
Address      192.0.2.100 on n1
";
    shows(&healthy(), expected);
}

#[test]
fn a_standby_shows_what_can_be_asked_from_afar() {
    let mut facts = from_a_standby();
    facts.servers.insert(node("n3"), Server::Standby(Timeline(3), Lsn(AT.0 - 40_000_000)));
    let text = report(&facts).to_string();
    let rows = "\
n1    primary  writable    3  0/5000148      -      -  -     20000  -
n2    standby  streaming   3  0/5000148    0 B    0 s  yes   10000  yes
n3    standby  streaming   3  0/29DA748  38 MB  0.4 s  yes   10000  yes
";
    assert!(text.contains(rows), "{text}");
    assert!(!report(&facts).needs_attention());
}

#[test]
fn a_primary_that_went_on_alone_says_that_nobody_may_take_over() {
    let mut facts = healthy();
    for lost in ["n2", "n3"] {
        set_node(&mut facts, lost, OFF);
    }
    facts.cib.node_states = vec![transient("n1", "primary-alone", Some(20_000))];
    let ledger = store(&[entry(3, 9, 0x8f3a_12bc_0000_0001, "n1", "")]);
    facts.own = OwnLedger::Read(ledger.clone());
    facts.ledger = Known::Known(ledger);
    facts.names = Known::Known(String::new());
    facts.local = Some(PrimaryFacts {
        weaknesses: vec![
            "max_slot_wal_keep_size is unlimited: the slot of an absent standby can fill the disk"
                .into(),
            "synchronous_commit is off for role bulk: its commits are acknowledged early".into(),
        ],
        ..local(&[], "")
    });
    let expected = "\
db: synchronous replication, 3 members, as seen from n1

NODE  ROLE     STATE    TL  LSN        LAG  DELAY  SYNC  SCORE  HEIR
n1    primary  alone     3  0/5000148    -      -  -     20000  -
n2    -        offline   -  -            -      -  no        -  no
n3    -        offline   -  -            -      -  no        -  no

Ledger       writes wait for no standby; nobody may take over: n1 went on alone;
             last promotion: n1 (term 3, promotion 8f3a12bc, entry 9).
Quorum       yes: 1 of 3 nodes are online
Fencing      works (fencing)
Maintenance  no
Address      192.0.2.100 on n1

Warnings:
- n2 is offline
- n3 is offline
- no standby streams: every commit is on n1 only, and nobody can take over
- synchronous_commit is off for role bulk: its commits are acknowledged early

Advice:
- max_slot_wal_keep_size is unlimited: the slot of an absent standby can fill
  the disk
";
    shows(&facts, expected);
}

#[test]
fn what_a_cut_off_node_cannot_know_is_a_question_mark_with_its_reason() {
    let mut facts = from_a_standby();
    set_node(&mut facts, "n1", LOST);
    set_node(&mut facts, "n3", LOST);
    facts.status.quorum = Quorum::Inquorate;
    facts.names = Known::unknown("no primary answers");
    facts.servers.insert(
        node("n2"),
        Server::Silent("it starts up, or replays WAL, and takes no session yet".into()),
    );
    let expected = "\
db: synchronous replication, 3 members, as seen from n2

NODE  ROLE     STATE      TL  LSN  LAG  DELAY  SYNC  SCORE  HEIR
n1    ?        UNCLEAN     ?  ?      -      -  -         -  -
n2    standby  streaming   ?  ?      -      -  -     10000  yes
n3    ?        UNCLEAN     ?  ?      -      -  -         -  yes

Ledger       n1 was primary (term 3, promotion 8f3a12bc, entry 7); n2 or n3 may
             take over.
Quorum       NO: 1 of 3 nodes are online
Fencing      works (fencing)
Maintenance  no
Address      192.0.2.100 on no node that is seen

Warnings:
- n1's PostgreSQL gave no position: it is not reached: 192.0.2.1: connection
  timed out
- n2's PostgreSQL gave no position: it starts up, or replays WAL, and takes no
  session yet
- n3's PostgreSQL gave no position: it is not reached: 192.0.2.1: connection
  timed out
- this partition has no quorum (no-quorum-policy=stop): nothing is promoted, and
  a primary without standbys takes no commits
- there is no primary
- n1 is lost and has not been fenced: nothing is decided until it is (if you
  have switched it off yourself: stonith_admin --confirm n1)
- n3 is lost and has not been fenced: nothing is decided until it is (if you
  have switched it off yourself: stonith_admin --confirm n3)
";
    shows(&facts, expected);
}

#[test]
fn a_node_without_postgresql_shows_what_pacemaker_and_the_ledger_say() {
    let mut facts = from_a_standby();
    facts.me = node("arbiter");
    let why = "arbiter cannot ask it: there is no user \"postgres\"";
    for server in facts.servers.values_mut() {
        *server = Server::Silent(why.into());
    }
    facts.names = Known::unknown(why);
    facts.own = OwnLedger::Missing;
    facts.delays.clear();
    let text = report(&facts).to_string();
    let rows = "\
n1    primary  primary     ?  ?      -      -  -     20000  -
n2    standby  streaming   ?  ?      ?      ?  ?     10000  yes
n3    standby  streaming   ?  ?      ?      ?  ?     10000  yes
";
    assert!(text.contains(rows), "{text}");
    warns(&facts, "n2's PostgreSQL gave no position: arbiter cannot ask it");
    warns(&facts, "for whom commits wait on n1 is not known");
    // It is no member, so it needs no ledger file.
    assert!(!text.contains("ledger file"), "{text}");
}

#[test]
fn a_moment_is_short() {
    for (milliseconds, expected) in [
        (0, "0 s"),
        (1, "0.1 s"),
        (99, "0.1 s"),
        (412, "0.4 s"),
        (9_999, "9.9 s"),
        (10_000, "10 s"),
        (599_999, "599 s"),
        (600_000, "10 min"),
        (36_000_000, "10 h"),
    ] {
        assert_eq!(moment(milliseconds), expected, "{milliseconds}");
    }
}

#[test]
fn names_that_are_too_long_for_the_table_stand_above_their_row() {
    let mut facts = healthy();
    let long = "database-server-north-01.internal.example.com";
    facts.members = [node(long)].into();
    facts.me = node(long);
    let text = report(&facts).to_string();
    fits(&text);
    assert!(text.contains(&format!("\n{long}\n    ")), "{text}");
}

#[test]
fn bytes_are_short_and_exact_where_it_matters() {
    for (count, expected) in [
        (0, "0 B"),
        (99_999, "99999 B"),
        (100_000, "97 kB"),
        (16 << 20, "16 MB"),
        (5 << 30, "5120 MB"),
        (20 << 30, "20 GB"),
        (u64::MAX, "16777215 TB"),
    ] {
        assert_eq!(bytes(count), expected, "{count}");
    }
}

#[test]
fn lines_are_broken_between_words_and_long_words_are_kept() {
    let word = "x".repeat(90);
    assert_eq!(wrapped("a b", 2), "a b");
    assert_eq!(wrapped("", 2), "");
    assert_eq!(wrapped(&format!("a {word} b"), 2), format!("a\n  {word}\n  b"));
    let text = wrapped(&"word ".repeat(40), 4);
    fits(&text);
    assert!(text.lines().skip(1).all(|line| line.starts_with("    word")), "{text}");
}
