#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{Records, history, json, moment};
use crate::cluster::cib::Run;
use crate::cluster::known::Known;
use crate::cluster::past::{self, told};
use crate::cluster::recovery::{Kept, Method, Outcome, Phase, Summary};
use crate::cluster::topology::{FailedAction, FenceEvent, FenceHistory, FenceOutcome};
use crate::decide::report::tests::{fits, healthy};
use crate::decide::support::{after, entry, node, store};

/// 2023-11-14T22:13:20Z.
const NOW: i64 = 1_700_000_000;

fn summary(ended: i64, outcome: Outcome) -> Summary {
    Summary {
        resource: "db".into(),
        node: "n1".into(),
        attempt: 2,
        method: Method::Rebuild,
        source: "n2".into(),
        system_id: "7".into(),
        begun: ended - 185,
        ended,
        outcome,
        phase: Phase::Copying,
        reason: "data diverged".into(),
        failure: if outcome == Outcome::Done { String::new() } else { "disk full".into() },
        next_command: String::new(),
        old_copy: None,
        copied_bytes: 0,
        log: String::new(),
    }
}

/// This node has written down nothing but these recoveries, and the others tell nothing.
fn recoveries(all: Vec<Summary>) -> Records {
    Records { own: Kept::Missing, recoveries: Kept::Read(all), told: Known::Known(BTreeMap::new()) }
}

fn event(at: i64, kind: past::Kind, words: &str) -> past::Event {
    past::Event::new(at, kind, words)
}

fn eventful() -> crate::decide::report::Facts {
    let mut facts = healthy();
    let entry = after(entry(3, 7, 0x8f3a_12bc_0000_0001, "n1", "n2 n3"), &[0xaa, 0xbb]);
    facts.ledger = Known::Known(store(&[entry]));
    facts.cib.node_states[0].runs = vec![Run {
        resource: "db".into(),
        operation: "promote".into(),
        interval: Some(0),
        is_memory: false,
        exit_code: Some(0),
        when: Some(NOW - 3000),
    }];
    facts.status.fencing = FenceHistory::Events(vec![FenceEvent {
        target: node("n3"),
        action: "reboot".into(),
        outcome: FenceOutcome::Success,
        completed: Some("2023-11-14 21:30:00Z".into()),
        delegate: Some("n1".into()),
        client: None,
        exit_reason: None,
    }]);
    facts.status.failures = vec![FailedAction {
        resource: "db".into(),
        operation: "monitor".into(),
        node: node("n2"),
        exit_code: Some(190),
        words: String::new(),
        reason: "does not stream from n1: the disk is full".into(),
        when: Some("in a form that nobody knows".into()),
    }];
    facts
}

#[test]
fn what_is_remembered_stands_in_its_order_with_its_time() {
    let all = vec![summary(NOW - 9000, Outcome::Failed), summary(NOW - 6000, Outcome::Done)];
    let history = history(&eventful(), &recoveries(all));
    let expected = "\
db: what is remembered, as seen from n1

2023-11-14T21:30:00Z  fencing    n3: was fenced by n1 (reboot)
2023-11-14T21:23:20Z  promotion  n1: became the primary (term 3, promotion
                                 8f3a12bc00000001, timeline 1)
2023-11-14T20:33:20Z  recovery   n1: brought back by rebuild from n2 in 3 min
                                 (data diverged)
2023-11-14T19:43:20Z  recovery   n1: attempt 2 to bring it back, rebuild from
                                 n2, failed: disk full (data diverged)
?                     failure    n2: monitor reported: does not stream from n1:
                                 the disk is full

The ledger:
- term 3: n1 since promotion 8f3a12bc00000001 (timeline 1, sync); after 7
  changes n2 or n3 may take over
- before that, newest first: 00000000000000aa (timeline 1), 00000000000000bb
  (timeline 1)

Nothing is told of themselves by:
- n2: it has written down nothing, or is back for less than a minute
- n3: it has written down nothing, or is back for less than a minute
";
    let text = history.to_string();
    assert!(text == expected, "said:\n{text}\nexpected:\n{expected}");
    fits(&text);
    let value = serde_json::to_value(json::remembered(&history)).unwrap();
    assert_eq!(
        value["events"][0],
        serde_json::json!({
            "at": "2023-11-14T21:30:00Z", "kind": "fencing", "node": "n3",
            "words": "was fenced by n1 (reboot)",
        })
    );
    assert_eq!(value["events"][4]["at"], serde_json::Value::Null);
    assert_eq!((&value["version"], &value["command"]), (&1.into(), &"history".into()));
}

#[test]
fn what_each_node_has_written_down_is_merged_and_nothing_is_told_twice() {
    use past::Kind::{Promotion, Recovery, Sync};
    // Pacemaker has the beginning of n1's promotion; n1 has written down its end, and an earlier one.
    let of_n1 = [
        event(NOW - 9000, Promotion, "became the primary (term 1, promotion 01, timeline 1)"),
        event(NOW - 8000, Recovery, "brought back by rewind from n2 in 3 s (data diverged)"),
        event(NOW - 2999, Promotion, "became the primary (term 3, promotion 02, timeline 3)"),
        event(NOW - 2000, Sync, "with n2 from now on (it streams); n2 may take over"),
    ];
    let of_n2 = [
        event(NOW - 7000, Promotion, "became the primary (term 2, promotion 03, timeline 2)"),
        event(NOW - 6000, Recovery, "brought back by rebuild from n1 in 9 s (it was asked for)"),
        // No node can say this in another's name: it is told as its own.
        event(NOW - 100, Sync, "n1: commits go on"),
    ];
    let mut facts = healthy();
    facts.cib.node_states = eventful().cib.node_states;
    let records = Records {
        own: Kept::Read(of_n1.to_vec()),
        recoveries: Kept::Read(vec![summary(NOW - 8000, Outcome::Done)]),
        told: Known::Known(
            [
                (node("n2"), told(&of_n2).unwrap()),
                // What this node has told is on its disk; and a stranger's word is none.
                (node("n1"), told(&of_n1).unwrap()),
                (node("n9"), told(&of_n1).unwrap()),
            ]
            .into(),
        ),
    };
    let merged = history(&facts, &records);
    let seen: Vec<(i64, &str, &str)> = merged
        .events
        .iter()
        .map(|one| (NOW - one.at.unwrap(), one.kind.word(), one.node.as_str()))
        .collect();
    let expected = [
        (100, "sync", "n2"),
        (2000, "sync", "n1"),
        (2999, "promotion", "n1"),
        (6000, "recovery", "n2"),
        (7000, "promotion", "n2"),
        (8000, "recovery", "n1"),
        (9000, "promotion", "n1"),
    ];
    assert_eq!(seen, expected);
    assert!(merged.events[5].words.starts_with("brought back by rebuild from n2 in 3 min"));
    assert_eq!(merged.problems, [""; 0]);
    assert_eq!(merged.silent.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(), ["n3"]);
    let value = serde_json::to_value(json::remembered(&merged)).unwrap();
    let why = "it has written down nothing, or is back for less than a minute";
    assert_eq!(value["silent"], serde_json::json!([{ "node": "n3", "why": why }]));
    assert_eq!(value["events"][1]["kind"], "sync");
    // A promotion that only an earlier one is written down of is told in Pacemaker's words.
    let records = Records { own: Kept::Read(of_n1[..2].to_vec()), ..recoveries(Vec::new()) };
    let merged = history(&facts, &records);
    let times: Vec<i64> = merged.events.iter().map(|one| NOW - one.at.unwrap()).collect();
    assert_eq!(times, [3000, 9000]);
    fits(&merged.to_string());
}

#[test]
fn what_cannot_be_read_is_said() {
    let mut facts = healthy();
    facts.status.fencing = FenceHistory::Unavailable("status 102".into());
    facts.ledger = Known::unknown("cibadmin hung");
    let records = Records {
        own: Kept::Unreadable("not ours".into()),
        recoveries: Kept::Unreadable("permission denied".into()),
        told: Known::unknown("attrd_updater hung"),
    };
    let unknown = history(&facts, &records);
    assert_eq!(unknown.events, []);
    assert_eq!(unknown.silent, []);
    assert_eq!(
        unknown.problems,
        [
            "the record of n1 cannot be read: not ours",
            "the recoveries of n1 cannot be read: permission denied",
            "what the other nodes tell cannot be read: attrd_updater hung",
            "the history of fencing cannot be read: status 102",
            "the ledger in the CIB cannot be read: cibadmin hung",
        ]
    );
    // What one node tells is taken whole or not at all, and costs the others nothing.
    let said = told(&[event(NOW - 5, past::Kind::Sync, "commits go on")]).unwrap();
    let rubbish = "1 | 5 sync \x1b[2J".to_owned();
    let records = Records {
        told: Known::Known([(node("n2"), rubbish), (node("n3"), said)].into()),
        ..recoveries(Vec::new())
    };
    let heard = history(&healthy(), &records);
    assert_eq!(
        heard.problems,
        ["what n2 tells of itself cannot be read: it is not printable ASCII"]
    );
    assert_eq!((heard.events.len(), heard.events[0].node.as_str()), (1, "n3"));
    assert!(unknown.to_string().contains("Nothing that has a date."), "{unknown}");
}

#[test]
fn a_moment_of_crm_mon_is_read_or_not_known() {
    for (text, expected) in [
        ("2023-11-14 22:13:20Z", Some(NOW)),
        ("2023-11-14 22:13:20.123456Z", Some(NOW)),
        ("2023-11-14 23:13:20 +01:00", Some(NOW)),
        ("2023-11-14 17:13:20 -05:00", Some(NOW)),
        ("2023-11-14T22:13:20Z", Some(NOW)),
        ("1970-01-01 00:00:00Z", Some(0)),
        ("2024-02-29 12:00:00Z", Some(1_709_208_000)),
        ("Fri Nov 20 11:57:54 2026", None),
        ("2023-13-14 22:13:20Z", None),
        ("2023-11-14 25:13:20Z", None),
        ("2023-11-14 22:13:20", None),
        ("2023-11-14", None),
        ("", None),
    ] {
        assert_eq!(moment(text), expected, "{text}");
    }
}
