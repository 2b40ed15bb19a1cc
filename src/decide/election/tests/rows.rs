//! One row for each answer of the election.

mod others;
mod promotion;

use std::collections::BTreeSet;

use super::super::{Obstacle, Ruling, judge};
use super::{Is, ask, matches};
use crate::cluster::ledger::Entry;
use crate::cluster::position::Position;
use crate::decide::election::Facts;
use crate::decide::support::{SYSTEM, at, entry, node, store};
use crate::postgres::lsn::Timeline;

fn not_seen(name: &str) -> Obstacle {
    Obstacle::NotSeen(node(name), "silent".into())
}

fn behind(better: &str, at: &str) -> Obstacle {
    let point = |lsn: &str| (Timeline(1), lsn.parse().unwrap());
    Obstacle::Behind { better: node(better), at: point(at), mine: point("0/500") }
}

fn not_an_heir(entry: Entry) -> Obstacle {
    Obstacle::NotAnHeir(Box::new(entry))
}

fn foreign(source: &str) -> Obstacle {
    Obstacle::ForeignSystem { theirs: 8, ours: SYSTEM, source: source.into() }
}

fn of_another_system(line: &str, lsn: &str) -> Position {
    Position { system_id: 8, ..at(line, lsn) }
}

fn far(bytes: u64) -> Obstacle {
    Obstacle::TooFarBehind { bytes, allowed: 0x100 }
}

type Row = (&'static str, Facts, Is);

fn all() -> Vec<Row> {
    [
        promotion::takeover(),
        promotion::in_place(),
        others::entries(),
        others::cold_start(),
        others::first_start(),
        others::asynchronous(),
    ]
    .concat()
}

#[test]
fn every_row_of_the_election() {
    let mut wrong = Vec::new();
    for (name, facts, expected) in all() {
        let ruling = judge(&facts);
        if !matches(&ruling, &expected) {
            wrong.push(format!("{name}:\n  expected {expected:?}\n  got      {ruling:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The variants, so that a new one does not stay without a row.
fn kind(obstacle: &Obstacle) -> &'static str {
    match obstacle {
        Obstacle::OwnPositionUnknown(_) => "OwnPositionUnknown",
        Obstacle::StillReplaying => "StillReplaying",
        // Met where the file is read, before there is anything to judge.
        Obstacle::OwnLedgerUnknown(_) => "OwnLedgerUnknown",
        Obstacle::CibUnknown(_) => "CibUnknown",
        Obstacle::ForeignSystem { .. } => "ForeignSystem",
        Obstacle::NotAnHeir(_) => "NotAnHeir",
        Obstacle::NotSeen(..) => "NotSeen",
        Obstacle::NotExact(_) => "NotExact",
        Obstacle::Behind { .. } => "Behind",
        Obstacle::Diverged { .. } => "Diverged",
        Obstacle::OtherBranch { .. } => "OtherBranch",
        Obstacle::NobodyToConfirm(_) => "NobodyToConfirm",
        // Found by `promote`, which compares with the old primary's end.
        Obstacle::LacksTheEnd(_) => "LacksTheEnd",
        Obstacle::EndUnknown(_) => "EndUnknown",
        Obstacle::TooFarBehind { .. } => "TooFarBehind",
        Obstacle::LagUnknown(_) => "LagUnknown",
    }
}

#[test]
fn every_obstacle_is_met_by_a_row_and_says_itself_in_one_line() {
    let mut met = BTreeSet::new();
    for (name, facts, _) in all() {
        let Ruling::Refused(obstacles) = judge(&facts) else { continue };
        assert!(!obstacles.is_empty(), "{name}: refused without a reason");
        for obstacle in obstacles {
            let words = obstacle.to_string();
            assert!(!words.is_empty() && !words.contains('\n'), "{name}: {words:?}");
            met.insert(kind(&obstacle));
        }
    }
    // The agent says this one without asking here: `own` is what its file holds.
    for elsewhere in ["OwnLedgerUnknown", "LacksTheEnd", "EndUnknown"] {
        assert!(!met.contains(elsewhere));
    }
    assert_eq!(met.len(), 13, "met only {met:?}");
}

#[test]
fn only_what_time_can_heal_is_waited_for() {
    for (name, facts, _) in all() {
        let ruling = judge(&facts);
        let Ruling::Refused(obstacles) = &ruling else {
            assert!(!ruling.may_pass(), "{name}: a permission is nothing to wait for");
            continue;
        };
        let heals = |obstacle: &Obstacle| {
            [
                "OwnPositionUnknown",
                "StillReplaying",
                "CibUnknown",
                "NotSeen",
                "NotExact",
                "LagUnknown",
            ]
            .contains(&kind(obstacle))
        };
        assert_eq!(ruling.may_pass(), obstacles.iter().all(heals), "{name}");
    }
}

#[test]
fn the_better_node_is_named_when_one_is_known() {
    let both = store(&[entry(1, 4, 1, "n1", "n2 n3")]);
    let facts = ask("n2").ledger(&both).sees("n3", at("1", "0/501"), both.clone());
    assert_eq!(judge(&facts).better(), Some(&node("n3")));
    assert_eq!(judge(&ask("n2").ledger(&both)).better(), None);
}
