use super::*;
use crate::cluster::ledger::{Ack, Mode};
use crate::decide::support::{after, entry, node, nodes};
use crate::decide::sync::{Cluster, Fencing, Next, Step, Waiting};
use crate::postgres::lsn::Lsn;
use std::collections::BTreeMap;

/// n3 is off for good, without a proof; n1 is the primary of term 3 and counts on it.
fn gone() -> Facts {
    Facts {
        node: node("n3"),
        me: node("n1"),
        writable: true,
        promoted: nodes("n1"),
        listed: true,
        similar: None,
        member: false,
        absence: Absence::Proven,
        streams: false,
        own: Some(entry(3, 7, 1, "n1", "n2 n3")),
        in_names: true,
        slot: None,
        has_score: true,
        replication_slot: Some("ha_slot_n3".into()),
    }
}

fn plan() -> Plan {
    Plan {
        leave_out: true,
        ledger: LedgerSlot::None,
        delete_score: true,
        drop_slot: Some("ha_slot_n3".into()),
        remarks: Vec::new(),
    }
}

fn slot(done: Option<Entry>, intent: Option<Entry>) -> Slot {
    Slot { done, intent, ..Slot::default() }
}

#[test]
fn a_node_is_forgotten_by_the_primary_and_only_when_it_is_away() {
    let rows: Vec<(&str, Facts, Result<Plan, &str>)> = vec![
        ("all that is remembered goes", gone(), Ok(plan())),
        ("this node", Facts { node: node("n1"), ..gone() }, Err("it cannot forget itself")),
        (
            "another spelling of a node's name",
            Facts { node: node("N3"), listed: false, similar: Some(node("n3")), ..gone() },
            Err("the one that may be meant is n3"),
        ),
        (
            "not here",
            Facts { writable: false, promoted: nodes("n2"), ..gone() },
            Err("the primary is on n2: run pgtwin forget n3 there"),
        ),
        (
            "no primary at all",
            Facts { writable: false, promoted: nodes(""), ..gone() },
            Err("there is no primary here"),
        ),
        (
            "promoted here for Pacemaker, and not writable",
            Facts { writable: false, ..gone() },
            Err("there is no primary here"),
        ),
        (
            "online",
            Facts { absence: Absence::Present("it is online".into()), ..gone() },
            Err("n3 cannot be forgotten: it is online"),
        ),
        (
            "unclean",
            Facts { absence: Absence::Present("it is lost".into()), ..gone() },
            Err("stonith_admin --confirm n3"),
        ),
        (
            "it streams although Pacemaker thinks that it is off",
            Facts { streams: true, ..gone() },
            Err("streams from this node"),
        ),
        (
            "promoted after this primary",
            Facts { slot: Some(slot(Some(entry(4, 0, 2, "n3", "")), None)), ..gone() },
            Err("n3 was promoted after this primary"),
        ),
        (
            "promoted in the same term",
            Facts { slot: Some(slot(Some(entry(3, 0, 2, "n3", "")), None)), ..gone() },
            Err("n3 was promoted after this primary"),
        ),
        (
            "an older entry of its own",
            Facts { slot: Some(slot(Some(entry(2, 5, 2, "n3", "n1")), None)), ..gone() },
            Ok(Plan { ledger: LedgerSlot::Delete, ..plan() }),
        ),
        (
            "an older intent of its own",
            Facts { slot: Some(slot(None, Some(entry(2, 5, 2, "n3", "n1")))), ..gone() },
            Ok(Plan { ledger: LedgerSlot::Delete, ..plan() }),
        ),
        (
            "only a replication slot is left",
            Facts {
                own: Some(entry(3, 8, 1, "n1", "n2")),
                in_names: false,
                has_score: false,
                ..gone()
            },
            Ok(Plan { leave_out: false, delete_score: false, ..plan() }),
        ),
        (
            "commits wait for it, although it is no heir yet",
            Facts { own: Some(entry(3, 0, 1, "n1", "")), ..gone() },
            Ok(plan()),
        ),
    ];
    for (name, facts, expected) in rows {
        match (judge(&facts), expected) {
            (Ruling::Do(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Ruling::Refused(why), Err(expected)) => {
                assert!(why.contains(expected), "{name}: {why}");
            }
            (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn nothing_is_done_where_nothing_remembers_the_node() {
    let facts = Facts {
        own: Some(entry(3, 8, 1, "n1", "n2")),
        in_names: false,
        has_score: false,
        replication_slot: None,
        ..gone()
    };
    assert_eq!(judge(&facts), Ruling::Nothing);
}

#[test]
fn what_the_operator_answers_for_is_said() {
    let remarks = |facts: Facts| match judge(&facts) {
        Ruling::Do(plan) => plan.remarks.join("\n"),
        other => panic!("{other:?}"),
    };
    let unproven = Absence::Assumed("fencing is disabled".into());
    let said = remarks(Facts { absence: unproven, ..gone() });
    assert!(said.contains("nothing but your word says that n3 is down: fencing is"), "{said}");
    let unknown = Absence::Present("its state is not known".into());
    let said = remarks(Facts { listed: false, absence: unknown, ..gone() });
    assert!(said.contains("Pacemaker knows no node n3"), "{said}");
    let said = remarks(Facts { member: true, ..gone() });
    assert!(said.contains("n3 is still a member"), "{said}");
    let said = remarks(Facts { own: Some(entry(3, 7, 1, "n1", "n3")), ..gone() });
    assert!(said.contains("n3 is the last standby"), "{said}");
    let intent = slot(None, Some(entry(4, 0, 2, "n3", "")));
    let said = remarks(Facts { slot: Some(intent), ..gone() });
    assert!(said.contains("n3 had begun a promotion (term 4, here 3)"), "{said}");
    assert_eq!(remarks(gone()), "");
}

/// The primary n1 with these entries in its file and in the CIB, while nobody streams and fencing
/// proves nothing.
fn care(own: &Entry, cib: &Entry, names: &str, online: &str) -> sync::Facts {
    let all = own.heirs.union(&nodes(names)).cloned().collect::<BTreeSet<_>>();
    let state = |name: &NodeName| {
        if nodes(online).contains(name) { NodeState::Online } else { NodeState::Unclean }
    };
    sync::Facts {
        me: node("n1"),
        mode: Mode::Sync,
        strict: false,
        own: own.clone(),
        lost: false,
        names: Some(nodes(names)),
        effective: true,
        barrier: None,
        standbys: all
            .iter()
            .map(|name| {
                (name.clone(), Standby { streaming: None, gone_for_long: true, eligible: true })
            })
            .collect(),
        cluster: Some(Known::Known(Cluster {
            cib: Some(cib.clone()),
            superseded: None,
            nodes: all.iter().map(|name| (name.clone(), state(name))).collect(),
            stopped: BTreeSet::new(),
            scores: BTreeMap::new(),
            acks: BTreeMap::new(),
            quorum: Known::Known(true),
            two_and_ignore: false,
            fencing: Fencing::Off("stonith-enabled=false".into()),
        })),
    }
}

fn cluster(facts: &mut sync::Facts) -> &mut Cluster {
    match &mut facts.cluster {
        Some(Known::Known(cluster)) => cluster,
        other => panic!("{other:?}"),
    }
}

fn next(facts: &sync::Facts, gone: &str) -> Next {
    sync::next(&with_word(facts, &nodes(gone)))
}

#[test]
fn without_the_word_the_primary_waits_for_a_proof_and_with_it_goes_on_alone() {
    let before = entry(3, 7, 1, "n1", "n2");
    let alone = before.with_heirs(BTreeSet::new(), 7);
    // Nobody streams: the CIB says first that the primary means to go on alone.
    let facts = care(&before, &before, "n2", "");
    assert_eq!(next(&facts, "n2"), Next::Do(Step::WriteCib(alone.clone())));
    // Then the proof is what is missing, and the word takes its place.
    let facts = care(&before, &alone, "n2", "");
    let why = "stonith-enabled=false".to_owned();
    assert_eq!(next(&facts, ""), Next::Wait(Waiting::NoFencing(why)));
    assert_eq!(next(&facts, "n2"), Next::Do(Step::WriteFile(alone.clone())));
    // And last V.
    let facts = care(&alone, &alone, "n2", "");
    assert_eq!(next(&facts, "n2"), Next::Do(Step::SetNames(nodes(""))));
    assert_eq!(next(&care(&alone, &alone, "", ""), "n2"), Next::Settled);
}

#[test]
fn the_word_is_about_the_node_that_it_names_and_no_other() {
    let before = entry(3, 7, 1, "n1", "n2 n3");
    let alone = before.with_heirs(BTreeSet::new(), 7);
    let facts = care(&before, &alone, "n2 n3", "n2");
    assert_eq!(next(&facts, "n3"), Next::Wait(Waiting::ForProof(nodes("n2"))));
    let facts = care(&before, &before, "n2 n3", "n2");
    // To begin is no proof: the step above is where n2 is waited for.
    assert_eq!(next(&facts, "n3"), Next::Do(Step::WriteCib(alone)));
}

#[test]
fn the_word_replaces_neither_quorum_nor_the_owners_wish_for_two_copies() {
    let before = entry(3, 7, 1, "n1", "n2");
    let alone = before.with_heirs(BTreeSet::new(), 7);
    let mut facts = care(&before, &alone, "n2", "");
    cluster(&mut facts).quorum = Known::Known(false);
    assert_eq!(next(&facts, "n2"), Next::Wait(Waiting::NoQuorum));
    let mut facts = care(&before, &before, "n2", "");
    facts.strict = true;
    assert_eq!(next(&facts, "n2"), Next::Wait(Waiting::Strict));
}

#[test]
fn the_one_that_stays_still_has_to_have_flushed_what_the_other_had() {
    let before = entry(3, 7, 1, "n1", "n2 n3");
    let mut facts = care(&before, &before, "n2", "n2");
    let stays = Standby { streaming: Some(Lsn(5)), gone_for_long: false, eligible: true };
    facts.standbys.insert(node("n2"), stays);
    assert_eq!(next(&facts, "n3"), Next::Do(Step::TakeBarrier));
    facts.barrier = Some(Lsn(9));
    assert_eq!(next(&facts, "n3"), Next::Do(Step::AwaitFlush(nodes("n2"))));
    facts.barrier = Some(Lsn(5));
    let smaller = before.with_heirs(nodes("n2"), 7);
    assert_eq!(next(&facts, "n3"), Next::Do(Step::WriteFile(smaller)));
}

#[test]
fn a_score_of_the_forgotten_node_goes_before_the_ledger_says_so() {
    let before = entry(3, 7, 1, "n1", "n2");
    let alone = before.with_heirs(BTreeSet::new(), 7);
    let mut facts = care(&before, &alone, "n2", "");
    cluster(&mut facts).scores.insert(node("n2"), 10_000);
    assert_eq!(next(&facts, "n2"), Next::Do(Step::Revoke(node("n2"))));
}

#[test]
fn a_grow_that_the_forgotten_node_never_confirmed_can_be_ended() {
    // E was enlarged by n2 while only n3 confirmed commits; then n3 was lost.
    let grown = after(entry(3, 8, 1, "n1", "n2 n3"), &[]);
    let mut facts = care(&grown, &grown, "n3", "n2");
    let stays = Standby { streaming: Some(Lsn(5)), gone_for_long: false, eligible: true };
    facts.standbys.insert(node("n2"), stays);
    assert_eq!(next(&facts, ""), Next::Wait(Waiting::ForAcks(nodes("n3"))));
    assert_eq!(next(&facts, "n3"), Next::Do(Step::SetNames(nodes("n2"))));
}

#[test]
fn before_pacemaker_was_asked_and_without_a_word_nothing_changes() {
    let before = entry(3, 7, 1, "n1", "n2");
    let mut facts = care(&before, &before, "n2", "");
    let ack: Ack = before.ack();
    cluster(&mut facts).acks.insert(node("n2"), ack);
    assert_eq!(format!("{:?}", with_word(&facts, &nodes(""))), format!("{facts:?}"));
    facts.cluster = None;
    assert_eq!(next(&facts, "n2"), Next::Do(Step::AskCluster));
    facts.cluster = Some(Known::unknown("crm_mon hung"));
    assert_eq!(next(&facts, "n2"), Next::Wait(Waiting::ClusterUnknown("crm_mon hung".into())));
}
