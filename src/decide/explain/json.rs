//! What `pgtwin explain --json` prints: documented in docs/cli.md. Floor 1.

use serde::Serialize;

use super::{Explanation, Writes};
use crate::decide::report::json::VERSION;

/// The whole.
#[derive(Debug, Serialize)]
pub struct Explained<'e> {
    version: u32,
    command: &'static str,
    resource: &'e str,
    seen_from: String,
    lost: Vec<String>,
    assumed: bool,
    primary: Option<String>,
    then: Vec<String>,
    well: bool,
    summary: String,
    members: Vec<Member>,
    writes_now: Of,
    writes_then: Of,
    blocked: &'e [String],
    supposes: &'e [String],
}

#[derive(Debug, Serialize)]
struct Member {
    node: String,
    verdict: &'static str,
    reasons: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Of {
    state: &'static str,
    need: Vec<String>,
    words: String,
}

impl Of {
    fn from(writes: &Writes) -> Self {
        let words = writes.to_string();
        let (state, need) = match writes {
            Writes::Need(nodes) => ("go-on", nodes.iter().map(ToString::to_string).collect()),
            Writes::Wait(_) => ("wait", Vec::new()),
            Writes::Nobody => ("no-primary", Vec::new()),
            Writes::Unknown(_) => ("unknown", Vec::new()),
        };
        Self { state, need, words }
    }
}

/// The explanation in its shape.
pub fn explained(explanation: &Explanation) -> Explained<'_> {
    let names = |nodes: &std::collections::BTreeSet<_>| {
        nodes.iter().map(crate::cluster::node::NodeName::to_string).collect()
    };
    let member = |(node, verdict): (&crate::cluster::node::NodeName, &super::Verdict)| Member {
        node: node.to_string(),
        verdict: verdict.word(),
        reasons: explanation.reasons(node),
    };
    Explained {
        version: VERSION,
        command: "explain",
        resource: &explanation.resource,
        seen_from: explanation.me.to_string(),
        lost: names(&explanation.dead),
        assumed: explanation.assumed,
        primary: explanation.primary.as_ref().map(ToString::to_string),
        then: names(&explanation.then),
        well: explanation.is_well(),
        summary: explanation.headline(),
        members: explanation.members.iter().map(member).collect(),
        writes_now: Of::from(&explanation.now),
        writes_then: Of::from(&explanation.after),
        blocked: &explanation.blocked,
        supposes: &explanation.notes,
    }
}
