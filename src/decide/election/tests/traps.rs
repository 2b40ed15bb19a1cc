//! The cases to get right (design 4.5 and 7), by their names, as a story each.

use std::cmp::Ordering;

use super::super::{Facts, Obstacle, Ruling, judge};
use super::ask;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Mode, PromotionId, Store};
use crate::decide::promote::intent;
use crate::decide::support::{after, at, at_least, entry, intending, node, nodes, says, store};
use crate::postgres::lsn::Timeline;

fn refused(facts: &Facts) -> Vec<Obstacle> {
    match judge(facts) {
        Ruling::Refused(obstacles) => obstacles,
        Ruling::Permitted(plan) => panic!("permitted: {plan:?}"),
    }
}

fn permitted(facts: &Facts) -> super::super::Plan {
    match judge(facts) {
        Ruling::Permitted(plan) => plan,
        Ruling::Refused(obstacles) => panic!("refused: {obstacles:?}"),
    }
}

/// S dies; P goes on alone; P dies; S returns alone.
#[test]
fn a_standby_that_was_left_behind_is_not_promoted() {
    let before = store(&[entry(1, 4, 1, "n1", "n2")]);
    let alone = store(&[entry(1, 5, 1, "n1", "")]);
    for members in [2, 3] {
        let s = |facts: Facts| if members == 2 { facts.of_two() } else { facts };
        // Its own CIB may be as old as its file, and P may have been fenced: it has no score, and
        // without one only a cold start gives it one.
        for out in ["", "n1", "n1 n3"] {
            let facts = s(ask("n2")).ledger(&before).cold().out(out);
            assert!(
                refused(&facts).contains(&Obstacle::NotSeen(node("n1"), "silent".into())),
                "{members} nodes, out: {out:?}"
            );
        }
        // With a CIB that has heard of it, it is not even an heir, score or not.
        for facts in [
            s(ask("n2")).own(before.clone()).cib(alone.clone()),
            s(ask("n2")).own(before.clone()).cib(alone.clone()).cold(),
        ] {
            let words: Vec<String> = refused(&facts).iter().map(ToString::to_string).collect();
            assert_eq!(
                words,
                ["only n1 has every acknowledged commit (term 1: it went on alone)"],
                "{members} nodes"
            );
        }
        // P returns: it is primary, with all that it has.
        let facts = s(ask("n1")).own(alone.clone()).cib(before.clone()).cold();
        let plan = permitted(&facts.sees("n2", at("1", "0/400"), before.clone()));
        assert!(plan.in_place && plan.names.is_empty() && plan.heirs.is_empty());
    }
}

/// The third node, which holds no data of value, gives quorum; it may hold an old CIB.
#[test]
fn quorum_of_other_nodes_changes_nothing() {
    let old = store(&[entry(1, 4, 1, "n1", "n2")]);
    let facts = ask("n2").ledger(&old).cold().sees("n3", at("1", "0/400"), old.clone());
    assert_eq!(refused(&facts), [Obstacle::NotSeen(node("n1"), "silent".into())]);
    let facts = ask("n2").ledger(&old).cold().blank("n3");
    assert_eq!(refused(&facts), [Obstacle::NotSeen(node("n1"), "silent".into())]);
}

/// After a restart a standby answers SQL while it replays what it had flushed long ago.
#[test]
fn a_standby_that_is_still_replaying_is_not_taken_for_behind() {
    let ledger = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let facts = ask("n2").ledger(&ledger).sees("n3", at_least("1", "0/100"), ledger.clone());
    assert_eq!(refused(&facts), [Obstacle::NotExact(node("n3"))]);
    assert!(judge(&facts).may_pass(), "it is waited for");
    let facts = ask("n2").here(at_least("1", "9/0")).ledger(&ledger).sees(
        "n3",
        at("1", "0/500"),
        ledger.clone(),
    );
    assert_eq!(refused(&facts), [Obstacle::StillReplaying]);
}

/// Of two standbys the one with more is promoted, whatever their names and however they are listed.
#[test]
fn standbys_are_not_ranked_in_reverse() {
    let ledger = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    for (mine, theirs) in [("0/400", "0/500"), ("0/500", "0/400"), ("0/500", "0/500")] {
        for (me, other) in [("n2", "n3"), ("n3", "n2")] {
            let facts = ask(me).here(at("1", mine)).ledger(&ledger).sees(
                other,
                at("1", theirs),
                ledger.clone(),
            );
            let ruling = judge(&facts);
            match mine.cmp(theirs) {
                Ordering::Less => assert_eq!(ruling.better(), Some(&node(other))),
                Ordering::Equal | Ordering::Greater => {
                    assert!(matches!(ruling, Ruling::Permitted(_)), "{me} at {mine}: {ruling:?}");
                }
            }
        }
    }
}

/// A timeline's number says nothing: the branch with the larger one may be the dead one.
#[test]
fn a_larger_timeline_is_not_taken_for_more() {
    let ledger = store(&[after(entry(3, 1, 3, "n1", "n2 n3"), &[1])]);
    let facts = ask("n2").here(at("1@0/300,2", "0/500")).ledger(&ledger).sees(
        "n3",
        at("1@0/400,9", "9/0"),
        ledger.clone(),
    );
    assert!(matches!(refused(&facts).as_slice(), [Obstacle::Diverged { .. }]));
    // And an ancestor that has not followed is behind, not elsewhere.
    let facts = ask("n2").here(at("1@0/300,2", "0/500")).ledger(&ledger).sees(
        "n3",
        at("1", "0/300"),
        ledger,
    );
    assert!(matches!(judge(&facts), Ruling::Permitted(_)));
}

/// Silence is not an empty answer.
#[test]
fn a_primary_that_cannot_be_found_permits_nobody() {
    let ledger = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    for why in ["crm_mon hung", "the answer was rubbish", ""] {
        let mut facts = ask("n2").ledger(&ledger);
        facts.peers.insert(node("n3"), Known::unknown(why));
        assert_eq!(refused(&facts), [Obstacle::NotSeen(node("n3"), why.into())]);
        facts.cib = Known::unknown(why);
        assert_eq!(refused(&facts), [Obstacle::CibUnknown(why.into())]);
    }
}

/// A node that reports of another member does not speak for it.
#[test]
fn a_peer_speaks_for_itself_only() {
    // n3 has heard that n1 went on alone; n1 itself, who is here, says otherwise.
    let facts = ask("n2")
        .ledger(&store(&[entry(1, 4, 1, "n1", "n2")]))
        .sees("n1", at("1", "0/500"), store(&[entry(1, 4, 1, "n1", "n2")]))
        .sees("n3", at("1", "0/500"), store(&[entry(1, 5, 1, "n1", "")]));
    assert_eq!(permitted(&facts).names, nodes(""));
    // n1 is not here: what n3 has heard binds.
    let facts = ask("n2").ledger(&store(&[entry(1, 4, 1, "n1", "n2")])).sees(
        "n3",
        at("1", "0/500"),
        store(&[entry(1, 5, 1, "n1", "")]),
    );
    assert!(matches!(refused(&facts).as_slice(), [Obstacle::NotAnHeir(_)]));
}

/// Two crashes around a promotion give two branches one timeline number; only the ids differ.
#[test]
fn two_promotions_on_one_timeline_are_told_apart() {
    let ledger = store(&[after(entry(3, 0, 3, "n1", "n2"), &[1])]);
    let here = at("1@0/300,2", "0/500");
    let of = |id| Some(PromotionId(id));
    for (followed, allowed) in [(None, true), (of(3), true), (of(1), true), (of(2), false)] {
        let facts = Facts { followed, ..ask("n2").here(here.clone()).ledger(&ledger) };
        assert_eq!(matches!(judge(&facts), Ruling::Permitted(_)), allowed, "{followed:?}");
    }
}

/// An intent that was given up is never counted against those who come after it; its term is.
#[test]
fn a_term_is_never_used_twice() {
    let one = entry(1, 4, 1, "n1", "n2");
    let mut cib = store(std::slice::from_ref(&one));
    cib.set_intent(entry(2, 0, 2, "n3", ""));
    let own = store(std::slice::from_ref(&one));
    let facts = ask("n2").own(own.clone()).cib(cib).sees("n3", at("1", "0/500"), own.clone());
    assert_eq!(permitted(&facts).term, 3);
    // Nor is a seq: what a relax that never ended has used stays used.
    let facts = ask("n1").own(own.clone()).cib(store(&[entry(1, 9, 1, "n1", "")])).sees(
        "n2",
        at("1", "0/500"),
        own.clone(),
    );
    assert_eq!((permitted(&facts).term, permitted(&facts).seq), (1, 10));
}

/// An intent has the timeline from which its promotion starts. In the history of who comes after it stands the one that
/// it writes, so data that ends before that is not said to contain it (`known-history`). Found by the simulator.
#[test]
fn a_promotion_that_is_known_as_an_intent_has_the_timeline_that_it_writes() {
    let ledger = intending(&[entry(1, 4, 1, "n1", "n2")], &entry(2, 0, 2, "n1", "n2"));
    let plan = permitted(&ask("n2").ledger(&ledger));
    for (ends_on, expected) in [(1, vec![]), (2, vec![(2, 2)])] {
        let (followed, timeline) = (Some(PromotionId(2)), Timeline(ends_on));
        let intent = intent(&plan, &node("n2"), followed, PromotionId(3), 7, timeline, Mode::Sync);
        let past: Vec<_> = intent.history.iter().map(|one| (one.id.0, one.timeline.0)).collect();
        assert_eq!(past, expected, "data that ends on {ends_on}");
    }
}

/// A node whose database is gone is neither a rival nor a witness.
#[test]
fn a_node_without_a_database_does_not_speak() {
    let ledger = store(&[entry(1, 4, 1, "n1", "n2")]);
    // Its entry is not taken as void because the node is there: it counts as others have it.
    let mut cib = ledger.clone();
    cib.set_intent(entry(2, 0, 2, "n3", ""));
    let facts = ask("n2").own(ledger).cib(cib).blank("n3");
    assert!(matches!(refused(&facts).as_slice(), [Obstacle::NotAnHeir(_)]));
}

/// All members stopped cleanly, all are back: the same primary or an equal one, and nobody else.
#[test]
fn a_whole_cluster_that_returns_finds_one_primary_among_equals() {
    let ledger = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let ends = [("n1", "0/500"), ("n2", "0/500"), ("n3", "0/400")];
    let mut may = Vec::new();
    for (me, mine) in ends {
        let mut facts = ask(me).here(at("1", mine)).ledger(&ledger).cold();
        for (other, theirs) in ends.iter().filter(|(other, _)| *other != me) {
            facts.peers.insert(node(other), says(at("1", theirs), ledger.clone()));
        }
        if matches!(judge(&facts), Ruling::Permitted(_)) {
            may.push(me);
        }
    }
    assert_eq!(may, ["n1", "n2"]);
}

/// A first start with an own ledger that is empty because there is none, and one in the CIB, is not a
/// first start.
#[test]
fn a_ledger_in_the_cib_alone_makes_it_no_first_start() {
    let cib = store(&[entry(1, 4, 1, "n1", "n2")]);
    let facts = ask("n3").cib(cib).sees("n1", at("1", "0/100"), Store::default()).sees(
        "n2",
        at("1", "0/100"),
        Store::default(),
    );
    assert!(matches!(judge(&facts), Ruling::Refused(_)));
}

/// The very first promotion was killed before PostgreSQL was told of it, and its node has given it up; the
/// others and the CIB still have the intent. Found by the simulator: nobody could be promoted any more.
#[test]
fn a_first_promotion_that_came_to_nothing_does_not_block_the_first_start() {
    let left = intending(&[], &entry(1, 0, 1, "n1", ""));
    let gave_up = Store::default;
    let n1 = ask("n1").own(gave_up()).cib(left.clone());
    let n1 =
        n1.sees("n2", at("1", "0/500"), left.clone()).sees("n3", at("1", "0/500"), left.clone());
    let n2 = ask("n2").own(left.clone()).cib(left.clone());
    let n2 = n2.sees("n3", at("1", "0/500"), gave_up());
    // Its term stays used: as long as n1 is away again, it would count beside another of that term.
    assert_eq!(permitted(&n1).term, 2);
    assert_eq!(permitted(&n2.clone().sees("n1", at("1", "0/500"), gave_up())).term, 2);
    assert!(matches!(refused(&n2).as_slice(), [Obstacle::NotAnHeir(_)]), "n1 may have written");
    // Nor is it given up while n1 itself does not know what became of it.
    assert!(matches!(judge(&n1.own(left)), Ruling::Refused(_)));
}
