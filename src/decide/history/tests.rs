#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{history, json, moment};
use crate::cluster::cib::Run;
use crate::cluster::known::Known;
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
    let recoveries =
        Kept::Read(vec![summary(NOW - 9000, Outcome::Failed), summary(NOW - 6000, Outcome::Done)]);
    let history = history(&eventful(), &recoveries);
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
fn what_cannot_be_read_is_said() {
    let mut facts = healthy();
    facts.status.fencing = FenceHistory::Unavailable("status 102".into());
    facts.ledger = Known::unknown("cibadmin hung");
    let history = history(&facts, &Kept::Unreadable("permission denied".into()));
    assert_eq!(history.events, []);
    assert_eq!(
        history.problems,
        [
            "the history of fencing cannot be read: status 102",
            "the recoveries of n1 cannot be read: permission denied",
            "the ledger in the CIB cannot be read: cibadmin hung",
        ]
    );
    assert!(history.to_string().contains("Nothing that has a date."), "{history}");
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
