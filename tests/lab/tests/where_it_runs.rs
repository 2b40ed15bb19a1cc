//! Every test that starts containers says which run plays it, and that is true: `tests/run` leaves out
//! the modules named `full`, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_is_not_run_by_itself_says_where_it_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("tests"), &mut files);
    let (mut usual, mut full) = (0, 0);
    for file in files {
        let in_full = file.components().any(|part| part.as_os_str() == "full");
        let mut within = in_full;
        for line in fs::read_to_string(&file).unwrap().lines() {
            within |= line == "mod full {";
            let Some(reason) = line.trim().strip_prefix("#[ignore") else { continue };
            let says_full = match reason {
                " = \"starts containers: tests/run does\"]" => false,
                " = \"starts containers: tests/run --full does\"]" => true,
                other => panic!("{}: #[ignore{other}", file.display()),
            };
            assert_eq!(says_full, within, "{}", file.display());
            *(if within { &mut full } else { &mut usual }) += 1;
        }
    }
    assert!(usual > 20 && full > 20, "{usual} and {full}");
    let run = fs::read_to_string(root.join("../run")).unwrap();
    assert!(run.contains("\nONLY_FULL=full::\n") && run.contains("--skip \"$ONLY_FULL\""));
}
