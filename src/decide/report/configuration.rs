//! How the cluster is configured around the resource, where that defeats what pgtwin does. Floor 1.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Facts, enumerate, span};
use crate::cluster::asked;
use crate::cluster::cib::{CloneOf, OWN_PREFIX, Operation, Primitive, Setting, truth};
use crate::cluster::node::NodeName;
use crate::decide::doctor::Verdict;

/// What somebody has to change about the clone and its operations.
pub(super) fn clone(facts: &Facts, warnings: &mut Vec<String>) {
    let Some(primitive) = facts.cib.primitive(&facts.resource) else { return };
    if primitive.bundle.is_some() {
        warnings.push(format!("{} is in a bundle: pgtwin does not support that", primitive.id));
    }
    let Some(clone) = &primitive.clone else {
        warnings.push(format!(
            "{} is in no clone: it has to be a promotable clone with notify=true",
            primitive.id
        ));
        return;
    };
    if !clone.promotable {
        warnings.push(format!("{} has no promotable=true: nobody is ever promoted", clone.id));
    }
    if is_off(clone, "notify") {
        warnings.push(format!(
            "{} has no notify=true: elections are held in notifications, so a lost primary is not \
             replaced",
            clone.id
        ));
    }
    for name in ["promoted-max", "master-max"] {
        if let Some(Setting::Set(value)) = clone.meta.get(name)
            && value != "1"
        {
            warnings.push(format!("{} has {name}={value}: there is one primary", clone.id));
        }
    }
    monitors(primitive, warnings);
}

/// Which checks of the doctor the configuration does not pass, in one line; none: it passes all. What costs data or
/// the service is warned of.
pub(super) fn judged(facts: &Facts, warnings: &mut Vec<String>) -> Option<String> {
    let of = |verdict: Verdict| {
        let of_it = facts.configuration.iter().filter(|finding| finding.verdict == verdict);
        let names: BTreeSet<&str> = of_it.map(|finding| finding.check).collect();
        let names: Vec<&str> = names.into_iter().collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = of(Verdict::Fail) {
        warnings.push(format!("the configuration does not pass {names}: pgtwin doctor says why"));
    }
    let all = [Verdict::Fail, Verdict::Warn, Verdict::Unknown];
    let words = all.map(|verdict| Some(format!("{} {}", verdict.name(), of(verdict)?)));
    let words: Vec<String> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| format!("{} (pgtwin doctor)", words.join("; ")))
}

/// Orders for a node's data that nobody has taken, and whose command was killed.
fn orders(facts: &Facts, warnings: &mut Vec<String>) {
    let set = format!("{OWN_PREFIX}{}", facts.resource);
    for (name, text) in facts.cib.own_entries(&facts.resource) {
        let Some(node) = name.strip_prefix(asked::PREFIX) else { continue };
        let what = match text.parse::<asked::Order>() {
            Ok(order) => {
                let age = facts.recovery.now.saturating_sub(order.at);
                if age <= asked::TO_TAKE {
                    continue;
                }
                format!("an order of {} to rebuild {node} is {} old", order.by, span(age))
            }
            Err(why) => format!("an order to rebuild {node} cannot be read ({why})"),
        };
        warnings.push(format!(
            "{what} and was not taken: crm_attribute --type crm_config --set-name {set} --name \
             {set}-{name} --delete"
        ));
    }
}

/// Location constraints that a move or a ban by hand has left, and orders.
pub(super) fn left_behind(facts: &Facts, warnings: &mut Vec<String>) {
    orders(facts, warnings);
    let Some(primitive) = facts.cib.primitive(&facts.resource) else { return };
    for location in facts.cib.locations_of(primitive) {
        let what = if location.id.starts_with("cli-prefer-") {
            "binds the primary to a node"
        } else if location.id.starts_with("cli-ban-") {
            "keeps the resource, or the primary, from a node"
        } else {
            continue;
        };
        let resource = location.resource.as_deref().unwrap_or(&facts.resource);
        warnings.push(format!(
            "the constraint {} {what} until it is removed: crm_resource --clear --resource {resource}",
            location.id
        ));
    }
}

/// Whether an option is known not to be true.
fn is_off(clone: &CloneOf, name: &str) -> bool {
    match clone.meta.get(name) {
        Some(Setting::Set(value)) => truth(value) != Some(true),
        Some(Setting::Conditional) => false,
        None => true,
    }
}

fn monitors(primitive: &Primitive, warnings: &mut Vec<String>) {
    let recurs = |operation: &&Operation| {
        let interval = operation.interval.as_deref().unwrap_or_default();
        operation.name == "monitor" && interval.bytes().any(|b| (b'1'..=b'9').contains(&b))
    };
    let watches = |roles: &[&str]| {
        primitive.operations.iter().filter(recurs).any(|operation| {
            let role = operation.role.as_deref().unwrap_or("Started");
            roles.iter().any(|wanted| role.eq_ignore_ascii_case(wanted))
        })
    };
    for (name, roles) in [
        ("Promoted", &["Promoted", "Master"][..]),
        ("Unpromoted", &["Unpromoted", "Slave", "Started"]),
    ] {
        if !watches(roles) {
            warnings.push(format!(
                "{} has no recurring monitor for the role {name}: what happens there is not seen, \
                 and not answered",
                primitive.id
            ));
        }
    }
}

/// The resources that carry an address, and the nodes that they run on.
pub(super) fn carriers<'f>(
    facts: &'f Facts,
    vip: &str,
) -> (Vec<&'f Primitive>, std::collections::BTreeSet<NodeName>) {
    let carriers: Vec<&Primitive> = facts
        .cib
        .primitives
        .iter()
        .filter(|primitive| primitive.id != facts.resource && carries(primitive, vip))
        .collect();
    let nodes = carriers
        .iter()
        .flat_map(|primitive| facts.status.instances_of(&primitive.id))
        .filter(|instance| instance.active)
        .flat_map(|instance| instance.nodes.iter().cloned())
        .collect();
    (carriers, nodes)
}

/// The clients' address in one line: who has it.
pub(super) fn address(facts: &Facts, vip: &str, warnings: &mut Vec<String>) -> String {
    let (carriers, nodes) = carriers(facts, vip);
    if carriers.is_empty() {
        warnings.push(format!("no resource of the cluster carries the address {vip} (vip)"));
        return vip.to_owned();
    }
    let place = if nodes.is_empty() {
        format!("{vip} on no node that is seen")
    } else {
        format!("{vip} on {}", enumerate(&nodes, "and"))
    };
    if let Some(primary) = facts.primary()
        && !(nodes.len() == 1 && nodes.contains(primary))
    {
        warnings.push(format!("the primary is {primary}, and its address is {place}"));
    }
    place
}

fn carries(primitive: &Primitive, vip: &str) -> bool {
    let address = |text: &str| {
        let bare = text.split_once('/').map_or(text, |(address, _)| address);
        bare.parse::<IpAddr>().ok()
    };
    let wanted = address(vip);
    wanted.is_some()
        && primitive.parameters.values().any(|setting| match setting {
            Setting::Set(value) => address(value) == wanted,
            Setting::Conditional => false,
        })
}
