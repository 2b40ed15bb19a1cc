//! The operator's word about a node: what `forget`, `force-promote` and `adopt` have in common. They look,
//! say what they are about to do, ask, and look again before they do it. Floor 4.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{End, ask, say, screen};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::cluster::node::NodeName;
use crate::decide::report::json::VERSION;
use crate::decide::report::wrapped;
use crate::sys::chain;
use crate::sys::exec::System;

/// How long looking may take.
const LOOKING: Duration = Duration::from_mins(2);
/// How long looking again and acting may take.
const ACTING: Duration = Duration::from_mins(3);
/// How long an action of the agent may hold the ledger.
const TURN: Duration = Duration::from_mins(1);

/// What the command is about.
#[derive(Debug, Args)]
pub(super) struct About {
    /// The node, by the name that Pacemaker knows
    pub(super) node: NodeName,
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes
    #[arg(long)]
    json: bool,
}

/// One of the commands.
pub(super) trait Word {
    /// What it would do.
    type Plan;

    /// Its name.
    const NAME: &'static str;

    /// Whether nothing is to be done but to look.
    fn only_looks(&self) -> bool {
        false
    }

    /// Whether it may be done, and what that is; nothing if there is nothing to do.
    fn plan(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        node: &NodeName,
    ) -> Result<Option<Self::Plan>, String>;

    /// What will be done, in lists with a title each.
    fn explain(&self, plan: &Self::Plan, node: &NodeName) -> Vec<Explained>;

    /// What the person is asked to type the node's name for.
    fn question(&self, node: &NodeName) -> String;

    /// Does it; `tell` hears of each step. Nobody else changes the ledger meanwhile.
    fn carry_out(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        plan: &Self::Plan,
        node: &NodeName,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), String>;
}

/// Sentences with what they have in common.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    title: String,
    lines: Vec<String>,
}

impl Explained {
    pub(super) fn new(title: impl Into<String>, lines: &[String]) -> Self {
        Self { title: title.into(), lines: lines.to_vec() }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    resource: &'a str,
    node: &'a str,
    outcome: &'static str,
    reason: Option<String>,
    plan: Vec<Explained>,
    steps: Vec<String>,
}

/// The whole command.
pub(super) fn give<W: Word>(word: &W, about: &About) -> End {
    if about.json && !about.yes && !word.only_looks() {
        say::problem("pgtwin: --json asks nobody: add --yes");
        return End::Usage;
    }
    let subject = match Subject::find(&System, about.resource.as_deref()) {
        Ok(subject) => subject,
        Err(error) => return ask::refused(&error),
    };
    ask::log_as(subject.resource());
    let mut report = Report {
        version: VERSION,
        command: W::NAME,
        resource: subject.resource(),
        node: about.node.as_str(),
        outcome: "refused",
        reason: None,
        plan: Vec::new(),
        steps: Vec::new(),
    };
    let result = follow(word, about, &subject, &mut report);
    if about.json {
        let well = result.is_ok();
        report.reason = result.err();
        let shown = screen::json(&report, false).is_ok();
        return if well && shown { End::Ok } else { End::Attention };
    }
    match result {
        Ok(()) => End::Ok,
        Err(why) => ask::failed(&why),
    }
}

fn follow<W: Word>(
    word: &W,
    about: &About,
    subject: &Subject,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let node = &about.node;
    let quiet = about.json;
    let nothing = |report: &mut Report<'_>, more: &str| {
        report.outcome = "nothing";
        if !quiet {
            say::line(format_args!("Nothing here remembers {node}{more}."));
        }
        Ok(())
    };
    let mut agent = subject.agent(&System, LOOKING)?;
    let Some(plan) = word.plan(&mut agent, subject, node)? else { return nothing(report, "") };
    report.plan = word.explain(&plan, node);
    report.plan.retain(|list| !list.lines.is_empty());
    if !quiet {
        for Explained { title, lines } in &report.plan {
            list(title, lines);
        }
    }
    if word.only_looks() {
        report.outcome = "possible";
        return Ok(());
    }
    if !about.yes {
        ask::typed(&word.question(node), node.as_str())?;
    }
    // The person may have thought for an hour.
    drop(agent);
    let subject = Subject::find(&System, Some(subject.resource())).map_err(|e| e.to_string())?;
    let mut agent = subject.agent(&System, ACTING)?;
    agent
        .home
        .take_turn(TURN)
        .map_err(|error| format!("an action of the agent is at work: {}", chain(&error)))?;
    agent.cache = agent.home.cache();
    let Some(plan) = word.plan(&mut agent, &subject, node)? else {
        return nothing(report, " any more");
    };
    report.outcome = "failed";
    let steps = &mut report.steps;
    word.carry_out(&mut agent, &subject, &plan, node, &mut |step| {
        if !quiet {
            say::line(wrapped(&format!("- {step}"), 2));
        }
        steps.push(step);
    })?;
    report.outcome = "done";
    Ok(())
}

/// A list of sentences below a title; nothing without any.
pub(super) fn list(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        say::line(title);
    }
    for line in lines {
        say::line(wrapped(&format!("- {line}"), 2));
    }
}
