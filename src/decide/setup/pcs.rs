//! The plan as commands of pcs. Floor 1.

use std::fmt::Write as _;

use super::{Plan, Resource, broken, listed};
use crate::decide::wanted;

/// The file in which it is put together, before all of it is pushed at once.
const FILE: &str = "pgtwin-setup.xml";

/// All of it.
pub(super) fn commands(plan: &Plan) -> String {
    let (clone, database) = (&plan.clone, &plan.resource);
    let mut lines = vec![format!("pcs cluster cib {FILE}")];
    let mut add = |line: String| lines.push(format!("pcs -f {FILE} {line}"));
    for device in &plan.fencing {
        add(create("stonith", device));
    }
    add(create("resource", &plan.database));
    let own = wanted::CLONE_META.iter().filter(|(name, _)| *name != "promotable");
    let meta = own.map(|(name, value)| format!(" {name}={value}")).collect::<Vec<_>>().concat();
    add(format!("resource promotable {database} {clone} \\\n    meta{meta}"));
    for address in &plan.addresses {
        let (id, role) = (&address.resource.id, address.role);
        add(create("resource", &address.resource));
        add(format!("constraint colocation add Started {id} with {role} {clone}"));
        for wanted::After { first, then, kind } in address.after {
            add(format!(
                "constraint order {first} {clone} then {then} {id} \\\n    kind={kind} symmetrical=false"
            ));
        }
        if let Some((attribute, value)) = &address.only_where {
            add(format!("constraint location {id} rule score=-INFINITY {attribute} ne {value}"));
        }
    }
    add(format!("resource defaults update resource-stickiness={}", wanted::STICKINESS));
    add(format!("property set{}", listed(&plan.properties)));
    lines.push(format!("pcs cluster cib-push {FILE}\n"));
    broken(&lines)
}

fn create(kind: &str, resource: &Resource) -> String {
    // For pcs a fence agent has no class.
    let agent = resource.agent.strip_prefix("stonith:").unwrap_or(&resource.agent);
    let mut text = format!("{kind} create {} {agent}", resource.id);
    let mut add = |line: String| {
        // Writing to a text does not fail.
        let _ = write!(text, " \\\n    {line}");
    };
    for (name, value) in &resource.parameters {
        add(super::Pair(name, value).to_string());
    }
    for operation in &resource.operations {
        add(format!("op {operation}"));
    }
    if !resource.meta.is_empty() {
        add(format!("meta{}", listed(&resource.meta)));
    }
    text
}
