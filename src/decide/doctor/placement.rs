//! Where the primary may be, and what moves it. Floor 1.

use std::collections::BTreeSet;

use super::{Facts, Said, or_ok, text_of};
use crate::cluster::cib::{Location, score};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::report::enumerate;
use crate::decide::sync::{HEIR_SCORE, PRIMARY_SCORE};
use crate::decide::wanted;

/// What `crm_resource --move` and `--ban` call the constraints that they leave behind.
const LEFT_BEHIND: &str = "cli-";
const INFINITY: i32 = 1_000_000;

/// The constraints of the resource; of patterns and sets it is not known whether they mean it.
fn locations(facts: &Facts) -> Vec<&Location> {
    let own = facts.primitive().into_iter().flat_map(|primitive| facts.cib.locations_of(primitive));
    let unnamed = facts.cib.locations.iter().filter(|location| location.resource.is_none());
    own.chain(unnamed).collect()
}

/// One statement of a constraint: a node, a role and a score.
struct Says<'a> {
    node: &'a str,
    promoted: bool,
    score: i32,
}

/// What a constraint says of nodes by name; an error if part of it is not understood.
fn says(location: &Location) -> Result<Vec<Says<'_>>, String> {
    let not_judged = || Err(format!("{} has rules, a pattern or a set", location.id));
    let value = |text: Option<&str>| {
        let text = text.unwrap_or("0");
        score(text).ok_or_else(|| format!("{} has the score {text:?}", location.id))
    };
    let promoted = |role: Option<&str>| {
        role.is_some_and(|r| ["promoted", "master"].contains(&&*r.to_lowercase()))
    };
    if location.resource.is_none() {
        return not_judged();
    }
    if !location.rules.is_empty() {
        let mut found = Vec::new();
        for rule in &location.rules {
            let Some(node) = &rule.node else { return not_judged() };
            let role = rule.role.as_deref().or(location.role.as_deref());
            let score = value(rule.score.as_deref())?;
            found.push(Says { node, promoted: promoted(role), score });
        }
        return Ok(found);
    }
    if location.complex {
        return not_judged();
    }
    let node = location.node.as_deref().unwrap_or_default();
    let role = location.role.as_deref();
    Ok(vec![Says { node, promoted: promoted(role), score: value(location.score.as_deref())? }])
}

pub(super) fn left_behind(facts: &Facts) -> Vec<Said> {
    let left = |location: &&Location| location.id.starts_with(LEFT_BEHIND);
    let of_it = facts.primitive().into_iter().flat_map(|p| facts.cib.locations_of(p));
    let said = of_it
        .filter(left)
        .map(|location| {
            let bans = location.score.as_deref() == Some("-INFINITY")
                || location.rules.iter().any(|rule| rule.score.as_deref() == Some("-INFINITY"));
            let node = location
                .node
                .as_deref()
                .or_else(|| location.rules.iter().find_map(|rule| rule.node.as_deref()));
            let node = node.unwrap_or("a node");
            let means =
                if bans { "may not take over" } else { "is to be the primary whatever happens" };
            Said::fail(format!(
                "{} was left behind by an earlier move: {node} {means}",
                location.id
            ))
            .fix("Remove it:")
            .run(wanted::delete_constraint("rsc_location", &location.id))
        })
        .collect();
    or_ok(said, "no move has left a constraint behind")
}

pub(super) fn excluded(facts: &Facts) -> Vec<Said> {
    let mut said = Vec::new();
    let mut out: BTreeSet<NodeName> = BTreeSet::new();
    for location in locations(facts).into_iter().filter(|one| !one.id.starts_with(LEFT_BEHIND)) {
        match says(location) {
            Err(why) => said.push(
                Said::unknown(format!("{why}: what it comes to is not judged here"))
                    .fix("See the scores of all nodes:")
                    .run("crm_simulate --live-check --show-scores"),
            ),
            Ok(all) => {
                let bans = all.iter().filter(|one| one.score <= -INFINITY);
                out.extend(bans.filter_map(|one| one.node.parse().ok()));
            }
        }
    }
    let out: BTreeSet<NodeName> = out.intersection(&facts.members).cloned().collect();
    let left = facts.members.len().saturating_sub(out.len());
    if !out.is_empty() && left < 2 {
        said.push(
            Said::fail(format!(
                "location constraints keep {} from ever being the primary: nobody is left to take over",
                enumerate(&out, "and")
            ))
            .fix("Look at them, and delete what is not meant:")
            .run("cibadmin --query --xpath //rsc_location"),
        );
    }
    if !said.is_empty() {
        return said;
    }
    let words = if out.is_empty() {
        "every member may be the primary".to_owned()
    } else {
        format!("by your constraints {} is never the primary", enumerate(&out, "and"))
    };
    vec![Said::ok(words)]
}

/// The stickiness of the resource: its own, its clone's, or the default.
pub(super) fn sticky(facts: &Facts) -> Vec<Said> {
    let name = "resource-stickiness";
    let setting = facts.cib.meta(&facts.resource, name);
    let set =
        |said: Said| said.run(wanted::resource_meta(facts.target(), name, wanted::STICKINESS));
    let value = text_of(name, setting).and_then(|text| {
        let text = text.unwrap_or_else(|| "0".to_owned());
        match score(&text) {
            Some(value) => Known::Known(value),
            None => Known::unknown(format!("{name} is {text:?}")),
        }
    });
    vec![match value {
        Known::Unknown(why) => set(Said::unknown(why).fix("Set it once:")),
        Known::Known(value) if value > 0 => Said::ok(format!("{name} is {value}")),
        Known::Known(value) => {
            set(Said::warn(format!("{name} is {value}: resources move although nothing failed"))
                .fix("Set it, or the default of all resources:"))
        }
    }]
}

/// A preference for the role, or for what is placed with it, counts beside the promotion scores.
pub(super) fn preferred(facts: &Facts) -> Vec<Said> {
    let gap = PRIMARY_SCORE - HEIR_SCORE;
    let mut with: Vec<&str> = super::address::placed_with_primary(facts);
    with.retain(|id| *id != facts.target());
    let of_others = |location: &&Location| {
        location.resource.as_deref().is_some_and(|resource| with.contains(&resource))
    };
    let others = facts.cib.locations.iter().filter(of_others);
    let own = locations(facts).into_iter().map(|location| (location, true));
    let all = own.chain(others.map(|location| (location, false)));
    let mut said = Vec::new();
    for (location, is_own) in all.filter(|(one, _)| !one.id.starts_with(LEFT_BEHIND)) {
        // What is not understood of our own, `excluded` says.
        let counts = |one: &Says<'_>| one.score >= gap && (one.promoted || !is_own);
        for one in says(location).into_iter().flatten().filter(counts) {
            let node = one.node;
            let verdict = if one.score >= INFINITY { Said::fail } else { Said::warn };
            said.push(
                verdict(format!(
                    "{} prefers {node} by {}, more than a primary is ahead of a standby ({gap}): when \
                     {node} is back after a failure, the primary moves once more",
                    location.id, one.score
                ))
                .fix(format!("Give it a score below {gap}, or delete it:"))
                .run(wanted::delete_constraint("rsc_location", &location.id)),
            );
        }
    }
    or_ok(said, "nothing pulls the primary back to a node")
}
