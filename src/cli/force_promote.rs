//! `pgtwin force-promote NODE --accept-data-loss`. Floor 4.

use std::time::Duration;

use clap::Args;

use super::{End, ask};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::agent::survey::survey;
use crate::cluster::node::NodeName;
use crate::decide::force::{Proposal, Ruling, judge};
use crate::decide::report::wrapped;
use crate::sys::chain;
use crate::sys::exec::System;

/// How long Pacemaker may take to promote the node.
const PROMOTION: Duration = Duration::from_mins(1);

/// Make a node the primary although commits may be lost
///
/// For the case that no node is permitted to be the primary and none of those that hold the
/// missing commits comes back. Runs on the node itself, whose PostgreSQL has to run as a standby.
/// There must be no other primary, and no lost node that is not fenced. It says what may be lost
/// before it does anything. Afterwards the others follow this node, or are refused where they have
/// commits that it lacks. Never do this on two sides of a partition: both would accept writes.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node to promote: this one
    node: NodeName,
    /// Commits that clients were told to be safe may be lost
    #[arg(long, required = true)]
    accept_data_loss: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
}

pub(super) fn run(options: &Options) -> End {
    let subject = match Subject::find(&System, options.resource.as_deref()) {
        Ok(subject) => subject,
        Err(error) => return ask::refused(&error),
    };
    ask::log_as(subject.resource());
    match force(options, &subject) {
        Ok(()) => End::Ok,
        Err(why) => ask::failed(&why),
    }
}

fn force(options: &Options, subject: &Subject) -> Result<(), String> {
    if !options.accept_data_loss {
        return Err("--accept-data-loss is missing".to_owned());
    }
    let node = &options.node;
    let mut agent = subject.agent(&System, Duration::from_mins(2))?;
    explain(&proposal(&mut agent, subject, node)?, node);
    if !options.yes {
        ask::typed(&format!("Type {node} to promote it all the same:"), node.as_str())?;
    }
    // The person may have thought for an hour.
    drop(agent);
    let subject = Subject::find(&System, Some(subject.resource())).map_err(|e| e.to_string())?;
    let mut agent = subject.agent(&System, Duration::from_mins(3))?;
    let turn = agent
        .home
        .lock(Duration::from_mins(1))
        .map_err(|error| format!("an action of the agent is at work: {}", chain(&error)))?;
    let proposal = proposal(&mut agent, &subject, node)?;
    let entry = agent.force(&proposal, &ask::who())?;
    drop(turn);
    say!("{node} is the primary of term {} for the ledger ({}).", entry.term, entry.id);
    say!("Waiting for Pacemaker to promote it ...");
    if agent.await_writable(PROMOTION) {
        say!("{node} accepts writes.");
        return Ok(());
    }
    Err(format!(
        "Pacemaker has not promoted {node} yet: look at crm_mon -1rf. After failed actions it needs \
         crm_resource --cleanup --resource {} --node {node}",
        subject.resource()
    ))
}

fn proposal(agent: &mut Agent<'_>, subject: &Subject, node: &NodeName) -> Result<Proposal, String> {
    let servers = survey(subject).servers;
    match judge(&agent.force_facts(node, &servers)?) {
        Ruling::Refused(why) => Err(why),
        Ruling::NotNeeded => Err(format!(
            "{node} need not be forced: the election permits it. Its next monitor sees to it; look \
             at crm_mon -1rf if Pacemaker does not promote it"
        )),
        Ruling::Possible(proposal) => Ok(proposal),
    }
}

fn explain(proposal: &Proposal, node: &NodeName) {
    say!("What may be lost for good when {node} is promoted now:");
    for line in &proposal.losses {
        say!("{}", wrapped(&format!("- {line}"), 2));
    }
    say!("Mind:");
    for line in &proposal.remarks {
        say!("{}", wrapped(&format!("- {line}"), 2));
    }
}
