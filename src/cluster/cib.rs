//! The cluster's configuration and state: what `cibadmin --query` prints. Floor 0.
//!
//! Only what pgtwin asks about is given a type; the rest of the document is ignored. References
//! (`id-ref`, resource templates) are resolved. What a rule makes conditional is never taken for a
//! fact: it is `Setting::Conditional`. Source: Pacemaker's `pacemaker-*.rng` and "Pacemaker
//! Explained".

use std::collections::BTreeMap;

use super::known::Known;
use super::node::NodeName;
use super::topology::NodeKind;
use super::xml::{self, Element, XmlError};

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
    /// A rule decides whether it is set: its value here and now is not known to us.
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
    /// `stonith-enabled` (newer name `fencing-enabled`); true where it isn't set.
    pub enabled: Known<bool>,
    /// `startup-fencing`: whether a node never seen counts as unclean; true where it isn't set.
    pub startup: Known<bool>,
    /// Ids of the fence devices that are configured and not switched off.
    pub devices: Vec<String>,
    /// Nodes are believed to reset themselves by watchdog (`stonith-watchdog-timeout` not 0).
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
    /// The status section.
    pub node_states: Vec<NodeStateEntry>,
}

impl Cib {
    /// Reads what `cibadmin --query` printed.
    pub fn parse(text: &str) -> Result<Self, CibError> {
        let root = xml::parse(text).map_err(CibError::Xml)?;
        if root.name != "cib" {
            return Err(CibError::NotACib(root.name));
        }
        let ids = Ids::of(&root);
        let configuration = part(&root, "configuration")?;
        let crm_config = part(configuration, "crm_config")?;
        let sets = || crm_config.children_named("cluster_property_set");
        let mut primitives = Vec::new();
        let around = Around { clone: None, group: None, bundle: None };
        collect(part(configuration, "resources")?, &around, &ids, &mut primitives)?;
        let status = part(&root, "status")?;
        Ok(Self {
            version: (
                number(&root, "admin_epoch")?,
                number(&root, "epoch")?,
                number(&root, "num_updates")?,
            ),
            have_quorum: root.attr("have-quorum").and_then(truth),
            dc_uuid: root.attr("dc-uuid").filter(|id| !id.is_empty()).map(str::to_owned),
            options: combine(sets(), &ids),
            own_sets: sets().filter_map(own_set).collect(),
            nodes: part(configuration, "nodes")?
                .children_named("node")
                .map(|node| cib_node(node, &ids))
                .collect::<Result<_, _>>()?,
            primitives,
            locations: part(configuration, "constraints")?
                .children_named("rsc_location")
                .map(location)
                .collect::<Result<_, _>>()?,
            node_states: node_states(status)?,
        })
    }

    /// A cluster option as text, `default` where it isn't set.
    pub fn option(&self, name: &str, default: &str) -> Known<String> {
        match self.options.get(name) {
            Some(Setting::Set(value)) => Known::Known(value.clone()),
            Some(Setting::Conditional) => Known::unknown(format!("a rule decides {name}")),
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
        let newer = self.options.contains_key("fencing-enabled");
        let watchdog_name = if self.options.contains_key("fencing-watchdog-timeout") {
            "fencing-watchdog-timeout"
        } else {
            "stonith-watchdog-timeout"
        };
        let watchdog = match self.option(watchdog_name, "0") {
            // "0", "0s", "0ms": anything without another digit
            Known::Known(value) => value.bytes().any(|b| (b'1'..=b'9').contains(&b)),
            Known::Unknown(_) => false,
        };
        FencingFacts {
            enabled: self.switch(if newer { "fencing-enabled" } else { "stonith-enabled" }, true),
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
                        Known::unknown(format!("a rule decides the score of {node}"))
                    }
                };
                (node, score)
            })
            .collect()
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
    /// text. A name that is no node name is reported by itself.
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

/// A score in Pacemaker's notation: a number, `INFINITY` (1000000), `-INFINITY`, `red`, `yellow`,
/// `green`; numbers beyond infinity are infinite.
pub fn score(text: &str) -> Option<i32> {
    const INFINITY: i32 = 1_000_000;
    match text {
        "INFINITY" | "+INFINITY" => return Some(INFINITY),
        "-INFINITY" | "red" => return Some(-INFINITY),
        "yellow" | "green" => return Some(0),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = text.parse::<i128>().ok()?;
    i32::try_from(value.clamp(-i128::from(INFINITY), i128::from(INFINITY))).ok()
}

fn part<'a>(element: &'a Element, name: &str) -> Result<&'a Element, CibError> {
    element.child(name).ok_or_else(|| CibError::Missing(format!("<{name}>")))
}

fn required<'a>(element: &'a Element, name: &str) -> Result<&'a str, CibError> {
    element.attr(name).ok_or_else(|| CibError::Missing(format!("{name} of <{}>", element.name)))
}

fn number(element: &Element, name: &str) -> Result<u64, CibError> {
    let text = required(element, name)?;
    text.parse().map_err(|_| CibError::BadValue { what: name.to_owned(), value: text.to_owned() })
}

fn node_name(element: &Element, name: &str) -> Result<NodeName, CibError> {
    let text = required(element, name)?;
    text.parse().map_err(|_| CibError::BadValue {
        what: format!("{name} of <{}>", element.name),
        value: text.chars().take(80).collect(),
    })
}

fn owned(element: &Element, name: &str) -> Option<String> {
    element.attr(name).map(str::to_owned)
}

/// Elements by id, for `id-ref`.
struct Ids<'a>(BTreeMap<&'a str, &'a Element>);

impl<'a> Ids<'a> {
    fn of(root: &'a Element) -> Self {
        // The status section refers to nothing, and repeats ids.
        let configuration = root.child("configuration").into_iter().flat_map(Element::walk);
        Self(configuration.filter_map(|e| Some((e.attr("id")?, e))).collect())
    }

    /// The element itself, or the one it refers to, if that exists.
    fn resolve(&self, element: &'a Element) -> Option<&'a Element> {
        match element.attr("id-ref") {
            None => Some(element),
            Some(id) => self.0.get(id).copied(),
        }
    }
}

/// Combines sets of name-value pairs as Pacemaker does: highest score first, cluster options'
/// `cib-bootstrap-options` before all others, and the first one to name something wins. Whether a
/// set with a rule counts is not decided here: what it names is conditional, unless a set before it
/// has settled it.
fn combine<'a>(sets: impl IntoIterator<Item = &'a Element>, ids: &Ids<'a>) -> Settings {
    let mut sets: Vec<&Element> = sets.into_iter().filter_map(|set| ids.resolve(set)).collect();
    sets.sort_by_key(|set| {
        let first = set.attr("id") == Some("cib-bootstrap-options");
        let score = set.attr("score").and_then(score).unwrap_or(0);
        (std::cmp::Reverse(first), std::cmp::Reverse(score))
    });
    let mut found = Settings::new();
    for set in sets {
        let conditional = set.child("rule").is_some();
        // Up to 2.1, <attributes> may wrap the pairs.
        let wrapped = set.child("attributes").unwrap_or(set);
        for pair in wrapped.children_named("nvpair") {
            let Some(target) = ids.resolve(pair) else { continue };
            let Some(name) = pair.attr("name").or_else(|| target.attr("name")) else { continue };
            let setting = match target.attr("value") {
                _ if conditional => Setting::Conditional,
                Some(value) => Setting::Set(value.to_owned()),
                None => continue,
            };
            found.entry(name.to_owned()).or_insert(setting);
        }
    }
    found
}

fn own_set(set: &Element) -> Option<(String, BTreeMap<String, String>)> {
    let id = owned(set, "id").filter(|id| id.starts_with(OWN_PREFIX))?;
    let pairs = set
        .children_named("nvpair")
        .filter_map(|pair| Some((owned(pair, "name")?, owned(pair, "value")?)))
        .collect();
    Some((id, pairs))
}

fn cib_node<'a>(node: &'a Element, ids: &Ids<'a>) -> Result<CibNode, CibError> {
    Ok(CibNode {
        id: required(node, "id")?.to_owned(),
        name: node_name(node, "uname")?,
        kind: node.attr("type").map_or(NodeKind::Member, NodeKind::from_text),
        attributes: combine(node.children_named("instance_attributes"), ids),
    })
}

/// What a primitive is inside of.
#[derive(Clone)]
struct Around {
    clone: Option<CloneOf>,
    group: Option<String>,
    bundle: Option<String>,
}

fn collect<'a>(
    element: &'a Element,
    around: &Around,
    ids: &Ids<'a>,
    found: &mut Vec<Primitive>,
) -> Result<(), CibError> {
    for child in &element.children {
        match child.name.as_str() {
            "primitive" => found.push(primitive(child, around, ids)?),
            "clone" | "master" => {
                let meta = combine(child.children_named("meta_attributes"), ids);
                let promotable = child.name == "master"
                    || matches!(meta.get("promotable"),
                        Some(Setting::Set(value)) if truth(value) == Some(true));
                let clone =
                    Some(CloneOf { id: required(child, "id")?.to_owned(), meta, promotable });
                collect(child, &Around { clone, ..around.clone() }, ids, found)?;
            }
            "group" => {
                let group = Some(required(child, "id")?.to_owned());
                collect(child, &Around { group, ..around.clone() }, ids, found)?;
            }
            "bundle" => {
                let bundle = Some(required(child, "id")?.to_owned());
                collect(child, &Around { bundle, ..around.clone() }, ids, found)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn primitive<'a>(
    element: &'a Element,
    around: &Around,
    ids: &Ids<'a>,
) -> Result<Primitive, CibError> {
    let template = match element.attr("template") {
        None => None,
        Some(id) => Some(
            *ids.0.get(id).ok_or_else(|| CibError::Missing(format!("resource template {id:?}")))?,
        ),
    };
    let either = |name: &str| element.attr(name).or_else(|| template.and_then(|t| t.attr(name)));
    let needed = |name: &str| {
        either(name)
            .map(str::to_owned)
            .ok_or_else(|| CibError::Missing(format!("{name} of a <primitive>")))
    };
    // The primitive's own settings win over its template's.
    let settings = |tag: &str| {
        let own: Vec<_> = element.children.iter().filter(|c| c.name == tag).collect();
        let mut all = combine(own, ids);
        if let Some(template) = template {
            let inherited: Vec<_> = template.children.iter().filter(|c| c.name == tag).collect();
            for (name, setting) in combine(inherited, ids) {
                all.entry(name).or_insert(setting);
            }
        }
        all
    };
    let operations = |from: &'a Element| {
        from.children_named("operations")
            .filter_map(|list| ids.resolve(list))
            .flat_map(|list| list.children_named("op"))
            .map(|op| Operation {
                name: op.attr("name").unwrap_or_default().to_owned(),
                interval: owned(op, "interval"),
                timeout: owned(op, "timeout"),
                role: owned(op, "role"),
            })
            .collect::<Vec<_>>()
    };
    let mut ops = operations(element);
    if let (true, Some(template)) = (ops.is_empty(), template) {
        ops = operations(template);
    }
    Ok(Primitive {
        id: required(element, "id")?.to_owned(),
        class: needed("class")?,
        provider: either("provider").map(str::to_owned),
        agent: needed("type")?,
        parameters: settings("instance_attributes"),
        meta: settings("meta_attributes"),
        operations: ops,
        clone: around.clone.clone(),
        group: around.group.clone(),
        bundle: around.bundle.clone(),
    })
}

fn location(element: &Element) -> Result<Location, CibError> {
    Ok(Location {
        id: required(element, "id")?.to_owned(),
        resource: owned(element, "rsc"),
        node: owned(element, "node"),
        score: owned(element, "score"),
        role: owned(element, "role"),
        complex: element.attr("rsc-pattern").is_some()
            || element.children.iter().any(|c| c.name == "rule" || c.name == "resource_set"),
    })
}

fn node_states(status: &Element) -> Result<Vec<NodeStateEntry>, CibError> {
    let no_references = Ids(BTreeMap::new());
    status
        .children_named("node_state")
        .map(|state| {
            let sets = state
                .children_named("transient_attributes")
                .flat_map(|list| list.children_named("instance_attributes"));
            Ok(NodeStateEntry {
                name: node_name(state, "uname")?,
                in_ccm: owned(state, "in_ccm"),
                crmd: owned(state, "crmd"),
                join: owned(state, "join"),
                expected: owned(state, "expected"),
                transient: combine(sets, &no_references),
            })
        })
        .collect()
}
