//! Rows of a standby's monitor, and all combinations of what it can find.

use std::collections::BTreeSet;

use super::{Facts, Next, Step, next};
use crate::decide::election::{Obstacle, Plan, Ruling};
use crate::decide::start::{Live, Upstream, foreign};
use crate::decide::support::{SYSTEM, node, nodes};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::lsn::Lsn;

/// The threshold of these tests.
const PATIENCE: u32 = 2;

fn the_live() -> Live {
    Live {
        node: node("n1"),
        system_id: SYSTEM,
        line: "1".parse().unwrap(),
        lsn: Lsn(0x500),
        knows_our_promotion: Some(true),
    }
}

/// A primary that was promoted without the promotion that this node has followed.
fn branch() -> Live {
    Live { knows_our_promotion: Some(false), ..the_live() }
}

fn live() -> Upstream {
    Upstream::Live(Box::new(the_live()))
}

fn of_another_branch() -> Upstream {
    Upstream::Live(Box::new(branch()))
}

fn silent() -> Upstream {
    Upstream::Silent(node("n1"), "timeout".into())
}

fn permitted() -> Ruling {
    Ruling::Permitted(Plan {
        term: 2,
        seq: 0,
        in_place: false,
        names: nodes("n3"),
        heirs: nodes(""),
        after: None,
    })
}

fn refused() -> Ruling {
    Ruling::Refused(vec![Obstacle::StillReplaying])
}

/// It streams from the right one, and nothing is due.
fn well() -> Facts {
    Facts {
        streams: true,
        from_the_right_one: true,
        system_id: 7,
        paused: false,
        delayed: false,
        due: false,
        upstream: None,
        followed: None,
        parted: Some(None),
        ruling: None,
        has_score: false,
        threshold: PATIENCE,
        broken: 0,
        diagnosis: None,
    }
}

fn broken(times: u32, upstream: Upstream) -> Facts {
    Facts { streams: false, broken: times, upstream: Some(upstream), ..well() }
}

fn says(code: ExitCode, state: &'static str, reason: &str) -> Next {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    Next::Answer { code, reason, state }
}

#[test]
fn every_row_of_a_standbys_monitor() {
    use ExitCode::{Degraded, Error, Ok};
    let ask = || Next::Do(Step::AskUpstream);
    let followed = |facts: Facts| Facts { followed: Some(Result::Ok(())), ..facts };
    for (name, facts, expected) in [
        ("all is well: nobody is asked", well(), says(Ok, "streaming", "")),
        (
            "replay is paused",
            Facts { paused: true, ..well() },
            says(Degraded, "paused", "replay is paused: SELECT pg_wal_replay_resume()"),
        ),
        ("replay is delayed", Facts { delayed: true, ..well() }, says(Ok, "delayed", "")),
        ("once in a while Pacemaker is asked", Facts { due: true, ..well() }, ask()),
        ("it does not stream", Facts { streams: false, broken: 1, ..well() }, ask()),
        ("it streams from another", Facts { from_the_right_one: false, ..well() }, ask()),
        ("it is pointed at the primary", broken(1, live()), Next::Do(Step::Follow(node("n1")))),
        (
            "that failed",
            Facts { followed: Some(Err("EROFS".into())), ..broken(1, live()) },
            says(Degraded, "not-streaming", "cannot be pointed at the primary n1: EROFS"),
        ),
        (
            "it streams",
            Facts { streams: true, ..followed(broken(0, live())) },
            says(Ok, "streaming", ""),
        ),
        ("a reconnect is no break", followed(broken(1, live())), says(Ok, "not-streaming", "")),
        (
            "a break is",
            followed(broken(PATIENCE, live())),
            says(Degraded, "not-streaming", "does not stream from n1: see PostgreSQL's log"),
        ),
        (
            "then it is compared with the primary's line",
            Facts { parted: None, ..followed(broken(2, live())) },
            Next::Do(Step::Compare),
        ),
        (
            "for a reconnect it is not",
            Facts { parted: None, ..followed(broken(1, live())) },
            says(Ok, "not-streaming", ""),
        ),
        (
            "regression: diverged data fails, so that start sees to it",
            Facts { parted: Some(Some("data diverged".into())), ..followed(broken(2, live())) },
            says(Error, "diverged", "data diverged"),
        ),
        (
            "another database fails, too",
            Facts { system_id: 8, ..broken(1, live()) },
            says(Error, "diverged", &foreign(8, &the_live()).unwrap()),
        ),
        (
            "regression: so does another branch of the same timeline number, also while it streams",
            Facts { streams: true, ..broken(0, of_another_branch()) },
            says(Error, "diverged", &foreign(7, &branch()).unwrap()),
        ),
        (
            "and says what the server says",
            Facts { diagnosis: Some("no slot".into()), ..followed(broken(9, live())) },
            says(Degraded, "not-streaming", "does not stream from n1: no slot"),
        ),
        (
            "a silent primary is nobody's concern while it streams",
            Facts { streams: true, ..broken(0, silent()) },
            says(Ok, "streaming", ""),
        ),
        ("nor for a moment", broken(1, silent()), says(Ok, "not-streaming", "")),
        (
            "but then it is",
            broken(PATIENCE, silent()),
            says(Degraded, "not-streaming", "the primary n1 does not answer: timeout"),
        ),
        (
            "without Pacemaker it streams on",
            Facts { streams: true, ..broken(0, Upstream::Unknown("hung".into())) },
            says(Ok, "streaming", ""),
        ),
        (
            "or says that it knows nothing",
            broken(1, Upstream::Unknown("hung".into())),
            says(Degraded, "waiting", "Pacemaker could not be asked: hung"),
        ),
        (
            "without a primary there is an election",
            broken(1, Upstream::Nobody),
            Next::Do(Step::ElectForColdStart),
        ),
        (
            "that this node wins",
            Facts { ruling: Some(permitted()), ..broken(1, Upstream::Nobody) },
            Next::Do(Step::GrantSelf),
        ),
        (
            "and then waits to be promoted",
            Facts { ruling: Some(permitted()), has_score: true, ..broken(1, Upstream::Nobody) },
            says(Ok, "waiting", ""),
        ),
        (
            "or loses, with the reason",
            Facts { ruling: Some(refused()), ..broken(1, Upstream::Nobody) },
            says(
                Degraded,
                "waiting",
                "no primary; not promoted: this node still replays WAL that it already has",
            ),
        ),
        (
            "a score that the old primary gave is not taken away",
            Facts { ruling: Some(refused()), has_score: true, ..broken(1, Upstream::Nobody) },
            says(Ok, "waiting", ""),
        ),
    ] {
        assert_eq!(next(&facts), expected, "{name}");
    }
}

/// All combinations, each with every outcome of every step, to the end.
#[test]
fn every_monitor_ends_and_only_a_won_election_gives_a_score() {
    let bools = [false, true];
    let upstreams = || {
        let unknown = Upstream::Unknown("hung".into());
        [live(), of_another_branch(), silent(), Upstream::Nobody, unknown]
    };
    let mut queue = Vec::new();
    for bits in 0..64 {
        for broken in [0, 1, PATIENCE, PATIENCE + 1] {
            let bit = |i: u32| bits >> i & 1 == 1;
            queue.push((
                0,
                Facts {
                    streams: bit(0),
                    from_the_right_one: bit(1),
                    paused: bit(2),
                    due: bit(3),
                    has_score: bit(4),
                    delayed: bit(5),
                    parted: None,
                    broken,
                    ..well()
                },
            ));
        }
    }
    let mut met = BTreeSet::new();
    while let Some((steps, facts)) = queue.pop() {
        assert!(steps < 5, "it comes to no end: {facts:?}");
        let mut then = |facts| queue.push((steps + 1, facts));
        match next(&facts) {
            Next::Do(Step::AskUpstream) => {
                met.insert("AskUpstream");
                for upstream in upstreams() {
                    then(Facts { upstream: Some(upstream), ..facts.clone() });
                }
            }
            Next::Do(Step::Follow(node)) => {
                met.insert("Follow");
                assert!(matches!(&facts.upstream, Some(Upstream::Live(live)) if live.node == node));
                then(Facts { followed: Some(Err("EROFS".into())), ..facts.clone() });
                for streams in bools {
                    then(Facts { followed: Some(Ok(())), streams, ..facts.clone() });
                }
            }
            Next::Do(Step::Compare) => {
                met.insert("Compare");
                for parted in [None, Some("data diverged".to_owned())] {
                    then(Facts { parted: Some(parted), ..facts.clone() });
                }
            }
            Next::Do(Step::ElectForColdStart) => {
                met.insert("ElectForColdStart");
                assert_eq!(facts.upstream, Some(Upstream::Nobody), "a primary is known: {facts:?}");
                for ruling in [permitted(), refused()] {
                    then(Facts { ruling: Some(ruling), ..facts.clone() });
                }
            }
            Next::Do(Step::GrantSelf) => {
                met.insert("GrantSelf");
                assert!(matches!(facts.ruling, Some(Ruling::Permitted(_))), "{facts:?}");
                assert_eq!(facts.upstream, Some(Upstream::Nobody), "a primary is known: {facts:?}");
                assert!(!facts.has_score);
                then(Facts { has_score: true, ..facts.clone() });
            }
            Next::Answer { code, reason, state } => {
                met.insert(state);
                assert_eq!(code != ExitCode::Ok, reason.is_some(), "{facts:?}");
                assert_eq!(code == ExitCode::Error, state == "diverged", "{facts:?}");
                let codes = [ExitCode::Ok, ExitCode::Degraded, ExitCode::Error];
                assert!(codes.contains(&code), "{facts:?}");
                assert!(state != "streaming" || facts.streams, "{facts:?}");
                assert!(reason.is_none_or(|words| !words.contains('\n')), "{facts:?}");
            }
        }
    }
    assert_eq!(met.len(), 11, "{met:?}");
}
