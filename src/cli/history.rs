//! `pgtwin history`. Floor 4.

use clap::Args;

use super::target::Target;
use super::{End, screen};
use crate::agent::survey::{recoveries, survey};
use crate::decide::history::{history, json};

/// Tell what happened: promotions, fencing, failures, recoveries
///
/// As far as it is remembered: Pacemaker knows the last promotion of each node, what was fenced since
/// its daemons were started, and what failed and was not cleaned up; the ledger knows which promotions
/// led to the present one. Recoveries are told of the node on which this runs. The system log has the
/// rest, under pgtwin(RSC).
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
    let history = history(&survey(&subject), &recoveries(&subject));
    let shown = if options.json {
        screen::json(&json::remembered(&history), false)
    } else {
        screen::show(&history, screen::is_coloured())
    };
    if shown.is_ok() && history.problems.is_empty() { End::Ok } else { End::Attention }
}
