//! The operator's word about a node: what `forget` and `force-promote` have in common. They look,
//! say what they are about to do, ask, and look again before they do it. Floor 4.

use std::time::Duration;

use clap::Args;

use super::{End, ask, say};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::cluster::node::NodeName;
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
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
}

/// One of the two commands.
pub(super) trait Word {
    /// What it would do.
    type Plan;

    /// Whether it may be done, and what that is; nothing if there is nothing to do.
    fn plan(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        node: &NodeName,
    ) -> Result<Option<Self::Plan>, String>;

    /// Says what will be done.
    fn explain(&self, plan: &Self::Plan, node: &NodeName);

    /// What the person is asked to type the node's name for.
    fn question(&self, node: &NodeName) -> String;

    /// Does it. Nobody else changes the ledger while `turn` is held.
    fn carry_out(
        &self,
        agent: &mut Agent<'_>,
        plan: &Self::Plan,
        node: &NodeName,
    ) -> Result<(), String>;
}

/// The whole command.
pub(super) fn give(word: &impl Word, about: &About) -> End {
    let subject = match Subject::find(&System, about.resource.as_deref()) {
        Ok(subject) => subject,
        Err(error) => return ask::refused(&error),
    };
    ask::log_as(subject.resource());
    match follow(word, about, &subject) {
        Ok(()) => End::Ok,
        Err(why) => ask::failed(&why),
    }
}

fn follow(word: &impl Word, about: &About, subject: &Subject) -> Result<(), String> {
    let node = &about.node;
    let mut agent = subject.agent(&System, LOOKING)?;
    let Some(plan) = word.plan(&mut agent, subject, node)? else {
        say::line(format_args!("Nothing here remembers {node}."));
        return Ok(());
    };
    word.explain(&plan, node);
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
        say::line(format_args!("Nothing here remembers {node} any more."));
        return Ok(());
    };
    word.carry_out(&mut agent, &plan, node)
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
