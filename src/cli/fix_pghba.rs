//! `pgtwin fix-pghba`. Floor 4.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::target::Target;
use super::{End, ask, say};
use crate::agent::pghba::Ground;
use crate::agent::pghba::fix::{Done, Planned};
use crate::decide::pghba::Check;
use crate::decide::pghba::fix::{Plan, Ruling};
use crate::decide::report::wrapped;
use crate::sys::deadline::Deadline;
use crate::sys::exec::System;

/// How long looking may take.
const LOOKING: Duration = Duration::from_mins(1);
/// How long looking again and acting may take.
const ACTING: Duration = Duration::from_mins(2);

/// Add the lines to pg_hba.conf that members need
///
/// Runs on the primary. It shows what would change, asks, keeps the old file beside the new one,
/// and puts the lines in as one marked block where they count: before a line that would shadow
/// them. PostgreSQL has to understand the new file, and it has to let the members in, before it is
/// loaded; or else the old one is put back. All other lines stay as they are. Run again, it changes
/// nothing, or takes out the lines of nodes that are no members any more.
///
/// Exits with 0 when nothing is missing any more, with 1 when something is (also with --dry-run),
/// or it was not done, with 2 when the command line is wrong.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Print JSON, of the shape in docs/pghba.md; needs --yes or --dry-run
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    ok: bool,
    node: &'a str,
    resource: Option<&'a str>,
    file: String,
    /// `nothing` was to be done, `planned`, or `changed`.
    result: &'static str,
    backup: Option<&'a Path>,
    lines: &'a [String],
    diff: &'a str,
    check: &'a Check,
}

const VERSION: u32 = 1;

pub(super) fn run(options: &Options) -> End {
    if options.json && !options.yes && !options.dry_run {
        say::problem("pgtwin: --json needs --yes or --dry-run");
        return End::Usage;
    }
    let ground = match Ground::find(&System, &options.target.which()) {
        Ok(ground) => ground,
        Err(error) => return ask::no_ground(&error),
    };
    match follow(options, &ground) {
        Ok(true) => End::Ok,
        Ok(false) => End::Attention,
        Err(why) => ask::failed(&why),
    }
}

/// Whether nothing is missing any more.
fn follow(options: &Options, ground: &Ground<'_>) -> Result<bool, String> {
    let planned = ground.plan_fix(&Deadline::after(LOOKING))?;
    let plan = match &planned.ruling {
        Ruling::Refused(why) => return Err(why.clone()),
        Ruling::Nothing => {
            let check = crate::decide::pghba::check(&planned.facts);
            tell(options, ground, &planned, None, None, &check)?;
            return Ok(check.is_well());
        }
        Ruling::Change(plan) => plan,
    };
    if options.dry_run {
        let check = crate::decide::pghba::check(&planned.facts);
        tell(options, ground, &planned, Some(plan), None, &check)?;
        return Ok(false);
    }
    if !options.json {
        say::line(plan.diff.trim_end());
    }
    if !options.yes {
        ask::typed("Type yes to write and load it:", "yes")?;
    }
    ask::log_as(ground.resource.as_deref().unwrap_or("pgtwin"));
    tracing::info!("{} adds lines to {}", ask::who(), planned.file.path.display());
    // What the person has thought over may have changed: then it is not written.
    let done = ground.carry_out_fix(&planned, plan, &Deadline::after(ACTING))?;
    tell(options, ground, &planned, Some(plan), Some(&done), &done.check)?;
    Ok(done.check.is_well())
}

fn tell(
    options: &Options,
    ground: &Ground<'_>,
    planned: &Planned,
    plan: Option<&Plan>,
    done: Option<&Done>,
    check: &Check,
) -> Result<(), String> {
    let file = planned.file.path.display();
    if options.json {
        return say::json(&Report {
            version: VERSION,
            command: "fix-pghba",
            ok: check.is_well() && (plan.is_none() || done.is_some()),
            node: ground.me.as_str(),
            resource: ground.resource.as_deref(),
            file: file.to_string(),
            result: match (plan, done) {
                (None, _) => "nothing",
                (Some(_), None) => "planned",
                (Some(_), Some(_)) => "changed",
            },
            backup: done.map(|done| done.backup.as_path()),
            lines: plan.map_or(&[], |plan| &plan.lines),
            diff: plan.map_or("", |plan| &plan.diff),
            check,
        });
    }
    match (plan, done) {
        (None, _) => say::line(wrapped(&format!("{file} has all lines that it needs."), 2)),
        (Some(plan), None) => {
            say::line(plan.diff.trim_end());
            say::line("Nothing was changed.");
        }
        (Some(_), Some(done)) => {
            say::line(wrapped(&format!("Written and loaded: {file}"), 2));
            say::line(wrapped(&format!("The old file is {}", done.backup.display()), 2));
        }
    }
    if (plan.is_none() || done.is_some()) && !check.is_well() {
        say::line("It does not help against:");
        for line in check.complaints() {
            say::line(wrapped(&format!("- {line}"), 2));
        }
    }
    Ok(())
}
