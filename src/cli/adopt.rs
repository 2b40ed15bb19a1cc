//! `pgtwin adopt NODE --accept-data-loss`. Floor 4.

use clap::Args;

use super::word::{self, About, Explained, Word};
use super::{End, ask};
use crate::agent::Agent;
use crate::agent::operate::Subject;
use crate::agent::survey::survey;
use crate::cluster::node::NodeName;
use crate::decide::adopt::{Facts, Proposal, Ruling, clone_of, judge};

/// Declare this node's data the truth, and have all others built anew from it
///
/// For data that took the place of what the cluster knew: after pg_upgrade, which makes a new database
/// system, or when a backup was put back. Runs on the node that has it, with PostgreSQL stopped everywhere
/// and kept from starting (crm resource stop, pcs resource disable, or maintenance). It says what is lost
/// before it does anything. Nobody but this node can be promoted afterwards; when the resource is started,
/// it becomes the primary, and the data of the others is replaced by full copies, also where it is another
/// database system that the cluster knew before. Where it was cut off, run it again before anything is
/// started.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// All that is not in this node's data is given up, acknowledged commits included
    #[arg(long, required_unless_present = "dry_run")]
    accept_data_loss: bool,
    /// Also where a restore_command is set: its archive has nothing of this data's timeline beyond this data,
    /// and no newer timeline
    #[arg(long)]
    keep_restore_command: bool,
    /// Check only, and say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    about: About,
}

pub(super) fn run(options: &Options) -> End {
    if !options.accept_data_loss && !options.dry_run {
        return ask::failed("--accept-data-loss is missing");
    }
    if !nix::unistd::geteuid().is_root() {
        return ask::failed(
            "adopt is run by root: it reads this node's data and writes the ledger",
        );
    }
    let Options { dry_run, keep_restore_command, .. } = *options;
    word::give(&Adopt { dry_run, keep_restore_command }, &options.about)
}

struct Adopt {
    dry_run: bool,
    keep_restore_command: bool,
}

impl Adopt {
    fn judge(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        node: &NodeName,
    ) -> Result<Ruling, String> {
        let facts = agent.adopt_facts(node, &survey(subject).servers)?;
        Ok(judge(&Facts { keep_restore_command: self.keep_restore_command, ..facts }))
    }
}

impl Word for Adopt {
    type Plan = Proposal;

    const NAME: &'static str = "adopt";

    fn only_looks(&self) -> bool {
        self.dry_run
    }

    fn plan(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        node: &NodeName,
    ) -> Result<Option<Proposal>, String> {
        match self.judge(agent, subject, node)? {
            Ruling::Refused(why) => Err(why),
            Ruling::Possible(proposal) => Ok(Some(proposal)),
        }
    }

    fn explain(&self, proposal: &Proposal, node: &NodeName) -> Vec<Explained> {
        let title = format!("What is given up when the data of {node} is the truth:");
        let losses = Explained::new(title, &proposal.losses);
        vec![losses, Explained::new("Mind:", &proposal.remarks)]
    }

    fn question(&self, node: &NodeName) -> String {
        format!("Type {node} to give that up:")
    }

    fn carry_out(
        &self,
        agent: &mut Agent<'_>,
        subject: &Subject,
        proposal: &Proposal,
        node: &NodeName,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), String> {
        let by = ask::who();
        let begun = agent.begin_adoption(proposal, &by)?;
        let (term, id) = (begun.entry.term, begun.entry.id);
        tell(format!("nobody else can be promoted: {node} is the primary of term {term} ({id})"));
        tell(format!(
            "{} s are waited, in which a node that is cut off notices that it is ...",
            begun.wait.as_secs()
        ));
        agent.deadline.sleep(begun.wait);
        // Whatever has changed since may be that nobody else knows of it.
        if let Ruling::Refused(why) = self.judge(agent, subject, node)? {
            return Err(format!(
                "{why}; so it is not known whether the others know: run it again before anything is started"
            ));
        }
        agent.end_adoption(&begun, &by)?;
        let name = clone_of(&subject.view);
        tell(format!(
            "the data of {node} is the truth; start it: crm resource start {name}, or pcs resource enable {name}"
        ));
        Ok(())
    }
}
