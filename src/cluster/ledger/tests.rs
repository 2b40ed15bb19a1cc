#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod origin;

use super::*;
use crate::cluster::node::NodeName;
use crate::postgres::lsn::Timeline;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn entry(primary: &str, term: u64, seq: u64, heirs: &[&str]) -> Entry {
    Entry {
        system_id: 7_345_678_901_234_567_890,
        term,
        seq,
        id: PromotionId(term * 100 + 7),
        primary: node(primary),
        timeline: Timeline(3),
        mode: Mode::Sync,
        heirs: heirs.iter().map(|name| node(name)).collect(),
        history: vec![Past { id: PromotionId(5), timeline: Timeline(2) }],
        adopted: None,
    }
}

#[test]
fn an_entry_reads_back_as_it_was_written() {
    for heirs in [&[][..], &["n2"], &["n2", "pg-3.example"]] {
        let written = entry("n1", 4, 9, heirs);
        assert_eq!(written.to_string().parse::<Entry>().unwrap(), written);
    }
}

#[test]
fn what_was_given_up_for_adopted_data_reads_back_and_older_text_has_none() {
    let plain = entry("n1", 4, 9, &["n2"]);
    assert!(!plain.to_string().contains("adopted"));
    for systems in [vec![], vec![7], vec![9, 7]] {
        let adopted = Some(systems);
        let written = Entry { adopted, ..plain.clone() };
        assert_eq!(written.to_string().parse::<Entry>().unwrap(), written);
        let mut own = Own::new("pg", &node("n2"));
        own.store.set_done(written.clone());
        assert_eq!(Own::parse(&own.to_text(), "pg", &node("n2")).unwrap(), own);
        own.adopting = Some(PromotionId(9));
        assert_eq!(Own::parse(&own.to_text(), "pg", &node("n2")).unwrap(), own);
        assert!(own.unfinished().unwrap().contains("pgtwin adopt n2 has not ended"));
        own.is_a_copy_of(PromotionId(8), &node("n1"));
        assert_eq!((own.unfinished(), own.followed), (None, Some(PromotionId(8))));
    }
}

#[test]
fn to_adopted_data_nothing_leads_that_is_not_known_to() {
    let (ours, theirs) = (Some(PromotionId(5)), Some(PromotionId(99)));
    let plain = entry("n1", 4, 0, &[]);
    let adopted = Entry { adopted: Some(vec![]), ..plain.clone() };
    for (followed, of_plain, of_adopted) in [
        (ours, Some(true), Some(true)),
        (theirs, Some(false), Some(false)),
        (None, None, Some(false)),
    ] {
        assert_eq!(plain.is_after(followed), of_plain, "{followed:?}");
        assert_eq!(adopted.is_after(followed), of_adopted, "{followed:?}");
        let own = Own { followed, ..Own::new("pg", &node("n2")) };
        assert_eq!(own.is_elsewhere_than(&plain), of_plain == Some(false), "{followed:?}");
        assert_eq!(own.is_elsewhere_than(&adopted), of_adopted == Some(false), "{followed:?}");
    }
}

#[test]
fn malformed_entries_are_errors() {
    let good = entry("n1", 4, 9, &["n2"]).to_string();
    for (what, text) in [
        ("empty", String::new()),
        ("a missing field", good.replace("term=4 ", "")),
        ("a field twice", format!("{good} term=4")),
        ("no number", good.replace("term=4", "term=x")),
        ("a negative number", good.replace("seq=9", "seq=-9")),
        ("an overflow", good.replace("seq=9", "seq=99999999999999999999")),
        ("a number with a sign", good.replace("term=4", "term=+4")),
        (
            "a term after which there is no other",
            good.replace("term=4", "term=18446744073709551615"),
        ),
        ("a sequence number without a next", good.replace("seq=9", "seq=18446744073709551615")),
        ("timeline 0", good.replace("timeline=3", "timeline=0")),
        ("a timeline with a sign", good.replace("timeline=3", "timeline=+3")),
        ("a past timeline 0", good.replace("@2", "@0")),
        ("a system that is no number", format!("{good} adopted=7,x")),
        ("no system at all", format!("{good} adopted=")),
        ("another mode", good.replace("mode=sync", "mode=maybe")),
        ("a short id", good.replace(&PromotionId(407).to_string(), "407")),
        ("the primary as heir", good.replace("heirs=n2", "heirs=n1")),
        ("a bad name", good.replace("heirs=n2", "heirs=n2,,n3")),
    ] {
        assert_ne!(text, good, "{what}");
        assert!(text.parse::<Entry>().is_err(), "{what}: {text}");
    }
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    let mut own = Own::new("pg", &node("n1"));
    own.followed = Some(PromotionId(5));
    own.store.set_done(entry("n1", 4, 9, &["n2"]));
    own.store.set_intent(entry("n2", 5, 0, &[]));
    let text = own.to_text();
    assert_eq!(Own::parse(&text, "pg", &node("n1")).unwrap(), own);
}

#[test]
fn a_damaged_or_foreign_file_is_refused() {
    let mut own = Own::new("pg", &node("n1"));
    own.store.set_done(entry("n1", 4, 9, &["n2"]));
    let text = own.to_text();
    for (what, text, resource, name) in [
        ("cut off", text[..text.len() / 2].to_owned(), "pg", "n1"),
        ("empty", String::new(), "pg", "n1"),
        ("one digit changed", text.replace("term=4", "term=5"), "pg", "n1"),
        ("another resource", text.clone(), "pg2", "n1"),
        ("another node", text.clone(), "pg", "n2"),
        ("only a sum", "sum 0".to_owned(), "pg", "n1"),
    ] {
        assert!(Own::parse(&text, resource, &node(name)).is_err(), "{what}");
    }
}

#[test]
fn a_higher_done_term_voids_what_is_below_it() {
    let mut store = Store::default();
    store.set_done(entry("n1", 1, 3, &["n2"]));
    store.set_intent(entry("n2", 2, 0, &[]));
    assert!(store.done(&node("n1")).is_some(), "an intent voids nothing");
    store.resolve_done(&node("n2"));
    assert!(store.done(&node("n1")).is_none());
    assert_eq!(store.done(&node("n2")).unwrap().term, 2);
}

#[test]
fn the_own_slot_is_never_taken_from_elsewhere() {
    let mut own = Store::default();
    own.set_done(entry("n1", 1, 3, &["n2"]));
    let mut cib = Store::default();
    cib.set_done(entry("n1", 1, 4, &[]));
    assert_eq!(own.merged(&cib, Some(&node("n1"))), own);
    assert_eq!(own.merged(&cib, Some(&node("n2"))).done(&node("n1")).unwrap().seq, 4);
}

#[test]
fn a_slot_reads_back_as_it_was_written() {
    let slot = Slot {
        done: Some(entry("n1", 1, 3, &["n2"])),
        intent: Some(entry("n1", 1, 4, &[])),
        void: Vec::new(),
    };
    assert_eq!(slot.to_string().parse::<Slot>().unwrap(), slot);
    assert_eq!("".parse::<Slot>().unwrap(), Slot::default());
    assert!("maybe term=1".parse::<Slot>().is_err());
}

#[test]
fn an_acknowledgement_reads_back() {
    let ack = entry("n1", 4, 9, &[]).ack();
    assert_eq!(ack.to_string().parse::<Ack>().unwrap(), ack);
    for text in ["1.2".to_owned(), format!("{}.4.18446744073709551615", entry("n1", 4, 9, &[]).id)]
    {
        assert!(text.parse::<Ack>().is_err(), "{text}");
    }
}

#[test]
fn a_promotion_that_was_carried_out_has_a_timeline_of_its_own() {
    // The intent starts from 3; which one it got is not always known.
    for (known, expected) in [(Some(Timeline(6)), 6), (None, 4)] {
        let mut own = Own::new("pg", &node("n1"));
        own.store.set_intent(entry("n1", 4, 9, &["n2"]));
        own.carried_out(&node("n1"), known);
        let done = own.store.done(&node("n1")).unwrap();
        assert_eq!(done.timeline, Timeline(expected));
        assert_eq!(own.followed, Some(done.id));
    }
}

/// The model checker's: between PostgreSQL's promotion and the word that it is done, data of another
/// promotion to the same timeline was let in.
#[test]
fn the_entry_of_a_primary_that_was_just_promoted_is_its_intent() {
    let mut store = Store::default();
    assert_eq!(store.of_running_primary(&node("n1")), None);
    store.set_intent(entry("n1", 4, 0, &[]));
    assert_eq!(store.done(&node("n1")), None);
    assert_eq!(
        store.of_running_primary(&node("n1")),
        Some(entry("n1", 4, 0, &[]).as_carried_out())
    );
    store.resolve_done(&node("n1"));
    store.set_done(entry("n1", 4, 1, &["n2"]));
    assert_eq!(store.of_running_primary(&node("n1")), Some(entry("n1", 4, 1, &["n2"])));
    store.set_intent(entry("n1", 4, 2, &["n2"]));
    assert_eq!(store.of_running_primary(&node("n1")).map(|entry| entry.seq), Some(2));
}

/// Two promotions can begin timelines of the same number: which of them data is of, the ids tell.
#[test]
fn data_of_another_branch_is_elsewhere() {
    let newest = entry("n1", 4, 0, &["n2"]);
    for (followed, elsewhere) in [
        (None, false),
        (Some(newest.id), false),
        (Some(PromotionId(5)), false),
        (Some(PromotionId(6)), true),
    ] {
        let mut own = Own::new("pg", &node("n2"));
        own.followed = followed;
        assert_eq!(own.is_elsewhere_than(&newest), elsewhere, "{followed:?}");
    }
}
