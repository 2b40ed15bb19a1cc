//! Each deliberate error breaks a promise within bounds that take a moment; those that need more are
//! found by the runs in docs/model.md.

use std::collections::BTreeMap;

use super::run;
use crate::Ending::{self, CommitLost, FalseFollower, Stuck, TwoPrimaries};
use crate::Outcome;
use crate::rules::MUTATIONS;

const CRASH: &str = "crashes=1 cuts=0";
const CUT: &str = "crashes=0 cuts=1";
const ALONE: &str = "start=alone crashes=1 cuts=0 seqs=2";
const BOTH: &str = "crashes=1 cuts=1 wait_for_all=0 max=400000";
const THREE: &str = "nodes=3 start=one crashes=1 cuts=0 seqs=2 slow_senders=1 max=600000";

const HEIRS: &str = "nodes=3 terms=3 crashes=2 cuts=0 in_place=0 seqs=0 max=150000";
const GROWTH: &str = "nodes=3 start=growing crashes=0 cuts=1 in_place=0 ignore_quorum=1 max=300000";
const TIE: &str = "commits=0 crashes=1 cuts=1 seqs=0 wait_for_all=0 live=1 max=10000";
const FORCED: &str = "nodes=3 commits=0 terms=3 crashes=0 cuts=0 moves=1 losses=1 forced=1 seqs=0";

/// Which error, within which bounds, and what comes of it.
const FOUND: &[(&str, &str, Ending)] = &[
    ("anybody", CRASH, CommitLost),
    ("cib-only", BOTH, CommitLost),
    ("not-all-seen", THREE, CommitLost),
    ("behind", THREE, CommitLost),
    ("in-place-unseen", BOTH, CommitLost),
    ("any-branch", BOTH, FalseFollower),
    ("unknown-follows", BOTH, FalseFollower),
    ("blind-pointing", BOTH, FalseFollower),
    ("nobody-confirms", BOTH, CommitLost),
    ("cib-is-enough", BOTH, CommitLost),
    ("new-term", TIE, Stuck),
    ("heirs-kept", HEIRS, CommitLost),
    ("lone-start", BOTH, CommitLost),
    ("unfenced", CUT, TwoPrimaries),
    ("all-history", BOTH, FalseFollower),
    ("unexplained", FORCED, FalseFollower),
    ("no-checkpoint", ALONE, CommitLost),
    ("heir-lacks", ALONE, CommitLost),
    ("heirs-unaware", GROWTH, CommitLost),
    ("unproven", CUT, CommitLost),
    ("file-too-soon", BOTH, CommitLost),
    ("names-too-soon", CRASH, CommitLost),
    ("old-scores", BOTH, CommitLost),
];

/// Errors that need more than a moment, or that nothing has needed so far.
const ELSEWHERE: &[&str] = &[
    "unknown-names",
    "no-intent",
    "noted-late",
    "old-senders",
    "rest-lacks",
    "cib-first",
    "intent-ignored",
    "unresolved",
];

fn within(bounds: &str, more: &str) -> Outcome {
    run(&format!("nodes=2 commits=1 terms=2 in_place=1 seqs=1 live=0 {bounds} {more}"))
}

#[test]
fn deliberate_errors_break_a_promise_and_their_bounds_without_them_do_not() {
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, bounds, ending) in FOUND {
        let outcome = within(bounds, &format!("break={name}"));
        assert_eq!(outcome.ending, *ending, "break={name}\n{outcome}");
        let states = most.entry(bounds).or_default();
        *states = outcome.states.max(*states);
    }
    for (bounds, states) in most {
        let outcome = within(bounds, &format!("max={states}"));
        let sound = matches!(outcome.ending, Ending::Exhausted | Ending::Stopped);
        assert!(sound, "{bounds}\n{outcome}");
    }
}

#[test]
fn no_deliberate_error_is_forgotten() {
    let mut tried: Vec<&str> =
        FOUND.iter().map(|(name, ..)| *name).chain(ELSEWHERE.to_vec()).collect();
    let mut all: Vec<&str> = MUTATIONS.iter().map(|one| one.name).collect();
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all);
}
