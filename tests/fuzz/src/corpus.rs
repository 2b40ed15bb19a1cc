//! What a target is begun from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Target;

/// The captured files, of every program and version.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// All texts of a target, in an order that is the same everywhere: its own, then the captured ones.
///
/// # Panics
/// Where the captured files cannot be read.
#[must_use]
pub fn of(target: &Target) -> Vec<Vec<u8>> {
    let own = target.seeds.iter().map(|seed| seed.as_bytes().to_vec());
    let mut files = Vec::new();
    if !target.captured.is_empty() {
        list(&fixtures(), &mut files);
    }
    files.sort();
    let fits =
        |file: &&PathBuf| target.captured.iter().any(|end| file.to_string_lossy().ends_with(end));
    let captured = files.iter().filter(fits).map(|file| fs::read(file).expect("a captured file"));
    own.chain(captured).collect()
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("tests/fixtures") {
        let path = entry.expect("tests/fixtures").path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}
