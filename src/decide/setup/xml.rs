//! The plan as a document of the cluster's configuration, so that it can be judged before there is a
//! cluster. Floor 1.

use std::fmt::Write as _;

use super::{Plan, Resource};
use crate::decide::wanted;

/// The newest schema that the oldest supported Pacemaker knows.
const SCHEMA: &str = "pacemaker-3.9";

/// All of it. The names and values were checked: there is nothing in them that XML would escape but
/// `<`, `>` and `&`.
pub(super) fn document(plan: &Plan) -> String {
    let mut text = format!(
        "<cib validate-with=\"{SCHEMA}\" admin_epoch=\"0\" epoch=\"1\" num_updates=\"0\">\n\
         <configuration>\n<crm_config>\n<cluster_property_set id=\"cib-bootstrap-options\">\n"
    );
    text += &pairs("cib-bootstrap-options", &plan.properties);
    text += "</cluster_property_set>\n</crm_config>\n<nodes>\n";
    for (number, (node, _)) in plan.nodes.iter().enumerate() {
        let _ =
            writeln!(text, "<node id=\"{}\" uname=\"{}\"/>", number + 1, escaped(node.as_str()));
    }
    text += "</nodes>\n";
    text += &resources(plan);
    let constraints = constraints(plan);
    text += if constraints.is_empty() { "<constraints/>\n" } else { &constraints };
    text += &defaults();
    text += "</configuration>\n<status/>\n</cib>\n";
    text
}

/// The section of resources.
pub(super) fn resources(plan: &Plan) -> String {
    let mut text = "<resources>\n".to_owned();
    for device in &plan.fencing {
        text += &primitive(device);
    }
    let clone = &plan.clone;
    let meta: Vec<(String, String)> =
        wanted::CLONE_META.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let _ = write!(text, "<clone id=\"{clone}\">\n{}", primitive(&plan.database));
    text += &set("meta_attributes", clone, &meta);
    text += "</clone>\n";
    for address in &plan.addresses {
        text += &primitive(&address.resource);
    }
    text + "</resources>\n"
}

/// The section of constraints; nothing without any.
pub(super) fn constraints(plan: &Plan) -> String {
    if plan.addresses.is_empty() {
        return String::new();
    }
    let clone = &plan.clone;
    let mut text = "<constraints>\n".to_owned();
    for address in &plan.addresses {
        let (id, role) = (&address.resource.id, address.role);
        let _ = writeln!(
            text,
            "<rsc_colocation id=\"{id}-place\" score=\"INFINITY\" rsc=\"{id}\" rsc-role=\"Started\" \
             with-rsc=\"{clone}\" with-rsc-role=\"{role}\"/>"
        );
        for wanted::After { first, then, kind } in address.after {
            let _ = writeln!(
                text,
                "<rsc_order id=\"{id}-after-{first}\" kind=\"{kind}\" symmetrical=\"false\" \
                 first=\"{clone}\" first-action=\"{first}\" then=\"{id}\" then-action=\"{then}\"/>"
            );
        }
        if let Some((attribute, value)) = &address.only_where {
            let _ = writeln!(
                text,
                "<rsc_location id=\"{id}-{value}\" rsc=\"{id}\"><rule id=\"{id}-{value}-rule\" \
                 score=\"-INFINITY\"><expression id=\"{id}-{value}-expression\" \
                 attribute=\"{attribute}\" operation=\"ne\" value=\"{value}\"/></rule></rsc_location>"
            );
        }
    }
    text + "</constraints>\n"
}

/// The section of what resources have in common.
pub(super) fn defaults() -> String {
    let stickiness = [("resource-stickiness".to_owned(), wanted::STICKINESS.to_owned())];
    format!(
        "<rsc_defaults>\n{}</rsc_defaults>\n",
        set("meta_attributes", "rsc_defaults", &stickiness)
    )
}

fn primitive(resource: &Resource) -> String {
    let id = &resource.id;
    let class = match resource.agent.split(':').collect::<Vec<_>>().as_slice() {
        [class, provider, agent] => {
            format!("class=\"{class}\" provider=\"{provider}\" type=\"{}\"", escaped(agent))
        }
        [class, agent] => format!("class=\"{class}\" type=\"{}\"", escaped(agent)),
        _ => String::new(),
    };
    let mut text = format!("<primitive id=\"{id}\" {class}>\n");
    text += &set("instance_attributes", id, &resource.parameters);
    text += "<operations>\n";
    for operation in &resource.operations {
        let mut words = operation.split(' ');
        let name = words.next().unwrap_or_default();
        let attributes: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let interval = attributes.iter().find(|(name, _)| *name == "interval");
        let interval = interval.map_or("0s", |(_, value)| value);
        let all = attributes.iter().map(|(name, value)| format!(" {name}=\"{value}\""));
        let all = all.collect::<Vec<_>>().concat();
        let _ = writeln!(text, "<op id=\"{id}-{name}-{interval}\" name=\"{name}\"{all}/>");
    }
    text += "</operations>\n";
    text += &set("meta_attributes", id, &resource.meta);
    text += "</primitive>\n";
    text
}

fn set(kind: &str, of: &str, all: &[(String, String)]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let id = format!("{of}-{kind}");
    format!("<{kind} id=\"{id}\">\n{}</{kind}>\n", pairs(&id, all))
}

fn pairs(of: &str, all: &[(String, String)]) -> String {
    let line = |(name, value): &(String, String)| {
        let (name, value) = (escaped(name), escaped(value));
        format!("<nvpair id=\"{of}-{name}\" name=\"{name}\" value=\"{value}\"/>\n")
    };
    all.iter().map(line).collect::<Vec<_>>().concat()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
