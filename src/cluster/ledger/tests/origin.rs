//! Whose WAL a node's data has, and what of it counts.

use super::{entry, node};
use crate::cluster::known::Known;
use crate::cluster::ledger::*;
use crate::cluster::sealed::seal;
use crate::postgres::lsn::{Lsn, Timeline};

/// A promotion of this node, in this term, that writes this timeline and descends from those.
fn promotion(id: u64, primary: &str, term: u64, timeline: u32, before: &[(u64, u32)]) -> Entry {
    let past =
        |(id, timeline): &(u64, u32)| Past { id: PromotionId(*id), timeline: Timeline(*timeline) };
    Entry {
        id: PromotionId(id),
        timeline: Timeline(timeline),
        history: before.iter().map(past).collect(),
        ..entry(primary, term, before.len() as u64, &[])
    }
}

/// n3 is noted as a follower of n1's promotion 10, of term 1, to timeline 2.
fn follower() -> Own {
    let mut own = Own::new("pg", &node("n3"));
    let first = promotion(10, "n1", 1, 2, &[]);
    own.store.set_done(first.clone());
    assert_eq!(own.note(&first, &Known::Known(Timeline(1))), Ok(true));
    assert_eq!(own.pointed, Some(Pointed { node: node("n1"), term: 1 }));
    own
}

fn with_intent(entry: Entry) -> Store {
    let mut store = Store::default();
    store.set_intent(entry);
    store
}

fn with_done(entry: Entry) -> Store {
    let mut store = Store::default();
    store.set_done(entry);
    store
}

#[test]
fn whose_wal_a_node_gets_reads_back_as_it_was_written() {
    let own = follower();
    assert!(own.to_text().contains("\npointed n1 1\n"));
    assert_eq!(Own::parse(&own.to_text(), "pg", &node("n3")).unwrap(), own);
    for bad in ["pointed n1", "pointed n1 x", "pointed n1 1 2", "pointed  1"] {
        let text = own.to_text().replace("pointed n1 1", bad);
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with("sum "))
            .fold(String::new(), |all, line| all + line + "\n");
        let sealed = crate::cluster::sealed::seal(body);
        assert!(Own::parse(&sealed, "pg", &node("n3")).is_err(), "{bad}");
    }
}

#[test]
fn what_data_has_beyond_the_noted_promotion_is_of_whom_it_was_pointed_at_or_of_nobody() {
    let in_place = || promotion(11, "n1", 1, 3, &[(10, 2)]);
    let about_to_in_place = || promotion(11, "n1", 1, 2, &[(10, 2)]);
    let twice = || promotion(12, "n1", 1, 4, &[(11, 3), (10, 2)]);
    let others = || promotion(20, "n2", 2, 3, &[(10, 2)]);
    let later = || promotion(30, "n1", 3, 4, &[(20, 3), (10, 2)]);
    let of_another_branch = || promotion(40, "n1", 1, 3, &[]);
    let rows: [(&str, u32, Store, Option<u64>); 9] = [
        ("no more than was noted", 2, with_done(in_place()), None),
        ("a restart in place that has ended", 3, with_done(in_place()), Some(11)),
        ("one that is about to end", 3, with_intent(about_to_in_place()), Some(11)),
        ("the second restart since", 4, with_done(twice()), Some(12)),
        ("more than the newest that is known", 4, with_done(in_place()), None),
        ("nothing is known", 3, Store::default(), None),
        ("another node's promotion", 3, with_done(others()), None),
        ("the same node's, and another's before it", 4, with_done(later()), None),
        ("one that does not descend from it", 3, with_done(of_another_branch()), None),
    ];
    for (name, reach, cib, expected) in rows {
        let mut own = follower();
        let before = own.clone();
        assert_eq!(own.is_unexplained(Timeline(reach)), reach > 2, "{name}");
        assert_eq!(own.explain(Timeline(reach), &cib), expected.is_some(), "{name}");
        match expected {
            Some(id) => {
                assert_eq!(own.followed, Some(PromotionId(id)), "{name}");
                assert!(!own.is_unexplained(Timeline(reach)), "{name}");
            }
            None => assert_eq!(own, before, "{name}"),
        }
        let beyond = expected.is_none() && reach > 2;
        assert!(!own.give_up(Timeline(reach), Timeline(2)), "{name}: PostgreSQL tells them apart");
        assert_eq!(own.give_up(Timeline(reach), Timeline(3)), beyond, "{name}");
        // Whoever was promoted, such data is of none that led to it.
        let elsewhere = [in_place(), twice(), others(), later()];
        assert_eq!(elsewhere.iter().all(|one| own.is_elsewhere_than(one)), beyond, "{name}");
    }
}

/// Regression: the simulator counts copies of data that could have followed. What a copy has got since was of nobody,
/// once the source had been restarted in place, and was copied once more.
#[test]
fn what_a_copy_gets_is_of_the_one_that_it_was_copied_from() {
    let in_place = promotion(11, "n1", 1, 3, &[(10, 2)]);
    for (name, cib, reach) in [
        ("the source was restarted in place", with_done(in_place.clone()), 3),
        ("it is about to be", with_intent(promotion(11, "n1", 1, 2, &[(10, 2)])), 3),
    ] {
        let mut own = Own::new("pg", &node("n3"));
        own.store.set_done(promotion(10, "n1", 1, 2, &[]));
        own.is_a_copy_of(PromotionId(10), &node("n1"));
        assert_eq!(own.pointed, Some(Pointed { node: node("n1"), term: 1 }), "{name}");
        assert!(own.explain(Timeline(reach), &cib), "{name}");
        assert_eq!(own.followed, Some(PromotionId(11)), "{name}");
    }
    // The entry of the copy is replaced before anything has come in.
    let mut own = Own::new("pg", &node("n3"));
    own.store.set_done(promotion(10, "n1", 1, 2, &[]));
    own.is_a_copy_of(PromotionId(10), &node("n1"));
    own.store.set_done(in_place);
    assert!(own.is_unexplained(Timeline(3)), "it is not forgotten who it is pointed at");
    assert!(own.explain(Timeline(3), &Store::default()));
    // Copied while the source was promoted for the second time.
    let mut own = Own::new("pg", &node("n3"));
    own.store.set_done(promotion(30, "n1", 3, 4, &[(20, 3), (10, 2)]));
    own.is_a_copy_of(PromotionId(10), &node("n1"));
    assert_eq!(own.pointed, Some(Pointed { node: node("n1"), term: 3 }));
}

#[test]
fn the_candidate_that_a_node_was_pointed_at_explains_what_came_before_the_note() {
    let reach = |timeline| Known::Known(Timeline(timeline));
    let mut own = follower();
    assert_eq!(own.point_at(&node("n2"), None, &reach(2)), Ok(true));
    assert_eq!(own.pointed, Some(Pointed { node: node("n2"), term: 2 }));
    assert_eq!(own.point_at(&node("n2"), None, &Known::unknown("")), Ok(false), "it is already");
    let promoted = promotion(20, "n2", 2, 3, &[(10, 2)]);
    let mut explained = own.clone();
    assert!(explained.explain(Timeline(3), &with_intent(promotion(20, "n2", 2, 2, &[(10, 2)]))));
    assert_eq!(explained.followed, Some(PromotionId(20)));
    assert_eq!(explained.pointed, Some(Pointed { node: node("n2"), term: 2 }));
    // The note may come with the WAL, and without that it be known how far that reaches.
    for reach in [reach(2), reach(3), Known::unknown("it replays")] {
        let mut own = own.clone();
        assert_eq!(own.note(&promoted, &reach), Ok(true));
        assert_eq!(own.note(&promoted, &Known::unknown("")), Ok(false));
    }
    // Nobody else's is, and with such WAL it is pointed at nobody else.
    let first = promotion(21, "n4", 2, 3, &[(10, 2)]);
    assert!(own.clone().note(&first, &reach(3)).is_err());
    assert!(own.clone().note(&first, &Known::unknown("it replays")).is_err());
    assert_eq!(own.clone().note(&first, &reach(2)), Ok(true), "it has nothing of n2");
    assert!(own.clone().point_at(&node("n1"), None, &reach(3)).is_err());
    assert!(own.clone().point_at(&node("n1"), None, &Known::unknown("it replays")).is_err());
    // In place: the term stays.
    assert_eq!(own.point_at(&node("n1"), None, &reach(2)), Ok(true));
    assert_eq!(own.pointed, Some(Pointed { node: node("n1"), term: 1 }));
    // What a candidate sends before it is promoted is of the promotion that its own data is of.
    let mut behind = follower();
    behind.store.set_done(promotion(11, "n1", 1, 3, &[(10, 2)]));
    assert_eq!(behind.point_at(&node("n2"), Some(PromotionId(11)), &reach(2)), Ok(true));
    assert_eq!(
        (behind.followed, behind.is_unexplained(Timeline(3))),
        (Some(PromotionId(11)), false)
    );
    assert_eq!(behind.pointed, Some(Pointed { node: node("n2"), term: 2 }));
    assert_eq!(behind.point_at(&node("n2"), Some(PromotionId(99)), &reach(3)), Ok(false));
    // What is promoted without what it has is not noted.
    assert!(own.note(&promotion(50, "n1", 3, 4, &[]), &reach(2)).is_err());
}

/// n3 is about to be promoted, from timeline 2 to timeline 3.
fn about_to() -> Own {
    let mut own = follower();
    own.intends(promotion(60, "n3", 2, 2, &[(10, 2)]));
    own
}

/// Timelines 3 and on hold no write up to here.
fn unwritten(after: u32, last: u32, end: u64) -> Known<Beyond> {
    let (after, last) = (Timeline(after), Timeline(last));
    Known::Known(Beyond::NeverWritten(NeverWritten { after, last, end: Lsn(end) }))
}

#[test]
fn what_a_node_has_written_itself_is_explained_and_follows_nobody_if_it_came_to_nothing() {
    let mut own = about_to();
    let mut void = own.clone();
    void.came_to_nothing(&unwritten(2, 3, 0x500));
    assert!(void.store.intent(&node("n3")).is_none());
    assert!(!void.is_unexplained(Timeline(3)), "it is its own");
    assert!(void.point_at(&node("n1"), None, &Known::Known(Timeline(3))).is_err());
    assert!(!void.give_up(Timeline(3), Timeline(2)), "the primary's line has no such timeline");
    assert!(void.give_up(Timeline(3), Timeline(3)));
    own.carried_out(&node("n3"), Some(Timeline(3)));
    assert_eq!((own.pointed_at(), own.is_unexplained(Timeline(9))), (None, false));
}

#[test]
fn a_timeline_that_nobody_has_written_to_counts_for_nothing_and_one_with_writes_was_carried_out() {
    let (me, end) = (node("n3"), Lsn(0x500));
    let without = |beyond: &Known<Beyond>| {
        let mut own = about_to();
        own.came_to_nothing(beyond);
        assert!(own.store.intent(&me).is_none());
        own
    };
    let void = without(&unwritten(2, 3, 0x500));
    for (name, timeline, lsn, counts) in [
        ("its begin", 3, end, Some(Timeline(2))),
        ("less of it", 3, Lsn(0x4f0), Some(Timeline(2))),
        ("more than was looked at", 3, Lsn(0x501), None),
        ("another timeline", 4, end, None),
        ("what it had before", 2, end, None),
    ] {
        assert_eq!(void.counts_up_to(Timeline(timeline), lsn), counts, "{name}");
    }
    assert_eq!(Own::parse(&void.to_text(), "pg", &me).unwrap(), void);

    for (name, beyond) in
        [("nothing", Known::Known(Beyond::Nothing)), ("unknown", Known::unknown("why"))]
    {
        assert_eq!(without(&beyond).counts_up_to(Timeline(3), end), None, "{name}");
    }
    // A write may have been acknowledged: the control file is a moment behind.
    let written = without(&Known::Known(Beyond::Written(Timeline(3))));
    let done = written.store.done(&me).unwrap();
    assert_eq!(
        (done.id, done.timeline, written.followed),
        (PromotionId(60), Timeline(3), Some(done.id))
    );

    // Somebody's WAL has come in since.
    let mut fed = about_to();
    fed.pointed = Some(Pointed { node: node("n1"), term: 1 });
    for beyond in [unwritten(2, 3, 0x500), Known::Known(Beyond::Written(Timeline(3)))] {
        let mut own = fed.clone();
        own.came_to_nothing(&beyond);
        assert_eq!((own.store.done(&me), own.never_written), (None, None));
    }

    // Twice: from the first to the last nothing was written.
    let mut again = void.clone();
    again.intends(promotion(61, "n3", 3, 3, &[(10, 2)]));
    let mut unknown = again.clone();
    again.came_to_nothing(&unwritten(3, 4, 0x600));
    assert_eq!(again.counts_up_to(Timeline(4), Lsn(0x600)), Some(Timeline(2)));
    unknown.came_to_nothing(&Known::Known(Beyond::Nothing));
    assert_eq!(unknown.counts_up_to(Timeline(3), end), Some(Timeline(2)));

    // What is known of the data since then is all.
    let mut copied = void.clone();
    copied.is_a_copy_of(PromotionId(10), &node("n1"));
    assert_eq!(copied.never_written, None);
    let mut promoted = void;
    promoted.store.set_intent(promotion(62, "n3", 3, 3, &[(10, 2)]));
    promoted.carried_out(&me, Some(Timeline(4)));
    assert_eq!(promoted.never_written, None);
}

#[test]
fn what_is_malformed_about_timelines_that_were_never_written_is_an_error() {
    let mut own = about_to();
    own.came_to_nothing(&unwritten(2, 3, 0x500));
    let text = own.to_text();
    assert!(text.contains("\nnever-written 2 3 0/500\n"), "{text}");
    for value in ["", "2", "2 3", "3 2 0/500", "2 3 500", "2 3 0/500 4", "two 3 0/500"] {
        let damaged = text.replace("never-written 2 3 0/500", &format!("never-written {value}"));
        let body: String =
            damaged.split_inclusive('\n').filter(|line| !line.starts_with("checksum")).collect();
        assert!(Own::parse(&seal(body), "pg", &node("n3")).is_err(), "{value}");
    }
}

/// Regression (seed 2540 of the simulator): the primary is the same as before, and nothing of it came in. To be noted as
/// its follower again made the begin of a timeline, of this node's own, that of the primary's next promotion.
#[test]
fn to_be_noted_once_more_changes_whom_it_gets_its_wal_from_only_if_all_it_has_is_explained() {
    let reach = |timeline| Known::Known(Timeline(timeline));
    let primary = promotion(10, "n1", 1, 2, &[]);
    let mut void = about_to();
    void.came_to_nothing(&unwritten(2, 3, 0x500));
    let before = void.clone();
    assert!(!void.is_fed_by(&primary));
    for reach in [reach(3), Known::unknown("it still replays")] {
        assert!(void.note(&primary, &reach).is_err(), "{reach:?}");
        assert_eq!(void, before);
    }
    assert_eq!(void.note(&primary, &reach(2)), Ok(true));
    assert!(void.is_fed_by(&primary));
    assert_eq!(void.note(&primary, &Known::unknown("nobody asks")), Ok(false));
}

#[test]
fn a_standby_is_without_the_promotion_that_came_to_nothing_if_it_has_no_write_of_it() {
    let mut own = follower();
    let intent = promotion(20, "n2", 2, 2, &[(10, 2)]);
    assert_eq!(own.noted_intent(), None, "that one was carried out");
    own.store.set_intent(intent.clone());
    own.followed = Some(PromotionId(20));
    own.pointed = Some(Pointed { node: node("n2"), term: 2 });
    let (noted, before) = own.noted_intent().map(|(a, b)| (a.clone(), b.clone())).unwrap();
    assert_eq!((noted, before.id), (intent, PromotionId(10)));
    let beyond = |found: Known<Beyond>| found.known().unwrap();
    for (name, found, reach, permitted) in [
        ("its begin", beyond(unwritten(2, 3, 0x500)), 3, true),
        ("more timelines than that", beyond(unwritten(2, 3, 0x500)), 4, false),
        ("nothing of it", Beyond::Nothing, 2, true),
        ("something of it that was not found", Beyond::Nothing, 3, false),
        ("writes", Beyond::Written(Timeline(3)), 3, false),
    ] {
        let without = own.without_the_noted(&before, &found, Timeline(reach));
        assert_eq!(without.is_some(), permitted, "{name}");
        let Some(without) = without else { continue };
        assert_eq!(without.followed, Some(PromotionId(10)), "{name}");
        let counts = without.counts_up_to(Timeline(3), Lsn(0x500));
        assert_eq!(counts, (reach == 3).then_some(Timeline(2)), "{name}");
        assert!(without.clone().point_at(&node("n1"), None, &Known::Known(Timeline(3))).is_err());
    }
    own.store.set_intent(promotion(70, "n3", 3, 3, &[(20, 3)]));
    own.followed = Some(PromotionId(70));
    assert_eq!(own.noted_intent(), None, "its own it resolves itself");
}

#[test]
fn who_has_what_this_node_has_is_told_by_the_note_and_the_timeline() {
    let mut own = follower();
    own.store.set_done(promotion(20, "n2", 2, 3, &[(10, 2)]));
    let held =
        |followed: Option<u64>, reach| own.is_held_by(followed.map(PromotionId), Timeline(reach));
    assert!(held(Some(10), 2) && held(Some(10), 3) && held(Some(20), 3));
    assert!(!held(Some(10), 1), "it is noted, and has nothing of it");
    assert!(!held(Some(9), 2) && !held(None, 2));
    assert!(Own::new("pg", &node("n3")).is_held_by(None, Timeline(1)), "nothing is known of this");
}

/// Regression (seed 501452 of the simulator): the promotion that it had followed has the number of the timeline that it
/// began itself, and nothing of it had come in.
#[test]
fn what_was_noted_and_never_came_in_is_noted_no_more_when_a_node_is_about_to_be_promoted() {
    let mut own = follower();
    own.store.set_done(promotion(20, "n1", 1, 3, &[(10, 2)]));
    own.followed = Some(PromotionId(20));
    own.intends(promotion(60, "n3", 2, 2, &[(10, 2)]));
    assert_eq!(own.followed, Some(PromotionId(10)));
    own.came_to_nothing(&unwritten(2, 3, 0x500));
    assert!(own.point_at(&node("n1"), Some(PromotionId(20)), &Known::Known(Timeline(3))).is_err());
    assert_eq!(own.counts_up_to(Timeline(3), Lsn(0x500)), Some(Timeline(2)));
}

#[test]
fn who_is_pointed_at_a_candidate_is_told_by_the_noted_promotion() {
    let mut own = follower();
    assert_eq!(own.candidate(), None, "its primary");
    assert_eq!(own.point_at(&node("n2"), None, &Known::Known(Timeline(2))), Ok(true));
    assert_eq!(own.candidate(), Some(&Pointed { node: node("n2"), term: 2 }));
    assert!(own.explain(Timeline(3), &with_done(promotion(20, "n2", 2, 3, &[(10, 2)]))));
    assert_eq!(own.candidate(), None, "it was promoted");
    assert_eq!(about_to().candidate(), None, "itself");
    assert_eq!(Own::new("pg", &node("n3")).candidate(), None);
}

/// Regression (seed 118 of the simulator): its intent was known, and was carried out after all.
#[test]
fn a_candidate_whose_intent_was_carried_out_is_promoted_again_in_its_term() {
    let mut own = follower();
    own.store.set_intent(promotion(20, "n2", 2, 2, &[(10, 2)]));
    assert_eq!(own.point_at(&node("n2"), None, &Known::Known(Timeline(2))), Ok(true));
    assert_eq!(own.pointed, Some(Pointed { node: node("n2"), term: 3 }));
    let again = promotion(21, "n2", 2, 4, &[(20, 3), (10, 2)]);
    assert!(own.explain(Timeline(4), &with_done(again)));
    assert_eq!(own.followed, Some(PromotionId(21)));
}

#[test]
fn that_a_promotion_came_to_nothing_is_passed_on_and_reads_back() {
    let (me, other) = (node("n3"), node("n1"));
    let mut own = about_to();
    own.came_to_nothing(&unwritten(2, 3, 0x500));
    let said = own.store.slot(&me).cloned().unwrap();
    assert_eq!(said.void, [Void { id: PromotionId(60), term: 2 }]);
    assert_eq!(said.to_string().parse::<Slot>().unwrap(), said);
    assert_eq!(Own::parse(&own.to_text(), "pg", &me).unwrap(), own);

    // Others keep the intent, for their data may be noted as of it; it binds nobody.
    let mut theirs = Own::new("pg", &other);
    theirs.store.set_intent(promotion(60, "n3", 2, 2, &[(10, 2)]));
    let pending = |store: &Store| store.slot(&me).and_then(Slot::pending).cloned();
    assert!(pending(&theirs.store).is_some());
    assert!(theirs.store.of_running_primary(&me).is_some());
    theirs.store = theirs.store.merged(&own.store, Some(&other));
    assert!(theirs.store.intent(&me).is_some() && pending(&theirs.store).is_none());
    assert_eq!(theirs.store.of_running_primary(&me), None);
    assert_eq!(Own::parse(&theirs.to_text(), "pg", &other).unwrap(), theirs);
    // It is the same in whatever order it is heard.
    let before = with_intent(promotion(60, "n3", 2, 2, &[(10, 2)]));
    assert!(pending(&own.store.merged(&before, None)).is_none());
    assert!(pending(&before.merged(&own.store, None)).is_none());
    // A later one is another one, and in a later term it is forgotten.
    theirs.store.set_intent(promotion(61, "n3", 3, 2, &[(10, 2)]));
    assert!(pending(&theirs.store).is_some());
    theirs.store.set_done(promotion(70, "n1", 3, 3, &[(10, 2)]));
    assert_eq!(theirs.store.slot(&me).map(|slot| slot.void.clone()), Some(Vec::new()));

    // Where the WAL was not seen, it is not said.
    let mut unknown = about_to();
    unknown.came_to_nothing(&Known::unknown("why"));
    assert_eq!(unknown.store.slot(&me), None);
    for text in ["void ", "void 60", "void 3c@x", "void zz@2", "void 3c@2,"] {
        assert!(text.parse::<Slot>().is_err(), "{text}");
    }
}

/// Regression (seed 500039 of the simulator): who comes after a promotion may have known it as an intent, which says
/// from which timeline it began.
#[test]
fn the_timeline_of_a_promotion_is_what_its_own_entry_says() {
    let mut own = follower();
    own.store.set_done(promotion(20, "n1", 1, 3, &[(10, 2)]));
    own.followed = Some(PromotionId(20));
    assert!(!own.is_unexplained(Timeline(3)));
    // A slot that comes before that one.
    let mut later = promotion(60, "n0", 2, 3, &[(20, 2), (10, 2)]);
    later.seq = 7;
    own.store.set_intent(later);
    assert!(!own.is_unexplained(Timeline(3)));
    assert!(own.is_unexplained(Timeline(4)));
}
