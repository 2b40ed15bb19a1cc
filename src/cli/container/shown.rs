//! What `pgtwin container` shows. The shapes are in docs/json.md. Floor 4.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::agent::container::{self, Local};
use crate::agent::operate::Subject;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::cluster::readiness::{Readiness, Side};
use crate::decide::changeover::{Member, Plan, Step, Target, short};

/// An image, on one node.
#[derive(Debug, Serialize)]
pub(super) struct Pulled {
    image: String,
    id: Option<String>,
    version: Option<String>,
    libc: Option<String>,
    icu: Option<String>,
    host_version: Option<String>,
    host_libc: Option<String>,
    host_icu: Option<String>,
    against: Vec<String>,
    remarks: Vec<String>,
}

impl Pulled {
    /// What would be pulled.
    pub(super) fn planned(found: &container::Pulled) -> Self {
        Self {
            image: found.name.clone(),
            id: found.image.as_ref().map(container::id_of),
            version: None,
            libc: None,
            icu: None,
            host_version: None,
            host_libc: None,
            host_icu: None,
            against: Vec::new(),
            remarks: found.warnings.clone(),
        }
    }

    /// What was pulled and looked into.
    pub(super) fn done(one: &Readiness, remarks: &[String]) -> Self {
        let host = one.host.as_ref();
        Self {
            image: one.image.clone(),
            id: Some(one.id.clone()),
            version: Some(one.inside.version.clone()),
            libc: one.inside.libc.clone(),
            icu: one.inside.icu.clone(),
            host_version: host.map(|side| side.version.clone()),
            host_libc: host.and_then(|side| side.libc.clone()),
            host_icu: host.and_then(|side| side.icu.clone()),
            against: one.against.clone(),
            remarks: remarks.to_vec(),
        }
    }
}

/// What `pull --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Pull<'a> {
    version: u32,
    command: &'static str,
    action: &'static str,
    resource: &'a str,
    outcome: &'static str,
    reason: Option<String>,
    image: Option<&'a Pulled>,
}

pub(super) fn pull<'a>(
    resource: &'a str,
    outcome: &'static str,
    reason: Option<String>,
    image: Option<&'a Pulled>,
) -> Pull<'a> {
    Pull { version: 1, command: "container", action: "pull", resource, outcome, reason, image }
}

/// What `adopt --json` and `leave --json` print.
#[derive(Debug, Serialize)]
pub(super) struct Changed<'a> {
    version: u32,
    command: &'static str,
    action: &'static str,
    resource: &'a str,
    outcome: &'static str,
    reasons: &'a [String],
    steps: Vec<Stepped>,
    remarks: &'a [String],
}

#[derive(Debug, Serialize)]
struct Stepped {
    step: &'static str,
    node: Option<String>,
}

pub(super) fn changed<'a>(
    resource: &'a str,
    target: Target,
    outcome: &'static str,
    reasons: &'a [String],
    plan: Option<&'a Plan>,
) -> Changed<'a> {
    let stepped = |step: &Step| {
        let (step, node) = match step {
            Step::Restart(node) => ("restart", Some(node)),
            Step::MoveFrom(node) => ("move-from", Some(node)),
            Step::Settle => ("settle", None),
        };
        Stepped { step, node: node.map(ToString::to_string) }
    };
    Changed {
        version: 1,
        command: "container",
        action: target.command(),
        resource,
        outcome,
        reasons,
        steps: plan.map(|plan| plan.steps.iter().map(stepped).collect()).unwrap_or_default(),
        remarks: plan.map(|plan| plan.remarks.as_slice()).unwrap_or_default(),
    }
}

/// What `status --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: u32,
    command: &'static str,
    action: &'static str,
    resource: String,
    node: String,
    engine: Option<String>,
    image: Option<String>,
    id: Option<String>,
    problems: Vec<String>,
    members: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    node: String,
    runs: Option<&'static str>,
    image: Option<Pulled>,
    unknown: Option<String>,
}

pub(super) fn status(
    subject: &Subject,
    here: &Result<Local, String>,
    members: &BTreeMap<NodeName, Member>,
) -> (Status, bool) {
    let mut problems = Vec::new();
    let (mut engine, mut image, mut id) = (None, None, None);
    match here {
        Err(why) => problems.push(why.clone()),
        Ok(local) => {
            engine = Some(local.engine_in_words());
            if let Known::Unknown(why) = &local.version {
                problems.push(why.clone());
            }
            match &local.name {
                Ok(name) => image = Some(name.clone()),
                Err(why) => problems.push(why.clone()),
            }
            match &local.image {
                Known::Known(Some(found)) => id = Some(container::id_of(found)),
                Known::Known(None) => problems.push(format!(
                    "image {} is not on this node: run pgtwin container pull",
                    image.as_deref().unwrap_or_default()
                )),
                Known::Unknown(why) if local.name.is_ok() => problems.push(why.clone()),
                Known::Unknown(_) => {}
            }
        }
    }
    let row = |(node, member): (&NodeName, &Member)| {
        let (image, unknown) = match &member.told {
            Known::Known(Some(told)) => (Some(Pulled::done(told, &[])), None),
            Known::Known(None) => (None, None),
            Known::Unknown(why) => (None, Some(why.clone())),
        };
        Row {
            node: node.to_string(),
            runs: member.at.clone().known().map(|at| match at {
                Target::Container => "container",
                Target::Host => "host",
            }),
            image,
            unknown,
        }
    };
    let well = problems.is_empty();
    let status = Status {
        version: 1,
        command: "container",
        action: "status",
        resource: subject.resource().to_owned(),
        node: subject.me.to_string(),
        engine,
        image,
        id,
        problems,
        members: members.iter().map(row).collect(),
    };
    (status, well)
}

impl Status {
    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let said = |text: Option<&String>| text.map_or("-", String::as_str).to_owned();
        let mut lines = vec![
            format!("{} on {}:", self.resource, self.node),
            format!("  engine: {}", said(self.engine.as_ref())),
            format!("  image:  {}", said(self.image.as_ref())),
            format!("  id:     {}", self.id.as_deref().map_or("-", short)),
        ];
        lines.extend(self.problems.iter().map(|problem| format!("  ! {problem}")));
        for row in &self.members {
            let runs = match row.runs {
                Some("container") => "in a container",
                Some(_) => "on the host",
                None => "?",
            };
            let image = match (&row.image, &row.unknown) {
                (Some(image), _) => format!(
                    "{} ({}, PostgreSQL {})",
                    image.image,
                    image.id.as_deref().map_or("-", short),
                    said(image.version.as_ref())
                ),
                (None, Some(why)) => format!("? ({why})"),
                (None, None) => {
                    "it has told of no image: run pgtwin container pull there".to_owned()
                }
            };
            lines.push(format!("{}: {runs}; {image}", row.node));
            let against = row.image.iter().flat_map(|image| &image.against);
            lines.extend(against.map(|why| format!("  ! {why}")));
        }
        lines
    }
}

/// One image, for people.
pub(super) fn of_node(one: &Readiness) -> Vec<String> {
    let side = |side: &Side| {
        let more = [side.libc.clone(), side.icu.as_ref().map(|icu| format!("ICU {icu}"))];
        let more: Vec<String> = more.into_iter().flatten().collect();
        format!("PostgreSQL {}, {}", side.version, more.join(", "))
            .trim_end_matches(", ")
            .to_owned()
    };
    let host = one.host.as_ref().map_or_else(|| "no PostgreSQL of this version".to_owned(), side);
    vec![
        format!("image:    {}", one.image),
        format!("id:       {}", one.id),
        format!("in it:    {}", side(&one.inside)),
        format!("on host:  {host}"),
    ]
}
