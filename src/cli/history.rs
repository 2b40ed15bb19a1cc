//! `pgtwin history`. Floor 4.

use clap::Args;

use super::target::Target;
use super::{End, screen};
use crate::agent::survey::{records, survey};
use crate::decide::history::{history, json};

/// Tell what happened: promotions, recoveries, sync changes, fencing
///
/// Merged over the nodes, as seen from any of them. Each member keeps a record of its promotions and
/// recoveries, and as the primary of the standbys that it takes in and lets go and of commits that wait,
/// each with the reason. This node's is told whole; the others tell the end of theirs, about ten events,
/// within a minute. What a node has told is forgotten while it is away, and told anew when it is back.
/// Besides, Pacemaker knows what was fenced since its daemons were started, and what failed and was not
/// cleaned up; the ledger knows which promotions led to the present one. The system log has the rest, under
/// pgtwin(RSC).
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> End {
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let history = history(&survey(&subject), &records(&subject));
    let shown = if options.json {
        screen::json(&json::remembered(&history), false)
    } else {
        screen::show(&history, screen::is_coloured())
    };
    if shown.is_ok() && history.problems.is_empty() { End::Ok } else { End::Attention }
}
