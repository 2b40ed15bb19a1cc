//! Short runs: the rules hold within small bounds, each deliberate error is found, and the documents
//! have the same rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::options::{HELP, OptionsError};
use crate::rules::{MUTATIONS, RULES};
use crate::{Ending, Model, Options, Outcome, search};

mod mutations;
mod parts;

fn run(words: &str) -> Outcome {
    search(&Model { options: Options::parse(words.split_whitespace()).unwrap() })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in backticks in the first column of the table that begins with this head.
fn first_column(text: &str, head: &str) -> Vec<String> {
    let rows = text.split_once(head).unwrap_or_else(|| panic!("no table {head}")).1;
    rows.lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn two_nodes_keep_every_promise_within_the_smallest_bounds() {
    for start in ["alone", "all"] {
        let outcome = run(&format!(
            "nodes=2 start={start} commits=1 terms=2 crashes=1 cuts=0 in_place=1 seqs=2"
        ));
        assert_eq!(outcome.ending, Ending::Exhausted, "start={start}\n{outcome}");
        assert_eq!((outcome.acked, outcome.term), (1, 2), "start={start}: it explores nothing");
    }
}

/// What docs/model.md tells of: without the rule a standby takes another branch for its own.
#[test]
fn bytes_that_were_never_noted_are_explained_or_believed_by_nobody() {
    let bounds = "nodes=3 commits=0 terms=3 crashes=0 cuts=0 moves=1 losses=1 forced=1 in_place=1 \
                  seqs=0";
    let outcome = run(&format!("{bounds} break=unexplained"));
    assert_eq!(outcome.ending, Ending::FalseFollower, "{outcome}");
    let kept = run(&format!("{bounds} max={}", outcome.states));
    assert_eq!(kept.ending, Ending::Stopped, "{kept}");
}

#[test]
fn that_rule_leaves_nobody_stuck() {
    let outcome = run("commits=0 terms=2 crashes=1 cuts=1 in_place=1 seqs=1");
    assert_eq!(outcome.ending, Ending::Exhausted, "{outcome}");
}

#[test]
fn the_rules_are_named_alike_in_the_model_the_documents_and_the_code() {
    let mut documented = first_column(&read("docs/model.md"), "| rule | `break=` |");
    documented.dedup();
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(documented, names, "docs/model.md has other rules than the model");
    let safety = read("docs/safety.md");
    for rule in RULES {
        let name = format!("`{}`", rule.name);
        assert!(safety.contains(&name), "docs/safety.md does not name {name}");
        let source = read(&format!("src/{}", rule.source));
        assert!(source.contains(&name), "src/{} does not name {name}", rule.source);
    }
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "two rules have one name");
}

#[test]
fn every_rule_has_an_error_that_breaks_it_and_every_error_a_rule() {
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    let broken: BTreeSet<&str> = MUTATIONS.iter().map(|one| one.rule).collect();
    assert_eq!(rules, broken);
    let text = read("docs/model.md");
    for one in MUTATIONS {
        let row = format!("\n| `{}` | `{}` | ", one.rule, one.name);
        assert!(text.contains(&row), "docs/model.md lacks {row}");
    }
}

#[test]
fn an_option_that_is_not_understood_is_named_with_what_is_possible() {
    let wrong = |word: &str| Options::parse([word]).unwrap_err();
    assert_eq!(wrong("node=2"), OptionsError::Name("node".into()));
    for (word, said) in [
        ("nodes=4", "nodes=4 is not possible: give 2 or 3"),
        ("commits=seven", "commits=seven is not possible: give a number from 0 to 6"),
        ("commits=7", "commits=7 is not possible: give a number from 0 to 6"),
        ("live=2", "live=2 is not possible: give 0 or 1"),
        ("start=", "start= is not possible: give alone, all, one or growing"),
        ("max=-1", "max=-1 is not possible: give a number of states"),
    ] {
        assert_eq!(wrong(word).to_string(), said);
    }
    assert!(wrong("break=nothing").to_string().contains("give anybody, cib-only"));
    let third = Options::parse(["nodes=3", "third_vote"]).unwrap_err();
    assert_eq!(third.to_string(), "third_vote=1 is not possible: give it only with nodes=2");
    for word in ["nodes=", "start=", "max=N", "break=NAME"] {
        assert!(HELP.contains(word), "--help lacks {word}");
    }
}
