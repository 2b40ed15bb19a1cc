//! `pgtwin forget NODE`. Floor 4.

use std::time::Duration;

use clap::Args;
use tracing::warn;

use super::{End, ask};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::cluster::node::NodeName;
use crate::decide::forget::{LedgerSlot, Plan, Ruling, judge};
use crate::decide::report::wrapped;
use crate::sys::chain;
use crate::sys::exec::System;

/// Stop counting on a node that is gone for good
///
/// Runs on the primary's node. The node has to be offline for Pacemaker, or to be no node of the
/// cluster any more. Your word takes the place of the proof that it is down, which fencing gives
/// as a rule. Then it is no longer waited for, may no longer take over, loses its entry in the
/// ledger, its promotion score and its replication slot. Take it out of node_list and of the
/// cluster as well.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node to forget
    node: NodeName,
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
    match forget(options, &subject) {
        Ok(()) => End::Ok,
        Err(why) => ask::failed(&why),
    }
}

fn forget(options: &Options, subject: &Subject) -> Result<(), String> {
    let node = &options.node;
    let mut agent = subject.agent(&System, Duration::from_mins(2))?;
    let Some(plan) = plan(&mut agent, node)? else {
        say!("Nothing here remembers {node}.");
        return Ok(());
    };
    explain(&plan, node);
    if !options.yes {
        ask::typed(&format!("Type {node} to forget it:"), node.as_str())?;
    }
    // The person may have thought for an hour.
    drop(agent);
    let mut agent = subject.agent(&System, Duration::from_mins(2))?;
    let _turn = agent
        .home
        .lock(Duration::from_mins(1))
        .map_err(|error| format!("an action of the agent is at work: {}", chain(&error)))?;
    agent.cache = agent.home.cache();
    let Some(plan) = self::plan(&mut agent, node)? else {
        say!("Nothing here remembers {node} any more.");
        return Ok(());
    };
    warn!("{} declares {node} gone for good: it is forgotten", ask::who());
    let done = agent.forget(node, &plan);
    agent.home.keep(&agent.cache);
    for line in done? {
        say!("{}", wrapped(&format!("- {line}"), 2));
    }
    Ok(())
}

fn plan(agent: &mut Agent<'_>, node: &NodeName) -> Result<Option<Plan>, String> {
    match judge(&agent.forget_facts(node)?) {
        Ruling::Refused(why) => Err(why),
        Ruling::Nothing => Ok(None),
        Ruling::Do(plan) => Ok(Some(plan)),
    }
}

fn explain(plan: &Plan, node: &NodeName) {
    say!("To forget {node} means:");
    let mut lines = Vec::new();
    if plan.leave_out {
        lines.push(format!("{node} is no longer waited for, and may not take over"));
    }
    if plan.ledger == LedgerSlot::Delete {
        lines.push(format!("the entry of {node} leaves the ledger"));
    }
    if plan.delete_score {
        lines.push(format!("the promotion score of {node} is deleted"));
    }
    if let Some(slot) = &plan.drop_slot {
        lines.push(format!("the replication slot {slot} is dropped"));
    }
    for line in lines {
        say!("{}", wrapped(&format!("- {line}"), 2));
    }
    if !plan.remarks.is_empty() {
        say!("Mind:");
    }
    for remark in &plan.remarks {
        say!("{}", wrapped(&format!("- {remark}"), 2));
    }
}
