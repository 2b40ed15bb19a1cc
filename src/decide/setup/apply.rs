//! Whether the plan can be written into a cluster's configuration, and what that changes. Floor 1.

use std::collections::BTreeSet;

use super::{Plan, xml};
use crate::cluster::cib::{Cib, Setting};
use crate::cluster::xml::Element;
use crate::decide::wanted;

/// Where a value of a fence device's begins that nobody has filled in.
const PLACEHOLDERS: [&str; 3] = ["BMC-OF-", "USER", "/etc/pacemaker/PASSWORD-SCRIPT"];
/// The section for what resources have in common.
const DEFAULTS: &str = "rsc_defaults";

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Options of the cluster, which are set.
    pub properties: Vec<(String, String)>,
    /// Sections, and what is added to each.
    pub sections: Vec<(&'static str, String)>,
    /// The same in words, one line each.
    pub words: Vec<String>,
    /// What somebody should know.
    pub remarks: Vec<String>,
}

impl Plan {
    /// What is to be changed in the configuration of `cib`, which is the document `text`; or what keeps it
    /// from being changed, one line each.
    pub fn change(&self, cib: &Cib, text: &str) -> Result<Change, Vec<String>> {
        let mut against: Vec<String> = self.unfilled();
        let there: BTreeSet<&str> = cib.nodes.iter().map(|node| node.name.as_str()).collect();
        for (node, _) in &self.nodes {
            if !there.contains(node.as_str()) {
                let names: Vec<&str> = there.iter().copied().collect();
                let names = names.join(", ");
                against.push(format!("{node} is no node of this cluster: {names}"));
            }
        }
        for primitive in cib.primitives_of("pgtwin") {
            against.push(format!(
                "{} is a resource of pgtwin already: pgtwin doctor says what it lacks",
                primitive.id
            ));
        }
        let (resources, constraints) = (xml::resources(self), xml::constraints(self));
        match taken(&[&resources, &constraints], text) {
            Ok(ids) => {
                let said = |id: String| format!("the cluster has something called {id} already");
                against.extend(ids.into_iter().map(said));
            }
            Err(why) => against.push(format!("the configuration cannot be understood: {why}")),
        }
        if !against.is_empty() {
            return Err(against);
        }
        let mut sections = vec![("resources", resources)];
        if !constraints.is_empty() {
            sections.push(("constraints", constraints));
        }
        let mut remarks = Vec::new();
        let mut words = vec![self.resources_in_words()];
        let properties: Vec<(String, String)> = self
            .properties
            .iter()
            .filter(|(name, value)| cib.options.get(name) != Some(&Setting::Set(value.clone())))
            .cloned()
            .collect();
        for (name, value) in &properties {
            words.push(match cib.options.get(name) {
                None => format!("property {name}={value}"),
                Some(Setting::Set(now)) => format!("property {name}={value} (it is {now} now)"),
                Some(Setting::Conditional) => {
                    format!("property {name}={value} (a rule decides it now)")
                }
            });
        }
        match cib.resource_defaults.get("resource-stickiness") {
            None => {
                sections.push((DEFAULTS, xml::defaults()));
                words.push(format!("default resource-stickiness={}", wanted::STICKINESS));
            }
            Some(Setting::Set(value)) if value == wanted::STICKINESS => {}
            Some(_) => remarks.push(
                "resource-stickiness has a default already, which is left as it is: pgtwin doctor judges \
                 it"
                    .to_owned(),
            ),
        }
        let others = there.len().saturating_sub(self.nodes.len());
        if others > 0 {
            remarks.push(format!(
                "{others} more nodes of the cluster are no members: keep the clone away from them (docs/\
                 operations.md)"
            ));
        }
        let devices: Vec<&str> = cib
            .primitives
            .iter()
            .filter(|one| one.class == "stonith")
            .map(|one| one.id.as_str())
            .collect();
        if !devices.is_empty() {
            remarks.push(format!(
                "the cluster has fence devices already: {}; these come on top",
                devices.join(", ")
            ));
        }
        Ok(Change { properties, sections, words, remarks })
    }

    /// Parameters of the fence devices that are still to be filled in.
    fn unfilled(&self) -> Vec<String> {
        let open = |value: &str| PLACEHOLDERS.iter().any(|word| value.starts_with(word));
        let all = self.fencing.iter().flat_map(|device| &device.parameters);
        let names: BTreeSet<&str> =
            all.filter(|(_, value)| open(value)).map(|(name, _)| name.as_str()).collect();
        names
            .into_iter()
            .map(|name| {
                format!("{name} of the fence devices is yours to say: --fence-param {name}=…")
            })
            .collect()
    }

    fn resources_in_words(&self) -> String {
        let ids = |all: &mut dyn Iterator<Item = &str>| all.collect::<Vec<_>>().join(", ");
        let fencing = ids(&mut self.fencing.iter().map(|one| one.id.as_str()));
        let mut words = format!(
            "fence devices {fencing}; {} in the promotable clone {}",
            self.resource, self.clone
        );
        if !self.addresses.is_empty() {
            let addresses = ids(&mut self.addresses.iter().map(|one| one.resource.id.as_str()));
            words.push_str("; addresses ");
            words.push_str(&addresses);
            words.push_str(", with their constraints");
        }
        words
    }
}

/// The ids of the new parts that the document has as well.
fn taken(parts: &[&str], document: &str) -> Result<Vec<String>, String> {
    let read = |text: &str| crate::cluster::xml::parse(text).map_err(|error| error.to_string());
    let document = read(document)?;
    let mut there = BTreeSet::new();
    if let Some(configuration) = document.child("configuration") {
        ids(configuration, &mut there);
    }
    let mut ours = BTreeSet::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        ids(&read(part)?, &mut ours);
    }
    Ok(ours.intersection(&there).cloned().collect())
}

fn ids(element: &Element, all: &mut BTreeSet<String>) {
    all.extend(element.attr("id").map(str::to_owned));
    for child in &element.children {
        ids(child, all);
    }
}
