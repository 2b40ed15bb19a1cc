//! `pgtwin switchover`. Floor 4.

use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::{End, ask, say, screen};
use crate::agent::operate::Subject;
use crate::agent::outlook::outlook;
use crate::agent::switchover::switch_over;
use crate::cluster::node::NodeName;
use crate::decide::report::wrapped;
use crate::decide::switchover::{Course, Plan, Ruling, json, judge};
use crate::sys::interrupt::Interrupt;

/// Move the primary to another node
///
/// Works on any node of the cluster. First it checks what would keep the move from coming to its end:
/// the target has to stream, to be up to date and permitted to take over, and nothing may be banned,
/// failed, in maintenance or without quorum. Then the primary writes a checkpoint, so that its shutdown
/// is short, and Pacemaker is told to move it (crm_resource --move). The constraint that this needs is
/// removed in any case: also after a failure, when the time is over, and after Ctrl-C; should this node
/// die meanwhile, it ends by itself. Writes stand still for a second or two, as a rule.
///
/// Exits with 0 when the target is the primary and the old one streams from it, with 1 otherwise. A
/// move that does not come to its end is taken back: the primary is then where Pacemaker's scores want
/// it, which is told.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// The node; without it, the best that may take over
    #[arg(long, value_name = "NODE")]
    to: Option<NodeName>,
    /// Check only, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How many seconds the checkpoint may take, and again the move; 60 where nothing is said
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        hide_default_value = true,
        value_parser = clap::value_parser!(u64).range(5..=3600)
    )]
    timeout: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> End {
    if options.json && !options.yes && !options.dry_run {
        say::problem("pgtwin: --json asks nobody: add --yes, or --dry-run");
        return End::Usage;
    }
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    if let Some(problem) = problem(&subject) {
        return ask::failed(&problem);
    }
    let facts = outlook(&subject);
    let ruling = judge(&facts, options.to.as_ref());
    let resource = subject.resource().to_owned();
    let plan = match &ruling {
        Ruling::Possible(plan) if !options.dry_run => plan,
        ruling => {
            let end = match ruling {
                Ruling::Already(_) | Ruling::Possible(_) => End::Ok,
                Ruling::Refused(_) => End::Attention,
            };
            let shown = if options.json {
                screen::json(&json::ruled(&resource, ruling), false)
            } else {
                screen::show(ruled(&resource, ruling), screen::is_coloured())
            };
            return if shown.is_ok() { end } else { End::Attention };
        }
    };
    if !options.json {
        say::line(ruled(&resource, &ruling) + "\n");
    }
    if !options.yes {
        let question = format!("Type {} to move the primary there:", plan.to);
        if let Err(why) = ask::typed(&question, plan.to.as_str()) {
            return ask::failed(&why);
        }
    }
    let course = match carry_out(&subject, plan, options) {
        Ok(course) => course,
        Err(why) => return ask::failed(&why),
    };
    if options.json {
        let _ = screen::json(&json::went(&resource, &course), false);
    } else {
        say::line("");
        for line in course.summary() {
            say::line(wrapped(&line, 0));
        }
    }
    if course.is_well() { End::Ok } else { End::Attention }
}

/// Why this node or this person cannot do it.
fn problem(subject: &Subject) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some(
            "switchover is run by root: it asks PostgreSQL and orders Pacemaker".to_owned(),
        );
    }
    let problem = subject.problems.first()?;
    Some(format!("the parameters of {} are not sound: {problem}", subject.resource()))
}

fn carry_out(subject: &Subject, plan: &Plan, options: &Options) -> Result<Course, String> {
    let interrupt =
        Interrupt::catch().map_err(|error| format!("Ctrl-C cannot be caught: {error}"))?;
    let timeout = Duration::from_secs(options.timeout);
    Ok(switch_over(subject, plan, timeout, &interrupt, &mut |at, event| {
        if !options.json {
            say::line(wrapped(&plan.line(at, event), 11));
        }
    }))
}

/// What the checks say.
fn ruled(resource: &str, ruling: &Ruling) -> String {
    let list = |title: &str, lines: &[String]| {
        let lines: Vec<String> =
            lines.iter().map(|line| wrapped(&format!("- {line}"), 2)).collect();
        format!("{title}\n{}", lines.join("\n"))
    };
    match ruling {
        Ruling::Already(node) => {
            format!("{resource}: {node} is the primary: nothing is to be done")
        }
        Ruling::Refused(reasons) => {
            format!(
                "{resource}: the primary stays where it is\n\n{}",
                list("Not possible:", reasons)
            )
        }
        Ruling::Possible(plan) => {
            let title = wrapped(&format!("{resource}: {plan}; writes stand still meanwhile"), 0);
            if plan.remarks.is_empty() {
                title
            } else {
                format!("{title}\n\n{}", list("Mind:", &plan.remarks))
            }
        }
    }
}
