//! The parts of which the model is made.

use super::run;
use crate::state::{Entry, NOBODY, Set, State, Store, Wal};
use crate::{Ending, Model, Options};

/// Promotions as (timeline, number), commits as (0, number).
fn wal(records: &[(u8, u8)]) -> Wal {
    let mut wal = Wal::default();
    for (timeline, number) in records {
        if *timeline == 0 { wal.append(*number) } else { wal.promote(*timeline, *number) }
    }
    wal
}

#[test]
fn two_branches_of_one_timeline_number_look_alike_and_are_not() {
    let trunk = wal(&[(1, 1), (0, 1)]);
    let one = wal(&[(1, 1), (0, 1), (2, 2)]);
    let other = wal(&[(1, 1), (0, 1), (2, 3), (0, 2)]);
    let later = wal(&[(1, 1), (0, 1), (0, 2), (2, 3)]);
    assert!(trunk.begins(one) && trunk.seems_to_begin(other));
    assert!(one.seems_to_begin(other) && !one.begins(other));
    assert!(!one.seems_to_begin(later), "they part at another position");
    assert!(!other.seems_to_begin(one), "it has more");
    assert_eq!((one.timeline(), trunk.timeline(), Wal::default().timeline()), (2, 1, 0));
    assert!(other.has_promotion(3) && !other.has_promotion(2));
    assert!(other.has_commit(2) && !one.has_commit(2));
    assert_eq!(other.to_string(), "T1u1 c1 T2u3 c2");
}

#[test]
fn every_subset_is_found_once_and_the_whole_first() {
    let subsets: Vec<String> = Set::first(3).without(1).subsets().map(|s| s.to_string()).collect();
    assert_eq!(subsets, ["{02}", "{2}", "{0}", "{}"]);
}

#[test]
fn a_store_keeps_nothing_below_its_highest_done_term() {
    let entry = |term, seq, id| Entry { term, seq, id, ..Entry::default() };
    let mut mine = Store::default();
    mine.done[0] = entry(1, 2, 1);
    mine.intent[0] = entry(1, 3, 2);
    let mut theirs = Store::default();
    theirs.done[1] = entry(2, 0, 3);
    let merged = mine.merged(&theirs, None);
    assert_eq!(merged, theirs);
    assert_eq!((merged.max_term(), merged.newest_done()), (2, Some((1, entry(2, 0, 3)))));
    let mut newer = Store::default();
    newer.done[0] = entry(1, 4, 4);
    assert_eq!(mine.merged(&newer, Some(0)), mine, "an own slot is never taken from elsewhere");
    assert_eq!(mine.merged(&newer, None).done[0], entry(1, 4, 4));
    assert!(!mine.merged(&newer, None).intent[0].exists(), "an intent that was overtaken");
}

/// Node 2 in the place of node 1, and promotions with other numbers.
#[test]
fn states_that_differ_in_names_only_are_one_state() {
    let model = Model { options: Options::parse(["nodes=3", "start=one"]).unwrap() };
    let first = model.first();
    let exchanged = |s: &State| {
        let mut t = *s;
        let set = |nodes: Set| nodes.iter().map(|node| [0, 2, 1][node]).collect::<Set>();
        t.nodes.swap(1, 2);
        for node in &mut t.nodes {
            node.scores = set(node.scores);
            node.names = set(node.names);
            for store in [&mut node.file, &mut node.cib] {
                store.done[0].heirs = set(store.done[0].heirs);
            }
        }
        t
    };
    let other = exchanged(&first);
    assert_ne!(first, other);
    assert_eq!(model.fingerprint(&first), model.fingerprint(&other));
    let mut renamed = first;
    for node in &mut renamed.nodes {
        node.followed = 5;
        node.wal = wal(&[(1, 5)]);
        node.file.done[0].id = 5;
        node.cib.done[0].id = 5;
    }
    renamed.lines.swap(1, 5);
    assert_eq!(model.fingerprint(&first), model.fingerprint(&renamed));
    let mut different = first;
    different.nodes[1].upstream = NOBODY;
    assert_ne!(model.fingerprint(&first), model.fingerprint(&different));
}

#[test]
fn a_finding_is_told_step_by_step_from_the_beginning_to_the_state_that_breaks_the_promise() {
    let outcome = run("commits=1 terms=2 crashes=0 cuts=1 in_place=1 seqs=1 live=0 break=unfenced");
    assert_eq!(outcome.ending, Ending::TwoPrimaries);
    let steps = outcome.history.lines().filter(|line| line.contains(". ")).count();
    assert_eq!(steps, outcome.depth, "{outcome}");
    assert_eq!(outcome.history.matches("Primary: WAL").count(), 2, "{outcome}");
    assert!(outcome.history.contains("CUT 0|1"), "{outcome}");
}

#[test]
fn a_search_that_is_stopped_says_so() {
    let outcome = run("max=1000 live=0");
    assert_eq!(outcome.ending, Ending::Stopped);
    assert!(outcome.states > 1000 && outcome.history.is_empty());
}
