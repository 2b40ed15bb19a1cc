//! The plan as commands of crmsh. Floor 1.

use std::fmt::Write as _;

use super::{Plan, Resource, broken, listed};
use crate::decide::wanted;

/// All of it, as one transaction.
pub(super) fn commands(plan: &Plan) -> String {
    let mut lines = vec!["crm configure <<'END'".to_owned()];
    lines.extend(plan.resources().map(primitive));
    let meta = wanted::CLONE_META.iter().map(|(name, value)| format!(" {name}={value}"));
    let meta = meta.collect::<Vec<_>>().concat();
    let (clone, database) = (&plan.clone, &plan.resource);
    lines.push(format!("clone {clone} {database} \\\n    meta{meta}"));
    for address in &plan.addresses {
        let (id, role) = (&address.resource.id, address.role);
        lines.push(format!("colocation {id}-place inf: {id}:Started {clone}:{role}"));
        for wanted::After { first, then, kind } in address.after {
            lines.push(format!(
                "order {id}-after-{first} {kind}: {clone}:{first} {id}:{then} \\\n    symmetrical=false"
            ));
        }
        if let Some((attribute, value)) = &address.only_where {
            lines.push(format!("location {id}-{value} {id} rule -inf: {attribute} ne {value}"));
        }
    }
    lines.push(format!("rsc_defaults resource-stickiness={}", wanted::STICKINESS));
    lines.push(format!("property{}", listed(&plan.properties)));
    lines.push("END\n".to_owned());
    broken(&lines)
}

fn primitive(resource: &Resource) -> String {
    let mut text = format!("primitive {} {}", resource.id, resource.agent);
    let mut add = |line: String| {
        // Writing to a text does not fail.
        let _ = write!(text, " \\\n    {line}");
    };
    let mut word = "params";
    for (name, value) in &resource.parameters {
        add(format!("{word} {}", super::Pair(name, value)));
        word = "      ";
    }
    for operation in &resource.operations {
        add(format!("op {operation}"));
    }
    if !resource.meta.is_empty() {
        add(format!("meta{}", listed(&resource.meta)));
    }
    text
}
