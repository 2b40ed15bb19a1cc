//! `pgtwin forget NODE`. Floor 4.

use clap::Args;
use tracing::warn;

use super::word::{self, About, Explained, Word};
use super::{End, ask};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::cluster::node::NodeName;
use crate::decide::forget::{LedgerSlot, Plan, Ruling, judge};

/// Stop counting on a node that is gone for good
///
/// Runs on the primary's node. The node has to be offline for Pacemaker, or to be no node of the
/// cluster any more. Your word takes the place of the proof that it is down, which fencing gives
/// as a rule. Then it is no longer waited for, may no longer take over, loses its entry in the
/// ledger, its promotion score and its replication slot. Take it out of node_list and of the
/// cluster as well.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    about: About,
}

pub(super) fn run(options: &Options) -> End {
    word::give(&Forget, &options.about)
}

struct Forget;

impl Word for Forget {
    type Plan = Plan;

    const NAME: &'static str = "forget";

    fn plan(
        &self,
        agent: &mut Agent<'_>,
        _: &Subject,
        node: &NodeName,
    ) -> Result<Option<Plan>, String> {
        match judge(&agent.forget_facts(node)?) {
            Ruling::Refused(why) => Err(why),
            Ruling::Nothing => Ok(None),
            Ruling::Do(plan) => Ok(Some(plan)),
        }
    }

    fn explain(&self, plan: &Plan, node: &NodeName) -> Vec<Explained> {
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
        let title = format!("To forget {node} means:");
        vec![Explained::new(title, &lines), Explained::new("Mind:", &plan.remarks)]
    }

    fn question(&self, node: &NodeName) -> String {
        format!("Type {node} to forget it:")
    }

    fn carry_out(
        &self,
        agent: &mut Agent<'_>,
        _: &Subject,
        plan: &Plan,
        node: &NodeName,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), String> {
        warn!("{} declares {node} gone for good: it is forgotten", ask::who());
        let done = agent.forget(node, plan);
        agent.home.keep(&agent.cache);
        done?.into_iter().for_each(tell);
        Ok(())
    }
}
