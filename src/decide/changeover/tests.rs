#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cluster::cib::Cib;

const NOW: i64 = 1_764_138_600;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn readiness() -> Readiness {
    let side =
        Side { version: "17.6".into(), libc: Some("glibc 2.36".into()), icu: Some("72".into()) };
    Readiness {
        at: NOW - 60,
        engine: "podman-5.4.2".into(),
        image: "r.example/pg:17.6".into(),
        id: format!("sha256:{}", "0a".repeat(32)),
        inside: side.clone(),
        host: Some(side),
        against: Vec::new(),
    }
}

fn member(at: Target) -> Member {
    Member { at: Known::Known(at), streams: true, told: Known::Known(Some(readiness())) }
}

/// Three nodes on their hosts, n1 the primary.
fn facts() -> Facts {
    let mut members: BTreeMap<NodeName, Member> =
        ["n1", "n2", "n3"].map(|name| (node(name), member(Target::Host))).into();
    members.get_mut(&node("n1")).unwrap().streams = false;
    Facts {
        target: Target::Container,
        now: NOW,
        members,
        writable: vec![node("n1")],
        apart: BTreeSet::new(),
        elsewhere: Known::Known(Target::Host),
        against_a_move: Vec::new(),
    }
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = facts();
    change(&mut facts);
    facts
}

fn of<'f>(facts: &'f mut Facts, name: &str) -> &'f mut Member {
    facts.members.get_mut(&node(name)).unwrap()
}

fn told(facts: &mut Facts, name: &str, change: impl FnOnce(&mut Readiness)) {
    let mut one = readiness();
    change(&mut one);
    of(facts, name).told = Known::Known(Some(one));
}

fn in_words(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Already => "already".into(),
        Ruling::Refused(why) => format!("no: {}", why.join("; ")),
        Ruling::Possible(plan) => plan
            .steps
            .iter()
            .map(|step| match step {
                Step::Restart(node) => format!("restart {node}"),
                Step::MoveFrom(node) => format!("move from {node}"),
                Step::Settle => "settle".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[test]
fn standbys_come_first_then_the_primary_is_moved_and_what_is_there_already_is_left_alone() {
    let everywhere = |facts: &mut Facts, at: Target| {
        for member in facts.members.values_mut() {
            member.at = Known::Known(at);
        }
    };
    let rows: &[(&str, Facts, &str)] = &[
        ("all", facts(), "restart n2, restart n3, move from n1, restart n1, settle"),
        (
            "one is there",
            with(|f| {
                of(f, "n2").at = Known::Known(Target::Container);
                f.apart.insert(node("n2"));
            }),
            "restart n3, move from n1, restart n1, settle",
        ),
        (
            "the primary is there",
            with(|f| {
                of(f, "n1").at = Known::Known(Target::Container);
                // The primary stays: it does not matter that it could not be moved.
                f.against_a_move.push("no quorum".into());
            }),
            "restart n2, restart n3, settle",
        ),
        (
            "only to be settled",
            with(|f| {
                everywhere(f, Target::Container);
                f.apart.insert(node("n2"));
            }),
            "settle",
        ),
        (
            "all, and settled",
            with(|f| {
                everywhere(f, Target::Container);
                f.elsewhere = Known::Known(Target::Container);
            }),
            "already",
        ),
        ("back, and there", with(|f| f.target = Target::Host), "already"),
        (
            "back",
            with(|f| {
                everywhere(f, Target::Container);
                f.elsewhere = Known::Known(Target::Container);
                f.target = Target::Host;
            }),
            "restart n2, restart n3, move from n1, restart n1, settle",
        ),
        (
            "back from the middle",
            with(|f| {
                of(f, "n2").at = Known::Known(Target::Container);
                f.apart.insert(node("n2"));
                f.target = Target::Host;
            }),
            "restart n2, settle",
        ),
    ];
    for (name, facts, expected) in rows {
        assert_eq!(in_words(&judge(facts)), *expected, "{name}");
    }
}

#[test]
fn what_is_not_known_or_speaks_against_it_keeps_all_nodes_where_they_are() {
    let rows: &[(&str, Facts, &str)] = &[
        ("no primary", with(|f| f.writable.clear()), "no primary that accepts writes"),
        ("two", with(|f| f.writable.push(node("n2"))), "several nodes accept writes"),
        ("a standby is away", with(|f| of(f, "n3").streams = false), "n3 does not stream"),
        (
            "told nothing",
            with(|f| of(f, "n3").told = Known::Known(None)),
            "n3 has told nothing of its image: run pgtwin container pull on n3",
        ),
        (
            "told long ago",
            with(|f| told(f, "n2", |one| one.at = NOW - OLD - 1)),
            "n2 has told of its image is a day old: run pgtwin container pull on n2",
        ),
        (
            "not known",
            with(|f| of(f, "n1").told = Known::unknown("rubbish")),
            "n1 has told of its image is not known (rubbish)",
        ),
        (
            "it speaks against it",
            with(|f| told(f, "n2", |one| one.against.push("no pgvector".into()))),
            "n2: no pgvector",
        ),
        (
            "a foreign rule",
            with(|f| of(f, "n2").at = Known::unknown("a rule that is not pgtwin's")),
            "n2: a rule that is not pgtwin's",
        ),
        ("no move", with(|f| f.against_a_move.push("no quorum".into())), "no quorum"),
        (
            "no standby",
            with(|f| f.members.retain(|name, _| name.as_str() == "n1")),
            "there is no standby: set container_mode=true",
        ),
        (
            "nothing on the host",
            with(|f| {
                of(f, "n2").at = Known::Known(Target::Container);
                told(f, "n2", |one| one.host = None);
                f.target = Target::Host;
            }),
            "n2: PostgreSQL 17 is not installed on the host",
        ),
    ];
    for (name, facts, words) in rows {
        let ruling = in_words(&judge(facts));
        assert!(ruling.starts_with("no: ") && ruling.contains(words), "{name}: {ruling}");
    }
    // What speaks against the container is no reason to stay in it.
    let back = with(|f| {
        of(f, "n2").at = Known::Known(Target::Container);
        told(f, "n2", |one| one.against.push("no pgvector".into()));
        f.target = Target::Host;
    });
    assert_eq!(in_words(&judge(&back)), "restart n2, settle");
}

#[test]
fn other_collations_and_other_images_are_told() {
    let remarks = |facts: &Facts| match judge(facts) {
        Ruling::Possible(plan) => plan.remarks,
        other => panic!("{other:?}"),
    };
    assert_eq!(remarks(&facts()), Vec::<String>::new());
    let other = with(|f| {
        for name in ["n2", "n3"] {
            told(f, name, |one| one.host.as_mut().unwrap().libc = Some("glibc 2.41".into()));
        }
        told(f, "n1", |one| one.id = format!("sha256:{}", "0b".repeat(32)));
    });
    let said = remarks(&other);
    assert!(said[0].contains("0a0a0a0a0a0a on n2, n3; 0b0b0b0b0b0b on n1"), "{said:?}");
    assert!(said[1].starts_with("n2, n3: the image has glibc 2.36 and the host glibc 2.41;"));
    assert_eq!(said.len(), 2);
    let side = readiness().inside;
    assert_eq!(collations(&side, None), Vec::<String>::new());
    assert_eq!(collations(&side, Some(&side)), Vec::<String>::new());
    for (inside, host, words) in [
        (Side { libc: None, ..side.clone() }, side.clone(), "does not tell its version"),
        (
            side.clone(),
            Side { libc: None, ..side.clone() },
            "which C library the host has is not known",
        ),
        (side.clone(), Side { icu: Some("76".into()), ..side.clone() }, "ICU 72 and the host 76"),
        (Side { icu: None, ..side.clone() }, side.clone(), "ICU none and the host 72"),
    ] {
        let said = collations(&inside, Some(&host));
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
    }
}

#[test]
fn a_node_with_a_set_of_its_own_is_told_from_the_rest() {
    let rule = set_in_xml("db", &node("n2"), Target::Container);
    let inside = rule.strip_prefix("<primitive id=\"db\">").unwrap();
    let inside = inside.strip_suffix("</primitive>").unwrap();
    let cib = |sets: &str| {
        Cib::parse_configuration(&format!(
            "<cib><configuration><crm_config/><nodes/><resources><clone id='c'><primitive id='db' \
             class='ocf' provider='heartbeat' type='pgtwin'>{sets}</primitive></clone></resources>\
             <constraints/></configuration></cib>"
        ))
        .unwrap()
    };
    let at = |sets: &str, name: &str| target_on(cib(sets).primitive("db").unwrap(), &node(name));
    let all = |value: &str| {
        format!(
            "<instance_attributes id='a'><nvpair id='b' name='container_mode' value='{value}'/>\
             </instance_attributes>"
        )
    };
    assert_eq!(at("", "n1"), Known::Known(Target::Host));
    assert_eq!(at(inside, "n1"), Known::Known(Target::Host));
    assert_eq!(at(inside, "n2"), Known::Known(Target::Container));
    assert_eq!(at(&all("yes"), "n1"), Known::Known(Target::Container));
    assert_eq!(at(&(all("no") + inside), "n2"), Known::Known(Target::Container));
    assert!(!at(&all("perhaps"), "n1").is_known());
    assert!(unset_in_xml("db", &node("n2")).contains("\"pgtwin-db-runtime-n2\""));
    assert_eq!(set_of("db", &node("fe80::1")), "pgtwin-db-runtime-fe80__1");
}
