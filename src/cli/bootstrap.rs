//! `pgtwin bootstrap primary` and `bootstrap standby`. Floor 4.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::setup::{Members, cluster_of};
use super::{End, ask, password, say, screen, word};
use crate::agent::bootstrap::{Node, Order};
use crate::agent::pghba::this_node;
use crate::decide::bootstrap::Become;
use crate::decide::report::json::VERSION;
use crate::decide::report::wrapped;
use crate::sys::exec::System;

/// Prepare a node from nothing: a new database, or a standby of it
///
/// Before there is a cluster, or a resource in it. Refuses where data is; what there is is never
/// overwritten. Afterwards pgtwin setup --apply, once, on one node: Pacemaker starts the primary, and the
/// standbys are copied from it by themselves.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    Primary(PrimaryOptions),
    Standby(StandbyOptions),
}

/// Make a new database, with all that standbys need
///
/// By initdb, or, with --debian, by pg_createcluster: with checksums, in UTF-8. Then the lines of
/// pg_hba.conf for all members, the passfile, the settings that replication needs, and the role of the
/// standbys; a login as that role is tried. PostgreSQL is stopped at the end: Pacemaker starts it.
#[derive(Debug, Args)]
struct PrimaryOptions {
    #[command(flatten)]
    how: How,
}

/// Prepare a node that has no data yet for being copied to
///
/// Writes the passfile; with --debian also what lies outside of the data directory, postgresql.conf and
/// pg_hba.conf. The data is copied from the primary when the cluster starts the resource here.
#[derive(Debug, Args)]
struct StandbyOptions {
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    #[command(flatten)]
    members: Members,
    /// A file with the password of the standbys' role: root's, and writable by nobody else; without it,
    /// it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The locale of the databases
    #[arg(long, value_name = "LOCALE", default_value = "C.UTF-8", value_parser = locale)]
    locale: String,
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

fn locale(text: &str) -> Result<String, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(word) {
        Ok(text.to_owned())
    } else {
        Err("a locale is wanted, as in de_DE.UTF-8; locale -a lists them".to_owned())
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    role: &'static str,
    outcome: &'static str,
    reasons: &'a [String],
    steps: &'a [String],
}

pub(super) fn run(options: &Options) -> End {
    match &options.role {
        Role::Primary(options) => make(&options.how, Become::Primary),
        Role::Standby(options) => make(&options.how, Become::Standby),
    }
}

fn make(how: &How, become_: Become) -> End {
    if how.json && !how.yes && !how.dry_run {
        say::problem("pgtwin: --json asks nobody: add --yes, or --dry-run");
        return End::Usage;
    }
    let (mut params, role) = match cluster_of(&how.members) {
        Ok(found) => found,
        Err(error) => {
            say::problem(format_args!("pgtwin: {error}"));
            return End::Usage;
        }
    };
    let names = how.members.nodes().iter().map(|(node, _)| node.clone()).collect();
    if let Ok(me) = this_node(&names)
        && let Err(error) = params.settle(&me)
    {
        say::problem(format_args!("pgtwin: {error}"));
        return End::Usage;
    }
    let told = |outcome, reasons: &[String], steps: &[String]| {
        let role = become_.word();
        if how.json {
            let report =
                Report { version: VERSION, command: "bootstrap", role, outcome, reasons, steps };
            let _ = screen::json(&report, false);
        } else if !reasons.is_empty() {
            say::problem(format_args!("pgtwin: this node does not become a {role}:"));
            for reason in reasons {
                say::problem(wrapped(&format!("- {reason}"), 2));
            }
        }
        if reasons.is_empty() { End::Ok } else { End::Attention }
    };
    if !nix::unistd::geteuid().is_root() {
        return told("refused", &["bootstrap is run by root".to_owned()], &[]);
    }
    let order = Order {
        become_,
        params,
        members: how.members.nodes().to_vec(),
        role,
        locale: how.locale.clone(),
        debian: how.members.debian(),
    };
    let node = match Node::find(&System, &order) {
        Ok(node) => node,
        Err(reasons) => return told("refused", &reasons, &[]),
    };
    let plan = node.plan();
    if !how.json {
        word::list("This is done here:", &plan);
    }
    if how.dry_run {
        return told("possible", &[], &plan);
    }
    let secret = match password::password(&order.role, how.password_file.as_deref()) {
        Ok(secret) => secret,
        Err(why) => return told("refused", &[why], &[]),
    };
    if !how.yes
        && let Err(why) = ask::typed("Type yes to do it:", "yes")
    {
        return ask::failed(&why);
    }
    let mut steps = Vec::new();
    let done = node.carry_out(&secret, &mut |step| {
        if !how.json {
            say::line(wrapped(&format!("- {step}"), 2));
        }
        steps.push(step.to_owned());
    });
    match done {
        Ok(()) => {
            if !how.json {
                let next = match become_ {
                    Become::Primary => {
                        "Next: pgtwin bootstrap standby on the other nodes, with the same \
                                        --node and password; then pgtwin setup --apply on one."
                    }
                    Become::Standby => {
                        "Next, when all nodes are prepared: pgtwin setup --apply, on one."
                    }
                };
                say::line(wrapped(next, 0));
            }
            told("done", &[], &steps)
        }
        Err(why) => told("failed", &[why], &steps),
    }
}
