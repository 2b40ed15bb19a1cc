//! What `pgtwin history --json` prints: documented in docs/json.md. Floor 1.

use serde::Serialize;

use super::History;
use crate::cluster::utc::Utc;
use crate::decide::report::json::VERSION;

/// The whole.
#[derive(Debug, Serialize)]
pub struct Remembered<'h> {
    version: u32,
    command: &'static str,
    resource: &'h str,
    seen_from: &'h str,
    events: Vec<Event<'h>>,
    ledger: &'h [String],
    silent: Vec<Silent<'h>>,
    warnings: &'h [String],
}

#[derive(Debug, Serialize)]
struct Silent<'h> {
    node: &'h str,
    why: &'h str,
}

#[derive(Debug, Serialize)]
struct Event<'h> {
    at: Option<String>,
    kind: &'static str,
    node: &'h str,
    words: &'h str,
}

/// The history in its shape.
pub fn remembered(history: &History) -> Remembered<'_> {
    let event =
        |event: &'_ super::Event| (event.at.map(|at| Utc::of(at).to_string()), event.kind.word());
    Remembered {
        version: VERSION,
        command: "history",
        resource: &history.resource,
        seen_from: &history.me,
        events: history
            .events
            .iter()
            .map(|one| {
                let (at, kind) = event(one);
                Event { at, kind, node: &one.node, words: &one.words }
            })
            .collect(),
        ledger: &history.ledger,
        silent: history.silent.iter().map(|(node, why)| Silent { node, why }).collect(),
        warnings: &history.problems,
    }
}
