//! `pgtwin status`. Floor 4.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::{End, screen};
use crate::agent::survey::survey;
use crate::decide::report::{json, report};
use crate::sys::deadline::Deadline;
use crate::sys::utc::{self, Utc};

/// Show the nodes, who may take over, and what needs attention
///
/// Works on any node of the cluster and changes nothing. A `?` is what could not be learned; a
/// warning says why. `-` is what does not apply. LAG: bytes of the primary's WAL that a standby
/// lacks. DELAY: how long ago the primary wrote what the standby has replayed last. SYNC: a commit
/// waits for one of these. HEIR: the node may replace the primary. Doctor: the checks of pgtwin doctor
/// that the cluster's configuration does not pass.
///
/// Exits with 0 when there is no warning, with 1 when there is one.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Look again every so many seconds (2), until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    watch: Option<u64>,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> End {
    let Some(seconds) = options.watch else {
        return look(options, false).unwrap_or(End::Attention);
    };
    let between = Duration::from_secs(seconds);
    let full_screen = std::io::stdout().is_terminal() && !options.json;
    loop {
        if full_screen && screen::clear().is_err() {
            return End::Ok;
        }
        // A reader that has gone away ends it. What stands in the way of one look need not of the next.
        let Some(_) = look(options, true) else { return End::Ok };
        if !options.json {
            let words = format!("\n{}, every {seconds} s until Ctrl-C", Utc::of(utc::now()));
            let _ = screen::show(words, false);
        }
        Deadline::after(between).sleep(between);
    }
}

/// One look; none if nobody reads it.
fn look(options: &Options, one_of_many: bool) -> Option<End> {
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return Some(end),
    };
    let facts = survey(&subject);
    let report = report(&facts);
    let shown = if options.json {
        screen::json(&json::status(&facts, &report), one_of_many)
    } else {
        screen::show(&report, screen::is_coloured())
    };
    let end = if report.needs_attention() { End::Attention } else { End::Ok };
    shown.ok().map(|()| end)
}
