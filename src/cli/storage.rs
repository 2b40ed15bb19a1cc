//! `pgtwin storage prepare`, `status` and `migrate`. Floor 4.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::target::Target;
use super::{End, ask, say, screen, word};
use crate::agent::storage::Node;
use crate::decide::report::json::VERSION;
use crate::decide::report::{bytes, wrapped};
use crate::decide::storage::moving::{Plan, Ruling};
use crate::runtime::storage::migrate::{Outcome, Step};
use crate::sys::exec::System;
use crate::sys::interrupt::Interrupt;

/// How often it is said how far it is.
const BETWEEN: Duration = Duration::from_secs(2);

/// Keep this node's data below storage_root
///
/// Each node has a directory of its own there, with data, config and archive in it: Btrfs subvolumes where
/// the file system is Btrfs, directories elsewhere. The parameters are the cluster's; without a cluster they
/// are given by --param.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Prepare(PrepareOptions),
    Status(StatusOptions),
    Migrate(MigrateOptions),
}

/// Make the directories of this node
///
/// Those that are there already stay as they are. Refuses where somebody else than root could replace what
/// leads there, and where a directory is not the PostgreSQL user's.
///
/// Exits with 0 when all of it is there, with 1 otherwise.
#[derive(Debug, Args)]
struct PrepareOptions {
    #[command(flatten)]
    target: Target,
    /// Check only, and say what would be made
    #[arg(long)]
    dry_run: bool,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

/// Show what is there on this node
///
/// Exits with 0 when there is no warning, with 1 when there is one.
#[derive(Debug, Args)]
struct StatusOptions {
    #[command(flatten)]
    target: Target,
    /// Print JSON; its shape is in docs/json.md
    #[arg(long)]
    json: bool,
}

/// Move a data directory of this node there
///
/// PostgreSQL has to be stopped, in order, and Pacemaker must not start it. The new data is a snapshot where
/// the old is a subvolume of the same file system, shares its blocks where the file system can do that, and
/// is a copy otherwise. It is verified; then the old data is put out of use and the new comes to its place.
/// Tablespaces and a pg_wal that are symbolic links stay where they are. Cut off at any point, it goes on when
/// it is run again.
///
/// The old data is left until --confirm. Until PostgreSQL has run in the new, --undo takes all of it back.
///
/// Exits with 0 when it is done, with 1 otherwise.
#[derive(Debug, Args)]
struct MigrateOptions {
    #[command(flatten)]
    target: Target,
    /// The data directory that is moved; without it, the one that pgdata names
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    from: Option<PathBuf>,
    /// Check only, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Remove the old data of a move that is done
    #[arg(long, conflicts_with_all = ["from", "dry_run"])]
    confirm: bool,
    /// Take a move back
    #[arg(long, conflicts_with_all = ["from", "dry_run", "confirm"])]
    undo: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Print JSON; its shape is in docs/json.md. Needs --yes or --dry-run
    #[arg(long)]
    json: bool,
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("an absolute path is wanted".to_owned()) }
}

/// What `prepare` and `migrate` print with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    resource: Option<&'a str>,
    node: &'a str,
    outcome: &'static str,
    reasons: &'a [String],
    steps: &'a [String],
}

pub(super) fn run(options: &Options) -> End {
    match &options.command {
        Command::Prepare(options) => run_prepare(options),
        Command::Status(options) => run_status(options),
        Command::Migrate(options) => run_migrate(options),
    }
}

/// This node's storage, for a command of root's; or why not.
fn find(target: &Target) -> Result<Node<'static>, End> {
    if !nix::unistd::geteuid().is_root() {
        return Err(ask::failed("storage is run by root"));
    }
    Node::find(&System, &target.which()).map_err(|error| ask::no_ground(&error))
}

fn run_status(options: &StatusOptions) -> End {
    let node = match find(&options.target) {
        Ok(node) => node,
        Err(end) => return end,
    };
    let seen = node.status();
    let shown = if options.json {
        screen::json(&seen.told(), false)
    } else {
        screen::show(&seen, screen::is_coloured())
    };
    if seen.warnings().is_empty() && shown.is_ok() { End::Ok } else { End::Attention }
}

/// The end of a command, as JSON or in words.
struct Teller<'a> {
    node: &'a Node<'a>,
    command: &'static str,
    json: bool,
}

impl Teller<'_> {
    fn end(&self, outcome: &'static str, reasons: &[String], steps: &[String]) -> End {
        let well = reasons.is_empty();
        if self.json {
            let report = Report {
                version: VERSION,
                command: self.command,
                resource: self.node.resource.as_deref(),
                node: self.node.me.as_str(),
                outcome,
                reasons,
                steps,
            };
            let shown = screen::json(&report, false).is_ok();
            return if well && shown { End::Ok } else { End::Attention };
        }
        match reasons {
            [] => End::Ok,
            [one] => ask::failed(one),
            many => {
                say::problem("pgtwin: it is not done:");
                for reason in many {
                    say::problem(wrapped(&format!("- {reason}"), 2));
                }
                End::Attention
            }
        }
    }

    fn line(&self, text: &str) {
        if !self.json {
            say::line(wrapped(text, 2));
        }
    }
}

fn run_prepare(options: &PrepareOptions) -> End {
    let node = match find(&options.target) {
        Ok(node) => node,
        Err(end) => return end,
    };
    let teller = Teller { node: &node, command: "storage prepare", json: options.json };
    let _lock = match node.lock() {
        Ok(lock) => lock,
        Err(why) => return teller.end("refused", &[why], &[]),
    };
    let makes = match node.plan() {
        Ok(makes) => makes,
        Err(reasons) => return teller.end("refused", &reasons, &[]),
    };
    if makes.is_empty() {
        teller.line("All of it is there.");
        return teller.end("nothing", &[], &[]);
    }
    if options.dry_run {
        let words = node.words(&makes);
        if !options.json {
            word::list("This would be made:", &words);
        }
        return teller.end("possible", &[], &words);
    }
    let mut steps = Vec::new();
    let made = node.make(&makes, &mut |step| {
        teller.line(&format!("- {step}"));
        steps.push(step);
    });
    match made {
        Ok(()) => teller.end("done", &[], &steps),
        Err(why) => teller.end("failed", &[why], &steps),
    }
}

fn run_migrate(options: &MigrateOptions) -> End {
    if options.json && !options.yes && !options.dry_run {
        say::problem("pgtwin: --json asks nobody: add --yes, or --dry-run");
        return End::Usage;
    }
    let node = match find(&options.target) {
        Ok(node) => node,
        Err(end) => return end,
    };
    let teller = Teller { node: &node, command: "storage migrate", json: options.json };
    let _lock = match node.lock() {
        Ok(lock) => lock,
        Err(why) => return teller.end("refused", &[why], &[]),
    };
    ask::log_as(node.resource.as_deref().unwrap_or("pgtwin"));
    let yes = options.yes;
    let ask = |what: &str| if yes { Ok(()) } else { ask::typed(what, "yes") };
    if options.confirm || options.undo {
        let (verb, done) = if options.confirm {
            ("confirms", node.confirm(&mut |from| ask(&format!("Type yes to remove {from}:"))))
        } else {
            ("takes back", node.undo(&mut |from| ask(&format!("Type yes to go back to {from}:"))))
        };
        return match done {
            Ok(words) => {
                tracing::info!("{} {verb} the move of the data: {words}", ask::who());
                teller.line(&format!("{words}."));
                teller.end("done", &[], &[words])
            }
            Err(why) => teller.end("refused", &[why], &[]),
        };
    }
    match follow(options, &node, &teller, &ask) {
        Ok(end) => end,
        Err(why) => teller.end("failed", &[why], &[]),
    }
}

fn follow(
    options: &MigrateOptions,
    node: &Node<'_>,
    teller: &Teller<'_>,
    ask: &dyn Fn(&str) -> Result<(), String>,
) -> Result<End, String> {
    let from = options.from.as_deref();
    let plan = match node.moving(from)?.ruling {
        Ruling::Done(record) => {
            teller.line(&format!("The data of {} is moved already.", record.from));
            return Ok(teller.end("nothing", &[], &[]));
        }
        Ruling::Refused(reasons) => return Ok(teller.end("refused", &reasons, &[])),
        Ruling::Possible(plan) => plan,
    };
    if !options.json {
        let title = if plan.goes_on { "A move goes on:" } else { "This is done:" };
        word::list(title, &plan.steps);
    }
    if options.dry_run {
        return Ok(teller.end("possible", &[], &plan.steps));
    }
    ask("Type yes to do it:")?;
    // The person may have thought for an hour.
    let moving = node.moving(from)?;
    match &moving.ruling {
        Ruling::Possible(now) if same(now, &plan) => {}
        Ruling::Possible(_) | Ruling::Done(_) => {
            return Err("it is not as it was a moment ago: run it again".to_owned());
        }
        Ruling::Refused(reasons) => return Ok(teller.end("refused", reasons, &[])),
    }
    tracing::info!("{} moves the data: {}", ask::who(), plan.steps.join("; "));
    let interrupt = Interrupt::catch().map_err(|error| error.to_string())?;
    let mut last: Option<Instant> = None;
    let outcome = moving.carry_out(&plan, &mut |step| {
        let words = match step {
            Step::Copying(done, all) => Some(("copied", done, all)),
            Step::Comparing(done, all) => Some(("compared", done, all)),
            Step::Change => None,
        };
        if let Some((what, done, all)) = words
            && last.is_none_or(|last| last.elapsed() >= BETWEEN)
        {
            last = Some(Instant::now());
            teller.line(&format!("{} of {} {what}", bytes(done), bytes(all)));
        }
        !interrupt.came()
    })?;
    match outcome {
        Outcome::Moved => {
            tracing::info!("the data is moved");
            let next = node.next();
            teller.line(&format!("Done. {next}"));
            Ok(teller.end("done", &[], &plan.steps))
        }
        Outcome::Ended => Ok(teller.end(
            "interrupted",
            &["it was interrupted: run it again to go on, or with --undo to take it back"
                .to_owned()],
            &[],
        )),
    }
}

fn same(now: &Plan, then: &Plan) -> bool {
    (now.method, now.system_id, now.goes_on) == (then.method, then.system_id, then.goes_on)
}
