//! From the CIB's elements to types. Floor 0.

use std::collections::BTreeMap;

use super::{
    ByNode, Cib, CibError, CibNode, CloneOf, NodeStateEntry, OWN_PREFIX, Operation, Primitive, Run,
    Setting, Settings, constraints, score, truth,
};
use crate::cluster::node::NodeName;
use crate::cluster::topology::NodeKind;
use crate::cluster::xml::{self, Element};

/// Reads what `cibadmin --query` printed.
/// `live`: it is that of a cluster.
pub(super) fn cib(text: &str, live: bool) -> Result<Cib, CibError> {
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
    let nothing = Element::default();
    let status = match root.child("status") {
        None if !live => &nothing,
        _ => part(&root, "status")?,
    };
    let version = |name: &str| match root.attr(name) {
        None if !live => Ok(0),
        _ => number(&root, name),
    };
    let nodes: Vec<CibNode> = part(configuration, "nodes")?
        .children_named("node")
        .map(|node| cib_node(node, &ids))
        .collect::<Result<_, _>>()?;
    Ok(Cib {
        version: (version("admin_epoch")?, version("epoch")?, version("num_updates")?),
        have_quorum: root.attr("have-quorum").and_then(truth),
        dc_uuid: root.attr("dc-uuid").filter(|id| !id.is_empty()).map(str::to_owned),
        options: combine(sets(), &ids),
        own_sets: sets().filter_map(own_set).collect(),
        node_states: node_states(status, &nodes)?,
        nodes,
        primitives,
        locations: all(configuration, "rsc_location", constraints::location)?,
        colocations: all(configuration, "rsc_colocation", constraints::colocation)?,
        orders: all(configuration, "rsc_order", constraints::order)?,
        resource_defaults: defaults(configuration, "rsc_defaults", &ids),
        operation_defaults: defaults(configuration, "op_defaults", &ids),
    })
}

/// The constraints of one kind.
fn all<T>(
    configuration: &Element,
    kind: &str,
    read: impl Fn(&Element) -> Result<T, CibError>,
) -> Result<Vec<T>, CibError> {
    part(configuration, "constraints")?.children_named(kind).map(read).collect()
}

fn defaults<'a>(configuration: &'a Element, name: &'a str, ids: &Ids<'a>) -> Settings {
    let lists = configuration.children_named(name);
    combine(lists.flat_map(|list| list.children_named("meta_attributes")), ids)
}

fn part<'a>(element: &'a Element, name: &str) -> Result<&'a Element, CibError> {
    element.child(name).ok_or_else(|| CibError::Missing(format!("<{name}>")))
}

pub(super) fn required<'a>(element: &'a Element, name: &str) -> Result<&'a str, CibError> {
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

pub(super) fn owned(element: &Element, name: &str) -> Option<String> {
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
    combine_on(None, sets, ids)
}

/// Where parameters are looked at.
#[derive(Clone, Copy)]
enum On<'n> {
    /// This node.
    Node(&'n str),
    /// One that no rule names.
    Another,
}

/// The same on one node: a rule that does nothing but name a node is no condition there.
fn combine_on<'a>(
    on: Option<On<'_>>,
    sets: impl IntoIterator<Item = &'a Element>,
    ids: &Ids<'a>,
) -> Settings {
    let counts = |set: &&'a Element| match (on, node_of(set)) {
        (None, _) | (Some(_), None) => true,
        (Some(On::Node(node)), Some(named)) => node == named,
        (Some(On::Another), Some(_)) => false,
    };
    let mut sets: Vec<&Element> =
        sets.into_iter().filter_map(|set| ids.resolve(set)).filter(counts).collect();
    sets.sort_by_key(|set| rank(set));
    let mut found: BTreeMap<String, (Rank, Setting)> = BTreeMap::new();
    for set in sets {
        let decided = on.is_some() && node_of(set).is_some();
        let conditional = set.child("rule").is_some() && !decided;
        let rank = rank(set);
        for pair in set.children_named("nvpair") {
            let Some(target) = ids.resolve(pair) else { continue };
            let Some(name) = pair.attr("name").or_else(|| target.attr("name")) else { continue };
            let setting = match target.attr("value") {
                _ if conditional => Setting::Conditional,
                Some(value) => Setting::Set(value.to_owned()),
                None => continue,
            };
            match found.get_mut(name) {
                None => {
                    found.insert(name.to_owned(), (rank, setting));
                }
                Some((first, earlier)) if *first == rank && *earlier != setting => {
                    *earlier = Setting::Conditional;
                }
                Some(_) => {}
            }
        }
    }
    found.into_iter().map(|(name, (_, setting))| (name, setting)).collect()
}

/// The node that the rule of a set names, if that is all that the rule does: `#uname eq NODE`.
fn node_of(set: &Element) -> Option<&str> {
    let mut rules = set.children_named("rule");
    let (rule, None) = (rules.next()?, rules.next()) else { return None };
    let [only] = rule.children.as_slice() else { return None };
    let plain = rule.attr("id-ref").is_none()
        && rule.attr("score-attribute").is_none()
        && only.name == "expression"
        && only.attr("attribute") == Some("#uname")
        && only.attr("operation") == Some("eq")
        && only.attr("value-source").is_none_or(|source| source == "literal");
    only.attr("value").filter(|_| plain)
}

/// What decides between sets: the lowest goes first.
type Rank = (std::cmp::Reverse<bool>, std::cmp::Reverse<i32>);

fn rank(set: &Element) -> Rank {
    let first = set.attr("id") == Some("cib-bootstrap-options");
    let score = set.attr("score").and_then(score).unwrap_or(0);
    (std::cmp::Reverse(first), std::cmp::Reverse(score))
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
    let settings = |tag: &str, on: Option<On<'_>>| {
        let own: Vec<_> = element.children.iter().filter(|c| c.name == tag).collect();
        let mut all = combine_on(on, own, ids);
        if let Some(template) = template {
            let inherited: Vec<_> = template.children.iter().filter(|c| c.name == tag).collect();
            for (name, setting) in combine_on(on, inherited, ids) {
                all.entry(name).or_insert(setting);
            }
        }
        all
    };
    let parameters = "instance_attributes";
    let sets = [Some(element), template].into_iter().flatten();
    let named = sets
        .flat_map(|from| from.children_named(parameters))
        .filter_map(|set| ids.resolve(set).and_then(node_of))
        .filter_map(|node| Some((node.parse().ok()?, settings(parameters, Some(On::Node(node))))));
    let operations = |from: &'a Element| {
        from.children_named("operations")
            .filter_map(|list| ids.resolve(list))
            .flat_map(|list| list.children_named("op"))
            .map(|op| Operation {
                name: op.attr("name").unwrap_or_default().to_owned(),
                interval: owned(op, "interval"),
                timeout: owned(op, "timeout"),
                role: owned(op, "role"),
                on_fail: owned(op, "on-fail"),
                disabled: op.attr("enabled").and_then(truth) == Some(false),
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
        parameters: settings(parameters, None),
        by_node: ByNode {
            named: named.collect(),
            elsewhere: settings(parameters, Some(On::Another)),
        },
        meta: settings("meta_attributes", None),
        operations: ops,
        clone: around.clone.clone(),
        group: around.group.clone(),
        bundle: around.bundle.clone(),
    })
}

/// An entry that the attribute manager has made before the controller knew the node has an id and no
/// name. The configuration may know it; else it says nothing about anybody.
fn node_states(status: &Element, nodes: &[CibNode]) -> Result<Vec<NodeStateEntry>, CibError> {
    let no_references = Ids(BTreeMap::new());
    let name_of = |state: &Element| match (state.attr("uname"), state.attr("id")) {
        (None, Some(id)) => {
            Ok(nodes.iter().find(|node| node.id == id).map(|node| node.name.clone()))
        }
        (Some(_) | None, _) => node_name(state, "uname").map(Some),
    };
    status
        .children_named("node_state")
        .filter_map(|state| name_of(state).transpose().map(|name| (state, name)))
        .map(|(state, name)| {
            let sets = state
                .children_named("transient_attributes")
                .flat_map(|list| list.children_named("instance_attributes"));
            Ok(NodeStateEntry {
                name: name?,
                in_ccm: owned(state, "in_ccm"),
                crmd: owned(state, "crmd"),
                join: owned(state, "join"),
                expected: owned(state, "expected"),
                transient: combine(sets, &no_references),
                runs: runs(state),
            })
        })
        .collect()
}

/// What is told of operations is for people, and never makes the rest unreadable.
fn runs(state: &Element) -> Vec<Run> {
    let resources = state
        .children_named("lrm")
        .flat_map(|lrm| lrm.children_named("lrm_resources"))
        .flat_map(|list| list.children_named("lrm_resource"));
    let of_resource = |resource: &Element| {
        let id = resource.attr("id").unwrap_or_default();
        let base = match id.rsplit_once(':') {
            Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base,
            _ => id,
        };
        let run = |op: &Element| Run {
            resource: base.to_owned(),
            operation: op.attr("operation").unwrap_or_default().to_owned(),
            interval: op.attr("interval").and_then(|interval| interval.parse().ok()),
            is_memory: op.attr("id").is_some_and(|id| id.ends_with("_last_failure_0")),
            exit_code: op.attr("rc-code").and_then(|code| code.parse().ok()),
            when: op.attr("last-rc-change").and_then(|when| when.parse().ok()),
        };
        resource.children_named("lrm_rsc_op").map(run).collect::<Vec<_>>()
    };
    resources.flat_map(of_resource).collect()
}
