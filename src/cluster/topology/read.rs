//! From the elements of `crm_mon`'s answer to types. Floor 0.

use std::collections::BTreeMap;

use super::{
    Ban, ClusterOptions, ClusterStatus, FailedAction, FenceEvent, FenceHistory, FenceOutcome,
    Instance, NodeKind, NodeStatus, Quorum, Role, StatusError,
};
use crate::cluster::node::NodeName;
use crate::cluster::xml::{self, Element};

/// Reads what `crm_mon --one-shot --output-as=xml --inactive --fence-history=2` printed.
pub(super) fn status(text: &str) -> Result<ClusterStatus, StatusError> {
    let root = xml::parse(text).map_err(StatusError::Xml)?;
    if !matches!(root.name.as_str(), "pacemaker-result" | "crm_mon") {
        return Err(missing("<pacemaker-result>"));
    }
    // Printed last: without it the answer was cut short.
    if root.name == "pacemaker-result" {
        let status = root.child("status").ok_or_else(|| missing("<status>"))?;
        let code = required(status, "code")?;
        if code != "0" {
            return Err(reported(status, code));
        }
    }
    let summary = root.child("summary").ok_or_else(|| missing("<summary>"))?;
    let nodes = root.child("nodes").ok_or_else(|| missing("<nodes>"))?;
    let (dc, dc_version, quorum) = controller(summary)?;
    let mut status = ClusterStatus {
        dc,
        dc_version,
        quorum,
        options: options(summary)?,
        nodes: nodes.children_named("node").map(node).collect::<Result<_, _>>()?,
        instances: Vec::new(),
        bundles: Vec::new(),
        attributes: attributes(&root)?,
        fencing: fence_history(&root)?,
        bans: bans(&root)?,
        failures: failures(&root),
    };
    // Without a single resource there is no <resources>.
    for resources in root.children_named("resources") {
        collect(resources, None, &mut status.instances, &mut status.bundles)?;
    }
    Ok(status)
}

fn missing(what: &str) -> StatusError {
    StatusError::Missing { what: what.to_owned() }
}

fn bad(what: String, value: &str) -> StatusError {
    StatusError::BadValue { what, value: value.chars().take(80).collect() }
}

fn required<'a>(element: &'a Element, name: &str) -> Result<&'a str, StatusError> {
    element
        .attr(name)
        .ok_or_else(|| StatusError::Missing { what: format!("{name} of <{}>", element.name) })
}

fn flag(element: &Element, name: &str) -> Result<bool, StatusError> {
    match required(element, name)? {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(bad(format!("{name} of <{}>", element.name), other)),
    }
}

fn node_name(element: &Element, name: &str) -> Result<NodeName, StatusError> {
    let text = required(element, name)?;
    text.parse().map_err(|_| bad(format!("{name} of <{}>", element.name), text))
}

fn owned(element: &Element, name: &str) -> Option<String> {
    element.attr(name).map(str::to_owned)
}

/// An error in the words that a tool with `--output-as=xml` reports it in.
fn reported(status: &Element, code: &str) -> StatusError {
    let mut words: Vec<&str> = status.attr("message").into_iter().collect();
    words.extend(status.walk().filter(|e| e.name == "error").map(|e| e.text.as_str()));
    StatusError::Reported { code: code.to_owned(), message: words.join("; ") }
}

fn controller(
    summary: &Element,
) -> Result<(Option<NodeName>, Option<String>, Quorum), StatusError> {
    let dc = summary.child("current_dc").ok_or_else(|| missing("<current_dc>"))?;
    if !flag(dc, "present")? {
        return Ok((None, None, Quorum::NoController));
    }
    let quorum = if flag(dc, "with_quorum")? { Quorum::Quorate } else { Quorum::Inquorate };
    Ok((Some(node_name(dc, "name")?), owned(dc, "version"), quorum))
}

fn options(summary: &Element) -> Result<ClusterOptions, StatusError> {
    let options = summary.child("cluster_options").ok_or_else(|| missing("<cluster_options>"))?;
    let fencing = if options.attr("fencing-enabled").is_some() {
        flag(options, "fencing-enabled")?
    } else {
        flag(options, "stonith-enabled")?
    };
    Ok(ClusterOptions {
        fencing_enabled: fencing,
        maintenance_mode: flag(options, "maintenance-mode")?,
        no_quorum_policy: required(options, "no-quorum-policy")?.to_owned(),
    })
}

fn node(element: &Element) -> Result<NodeStatus, StatusError> {
    Ok(NodeStatus {
        name: node_name(element, "name")?,
        id: required(element, "id")?.to_owned(),
        kind: NodeKind::from_text(required(element, "type")?),
        online: flag(element, "online")?,
        unclean: flag(element, "unclean")?,
        pending: flag(element, "pending")?,
        standby: flag(element, "standby")?,
        standby_onfail: flag(element, "standby_onfail")?,
        maintenance: flag(element, "maintenance")?,
        shutdown: flag(element, "shutdown")?,
        health: owned(element, "health"),
        feature_set: owned(element, "feature_set"),
        is_dc: flag(element, "is_dc")?,
    })
}

/// Collects the instances below an element, through clones, groups and bundles.
fn collect(
    element: &Element,
    clone: Option<&str>,
    instances: &mut Vec<Instance>,
    bundles: &mut Vec<String>,
) -> Result<(), StatusError> {
    for child in &element.children {
        match child.name.as_str() {
            "resource" => instances.push(instance(child, clone)?),
            "clone" => collect(child, Some(required(child, "id")?), instances, bundles)?,
            "bundle" => {
                bundles.push(required(child, "id")?.to_owned());
                collect(child, clone, instances, bundles)?;
            }
            // group, replica, and what a later version may add around resources
            _ => collect(child, clone, instances, bundles)?,
        }
    }
    Ok(())
}

fn instance(element: &Element, clone: Option<&str>) -> Result<Instance, StatusError> {
    let id = required(element, "id")?;
    let resource = match id.rsplit_once(':') {
        Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => id,
    };
    let maintenance = match element.attr("maintenance") {
        None => None,
        Some(_) => Some(flag(element, "maintenance")?),
    };
    Ok(Instance {
        resource: resource.to_owned(),
        clone: clone.map(str::to_owned),
        agent: required(element, "resource_agent")?.to_owned(),
        role: Role::from_text(required(element, "role")?),
        target_role: owned(element, "target_role"),
        active: flag(element, "active")?,
        failed: flag(element, "failed")?,
        blocked: flag(element, "blocked")?,
        managed: flag(element, "managed")?,
        maintenance,
        orphaned: flag(element, "orphaned")?,
        pending: owned(element, "pending"),
        nodes: element
            .children_named("node")
            .map(|node| node_name(node, "name"))
            .collect::<Result<_, _>>()?,
    })
}

fn attributes(root: &Element) -> Result<BTreeMap<NodeName, BTreeMap<String, String>>, StatusError> {
    let mut all: BTreeMap<NodeName, BTreeMap<String, String>> = BTreeMap::new();
    let lists = root.children_named("node_attributes").flat_map(|list| list.children_named("node"));
    for list in lists {
        let of_node = all.entry(node_name(list, "name")?).or_default();
        for attribute in list.children_named("attribute") {
            let value = required(attribute, "value")?.to_owned();
            of_node.insert(required(attribute, "name")?.to_owned(), value);
        }
    }
    Ok(all)
}

fn fence_history(root: &Element) -> Result<FenceHistory, StatusError> {
    let Some(list) = root.child("fence_history") else {
        return Ok(FenceHistory::Events(Vec::new()));
    };
    if let Some(code) = list.attr("status").filter(|code| *code != "0") {
        return Ok(FenceHistory::Unavailable(format!("crm_mon: fence_history status {code}")));
    }
    let mut events = Vec::new();
    for event in list.children_named("fence_event") {
        events.push(FenceEvent {
            target: node_name(event, "target")?,
            action: required(event, "action")?.to_owned(),
            outcome: match required(event, "status")? {
                "success" => FenceOutcome::Success,
                "failed" => FenceOutcome::Failed,
                "pending" => FenceOutcome::Pending,
                other => FenceOutcome::Other(other.to_owned()),
            },
            completed: owned(event, "completed"),
            delegate: owned(event, "delegate"),
            client: owned(event, "client"),
            exit_reason: owned(event, "exit-reason"),
        });
    }
    Ok(FenceHistory::Events(events))
}

/// What is only shown to people never makes the whole answer useless: a failure that cannot be
/// read is left out.
fn failures(root: &Element) -> Vec<FailedAction> {
    root.children_named("failures")
        .flat_map(|list| list.children_named("failure"))
        .filter_map(|failure| {
            // RESOURCE_OPERATION_INTERVAL, where the resource may have underscores of its own.
            let (rest, _interval) = failure.attr("op_key")?.rsplit_once('_')?;
            let (resource, operation) = rest.rsplit_once('_')?;
            let resource = match resource.rsplit_once(':') {
                Some((base, number)) if number.bytes().all(|b| b.is_ascii_digit()) => base,
                _ => resource,
            };
            let status = failure.attr("status").unwrap_or_default();
            let exit = failure.attr("exitstatus").unwrap_or_default();
            // `Done` and `complete` say that the agent's own exit is all there is to know.
            let finished = ["", "Done", "complete"].contains(&status);
            Some(FailedAction {
                resource: resource.to_owned(),
                operation: operation.to_owned(),
                node: failure.attr("node")?.parse().ok()?,
                exit_code: failure.attr("exitcode").and_then(|code| code.parse().ok()),
                words: if finished { exit } else { status }.to_owned(),
                reason: failure.attr("exitreason").unwrap_or_default().to_owned(),
                when: owned(failure, "last-rc-change"),
            })
        })
        .collect()
}

fn bans(root: &Element) -> Result<Vec<Ban>, StatusError> {
    let bans = root.children_named("bans").flat_map(|list| list.children_named("ban"));
    bans.map(|ban| {
        // Up to 2.1 it also has the older name, and only that in still older ones.
        let name =
            if ban.attr("promoted-only").is_some() { "promoted-only" } else { "master_only" };
        Ok(Ban {
            id: required(ban, "id")?.to_owned(),
            resource: required(ban, "resource")?.to_owned(),
            node: required(ban, "node")?.to_owned(),
            promoted_only: flag(ban, name)?,
        })
    })
    .collect()
}
