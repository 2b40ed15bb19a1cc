//! The shape for programs.

use super::*;
use crate::decide::report::json;

#[test]
fn the_last_promotion_is_told_with_its_time_as_long_as_pacemaker_knows_it() {
    let mut facts = healthy();
    facts.cib.node_states[0].runs = vec![Run {
        resource: "db".into(),
        operation: "promote".into(),
        interval: Some(0),
        is_memory: false,
        exit_code: Some(0),
        when: Some(NOW - 12_000),
    }];
    let text = report(&facts).to_string();
    let words =
        "last promotion: n1,\n             2023-11-14T18:53:20Z, 3 h 20 min ago (term 3, promotion";
    assert!(text.contains(words), "{text}");
    let value = serde_json::to_value(json::status(&facts, &report(&facts))).unwrap();
    assert_eq!(value["ledger"]["promoted_at"], "2023-11-14T18:53:20Z");
    for other in [("start", Some(0), "db"), ("promote", Some(1), "db"), ("promote", Some(0), "x")] {
        let (operation, exit_code, resource) = other;
        let mut facts = facts.clone();
        let run = &mut facts.cib.node_states[0].runs[0];
        (run.operation, run.exit_code, run.resource) =
            (operation.into(), exit_code, resource.into());
        assert!(!report(&facts).to_string().contains(" ago ("), "{other:?}");
    }
}

#[test]
fn the_json_has_its_shape() {
    let mut facts = healthy();
    facts.delays.insert(node("n3"), Known::unknown("it does not let us in"));
    let report = report(&facts);
    let value = serde_json::to_value(json::status(&facts, &report)).unwrap();
    let by_parameters = serde_json::json!({
        "at": "host", "seen": false, "engine": null, "image": null, "image_id": null,
    });
    let standby = |name: &str, lag: u64, delay: Option<u64>| {
        serde_json::json!({
            "node": name, "role": "standby", "state": "streaming", "timeline": 3,
            "lsn": "0/5000148", "lag_bytes": lag, "delay_ms": delay, "sync": true, "score": 10_000,
            "heir": true, "runtime": by_parameters,
        })
    };
    let expected = serde_json::json!({
        "version": 1,
        "command": "status",
        "resource": "db",
        "seen_from": "n1",
        "mode": "sync",
        "attention": false,
        "primary": "n1",
        "members": [
            {
                "node": "n1", "role": "primary", "state": "writable", "timeline": 3,
                "lsn": "0/5000148", "lag_bytes": null, "delay_ms": null, "sync": null,
                "score": 20_000, "heir": null, "runtime": by_parameters,
            },
            standby("n2", 0, Some(0)),
            standby("n3", 16_384, None),
        ],
        "ledger": {
            "term": 3, "entry": 7, "promotion": "8f3a12bc00000001", "primary": "n1",
            "mode": "sync", "heirs": ["n2", "n3"], "writes_need": ["n2", "n3"],
            "promoted_at": null,
        },
        "quorum": true,
        "fencing": {"proves": true, "why_not": null, "devices": ["fencing"]},
        "maintenance": false,
        "address": {"address": "192.0.2.100", "nodes": ["n1"]},
        "lines": [
            {"title": "Ledger", "text": report.lines[0].1},
            {"title": "Quorum", "text": "yes: 3 of 3 nodes are online"},
            {"title": "Fencing", "text": "works (fencing)"},
            {"title": "Maintenance", "text": "no"},
            {"title": "Address", "text": "192.0.2.100 on n1"},
        ],
        "configuration": [],
        "warnings": [],
        "advice": ["how late the replay of n3 is, is not known: it does not let us in"],
    });
    assert_eq!(value, expected);
    assert!(report.to_string().contains("16384 B      ?  yes"), "{report}");
}
