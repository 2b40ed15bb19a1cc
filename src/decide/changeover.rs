//! `pgtwin container adopt` and `leave`: PostgreSQL of a cluster goes into containers, or back onto the hosts,
//! one node after the other, standbys first. Whether that can be done, in which steps, and what of the CIB
//! says where a node's PostgreSQL runs. Floor 1.
//!
//! One value of container_mode holds for the whole clone. A node that differs has a set of parameters of its
//! own, with a rule of Pacemaker's that names the node (`#uname eq n2`); so Pacemaker gives each node its
//! value, also when nobody of us is left. When all nodes are where they shall be, the value is set for all,
//! and the rules are removed; that changes nothing for any node, so nothing is restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::cib::{OWN_PREFIX, Primitive, Setting, truth};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::readiness::{Readiness, Side};
use crate::decide::image::PULL;

/// The parameter.
pub const PARAMETER: &str = "container_mode";
/// What a node was told longer ago is asked for again, in seconds.
const OLD: i64 = 24 * 3600;

/// Where PostgreSQL runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// In a container.
    Container,
    /// On the host.
    Host,
}

impl Target {
    /// The value of the parameter.
    pub const fn value(self) -> &'static str {
        match self {
            Self::Container => "true",
            Self::Host => "false",
        }
    }

    /// The name of the command that leads there.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Container => "adopt",
            Self::Host => "leave",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "in a container",
            Self::Host => "on the host",
        })
    }
}

/// Where the parameters have PostgreSQL run on a node.
pub fn target_on(primitive: &Primitive, node: &NodeName) -> Known<Target> {
    match primitive.parameters_on(node).get(PARAMETER) {
        None => Known::Known(Target::Host),
        Some(Setting::Set(text)) => match truth(text) {
            Some(true) => Known::Known(Target::Container),
            Some(false) => Known::Known(Target::Host),
            None => Known::unknown(format!("{PARAMETER} is {text:?}")),
        },
        Some(Setting::Conditional) => {
            Known::unknown(format!("a rule that is not pgtwin's decides {PARAMETER}"))
        }
    }
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its PostgreSQL runs, by the parameters.
    pub at: Known<Target>,
    /// It says that it streams.
    pub streams: bool,
    /// What it has told of its image; none: nothing.
    pub told: Known<Option<Readiness>>,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where all shall be.
    pub target: Target,
    /// Seconds since the epoch.
    pub now: i64,
    /// The members.
    pub members: BTreeMap<NodeName, Member>,
    /// Those that accept writes.
    pub writable: Vec<NodeName>,
    /// Nodes with a set of parameters of their own.
    pub apart: BTreeSet<NodeName>,
    /// The value that holds for all others.
    pub elsewhere: Known<Target>,
    /// Why the primary could not be moved now, one line each; empty: it could.
    pub against_a_move: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A standby is stopped where it is and started where it shall be.
    Restart(NodeName),
    /// The primary is moved away from this node.
    MoveFrom(NodeName),
    /// The value is set for all nodes, and the sets of single ones are removed.
    Settle,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// What the operator should know.
    pub remarks: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// All are there.
    Already,
    /// Not now; why, one line each.
    Refused(Vec<String>),
    /// It can be done.
    Possible(Plan),
}

/// Can it be done, and how?
#[must_use]
pub fn judge(facts: &Facts) -> Ruling {
    let mut against = Vec::new();
    let primary = match facts.writable.as_slice() {
        [one] => Some(one),
        [] => {
            against.push(
                "there is no primary that accepts writes: pgtwin explain says why".to_owned(),
            );
            None
        }
        [_, _, ..] => {
            against.push("several nodes accept writes at once".to_owned());
            None
        }
    };
    let mut to_change = Vec::new();
    for (node, member) in &facts.members {
        match &member.at {
            Known::Known(at) if *at == facts.target => {}
            Known::Known(_) => to_change.push(node),
            Known::Unknown(why) => against.push(format!("{node}: {why}")),
        }
    }
    let settled = facts.apart.is_empty() && facts.elsewhere == Known::Known(facts.target);
    if to_change.is_empty() && against.is_empty() && settled {
        return Ruling::Already;
    }
    for node in &to_change {
        let Some(member) = facts.members.get(*node) else { continue };
        against.extend(against_node(facts, node, member));
    }
    for (node, member) in &facts.members {
        // Whoever has no data that streams could not take the primary over, or is about to be lost.
        if !member.streams && Some(node) != primary && !to_change.is_empty() {
            against.push(format!("{node} does not stream: pgtwin status says why"));
        }
    }
    if facts.members.len() < 2 && !to_change.is_empty() {
        against.push(format!(
            "there is no standby: set {PARAMETER}={}, and restart the resource when an outage suits",
            facts.target.value()
        ));
    }
    let moves = primary.filter(|primary| to_change.contains(primary));
    if moves.is_some() {
        against.extend(facts.against_a_move.iter().cloned());
    }
    if !against.is_empty() {
        return Ruling::Refused(against);
    }
    let standbys = to_change.iter().filter(|node| Some(**node) != moves);
    let mut steps: Vec<Step> = standbys.map(|node| Step::Restart((*node).clone())).collect();
    if let Some(primary) = moves {
        steps.push(Step::MoveFrom(primary.clone()));
        steps.push(Step::Restart(primary.clone()));
    }
    steps.push(Step::Settle);
    Ruling::Possible(Plan { steps, remarks: remarks(facts, &to_change) })
}

fn against_node(facts: &Facts, node: &NodeName, member: &Member) -> Vec<String> {
    let told = match &member.told {
        Known::Known(Some(told)) if facts.now.saturating_sub(told.at) <= OLD => told,
        Known::Known(Some(_)) => {
            return vec![format!(
                "what {node} has told of its image is a day old: {}",
                pull_on(node)
            )];
        }
        Known::Known(None) => {
            return vec![format!("{node} has told nothing of its image: {}", pull_on(node))];
        }
        Known::Unknown(why) => {
            return vec![format!(
                "what {node} has told of its image is not known ({why}): {}",
                pull_on(node)
            )];
        }
    };
    match facts.target {
        Target::Container => told.against.iter().map(|why| format!("{node}: {why}")).collect(),
        Target::Host if told.host.is_none() => vec![format!(
            "{node}: PostgreSQL {} is not installed on the host: install it, and run pgtwin container pull \
             --local there",
            told.inside.version.split('.').next().unwrap_or_default()
        )],
        Target::Host => Vec::new(),
    }
}

fn pull_on(node: &NodeName) -> String {
    format!("{PULL}, on {node}").replace(" on this node, on ", " on ")
}

fn remarks(facts: &Facts, to_change: &[&NodeName]) -> Vec<String> {
    let mut all = Vec::new();
    let of = |node: &NodeName| match facts.members.get(node).map(|one| &one.told) {
        Some(Known::Known(told)) => told.as_ref(),
        Some(Known::Unknown(_)) | None => None,
    };
    let mut images: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in facts.members.keys() {
        if let Some(told) = of(node) {
            images.entry(told.id.as_str()).or_default().push(node.as_str());
        }
    }
    if images.len() > 1 && facts.target == Target::Container {
        let each: Vec<String> = images
            .iter()
            .map(|(id, nodes)| format!("{} on {}", short(id), nodes.join(", ")))
            .collect();
        all.push(format!(
            "the nodes have different images ({}): name the image by its digest in container_image, and pull \
             it on each",
            each.join("; ")
        ));
    }
    let mut collating: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in to_change {
        let Some(told) = of(node) else { continue };
        for line in collations(&told.inside, told.host.as_ref()) {
            collating.entry(line).or_default().push(node.as_str());
        }
    }
    all.extend(collating.into_iter().map(|(line, nodes)| format!("{}: {line}", nodes.join(", "))));
    all
}

/// The beginning of an image's number.
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// What differs between host and image that decides in which order texts are.
pub fn collations(inside: &Side, host: Option<&Side>) -> Vec<String> {
    const REMEDY: &str =
        "indexes over texts may be out of order there: see docs/container-migration.md";
    let Some(host) = host else { return Vec::new() };
    let mut all = Vec::new();
    match (&inside.libc, &host.libc) {
        (Some(one), Some(other)) if one == other => {}
        (Some(one), Some(other)) => {
            all.push(format!("the image has {one} and the host {other}; {REMEDY}"));
        }
        (None, Some(other)) => all.push(format!(
            "the image has a C library that does not tell its version, and the host {other}; {REMEDY}"
        )),
        (_, None) => all.push(format!("which C library the host has is not known; {REMEDY}")),
    }
    if inside.icu != host.icu {
        let said = |icu: &Option<String>| icu.clone().unwrap_or_else(|| "none".to_owned());
        all.push(format!(
            "the image has ICU {} and the host {}; {REMEDY}",
            said(&inside.icu),
            said(&host.icu)
        ));
    }
    all
}

/// What the set of parameters of one node is called in the CIB.
pub fn set_of(resource: &str, node: &NodeName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let node: String = node.as_str().chars().map(plain).collect();
    format!("{OWN_PREFIX}{resource}-runtime-{node}")
}

/// The set of parameters by which this node has its PostgreSQL run there, to be added to the resources.
pub fn set_in_xml(resource: &str, node: &NodeName, target: Target) -> String {
    let id = set_of(resource, node);
    let value = target.value();
    // A name of a node or a resource has none of the signs that XML would take for its own.
    format!(
        "<primitive id=\"{resource}\"><instance_attributes id=\"{id}\" score=\"1000\">\
         <rule id=\"{id}-rule\" score=\"0\"><expression id=\"{id}-node\" attribute=\"#uname\" \
         operation=\"eq\" value=\"{node}\"/></rule><nvpair id=\"{id}-mode\" name=\"{PARAMETER}\" \
         value=\"{value}\"/></instance_attributes></primitive>"
    )
}

/// The same, to be removed.
pub fn unset_in_xml(resource: &str, node: &NodeName) -> String {
    format!("<instance_attributes id=\"{}\"/>", set_of(resource, node))
}

#[cfg(test)]
#[path = "changeover/tests.rs"]
mod tests;
