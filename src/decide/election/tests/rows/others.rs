//! Which entries have a say, starts without a primary, async mode.

use super::{Row, behind, far, foreign, not_an_heir, not_seen, of_another_system};
use crate::cluster::known::Known;
use crate::cluster::ledger::Store;
use crate::decide::election::tests::{Is, ask};
use crate::decide::election::{Facts, Obstacle};
use crate::decide::support::{at, at_least, entry, in_async, intending, node, store};
use crate::postgres::lsn::{Lsn, Timeline};

/// Which entries have a say.
pub fn entries() -> Vec<Row> {
    let one = entry(1, 4, 1, "n1", "n2");
    let here = || at("1", "0/500");
    let intent = entry(2, 0, 2, "n3", "");
    vec![
        (
            "an intent of an absent node binds",
            ask("n2")
                .own(store(std::slice::from_ref(&one)))
                .cib(intending(std::slice::from_ref(&one), &intent)),
            Is::Refused(vec![not_an_heir(intent.as_carried_out())]),
        ),
        (
            "so does one of the absent primary itself",
            ask("n2")
                .own(store(std::slice::from_ref(&one)))
                .cib(intending(std::slice::from_ref(&one), &entry(1, 5, 9, "n1", "n3"))),
            Is::Refused(vec![not_an_heir(entry(1, 5, 9, "n1", "n3").as_carried_out())]),
        ),
        (
            "an intent of a present node that was not carried out is void",
            ask("n2")
                .own(store(std::slice::from_ref(&one)))
                .cib(intending(std::slice::from_ref(&one), &intent))
                .sees("n3", here(), store(std::slice::from_ref(&one))),
            Is::TakesOver(3, "", ""),
        ),
        (
            "an own intent that was not carried out is void",
            ask("n2")
                .own(store(std::slice::from_ref(&one)))
                .cib(intending(std::slice::from_ref(&one), &entry(2, 0, 2, "n2", ""))),
            Is::TakesOver(3, "", ""),
        ),
        (
            "an entry of a seen primary is as its own file has it",
            ask("n2").ledger(&store(std::slice::from_ref(&one))).sees(
                "n1",
                here(),
                store(&[entry(1, 5, 1, "n1", "")]),
            ),
            Is::Refused(vec![not_an_heir(entry(1, 5, 1, "n1", ""))]),
        ),
        (
            "and not as the CIB has it: a relax that never came to its end",
            ask("n2").ledger(&store(&[entry(1, 5, 1, "n1", "")])).sees(
                "n1",
                here(),
                store(std::slice::from_ref(&one)),
            ),
            Is::TakesOver(2, "", ""),
        ),
        (
            "the CIB is newer than the own file",
            ask("n2")
                .own(store(std::slice::from_ref(&one)))
                .cib(store(&[entry(1, 5, 1, "n1", "")])),
            Is::Refused(vec![not_an_heir(entry(1, 5, 1, "n1", ""))]),
        ),
        (
            "the own file is newer than the CIB",
            ask("n2")
                .own(store(&[entry(1, 5, 1, "n1", "")]))
                .cib(store(std::slice::from_ref(&one))),
            Is::Refused(vec![not_an_heir(entry(1, 5, 1, "n1", ""))]),
        ),
        (
            "the file of any seen member is newer than both",
            ask("n2").ledger(&store(std::slice::from_ref(&one))).sees(
                "n3",
                here(),
                store(&[entry(1, 5, 1, "n1", "n3")]),
            ),
            Is::Refused(vec![not_an_heir(entry(1, 5, 1, "n1", "n3"))]),
        ),
        (
            "of two entries of one term both must permit",
            ask("n2").ledger(&store(&[entry(2, 0, 2, "n1", "n2"), entry(2, 0, 3, "n3", "")])),
            Is::Refused(vec![not_an_heir(entry(2, 0, 3, "n3", ""))]),
        ),
        (
            "two entries of one term that both permit do",
            ask("n2").ledger(&store(&[entry(2, 0, 2, "n1", "n2"), entry(2, 0, 3, "n3", "n2")])),
            Is::TakesOver(3, "", ""),
        ),
        (
            "in place under two entries of one term, V is of both and of its own E",
            ask("n1")
                .ledger(&store(&[entry(2, 3, 2, "n1", "n2"), entry(2, 0, 3, "n3", "n1 n2")]))
                .sees("n2", here(), Store::default()),
            Is::InPlace((2, 4), "n2", "n2"),
        ),
        (
            "an entry that its primary, who is present, does not have permits nobody",
            ask("n2").ledger(&store(std::slice::from_ref(&one))).sees(
                "n1",
                here(),
                Store::default(),
            ),
            Is::Refused(vec![Obstacle::CibUnknown(
                "it holds an entry that its primary, who is present, does not have".into(),
            )]),
        ),
    ]
}

/// No primary anywhere.
pub fn cold_start() -> Vec<Row> {
    let one = store(&[entry(1, 4, 1, "n1", "n2")]);
    let both = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let alone = store(&[entry(1, 4, 1, "n1", "")]);
    let here = || at("1", "0/500");
    vec![
        (
            "an heir waits for the primary of the entry",
            ask("n2").ledger(&one).cold(),
            Is::Refused(vec![not_seen("n1")]),
        ),
        (
            "an heir waits for a primary that is proven out, too",
            ask("n2").ledger(&one).cold().out("n1"),
            Is::Refused(vec![not_seen("n1")]),
        ),
        (
            "an heir waits for all of them",
            ask("n2").ledger(&both).cold(),
            Is::Refused(vec![not_seen("n3"), not_seen("n1")]),
        ),
        (
            "an heir that is equal to the primary may start",
            ask("n2").ledger(&one).cold().sees("n1", here(), one.clone()),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir waits for a primary that still replays",
            ask("n2").ledger(&one).cold().sees("n1", at_least("1", "0/500"), one.clone()),
            Is::Refused(vec![Obstacle::NotExact(node("n1"))]),
        ),
        (
            "an heir that is behind the primary leaves it to that one",
            ask("n2").ledger(&one).cold().sees("n1", at("1", "0/501"), one.clone()),
            Is::Refused(vec![behind("n1", "0/501")]),
        ),
        (
            "the primary needs all of E",
            ask("n1").ledger(&one).cold(),
            Is::Refused(vec![not_seen("n2")]),
        ),
        (
            "the primary with all of E may start",
            ask("n1").ledger(&one).cold().sees("n2", here(), one.clone()),
            Is::InPlace((1, 5), "n2", "n2"),
        ),
        (
            "the primary that went on alone may start alone",
            ask("n1").ledger(&alone).cold(),
            Is::InPlace((1, 5), "", ""),
        ),
        (
            "a node that is no heir waits, however many nodes are there",
            ask("n3").ledger(&one).cold().sees("n1", here(), one.clone()).sees(
                "n2",
                here(),
                one.clone(),
            ),
            Is::Refused(vec![not_an_heir(entry(1, 4, 1, "n1", "n2"))]),
        ),
    ]
}

/// No ledger anywhere.
pub fn first_start() -> Vec<Row> {
    let nothing = Store::default;
    let here = || at("1", "0/500");
    vec![
        (
            "with all others seen and behind, the first primary waits for those with data",
            ask("n1").sees("n2", at("1", "0/400"), nothing()).sees("n3", here(), nothing()),
            Is::TakesOver(1, "n2 n3", ""),
        ),
        (
            "a member without a database does not count",
            ask("n1").blank("n2").blank("n3"),
            Is::TakesOver(1, "", ""),
        ),
        (
            "unless strictly",
            ask("n1").blank("n2").blank("n3").strict(),
            Is::TakesOver(1, "n2 n3", ""),
        ),
        (
            "in async mode nobody is waited for",
            ask("n1").of_two().sees("n2", here(), nothing()).in_async(),
            Is::TakesOver(1, "", ""),
        ),
        (
            "a silent member may have more",
            ask("n1").sees("n2", here(), nothing()),
            Is::Refused(vec![not_seen("n3")]),
        ),
        (
            "a member that is ahead has more",
            ask("n1").of_two().sees("n2", at("1", "0/501"), nothing()),
            Is::Refused(vec![behind("n2", "0/501")]),
        ),
        (
            "a member that still replays may have more",
            ask("n1").of_two().sees("n2", at_least("1", "0/400"), nothing()),
            Is::Refused(vec![Obstacle::NotExact(node("n2"))]),
        ),
        (
            "a member on another line is an obstacle",
            ask("n1").of_two().sees("n2", at("1@0/300,2", "0/400"), nothing()),
            Is::Refused(vec![Obstacle::Diverged {
                from: node("n2"),
                fork: (Timeline(1), Lsn(0x300)),
            }]),
        ),
        (
            "a member of another database system is an obstacle",
            ask("n1").of_two().sees("n2", of_another_system("1", "0/100"), nothing()),
            Is::Refused(vec![foreign("node n2")]),
        ),
        (
            "one that still replays waits",
            ask("n1").of_two().blank("n2").here(at_least("1", "0/500")),
            Is::Refused(vec![Obstacle::StillReplaying]),
        ),
        (
            "one that does not know its position waits",
            Facts { position: Known::unknown("timeout"), ..ask("n1").of_two().blank("n2") },
            Is::Refused(vec![Obstacle::OwnPositionUnknown("timeout".into())]),
        ),
    ]
}

/// Async mode.
pub fn asynchronous() -> Vec<Row> {
    let both = store(&[in_async(entry(1, 4, 1, "n1", "n2 n3"))]);
    let two = store(&[in_async(entry(1, 4, 1, "n1", "n2"))]);
    let here = || at("1", "0/500");

    vec![
        (
            "an heir does not need to see the others",
            ask("n2").ledger(&both).in_async().knew("0/500"),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir that is behind one that is seen is refused",
            ask("n2").ledger(&both).in_async().knew("0/500").sees(
                "n3",
                at("1", "0/501"),
                both.clone(),
            ),
            Is::Refused(vec![behind("n3", "0/501")]),
        ),
        (
            "an heir waits for one that is seen and still replays",
            ask("n2").ledger(&both).in_async().knew("0/500").sees(
                "n3",
                at_least("1", "0/400"),
                both.clone(),
            ),
            Is::Refused(vec![Obstacle::NotExact(node("n3"))]),
        ),
        (
            "how far the primary was nobody knows: no heir can be said to be near it",
            ask("n2").ledger(&both).in_async().sees("n3", here(), both.clone()),
            Is::Refused(vec![Obstacle::LagUnknown(node("n1"))]),
        ),
        (
            "an owner who allows any lag need not know it",
            Facts { max_lag: u64::MAX, ..ask("n2").of_two().ledger(&two).in_async() },
            Is::TakesOver(2, "", ""),
        ),
        (
            "nor one who forces the promotion",
            ask("n2").of_two().ledger(&two).in_async().forced(),
            Is::TakesOver(2, "", ""),
        ),
        (
            "a primary that is there says itself how far it is",
            ask("n2").of_two().ledger(&two).in_async().sees("n1", here(), two.clone()),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir that lacks as much as is allowed takes over",
            ask("n2")
                .ledger(&both)
                .in_async()
                .sees("n3", here(), both.clone())
                .reached("n3", "0/600"),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir that lacks more than is allowed is refused",
            ask("n2")
                .ledger(&both)
                .in_async()
                .sees("n3", here(), both.clone())
                .reached("n3", "0/601"),
            Is::Refused(vec![far(0x101)]),
        ),
        (
            "regression: what it knows itself counts, when nobody else is there to say",
            ask("n2").of_two().ledger(&two).in_async().knew("0/601"),
            Is::Refused(vec![far(0x101)]),
        ),
        (
            "what it knows itself may be as much as is allowed",
            ask("n2").of_two().ledger(&two).in_async().knew("0/600"),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir that lacks more takes over when the operator accepts it",
            ask("n2")
                .ledger(&both)
                .in_async()
                .forced()
                .sees("n3", here(), both.clone())
                .reached("n3", "0/601"),
            Is::TakesOver(2, "", ""),
        ),
        (
            "force does not help one that is no heir",
            ask("n2").ledger(&store(&[in_async(entry(1, 4, 1, "n1", "n3"))])).in_async().forced(),
            Is::Refused(vec![not_an_heir(in_async(entry(1, 4, 1, "n1", "n3")))]),
        ),
        (
            "the primary restarts in place without anybody, and keeps E",
            ask("n1").ledger(&both).in_async(),
            Is::InPlace((1, 5), "", "n2 n3"),
        ),
        (
            "it keeps E when the owner has switched to sync meanwhile",
            ask("n1").ledger(&both),
            Is::InPlace((1, 5), "", "n2 n3"),
        ),
        (
            "strictly as well: sync begins when all know of it",
            ask("n1").ledger(&both).strict(),
            Is::InPlace((1, 5), "", "n2 n3"),
        ),
        (
            "a cold start needs all of them in async mode, too",
            ask("n2").ledger(&both).in_async().cold(),
            Is::Refused(vec![not_seen("n3"), not_seen("n1")]),
        ),
    ]
}
