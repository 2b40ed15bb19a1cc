//! The clone around the resource, and what the resource is told. Floor 1.

use super::{Facts, Said, or_ok, text_of};
use crate::cluster::cib::{CloneOf, Setting, truth};
use crate::cluster::known::Known;
use crate::cluster::topology::NodeKind;
use crate::decide::wanted;

pub(super) fn kind(facts: &Facts) -> Vec<Said> {
    let Some(primitive) = facts.primitive() else {
        return vec![Said::unknown(format!("{} is not in the configuration", facts.resource))];
    };
    let mut said = Vec::new();
    if primitive.bundle.is_some() {
        said.push(
            Said::fail(format!("{} is in a bundle, which pgtwin does not support", primitive.id))
                .fix("Take it out, into a clone: pgtwin setup prints one."),
        );
    }
    for node in &facts.members {
        let configured = facts.cib.nodes.iter().find(|one| one.name == *node);
        if configured.is_some_and(|one| one.kind != NodeKind::Member) {
            said.push(
                Said::fail(format!(
                    "{node} is a remote or guest node, which pgtwin does not support"
                ))
                .fix("Run Corosync and Pacemaker there, or take it out of node_list."),
            );
        }
    }
    match &primitive.clone {
        None => said.push(
            Said::fail(format!(
                "{} is in no clone: it runs on one node, and nobody takes over",
                primitive.id
            ))
            .fix("Make it a promotable clone; pgtwin setup prints one."),
        ),
        Some(clone) if !clone.promotable => {
            said.push(
                match text_of("promotable", clone.meta.get("promotable")) {
                    Known::Unknown(why) => Said::unknown(why).fix("Set it once:"),
                    Known::Known(_) => Said::fail(format!(
                        "{} is not promotable: there is never a primary",
                        clone.id
                    ))
                    .fix("Set it:"),
                }
                .run(wanted::resource_meta(&clone.id, "promotable", "true")),
            );
        }
        Some(_) => {}
    }
    or_ok(said, format!("{} is a promotable clone on full nodes", facts.target()))
}

pub(super) fn notify(facts: &Facts) -> Vec<Said> {
    let Some(clone) = facts.clone_of() else {
        return vec![Said::unknown(format!("{} is in no clone", facts.resource))];
    };
    let set = |said: Said| said.run(wanted::resource_meta(&clone.id, "notify", "true"));
    vec![match text_of("notify", clone.meta.get("notify")) {
        Known::Unknown(why) => set(Said::unknown(why).fix("Set it once, without a rule:")),
        Known::Known(Some(value)) if truth(&value) == Some(true) => {
            Said::ok("the members are notified")
        }
        Known::Known(value) => {
            let is = value.map_or("not set".to_owned(), |value| format!("{value:?}"));
            set(Said::fail(format!(
                "notify of {} is {is}: elections are held in notifications, so a lost primary is not \
                 replaced",
                clone.id
            ))
            .fix("Set it:"))
        }
    }]
}

/// A meta attribute of the clone, by one of its names.
fn meta<'a>(clone: &'a CloneOf, names: &[&'static str]) -> Option<(&'static str, &'a Setting)> {
    names.iter().find_map(|name| Some((*name, clone.meta.get(*name)?)))
}

pub(super) fn options(facts: &Facts) -> Vec<Said> {
    let Some(clone) = facts.clone_of() else {
        return vec![Said::unknown(format!("{} is in no clone", facts.resource))];
    };
    let mut said = Vec::new();
    let members = facts.members.len();
    let mut number = |names: &[&'static str],
                      good: &dyn Fn(usize) -> bool,
                      wants: &str,
                      means: &str| {
        let Some((name, setting)) = meta(clone, names) else { return };
        let set =
            |said: Said| said.fix("Set it:").run(wanted::resource_meta(&clone.id, name, wants));
        match setting {
            Setting::Conditional => said.push(set(Said::unknown(format!(
                "{name} of {} is set by a rule, or twice",
                clone.id
            )))),
            Setting::Set(text) => match text.parse() {
                Ok(value) if good(value) => {}
                _ => said
                    .push(set(Said::fail(format!("{name} of {} is {text:?}: {means}", clone.id)))),
            },
        }
    };
    number(&["promoted-max", "master-max"], &|n| n == 1, "1", "there must be one primary");
    let one = "a node runs one instance";
    number(&["promoted-node-max", "master-node-max"], &|n| n == 1, "1", one);
    number(&["clone-node-max"], &|n| n == 1, "1", one);
    let means = format!("{members} members need as many instances");
    number(&["clone-max"], &|n| n >= members, &members.to_string(), &means);
    for (name, unset, wants, means) in [
        ("globally-unique", false, false, "its instances are all of one kind"),
        (
            "interleave",
            false,
            true,
            "what depends on a standby waits for all of them, and stops with any",
        ),
    ] {
        let value = match text_of(name, clone.meta.get(name)) {
            Known::Known(value) => value.map_or(Some(unset), |value| truth(&value)),
            Known::Unknown(_) => None,
        };
        let set = |said: Said| {
            said.fix("Set it:").run(wanted::resource_meta(&clone.id, name, &wants.to_string()))
        };
        match value {
            Some(value) if value == wants => {}
            Some(value) => {
                said.push(set(Said::warn(format!("{name} of {} is {value}: {means}", clone.id))));
            }
            None => said.push(set(Said::unknown(format!(
                "{name} of {} is neither true nor false, or set by a rule",
                clone.id
            )))),
        }
    }
    or_ok(said, format!("the options of {} are as they should be", clone.id))
}

pub(super) fn failures(facts: &Facts) -> Vec<Said> {
    let meta = |name: &str| text_of(name, facts.cib.meta(&facts.resource, name));
    let wants = |name: &str| {
        let value = wanted::RESOURCE_META.iter().find(|(known, _)| *known == name);
        wanted::resource_meta(&facts.resource, name, value.map_or("", |(_, value)| value))
    };
    let (threshold, timeout) = (meta("migration-threshold"), meta("failure-timeout"));
    let (threshold, timeout) = match (threshold, timeout) {
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => {
            return vec![
                Said::unknown(why)
                    .fix("Set both once, without a rule:")
                    .run(wants("migration-threshold"))
                    .run(wants("failure-timeout")),
            ];
        }
        (Known::Known(threshold), Known::Known(timeout)) => (threshold, timeout),
    };
    let zero = |text: &str| !text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    let limited = threshold.as_deref().filter(|text| *text != "INFINITY" && !zero(text));
    let forgets = timeout.as_deref().is_some_and(|text| !zero(text));
    match limited {
        Some("1") => vec![
            Said::warn(
                "migration-threshold is 1: a single failure bans a node, and the primary never \
                 restarts where it was",
            )
            .fix("Set it:")
            .run(wants("migration-threshold")),
        ],
        Some(threshold) if !forgets => vec![
            Said::warn(format!(
                "migration-threshold is {threshold} and failure-timeout is not set: after \
                 {threshold} failures in all its life a node is banned for good"
            ))
            .fix("Let failures be forgotten:")
            .run(wants("failure-timeout")),
        ],
        Some(_) => vec![Said::ok("failures ban a node for a while")],
        None => vec![Said::ok("failures ban no node")],
    }
}
