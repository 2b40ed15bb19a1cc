//! `pgtwin rebuild NODE`. Floor 4.

mod elsewhere;
pub(super) mod ordered;

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::{End, ask, say, screen, word};
use crate::agent::operate::Subject;
use crate::agent::recover::now;
use crate::agent::survey::{own_recovery, survey};
use crate::client::recovery_file::RecoveryHome;
use crate::client::recovery_log::RecoveryLogs;
use crate::cluster::asked::Stage;
use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::rebuild::{Course, Facts, Plan, Ruling, course, json, judge, reason};
use crate::decide::report::{bytes, span, wrapped};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// How long the check may take, and again stopping PostgreSQL.
const ACTING: Duration = Duration::from_mins(3);
/// How long an action of the agent may hold the ledger.
const TURN: Duration = Duration::from_mins(1);
/// How often it is looked how far the copy is.
const POLL: Duration = Duration::from_millis(500);
/// How long a worker may take to begin.
const TO_BEGIN: Duration = Duration::from_secs(30);

/// Replace a standby's data by a full copy of the primary's
///
/// For a standby whose data is not to be trusted any more (a damaged disk, a checksum that fails), or
/// whose recovery was given up. Data that cannot follow is brought back without it. Runs on any node: where
/// NODE is another one, its next monitor takes the order, within two minutes or never, and the node carries
/// it out itself. First it makes the check of a recovery, and refuses on the primary. Then PostgreSQL is
/// stopped there, as a standby that leaves in order; pg_basebackup copies beside the old data, which is put
/// aside only when the copy is whole. Pacemaker counts the node as running meanwhile (degraded).
///
/// Shows how far it is until the new data streams. After Ctrl-C it goes on without being watched: pgtwin
/// status says how far; an order that was not taken is withdrawn. A stop of the resource on NODE ends it, and
/// the old data is used again. Exits with 0 when the new data streams, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node, by the name that Pacemaker knows
    node: NodeName,
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
    /// Check only, and say what would be done
    #[arg(long)]
    dry_run: bool,
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
    // By the cluster's own parameters alone: the worker has no others.
    let subject = match Subject::find(&System, options.resource.as_deref()) {
        Ok(subject) => subject,
        Err(error) => return ask::refused(&error),
    };
    if !nix::unistd::geteuid().is_root() {
        return ask::failed("rebuild is run by root: it stops PostgreSQL and replaces its data");
    }
    let (resource, node) = (subject.resource().to_owned(), &options.node);
    let told = |outcome, why: &str| {
        if options.json {
            let _ = screen::json(&json::not_done(&resource, node, outcome, Some(why)), false);
            return End::Attention;
        }
        ask::failed(why)
    };
    let who = format!("{} on {}", ask::who(), subject.me);
    let reason = reason(&who);
    let plan = match plan(&subject, node, &reason) {
        Ok(plan) => plan,
        Err(why) => return told("refused", &why),
    };
    if !options.json {
        let title = format!(
            "{resource}: the data of {node} is replaced by a full copy of that of {}",
            plan.source
        );
        say::line(wrapped(&title, 0));
        word::list("Mind:", &plan.remarks);
    }
    if options.dry_run {
        let shown = !options.json || screen::json(&json::possible(&resource, &plan), false).is_ok();
        return if shown { End::Ok } else { End::Attention };
    }
    if !options.yes
        && let Err(why) = ask::typed(&format!("Type {node} to rebuild it:"), node.as_str())
    {
        return ask::failed(&why);
    }
    ask::log_as(&resource);
    if *node != subject.me {
        return order(options, &resource, &reason, &who);
    }
    // The person may have thought for an hour.
    let begun = match again(&resource, node, &reason).and_then(|(subject, plan)| {
        let begun = now();
        begin(&subject, &plan, &reason).map(|()| begun)
    }) {
        Ok(begun) => begun,
        Err(why) => return told("not-begun", &why),
    };
    let mut shown = String::new();
    let seen = watch(&subject, &reason, begun, &mut |words| {
        if !options.json {
            show(words, &mut shown);
        }
    });
    if options.json {
        let shown = screen::json(&json::went(&resource, &plan, seen.as_ref()), false);
        let well = matches!(seen, Some(Course::Done(_)));
        return if well && shown.is_ok() { End::Ok } else { End::Attention };
    }
    end(node, seen)
}

/// Has another node do it.
fn order(options: &Options, resource: &str, reason: &str, who: &str) -> End {
    let node = &options.node;
    let mut shown = String::new();
    let mut tell = |words: &str| {
        if !options.json {
            show(words, &mut shown);
        }
    };
    // The person may have thought for an hour.
    let heard = again(resource, node, reason)
        .and_then(|(subject, plan)| Ok((elsewhere::order(&subject, node, who, &mut tell)?, plan)));
    let (answer, plan) = match heard {
        Ok(heard) => heard,
        Err(why) if options.json => {
            let _ = screen::json(&json::not_done(resource, node, "not-begun", Some(&why)), false);
            return End::Attention;
        }
        Err(why) => return ask::failed(&why),
    };
    if options.json {
        let told = answer.as_ref().map_or_else(
            || json::went(resource, &plan, None),
            |answer| json::heard(resource, &plan, answer),
        );
        let shown = screen::json(&told, false);
        let well = answer.is_some_and(|answer| answer.stage == Stage::Done);
        return if well && shown.is_ok() { End::Ok } else { End::Attention };
    }
    let Some(answer) = answer else { return end(node, None) };
    match answer.stage {
        Stage::Done => {
            let took = span(i64::try_from(answer.seconds).unwrap_or(i64::MAX));
            done(node, plan.source.as_str(), answer.bytes, &took, Some(&answer.words))
        }
        Stage::GoesOn => end(node, None),
        Stage::Failed => end(node, Some(Course::Failed(answer.words))),
        Stage::Over | Stage::Refused | Stage::NotBegun => ask::failed(&answer.words),
    }
}

/// One line a percent.
fn show(words: &str, shown: &mut String) {
    let head = words.split('(').next().unwrap_or_default();
    if !head.is_empty() && head != shown {
        say::line(wrapped(words, 0));
        head.clone_into(shown);
    }
}

fn done(node: &NodeName, source: &str, copied: u64, took: &str, old: Option<&str>) -> End {
    let copied = bytes(copied);
    say::line(wrapped(&format!("{node} streams from {source}: {copied} in {took}."), 0));
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        say::line(wrapped(&format!("The old data: {old}; pgtwin status shows it."), 0));
    }
    End::Ok
}

/// The last words.
fn end(node: &NodeName, seen: Option<Course>) -> End {
    match seen {
        Some(Course::Done(last)) => {
            let took = span(last.ended.saturating_sub(last.begun));
            let old = last.old_copy.as_deref();
            return done(node, &last.source, last.copied_bytes, &took, old);
        }
        None | Some(Course::GoesOn(_)) => {
            say::line("It goes on without this command: pgtwin status says how far it is.");
        }
        Some(Course::Failed(why)) => {
            return ask::failed(&format!("{why}; it is tried again after a pause: pgtwin status"));
        }
        Some(Course::Over(why)) => return ask::failed(&why),
    }
    End::Attention
}

/// The whole check.
fn plan(subject: &Subject, node: &NodeName, reason: &str) -> Result<Plan, String> {
    let seen = survey(subject);
    let mut way = None;
    loop {
        let facts = Facts {
            seen: &seen,
            node,
            strict: subject.params.sync_strict,
            keep_old: subject.params.backup_before_basebackup,
            way: way.as_ref(),
        };
        match judge(&facts) {
            Ruling::Refused(why) => return Err(why),
            // Here an agent of this node would say so.
            Ruling::Possible(_) if !subject.problems.is_empty() => {
                return Err(format!(
                    "the parameters of {} are not sound: {}",
                    subject.resource(),
                    subject.problems.join("; ")
                ));
            }
            Ruling::Possible(plan) => return Ok(plan),
            Ruling::MakeTheCheck => {}
        }
        way = Some(subject.agent(&System, ACTING)?.way_to_a_copy(reason)?);
    }
}

fn again(resource: &str, node: &NodeName, reason: &str) -> Result<(Subject, Plan), String> {
    let subject = Subject::find(&System, Some(resource)).map_err(|error| error.to_string())?;
    let plan = plan(&subject, node, reason)?;
    Ok((subject, plan))
}

fn begin(subject: &Subject, plan: &Plan, reason: &str) -> Result<(), String> {
    let mut agent = subject.agent(&System, ACTING)?;
    agent
        .home
        .take_turn(TURN)
        .map_err(|error| format!("an action of the agent is at work: {}", chain(&error)))?;
    agent.cache = agent.home.cache();
    agent.make_way_for_a_copy(&plan.source, reason)?;
    agent.begin_the_copy()
}

/// Looks how far it is, until its end or Ctrl-C, which is none; `tell` hears of each look.
fn watch(
    subject: &Subject,
    reason: &str,
    begun: i64,
    tell: &mut dyn FnMut(&str),
) -> Option<Course> {
    let interrupt = Interrupt::catch().ok()?;
    let home = RecoveryHome::new(
        crate::agent::run::STATE_ROOT,
        crate::agent::run::RUN_ROOT,
        subject.resource(),
        &subject.me,
    );
    let logs = RecoveryLogs::new(crate::agent::run::LOG_ROOT, subject.resource());
    let mut worked = Instant::now();
    loop {
        let seen = own_recovery(&home, &logs, None, now(), &Deadline::after(POLL));
        if seen.at_work == Known::Known(true) {
            worked = Instant::now();
        }
        match course(&seen, reason, begun, worked.elapsed() > TO_BEGIN) {
            Course::GoesOn(words) => {
                tell(words.as_deref().unwrap_or_default());
            }
            end => return Some(end),
        }
        if interrupt.came() {
            return None;
        }
        thread::sleep(POLL);
    }
}
