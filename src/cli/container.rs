//! `pgtwin container`. Floor 4.

mod shown;

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::target::Target as Which;
use super::{End, ask, say, screen, word};
use crate::agent::container::{Ground, carry_out, facts, local, look, pull, tell};
use crate::agent::operate::Subject;
use crate::cluster::known::Known;
use crate::decide::changeover::{Plan, Ruling, Step, Target, judge};
use crate::decide::report::wrapped;
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// Get the image for PostgreSQL, and move the cluster into containers or back
///
/// pull: on each node, the image of container_image is downloaded, or the newest of pg_major_version in
/// container_registry and container_repository; then it is looked into: its PostgreSQL, its collations, the
/// extensions of the databases, the paths that the configuration names. What was found is told to the other
/// nodes. A start never downloads anything: it uses what lies on its node. status: which image and engine
/// each node has, and where its PostgreSQL runs.
///
/// adopt: moves PostgreSQL of all members into containers, on the same data: each standby is restarted in
/// turn, then the primary is moved, and the last node follows. A node that does not come to stream gets its
/// old value back, and the rest stays. leave is the same, back onto the hosts. Both say first what they would
/// do, and do it with --apply. Between two nodes Ctrl-C ends it; run again, it goes on.
///
/// Exits with 0 when it is done or nothing is to be done, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    target: Which,
    /// Check only, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// pull: ask no registry; look into the image that lies on this node
    #[arg(long)]
    local: bool,
    /// adopt, leave: do it
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// How many seconds a node may take to stream again; 300 where nothing is said
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        hide_default_value = true,
        value_parser = clap::value_parser!(u64).range(10..=86400)
    )]
    timeout: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON; its shape is in docs/json.md. With --apply it needs --yes
    #[arg(long)]
    json: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Get the image onto this node, and look into it
    Pull,
    /// Show what each node has
    Status,
    /// Move the cluster into containers
    Adopt,
    /// Move it back onto the hosts
    Leave,
}

pub(super) fn run(options: &Options) -> End {
    if options.json && options.apply && !options.yes {
        say::problem("pgtwin: --json asks nobody: add --yes");
        return End::Usage;
    }
    let changes = matches!(options.action, Action::Adopt | Action::Leave);
    if options.apply && !changes {
        say::problem("pgtwin: --apply goes with adopt and leave");
        return End::Usage;
    }
    if options.local && options.action != Action::Pull {
        say::problem("pgtwin: --local goes with pull");
        return End::Usage;
    }
    let subject = match options.target.find() {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    if !nix::unistd::geteuid().is_root() {
        return ask::failed("container is run by root: it asks the engine, which is root's");
    }
    if let Some(problem) = subject.problems.first() {
        return ask::failed(&format!(
            "the parameters of {} are not sound: {problem}",
            subject.resource()
        ));
    }
    match options.action {
        Action::Pull => pulled(options, &subject),
        Action::Status => status(options, &subject),
        Action::Adopt => changed(options, &subject, Target::Container),
        Action::Leave => changed(options, &subject, Target::Host),
    }
}

fn pulled(options: &Options, subject: &Subject) -> End {
    let resource = subject.resource();
    let told = |outcome, reason: Option<String>, seen: Option<&shown::Pulled>| {
        let shown = shown::pull(resource, outcome, reason, seen);
        let well = matches!(outcome, "pulled" | "possible");
        if screen::json(&shown, false).is_ok() && well { End::Ok } else { End::Attention }
    };
    if !options.dry_run {
        ask::log_as(resource);
    }
    let system = System;
    let pg = match subject.postgres(&system) {
        Ok(pg) => pg,
        Err(why) => return ask::failed(&why),
    };
    let ground = Ground::of(subject, &pg);
    let mut progress = |words: &str| {
        if !options.json {
            say::line(wrapped(words, 0));
        }
    };
    let found = match pull(&ground, options.dry_run, options.local, &mut progress) {
        Ok(found) => found,
        Err(why) if options.json => return told("failed", Some(why), None),
        Err(why) => return ask::failed(&why),
    };
    if options.dry_run {
        let seen = shown::Pulled::planned(&found);
        if options.json {
            return told("possible", None, Some(&seen));
        }
        let here = if found.image.is_some() { "lies here already" } else { "is not here yet" };
        say::line(wrapped(
            &format!("{} would be pulled; an image of that name {here}", found.name),
            0,
        ));
        word::list("Mind:", &found.warnings);
        return End::Ok;
    }
    let fit = match look(&ground) {
        Ok(fit) => fit,
        Err(why) if options.json => return told("failed", Some(why), None),
        Err(why) => return ask::failed(&why),
    };
    let untold = tell(subject, &fit.readiness).err();
    let mut remarks = found.warnings;
    remarks.extend(fit.remarks);
    remarks.extend(untold.map(|why| format!("the other nodes were not told: {why}")));
    let fits = fit.readiness.against.is_empty();
    if options.json {
        let seen = shown::Pulled::done(&fit.readiness, &remarks);
        return told(if fits { "pulled" } else { "unfit" }, None, Some(&seen));
    }
    for line in shown::of_node(&fit.readiness) {
        say::line(wrapped(&line, 2));
    }
    word::list("PostgreSQL of this node cannot run in it:", &fit.readiness.against);
    word::list("Mind:", &remarks);
    if fits { End::Ok } else { End::Attention }
}

fn status(options: &Options, subject: &Subject) -> End {
    let system = System;
    let pg = subject.postgres(&system);
    let here = pg.and_then(|pg| local(&Ground::of(subject, &pg)));
    let members = match facts(subject, Target::Container) {
        Ok(facts) => facts.members,
        Err(why) => return ask::failed(&why),
    };
    let (shown, well) = shown::status(subject, &here, &members);
    if options.json {
        return match screen::json(&shown, false) {
            Ok(()) if well => End::Ok,
            Ok(()) | Err(_) => End::Attention,
        };
    }
    for line in shown.lines() {
        say::line(wrapped(&line, 2));
    }
    if well { End::Ok } else { End::Attention }
}

/// The own node is looked at anew, so that the last word is not a day old.
fn ruling(subject: &Subject, target: Target) -> Result<Ruling, String> {
    let system = System;
    let pg = subject.postgres(&system)?;
    let ground = Ground::of(subject, &pg);
    if local(&ground).is_ok_and(|local| matches!(local.image, Known::Known(Some(_))))
        && let Ok(fit) = look(&ground)
    {
        tell(subject, &fit.readiness)?;
    }
    Ok(judge(&facts(subject, target)?))
}

fn changed(options: &Options, subject: &Subject, target: Target) -> End {
    let resource = subject.resource();
    let told = |outcome, reasons: &[String], plan: Option<&Plan>| {
        let well = matches!(outcome, "done" | "possible" | "already");
        let shown = shown::changed(resource, target, outcome, reasons, plan);
        if screen::json(&shown, false).is_ok() && well { End::Ok } else { End::Attention }
    };
    let plan = match ruling(subject, target) {
        Err(why) if options.json => return told("failed", &[why], None),
        Err(why) => return ask::failed(&why),
        Ok(Ruling::Already) if options.json => return told("already", &[], None),
        Ok(Ruling::Already) => {
            say::line(format!("PostgreSQL runs {target} on all members: nothing is to be done"));
            return End::Ok;
        }
        Ok(Ruling::Refused(reasons)) if options.json => return told("refused", &reasons, None),
        Ok(Ruling::Refused(reasons)) => {
            say::line(format!("{resource}: all nodes stay as they are\n"));
            word::list("Not possible:", &reasons);
            return End::Attention;
        }
        Ok(Ruling::Possible(plan)) => plan,
    };
    if !options.apply {
        if options.json {
            return told("possible", &[], Some(&plan));
        }
        word::list("This would be done:", &in_words(&plan, target));
        word::list("Mind:", &plan.remarks);
        say::line(format!("pgtwin container {} --apply does it.", target.command()));
        return End::Ok;
    }
    if !options.json {
        word::list("This is done:", &in_words(&plan, target));
        word::list("Mind:", &plan.remarks);
    }
    if !options.yes
        && let Err(why) = ask::typed(&format!("Type {resource} to do it:"), resource)
    {
        return ask::failed(&why);
    }
    ask::log_as(resource);
    match apply(options, subject, target) {
        Ok(()) if options.json => told("done", &[], Some(&plan)),
        Ok(()) => {
            say::line(format!("PostgreSQL runs {target} on all members."));
            End::Ok
        }
        Err(why) if options.json => told("failed", &[why], Some(&plan)),
        Err(why) => ask::failed(&why),
    }
}

fn apply(options: &Options, before: &Subject, target: Target) -> Result<(), String> {
    // The person may have thought for an hour.
    let subject =
        options.target.find().map_err(|_| "the cluster is not there any more".to_owned())?;
    let plan = match judge(&facts(&subject, target)?) {
        Ruling::Already => return Ok(()),
        Ruling::Refused(reasons) => return Err(reasons.join("; ")),
        Ruling::Possible(plan) => plan,
    };
    tracing::info!("{} has {} run {target}", ask::who(), before.resource());
    let interrupt =
        Interrupt::catch().map_err(|error| format!("Ctrl-C cannot be caught: {error}"))?;
    let patience = Duration::from_secs(options.timeout);
    carry_out(&subject, &plan, target, patience, &interrupt, &mut |words| {
        if !options.json {
            say::line(wrapped(&words, 0));
        }
    })
}

fn in_words(plan: &Plan, target: Target) -> Vec<String> {
    let words = |step: &Step| match step {
        Step::Restart(node) => format!("{node}: PostgreSQL is restarted {target}"),
        Step::MoveFrom(node) => format!(
            "the primary is moved away from {node}, as pgtwin switchover does it; writes stand still for a \
             second or two"
        ),
        Step::Settle => format!("container_mode={} is set for all nodes", target.value()),
    };
    plan.steps.iter().map(words).collect()
}
