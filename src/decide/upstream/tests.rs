//! One row for each answer, and for each thing that can stand against a node.

use super::*;
use crate::cluster::ledger::PromotionId;
use crate::decide::support::{self, SYSTEM, after, node};
use crate::postgres::history::History;
use crate::postgres::lsn::Lsn;

/// The number of the promotion tells its term and its node.
fn id(name: &str, term: u64) -> u64 {
    term * 100 + u64::from(name.as_bytes()[1])
}

fn entry(name: &str, term: u64) -> Entry {
    support::entry(term, 0, id(name, term), name, "")
}

fn ledger(done: &[(&str, u64)], intents: &[(&str, u64)]) -> Known<Store> {
    let mut store = Store::default();
    for (name, term) in done {
        store.set_done(entry(name, *term));
    }
    for (name, term) in intents {
        store.set_intent(entry(name, *term));
    }
    Known::Known(store)
}

/// n1's promotion of term 4, and n2's intent to follow it.
fn followed(seq: u64, promotion: u64) -> Known<Store> {
    let mut store = support::store(&[support::entry(4, seq, promotion, "n1", "n2")]);
    store.set_intent(after(entry("n2", 5), &[id("n1", 4)]));
    Known::Known(store)
}

/// What one that may be the primary does.
enum Does {
    Writes,
    /// And Pacemaker has it as no primary.
    WritesUnpromoted,
    Follows,
    IsSilent {
        promoted: bool,
    },
}

fn candidate(name: &NodeName, does: &Does, ledger: &Known<Store>) -> Candidate {
    let (promoted, answer) = match does {
        Does::Writes | Does::WritesUnpromoted => {
            let at = (History::of_first_line(), Lsn(0x500));
            let live = Live::of(name, SYSTEM, at, ledger, None);
            (matches!(does, Does::Writes), Answer::Primary(Box::new(live)))
        }
        Does::Follows => (true, Answer::NotOne),
        Does::IsSilent { promoted } => (*promoted, Answer::Silent("no route".into())),
    };
    Candidate { node: name.clone(), promoted, answer }
}

fn chosen(asked: &[(&str, Does)], ledger: &Known<Store>) -> String {
    let nodes = asked.iter().map(|(name, _)| node(name)).collect();
    let asked = in_order(nodes, ledger).into_iter().map(|name| {
        let (_, does) = asked.iter().find(|(one, _)| node(one) == name).unwrap();
        candidate(&name, does, ledger)
    });
    match choose(asked.collect(), ledger) {
        Upstream::Live(live) => match live.promotion {
            Known::Known(PromotionId(id)) => format!("{} of {}", live.node, id / 100),
            Known::Unknown(why) => format!("{}, {why}", live.node),
        },
        Upstream::Silent(node, why) => format!("{node} is silent: {why}"),
        Upstream::Disowned(_, why) => why,
        Upstream::Nobody => "nobody".into(),
        Upstream::Unknown(why) => panic!("{why}"),
    }
}

/// Regression: data that was adopted, or whose primary had gone on alone, was rewound to a server that
/// somebody had started by hand on data of before; and of two that accept writes the first by name was copied.
#[test]
fn what_is_followed_and_copied_is_the_newest_promotion_that_is_known_or_nothing() {
    use Does::{Follows, IsSilent, Writes};
    let against = |how: &str, term: u64| {
        format!("n1 accepts writes, and {how} (term {term}): nothing is taken from n1")
    };
    let is_primary = |by: &str, term| against(&format!("the ledger's primary is {by}"), term);
    let unsaid = "n1, the ledger does not say it yet";
    let silent = |promoted| IsSilent { promoted };
    for (name, asked, ledger, expected) in [
        ("the one of the ledger", vec![("n1", Writes)], ledger(&[("n1", 4)], &[]), "n1 of 4"),
        ("no ledger anywhere", vec![("n1", Writes)], ledger(&[], &[]), unsaid),
        ("no ledger but an intent", vec![("n1", Writes)], ledger(&[], &[("n2", 1)]), unsaid),
        (
            "its intent was carried out",
            vec![("n1", Writes)],
            ledger(&[("n2", 4)], &[("n1", 5)]),
            "n1 of 5",
        ),
        (
            "another's intent that was not to follow it",
            vec![("n1", Writes)],
            ledger(&[("n1", 4)], &[("n2", 5)]),
            "n1 of 4",
        ),
        (
            "another was about to be promoted after it, and who knows",
            vec![("n1", Writes)],
            followed(0, id("n1", 4)),
            &against("n2 was about to follow it", 5),
        ),
        (
            "that came to nothing, and it was promoted again",
            vec![("n1", Writes)],
            followed(3, 450),
            "n1 of 4",
        ),
        // By name n1 comes first.
        (
            "two accept writes",
            vec![("n1", Writes), ("n2", Writes)],
            ledger(&[("n2", 5)], &[]),
            "n2 of 5",
        ),
        (
            "the newer one has not said that it was promoted",
            vec![("n1", Writes), ("n2", Writes)],
            followed(0, id("n1", 4)),
            "n2 of 5",
        ),
        (
            "the newer one is silent",
            vec![("n1", Writes), ("n2", silent(true))],
            ledger(&[("n2", 5)], &[]),
            "n2 is silent: no route",
        ),
        (
            "the newer one has not said it and is silent",
            vec![("n1", Writes), ("n2", silent(true))],
            ledger(&[("n1", 4)], &[("n2", 5)]),
            "n2 is silent: no route",
        ),
        (
            "an older one is silent",
            vec![("n1", silent(true)), ("n2", Writes)],
            ledger(&[("n2", 5)], &[]),
            "n2 of 5",
        ),
        (
            "the newer one is away, or a hand has started this one",
            vec![("n1", Writes)],
            ledger(&[("n2", 5)], &[]),
            &is_primary("n2", 5),
        ),
        (
            "it was promoted once, and another since",
            vec![("n1", Writes)],
            ledger(&[("n1", 4), ("n2", 5)], &[]),
            &is_primary("n2", 5),
        ),
        (
            "the newer one is a standby by now",
            vec![("n1", Writes), ("n2", Follows)],
            ledger(&[("n2", 5)], &[]),
            &is_primary("n2", 5),
        ),
        // This node itself, which comes back, is n2.
        (
            "forced on a node that had not seen the newer term",
            vec![("n1", Writes)],
            ledger(&[("n1", 5), ("n2", 6)], &[]),
            &is_primary("n2", 6),
        ),
        (
            "forced there, and the two terms meet",
            vec![("n1", Writes)],
            ledger(&[("n1", 6), ("n2", 6)], &[]),
            &against("n2 was promoted too", 6),
        ),
        ("and forced again", vec![("n1", Writes)], ledger(&[("n1", 7), ("n2", 6)], &[]), "n1 of 7"),
        (
            "the CIB is not understood",
            vec![("n1", Writes)],
            Known::unknown("rubbish"),
            "n1, rubbish",
        ),
        ("only a standby", vec![("n2", Follows)], ledger(&[("n1", 4)], &[]), "nobody"),
        (
            "nobody has it promoted",
            vec![("n1", silent(false))],
            ledger(&[("n1", 4)], &[]),
            "nobody",
        ),
    ] {
        assert_eq!(chosen(&asked, &ledger), expected, "{name}");
    }
}

#[test]
fn who_accepts_writes_and_is_not_promoted_is_followed_and_of_no_promotion() {
    let ledger = Known::Known(support::store(&[support::entry(4, 0, 400, "n1", "n2")]));
    assert_eq!(chosen(&[("n1", Does::Writes)], &ledger), "n1 of 4");
    assert_eq!(
        chosen(&[("n1", Does::WritesUnpromoted)], &ledger),
        "n1, Pacemaker does not have it as the primary"
    );
}
