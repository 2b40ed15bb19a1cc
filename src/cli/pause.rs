//! `pgtwin pause` and `pgtwin resume`. Floor 4.

use clap::Args;

use super::target::Target;
use super::{End, ask, say};
use crate::agent::operate::Subject;
use crate::agent::pause;
use crate::agent::survey::survey;
use crate::cluster::paused::Paused;
use crate::decide::pause::{Ruling, judge_pause, judge_resume};
use crate::decide::report::wrapped;
use crate::sys::utc;

/// Have Pacemaker leave the database alone, with fencing armed
///
/// For work on PostgreSQL by hand. Nothing is started, stopped or promoted until pgtwin resume; also
/// not after a failure. Monitors go on, the primary takes care of its standbys, and a lost node is fenced
/// as ever. (maintenance-mode=true would stop all of that.) pgtwin status shows since when, and who.
#[derive(Debug, Args)]
pub(super) struct PauseOptions {
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// End a pause
///
/// Pacemaker manages the database again, and puts right at once what is not as it should be: what has
/// failed meanwhile is restarted, or another node is promoted. It says before what that may be.
#[derive(Debug, Args)]
pub(super) struct ResumeOptions {
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run_pause(options: &PauseOptions) -> End {
    run(&options.target, options.yes, "pause", judge_pause, |subject, clone| {
        let paused = Paused { since: utc::now(), by: ask::who() };
        pause::pause(subject, clone, &paused)?;
        Ok(format!("{} is paused. pgtwin resume ends it.", subject.resource()))
    })
}

pub(super) fn run_resume(options: &ResumeOptions) -> End {
    run(&options.target, options.yes, "resume", judge_resume, |subject, clone| {
        pause::resume(subject, clone, &ask::who())?;
        Ok(format!("Pacemaker manages {} again.", subject.resource()))
    })
}

fn run(
    target: &Target,
    yes: bool,
    what: &str,
    judge: impl Fn(&crate::decide::report::Facts) -> Ruling,
    act: impl Fn(&Subject, &str) -> Result<String, String>,
) -> End {
    let subject = match target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let resource = subject.resource().to_owned();
    let (clone, remarks) = match judge(&survey(&subject)) {
        Ruling::Nothing(why) => {
            say::line(wrapped(&why, 0));
            return End::Ok;
        }
        Ruling::Refused(why) => return ask::failed(&why),
        Ruling::Possible { clone, remarks } => (clone, remarks),
    };
    super::word::list("Mind:", &remarks);
    if !yes && let Err(why) = ask::typed(&format!("Type {resource} to {what} it:"), &resource) {
        return ask::failed(&why);
    }
    ask::log_as(&resource);
    match act(&subject, &clone) {
        Ok(done) => {
            say::line(wrapped(&done, 0));
            End::Ok
        }
        Err(why) => ask::failed(&why),
    }
}
