//! The image that PostgreSQL runs in: by which name, whether it lies here, and whether the nodes have the
//! same one. Floor 1.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Images, Member, Said, or_ok};
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::changeover::{Target, short, target_on};
use crate::decide::image::{Wanted, wanted};
use crate::decide::report::enumerate;
use crate::decide::report::runtime::Seen;
use crate::postgres::image_name::ImageName;

/// What is to be typed on a node.
const PULL: &str = "pgtwin container pull";

fn on_the_host() -> Vec<Said> {
    vec![Said::ok("PostgreSQL runs on the host, and in no container")]
}

/// By which name.
pub(super) fn name(facts: &Facts) -> Vec<Said> {
    let mut said: Vec<Said> = apart(facts).into_iter().collect();
    if !facts.params.container_mode {
        return if said.is_empty() { on_the_host() } else { said };
    }
    match wanted(&facts.params) {
        Err(error) => said.push(Said::fail(error.to_string())),
        Ok(Wanted::Newest { .. }) => {}
        Ok(Wanted::Named { name, warnings }) => {
            said.extend(warnings.into_iter().map(Said::warn));
            if name.parse::<ImageName>().is_ok_and(|name| name.digest.is_none()) {
                said.push(
                    Said::warn(format!(
                        "container_image={name} is a tag: it may be another image on another node, or after the \
                         next pull"
                    ))
                    .fix("Name it by its digest (registry/name@sha256:…), which pgtwin container status \
                          leads to."),
                );
            }
        }
    }
    or_ok(said, "the image is named by its digest, or chosen on each node")
}

/// Where the parameters have the members' PostgreSQL, if not all at the same place.
fn apart(facts: &Facts) -> Option<Said> {
    let primitive = facts.cib.primitive(&facts.resource)?;
    let on = |target| {
        let at = |node: &&NodeName| target_on(primitive, node) == Known::Known(target);
        facts.members.iter().filter(at).cloned().collect::<BTreeSet<NodeName>>()
    };
    let (contained, hosts) = (on(Target::Container), on(Target::Host));
    (!contained.is_empty() && !hosts.is_empty()).then(|| {
        Said::warn(format!(
            "PostgreSQL of {} is started in a container, and that of {} on the host",
            enumerate(&contained, "and"),
            enumerate(&hosts, "and")
        ))
        .fix("Where that is to end, one of both goes on with it:")
        .run("pgtwin container adopt --apply")
        .run("pgtwin container leave --apply")
    })
}

/// By what the server runs, in words.
fn running(me: &NodeName, now: &Seen) -> String {
    let engine = now.engine.as_deref().unwrap_or("an engine that does not answer");
    match (now.contained, &now.image) {
        (Some(true), Some((name, id))) => {
            format!(
                "PostgreSQL of {me} runs in a container of {engine}, image {name} ({})",
                short(id)
            )
        }
        (Some(true), None) => format!("PostgreSQL of {me} runs in a container of {engine}"),
        (Some(false), _) => format!("PostgreSQL of {me} runs on the host"),
        (None, _) => format!("PostgreSQL of {me} does not run; its container is {engine}'s"),
    }
}

/// Whether the server runs as its next start would have it; none: it does, or nothing is known.
fn otherwise(images: &Images) -> Option<String> {
    let next = if images.asked { "in a container" } else { "on the host" };
    if images.now.contained.is_some_and(|now| now != images.asked) {
        return Some(format!("and its next start is {next}"));
    }
    match (&images.now.image, &images.here) {
        (Some((_, now)), Known::Known(Some(here))) if now != here => {
            Some(format!("and its next start is in image {}", short(here)))
        }
        _ => None,
    }
}

/// Whether it lies here, and by what the server runs.
pub(super) fn here(_: &Facts, member: &Member) -> Vec<Said> {
    let Some(images) = &member.images else { return on_the_host() };
    let words = running(&member.me, &images.now);
    let differs = otherwise(images).map(|next| {
        Said::warn(format!("{words}, {next}"))
            .fix("It is started anew by a stop and a start of this node, when that suits.")
    });
    if !images.asked {
        return or_ok(differs.into_iter().collect(), words);
    }
    let mut said = lies_here(&member.me, images, &words);
    said.extend(differs);
    said
}

fn lies_here(me: &NodeName, images: &Images, words: &str) -> Vec<Said> {
    match &images.here {
        Known::Known(None) => vec![
            Said::fail(format!("the image lies not on {me}: PostgreSQL cannot be started here"))
                .fix("Get it:")
                .run(PULL),
        ],
        Known::Known(Some(id)) => {
            vec![Said::ok(format!("image {} lies here; {words}", short(id)))]
        }
        Known::Unknown(why) => vec![
            Said::unknown(format!("whether the image lies here is not known: {why}"))
                .fix("Look:")
                .run("pgtwin container status"),
        ],
    }
}

/// What the nodes have told of their images.
pub(super) fn same(facts: &Facts, member: &Member) -> Vec<Said> {
    let images = member.images.as_ref().filter(|images| images.asked);
    let Some(images) = images else { return on_the_host() };
    let told = match &images.told {
        Known::Known(told) => told,
        Known::Unknown(why) => {
            return vec![Said::unknown(format!("what the nodes have told of their images: {why}"))];
        }
    };
    let mut by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut silent = Vec::new();
    for node in &facts.members {
        match told.get(node) {
            Some(id) => by_id.entry(id.as_str()).or_default().push(node.as_str()),
            None => silent.push(node.as_str()),
        }
    }
    let mut said = Vec::new();
    if by_id.len() > 1 {
        let each: Vec<String> = by_id
            .iter()
            .map(|(id, nodes)| format!("{} on {}", short(id), nodes.join(", ")))
            .collect();
        said.push(
            Said::warn(format!("the nodes have different images: {}", each.join("; ")))
                .fix("Name the image by its digest in container_image, and get it on each node:")
                .run(PULL),
        );
    }
    if !silent.is_empty() {
        said.push(
            Said::unknown(format!("{} has told of no image", silent.join(", ")))
                .fix("What was told is forgotten when a node leaves. On that node:")
                .run(format!("{PULL} --local")),
        );
    }
    let one = by_id.keys().next().map_or(String::new(), |id| format!(", {}", short(id)));
    or_ok(said, format!("all nodes have the same image{one}"))
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use crate::cluster::cib::Setting;
    use crate::decide::doctor::{Verdict, tests::healthy};

    type Row<'a> = (bool, Option<&'a str>, Option<u32>, Verdict, &'a str);

    #[test]
    fn an_image_is_to_be_named_by_its_digest() {
        let digest = format!("r.example/pg@sha256:{}", "0a".repeat(32));
        let rows: &[Row<'_>] = &[
            (false, None, None, Verdict::Ok, "on the host"),
            (true, Some(&digest), None, Verdict::Ok, "by its digest"),
            (true, Some("r.example/pg:17.6"), None, Verdict::Warn, "=r.example/pg:17.6 is a tag"),
            (true, Some("r.example/pg:17"), Some(16), Verdict::Warn, "is of PostgreSQL 17"),
            (true, None, None, Verdict::Fail, "neither container_image nor"),
            (true, None, Some(17), Verdict::Fail, "container_registry is not given"),
        ];
        for (container, image, major, verdict, words) in rows {
            let mut facts = healthy();
            facts.params.container_mode = *container;
            facts.params.container_image = image.map(str::to_owned);
            facts.params.pg_major_version = *major;
            let said = name(&facts);
            let found = said.iter().any(|one| one.verdict == *verdict && one.words.contains(words));
            assert!(found, "{image:?}: {said:?}");
        }
        let mut mixed = healthy();
        let primitive = mixed.cib.primitives.iter_mut().find(|one| one.id == mixed.resource);
        let primitive = primitive.unwrap_or_else(|| panic!("no resource"));
        let mut apart = primitive.parameters.clone();
        apart.insert("container_mode".into(), Setting::Set("true".into()));
        let n2 = mixed.members.iter().nth(1).cloned();
        primitive.by_node.named.extend(n2.map(|node| (node, apart)));
        let said = name(&mixed);
        assert!(
            said.iter().any(|one| one.words.contains("PostgreSQL of n2 is started in a container")),
            "{said:?}"
        );
        let chosen = Facts {
            params: crate::ocf::params::Params {
                container_mode: true,
                pg_major_version: Some(17),
                container_registry: Some("r.example".into()),
                container_repository: Some("db/pg".into()),
                ..healthy().params
            },
            ..healthy()
        };
        assert_eq!(name(&chosen).first().map(|one| one.verdict), Some(Verdict::Ok));
    }
}
