//! `pgtwin force-promote NODE --accept-data-loss`. Floor 4.

use std::time::Duration;

use clap::Args;

use super::word::{self, About, Explained, Word};
use super::{End, ask};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::agent::survey::survey;
use crate::cluster::node::NodeName;
use crate::decide::force::{Proposal, Ruling, judge};

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
    /// Commits that clients were told to be safe may be lost
    #[arg(long, required = true)]
    accept_data_loss: bool,
    #[command(flatten)]
    about: About,
}

pub(super) fn run(options: &Options) -> End {
    if !options.accept_data_loss {
        return ask::failed("--accept-data-loss is missing");
    }
    word::give(&Force, &options.about)
}

struct Force;

impl Word for Force {
    type Plan = Proposal;

    const NAME: &'static str = "force-promote";

    fn plan(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        node: &NodeName,
    ) -> Result<Option<Proposal>, String> {
        let servers = survey(subject).servers;
        match judge(&agent.force_facts(node, &servers)?) {
            Ruling::Refused(why) => Err(why),
            Ruling::NotNeeded => Err(format!(
                "{node} need not be forced: the election permits it. Its next monitor sees to it; \
                 look at crm_mon -1rf if Pacemaker does not promote it"
            )),
            Ruling::Possible(proposal) => Ok(Some(proposal)),
        }
    }

    fn explain(&self, proposal: &Proposal, node: &NodeName) -> Vec<Explained> {
        let title = format!("What may be lost for good when {node} is promoted now:");
        let losses = Explained::new(title, &proposal.losses);
        vec![losses, Explained::new("Mind:", &proposal.remarks)]
    }

    fn question(&self, node: &NodeName) -> String {
        format!("Type {node} to promote it all the same:")
    }

    fn carry_out(
        &self,
        agent: &mut Agent<'_>,
        _: &Subject,
        proposal: &Proposal,
        node: &NodeName,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), String> {
        let entry = agent.force(proposal, &ask::who())?;
        // The promotion is an action of the agent, and needs the ledger.
        agent.home.end_turn();
        let (term, id) = (entry.term, entry.id);
        tell(format!("{node} is the primary of term {term} for the ledger ({id})"));
        tell("Pacemaker promotes it ...".to_owned());
        if agent.await_writable(PROMOTION) {
            tell(format!("{node} accepts writes"));
            return Ok(());
        }
        Err(format!(
            "Pacemaker has not promoted {node} yet: look at crm_mon -1rf. After failed actions it \
             needs crm_resource --cleanup --resource {} --node {node}",
            agent.resource
        ))
    }
}
