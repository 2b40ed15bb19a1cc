//! Another takes over, or the primary restarts in place.

use super::{Row, behind, foreign, not_an_heir, not_seen, of_another_system};
use crate::cluster::known::Known;
use crate::cluster::ledger::{Entry, PromotionId};
use crate::decide::election::tests::{Is, ask};
use crate::decide::election::{Facts, Obstacle};
use crate::decide::support::{after, at, at_least, entry, node, nodes, store};
use crate::postgres::lsn::{Lsn, Timeline};

/// n1 is the primary of the entry; n2, or n2 and n3, may replace it.
pub fn takeover() -> Vec<Row> {
    let one = store(&[entry(1, 4, 1, "n1", "n2")]);
    let both = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let alone = store(&[entry(1, 4, 1, "n1", "")]);
    let here = || at("1", "0/500");
    vec![
        (
            "the only heir takes over and waits for nobody",
            ask("n2").of_two().ledger(&one),
            Is::TakesOver(2, "", ""),
        ),
        (
            "strictly, the only heir takes over and commits wait for whoever comes first",
            ask("n2").of_two().ledger(&one).strict(),
            Is::TakesOver(2, "n1", ""),
        ),
        (
            "one of two heirs takes over and waits for the other",
            ask("n2").ledger(&both).sees("n3", here(), both.clone()),
            Is::TakesOver(2, "n3", ""),
        ),
        (
            "an heir that is ahead of the other takes over",
            ask("n2").ledger(&both).sees("n3", at("1", "0/400"), both.clone()),
            Is::TakesOver(2, "n3", ""),
        ),
        (
            "an heir that was seen and then proven out is not waited for",
            ask("n2").ledger(&both).sees("n3", here(), both.clone()).out("n3"),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir whose fellow has more is refused",
            ask("n2").ledger(&both).sees("n3", at("1", "0/501"), both.clone()),
            Is::Refused(vec![behind("n3", "0/501")]),
        ),
        (
            "an heir whose fellow is silent is refused",
            ask("n2").ledger(&both),
            Is::Refused(vec![not_seen("n3")]),
        ),
        (
            "an heir whose fellow is silent is refused although that one is proven out",
            ask("n2").ledger(&both).out("n1 n3"),
            Is::Refused(vec![not_seen("n3")]),
        ),
        (
            "an heir whose fellow still replays is refused",
            ask("n2").ledger(&both).sees("n3", at_least("1", "0/400"), both.clone()),
            Is::Refused(vec![Obstacle::NotExact(node("n3"))]),
        ),
        (
            "an heir whose fellow has lost its database is refused",
            ask("n2").ledger(&both).blank("n3"),
            Is::Refused(vec![Obstacle::NotSeen(node("n3"), "it has no database".into())]),
        ),
        (
            "an heir whose fellow is no member any more is refused",
            ask("n2").of_two().ledger(&both),
            Is::Refused(vec![Obstacle::NotSeen(node("n3"), "it is not a member".into())]),
        ),
        (
            "an heir that still replays is refused",
            ask("n2").ledger(&one).here(at_least("1", "0/500")),
            Is::Refused(vec![Obstacle::StillReplaying]),
        ),
        (
            "an heir that does not know its own position is refused",
            Facts { position: Known::unknown("timeout"), ..ask("n2").ledger(&one) },
            Is::Refused(vec![Obstacle::OwnPositionUnknown("timeout".into())]),
        ),
        (
            "a node that is no heir is refused, wherever it stands",
            ask("n3").ledger(&one).here(at("1", "9/0")),
            Is::Refused(vec![not_an_heir(entry(1, 4, 1, "n1", "n2"))]),
        ),
        (
            "nobody replaces a primary that went on alone",
            ask("n2").ledger(&alone),
            Is::Refused(vec![not_an_heir(entry(1, 4, 1, "n1", ""))]),
        ),
        (
            "the stopped primary of the entry has more than its heir",
            ask("n2").ledger(&one).sees("n1", at("1", "0/600"), one.clone()),
            Is::Refused(vec![behind("n1", "0/600")]),
        ),
        (
            "an equal primary of the entry does not keep its heir from taking over",
            ask("n2").ledger(&one).sees("n1", here(), one.clone()),
            Is::TakesOver(2, "", ""),
        ),
        (
            "a member that is neither heir nor primary of the entry has no veto",
            ask("n2").ledger(&one).sees("n3", at("1", "9/0"), one.clone()),
            Is::TakesOver(2, "", ""),
        ),
        (
            "nor when it is on another line",
            ask("n2").ledger(&one).sees("n3", at("1@0/300,2", "0/400"), one.clone()),
            Is::TakesOver(2, "", ""),
        ),
        (
            "an heir on another line than its fellow is refused",
            ask("n2").ledger(&both).sees("n3", at("1@0/300,2", "0/400"), both.clone()),
            Is::Refused(vec![Obstacle::Diverged {
                from: node("n3"),
                fork: (Timeline(1), Lsn(0x300)),
            }]),
        ),
        (
            "an heir whose data is of a promotion that the entry does not know is refused",
            ask("n2").ledger(&one).followed(9),
            Is::Refused(vec![Obstacle::OtherBranch { mine: PromotionId(9), primary: node("n1") }]),
        ),
        (
            "an heir whose data is of an ancestor of the entry takes over",
            ask("n2").ledger(&store(&[after(entry(4, 0, 4, "n1", "n2"), &[3, 2])])).followed(2),
            Is::TakesOver(5, "", ""),
        ),
        (
            "a fellow of another database system is an obstacle",
            ask("n2").ledger(&both).sees("n3", of_another_system("1", "0/500"), both.clone()),
            Is::Refused(vec![foreign("node n3")]),
        ),
        (
            "an entry about another database system is an obstacle",
            ask("n2").ledger(&store(&[Entry { system_id: 8, ..entry(1, 0, 1, "n1", "n2") }])),
            Is::Refused(vec![foreign("the ledger entry of n1")]),
        ),
        (
            "without the CIB nobody takes over",
            Facts { cib: Known::unknown("no answer"), ..ask("n2").own(one.clone()) },
            Is::Refused(vec![Obstacle::CibUnknown("no answer".into())]),
        ),
    ]
}

/// The primary of the entry, n1, is promoted again.
pub fn in_place() -> Vec<Row> {
    let one = store(&[entry(1, 4, 1, "n1", "n2")]);
    let both = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let alone = store(&[entry(1, 4, 1, "n1", "")]);
    let here = || at("1", "0/500");
    vec![
        (
            "alone by its own file, nobody's position counts",
            ask("n1").ledger(&alone).sees("n2", at("1", "9/0"), alone.clone()),
            Is::InPlace((1, 5), "", ""),
        ),
        (
            "alone by its own file, its own position does not count either",
            Facts { position: Known::unknown("replays"), ..ask("n1").ledger(&alone) },
            Is::InPlace((1, 5), "", ""),
        ),
        (
            "alone by the CIB only, it is not alone",
            ask("n1").own(one.clone()).cib(store(&[entry(1, 5, 1, "n1", "")])),
            Is::Refused(vec![not_seen("n2")]),
        ),
        (
            "its term stays, its seq passes every one that was seen, E is kept, V is E",
            ask("n1").own(one.clone()).cib(store(&[entry(1, 6, 1, "n1", "")])).sees(
                "n2",
                here(),
                one.clone(),
            ),
            Is::InPlace((1, 7), "n2", "n2"),
        ),
        (
            "an heir that follows already counts",
            ask("n1").ledger(&both).sees("n2", here(), both.clone()).sees(
                "n3",
                here(),
                both.clone(),
            ),
            Is::InPlace((1, 5), "n2 n3", "n2 n3"),
        ),
        (
            "with one heir silent it is refused",
            ask("n1").ledger(&both).sees("n2", here(), both.clone()),
            Is::Refused(vec![not_seen("n3")]),
        ),
        (
            "with an heir ahead it is refused",
            ask("n1").ledger(&one).sees("n2", at("1", "0/501"), one.clone()),
            Is::Refused(vec![behind("n2", "0/501")]),
        ),
        (
            "an heir that has not heard of the grown E keeps V to what it knows",
            ask("n1").ledger(&both).sees("n2", here(), one.clone()).sees(
                "n3",
                here(),
                both.clone(),
            ),
            Is::InPlace((1, 5), "n2", "n2 n3"),
        ),
        (
            "an heir whose file has a pending relax is skipped for V",
            ask("n1").ledger(&both).sees("n2", here(), store(&[entry(1, 5, 1, "n1", "")])).sees(
                "n3",
                here(),
                both.clone(),
            ),
            Is::InPlace((1, 6), "n2 n3", "n2 n3"),
        ),
        (
            "an heir's entry of another promotion says nothing about V",
            ask("n1").ledger(&both).sees("n2", here(), store(&[entry(1, 2, 9, "n1", "n2")])).sees(
                "n3",
                here(),
                both.clone(),
            ),
            Is::InPlace((1, 5), "n2 n3", "n2 n3"),
        ),
        (
            "with a V of nobody it is refused, unless all of E are proven out",
            ask("n1").ledger(&both).sees("n2", here(), store(&[entry(1, 3, 1, "n1", "n2")])).sees(
                "n3",
                here(),
                store(&[entry(1, 3, 1, "n1", "n3")]),
            ),
            Is::Refused(vec![Obstacle::NobodyToConfirm(nodes("n2 n3"))]),
        ),
        (
            "all of E seen and then proven out: it goes on alone",
            ask("n1").ledger(&one).sees("n2", here(), one.clone()).out("n2"),
            Is::InPlace((1, 5), "", ""),
        ),
        (
            "strictly, it goes on and commits wait for whoever comes first",
            ask("n1").ledger(&one).sees("n2", here(), one.clone()).out("n2").strict(),
            Is::InPlace((1, 5), "n2 n3", ""),
        ),
        (
            "strictly, likewise when it was alone already",
            ask("n1").ledger(&alone).strict(),
            Is::InPlace((1, 5), "n2 n3", ""),
        ),
        (
            "an heir that is proven out is not in V and stays in E",
            ask("n1")
                .ledger(&both)
                .sees("n2", here(), both.clone())
                .sees("n3", here(), both.clone())
                .out("n3"),
            Is::InPlace((1, 5), "n2", "n2 n3"),
        ),
    ]
}
