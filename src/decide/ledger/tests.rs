//! Rows of what a node makes of its own ledger file.

use super::*;
use crate::cluster::ledger::NeverWritten;
use crate::decide::support::{
    SYSTEM, at_rest, data, entry, in_recovery, intending, node, running, store, writable,
};
use crate::postgres::control_data::ClusterState;
use crate::postgres::lsn::Lsn;

fn file(store: Store) -> Own {
    Own { store, ..Own::new("db", &node("n1")) }
}

/// n1 was promoted once, and is about to be again.
fn about_to() -> Own {
    file(intending(&[entry(3, 1, 9, "n1", "n2")], &entry(3, 2, 10, "n1", "n2")))
}

/// A store of this entry.
fn only(entry: &Entry) -> Store {
    store(std::slice::from_ref(entry))
}

fn why() -> String {
    "why".into()
}

/// Every answer of a server but those that a row names.
fn other_answers() -> [Sql; 7] {
    [
        Sql::NotAsked,
        Sql::Starting(why()),
        Sql::ShuttingDown,
        Sql::Busy(why()),
        Sql::Alive(why()),
        Sql::Hung,
        Sql::Unknown(why()),
    ]
}

#[test]
fn without_an_intent_nothing_stands() {
    let own = file(store(&[entry(3, 1, 9, "n1", "n2")]));
    let theirs = file(intending(&[], &entry(3, 2, 10, "n2", "")));
    for instance in [
        at_rest(data(ClusterState::InProduction)),
        running(ClusterState::InProduction, writable()),
        running(ClusterState::InArchiveRecovery, in_recovery()),
    ] {
        assert_eq!(stands(&own, &node("n1"), &instance), Stands::Is(Intent::None));
        assert_eq!(stands(&theirs, &node("n1"), &instance), Stands::Is(Intent::None), "another's");
    }
}

#[test]
fn an_intent_is_judged_by_what_the_data_and_the_server_show() {
    use ClusterState::{
        InArchiveRecovery, InCrashRecovery, InProduction, Other, ShutDown, ShutDownInRecovery,
        ShuttingDown, StartingUp,
    };
    let rows = [
        ("it accepts writes", running(InProduction, writable()), Stands::Is(Intent::CarriedOut)),
        (
            "a standby: only PostgreSQL knows",
            running(InArchiveRecovery, in_recovery()),
            Stands::AskIfTold,
        ),
        ("it ended as a primary", at_rest(data(ShutDown)), Stands::Is(Intent::CarriedOut)),
        ("it was ending as one", at_rest(data(ShuttingDown)), Stands::Is(Intent::CarriedOut)),
        ("it crashed as one", at_rest(data(InProduction)), Stands::Is(Intent::CarriedOut)),
        ("twice", at_rest(data(InCrashRecovery)), Stands::Is(Intent::CarriedOut)),
        ("it ended as a standby", at_rest(data(ShutDownInRecovery)), Stands::Is(Intent::Void)),
        ("it crashed as one", at_rest(data(InArchiveRecovery)), Stands::Is(Intent::Void)),
        ("it had just begun to start", at_rest(data(StartingUp)), Stands::Is(Intent::Pending)),
        ("words of a later version", at_rest(data(Other(why()))), Stands::Is(Intent::Pending)),
        ("no data", at_rest(DataDir::Absent), Stands::Is(Intent::Pending)),
        ("an empty directory", at_rest(DataDir::Empty), Stands::Is(Intent::Pending)),
        ("data of another", at_rest(DataDir::Unusable(why())), Stands::Is(Intent::Pending)),
        ("data not seen", at_rest(DataDir::Unknown(why())), Stands::Is(Intent::Pending)),
    ];
    for (name, instance, expected) in rows {
        assert_eq!(stands(&about_to(), &node("n1"), &instance), expected, "{name}");
    }
}

#[test]
fn whatever_runs_and_does_not_say_what_it_is_leaves_an_intent_pending() {
    let pending = Stands::Is(Intent::Pending);
    for sql in other_answers() {
        // Its control file would say that it was carried out.
        let instance = running(ClusterState::InProduction, sql);
        assert_eq!(stands(&about_to(), &node("n1"), &instance), pending, "{instance:?}");
        for process in [Process::Orphans(vec![4]), Process::Unknown(why())] {
            let instance = Instance { process, ..instance.clone() };
            assert_eq!(stands(&about_to(), &node("n1"), &instance), pending, "{instance:?}");
        }
    }
    for process in [Process::Orphans(vec![4]), Process::Unknown(why())] {
        let standby = running(ClusterState::InArchiveRecovery, in_recovery());
        let standby = Instance { process: process.clone(), ..standby };
        assert_eq!(stands(&about_to(), &node("n1"), &standby), pending, "{standby:?}");
        // What it says itself counts before what is seen of it.
        let primary = Instance { process, ..running(ClusterState::InProduction, writable()) };
        let carried_out = Stands::Is(Intent::CarriedOut);
        assert_eq!(stands(&about_to(), &node("n1"), &primary), carried_out, "{primary:?}");
    }
}

#[test]
fn only_a_standby_that_was_certainly_not_told_has_given_its_promotion_up() {
    assert_eq!(of_standby(&Known::Known(false)), Intent::Void);
    assert_eq!(of_standby(&Known::Known(true)), Intent::Pending);
    assert_eq!(of_standby(&Known::unknown("?")), Intent::Pending);
}

#[test]
fn an_intent_becomes_the_entry_or_goes_or_stays() {
    let me = node("n1");
    let mut primary = running(ClusterState::InProduction, writable());
    if let Sql::Primary(facts) = &mut primary.sql {
        facts.timeline = Timeline(7);
    }
    let at_rest = at_rest(data(ClusterState::InProduction));
    let nothing = |_| Known::unknown("it is not asked");
    for intent in [Intent::None, Intent::Pending] {
        assert_eq!(resolved(&about_to(), &me, &intent, &primary, nothing), None, "{intent:?}");
    }
    let void = |beyond: Known<Beyond>| {
        let asked = |from| {
            assert_eq!(from, Timeline(1), "the one from which it began");
            beyond
        };
        resolved(&about_to(), &me, &Intent::Void, &at_rest, asked).unwrap()
    };
    let written = Known::Known(Beyond::Written(Timeline(2)));
    assert_eq!(void(Known::Known(Beyond::Nothing)).store.intent(&me), None);
    assert_eq!(void(Known::Known(Beyond::Nothing)).store.done(&me).unwrap().id, PromotionId(9));
    // Nothing is known of its data before: it is not taken for its own.
    assert_eq!(void(written.clone()).store.done(&me).unwrap().id, PromotionId(9));
    let mut begun = about_to();
    begun.intends(begun.store.intent(&me).cloned().unwrap());
    let end = Lsn(0x500);
    let found = NeverWritten { after: Timeline(1), last: Timeline(2), end };
    for (beyond, words) in [
        (Known::Known(Beyond::Nothing), "came to nothing"),
        (Known::unknown("why"), "came to nothing"),
        (
            Known::Known(Beyond::NeverWritten(found)),
            "came to nothing: nobody has written to timeline 2, which counts for nothing",
        ),
        (written.clone(), "was carried out"),
    ] {
        let own = resolved(&begun, &me, &Intent::Void, &at_rest, |_| beyond).unwrap();
        let expected = format!("an earlier promotion of this node (term 3) {words}");
        assert_eq!(came_of(&begun, &own), expected);
        assert_eq!(came_of(&own, &own), "no promotion was pending");
    }
    let own = resolved(&begun, &me, &Intent::Void, &at_rest, |_| written).unwrap();
    assert_eq!(own.store.done(&me).unwrap().id, PromotionId(10));
    for (instance, timeline) in [(&primary, 7), (&at_rest, 2)] {
        let own = resolved(&about_to(), &me, &Intent::CarriedOut, instance, nothing).unwrap();
        assert_eq!(own.store.intent(&me), None);
        assert_eq!(own.followed, Some(PromotionId(10)));
        let done = own.store.done(&me).unwrap();
        assert_eq!((done.id, done.timeline), (PromotionId(10), Timeline(timeline)));
    }
}

#[test]
fn a_file_that_is_not_there_is_made_only_where_that_is_wanted_and_of_a_ledger() {
    let me = node("n1");
    let mine = entry(3, 1, 9, "n1", "n2");
    let newer = entry(4, 0, 11, "n2", "");
    let (full, empty) = (only(&newer), Store::default());
    let lost = || Kept::Unreadable(why());
    let read = |store| Kept::Read(file(store));
    let rows = [
        ("missing", Kept::Missing, &full, false, None),
        ("unreadable", lost(), &full, false, None),
        ("missing, and wanted", Kept::Missing, &full, true, Some(full.clone())),
        ("unreadable, and wanted", lost(), &full, true, Some(full.clone())),
        ("missing, wanted, and no ledger", Kept::Missing, &empty, true, None),
        ("there", read(only(&mine)), &empty, false, Some(only(&mine))),
        (
            "others' newer entries come in",
            read(only(&mine)),
            &full,
            false,
            Some(store(&[mine.clone(), newer.clone()])),
        ),
        (
            "what the CIB says of this node itself does not",
            read(only(&mine)),
            &store(&[entry(3, 5, 9, "n1", "")]),
            false,
            Some(only(&mine)),
        ),
    ];
    for (name, kept, cib, create, expected) in rows {
        let found = taken_in(&kept, cib, "db", &me, create).map(|own| own.store);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_cib_gets_what_it_lacks() {
    let (old, new) = (entry(3, 1, 9, "n1", "n2"), entry(3, 2, 9, "n1", ""));
    let other = entry(3, 0, 5, "n2", "");
    let lacks = |cib: &Store, own: &Store| {
        let found = lacking(cib, own).into_iter();
        found
            .map(|(node, slot)| (node.to_string(), slot.done.map(|entry| entry.seq)))
            .collect::<Vec<_>>()
    };
    let none: Vec<(String, Option<u64>)> = Vec::new();
    assert_eq!(lacks(&only(&old), &only(&old)), none);
    assert_eq!(lacks(&only(&new), &only(&old)), none, "it is newer");
    assert_eq!(lacks(&only(&old), &only(&new)), [("n1".to_owned(), Some(2))]);
    assert_eq!(lacks(&Store::default(), &only(&new)), [("n1".to_owned(), Some(2))]);
    assert_eq!(
        lacks(&store(&[old, other]), &only(&new)),
        [("n1".to_owned(), Some(2))],
        "nothing else"
    );
}

#[test]
fn a_running_primary_has_the_entry_of_its_file_or_of_the_cib_or_begins() {
    let me = node("n1");
    let mine = entry(3, 1, 9, "n1", "n2");
    let theirs = entry(4, 0, 11, "n2", "");
    let lost = |own: Store, followed| {
        AsPrimary::Lost(Own { followed: Some(PromotionId(followed)), ..file(own) })
    };
    let read = |store| Kept::Read(file(store));
    let in_the_cib = only(&mine);
    let carried_out = Entry { timeline: Timeline(7), ..entry(3, 2, 10, "n1", "n2") };
    let rows = [
        ("its own", read(only(&mine)), Store::default(), AsPrimary::Has(file(only(&mine)))),
        (
            "its own, whatever the CIB says: who is newer there is for the care to see",
            read(only(&mine)),
            only(&theirs),
            AsPrimary::Has(file(only(&mine))),
        ),
        ("its file is lost", Kept::Missing, in_the_cib.clone(), lost(in_the_cib.clone(), 9)),
        (
            "its file is damaged",
            Kept::Unreadable(why()),
            in_the_cib.clone(),
            lost(in_the_cib.clone(), 9),
        ),
        ("its file lacks it", read(Store::default()), in_the_cib.clone(), lost(in_the_cib, 9)),
        (
            "its own intent is all there is, and it accepts writes: it was carried out",
            read(intending(&[], &entry(3, 2, 10, "n1", "n2"))),
            Store::default(),
            lost(store(&[carried_out]), 10),
        ),
        (
            "the CIB names another",
            Kept::Missing,
            store(&[mine.clone(), theirs.clone()]),
            AsPrimary::NamesAnother(theirs.clone()),
        ),
        ("its file does", read(only(&theirs)), Store::default(), AsPrimary::NamesAnother(theirs)),
        ("no ledger", Kept::Missing, Store::default(), AsPrimary::Begins(file(Store::default()))),
    ];
    for (name, kept, cib, expected) in rows {
        assert_eq!(as_primary(&kept, &cib, "db", &me, Timeline(7)), expected, "{name}");
    }
}

#[test]
fn a_first_entry_lets_nobody_take_over() {
    let me = node("n1");
    let own =
        first_entry(file(Store::default()), &me, PromotionId(4), SYSTEM, Timeline(7), Mode::Async);
    let first = Entry { timeline: Timeline(7), mode: Mode::Async, ..entry(1, 0, 4, "n1", "") };
    assert_eq!(own, Own { followed: Some(PromotionId(4)), ..file(store(&[first])) });
    // A term that somebody's intent has used is not below it.
    let used = file(intending(&[], &entry(5, 0, 8, "n2", "")));
    let own = first_entry(used, &me, PromotionId(4), SYSTEM, Timeline(1), Mode::Sync);
    assert_eq!(own.store.done(&me).unwrap().term, 5);
}
