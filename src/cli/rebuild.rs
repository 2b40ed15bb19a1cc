//! `pgtwin rebuild NODE`. Floor 4.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::{End, ask, say, screen, word};
use crate::agent::operate::Subject;
use crate::agent::recover::now;
use crate::agent::survey::{own_recovery, survey};
use crate::client::recovery_file::RecoveryHome;
use crate::client::recovery_log::RecoveryLogs;
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
/// whose recovery was given up. Data that cannot follow is brought back without it. Runs on the node
/// itself. First it makes the check of a recovery, and refuses on the primary. Then PostgreSQL is stopped
/// here, as a standby that leaves in order; pg_basebackup copies beside the old data, which is put aside
/// only when the copy is whole. Pacemaker counts the node as running meanwhile (degraded).
///
/// Shows how far it is until the new data streams. After Ctrl-C it goes on without being watched: pgtwin
/// status says how far. A stop of the resource on this node ends it, and the old data is used again.
/// Exits with 0 when the new data streams, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node: this one
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
    let reason = reason(&ask::who());
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
    // The person may have thought for an hour.
    let begun = match again(&resource, node, &reason).and_then(|(subject, plan)| {
        let begun = now();
        begin(&subject, &plan, &reason).map(|()| begun)
    }) {
        Ok(begun) => begun,
        Err(why) => return told("not-begun", &why),
    };
    let seen = watch(&subject, &reason, begun, options.json);
    if options.json {
        let shown = screen::json(&json::went(&resource, &plan, seen.as_ref()), false);
        let well = matches!(seen, Some(Course::Done(_)));
        return if well && shown.is_ok() { End::Ok } else { End::Attention };
    }
    end(node, seen)
}

/// The last words.
fn end(node: &NodeName, seen: Option<Course>) -> End {
    match seen {
        Some(Course::Done(done)) => {
            let took = span(done.ended.saturating_sub(done.begun));
            let copied = bytes(done.copied_bytes);
            say::line(wrapped(
                &format!("{node} streams from {}: {copied} in {took}.", done.source),
                0,
            ));
            if let Some(old) = &done.old_copy {
                say::line(wrapped(&format!("The old data: {old}; pgtwin status shows it."), 0));
            }
            return End::Ok;
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

/// Shows how far it is, until its end or Ctrl-C; that is none.
fn watch(subject: &Subject, reason: &str, begun: i64, quiet: bool) -> Option<Course> {
    let interrupt = Interrupt::catch().ok()?;
    let home = RecoveryHome::new(
        crate::agent::run::STATE_ROOT,
        crate::agent::run::RUN_ROOT,
        subject.resource(),
        &subject.me,
    );
    let logs = RecoveryLogs::new(crate::agent::run::LOG_ROOT, subject.resource());
    let mut worked = Instant::now();
    let mut shown = String::new();
    loop {
        let seen = own_recovery(&home, &logs, None, now(), &Deadline::after(POLL));
        if seen.at_work == Known::Known(true) {
            worked = Instant::now();
        }
        match course(&seen, reason, begun, worked.elapsed() > TO_BEGIN) {
            Course::GoesOn(words) => {
                // One line a percent.
                let head = |words: &str| words.split('(').next().unwrap_or_default().to_owned();
                if let Some(words) = words.filter(|words| !quiet && head(words) != shown) {
                    say::line(wrapped(&words, 0));
                    shown = head(&words);
                }
            }
            end => return Some(end),
        }
        if interrupt.came() {
            return None;
        }
        thread::sleep(POLL);
    }
}
