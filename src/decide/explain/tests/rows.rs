//! Each reason, by what leads to it.

use super::*;

#[test]
fn why_a_member_is_not_promoted_is_said_in_the_words_of_the_rule() {
    let rows: &[(&str, Change, &str, &str)] = &[
        (
            "no heir",
            |f| set_store(f, &store(&[entry(3, 7, ID, "n1", "n3")])),
            "n2",
            "only n1 or its standby n3 has every acknowledged commit (term 3)",
        ),
        (
            "the primary went on alone",
            |f| set_store(f, &store(&[entry(3, 7, ID, "n1", "")])),
            "n2",
            "only n1 has every acknowledged commit (term 3: it went on alone)",
        ),
        (
            "another heir is away",
            |f| fence(f, "n3"),
            "n2",
            "n3 may have more and has not said how far it is (it is offline)",
        ),
        (
            "another heir is lost",
            |f| set_node(&mut f.seen, "n3", LOST),
            "n2",
            "n3 may have more and has not said how far it is (it is lost, not fenced)",
        ),
        (
            "another heir does not answer",
            |f| {
                f.seen.servers.insert(node("n3"), Server::Silent("it starts: replaying".into()));
            },
            "n2",
            "n3 may have more and has not said how far it is (it starts: replaying)",
        ),
        (
            "another heir does not stream",
            |f| f.seen.cib.node_states[2] = transient("n3", "not-streaming", Some(10_000)),
            "n2",
            "whether it has replayed all its WAL is not seen from n2",
        ),
        (
            "another heir has more",
            |f| {
                f.seen.servers.insert(node("n3"), Server::Standby(Timeline(3), Lsn(AT.0 + 8)));
            },
            "n2",
            "n3 has more: timeline 3 at 0/5000150, this node timeline 3 at 0/5000148",
        ),
        (
            "it still replays",
            |f| {
                f.standby =
                    Some(crate::decide::facts::StandbyFacts { receive: None, ..streaming(7, 0) });
            },
            "n2",
            "this node still replays WAL that it already has",
        ),
        (
            "its file is lost",
            |f| {
                f.own = None;
                f.seen.own = OwnLedger::Missing;
            },
            "n2",
            "this node's ledger file is no help (it is missing)",
        ),
        (
            "its file is damaged",
            |f| {
                f.own = None;
                f.seen.own = OwnLedger::Unreadable("checksum".into());
            },
            "n2",
            "this node's ledger file is no help (checksum)",
        ),
        (
            "another's file is not known",
            |f| f.acks = Known::Known([(node("n2"), its().ack())].into()),
            "n3",
            "this node's ledger file is no help (it has not said that it has one)",
        ),
        (
            "the CIB is not read",
            |f| f.seen.ledger = Known::unknown("cibadmin hung"),
            "n2",
            "the ledger in the CIB could not be read: cibadmin hung",
        ),
        (
            "its data is of another promotion",
            |f| f.own.as_mut().unwrap().followed = Some(entry(1, 0, 9, "n3", "").id),
            "n2",
            "this node's data is of promotion",
        ),
        (
            "another line",
            |f| {
                f.lines.insert(Timeline(4), Known::Known("1@0/2000000,4".parse().unwrap()));
                f.seen.servers.insert(node("n3"), Server::Standby(Timeline(4), AT));
            },
            "n2",
            "this node and n3 are on different lines of history since timeline 1 at 0/2000000",
        ),
        (
            "a line that nobody gave",
            |f| {
                f.lines.clear();
            },
            "n2",
            "the history of timeline 3 is not known",
        ),
        (
            "another database",
            |f| {
                f.seen.systems.insert(node("n2"), 8);
            },
            "n2",
            "is about database system 7, this node's is 8",
        ),
        (
            "who it is was not said",
            |f| {
                f.seen.systems.clear();
            },
            "n2",
            "which database it has is not known",
        ),
        (
            "an intent that binds",
            |f| set_store(f, &intending(&[its()], &entry(4, 0, ID + 1, "n1", ""))),
            "n2",
            "only n1 has every acknowledged commit (term 4: it went on alone)",
        ),
        (
            "not a standby",
            |f| {
                f.seen.servers.insert(node("n2"), Server::Absent("it does not run".into()));
            },
            "n2",
            "how far this node's data goes is unknown: it does not run",
        ),
        (
            "banned",
            |f| {
                f.seen.status.bans.push(Ban {
                    id: "cli-ban-x".into(),
                    resource: "db-clone".into(),
                    node: "n2".into(),
                    promoted_only: true,
                });
            },
            "n2",
            "the constraint cli-ban-x keeps it from there",
        ),
        (
            "forbidden",
            |f| {
                f.seen.cib.locations.push(Location {
                    id: "never".into(),
                    resource: Some("db-clone".into()),
                    node: Some("n2".into()),
                    score: Some("-INFINITY".into()),
                    role: None,
                    rules: Vec::new(),
                    complex: false,
                });
            },
            "n2",
            "the constraint never keeps it from there",
        ),
        (
            "on standby",
            |f| f.seen.status.nodes[1].standby = true,
            "n2",
            "it was put on standby (crm node online n2)",
        ),
        (
            "in maintenance",
            |f| f.seen.status.nodes[1].maintenance = true,
            "n2",
            "it is in maintenance mode",
        ),
        (
            "blocked",
            |f| f.seen.status.instances[1].blocked = true,
            "n2",
            "crm_resource --cleanup --resource db --node n2",
        ),
        (
            "stopped",
            |f| f.seen.status.instances.retain(|one| one.nodes != [node("n2")]),
            "n2",
            "its instance is stopped",
        ),
        (
            "failed too often",
            |f| {
                let count = Setting::Set("INFINITY".into());
                f.seen.cib.node_states[1].transient.insert("fail-count-db#start_0".into(), count);
            },
            "n2",
            "it has failed there too often",
        ),
    ];
    for (name, change, who, expected) in rows {
        let mut facts = seen_from_n2();
        change(&mut facts);
        let words = reason(&facts, "n1", who);
        assert!(words.contains(expected), "{name}: {words}");
        assert!(!then(&facts, "n1").contains(&node(who)), "{name}");
    }
}

#[test]
fn what_stops_everybody_is_said_once() {
    let rows: &[(&str, Change, &str)] = &[
        (
            "maintenance",
            |f| f.seen.status.options.maintenance_mode = true,
            "the cluster is in maintenance mode",
        ),
        (
            "unmanaged",
            |f| f.seen.status.instances[1].managed = false,
            "Pacemaker does not manage db",
        ),
        (
            "no quorum",
            |f| f.seen.status.quorum = Quorum::Inquorate,
            "without quorum Pacemaker promotes nobody",
        ),
        (
            "no controller",
            |f| f.seen.status.quorum = Quorum::NoController,
            "whether there is quorum is not known",
        ),
        (
            "target-role",
            |f| {
                let at = f.seen.cib.primitives.iter().position(|one| one.id == "db").unwrap();
                let role = Setting::Set("Unpromoted".into());
                f.seen.cib.primitives[at].meta.insert("target-role".into(), role);
            },
            "target-role=Unpromoted is set on db",
        ),
    ];
    for (name, change, expected) in rows {
        let mut facts = without_n1();
        change(&mut facts);
        let explanation = explain(&facts, &BTreeSet::new());
        assert!(
            explanation.blocked.iter().any(|words| words.contains(expected)),
            "{name}: {explanation}"
        );
        assert!(explanation.then.is_empty() && !explanation.is_well(), "{name}");
    }
    let mut facts = without_n1();
    facts.seen.status.quorum = Quorum::Inquorate;
    facts.seen.cib.options.insert("no-quorum-policy".into(), Setting::Set("ignore".into()));
    assert_eq!(then(&facts, ""), nodes("n2 n3"));
}

#[test]
fn writes_that_wait_say_for_what() {
    // n2 and n3 are gone from the primary's sight.
    let cut = |change: fn(&mut Facts)| {
        let mut facts = well();
        facts.seen.local = Some(local(&[], "ANY 1 (\"n2\",\"n3\")"));
        change(&mut facts);
        explain(&facts, &BTreeSet::new()).now
    };
    let rows: &[(&str, Change, &str)] = &[
        ("they run", |_| {}, "writes wait until n2, n3 is fenced or has confirmed that it left"),
        (
            "lost",
            |f| {
                set_node(&mut f.seen, "n2", LOST);
                set_node(&mut f.seen, "n3", LOST);
            },
            "writes wait until n2, n3 is fenced or has confirmed that it left",
        ),
        ("strict", |f| f.strict = true, "writes wait for a standby (sync_strict=true)"),
        (
            "no quorum",
            |f| f.seen.status.quorum = Quorum::Inquorate,
            "writes wait: this partition has no quorum",
        ),
        (
            "no fencing",
            |f| {
                f.seen.cib.options.insert("stonith-enabled".into(), Setting::Set("false".into()));
                set_node(&mut f.seen, "n2", OFF);
                set_node(&mut f.seen, "n3", OFF);
            },
            "writes wait: a lost standby cannot be proven dead without fencing",
        ),
    ];
    for (name, change, expected) in rows {
        match cut(*change) {
            Writes::Wait(words) => assert!(words.contains(expected), "{name}: {words}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
