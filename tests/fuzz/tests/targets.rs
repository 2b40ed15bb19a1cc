//! Every target stands what was captured from real programs, and what a seed makes of it; what once broke
//! one stays here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fuzz::mutate::{Chance, damaged};
use fuzz::{corpus, target, targets};

#[test]
fn every_target_stands_its_corpus_and_some_damage_to_it() {
    for target in targets::ALL {
        let corpus = corpus::of(target);
        assert!(!corpus.is_empty(), "{} begins from nothing", target.name);
        for text in &corpus {
            (target.run)(text);
        }
        let mut chance = Chance::new(7);
        for _ in 0..200 {
            (target.run)(&damaged(&corpus, &mut chance));
        }
    }
}

#[test]
fn every_end_of_a_name_of_a_captured_file_is_one_of_some() {
    for target in targets::ALL {
        let captured = corpus::of(target).len() - target.seeds.len();
        assert!(captured >= target.captured.len(), "{}: {captured}", target.name);
    }
}

#[test]
fn a_seed_damages_in_the_same_way_again() {
    let corpus = corpus::of(target("conf").unwrap());
    let all = |seed| {
        let mut chance = Chance::new(seed);
        (0..100).map(|_| damaged(&corpus, &mut chance)).collect::<Vec<_>>()
    };
    assert_eq!(all(1), all(1));
    assert_ne!(all(1), all(2));
}

#[test]
fn libfuzzer_has_a_program_for_every_target() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let names: BTreeSet<&str> = targets::ALL.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), targets::ALL.len(), "two targets have one name");
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    let programs =
        manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    assert_eq!(programs.filter(|name| *name != "pgtwin-fuzz").collect::<BTreeSet<_>>(), names);
    for name in names {
        let source = fs::read_to_string(dir.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("fuzz::run(\"{name}\", data)")), "{name}");
    }
}
