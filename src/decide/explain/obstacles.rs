//! What Pacemaker itself has against promoting a node, or anybody. Not a rule of pgtwin's: facts of the
//! cluster that stand in the way. Floor 1.

use crate::cluster::cib::{Location, Setting, score};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::topology::{NodeState, Role};
use crate::decide::view::View;

/// Pacemaker's.
const INFINITY: i64 = 1_000_000;

/// What keeps everybody from being promoted. `quorum`: whether this partition may promote.
pub fn of_everybody(view: &View, quorum: Known<bool>) -> Vec<String> {
    let mut found = Vec::new();
    match quorum {
        Known::Known(true) => {}
        Known::Known(false) => {
            found.push("without quorum Pacemaker promotes nobody: bring nodes back".to_owned());
        }
        Known::Unknown(why) => found.push(format!("whether there is quorum is not known: {why}")),
    }
    if view.status.options.maintenance_mode {
        found.push(
            "the cluster is in maintenance mode: Pacemaker starts, stops and promotes nothing"
                .to_owned(),
        );
    } else if view.status.instances_of(&view.resource).any(|instance| !instance.managed) {
        found.push(format!(
            "Pacemaker does not manage {}: it starts, stops and promotes nothing",
            view.resource
        ));
    }
    let Some(primitive) = view.cib.primitive(&view.resource) else { return found };
    match &primitive.clone {
        Some(clone) if clone.promotable => {}
        Some(clone) => found.push(format!("{} has no promotable=true", clone.id)),
        None => found.push(format!("{} is in no clone", primitive.id)),
    }
    let clone = primitive.clone.as_ref().and_then(|clone| clone.meta.get("target-role"));
    for role in [primitive.meta.get("target-role"), clone].into_iter().flatten() {
        if let Setting::Set(role) = role
            && !matches!(Role::from_text(role), Role::Promoted | Role::Started)
        {
            found.push(format!("target-role={role} is set on {}", view.resource));
        }
    }
    found
}

/// What keeps one node from being promoted.
pub fn of_node(view: &View, node: &NodeName) -> Vec<String> {
    let mut found = Vec::new();
    let Some(status) = view.status.node(node) else {
        return vec!["Pacemaker knows no node of that name".to_owned()];
    };
    if status.state() != NodeState::OnlineMember {
        return found;
    }
    if status.standby || status.standby_onfail {
        return vec![format!("it was put on standby (crm node online {node})")];
    }
    if status.maintenance {
        found.push("it is in maintenance mode: Pacemaker leaves alone what runs there".to_owned());
    }
    let mut instances =
        view.status.instances_of(&view.resource).filter(|one| one.nodes.contains(node));
    match instances.next() {
        Some(one) if one.blocked => found.push(format!(
            "Pacemaker will not touch its instance until it is cleaned up: crm_resource --cleanup \
             --resource {} --node {node}",
            view.resource
        )),
        Some(one) if one.active => {}
        Some(_) | None => found.push("its instance is stopped".to_owned()),
    }
    found.extend(bans(view, node));
    found.extend(fail_count(view, node));
    found
}

/// Location constraints that forbid it.
fn bans(view: &View, node: &NodeName) -> Vec<String> {
    let clear = "crm_resource --clear, or crm configure delete, removes it";
    let Some(primitive) = view.cib.primitive(&view.resource) else { return Vec::new() };
    let clone = primitive.clone.as_ref().map(|clone| clone.id.as_str());
    let mut found: Vec<String> = view
        .status
        .bans
        .iter()
        .filter(|ban| ban.node == node.as_str())
        .filter(|ban| ban.resource == primitive.id || Some(ban.resource.as_str()) == clone)
        .map(|ban| format!("the constraint {} keeps it from there: {clear}", ban.id))
        .collect();
    for location in view.cib.locations_of(primitive) {
        let is_listed = found.iter().any(|words| words.contains(&location.id));
        if !is_listed && of(location, node).is_some_and(|weight| weight <= -INFINITY) {
            found.push(format!("the constraint {} keeps it from there: {clear}", location.id));
        }
    }
    found
}

/// What a constraint gives a node; none: nothing, or rules decide.
fn of(location: &Location, node: &NodeName) -> Option<i64> {
    let here = location.node.as_deref() == Some(node.as_str()) && !location.complex;
    location.score.as_deref().filter(|_| here).and_then(score).map(i64::from)
}

/// Failures that have used up what Pacemaker allows.
fn fail_count(view: &View, node: &NodeName) -> Option<String> {
    let count = failures(view, node);
    let allowed = threshold(view)?;
    (count > 0 && (count >= INFINITY || count >= allowed)).then(|| {
        let count = if count >= INFINITY { "too often".to_owned() } else { format!("{count} times") };
        format!(
            "it has failed there {count}: when that is mended, crm_resource --cleanup --resource {} \
             --node {node}",
            view.resource
        )
    })
}

/// How often the resource has failed on a node, by Pacemaker's count; `INFINITY` at most.
pub fn failures(view: &View, node: &NodeName) -> i64 {
    let prefix = format!("fail-count-{}#", view.resource);
    let states = view.cib.node_states.iter().filter(|state| &state.name == node);
    let counts = states.flat_map(|state| &state.transient).filter_map(|(name, value)| {
        let is = name.strip_prefix(&prefix).is_some() || name == prefix.trim_end_matches('#');
        match value {
            Setting::Set(text) if is => score(text).map(i64::from),
            Setting::Set(_) | Setting::Conditional => None,
        }
    });
    counts.sum::<i64>().min(INFINITY)
}

/// `migration-threshold`; none where a rule decides.
fn threshold(view: &View) -> Option<i64> {
    let primitive = view.cib.primitive(&view.resource)?;
    let clone = primitive.clone.as_ref().and_then(|clone| clone.meta.get("migration-threshold"));
    match primitive.meta.get("migration-threshold").or(clone) {
        None => Some(INFINITY),
        Some(Setting::Set(text)) => score(text).map(i64::from).filter(|count| *count > 0),
        Some(Setting::Conditional) => None,
    }
}

/// What a node weighs with Pacemaker when it chooses whom to promote: its promotion score and what
/// location constraints without rules add.
pub fn weight(view: &View, node: &NodeName) -> i64 {
    let of_score = view.scores().get(node).copied().map_or(-1, i64::from);
    (preference(view, node) + of_score).clamp(-INFINITY, INFINITY)
}

/// What location constraints without rules give a node.
pub fn preference(view: &View, node: &NodeName) -> i64 {
    let primitive = view.cib.primitive(&view.resource);
    let locations = primitive.into_iter().flat_map(|primitive| view.cib.locations_of(primitive));
    let sum = locations.filter_map(|location| of(location, node)).sum::<i64>();
    sum.clamp(-INFINITY, INFINITY)
}

/// The location constraints that have rules, which are not evaluated here.
pub fn with_rules(view: &View) -> Vec<String> {
    let primitive = view.cib.primitive(&view.resource);
    let locations = primitive.into_iter().flat_map(|primitive| view.cib.locations_of(primitive));
    locations.filter(|location| location.complex).map(|location| location.id.clone()).collect()
}
