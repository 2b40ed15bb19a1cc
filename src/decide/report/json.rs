//! What `pgtwin status --json` prints. Floor 1.
//!
//! The shape is documented in docs/cli.md. What could not be learned and what does not apply is null;
//! in the first case a warning says why. A field is never renamed or given another meaning without
//! another `version`; new ones may come.

use serde::{Serialize, Serializer};

use super::{Cell, Facts, Report, configuration, runtime};
use crate::cluster::known::Known;
use crate::cluster::ledger::Mode;
use crate::cluster::node::NodeName;
use crate::cluster::topology::Quorum;
use crate::cluster::utc::Utc;
use crate::decide::changeover::Target;
use crate::decide::doctor::Finding;

/// The version of the shapes.
pub const VERSION: u32 = 1;

impl<T: Serialize> Serialize for Cell<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(value) => serializer.serialize_some(value),
            Self::Unknown | Self::No => serializer.serialize_none(),
        }
    }
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Status<'r> {
    version: u32,
    command: &'static str,
    resource: &'r str,
    seen_from: String,
    mode: &'static str,
    attention: bool,
    primary: Option<String>,
    members: Vec<Member<'r>>,
    ledger: Option<Ledger>,
    quorum: Option<bool>,
    fencing: Fencing,
    maintenance: bool,
    address: Option<Address<'r>>,
    lines: Vec<Line<'r>>,
    configuration: &'r [Finding],
    warnings: &'r [String],
    advice: &'r [String],
}

#[derive(Debug, Serialize)]
struct Member<'r> {
    node: &'r str,
    role: &'r Cell<&'static str>,
    state: &'r Cell<String>,
    timeline: Option<u32>,
    lsn: Option<String>,
    lag_bytes: &'r Cell<u64>,
    delay_ms: &'r Cell<u64>,
    sync: &'r Cell<bool>,
    score: &'r Cell<i32>,
    heir: &'r Cell<bool>,
    runtime: Option<Runtime>,
}

#[derive(Debug, Serialize)]
struct Runtime {
    at: Option<&'static str>,
    seen: bool,
    engine: Option<String>,
    image: Option<String>,
    image_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Ledger {
    term: u64,
    entry: u64,
    promotion: String,
    primary: String,
    mode: &'static str,
    heirs: Vec<String>,
    writes_need: Option<Vec<String>>,
    promoted_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Fencing {
    proves: bool,
    why_not: Option<String>,
    devices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Address<'r> {
    address: &'r str,
    nodes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line<'r> {
    title: &'static str,
    text: &'r str,
}

fn strings<'n>(nodes: impl IntoIterator<Item = &'n NodeName>) -> Vec<String> {
    nodes.into_iter().map(ToString::to_string).collect()
}

fn is<T: Copy>(cell: &Cell<T>) -> Option<T> {
    match cell {
        Cell::Is(value) => Some(*value),
        Cell::Unknown | Cell::No => None,
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Sync => "sync",
        Mode::Async => "async",
    }
}

/// The report in its shape.
pub fn status<'r>(facts: &'r Facts, report: &'r Report) -> Status<'r> {
    let (fencing, vip) = (facts.cib.fencing(), facts.vip.as_deref());
    let why_not = fencing.offline_means_down().err();
    Status {
        version: VERSION,
        command: "status",
        resource: &facts.resource,
        seen_from: facts.me.to_string(),
        mode: mode(facts.mode),
        attention: report.needs_attention(),
        primary: facts.primary().map(ToString::to_string),
        members: report.rows.iter().map(|row| member(facts, row)).collect(),
        ledger: ledger(facts),
        quorum: match facts.status.quorum {
            Quorum::Quorate => Some(true),
            Quorum::Inquorate => Some(false),
            Quorum::NoController => None,
        },
        fencing: Fencing { proves: why_not.is_none(), why_not, devices: fencing.devices },
        maintenance: super::warnings::maintenance(facts, &mut Vec::new()) != "no",
        address: vip.map(|address| Address {
            address,
            nodes: strings(&configuration::carriers(facts, address).1),
        }),
        lines: report.lines.iter().map(|(title, text)| Line { title, text }).collect(),
        configuration: &facts.configuration,
        warnings: &report.warnings,
        advice: &report.advice,
    }
}

fn member<'r>(facts: &Facts, row: &'r super::Row) -> Member<'r> {
    Member {
        node: &row.node,
        role: &row.role,
        state: &row.state,
        timeline: is(&row.timeline).map(|timeline| timeline.0),
        lsn: is(&row.lsn).map(|lsn| lsn.to_string()),
        lag_bytes: &row.lag,
        delay_ms: &row.delay,
        sync: &row.sync,
        score: &row.score,
        heir: &row.heir,
        runtime: row.node.parse().ok().map(|node| runtime_of(facts, &node)),
    }
}

fn runtime_of(facts: &Facts, node: &NodeName) -> Runtime {
    let runs = runtime::of(facts, node);
    Runtime {
        at: runs.at.known().map(|at| match at {
            Target::Container => "container",
            Target::Host => "host",
        }),
        seen: runs.seen,
        engine: runs.engine,
        image: runs.image,
        image_id: runs.id,
    }
}

/// The entry that binds; where several share a term, the words say so and there is none here.
fn ledger(facts: &Facts) -> Option<Ledger> {
    let binding = facts.binding();
    let [entry] = binding.as_slice() else { return None };
    let is_primary = facts.primary() == Some(&entry.primary);
    let promoted_at = facts.cib.promoted_at(&facts.resource, &entry.primary);
    Some(Ledger {
        term: entry.term,
        entry: entry.seq,
        promotion: entry.id.to_string(),
        primary: entry.primary.to_string(),
        mode: mode(entry.mode),
        heirs: strings(&entry.heirs),
        writes_need: match facts.sync_names() {
            Known::Known(names) if is_primary => Some(strings(&names)),
            Known::Known(_) | Known::Unknown(_) => None,
        },
        promoted_at: promoted_at.filter(|_| is_primary).map(|at| Utc::of(at).to_string()),
    })
}
