//! Files of the repository that are made from what the program knows: compared, or written anew.
#![allow(dead_code)] // each test uses its part

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How to write them anew.
const REFRESH: &str = "PGTWIN_REFRESH=1 cargo test --test metadata --test manual";

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn refreshing() -> bool {
    std::env::var_os("PGTWIN_REFRESH").is_some()
}

/// Fails when this file is another than it should be; writes it when asked to.
pub fn is_up_to_date(path: &str, wanted: &str) {
    let file = repository(path);
    if refreshing() {
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{path} can't be read ({error}); run: {REFRESH}"));
    if found != wanted {
        let line = found.lines().zip(wanted.lines()).take_while(|(old, new)| old == new).count();
        panic!("{path} is stale from line {}; run: {REFRESH}", line + 1);
    }
}

/// The same for a directory that holds nothing but files that are made.
pub fn are_all_up_to_date(dir: &str, wanted: &[(String, String)]) {
    let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), wanted.len(), "two files of one name");
    for entry in std::fs::read_dir(repository(dir)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if names.contains(name.as_str()) {
            continue;
        }
        assert!(refreshing(), "{dir}/{name} is made of nothing any more; run: {REFRESH}");
        std::fs::remove_file(entry.path()).unwrap();
    }
    for (name, text) in wanted {
        is_up_to_date(&format!("{dir}/{name}"), text);
    }
}
