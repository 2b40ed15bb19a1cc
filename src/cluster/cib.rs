//! The cluster's configuration and state: what `cibadmin --query` prints. Floor 0.
//!
//! Only what pgtwin asks about is given a type; the rest of the document is ignored. References
//! (`id-ref`, resource templates) are resolved. What a rule makes conditional is never taken for a
//! fact: it is `Setting::Conditional`. Source: Pacemaker's `pacemaker-*.rng` and "Pacemaker
//! Explained".

mod constraints;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::interval::milliseconds;
use super::known::Known;
use super::node::NodeName;
use super::topology::NodeKind;
use super::xml::XmlError;

pub use constraints::{Colocation, LocationRule, Order};

/// Why the output of `cibadmin --query` is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CibError {
    /// Not an XML document.
    #[error("cibadmin printed no whole XML document: {0}")]
    Xml(XmlError),
    /// Another document.
    #[error("cibadmin printed <{0}> and not <cib>")]
    NotACib(String),
    /// A part is missing that every CIB has.
    #[error("the CIB has no {0}")]
    Missing(String),
    /// A value is not what it should be.
    #[error("the CIB has {what} {value:?}")]
    BadValue {
        /// The part.
        what: String,
        /// Its value.
        value: String,
    },
}

/// The value of an option, attribute or parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is set to this, always.
    Set(String),
    /// A rule decides, or two sets of the same score disagree (the later one wins on Pacemaker 2.1.5
    /// to 3.0.1, which is nowhere promised): its value here and now is not known to us.
    Conditional,
}

/// Several settings by name.
pub type Settings = BTreeMap<String, Setting>;

/// A node in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CibNode {
    /// Pacemaker's id of it.
    pub id: String,
    /// Its name.
    pub name: NodeName,
    /// Full node or not.
    pub kind: NodeKind,
    /// Its permanent attributes (`standby`, …).
    pub attributes: Settings,
}

/// A primitive resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primitive {
    /// Its id.
    pub id: String,
    /// `ocf`, `stonith`, `systemd`, …
    pub class: String,
    /// `heartbeat`; only `ocf` has one.
    pub provider: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// Its parameters.
    pub parameters: Settings,
    /// The same, where rules that name a node are all that decides.
    pub by_node: ByNode,
    /// Its own meta attributes.
    pub meta: Settings,
    /// Its operations, as configured.
    pub operations: Vec<Operation>,
    /// The clone around it.
    pub clone: Option<CloneOf>,
    /// The group around it.
    pub group: Option<String>,
    /// The bundle around it.
    pub bundle: Option<String>,
}

/// Parameters that rules of the form `#uname eq NODE` give some nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByNode {
    /// On each node that such a rule names: all parameters.
    pub named: BTreeMap<NodeName, Settings>,
    /// On all others.
    pub elsewhere: Settings,
}

/// One configured operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `monitor`, `start`, …
    pub name: String,
    /// As written: `3s`.
    pub interval: Option<String>,
    /// As written.
    pub timeout: Option<String>,
    /// As written, old or new name.
    pub role: Option<String>,
    /// What a failure leads to, as written.
    pub on_fail: Option<String>,
    /// It is switched off: `enabled=false`.
    pub disabled: bool,
}

/// The clone that holds a primitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneOf {
    /// Its id, which location constraints and `crm_resource --move` name.
    pub id: String,
    /// Its meta attributes.
    pub meta: Settings,
    /// It is promotable: `promotable=true`, or the older element `<master>`.
    pub promotable: bool,
}

/// A location constraint, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its id.
    pub id: String,
    /// The resource it names; none if it names a pattern or a set.
    pub resource: Option<String>,
    /// The node it names; none if it has rules.
    pub node: Option<String>,
    /// Its score, as written.
    pub score: Option<String>,
    /// The role it is limited to, as written.
    pub role: Option<String>,
    /// Its rules.
    pub rules: Vec<LocationRule>,
    /// It has rules, a pattern or a set, which we do not evaluate.
    pub complex: bool,
}

/// What the CIB's status section holds on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStateEntry {
    /// Its name.
    pub name: NodeName,
    /// In the membership: `true`/`false` up to 2.1, since 3.0 the time (epoch) it joined or 0.
    pub in_ccm: Option<String>,
    /// Its controller: `online`/`offline` up to 2.1, since 3.0 a time (epoch) or 0.
    pub crmd: Option<String>,
    /// `member`, `down`, `pending`, …
    pub join: Option<String>,
    /// `member` or `down`.
    pub expected: Option<String>,
    /// Its transient attributes (lifetime `reboot`): promotion scores, fail counts.
    pub transient: Settings,
    /// The last operations that were run there.
    pub runs: Vec<Run>,
}

/// An operation that was run on a node, as its status section remembers it: of those that do not recur,
/// the last one of each resource; of those that do, each; and the last one that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The primitive's id, without an instance number.
    pub resource: String,
    /// `start`, `promote`, …
    pub operation: String,
    /// How often it recurs, in milliseconds; 0: it does not.
    pub interval: Option<u64>,
    /// This is the memory of the last failure (`last_failure_0`, `monitor`'s 190 too), not the operation:
    /// whether that still recurs, it does not say.
    pub is_memory: bool,
    /// The agent's exit code.
    pub exit_code: Option<i32>,
    /// When it ended, in seconds of the epoch.
    pub when: Option<i64>,
}

impl NodeStateEntry {
    /// Whether the controller expects the node to be down, and its own controller is gone.
    pub fn is_down(&self) -> bool {
        let down = |value: &Option<String>| value.as_deref() == Some("down");
        down(&self.join)
            && down(&self.expected)
            && matches!(self.crmd.as_deref(), Some("offline" | "0"))
    }
}

/// What the configuration says about fencing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencingFacts {
    /// `stonith-enabled`, and `fencing-enabled`, its name to come; true where they aren't set.
    pub enabled: Known<bool>,
    /// `startup-fencing`: whether a node never seen counts as unclean; true where it isn't set.
    pub startup: Known<bool>,
    /// Ids of the fence devices that are configured and not switched off.
    pub devices: Vec<String>,
    /// Nodes reset themselves by watchdog (`have-watchdog`, `stonith-watchdog-timeout` not 0).
    pub watchdog: bool,
}

impl FencingFacts {
    /// Whether "offline and clean" proves that a node is down; else why it doesn't.
    pub fn offline_means_down(&self) -> Result<(), String> {
        match &self.enabled {
            Known::Known(true) => {}
            Known::Known(false) => return Err("fencing is disabled (stonith-enabled=false)".into()),
            Known::Unknown(why) => return Err(format!("cannot tell if fencing is enabled: {why}")),
        }
        match &self.startup {
            Known::Known(true) => {}
            Known::Known(false) => return Err("startup-fencing=false".into()),
            Known::Unknown(why) => return Err(format!("cannot tell startup-fencing: {why}")),
        }
        if self.devices.is_empty() && !self.watchdog {
            return Err("no fence device is configured".into());
        }
        Ok(())
    }
}

/// The CIB, as far as pgtwin reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cib {
    /// `admin_epoch.epoch.num_updates`.
    pub version: (u64, u64, u64),
    /// What this copy of the CIB says about quorum.
    pub have_quorum: Option<bool>,
    /// The id of the designated controller.
    pub dc_uuid: Option<String>,
    /// Cluster options: every `cluster_property_set`, pgtwin's own included (an option that strays
    /// into one counts for Pacemaker too), as Pacemaker combines them.
    pub options: Settings,
    /// The property sets whose id begins with `pgtwin-`, by id: pgtwin's own store.
    pub own_sets: BTreeMap<String, BTreeMap<String, String>>,
    /// The configured nodes.
    pub nodes: Vec<CibNode>,
    /// All primitives.
    pub primitives: Vec<Primitive>,
    /// All location constraints.
    pub locations: Vec<Location>,
    /// All colocation constraints.
    pub colocations: Vec<Colocation>,
    /// All order constraints.
    pub orders: Vec<Order>,
    /// Meta attributes of resources that have none of their own (`rsc_defaults`).
    pub resource_defaults: Settings,
    /// The same of operations (`op_defaults`).
    pub operation_defaults: Settings,
    /// The status section.
    pub node_states: Vec<NodeStateEntry>,
}

impl Cib {
    /// Reads what `cibadmin --query` printed.
    pub fn parse(text: &str) -> Result<Self, CibError> {
        read::cib(text, true)
    }

    /// Reads a configuration that may be in no cluster yet: it needs no version and no status.
    pub fn parse_configuration(text: &str) -> Result<Self, CibError> {
        read::cib(text, false)
    }

    /// A cluster option as text, `default` where it isn't set.
    pub fn option(&self, name: &str, default: &str) -> Known<String> {
        match self.options.get(name) {
            Some(Setting::Set(value)) => Known::Known(value.clone()),
            Some(Setting::Conditional) => {
                Known::unknown(format!("{name} is set by a rule, or twice"))
            }
            None => Known::Known(default.to_owned()),
        }
    }

    /// A cluster option that is true or false, `default` where it isn't set.
    pub fn switch(&self, name: &str, default: bool) -> Known<bool> {
        self.option(name, if default { "true" } else { "false" }).and_then(|value| {
            match truth(&value) {
                Some(value) => Known::Known(value),
                None => Known::unknown(format!("{name} is {value:?}")),
            }
        })
    }

    /// `no-quorum-policy`; `stop` where it isn't set.
    pub fn no_quorum_policy(&self) -> Known<String> {
        self.option("no-quorum-policy", "stop")
    }

    /// What the configuration says about fencing.
    pub fn fencing(&self) -> FencingFacts {
        // The newer name is announced and not known to any version up to 3.0.1, so it cannot be
        // what enables fencing: both names have to.
        let enabled = self
            .switch("stonith-enabled", true)
            .and_then(|old| self.switch("fencing-enabled", true).map(|new| old && new));
        // "0", "0s", "0ms" switch it off: anything without another digit.
        let timeout = ["fencing-watchdog-timeout", "stonith-watchdog-timeout"]
            .iter()
            .filter_map(|name| self.option(name, "0").known())
            .any(|value| value.bytes().any(|b| (b'1'..=b'9').contains(&b)));
        let watchdog = timeout && self.switch("have-watchdog", false) == Known::Known(true);
        FencingFacts {
            enabled,
            startup: self.switch("startup-fencing", true),
            devices: self
                .primitives
                .iter()
                .filter(|p| p.class == "stonith" && !p.switched_off())
                .map(|p| p.id.clone())
                .collect(),
            watchdog,
        }
    }

    /// The primitive of this id (an instance number as in `db:0` is ignored).
    pub fn primitive(&self, id: &str) -> Option<&Primitive> {
        let base = match id.rsplit_once(':') {
            Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base,
            _ => id,
        };
        self.primitives.iter().find(|p| p.id == base)
    }

    /// A meta attribute of this primitive: its own, or its clone's, or the default of all resources.
    pub fn meta(&self, id: &str, name: &str) -> Option<&Setting> {
        let primitive = self.primitive(id);
        let clone = primitive.and_then(|primitive| primitive.clone.as_ref());
        primitive
            .and_then(|primitive| primitive.meta.get(name))
            .or_else(|| clone.and_then(|clone| clone.meta.get(name)))
            .or_else(|| self.resource_defaults.get(name))
    }

    /// All primitives of this agent, whatever their provider: `primitives_of("pgtwin")`.
    pub fn primitives_of<'a>(&'a self, agent: &'a str) -> impl Iterator<Item = &'a Primitive> {
        self.primitives.iter().filter(move |p| p.class == "ocf" && p.agent == agent)
    }

    /// The location constraints that name this primitive or what is around it.
    pub fn locations_of<'a>(
        &'a self,
        primitive: &'a Primitive,
    ) -> impl Iterator<Item = &'a Location> {
        let clone = primitive.clone.as_ref().map(|c| c.id.as_str());
        self.locations.iter().filter(move |location| {
            location.resource.as_deref().is_some_and(|resource| {
                resource == primitive.id
                    || Some(resource) == clone
                    || Some(resource) == primitive.group.as_deref()
            })
        })
    }

    /// The full cluster nodes that are configured.
    pub fn full_members(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|node| node.kind == NodeKind::Member).map(|node| &node.name)
    }

    /// A transient attribute, by node; nodes that do not have it are left out.
    pub fn transient(&self, name: &str) -> BTreeMap<NodeName, Setting> {
        self.node_states
            .iter()
            .filter_map(|node| {
                node.transient.get(name).map(|value| (node.name.clone(), value.clone()))
            })
            .collect()
    }

    /// The promotion scores of this primitive, as the scheduler reads them, by node.
    pub fn scores(&self, resource: &str) -> BTreeMap<NodeName, Known<i32>> {
        self.transient(&format!("master-{resource}"))
            .into_iter()
            .map(|(node, setting)| {
                let score = match setting {
                    Setting::Set(text) => score(&text).map_or_else(
                        || Known::unknown(format!("the score of {node} is {text:?}")),
                        Known::Known,
                    ),
                    Setting::Conditional => {
                        Known::unknown(format!("the score of {node} is set by a rule, or twice"))
                    }
                };
                (node, score)
            })
            .collect()
    }

    /// When this primitive was last promoted on a node, in seconds of the epoch; none if Pacemaker has
    /// forgotten that, or has done something else with it since.
    pub fn promoted_at(&self, resource: &str, node: &NodeName) -> Option<i64> {
        let state = self.node_states.iter().find(|state| &state.name == node)?;
        let is = |run: &&Run| {
            run.resource == resource && run.operation == "promote" && run.exit_code == Some(0)
        };
        state.runs.iter().filter(is).filter_map(|run| run.when).max()
    }

    /// The entries of pgtwin's own property set for this primitive: names without the prefix
    /// `pgtwin-RSC-`, values as stored.
    pub fn own_entries(&self, resource: &str) -> BTreeMap<String, String> {
        let set = format!("{OWN_PREFIX}{resource}");
        let prefix = format!("{set}-");
        let mut found = BTreeMap::new();
        for (name, value) in self.own_sets.get(&set).into_iter().flatten() {
            if let Some(short) = name.strip_prefix(&prefix) {
                found.insert(short.to_owned(), value.clone());
            }
        }
        found
    }

    /// The ledger entries that the CIB holds for this primitive, by the node that wrote them, as
    /// text. What belongs to no node name is left out.
    pub fn ledgers(&self, resource: &str) -> BTreeMap<NodeName, String> {
        self.own_entries(resource)
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("ledger-")?.parse().ok()?, value)))
            .collect()
    }
}

impl Primitive {
    /// A parameter as text.
    pub fn parameter(&self, name: &str) -> Option<&Setting> {
        self.parameters.get(name)
    }

    /// Its parameters as they are on this node.
    pub fn parameters_on(&self, node: &NodeName) -> &Settings {
        self.by_node.named.get(node).unwrap_or(&self.by_node.elsewhere)
    }

    /// Its recurring monitors that are not switched off, with their intervals in milliseconds. One whose
    /// interval cannot be read is left out.
    pub fn monitors(&self) -> impl Iterator<Item = (&Operation, u64)> {
        self.operations.iter().filter_map(|operation| {
            let every = milliseconds(operation.interval.as_deref()?)?;
            let counts = operation.name == "monitor" && !operation.disabled && every > 0;
            counts.then_some((operation, every))
        })
    }

    /// Whether its configuration asks that it should not run.
    pub fn switched_off(&self) -> bool {
        let clone = self.clone.as_ref().and_then(|c| c.meta.get("target-role"));
        [self.meta.get("target-role"), clone]
            .into_iter()
            .flatten()
            .any(|role| matches!(role, Setting::Set(text) if text.eq_ignore_ascii_case("stopped")))
    }
}

/// The prefix of the property sets that pgtwin keeps for itself.
pub const OWN_PREFIX: &str = "pgtwin-";

/// Pacemaker's words for true and false, in any case.
pub fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "on", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "off", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A score in Pacemaker's notation: a number, `INFINITY` (1000000), `-INFINITY`; numbers beyond
/// infinity are infinite. What `red`, `yellow` and `green` are worth is a matter of the cluster's
/// health strategy (without one all are 0), so they are not known here.
pub fn score(text: &str) -> Option<i32> {
    const INFINITY: i32 = 1_000_000;
    match text {
        "INFINITY" | "+INFINITY" => return Some(INFINITY),
        "-INFINITY" => return Some(-INFINITY),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = text.parse::<i128>().ok()?;
    i32::try_from(value.clamp(-i128::from(INFINITY), i128::from(INFINITY))).ok()
}
