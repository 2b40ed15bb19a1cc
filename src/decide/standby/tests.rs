//! Rows of a standby's monitor, and all combinations of what it can find.

use std::collections::BTreeSet;

use super::watch::{Seen, Watch};
use super::{Also, Facts, Next, Step, also, next};
use crate::cluster::known::Known;
use crate::cluster::ledger::PromotionId;
use crate::decide::broken_replication::{Cause, Diagnosis};
use crate::decide::election::{Obstacle, Plan, Ruling};
use crate::decide::source::Advice;
use crate::decide::start::{Live, Upstream, foreign};
use crate::decide::support::{SYSTEM, node, nodes};
use crate::ocf::exit_code::ExitCode;
use crate::postgres::lsn::Lsn;

/// The threshold of these tests.
const THRESHOLD: u32 = 4;

fn the_live() -> Live {
    Live {
        node: node("n1"),
        system_id: SYSTEM,
        line: "1".parse().unwrap(),
        lsn: Lsn(0x500),
        promotion: Known::Known(PromotionId(1)),
        knows_our_promotion: Some(true),
        feeds_us: true,
        adopted: None,
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

/// It accepts writes, and the ledger stands against it.
fn disowned() -> Upstream {
    Upstream::Disowned(node("n1"), "the ledger's primary is n2".into())
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
        seen: Seen::Streams,
        from_the_right_one: true,
        system_id: 7,
        paused: false,
        why_paused: None,
        delayed: false,
        due: false,
        upstream: None,
        followed: None,
        parted: Some(Known::Known(None)),
        ruling: None,
        has_score: false,
        lets_another_go_first: false,
        threshold: THRESHOLD,
        watch: Watch::default(),
        reported: String::new(),
        diagnosis: Some(diagnosis(Cause::NotKnown)),
        new_slot: None,
        way_back: None,
    }
}

fn diagnosis(cause: Cause) -> Diagnosis {
    Diagnosis { cause, advice: Advice::new("what", "remedy") }
}

fn watch(broken: u32) -> Watch {
    Watch { broken, stuck: broken, ..Watch::default() }
}

fn broken(times: u32, upstream: Upstream) -> Facts {
    Facts { seen: Seen::Broken, watch: watch(times), upstream: Some(upstream), ..well() }
}

/// It was pointed at the primary, and was found to be broken so often, for this cause.
fn for_this(times: u32, cause: Cause) -> Facts {
    let followed = Some(Result::Ok(()));
    Facts { followed, diagnosis: Some(diagnosis(cause)), ..broken(times, live()) }
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
    let unseen = |facts: Facts| Facts { diagnosis: None, ..facts };
    let perhaps = |facts: Facts| Facts { seen: Seen::Perhaps, ..facts };
    let streams = |facts: Facts| Facts { seen: Seen::Streams, watch: watch(0), ..facts };
    let paused =
        |why: Option<&str>| Facts { paused: true, why_paused: why.map(str::to_owned), ..well() };
    for (name, facts, expected) in vec![
        ("all is well: nobody is asked", well(), says(Ok, "streaming", "")),
        ("replay is paused", paused(None), Next::Do(Step::LookWhyPaused)),
        ("that is told", paused(Some("by you")), says(Degraded, "paused", "by you")),
        ("replay is delayed", Facts { delayed: true, ..well() }, says(Ok, "delayed", "")),
        ("once in a while Pacemaker is asked", Facts { due: true, ..well() }, ask()),
        ("it does not stream", Facts { upstream: None, ..broken(1, live()) }, ask()),
        ("perhaps", Facts { upstream: None, ..perhaps(broken(1, live())) }, ask()),
        ("it streams from another", Facts { from_the_right_one: false, ..well() }, ask()),
        ("it is pointed at the primary", broken(1, live()), Next::Do(Step::Follow(node("n1")))),
        (
            "that failed",
            Facts { followed: Some(Err("EROFS".into())), ..broken(1, live()) },
            says(Degraded, "not-streaming", "cannot be pointed at the primary n1: EROFS"),
        ),
        ("it streams", streams(followed(broken(0, live()))), says(Ok, "streaming", "")),
        (
            "another database fails, too",
            Facts { system_id: 8, ..broken(1, live()) },
            says(Error, "diverged", &foreign(8, &the_live()).unwrap()),
        ),
        (
            "regression: so does another branch of the same timeline number, also while it streams",
            streams(broken(0, of_another_branch())),
            says(Error, "diverged", &foreign(7, &branch()).unwrap()),
        ),
        (
            "a silent primary is nobody's concern while it streams",
            streams(broken(0, silent())),
            says(Ok, "streaming", ""),
        ),
        ("nor for a moment", unseen(broken(1, silent())), says(Ok, "not-streaming", "")),
        (
            "but then the cause is looked for",
            unseen(broken(THRESHOLD, silent())),
            Next::Do(Step::Diagnose(node("n1"))),
        ),
        (
            "and told",
            Facts { diagnosis: Some(diagnosis(Cause::NotLetIn)), ..broken(THRESHOLD, silent()) },
            says(Degraded, "not-streaming", "does not stream from n1: what: remedy"),
        ),
        (
            "where there is none, with what it said",
            broken(THRESHOLD, silent()),
            says(Degraded, "not-streaming", "the primary n1 does not answer: timeout"),
        ),
        (
            "one that was promoted before another is waited with",
            broken(THRESHOLD - 1, disowned()),
            says(Ok, "waiting", ""),
        ),
        (
            "and then it is said",
            broken(THRESHOLD, disowned()),
            says(Degraded, "waiting", "the ledger's primary is n2"),
        ),
        (
            "what streams from it streams on",
            streams(broken(0, disowned())),
            says(Ok, "streaming", ""),
        ),
        (
            "without Pacemaker it streams on",
            streams(broken(0, Upstream::Unknown("hung".into()))),
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
            "or lets another go first",
            Facts {
                ruling: Some(permitted()),
                lets_another_go_first: true,
                ..broken(1, Upstream::Nobody)
            },
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

#[test]
fn every_row_of_a_break() {
    use ExitCode::{Degraded, Error, Ok};
    let quiet = || says(Ok, "not-streaming", "");
    let told = |words: &str| says(Degraded, "not-streaming", words);
    let what = "does not stream from n1: what: remedy";
    let unseen = |facts: Facts| Facts { diagnosis: None, ..facts };
    let parted = |parted, facts: Facts| Facts { parted, ..facts };
    let perhaps = |facts: Facts| Facts { seen: Seen::Perhaps, ..facts };
    let diagnose = || Next::Do(Step::Diagnose(node("n1")));
    let make = |lost| Next::Do(Step::MakeSlot { node: node("n1"), lost });
    let made = |made, facts: Facts| Facts { new_slot: Some(made), ..facts };
    let full = || Result::Err("all replication slots are in use".to_owned());
    let gone = |times| for_this(times, Cause::WalRemoved);
    let moves = |facts: Facts| Facts { watch: Watch { stuck: 1, ..facts.watch }, ..facts };
    for (name, facts, expected) in [
        ("a reconnect is no break", unseen(for_this(1, Cause::NotKnown)), quiet()),
        (
            "then it is compared with the primary's line",
            parted(None, for_this(2, Cause::NotKnown)),
            Next::Do(Step::Compare),
        ),
        ("for a reconnect it is not", parted(None, for_this(1, Cause::NotKnown)), quiet()),
        (
            "regression: diverged data fails, so that start sees to it",
            parted(Some(Known::Known(Some("data diverged".into()))), for_this(2, Cause::NotKnown)),
            says(Error, "diverged", "data diverged"),
        ),
        ("and the cause is looked for", unseen(for_this(2, Cause::NotKnown)), diagnose()),
        (
            "at once, where one is enough",
            Facts { threshold: 1, ..unseen(for_this(1, Cause::NotKnown)) },
            diagnose(),
        ),
        ("it is not told yet", for_this(THRESHOLD - 1, Cause::NotKnown), quiet()),
        ("but then, with the remedy", for_this(THRESHOLD, Cause::NotKnown), told(what)),
        ("and for as long as it lasts", for_this(1_000_000, Cause::NotLetIn), told(what)),
        ("a slot that is missing is made", for_this(2, Cause::SlotMissing), make(false)),
        ("one that is spent is made anew", for_this(2, Cause::SlotSpent), make(true)),
        ("once in a monitor", made(Result::Ok(()), for_this(2, Cause::SlotMissing)), quiet()),
        (
            "one that cannot be made is told, and nothing is recovered for it",
            made(full(), for_this(1_000_000, Cause::SlotMissing)),
            told(
                "does not stream from n1: what and cannot be made: all replication slots are in use",
            ),
        ),
        ("a recovery that helps waits for its time", gone(THRESHOLD - 1), quiet()),
        ("then it is checked", gone(THRESHOLD), Next::Do(Step::CheckTheWayBack)),
        ("an archive feeds it", moves(gone(THRESHOLD)), told(what)),
        (
            "its end is not known",
            parted(Some(Known::unknown("busy")), gone(THRESHOLD)),
            told("does not stream from n1: what: remedy; not yet: busy"),
        ),
        (
            "it fails, so that start brings it back",
            Facts { way_back: Some(Result::Ok(())), ..gone(THRESHOLD) },
            says(Error, "left-behind", what),
        ),
        (
            "it runs on where that is not possible, and says why",
            Facts { way_back: Some(Err("no room".into())), ..gone(THRESHOLD) },
            told("does not stream from n1: what: remedy; not yet: no room"),
        ),
        ("perhaps it is over", perhaps(for_this(THRESHOLD - 1, Cause::NotKnown)), quiet()),
        (
            "until that is known it says what it said",
            Facts { reported: "as before".into(), ..perhaps(gone(THRESHOLD)) },
            told("as before"),
        ),
        ("if it did", perhaps(gone(THRESHOLD)), quiet()),
        (
            "also of a silent one",
            Facts { reported: "as before".into(), ..perhaps(broken(THRESHOLD, silent())) },
            told("as before"),
        ),
    ] {
        assert_eq!(next(&facts), expected, "{name}");
    }
}

/// What nobody on this node can mend by new data never leads to a restart, however long it lasts.
#[test]
fn only_three_causes_lead_to_a_restart() {
    for cause in Cause::ALL {
        let facts =
            Facts { new_slot: Some(Ok(())), way_back: Some(Ok(())), ..for_this(1_000_000, cause) };
        let Next::Answer { code, .. } = next(&facts) else { panic!("{cause:?}") };
        assert_eq!(code == ExitCode::Error, cause.recovery_helps(), "{cause:?}");
        let silent = Facts { diagnosis: Some(diagnosis(cause)), ..broken(1_000_000, silent()) };
        assert!(
            matches!(next(&silent), Next::Answer { code: ExitCode::Degraded, .. }),
            "{cause:?}"
        );
    }
}

/// All combinations, each with every outcome of every step, to the end.
#[test]
fn every_monitor_ends_and_only_a_won_election_gives_a_score() {
    let upstreams = || {
        let unknown = Upstream::Unknown("hung".into());
        [live(), of_another_branch(), silent(), disowned(), Upstream::Nobody, unknown]
    };
    let mut queue = Vec::new();
    for bits in 0..32 {
        for seen in [Seen::Streams, Seen::Perhaps, Seen::Broken] {
            for broken in [0, 1, THRESHOLD, THRESHOLD + 1] {
                let bit = |i: u32| bits >> i & 1 == 1;
                queue.push((
                    0,
                    Facts {
                        seen,
                        from_the_right_one: bit(0),
                        paused: bit(1),
                        due: bit(2),
                        has_score: bit(3),
                        delayed: bit(4),
                        parted: None,
                        diagnosis: None,
                        watch: watch(broken),
                        ..well()
                    },
                ));
            }
        }
    }
    let mut met = BTreeSet::new();
    while let Some((steps, facts)) = queue.pop() {
        assert!(steps < 7, "it comes to no end: {facts:?}");
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
                for followed in [Ok(()), Err("EROFS".into())] {
                    then(Facts { followed: Some(followed), ..facts.clone() });
                }
            }
            Next::Do(Step::Compare) => {
                met.insert("Compare");
                for parted in [
                    Known::Known(None),
                    Known::Known(Some("data diverged".to_owned())),
                    Known::unknown("busy"),
                ] {
                    then(Facts { parted: Some(parted), ..facts.clone() });
                }
            }
            Next::Do(Step::LookWhyPaused) => {
                met.insert("LookWhyPaused");
                then(Facts { why_paused: Some("paused".into()), ..facts.clone() });
            }
            Next::Do(Step::Diagnose(_)) => {
                met.insert("Diagnose");
                assert_eq!(facts.seen, Seen::Broken, "{facts:?}");
                for cause in Cause::ALL {
                    then(Facts { diagnosis: Some(diagnosis(cause)), ..facts.clone() });
                }
            }
            Next::Do(Step::MakeSlot { .. }) => {
                met.insert("MakeSlot");
                assert!(matches!(facts.upstream, Some(Upstream::Live(_))), "{facts:?}");
                for made in [Ok(()), Err("full".to_owned())] {
                    then(Facts { new_slot: Some(made), ..facts.clone() });
                }
            }
            Next::Do(Step::CheckTheWayBack) => {
                met.insert("CheckTheWayBack");
                assert!(facts.diagnosis.as_ref().unwrap().cause.recovery_helps(), "{facts:?}");
                for way in [Ok(()), Err("no room".to_owned())] {
                    then(Facts { way_back: Some(way), ..facts.clone() });
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
                assert!(!facts.has_score && !facts.lets_another_go_first);
                then(Facts { has_score: true, ..facts.clone() });
                then(Facts { lets_another_go_first: true, ..facts.clone() });
            }
            Next::Answer { code, reason, state } => {
                met.insert(state);
                assert_eq!(code != ExitCode::Ok, reason.is_some(), "{facts:?}");
                let fails = ["diverged", "left-behind"].contains(&state);
                assert_eq!(code == ExitCode::Error, fails, "{facts:?}");
                let is_live = matches!(facts.upstream, Some(Upstream::Live(_)));
                assert!(code != ExitCode::Error || is_live, "{facts:?}");
                let codes = [ExitCode::Ok, ExitCode::Degraded, ExitCode::Error];
                assert!(codes.contains(&code), "{facts:?}");
                assert!(state != "streaming" || facts.seen == Seen::Streams, "{facts:?}");
                assert!(reason.is_none_or(|words| !words.contains('\n')), "{facts:?}");
            }
        }
    }
    assert_eq!(met.len(), 16, "{met:?}");
}

#[test]
fn a_state_is_said_when_it_lasts_and_a_failure_at_once() {
    use ExitCode::{Degraded, Error, Ok};
    let broken = |times| Facts { seen: Seen::Broken, watch: watch(times), ..well() };
    let (below, reached) = (broken(THRESHOLD - 1), broken(THRESHOLD));
    for (name, facts, code, state, expected) in [
        ("it streams", &well(), Ok, "streaming", (true, false, false)),
        ("it streams, paused", &well(), Degraded, "paused", (true, false, false)),
        ("it may only reconnect", &below, Ok, "not-streaming", (false, false, false)),
        ("it cannot be pointed", &below, Degraded, "not-streaming", (false, false, true)),
        ("it is broken", &reached, Degraded, "not-streaming", (true, false, true)),
        ("it waits for a primary", &reached, Degraded, "waiting", (true, false, false)),
        ("it waits, since a moment", &below, Ok, "waiting", (false, false, false)),
        ("it has parted", &below, Error, "diverged", (true, true, false)),
        ("it is left behind", &reached, Error, "left-behind", (true, true, false)),
    ] {
        let (says_its_state, leaves_off, is_remembered) = expected;
        let expected = Also { says_its_state, leaves_off, is_remembered };
        assert_eq!(also(facts, code, state), expected, "{name}");
    }
}
