//! `pgtwin pause` and `pgtwin resume`. Floor 4.

use clap::Args;

use super::target::Target;
use super::{End, ask, say, screen};
use crate::agent::operate::Subject;
use crate::agent::pause;
use crate::agent::survey::survey;
use crate::cluster::paused::Paused;
use crate::decide::pause::{Outcome, Ruling, Told, judge_pause, judge_resume};
use crate::decide::report::{Facts, wrapped};
use crate::sys::utc;

/// What both have in common.
#[derive(Debug, Args)]
struct How {
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON; its shape is in docs/json.md. Where somebody would be asked, it needs --yes
    #[arg(long)]
    json: bool,
}

/// Have Pacemaker leave the database alone, with fencing armed
///
/// For work on PostgreSQL by hand. Nothing is started, stopped or promoted until pgtwin resume; also
/// not after a failure. Monitors go on, the primary takes care of its standbys, and a lost node is fenced
/// as ever. (maintenance-mode=true would stop all of that.) pgtwin status shows since when, and who.
#[derive(Debug, Args)]
pub(super) struct PauseOptions {
    #[command(flatten)]
    how: How,
}

/// End a pause
///
/// Pacemaker manages the database again, and puts right at once what is not as it should be: what has
/// failed meanwhile is restarted, or another node is promoted. It says before what that is, by what
/// PostgreSQL says on each node and by what Pacemaker's scheduler makes of it, and asks; where there is
/// nothing to put right, it does not ask.
#[derive(Debug, Args)]
pub(super) struct ResumeOptions {
    #[command(flatten)]
    how: How,
}

fn asks_nobody() -> End {
    say::problem("pgtwin: --json asks nobody: add --yes");
    End::Usage
}

pub(super) fn run_pause(options: &PauseOptions) -> End {
    // A pause is always asked about.
    if options.how.json && !options.how.yes {
        return asks_nobody();
    }
    run(
        &options.how,
        "pause",
        |_, facts| judge_pause(facts),
        |subject, clone| {
            let paused = Paused { since: utc::now(), by: ask::who() };
            pause::pause(subject, clone, &paused)?;
            Ok(format!("{} is paused. pgtwin resume ends it.", subject.resource()))
        },
    )
}

pub(super) fn run_resume(options: &ResumeOptions) -> End {
    let judge = |subject: &Subject, facts: &Facts| judge_resume(facts, &pause::at_once(subject));
    run(&options.how, "resume", judge, |subject, clone| {
        pause::resume(subject, clone, &ask::who())?;
        Ok(format!("Pacemaker manages {} again.", subject.resource()))
    })
}

fn run(
    how: &How,
    what: &'static str,
    judge: impl Fn(&Subject, &Facts) -> Ruling,
    act: impl Fn(&Subject, &str) -> Result<String, String>,
) -> End {
    let subject = match how.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let resource = subject.resource().to_owned();
    let told = |outcome, reason: Option<String>, remarks: &[String]| {
        let (resource, remarks) = (resource.clone(), remarks.to_vec());
        let shown = screen::json(&Told::new(what, resource, outcome, reason, remarks), false);
        if shown.is_ok() && outcome.is_well() { End::Ok } else { End::Attention }
    };
    let (clone, remarks, asks) = match judge(&subject, &survey(&subject)) {
        Ruling::Nothing(why) if how.json => return told(Outcome::Nothing, Some(why), &[]),
        Ruling::Nothing(why) => {
            say::line(wrapped(&why, 0));
            return End::Ok;
        }
        Ruling::Refused(why) if how.json => return told(Outcome::Refused, Some(why), &[]),
        Ruling::Refused(why) => return ask::failed(&why),
        Ruling::Possible { clone, remarks, asks } => (clone, remarks, asks && !how.yes),
    };
    if asks && how.json {
        return asks_nobody();
    }
    if !how.json {
        super::word::list("Mind:", &remarks);
    }
    if asks && let Err(why) = ask::typed(&format!("Type {resource} to {what} it:"), &resource) {
        return ask::failed(&why);
    }
    ask::log_as(&resource);
    match act(&subject, &clone) {
        Ok(_) if how.json => told(Outcome::Done, None, &remarks),
        Ok(done) => {
            say::line(wrapped(&done, 0));
            End::Ok
        }
        Err(why) if how.json => told(Outcome::Failed, Some(why), &remarks),
        Err(why) => ask::failed(&why),
    }
}
