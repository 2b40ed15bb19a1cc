//! The page of fault cases and the tests: each name on it is a test, each of the lab's `fault_` cases is on it,
//! and it says truly where they run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// All tests by their names, with whether `tests/run` plays them without `--full`.
fn tests() -> BTreeMap<String, bool> {
    let mut files = Vec::new();
    for dir in ["tests", "src"] {
        sources(&root().join(dir), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files {
        let mut within = file.components().any(|part| part.as_os_str() == "full");
        let mut is_test = false;
        for line in fs::read_to_string(&file).unwrap().lines() {
            within |= line == "mod full {";
            let line = line.trim();
            if line == "#[test]" || line == "#[tokio::test]" {
                is_test = true;
            } else if is_test && let Some(rest) = line.split("fn ").nth(1) {
                let name = rest.split(['(', '<']).next().unwrap().to_owned();
                found.insert(name, !within);
                is_test = false;
            }
        }
    }
    found
}

/// The rows of the page: the names of tests, and where they are said to run.
fn rows() -> Vec<(Vec<String>, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("docs/fault-cases.md")).unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| case |"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            assert_eq!(cells.len(), 4, "{line}");
            (quoted(cells[1]), quoted(cells[3]).into_iter().collect())
        })
        .collect()
}

#[test]
fn every_case_on_the_page_is_a_test_that_runs_where_it_says() {
    let tests = tests();
    let rows = rows();
    assert!(rows.len() > 40, "{}", rows.len());
    for (names, said) in &rows {
        assert!(!names.is_empty() && !said.is_empty(), "{names:?} {said:?}");
        let runs = names.iter().map(|name| match tests.get(name) {
            Some(true) => "run".to_owned(),
            Some(false) => "--full".to_owned(),
            None => panic!("no test is called {name}"),
        });
        assert_eq!(*said, runs.collect::<BTreeSet<_>>(), "{names:?}");
    }
}

#[test]
fn every_fault_case_of_the_lab_is_on_the_page() {
    let shown: BTreeSet<String> = rows().into_iter().flat_map(|(names, _)| names).collect();
    let cases: Vec<String> =
        tests().into_keys().filter(|name| name.starts_with("fault_")).collect();
    assert!(cases.len() > 20, "{cases:?}");
    for case in cases {
        assert!(shown.contains(&case), "{case} is not on the page");
    }
}
