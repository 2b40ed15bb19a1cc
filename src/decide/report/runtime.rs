//! By what each member's PostgreSQL is run: on its host, or in a container of which image. Floor 1.
//!
//! Of the node that asks it is seen what runs. Of the others the parameters say what their next start uses,
//! and they themselves which image they have found by that name; an answer says which of both it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, enumerate};
use crate::cluster::cib::{Setting, Settings};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::readiness::Readiness;
use crate::decide::changeover::{PARAMETER, Target, short, target_on};

/// An image: its name, and its id.
pub type Image = (String, String);

/// What is seen on the node that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether its server runs in a container; none: none runs, or it is not known.
    pub contained: Option<bool>,
    /// The engine and its version, as in `podman 4.3.1`; none: it did not say.
    pub engine: Option<String>,
    /// The image that its server runs in.
    pub image: Option<Image>,
    /// The image that a start would use.
    pub next: Option<Image>,
}

/// What was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// On the node that asks; none: it is no member, or nothing here has to do with containers.
    pub here: Option<Seen>,
    /// What the nodes have told of their images.
    pub told: BTreeMap<NodeName, Readiness>,
}

/// By what the PostgreSQL of one node is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Where; unknown: why.
    pub at: Known<Target>,
    /// It is seen to run so. Else the parameters say so.
    pub seen: bool,
    /// The engine, as in `podman 4.3.1` or `podman`.
    pub engine: Option<String>,
    /// The image's name.
    pub image: Option<String>,
    /// Its id.
    pub id: Option<String>,
}

impl Runs {
    fn on_the_host(seen: bool) -> Self {
        Self { at: Known::Known(Target::Host), seen, engine: None, image: None, id: None }
    }

    fn words(&self) -> String {
        match &self.at {
            Known::Known(Target::Host) => return Target::Host.to_string(),
            Known::Unknown(_) => return "?".to_owned(),
            Known::Known(Target::Container) => {}
        }
        let engine = self.engine.as_deref().map_or_else(
            || Target::Container.to_string(),
            |engine| format!("in a container of {engine}"),
        );
        let id = self.id.as_deref().map(|id| format!(" ({})", short(id))).unwrap_or_default();
        match &self.image {
            Some(image) => format!("{engine}, image {image}{id}"),
            None => engine,
        }
    }
}

/// Whether the parameters put a member's PostgreSQL into a container, or may.
pub fn may_be_contained(facts: &Facts) -> bool {
    facts.members.iter().any(|node| at(facts, node) != Known::Known(Target::Host))
}

fn at(facts: &Facts, node: &NodeName) -> Known<Target> {
    match facts.cib.primitive(&facts.resource) {
        Some(primitive) => target_on(primitive, node),
        None => Known::unknown(format!("the CIB has no resource {}", facts.resource)),
    }
}

fn value<'s>(parameters: Option<&'s Settings>, name: &str) -> Option<&'s str> {
    match parameters?.get(name)? {
        Setting::Set(text) => Some(text),
        Setting::Conditional => None,
    }
}

/// By what the PostgreSQL of this member is run.
pub(super) fn of(facts: &Facts, node: &NodeName) -> Runs {
    let here = facts.runtimes.here.as_ref().filter(|_| *node == facts.me);
    match here.and_then(|here| here.contained) {
        Some(false) => return Runs::on_the_host(true),
        Some(true) => {
            let image = here.and_then(|here| here.image.clone());
            return Runs {
                at: Known::Known(Target::Container),
                seen: true,
                engine: here.and_then(|here| here.engine.clone()),
                image: image.as_ref().map(|(name, _)| name.clone()),
                id: image.map(|(_, id)| id),
            };
        }
        None => {}
    }
    let at = at(facts, node);
    if at != Known::Known(Target::Container) {
        return Runs { at, ..Runs::on_the_host(false) };
    }
    let parameters = facts.cib.primitive(&facts.resource).map(|one| one.parameters_on(node));
    let engine = value(parameters, "container_runtime").filter(|name| *name != "auto");
    let image = value(parameters, "container_image");
    // What was told of another image than the one that a start would use is of no use.
    let told = facts.runtimes.told.get(node);
    let told = told.filter(|told| image.is_none_or(|image| image == told.image));
    let next = here.and_then(|here| here.next.clone());
    let told_engine = told.map(|told| told.engine.replacen('-', " ", 1));
    let told_engine = told_engine.filter(|told| engine.is_none_or(|name| told.starts_with(name)));
    let engine_here = here.and_then(|here| here.engine.clone());
    Runs {
        at,
        seen: false,
        engine: engine_here.or(told_engine).or(engine.map(str::to_owned)),
        image: image.map(str::to_owned).or(told.map(|told| told.image.clone())),
        id: next.map(|(_, id)| id).or(told.map(|told| told.id.clone())),
    }
}

/// One line, where there is anything but servers on their hosts.
pub(super) fn line(facts: &Facts, advice: &mut Vec<String>) -> Option<String> {
    let all: Vec<(&NodeName, Runs)> =
        facts.members.iter().map(|node| (node, of(facts, node))).collect();
    if all.iter().all(|(_, runs)| runs.at == Known::Known(Target::Host)) && !may_be_contained(facts)
    {
        return None;
    }
    if let Some(here) = &facts.runtimes.here {
        differs(facts, here, advice);
    }
    for (node, runs) in &all {
        if let Known::Unknown(why) = &runs.at {
            advice.push(format!("by what {node}'s PostgreSQL is started is not known: {why}"));
        }
    }
    let mut parts: Vec<String> = Vec::new();
    let seen = all.iter().filter(|(_, runs)| runs.seen);
    parts.extend(seen.map(|(node, runs)| format!("{node} runs {}", runs.words())));
    let mut others: BTreeMap<String, BTreeSet<NodeName>> = BTreeMap::new();
    for (node, runs) in all.iter().filter(|(_, runs)| !runs.seen) {
        others.entry(runs.words()).or_default().insert((*node).clone());
    }
    let others: Vec<String> = others
        .iter()
        .map(|(words, nodes)| format!("{} {words}", enumerate(nodes, "and")))
        .collect();
    if !others.is_empty() {
        parts.push(format!("by the parameters: {}", others.join("; ")));
    }
    Some(parts.join("; "))
}

/// What the next start would do otherwise.
fn differs(facts: &Facts, here: &Seen, advice: &mut Vec<String>) {
    let me = &facts.me;
    match (here.contained, at(facts, me).known()) {
        (Some(true), Some(Target::Host)) => advice.push(format!(
            "{me}'s PostgreSQL runs in a container, and {PARAMETER} is false: its next start is on the host"
        )),
        (Some(false), Some(Target::Container)) => advice.push(format!(
            "{me}'s PostgreSQL runs on the host, and {PARAMETER} is true: its next start is in a container"
        )),
        _ => {}
    }
    if let (Some(true), Some((_, now)), Some((name, next))) =
        (here.contained, &here.image, &here.next)
        && now != next
    {
        advice.push(format!(
            "{me}'s PostgreSQL runs in image {}, and {name} is {} here: its next start is in that one",
            short(now),
            short(next)
        ));
    }
}
