//! Events of the program, as they arrive in the cluster's log files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use pgtwin::sys::log::{Logger, Settings};
use tracing::subscriber::with_default;

fn lines_of(debug: bool) -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (log, debug_log) = (dir.path().join("log"), dir.path().join("debug"));
    let settings = Settings {
        instance: Some("db".into()),
        facility: None,
        files: vec![log.clone()],
        debug_files: vec![debug_log.clone()],
        stderr: false,
        debug,
    };
    with_default(Logger::open(&settings), || {
        let span = tracing::error_span!(target: "pgtwin::x", "a span is ignored");
        let _entered = span.enter();
        tracing::error!(target: "pgtwin::agent", "one\nforged");
        tracing::warn!(target: "pgtwin::agent", lag = 7, node = "n\n2", "two {}", 2);
        tracing::info!(target: "pgtwin", "three");
        tracing::debug!(target: "pgtwin::agent", "four");
        tracing::error!(target: "other_crate", "not ours");
        tracing::error!(target: "pgtwinned", "not ours either");
    });
    let read = |path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    (read(log), read(debug_log))
}

/// The line without its date.
fn body(line: &str) -> &str {
    &line["Nov 05 11:00:00 ".len()..]
}

#[test]
fn events_become_lines_with_tag_label_message_and_fields() {
    let (log, debug) = lines_of(false);
    let tag = format!("pgtwin(db)[{}]:    ", std::process::id());
    let expected = ["ERROR: one\\nforged", "WARNING: two 2 lag=7 node=\"n\\n2\"", "NOTICE: three"];
    let expected: Vec<String> = expected.iter().map(|text| format!("{tag}{text}")).collect();
    assert_eq!(log.iter().map(|line| body(line)).collect::<Vec<_>>(), expected);
    assert_eq!(debug.iter().map(|line| body(line)).collect::<Vec<_>>(), expected);
}

#[test]
fn debug_lines_go_to_the_debug_log_alone_and_only_when_asked_for() {
    let (log, debug) = lines_of(true);
    assert_eq!((log.len(), debug.len()), (3, 4));
    assert!(debug[3].ends_with("DEBUG: four"));
}
